"""The in-memory twin of the running daemon: what HTTP shows and hands in, without any loop."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from support.fleet_views import InMemoryFleetWaves, accepted_fleet

from healthd.config.fleet import ClusterConfig, Fleet, HostConfig, TenantConfig
from healthd.config.profiles import ProfileConfig
from healthd.engine import dry_running
from healthd.engine.clock import Clock
from healthd.engine.freezing import Freezer
from healthd.engine.history import HistoryRecorder
from healthd.engine.journal import StoreThread
from healthd.engine.muting import Muter
from healthd.engine.plans import taken_out
from healthd.engine.rehearsals import Rehearsals
from healthd.engine.routing import Router
from healthd.engine.view import (
    ClusterView,
    FleetView,
    JournalEntry,
    OrderRefused,
    Refusal,
    WaveView,
)
from healthd.health.index import evaluate
from healthd.health.losses import losses
from healthd.health.mutes import Mute
from healthd.model.codes import ReasonCode
from healthd.model.parse import snapshot_of
from healthd.model.reason import Reason
from healthd.model.snapshot import ClusterSnapshot
from healthd.safety.clean_run import CleanRun
from healthd.store.memory import MemoryStore
from healthd.waves.dora import Deployment
from healthd.waves.events import Ordered, OverrideAsked, Verb
from healthd.waves.freezes import Freeze
from healthd.waves.orders import refusal_of
from healthd.waves.planner_duration import MeasuredRestarts
from healthd.waves.playbook import Playbook, Step, StepKind
from healthd.waves.policy import WavePolicy
from healthd.waves.reducer import reduce
from healthd.waves.spec import WaveSpec, parse_wave
from healthd.waves.state import Hold, NodeRun, NodeStatus, Pause, WaveState, WaveStatus

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
PLAYBOOK = Playbook(
    name="rolling-restart",
    description="",
    steps=tuple(
        Step(name=kind.value, kind=kind, timeout=60.0)
        for kind in (StepKind.STOP, StepKind.LEFT, StepKind.START, StepKind.BACK)
    ),
)


def snapshot_json(cluster: str = "payments", **changes: Any) -> dict[str, Any]:
    """A healthy cluster of three combined nodes, three racks and one topic."""
    return {
        "apiVersion": "healthd/v1",
        "kind": "ClusterSnapshot",
        "cluster": cluster,
        "observedAt": "2026-01-01T12:00:00Z",
        "brokers": [
            {"id": node, "host": f"b{node}", "rack": f"az{node}", "alive": True,
             "state": "running", "fenced": False, "roles": ["broker", "controller"],
             "requestHandlerIdle": 0.9, "diskUsedRatio": 0.4, "metricsAgeSeconds": 1.0}
            for node in (1, 2, 3)
        ],
        "quorum": {
            "mode": "kraft", "leaderId": 1, "fetchTimeoutMs": 2000, "absentSeconds": 0,
            "voters": [{"id": node, "lastCaughtUpMs": 0, "logEndOffset": 10}
                       for node in (1, 2, 3)],
        },
        "topics": [
            {"name": "orders", "minInsyncReplicas": 2,
             "partitions": [{"id": 0, "leader": 1, "replicas": [1, 2, 3], "isr": [1, 2, 3]},
                            {"id": 1, "leader": 2, "replicas": [2, 3, 1], "isr": [2, 3, 1]}]},
        ],
        "reassignments": 0,
        "ages": {"metadata": 1.0, "configs": 4.0, "quorum": 1.0, "metrics": 2.0},
        **changes,
    }  # fmt: skip


def snapshot_of_cluster(cluster: str = "payments", **changes: Any) -> ClusterSnapshot:
    """`snapshot_json`, read."""
    return snapshot_of(snapshot_json(cluster, **changes))


def broker_down(node: int) -> dict[str, Any]:
    """Changes to `snapshot_json`: one broker is gone and out of every ISR."""
    healthy = snapshot_json()
    brokers = [{**row, "alive": row["id"] != node} for row in healthy["brokers"]]
    topics = [
        {**topic, "partitions": [
            {**row, "leader": next(n for n in row["isr"] if n != node),
             "isr": [n for n in row["isr"] if n != node]}
            for row in topic["partitions"]
        ]}
        for topic in healthy["topics"]
    ]  # fmt: skip
    return {"brokers": brokers, "topics": topics}


def config_of(name: str) -> ClusterConfig:
    """A cluster of the fleet file, with exporters."""
    return ClusterConfig(
        name=name,
        bootstrap_servers=("b1:9092",),
        labels={"env": "test"},
        hosts=tuple(
            HostConfig(broker=node, address=f"b{node}", exporter=f"b{node}:7071")
            for node in (1, 2, 3)
        ),
    )


def cluster_view(name: str = "payments", snapshot: ClusterSnapshot | None = None) -> ClusterView:
    """A cluster that was observed; a healthy one unless a snapshot is given."""
    found = snapshot or snapshot_of_cluster(name)
    report = evaluate(found)
    config = replace(config_of(name), tenants=(TenantConfig(name="orders", topics=("*",)),))
    return ClusterView(
        config=config,
        snapshot=found,
        report=report,
        losses=losses(found),
        tenants={"orders": report},
        since=dict.fromkeys((check.code for check in report.checks), found.observed_at),
        index_without_wave=100.0,
        tolerated_racks=("az1", "az2", "az3"),
        seen_at={"metadata": 1767268799.0, "configs": 1767268796.0, "quorum": 1767268799.0,
                 "metrics": 1767268798.0},
        durations={"metadata": 0.01, "metrics": 0.2},
    )  # fmt: skip


def unseen_view(name: str = "dark") -> ClusterView:
    """A cluster that no collection has shown anything of."""
    return ClusterView(
        config=config_of(name),
        failures=(
            {"source": "metadata", "origin": "theirs", "reason": "refused",
             "detail": "b1:9092 refused the connection"},
        ),
    )  # fmt: skip


def wave_state(wave: str = "w1", cluster: str = "payments", **changes: Any) -> WaveState:
    """A wave over three nodes: 2 is done, 1 soaks, 3 waits."""
    state = WaveState(
        wave=wave,
        cluster=cluster,
        reason="CHG-1",
        requested_by="ann",
        playbook=PLAYBOOK,
        policy=WavePolicy(),
        nodes=(
            NodeRun(node=2, status=NodeStatus.DONE, since=100.0),
            NodeRun(node=1, status=NodeStatus.SOAKING, since=140.0, soak_since=170.0),
            NodeRun(node=3),
        ),
        status=WaveStatus.HOLDING,
        clock=200.0,
        holds=(
            Hold(
                reason=Reason(
                    code=ReasonCode.BROKER_DOWN, object="broker:3", detail="it is not alive"
                ),
                since=188.0,
            ),
        ),
        clean=CleanRun(snapshots=1, since=195.0, last_at=200.0),
        index_before=100.0,
        index_lowest=82.5,
        index_last=90.0,
    )
    return replace(state, **changes)


@dataclass
class InMemoryCounters:
    """Totals as plain dictionaries."""

    collections: dict[str, dict[str, int]] = field(default_factory=dict)
    failures: dict[str, dict[tuple[str, str, str], int]] = field(default_factory=dict)
    gate_closed_seconds: dict[str, float] = field(default_factory=dict)
    restart_seconds: dict[str, list[float]] = field(default_factory=dict)
    loop_ticks: dict[str, float] = field(default_factory=dict)
    deployments: dict[str, int] = field(default_factory=dict)
    deployed: dict[str, Deployment] = field(default_factory=dict)


def a_router(
    clusters: tuple[ClusterConfig, ...],
    profiles: tuple[ProfileConfig, ...] = (ProfileConfig(name="NAD1700", members=("payments",)),),
    **changes: Any,
) -> Router:
    """The daemon's own router over a store in memory."""
    fleet = Fleet(clusters=clusters, profiles=profiles, **changes)
    return Router(fleet, StoreThread(MemoryStore()), Clock(), interval_seconds=15.0)


