"""What the story of a wave tells of nodes that were down: who, since when and why."""

from dataclasses import replace

from support.snapshots import a_partition, a_topic
from support.waves import IS_DOWN, a_run, a_wave, brokers, kinds, observed, ordered, run_of, seen

from healthd.waves.events import Verb
from healthd.waves.repairs import start_repair
from healthd.waves.state import NodeStatus


def test_a_watched_node_whose_process_ends_late_is_started_even_in_a_pause() -> None:
    watched = a_run(3, NodeStatus.PENDING, attempt=1, is_watched=True, observed_at=140.0)
    paused = ordered(a_wave(watched, 4), Verb.PAUSE, 145.0).state
    step = observed(paused, 3, 150.0, IS_DOWN)
    assert kinds(step.effects) == ["StartService 3"]
    assert run_of(step, 3).starting_since == 150.0
    assert [(note.event, note.node, note.detail) for note in step.notes][-1] == (
        "node_starting",
        3,
        "its process ended late",
    )


def test_a_node_that_was_not_running_is_told_to_be_started_for_that() -> None:
    dead = {
        "brokers": brokers(b4={"alive": False}),
        "topics": (a_topic(partitions=[a_partition(replicas=(1, 2, 3, 4), isr=(1, 2, 3))]),),
    }
    asked = seen(a_wave(), 10.0, **dead).state
    step = observed(asked, 4, 11.0, IS_DOWN)
    told = [(note.node, note.detail) for note in step.notes if note.event == "node_starting"]
    assert told == [(4, "it was not running")]


def test_the_second_that_dies_by_itself_pauses_with_its_name_the_time_and_who_paused() -> None:
    state = a_wave(3, 4)
    state = replace(state, seen_up=frozenset({3, 4}), died=(4,))
    run = state.node(3)
    assert run is not None
    step = start_repair(state, run, 77.0)
    assert not step.effects
    assert step.state.died == (4, 3)
    (pause,) = step.state.pauses
    assert (pause.by, pause.since) == ("healthd", 77.0)
    assert pause.reason == "broker 4 and broker 3 went down by themselves in this wave"
    (note,) = step.notes
    assert (note.event, note.node, note.detail) == ("wave_paused", 3, pause.reason)
