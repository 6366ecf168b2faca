"""The soak of each restarted node: clean time of its own, by the health of the cluster.

A hold of health starts the soak of everybody again, and so does a change that nobody expected: a
repair, a late stop, a node that relapses. A change to another node that the wave took in its turn
does not (docs/adr/0038-each-broker-soaks-by-itself.md).
"""

from dataclasses import replace

from healthd.model.reason import Reason
from healthd.safety.clean_run import CleanRun, clean_enough, observe
from healthd.waves.gate import Reading
from healthd.waves.permission import of_health
from healthd.waves.playbook import StepKind
from healthd.waves.state import NodeRun, NodeStatus, WaveState


def soak_again(state: WaveState, at: float | None) -> WaveState:
    """The state with every soak begun again at that time, or with the next snapshot for None."""
    for run in state.having({NodeStatus.SOAKING}):
        state = state.with_node(replace(run, soak=CleanRun(), soak_since=at))
    return state


def soaked_seconds(run: NodeRun, at: float) -> float:
    """How long a node has soaked."""
    return 0.0 if run.soak_since is None else at - run.soak_since


def back_by(state: WaveState, run: NodeRun) -> float:
    """When a restart has taken too long: the recovery time-out after its start.

    A soak that began before that, and is clean, is no trouble however long it is to last: then
    it is too late when no snapshot has shown so for as long as the time-out.
    """
    limit = state.playbook.timeout_seconds(StepKind.BACK, state.policy)
    due = limit + (run.since if run.starting_since is None else run.starting_since)
    since, seen_at = run.soak_since, run.soak.last_at
    if run.status is not NodeStatus.SOAKING or since is None or since > due:
        return due
    is_bad = seen_at is not None and run.soak.since is None
    return due if is_bad else max(due, limit + (since if seen_at is None else seen_at))


def soak_lacks(state: WaveState, run: NodeRun, at: float) -> tuple[Reason, ...]:
    """What the clean run of one soak still lacks."""
    return clean_enough(
        run.soak,
        at=at,
        snapshots=state.policy.clean_snapshots,
        seconds=state.policy.clean_seconds,
        cluster=state.cluster,
    )


def observed(
    state: WaveState, reading: Reading, bad: tuple[Reason, ...], *, key: str, at: float
) -> WaveState:
    """The state after one snapshot was judged for each soak.

    Args:
        state: the wave.
        reading: what the gate says of the snapshot.
        bad: all that is in the way, the index included.
        key: tells distinct snapshots apart.
        at: when it was seen, on the wave clock.
    """
    soaking = state.having({NodeStatus.SOAKING})
    if not soaking:
        return state
    of_now = tuple(each for each in of_health(bad) if each not in reading.outdated)
    for run in soaking:
        is_new = not reading.outdated or (
            run.soak_since is not None and reading.oldest >= run.soak_since
        )
        is_clean = not of_now and is_new
        run = replace(  # noqa: PLW2901 - the same node, one snapshot later.
            run,
            soak=observe(run.soak, key=key, at=at, is_clean=is_clean, index=reading.index),
            soak_since=at if run.soak_since is None or not is_clean else run.soak_since,
        )
        state = state.with_node(run)
    return state


def through(state: WaveState, at: float) -> tuple[NodeRun, ...]:
    """The nodes whose soak is over."""
    return tuple(
        run
        for run in state.having({NodeStatus.SOAKING})
        if soaked_seconds(run, at) >= state.policy.soak_seconds
        and run.soak.snapshots
        and not soak_lacks(state, run, at)
    )
