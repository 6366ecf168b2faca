"""The state of a wave over several stages or clusters: a parent with one child for each cluster.

A child is an ordinary wave on one cluster, with a record and a lease of its own. The parent never
touches a broker: it says which child may begin, and what stands against all of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from healthd.waves.playbook import Playbook
from healthd.waves.policy import WavePolicy
from healthd.waves.spec_stage import Approval
from healthd.waves.state import Hold, Pause, WaveStatus
from healthd.waves.variable_values import Secrets, Texts

FORMAT = 1
"""Of the written state; one more whenever an older healthd would misread it."""


class StageStatus(StrEnum):
    """Where a stage is in its life."""

    PENDING = "pending"
    """An earlier stage is not over."""
    AWAITING_APPROVAL = "awaiting_approval"
    RUNNING = "running"
    SOAKING = "soaking"
    """All its clusters have ended; they have to stay well for a while."""
    DONE = "done"


class MemberStatus(StrEnum):
    """Where a cluster's part of the wave is."""

    PENDING = "pending"
    STARTING = "starting"
    """Its child is wanted; the record that says so is on disk before the child is made."""
    RUNNING = "running"
    """Its child has not ended, whatever it waits for."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ABORTED = "aborted"
    SKIPPED = "skipped"

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self not in _UNENDED

    @property
    def is_active(self) -> bool:
        """Whether its child may be at work."""
        return self in _ACTIVE


_ACTIVE = frozenset({MemberStatus.STARTING, MemberStatus.RUNNING})
_UNENDED = _ACTIVE | {MemberStatus.PENDING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """Who agreed to a stage, and why."""

    by: str
    reason: str
    at: float
    """On the wave clock."""
    wall: float | None = None
    """Unix seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """What a stage of a dry run leaves out: nothing is done that one could answer for, or watch."""

    approval: Approval | None = None
    """Whose word would be asked for."""
    soak_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRun:
    """One stage of the wave."""

    name: str
    concurrency: int | None = 1
    clusters_at_once: int = 1
    approval: Approval | None = None
    soak_seconds: float = 0.0
    variables: Texts = ()
    """What wave and stage give to the playbook's variables, by name."""
    secrets: Secrets = ()
    """Where the secrets are that wave and stage name."""
    status: StageStatus = StageStatus.PENDING
    since: float = 0.0
    approved: Approved | None = None
    left_out: LeftOut | None = None
    """None: the wave is no dry run."""

    @property
    def is_approved(self) -> bool:
        """Whether nobody's word is missing."""
        return self.approval is None or self.approved is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One cluster in one stage."""

    cluster: str
    stage: int
    """The stage's place in the wave, from 0."""
    child: str
    """The id of its wave: the same whenever it is asked for, so that it is never made twice."""
    nodes: tuple[int, ...]
    policy: int = 0
    """Which of the wave's policies is its own."""
    domains: tuple[str, ...] = ()
    """``label=value`` of every label that `clustersAtOncePer` limits."""
    status: MemberStatus = MemberStatus.PENDING
    since: float = 0.0
    child_status: WaveStatus | None = None
    """As it was last seen; None before the child was."""
    failed: tuple[int, ...] = ()
    """Its brokers that have failed and were neither retried nor skipped."""
    is_accepted: bool = False
    """It ended badly, and a person has let the wave go on all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetState:
    """One run of a playbook over several stages or clusters."""

    wave: str
    reason: str
    requested_by: str
    playbook: Playbook
    policies: tuple[WavePolicy, ...]
    stages: tuple[StageRun, ...]
    members: tuple[Member, ...]
    limits: tuple[tuple[str, int], ...] = ()
    """`clustersAtOncePer`: a label, and how many clusters with one value of it may be active."""
    max_failed_clusters: int = 0
    status: WaveStatus = WaveStatus.PLANNED
    clock: float = 0.0
    wall: float | None = None
    pauses: tuple[Pause, ...] = ()
    """Those of people; what failed clusters do is in `is_over_budget`."""
    is_over_budget: bool = False
    """More clusters have failed than `max_failed_clusters`: nothing new until a person acts."""
    abort: Pause | None = None
    holds: tuple[Hold, ...] = ()
    soak_since: float | None = None
    """Since when the clusters of the stage that soaks have been well."""
    is_draining: bool = False
    is_dry_run: bool = False
    """No command of any child reaches a host: each is a dry run, too."""
    format: int = FORMAT

    @property
    def is_paused(self) -> bool:
        """Whether nothing new is begun, here and in every child, until a person acts."""
        return bool(self.pauses) or self.is_over_budget

    @property
    def stage(self) -> int | None:
        """The first stage that is not over; None when all are."""
        return next(
            (at for at, run in enumerate(self.stages) if run.status is not StageStatus.DONE), None
        )

    @property
    def active(self) -> tuple[Member, ...]:
        """The clusters whose child may be at work."""
        return tuple(member for member in self.members if member.status.is_active)

    def of_stage(self, at: int) -> tuple[Member, ...]:
        """The clusters of a stage."""
        return tuple(member for member in self.members if member.stage == at)

    def named(self, stage: str) -> int | None:
        """The place of the stage of that name."""
        return next((at for at, run in enumerate(self.stages) if run.name == stage), None)

    def with_members(self, changed: Iterable[Member]) -> "FleetState":
        """The state with some members replaced, each found by its child."""
        new = {member.child: member for member in changed}
        if not new:
            return self
        members = tuple(new.get(member.child, member) for member in self.members)
        return replace(self, members=members)

    def with_stage(self, at: int, changed: StageRun) -> "FleetState":
        """The state with one stage replaced."""
        stages = (*self.stages[:at], changed, *self.stages[at + 1 :])
        return replace(self, stages=stages)

    def max_failed(self, member: Member) -> int:
        """The brokers of a cluster that may fail before the cluster counts as failed."""
        return self.policies[member.policy].max_failed_brokers


def child_id(wave: str, stage: int, cluster: str) -> str:
    """The id of the wave on one cluster of one stage; no two are the same."""
    return f"{wave}.{stage + 1}.{cluster}"


def has_failed(state: FleetState, member: Member) -> bool:
    """Whether a cluster uses up the budget: beyond its own, or ended by somebody on its own."""
    if member.is_accepted:
        return False
    if member.status is MemberStatus.ABORTED:
        return state.abort is None
    return len(member.failed) > state.max_failed(member)


def failed_clusters(state: FleetState) -> tuple[Member, ...]:
    """The clusters that use up the budget."""
    return tuple(member for member in state.members if has_failed(state, member))
