"""What Cruise Control does to a cluster now, and whether it heals by itself.

Its REST API: `GET /kafkacruisecontrol/state?substates=executor,anomaly_detector&json=true`, as its
wiki (REST-APIs) and `executorState.yaml` and `anomalyDetectorState.yaml` of its source document it.
"""

from dataclasses import dataclass
from typing import Any, Final, Protocol

from healthd.collect.observation import FailureReason, Origin
from healthd.collect.outside_client import OutsideClient
from healthd.collect.rest import RestError, first_line
from healthd.config.source_cruise_control import state_url
from healthd.config.source_server import ServerConfig

IDLE: Final = "NO_TASK_IN_PROGRESS"
"""The only state of the executor in which it neither moves anything nor is about to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CruiseControlState:
    """What it said."""

    executor: str
    """The executor's state, such as `INTER_BROKER_REPLICA_MOVEMENT_TASK_IN_PROGRESS`."""
    reason: str = ""
    """Why it executes, as whoever asked for it has said."""
    healing: str | None = None
    """The anomaly that it is healing."""
    heals: tuple[str, ...] = ()
    """The kinds of anomaly that it heals by itself."""

    @property
    def is_idle(self) -> bool:
        """Whether it moves nothing and is not about to."""
        return self.executor == IDLE and self.healing is None

    def __str__(self) -> str:
        """What it does, and why."""
        what = f"Cruise Control: {self.executor}"
        if self.reason:
            what += f" ({self.reason})"
        return what if self.healing is None else f"{what}, healing anomaly {self.healing}"


class CruiseControlReader(Protocol):
    """One Cruise Control."""

    async def state(self) -> CruiseControlState:
        """What it does now.

        Raises:
            RestError: it could not be asked, or its answer cannot be believed.
        """

    async def aclose(self) -> None:
        """Let go of the connection."""


class CruiseControl:
    """A `CruiseControlReader` over HTTP."""

    def __init__(self, server: ServerConfig) -> None:
        """Ask nothing yet."""
        self._url = state_url(server)
        self._client = OutsideClient(server)

    async def state(self) -> CruiseControlState:
        """See `CruiseControlReader.state`."""
        return parse_state(await self._client.get(self._url))

    async def aclose(self) -> None:
        """See `CruiseControlReader.aclose`."""
        await self._client.aclose()


def parse_state(answer: Any) -> CruiseControlState:
    """The state in an answer.

    Raises:
        RestError: it is none.
    """
    executor = answer.get("ExecutorState") if isinstance(answer, dict) else None
    state = executor.get("state") if isinstance(executor, dict) else None
    if not isinstance(executor, dict) or not isinstance(state, str) or not state:
        # Also what it says of itself when it is in a state that it does not know: {"error": ...}.
        raise RestError(
            FailureReason.PROTOCOL,
            "did not tell its executor's state: check address and version",
            Origin.OURS,
        )
    detector = answer.get("AnomalyDetectorState")
    found = detector if isinstance(detector, dict) else {}
    healing, heals = found.get("ongoingSelfHealingAnomaly"), found.get("selfHealingEnabled")
    return CruiseControlState(
        executor=first_line(state),
        reason=first_line(executor.get("triggeredTaskReason")),
        healing=None if healing in {None, "", "None"} else first_line(str(healing)),
        heals=tuple(sorted(map(str, heals))) if isinstance(heals, list) else (),
    )
