"""A wave rests on what it was accepted with: a difference pauses it, a resume accepts it."""

from dataclasses import replace
from typing import Any

import pytest
from support.snapshots import a_broker, a_partition, a_topic
from support.wave_model import rolling_restart
from support.waves import (
    NEW,
    a_run,
    a_wave,
    clean,
    confirmed,
    notes,
    ordered,
    seen,
    snapshot_at,
    status_of,
)

from healthd.model.words import Role
from healthd.waves.effects import Confirm, Step
from healthd.waves.events import HostState, Observed, PinsSeen, Verb
from healthd.waves.pins import Pins, places_of, playbook_digest
from healthd.waves.playbook import Playbook
from healthd.waves.reducer import reduce
from healthd.waves.state import NodeStatus, WaveState, WaveStatus
from healthd.waves.step_run import NodeSteps

PLAYBOOK = rolling_restart()
HOSTS = tuple((f"broker:{node}", f"digest {node}") for node in (1, 2, 3, 4))
INVENTORY = (("ssh", "a"), ("service", "b"), *HOSTS)
PINS = Pins(
    playbook=playbook_digest(PLAYBOOK), inventory=INVENTORY, places=places_of(snapshot_at(0.0))
)
RACKED = tuple(a_broker(node, rack=f"az{node % 2}") for node in (1, 2, 3, 4))


def pinned(*nodes: Any, **changes: Any) -> WaveState:
    return a_wave(*nodes, **({"pins": PINS} | changes))


def looked(
    state: WaveState, playbook: Playbook | None = PLAYBOOK, inventory: Any = INVENTORY
) -> Step:
    event = PinsSeen(at=300.0, playbook=playbook, inventory=inventory, trouble="no such file")
    return reduce(state, event)


def another(playbook: Playbook = PLAYBOOK) -> Playbook:
    """The playbook with another deadline of its stop."""
    first, *others = playbook.steps
    return replace(playbook, steps=(replace(first, timeout=77.0), *others))


def reason(step: Step) -> str:
    (pause,) = step.state.pauses
    assert pause.by == "healthd"
    return pause.reason.removeprefix("not as it was accepted: ")


def test_a_wave_goes_on_as_long_as_nothing_has_changed() -> None:
    assert [type(effect) for effect in clean(pinned()).effects] == [Confirm]
    step = looked(pinned())
    assert step.state.pauses == ()
    assert not step.notes


BEFORE = places_of(snapshot_at(0.0, brokers=RACKED))
MOVED = tuple(replace(row, rack="az9") if row.id == 3 else row for row in RACKED)
ROLED = tuple(replace(row, roles=frozenset({Role.BROKER})) for row in RACKED)
CHANGES: list[Any] = [
    ((*RACKED, a_broker(7)), "broker 7 joined the cluster and is not part of this wave"),
    ((*RACKED, a_broker(7), a_broker(8)),
     "brokers 7, 8 joined the cluster and are not part of this wave"),
    (RACKED[:3], "broker 4 left the cluster"),
    (MOVED, "broker 3 moved from rack az1 to rack az9"),
    ((*MOVED[:3], a_broker(5)),
     ("broker 5 joined the cluster and is not part of this wave; broker 4 left the cluster; "
      "broker 3 moved from rack az1 to rack az9")),
]  # fmt: skip


@pytest.mark.parametrize(("brokers", "says"), CHANGES, ids=[says for _, says in CHANGES])
def test_another_topology_pauses_the_wave_before_anything_is_taken(brokers: Any, says: str) -> None:
    ready = clean(pinned(pins=replace(PINS, places=BEFORE)), at=200.0, brokers=RACKED).state
    step = seen(replace(ready, candidates=()), 215.0, brokers=brokers)
    assert reason(step) == says
    assert step.state.status is WaveStatus.PAUSED
    assert not step.effects
    assert "pins_changed" in notes(step)
    again = seen(step.state, 230.0, brokers=brokers)
    assert len(again.state.pauses) == 1, "it is told once"


def test_other_roles_pause_the_wave() -> None:
    state = pinned(pins=replace(PINS, places=places_of(snapshot_at(0.0, brokers=ROLED))))
    both = (replace(ROLED[0], roles=frozenset(Role)), *ROLED[1:])
    assert reason(seen(state, 100.0, brokers=both)) == (
        "broker 1 was broker and is broker and controller"
    )


def test_what_is_not_known_now_is_no_difference() -> None:
    state = pinned(pins=replace(PINS, places=places_of(snapshot_at(0.0, brokers=ROLED))))
    unknown = (replace(ROLED[0], rack=None, roles=None, alive=False), *ROLED[1:])
    assert seen(state, 100.0, brokers=unknown).state.pauses == ()


def test_topics_that_come_and_go_and_move_pause_nothing() -> None:
    rows = [a_partition(replicas=(4, 2, 3), isr=(4, 2, 3), leader=4)]
    step = clean(pinned(), topics=(a_topic("new", rows), a_topic("orders", rows)))
    assert step.state.pauses == ()
    assert [type(effect) for effect in step.effects] == [Confirm]


