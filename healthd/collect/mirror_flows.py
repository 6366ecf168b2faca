"""What one MirrorMaker 2 flow is worth for a failover, judged from what was seen of it.

Pure. Unknown is not ready and not behind: what could not be looked at now leaves a flow that was
behind behind, and makes a flow that was well unknown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from healthd.collect.connect_words import FAILED, RUNNING, ConnectorSeen
from healthd.collect.dialect_mirror import FlowPage
from healthd.config.source_mirrors import MirrorConfig

MISSING: Final = "MISSING"
"""No connector of the flow exists."""
_WORST_FIRST: Final = (
    FAILED, MISSING, "STOPPED", "PAUSED", "UNASSIGNED", "RESTARTING", "UNKNOWN", RUNNING,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowEvidence:
    """What one round saw of a flow."""

    now: float
    """Unix seconds."""
    is_heartbeat_read: bool = False
    heartbeat: float | None = None
    """Unix seconds of the newest heartbeat of the source that arrived on the target."""
    pages: Sequence[FlowPage] = ()
    connectors: Sequence[ConnectorSeen] | None = None
    """Those of the flow; None: nobody told, or none are configured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowMemory:
    """What is kept of a flow between rounds, and over a restart."""

    last_seen: float | None = None
    """Unix seconds."""
    lagging: bool | None = None
    records: float | None = None
    """The sum of replicated records at the last look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowState:
    """A flow as it is told."""

    memory: FlowMemory
    behind_seconds: float | None
    last_seen_seconds: float | None
    latency_seconds: float | None
    record_age_seconds: float | None
    connector_state: str | None
    tasks_failed: int | None
    ready: bool | None
    why: tuple[str, ...] = field(default=())
    """What keeps it from being ready, or from being known to be."""


def flow_name(mirror: MirrorConfig) -> str:
    """What a flow is called everywhere."""
    return f"{mirror.source}->{mirror.target}"


def connectors_of_flow(
    mirror: MirrorConfig, connectors: Sequence[ConnectorSeen]
) -> list[ConnectorSeen]:
    """The flow's connectors: those that are configured, else those with its two aliases."""
    if mirror.connectors:
        return [one for one in connectors if one.name in mirror.connectors]
    aliases = (mirror.source, mirror.target)
    return [one for one in connectors if (one.source_alias, one.target_alias) == aliases]


def judge_flow(mirror: MirrorConfig, evidence: FlowEvidence, memory: FlowMemory) -> FlowState:
    """The flow's state by this round's evidence and what was known before."""
    latency = _largest(page.latency_seconds for page in evidence.pages)
    counts = [page.records for page in evidence.pages if page.records is not None]
    records = sum(counts) if counts else None
    has_moved = records is not None and memory.records is not None and records > memory.records
    last_seen = _largest(
        (memory.last_seen, evidence.heartbeat, evidence.now if has_moved else None)
    )
    age = None if last_seen is None else max(0.0, evidence.now - last_seen)
    # Latency alone is no look: it is an average over what went through up to a minute ago.
    is_looked_at = evidence.is_heartbeat_read or has_moved
    behind = _largest((age, latency)) if is_looked_at and age is not None else None
    lagging = _is_lagging(mirror, behind, memory, is_looked_at=is_looked_at)
    state, tasks_failed = _connectors(mirror, evidence)
    problems = [*_problems(mirror, behind, state, tasks_failed, lagging=lagging)]
    unknown = [*_unknown(mirror, state, lagging=lagging)]
    return FlowState(
        memory=FlowMemory(
            last_seen=last_seen,
            lagging=lagging,
            records=memory.records if records is None else records,
        ),
        behind_seconds=behind,
        last_seen_seconds=age,
        latency_seconds=latency,
        record_age_seconds=_largest(page.record_age_seconds for page in evidence.pages),
        connector_state=state,
        tasks_failed=tasks_failed,
        ready=False if problems else None if unknown else True,
        why=(*problems, *unknown),
    )


def flow_json(mirror: MirrorConfig, state: FlowState) -> dict[str, Any]:
    """One flow in the section `mirrors`; the count of records is added by who counts them."""
    return {
        "flow": flow_name(mirror),
        "source": mirror.source,
        "target": mirror.target,
        "ready": state.ready,
        "why": list(state.why),
        "lagging": state.memory.lagging,
        "behindSeconds": _rounded(state.behind_seconds),
        "maxBehindSeconds": mirror.max_behind_seconds,
        "lastSeenSeconds": _rounded(state.last_seen_seconds),
        "lastSeenUnixSeconds": _rounded(state.memory.last_seen),
        "replicationLatencySeconds": _rounded(state.latency_seconds),
        "recordAgeSeconds": _rounded(state.record_age_seconds),
        "connectorState": state.connector_state,
        "tasksFailed": state.tasks_failed,
    }


def memory_of(flow: Any) -> FlowMemory:
    """What a flow of a stored section still tells; nothing when it is of another form."""
    if not isinstance(flow, dict):
        return FlowMemory()
    seen, lagging = flow.get("lastSeenUnixSeconds"), flow.get("lagging")
    return FlowMemory(
        last_seen=seen if isinstance(seen, int | float) and not isinstance(seen, bool) else None,
        lagging=lagging if isinstance(lagging, bool) else None,
    )


def _is_lagging(
    mirror: MirrorConfig, behind: float | None, memory: FlowMemory, *, is_looked_at: bool
) -> bool | None:
    if not is_looked_at:
        return True if memory.lagging else None
    # Looked at, and there is nothing: the source was never seen through this flow.
    return behind is None or behind > mirror.max_behind_seconds


def _connectors(mirror: MirrorConfig, evidence: FlowEvidence) -> tuple[str | None, int | None]:
    if evidence.connectors is None:
        failed = [page.failed_tasks for page in evidence.pages if page.failed_tasks is not None]
        return None, sum(failed) if failed else None
    found = evidence.connectors
    states = {one.state if one.state in _WORST_FIRST else "UNKNOWN" for one in found}
    states |= {
        task.state if task.state in _WORST_FIRST else "UNKNOWN"
        for one in found
        for task in one.tasks
        if task.state != FAILED
    }
    if not found or {one.name for one in found} < set(mirror.connectors):
        states.add(MISSING)
    failed_tasks = sum(task.state == FAILED for one in found for task in one.tasks)
    return next(state for state in _WORST_FIRST if state in states), failed_tasks


def _problems(
    mirror: MirrorConfig,
    behind: float | None,
    state: str | None,
    tasks_failed: int | None,
    *,
    lagging: bool | None,
) -> list[str]:
    found: list[str] = []
    if lagging:
        limit = f"{mirror.max_behind_seconds:g} s"
        found.append(
            "nothing of the source was ever seen here"
            if behind is None
            else f"{behind:.0f} s behind, more than {limit}"
        )
    if state not in {None, RUNNING, "UNKNOWN"}:
        found.append(
            "connectors are missing" if state == MISSING else f"a connector or task is {state}"
        )
    if tasks_failed:
        found.append(f"{tasks_failed} task{'' if tasks_failed == 1 else 's'} failed")
    return found


def _unknown(mirror: MirrorConfig, state: str | None, *, lagging: bool | None) -> list[str]:
    found: list[str] = []
    if lagging is None:
        found.append("how far it is behind is not known now")
    if state == "UNKNOWN" or (state is None and mirror.connect is not None):
        found.append("the state of its connectors is not known now")
    return found


def _largest(values: Any) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
