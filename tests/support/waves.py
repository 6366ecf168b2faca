"""Waves for tests: a state, one event, and what came of it."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from support.snapshots import NOON, a_broker, a_snapshot
from support.wave_model import rolling_restart

from healthd.model.snapshot import ClusterSnapshot
from healthd.waves import events
from healthd.waves.effects import Command, Confirm, Effect, NodeEffect, Step
from healthd.waves.events import HostState, Outcome, Verb
from healthd.waves.policy import WavePolicy
from healthd.waves.reducer import reduce
from healthd.waves.state import NodeRun, NodeStatus, WaveState, WaveStatus

QUICK = WavePolicy(soak_seconds=30, clean_snapshots=3, clean_seconds=30)
OLD = "process 1"
NEW = "process 2"
RUNS = HostState(is_running=True, start=OLD)
RUNS_ANEW = HostState(is_running=True, start=NEW)
IS_DOWN = HostState(is_running=False)
UNKNOWN = HostState(is_running=None, detail="no route to host")


def a_wave(*nodes: NodeRun | int, **changes: Any) -> WaveState:
    """A running wave over these nodes, 1 to 4 unless given."""
    runs = tuple(
        NodeRun(node=each, history=(("pending", 0.0),)) if isinstance(each, int) else each
        for each in nodes or (1, 2, 3, 4)
    )
    soak_since = changes.pop("soak_since", None)
    if soak_since is not None:
        runs = tuple(_soaking_since(run, soak_since) for run in runs)
    state = WaveState(
        wave="w",
        cluster="payments",
        reason="CHG-1",
        requested_by="ada",
        playbook=rolling_restart(),
        policy=QUICK,
        nodes=runs,
        status=WaveStatus.RUNNING,
    )
    return replace(state, **changes)


def _soaking_since(run: NodeRun, since: float) -> NodeRun:
    if run.status is not NodeStatus.SOAKING:
        return run
    return replace(run, soak_since=since)


def a_run(node: int, status: NodeStatus, *, at: float = 100.0, **changes: Any) -> NodeRun:
    """A node that was taken and has come to a status."""
    was_started = status not in {NodeStatus.PENDING, NodeStatus.STOPPING, NodeStatus.STOPPED}
    run = NodeRun(
        node=node,
        status=status,
        since=at,
        attempt=1,
        started_before=OLD,
        started_after=NEW if was_started and status is not NodeStatus.STARTING else None,
        starting_since=at if was_started else None,
        start_effect=None if was_started else f"{node}.1.start",
        observed_at=at,
        history=(("pending", 0.0), ("stopping", at - 10), (status.value, at)),
    )
    return replace(run, **changes)


def snapshot_at(at: float, **changes: Any) -> ClusterSnapshot:
    """A healthy snapshot whose evidence is of that time."""
    fresh = dict.fromkeys(a_snapshot().effective_ages, 0.0)
    return a_snapshot(**({"observed_at": NOON + timedelta(seconds=at), "ages": fresh} | changes))


def brokers(**changes: dict[str, Any]) -> tuple[Any, ...]:
    """The four brokers, with changes to some: ``brokers(b2={"alive": False})``."""
    return tuple(a_broker(node, **changes.get(f"b{node}", {})) for node in (1, 2, 3, 4))


def seen(state: WaveState, at: float, *, previous: Any = None, **changes: Any) -> Step:
    """What a snapshot leads to."""
    collected_since = changes.pop("collected_since", at)
    holds = changes.pop("holds", ())
    event = events.SnapshotSeen(
        at=at,
        snapshot=snapshot_at(at, **changes),
        previous=previous,
        collected_since=collected_since,
        index=100.0,
        holds=holds,
    )
    return reduce(state, event)


def clean(state: WaveState, *, at: float = 200.0, **changes: Any) -> Step:
    """The step on which the clean run of `QUICK` is long enough: three snapshots, 15 s apart."""
    for earlier in (30.0, 15.0):
        state = seen(state, at - earlier, **changes).state
    return seen(state, at, **changes)


def confirmed(
    state: WaveState, node: int, at: float, host: HostState = RUNS, **changes: Any
) -> Step:
    """What the answer of the last look leads to."""
    event = events.Confirmed(
        at=at,
        nodes=(node,),
        hosts={node: host},
        snapshot=changes.pop("snapshot", None) or snapshot_at(at, **changes),
    )
    return reduce(state, event)


def taken(state: WaveState, node: int, *, at: float = 200.0) -> Step:
    """The step that stops a node, after a clean run."""
    return confirmed(clean(state, at=at).state, node, at + 1)


def observed(state: WaveState, node: int, at: float, host: HostState) -> Step:
    """What the host's answer leads to."""
    return reduce(state, events.Observed(at=at, node=node, host=host))


def ticked(state: WaveState, at: float) -> Step:
    """What the passing of time leads to."""
    return reduce(state, events.Ticked(at=at))


def ended(
    state: WaveState, effect: Command | str, at: float, outcome: Outcome = Outcome.OK
) -> Step:
    """What the end of a command leads to."""
    effect_id = effect if isinstance(effect, str) else effect.effect_id
    return reduce(
        state,
        events.CommandEnded(
            at=at,
            node=int(effect_id.split(".", maxsplit=1)[0]),
            effect_id=effect_id,
            outcome=outcome,
            detail="" if outcome is Outcome.OK else f"it was {outcome.value}",
        ),
    )


def an_order(verb: Verb, at: float = 500.0, node: int | None = None) -> events.Ordered:
    """A person's order."""
    return events.Ordered(at=at, verb=verb, by="ada", reason="CHG-2", node=node)


def ordered(state: WaveState, verb: Verb, at: float = 500.0, node: int | None = None) -> Step:
    """What a person's order leads to."""
    return reduce(state, an_order(verb, at, node))


def status_of(step: Step | WaveState, node: int) -> NodeStatus:
    """The status of a node."""
    state = step.state if isinstance(step, Step) else step
    run = state.node(node)
    assert run is not None
    return run.status


def run_of(step: Step | WaveState, node: int) -> NodeRun:
    """One node of the wave."""
    state = step.state if isinstance(step, Step) else step
    run = state.node(node)
    assert run is not None
    return run


def kinds(effects: Iterable[Effect]) -> list[str]:
    """The effects as words: ``StopService 1``."""
    return [
        f"{type(effect).__name__} {' '.join(map(str, _nodes_of(effect)))}" for effect in effects
    ]


def _nodes_of(effect: Effect) -> tuple[int, ...]:
    if isinstance(effect, Confirm):
        return effect.nodes
    assert isinstance(effect, NodeEffect)
    return (effect.node,)


def codes(step: Step | WaveState) -> list[str]:
    """The holds as words: ``BROKER_DOWN broker:4``."""
    state = step.state if isinstance(step, Step) else step
    return [f"{hold.reason.code.value} {hold.reason.object}" for hold in state.holds]


def notes(step: Step) -> list[str]:
    """The lines of the story."""
    return [note.event for note in step.notes]