def test_a_change_between_the_choice_and_the_last_look_takes_nothing() -> None:
    chosen = clean(pinned()).state
    (candidate,) = chosen.candidates
    step = confirmed(chosen, candidate, 201.0, brokers=(*snapshot_at(0.0).brokers, a_broker(9)))
    assert not step.commands
    assert step.state.status is WaveStatus.PAUSED
    assert step.state.candidates == ()


def test_what_is_in_flight_is_finished_during_the_pause() -> None:
    state = pinned(a_run(1, NodeStatus.STARTING), 2, 3, 4)
    paused = seen(state, 150.0, brokers=(*snapshot_at(0.0).brokers, a_broker(9))).state
    host = HostState(is_running=True, start=NEW)
    step = reduce(paused, Observed(at=151.0, node=1, host=host))
    assert status_of(step, 1) is NodeStatus.RECOVERING


def test_another_inventory_pauses_and_is_told_in_words() -> None:
    hosts = (("broker:1", "digest 1"), ("broker:2", "moved"), ("broker:4", "digest 4"))
    step = looked(pinned(), inventory=(("ssh", "a"), ("service", "z"), *hosts, ("broker:9", "n")))
    assert reason(step) == (
        "the service commands in the fleet file are others; "
        "the fleet file has another host for broker 2; "
        "the fleet file has a host for broker 9 now; "
        "the fleet file has no host for broker 3 any more"
    )


def test_another_playbook_pauses_and_counts_once_it_is_accepted() -> None:
    step = looked(pinned(), playbook=another())
    assert reason(step) == "the playbook rolling-restart does something else now"
    assert step.state.playbook == PLAYBOOK
    resumed = ordered(step.state, Verb.RESUME)
    assert resumed.state.playbook == another()
    assert resumed.state.pauses == ()
    assert looked(resumed.state, playbook=another()).state.pauses == ()


def test_other_steps_are_not_taken_over_while_a_node_is_in_the_middle_of_the_old_ones() -> None:
    longer = replace(PLAYBOOK, steps=(*PLAYBOOK.steps, PLAYBOOK.steps[-1]))
    touched = a_run(1, NodeStatus.PENDING, steps=NodeSteps(over=(0,), is_prepared=True))
    failed = replace(touched, status=NodeStatus.FAILED)
    done = replace(touched, status=NodeStatus.DONE)
    fresh = a_run(2, NodeStatus.PENDING)
    for run, newest, is_taken in (
        (touched, longer, False),
        (failed, longer, False),
        (touched, another(), True),
        (done, longer, True),
        (a_run(1, NodeStatus.PENDING), longer, True),
    ):
        state = looked(pinned(run, fresh), newest).state
        step = ordered(state, Verb.RESUME)
        assert step.state.playbook == (newest if is_taken else PLAYBOOK)
        (note,) = [each for each in step.notes if each.event == "pins_accepted"]
        assert ("in the middle of which is node 1" in note.detail) is not is_taken


def test_a_playbook_that_is_only_described_otherwise_is_the_same() -> None:
    step = looked(pinned(), playbook=replace(PLAYBOOK, description="other words"))
    assert step.state.pauses == ()


def test_a_playbook_that_is_gone_pauses_and_the_wave_keeps_what_it_has() -> None:
    step = looked(pinned(), playbook=None)
    assert reason(step) == (
        "the playbook rolling-restart cannot be read any more: no such file; "
        "the wave has it as it was"
    )
    again = looked(step.state, playbook=None)
    assert len(again.state.pauses) == 1
    assert ordered(again.state, Verb.RESUME).state.playbook == PLAYBOOK


def test_a_resume_accepts_and_the_story_says_what() -> None:
    step = seen(pinned(), 100.0, brokers=(*snapshot_at(0.0).brokers, a_broker(9)))
    resumed = ordered(step.state, Verb.RESUME)
    (accepted,) = [note for note in resumed.notes if note.event == "pins_accepted"]
    assert accepted.detail == "broker 9 joined the cluster and is not part of this wave"
    after = seen(resumed.state, 600.0, brokers=(*snapshot_at(0.0).brokers, a_broker(9)))
    assert after.state.pauses == ()
    gone = seen(after.state, 615.0)
    assert reason(gone) == "broker 9 left the cluster"


def test_a_second_change_is_told_beside_the_first() -> None:
    first = looked(pinned(), playbook=another()).state
    second = seen(first, 310.0, brokers=snapshot_at(0.0).brokers[:3])
    assert [pause.reason.partition(": ")[2] for pause in second.state.pauses] == [
        "the playbook rolling-restart does something else now",
        "broker 4 left the cluster",
    ]
    resumed = ordered(second.state, Verb.RESUME)
    assert resumed.state.playbook == another()
    assert seen(resumed.state, 600.0, brokers=snapshot_at(0.0).brokers[:3]).state.pauses == ()


def test_a_wave_that_was_accepted_unseen_is_pinned_by_its_first_snapshot() -> None:
    state = seen(pinned(pins=replace(PINS, places=())), 100.0).state
    assert state.pauses == ()
    assert state.pins == PINS


def test_a_wave_without_pins_rests_on_nothing() -> None:
    assert seen(a_wave(), 100.0, brokers=snapshot_at(0.0).brokers[:3]).state.pauses == ()
    assert looked(a_wave(), playbook=None).state.pauses == ()
