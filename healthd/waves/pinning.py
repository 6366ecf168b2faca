"""A wave that rests on what it was accepted with: a difference pauses it, a resume accepts it."""

from collections.abc import Sequence
from dataclasses import replace

from healthd.waves.effects import Note, Step
from healthd.waves.events import Confirmed, PinsSeen, SnapshotSeen
from healthd.waves.naming import NODE_WORDS
from healthd.waves.pins import (
    Pins,
    Place,
    inventory_changes,
    places_of,
    playbook_digest,
    topology_changes,
)
from healthd.waves.playbook import Playbook
from healthd.waves.state import NodeStatus, Pause, WaveState
from healthd.waves.step_run import NodeSteps

CHANGED = "not as it was accepted"
"""How the reason of a pause begins that a difference has caused."""
_BY = "healthd"


def on_snapshot(state: WaveState, event: SnapshotSeen | Confirmed) -> Step:
    """The wave after a look at who is in the cluster; paused when it is not who was pinned."""
    pins = _latest(state)
    if pins is None or event.snapshot is None:
        return Step(state=state)
    now = places_of(event.snapshot)
    if not pins.places:
        # It was accepted before the cluster was first seen.
        return Step(state=_pinned(state, replace(pins, places=now)))
    changes = topology_changes(pins.places, now, NODE_WORDS[state.playbook.target])
    if not changes:
        return Step(state=state)
    return _paused(state, replace(pins, places=_merged(pins.places, now)), changes, event.at)


def on_seen(state: WaveState, event: PinsSeen) -> Step:
    """The wave after a look at its playbook and its cluster in the fleet file."""
    pins = _latest(state)
    if pins is None:
        return Step(state=state)
    word = NODE_WORDS[state.playbook.target]
    changes = [*inventory_changes(pins.inventory, event.inventory, word)]
    seen = replace(pins, inventory=event.inventory)
    playbook = state.playbook_seen
    if event.playbook is None:
        missing = f"the playbook {state.playbook.name} cannot be read any more: {event.trouble}"
        if pins.playbook != "":
            changes.append(f"{missing}; the wave has it as it was")
        seen = replace(seen, playbook="")
    elif (digest := playbook_digest(event.playbook)) != pins.playbook:
        changes.append(f"the playbook {state.playbook.name} does something else now")
        seen, playbook = replace(seen, playbook=digest), event.playbook
    if not changes:
        return Step(state=state)
    step = _paused(state, seen, changes, event.at)
    return replace(step, state=replace(step.state, playbook_seen=playbook))


def accepted(state: WaveState) -> Step:
    """The wave after a person's resume: it rests on what there is now."""
    if state.pins_seen is None:
        return Step(state=state)
    changes = [
        pause.reason.removeprefix(f"{CHANGED}: ")
        for pause in state.pauses
        if pause.reason.startswith(CHANGED)
    ]
    seen = state.pins_seen
    playbook = state.playbook
    newest = state.playbook_seen
    if newest is not None and playbook_digest(newest) == seen.playbook:
        midway = _midway(state)
        # The ids of the wave's nodes mean something else to a playbook with another target, and
        # the places of its steps to one with other steps.
        if newest.target is playbook.target and (not midway or _shape(newest) == _shape(playbook)):
            playbook = newest
        elif newest.target is playbook.target:
            nodes = ", ".join(map(str, midway))
            changes.append(f"the wave keeps its playbook, in the middle of which is node {nodes}")
    after = replace(state, pins=seen, pins_seen=None, playbook=playbook, playbook_seen=None)
    return Step(state=after, notes=(Note(event="pins_accepted", detail="; ".join(changes)),))


def _midway(state: WaveState) -> tuple[int, ...]:
    """The nodes to which steps were done that are not over with the playbook."""
    over = {NodeStatus.DONE, NodeStatus.SKIPPED}
    untouched = NodeSteps()
    return tuple(
        run.node for run in state.nodes if run.status not in over and run.steps != untouched
    )


def _shape(playbook: Playbook) -> list[tuple[str, str]]:
    """What a place among the steps means to a node that is in the middle of them."""
    return [(step.kind.value, step.name) for step in playbook.steps]


def _latest(state: WaveState) -> Pins | None:
    """What was seen last, which is what was accepted as long as nothing has changed."""
    return state.pins if state.pins_seen is None else state.pins_seen


def _pinned(state: WaveState, pins: Pins) -> WaveState:
    if state.pins_seen is None:
        return replace(state, pins=pins)
    return replace(state, pins_seen=pins)


def _paused(state: WaveState, seen: Pins, changes: Sequence[str], at: float) -> Step:
    reason = f"{CHANGED}: {'; '.join(changes)}"
    pause = Pause(by=_BY, reason=reason, since=at)
    after = replace(
        state,
        pins_seen=seen,
        pauses=(*state.pauses, pause),
        # What is being looked at is not taken; nothing of it was sent.
        candidates=(),
        last_look=(),
    )
    return Step(state=after, notes=(Note(event="pins_changed", detail=reason),))


def _merged(before: Sequence[Place], now: Sequence[Place]) -> tuple[Place, ...]:
    """The places now, with what is not known now as it was known before."""
    known = {node: place for place in before for node in place.nodes}
    found: dict[tuple[object, object], list[int]] = {}
    for place in now:
        for node in place.nodes:
            was = known.get(node, place)
            rack = was.rack if place.rack is None else place.rack
            roles = was.roles if place.roles is None else place.roles
            found.setdefault((rack, roles), []).append(node)
    return tuple(
        Place(rack=rack, roles=roles, nodes=tuple(sorted(nodes)))  # type: ignore[arg-type]  # as they were put in.
        for (rack, roles), nodes in found.items()
    )
