"""Running a rehearsal, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from healthd.rehearsal.daemon import Daemon
from healthd.rehearsal.rehearsal import Rehearsal
from healthd.rehearsal.story import seconds
from healthd.rehearsal.striking import Schedule
from healthd.rehearsal.world import World
from healthd.safety.ok_to_stop import ok_to_stop
from healthd.waves.events import Verb
from healthd.waves.gate import acknowledged
from healthd.waves.playbook import StepKind
from healthd.waves.state import NOT_ENDED, NodeStatus
from healthd.waves.steps import waits_for_person

CONFIRM_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a rehearsal (contract.md `rehearse`)."""

    outcome: str
    makespan_seconds: float
    restarts: Mapping[int, int]
    order: tuple[int, ...]
    max_in_flight: int
    down: tuple[int, ...]
    blocked: tuple[Mapping[str, Any], ...]
    caused_under_min_isr_seconds: float
    caused_offline_seconds: float
    violations: tuple[Mapping[str, Any], ...]
    events: tuple[Mapping[str, Any], ...]

    def as_json(self) -> dict[str, Any]:
        """The public form."""
        return {
            "outcome": self.outcome,
            "makespanSeconds": seconds(self.makespan_seconds),
            "restarts": {str(node): count for node, count in self.restarts.items()},
            "order": list(self.order),
            "maxInFlight": self.max_in_flight,
            "down": list(self.down),
            "blocked": [dict(row) for row in self.blocked],
            "causedUnderMinIsrPartitionSeconds": seconds(self.caused_under_min_isr_seconds),
            "causedOfflinePartitionSeconds": seconds(self.caused_offline_seconds),
            "violations": [dict(row) for row in self.violations],
            "events": [dict(row) for row in self.events],
        }


def rehearse(rehearsal: Rehearsal) -> Result:
    """What comes of a wave; the same rehearsal gives the same result."""
    world = World.of(rehearsal.snapshot, timing=rehearsal.model, seed=rehearsal.seed)
    daemon = Daemon(world, rehearsal.wave())
    schedule = Schedule(world, daemon, rehearsal.faults)

    def is_over() -> bool:
        state = daemon.state
        if state.status.has_ended:
            return True
        # The pause of a wave that nobody drives is written, too: what counts is its state.
        is_idle = state.is_paused and not state.in_flight
        return is_idle and not (schedule.is_anything_to_come or _ends_by_itself(daemon))

    if any(step.kind is StepKind.PROMPT for step in rehearsal.playbook.steps):
        _answer_questions(world, daemon)
    daemon.begin()
    schedule.begin()
    world.agenda.run_until(rehearsal.until, is_over=is_over)
    is_cut_off = not is_over()
    return result_of(rehearsal, world, daemon, is_cut_off=is_cut_off)


def _ends_by_itself(daemon: Daemon) -> bool:
    """Whether a paused wave only watches a stop that timed out any more, and ends after that."""
    state = daemon.state
    is_through = state.abort is not None or not state.has_any(NOT_ENDED)
    return is_through and daemon.is_driving


def _answer_questions(world: World, daemon: Daemon) -> None:
    """Confirm what steps ask, as a person would who looks once a minute."""

    def look() -> None:
        for run in daemon.state.having({NodeStatus.PREPARING, NodeStatus.RECOVERING}):
            if waits_for_person(daemon.state, run) is not None:
                daemon.order(Verb.CONFIRM, run.node)
        world.agenda.after(CONFIRM_SECONDS, look, is_recurring=True)

    world.agenda.after(CONFIRM_SECONDS, look, is_recurring=True)


def result_of(rehearsal: Rehearsal, world: World, daemon: Daemon, *, is_cut_off: bool) -> Result:
    """What has come of a rehearsal until now.

    Args:
        rehearsal: what was to be run.
        world: what it was run on.
        daemon: who drove it.
        is_cut_off: neither the wave nor a pause has ended it.
    """
    story, cluster = world.story, world.cluster
    restarts = world.hosts.restarts
    return Result(
        outcome=daemon.state.status.value,
        makespan_seconds=rehearsal.until if is_cut_off else story.changed_at,
        restarts={node: restarts[node] for node in rehearsal.nodes},
        order=tuple(story.order),
        max_in_flight=story.max_in_flight,
        down=tuple(cluster.down()),
        blocked=_blocked(daemon),
        caused_under_min_isr_seconds=cluster.replication.harm.under_min_isr_seconds,
        caused_offline_seconds=cluster.replication.harm.offline_seconds,
        violations=tuple(daemon.oracle.violations),
        events=tuple(story.events),
    )


def _blocked(daemon: Daemon) -> tuple[Mapping[str, Any], ...]:
    """The nodes that were not taken, each with what would break if it stopped now."""
    snapshot, state = daemon.snapshot, daemon.state
    if snapshot is None:
        return ()
    rows = []
    for run in state.having({NodeStatus.PENDING}):
        if run.node not in snapshot.brokers_by_id:
            continue
        found = ok_to_stop(snapshot, {run.node}, acknowledged=acknowledged(state))
        if found:
            rows.append({"broker": run.node, "blockers": [reason.as_json() for reason in found]})
    return tuple(rows)
