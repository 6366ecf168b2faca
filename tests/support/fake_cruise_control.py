"""A fake Cruise Control. No real one can be had here; this one is written by its source.

What ``GET /kafkacruisecontrol/state?substates=executor,anomaly_detector&json=true`` answers is
that of ``ExecutorState.getJsonStructure`` and ``AnomalyDetectorState.getJsonStructure``, whose
fields ``executorState.yaml`` and ``anomalyDetectorState.yaml`` list (linkedin/cruise-control).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

KINDS = (
    "BROKER_FAILURE",
    "DISK_FAILURE",
    "GOAL_VIOLATION",
    "MAINTENANCE_EVENT",
    "METRIC_ANOMALY",
    "TOPIC_ANOMALY",
)


@dataclass(kw_only=True)
class FakeCruiseControl:
    """One instance; ask ``support.http_server.serving`` to serve its ``answer``."""

    executor: str = "NO_TASK_IN_PROGRESS"
    reason: str = ""
    heals: tuple[str, ...] = ()
    healing: str | None = None
    status: int = 200
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        """What it answers."""
        self.asked.append(request.path_qs)
        if request.path != "/kafkacruisecontrol/state":
            raise web.HTTPNotFound
        if request.query.get("json") != "true":
            return web.Response(text="MonitorState: {state: RUNNING}")
        return web.json_response(self.document(), status=self.status)

    def document(self) -> dict[str, Any]:
        """Its state."""
        executor: dict[str, Any] = {"state": self.executor}
        if self.executor != "NO_TASK_IN_PROGRESS":
            executor |= {
                "triggeredUserTaskId": "2f3b2f0c-7f6c-4f0b-bc1a-2a4d1b1f9a0e",
                "triggeredTaskReason": self.reason,
            }
        if self.executor == "INTER_BROKER_REPLICA_MOVEMENT_TASK_IN_PROGRESS":
            executor |= {
                "maximumConcurrentPartitionMovementsPerBroker": 10,
                "numInProgressPartitionMovements": 3,
                "numPendingPartitionMovements": 40,
                "numFinishedPartitionMovements": 7,
                "numTotalPartitionMovements": 50,
                "abortingPartitions": 0,
                "finishedDataMovement": 100,
                "totalDataToMove": 900,
            }
        detector: dict[str, Any] = {
            "selfHealingEnabled": list(self.heals),
            "selfHealingDisabled": [kind for kind in KINDS if kind not in self.heals],
            "selfHealingEnabledRatio": {kind: 1.0 if kind in self.heals else 0.0 for kind in KINDS},
            "recentGoalViolations": [],
            "recentBrokerFailures": [],
            "recentMetricAnomalies": [],
            "recentDiskFailures": [],
            "recentTopicAnomalies": [],
            "recentMaintenanceEvents": [],
            "metrics": {"numSelfHealingStarted": 0, "ongoingAnomalyDurationMs": 0},
            "balancednessScore": 99.1,
        }
        if self.healing is not None:
            detector["ongoingSelfHealingAnomaly"] = self.healing
        return {"ExecutorState": executor, "AnomalyDetectorState": detector, "version": 1}
