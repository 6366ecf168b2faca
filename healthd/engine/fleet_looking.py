"""What a wave over a fleet sees when it looks: its children, what is in the way, who is well."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from healthd.engine.clock import Clock
from healthd.engine.collecting import ClusterLoop
from healthd.engine.dry_running import lease_on
from healthd.engine.view import ClusterView, WaveView
from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.model.snapshot import ClusterSnapshot
from healthd.safety.gate import snapshot_holds
from healthd.waves.fleet_events import ChildSeen, Looked
from healthd.waves.fleet_state import FleetState, Member, MemberStatus, StageStatus
from healthd.waves.policy import WavePolicy
from healthd.waves.state import NodeStatus, WaveState

_OLD_INTERVALS: Final = 3
"""A snapshot that is older has been missed twice."""


class Known(Protocol):
    """The daemon's waves on single clusters, as a look needs them."""

    def view(self, wave: str) -> WaveView | None:
        """One of them."""

    def holder_of(self, lease: str) -> str | None:
        """The wave that has a lease."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """What one snapshot is held for, and when it came."""

    snapshot: ClusterSnapshot
    reasons: tuple[Reason, ...]
    seen_at: float


class Onlooker:
    """Looks for one wave, and remembers what was refused a moment ago."""

    def __init__(
        self,
        clusters: Mapping[str, ClusterLoop],
        clock: Clock,
        *,
        interval_seconds: float,
        again_seconds: float,
    ) -> None:
        self._clusters = clusters
        self._clock = clock
        self._interval_seconds = interval_seconds
        self._again_seconds = again_seconds
        self._refused: dict[str, tuple[Reason, float]] = {}
        self._judged: dict[str, _Judged] = {}

    def remember(self, reason: Reason, cluster: str) -> None:
        """A child could not be made there: not to be tried again at once."""
        self._refused[cluster] = (reason, self._clock.monotonic() + self._again_seconds)

    async def look(self, state: FleetState, known: Known, *, at: float) -> Looked:
        """What there is to see now."""
        return Looked(
            at=at,
            children={
                member.child: child_seen(view.state)
                for member in state.active
                if (view := known.view(member.child)) is not None
            },
            blocked=self._blocked(state, known),
            troubles=await self._troubles(state),
        )

    def _blocked(self, state: FleetState, known: Known) -> dict[str, Reason]:
        now = self._clock.monotonic()
        self._refused = {name: it for name, it in self._refused.items() if it[1] > now}
        at = state.stage
        waiting = [] if at is None else [m for m in state.of_stage(at) if not m.status.has_ended]
        return {
            member.cluster: reason
            for member in waiting
            if (reason := self._in_the_way(state, member, known)) is not None
        }

    def _in_the_way(self, state: FleetState, member: Member, known: Known) -> Reason | None:
        name, object_ = member.cluster, f"cluster:{member.cluster}"
        if name not in self._clusters:
            detail = "the fleet file has no such cluster any more; put it back, or skip it"
            return Reason(code=ReasonCode.IDENTITY, object=object_, detail=detail)
        refused = self._refused.get(name)
        if refused is not None:
            return refused[0]
        busy = known.holder_of(lease_on(name, is_dry_run=state.is_dry_run))
        if busy is not None and busy != member.child:
            detail = f"wave {busy} is under way on it"
            return Reason(code=ReasonCode.LEASE_HELD, object=object_, detail=detail)
        if member.status is MemberStatus.RUNNING and known.view(member.child) is None:
            detail = f"the state of its wave {member.child} cannot be read"
            return Reason(code=ReasonCode.STORE_UNSAFE, object=object_, detail=detail)
        return None

    async def _troubles(self, state: FleetState) -> dict[str, tuple[Reason, ...]]:
        """What each cluster of the stage that soaks is held for."""
        at = state.stage
        stage = None if at is None else state.stages[at]
        if at is None or stage is None or not stage.soak_seconds:
            self._judged.clear()
            return {}
        members = state.of_stage(at)
        if stage.status is not StageStatus.SOAKING and not all(
            member.status.has_ended for member in members
        ):
            return {}
        found: dict[str, tuple[Reason, ...]] = {}
        for member in members:
            reasons = await self._judge(member.cluster, state.policies[member.policy])
            if reasons is not None:
                found[member.cluster] = reasons
        return found

    async def _judge(self, cluster: str, policy: WavePolicy) -> tuple[Reason, ...] | None:
        loop = self._clusters.get(cluster)
        view = None if loop is None else loop.view
        if view is None or view.snapshot is None:
            return None
        before = self._judged.get(cluster)
        if before is None or before.snapshot is not view.snapshot:
            reasons = await asyncio.to_thread(
                snapshot_holds, view.snapshot, baseline=policy.baseline
            )
            before = self._judged[cluster] = _Judged(
                snapshot=view.snapshot, reasons=reasons, seen_at=self._clock.monotonic()
            )
        return (*self._too_old(before), *before.reasons, *_index_low(view, policy))

    def _too_old(self, judged: _Judged) -> tuple[Reason, ...]:
        """A reason when no snapshot has come for so long; those that come know their own age."""
        age = self._clock.monotonic() - judged.seen_at
        if age <= _OLD_INTERVALS * self._interval_seconds:
            return ()
        detail = f"no snapshot has come for {age:.0f} s"
        return (Reason(code=ReasonCode.EVIDENCE_STALE, object="source:metadata", detail=detail),)


def _index_low(view: ClusterView, policy: WavePolicy) -> tuple[Reason, ...]:
    report = view.report
    index = None if report is None else report.health_index
    if index is None or index >= policy.min_health_index:
        return ()
    object_ = f"cluster:{view.config.name}"
    detail = f"it is {index:.1f}, and has to be {policy.min_health_index:g}"
    return (Reason(code=ReasonCode.HEALTH_INDEX_LOW, object=object_, detail=detail),)


def child_seen(state: WaveState) -> ChildSeen:
    """What the parent needs to know of a child."""
    return ChildSeen(
        status=state.status,
        failed=tuple(run.node for run in state.having({NodeStatus.FAILED})),
        is_aborting=state.abort is not None,
        has_nodes_in_flight=bool(state.at_work),
    )
