"""When nothing moves any more: hours in which a wave only holds are leapt over.

A leap changes no answer. It needs several snapshots in a row that show the same, a wave that takes
nothing (it holds, is paused, or nobody drives it), and it ends before anything is due: a fault, the
end of a command, a deadline of a node, the edge of a window, the end of the rehearsal.
"""

from math import floor, inf, lcm
from typing import TYPE_CHECKING, Final

from healthd.model.snapshot import ClusterSnapshot, Topic
from healthd.safety.quorum import voters_behind
from healthd.waves.calendar import calendar_at
from healthd.waves.holding import is_held, not_clean
from healthd.waves.playbook import StepKind
from healthd.waves.soaking import back_by
from healthd.waves.state import NodeStatus, WaveState, WaveStatus
from healthd.waves.step_run import StepPhase

if TYPE_CHECKING:
    from healthd.rehearsal.daemon import Daemon

_SAME: Final = 4
"""So many snapshots in a row must show the same, and tell nothing new."""
_CONFIG_INTERVALS: Final = 20


class Stillness:
    """Counts what is the same from one snapshot to the next."""

    def __init__(self) -> None:
        self._seen: ClusterSnapshot | None = None
        self._told = 0
        self._happened = 0
        self._same = 0

    def seconds_to_leap(self, daemon: "Daemon") -> float:
        """How far time may leap before the next snapshot; 0 when something may happen."""
        before, self._seen = self._seen, daemon.snapshot
        told, self._told = self._told, len(daemon.world.story.events)
        happened, self._happened = self._happened, daemon.agenda.happened
        is_same = (
            told == self._told
            and happened == self._happened  # It may not be seen yet.
            and before is not None
            and self._seen is not None
            and _shows_same(before, self._seen)
        )
        self._same = self._same + 1 if is_same else 0
        if self._same < _SAME or not _takes_nothing(daemon.state, is_driven=daemon.is_driving):
            return 0.0
        now = daemon.agenda.now
        due = min(daemon.agenda.next_event(), daemon.agenda.until, now + _until_wave(daemon))
        interval = daemon.world.collector.interval_seconds
        beat = _common_beat(interval, 1.0 if daemon.is_driving else daemon.again_seconds)
        # Two snapshots before anything is due all is as it would be without a leap.
        left = due - now - 2 * interval
        return max(0.0, floor(left / beat) * beat) if beat else 0.0


def _common_beat(*seconds: float) -> float:
    """After so long everything that comes back is where it was; 0 when that is not known."""
    thousandths = [each * 1000 for each in seconds]
    if any(each != int(each) for each in thousandths):
        return 0.0
    return lcm(*map(int, thousandths)) / 1000


def _takes_nothing(state: WaveState, *, is_driven: bool) -> bool:
    """Whether the wave will do the same on every snapshot that shows the same."""
    if not is_driven:
        return True
    is_still = state.is_paused or (state.status is WaveStatus.HOLDING and is_held(state))
    if state.candidates or not is_still:
        return False
    if any(run.soak.snapshots for run in state.having({NodeStatus.SOAKING})):
        return False  # Its soak is on its way, and ends also in a wave that is paused.
    # Either every snapshot starts the clean run again, or it was over with the last of them, and
    # something else holds.
    judged = state.clean.last_at
    return state.clean.snapshots == 0 or judged is None or not not_clean(state, judged)


def _until_wave(daemon: "Daemon") -> float:
    """Seconds until something is due by the wave's own clock or calendar."""
    if not daemon.is_driving:
        return inf
    state, clock = daemon.state, daemon.wave_clock
    due = [inf]
    for run in state.nodes:
        limit: float | None = None
        if run.steps.at is not None and run.steps.phase is not StepPhase.ASKING:
            return 0.0  # Its step goes on with every tick.
        if run.status is NodeStatus.STOPPING:
            limit = run.since + state.playbook.timeout_seconds(StepKind.LEFT, state.policy)
        elif run.status in {NodeStatus.STOPPED, NodeStatus.STARTING}:
            limit = run.since + state.playbook.timeout_seconds(StepKind.START, state.policy)
        elif run.status in {NodeStatus.RECOVERING, NodeStatus.SOAKING} and not run.is_overdue:
            limit = back_by(state, run)
        elif run.is_watched:
            limit = run.since + state.playbook.timeout_seconds(StepKind.STOP, state.policy)
        if limit is not None and limit + 1 >= clock:
            due.append(limit - clock)
    due += [override.ends_at - clock for override in state.overrides if override.ends_at > clock]
    return min(*due, _until_calendar(daemon), inf)


def _until_calendar(daemon: "Daemon") -> float:
    """Seconds until the next edge that the last snapshot had before it."""
    policy, seen = daemon.state.policy, daemon.snapshot
    if not policy.windows or seen is None:
        return inf
    wall, now = seen.observed_at.timestamp(), daemon.world.collector.wall
    found = calendar_at(policy.windows, cutoff_seconds=policy.cutoff_seconds, wall=wall)
    edges = [found.opens_at, found.ends_at]
    if found.ends_at is not None:
        edges.append(found.ends_at - policy.cutoff_seconds)
    return min((edge - now for edge in edges if edge is not None and edge > wall), default=inf)


def _shows_same(before: ClusterSnapshot, after: ClusterSnapshot) -> bool:
    """Whether two snapshots differ in nothing but times that say nothing new."""
    limit = after.fresh_limit_seconds
    old, new = before.effective_ages, after.effective_ages
    if old.keys() != new.keys():
        return False
    for group, age in new.items():
        limit_of = limit if group != "configs" else _CONFIG_INTERVALS * after.interval_seconds
        if age != old[group] and min(age, old[group]) <= limit_of:
            return False
    if len(before.topics) != len(after.topics):
        return False
    if not all(map(_is_same_topic, before.topics, after.topics)):
        return False
    if _quorum_of(before) != _quorum_of(after):
        return False
    for was, now in zip(before.brokers, after.brokers, strict=True):
        ages = was.metrics_age_seconds, now.metrics_age_seconds
        if (was.alive, was.fenced, was.state) != (now.alive, now.fenced, now.state):
            return False
        is_old = all(age is not None and age > limit for age in ages)
        if ages[0] != ages[1] and not is_old:
            return False
    return True


def _is_same_topic(before: Topic, after: Topic) -> bool:
    return before is after or (
        before.name == after.name
        and before.leaders == after.leaders
        and before.isrs == after.isrs
        and before.replicas == after.replicas
        and before.adding == after.adding
        and all(seconds > _GRACE_SECONDS for seconds in before.leaderless_seconds.values())
    )


_GRACE_SECONDS: Final = 600.0
"""Longer than any grace that anything here gives a partition without a leader."""


def _quorum_of(snapshot: ClusterSnapshot) -> tuple[object, ...]:
    quorum = snapshot.quorum
    if quorum is None:
        return ()
    behind = tuple(voter.id for voter in voters_behind(quorum))
    absent = quorum.absent_seconds or 0.0
    return quorum.leader_id, behind, min(absent, _GRACE_SECONDS)