class InMemoryDaemon:
    """Keeps what it is given and does what it is told, at once."""

    def __init__(self) -> None:
        self.started_at = NOW
        self.is_ready = True
        self.counters = InMemoryCounters()
        self.last_reload: tuple[bool, float, str] = (True, 1767268000.0, "")
        self.views: dict[str, ClusterView] = {"payments": cluster_view()}
        self.wave_views: dict[str, WaveView] = {}
        self.fleet_waves = InMemoryFleetWaves()
        self.stories: dict[str, list[JournalEntry]] = {}
        self.records: list[dict[str, Any]] = []
        self.examinations: dict[str, dict[str, Any]] = {}
        """By cluster."""
        self.router = a_router(tuple(view.config for view in self.views.values()))
        self.store = MemoryStore()
        self.muter = Muter(StoreThread(self.store), Clock())
        self.rehearsals = Rehearsals(StoreThread(self.store))
        self.fleet_freezes: tuple[Freeze, ...] = ()
        self.freezer = Freezer(
            StoreThread(self.store),
            Clock(wall=NOW.timestamp),
            lambda: Fleet(
                clusters=tuple(view.config for view in self.views.values()),
                freezes=self.fleet_freezes,
            ),
        )
        self.history = HistoryRecorder(StoreThread(self.store), Clock(), interval_seconds=15.0)
        self.fleet_plan: dict[str, Any] = {}
        self.restarts: dict[str, MeasuredRestarts] = {}
        """Measured ones, by cluster."""
        self.requests: list[tuple[Mapping[str, Any], str]] = []
        """Waves that were asked for, as they were sent, and by whom."""
        self.refusal: OrderRefused | None = None
        """What the next order is refused with."""

    def put(self, state: WaveState) -> WaveView:
        """The wave, stored."""
        before = self.wave_views.get(state.wave)
        view = WaveView(
            state=state,
            created_at=before.created_at if before else NOW - timedelta(seconds=state.clock),
            updated_at=NOW,
        )
        self.wave_views[state.wave] = view
        return view

    def clusters(self) -> Mapping[str, ClusterView]:
        return self.views

    def waves(self) -> Sequence[WaveView]:
        return list(reversed(self.wave_views.values()))

    def wave(self, wave: str) -> WaveView | None:
        return self.wave_views.get(wave)

    async def journal(self, wave: str) -> Sequence[JournalEntry]:
        return self.stories.get(wave, [])

    async def start_wave(self, request: Mapping[str, Any], *, by: str) -> WaveView | FleetView:
        self._refuse()
        self.requests.append((request, by))
        request, is_dry_run = dry_running.taken_out(request)
        request, _ = taken_out(request)
        spec = parse_wave(request)
        if not isinstance(spec, WaveSpec):
            raise OrderRefused(
                Refusal.INVALID,
                "the wave has problems",
                problems=[{"path": p.path, "message": p.message, "action": p.action} for p in spec],
            )
        self._record(by, "wave start", spec.reason or "", spec.name)
        if sum(len(stage.clusters) for stage in spec.stages) > 1:
            return self.fleet_waves.put(accepted_fleet(spec, is_dry_run=is_dry_run))
        return self.put(
            wave_state(
                f"{spec.name}-1",
                spec.stages[0].clusters[0],
                requested_by=by,
                reason=spec.reason,
                policy=spec.policy,
                nodes=tuple(NodeRun(node=node) for node in spec.stages[0].brokers or (1, 2, 3)),
                status=WaveStatus.RUNNING,
                holds=(),
                is_dry_run=is_dry_run,
            )
        )

    async def order(
        self,
        wave: str,
        verb: str,
        *,
        by: str,
        reason: str,
        node: int | None = None,
        override: OverrideAsked | None = None,
    ) -> WaveView:
        self._refuse()
        state = self.wave_views[wave].state
        if override is not None:
            order = Ordered(
                at=state.clock, wall=NOW.timestamp(), verb=Verb(verb), by=by, reason=reason,
                override=override,
            )  # fmt: skip
            refused = refusal_of(state, order)
            if refused is not None:
                raise OrderRefused(Refusal.CONFLICT, refused)
            return self.put(reduce(state, order).state)
        self._record(by, f"wave {verb}", reason, wave if node is None else f"{wave}/{node}")
        if verb == "pause":
            pause = Pause(by=by, reason=reason, since=state.clock)
            state = replace(state, pauses=(*state.pauses, pause), status=WaveStatus.PAUSED)
        elif verb == "resume":
            state = replace(state, pauses=(), status=WaveStatus.RUNNING)
        elif verb == "abort":
            state = replace(state, status=WaveStatus.ABORTED)
        return self.put(state)

    def mutes(self) -> Sequence[Mute]:
        return self.muter.all()

    async def mute(self, request: Mapping[str, Any], *, by: str) -> Mute:
        view = self.views.get(str(request["cluster"]))
        if view is None:
            raise OrderRefused(Refusal.UNKNOWN, f"there is no cluster {request['cluster']}")
        return await self.muter.add(request, view, by=by)

    async def unmute(self, mute: str, *, by: str, reason: str) -> Mute:
        return await self.muter.lift(mute, by=by, reason=reason)

    async def examine(self, config: ClusterConfig) -> Mapping[str, Any]:
        """What was put there for it."""
        return self.examinations[config.name]

    async def plan_wave(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """What was put there, for the file that was sent."""
        self._refuse()
        return {**self.fleet_plan, "wave": dict(request)}

    async def measured(self, cluster: str) -> MeasuredRestarts | None:
        """What was put there for it."""
        return self.restarts.get(cluster)

    async def pause_all(self, *, by: str, reason: str) -> Sequence[WaveView]:
        running = [view for view in self.waves() if not view.state.status.has_ended]
        return [await self.order(v.state.wave, "pause", by=by, reason=reason) for v in running]

    async def audit(self, limit: int) -> Sequence[Mapping[str, Any]]:
        return list(reversed(self.records))[:limit]

    async def reload(self, *, by: str) -> tuple[bool, str]:
        worked, _, message = self.last_reload
        self._record(by, "reload", "", "")
        return worked, message

    def _refuse(self) -> None:
        if self.refusal is not None:
            raise self.refusal

    def _record(self, who: str, what: str, why: str, target: str) -> None:
        self.records.append(
            {"at": NOW.isoformat(), "who": who, "what": what, "why": why, "target": target}
        )
