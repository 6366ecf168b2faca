"""The routing verdict of one cluster, reading by reading."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from healthd.health.scoring import DEFAULT
from healthd.routing.verdict import (
    NEW,
    Forced,
    Reading,
    Routing,
    RoutingState,
    Transition,
    Verdict,
    force,
    read,
)

NUMBERS = DEFAULT.routing
STEP = 15.0
UNKNOWN = None


def lived(
    values: Iterable[float | None], before: Routing = NEW, *, step: float = STEP
) -> tuple[Routing, list[Transition]]:
    """The routing after these values, one every `step` seconds, and its transitions."""
    found: list[Transition] = []
    for value in values:
        reading = Reading(index=0.0 if value is None else value, is_known=value is not None)
        before, transition = read(before, reading, step, NUMBERS)
        if transition is not None:
            found.append(transition)
    return before, found


def out(times: int = 1) -> Routing:
    """A cluster that has just been ejected for the n-th time."""
    routing, _ = lived([10, 10], replace(NEW, ejections=times - 1))
    assert routing.state is RoutingState.OUT
    return routing


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ([49, 49, 49], RoutingState.OUT),
        ([49, 49], RoutingState.IN),
        ([49, 49, 50, 49, 49], RoutingState.IN),
        ([20, 20], RoutingState.OUT),
        ([20, 21, 20], RoutingState.OUT),
        ([20, 50, 20], RoutingState.IN),
        ([20.1, 20.1], RoutingState.IN),
        ([49, UNKNOWN, 49, UNKNOWN, 49], RoutingState.OUT),
        ([20, UNKNOWN, 20], RoutingState.OUT),
        ([UNKNOWN] * 50, RoutingState.IN),
        ([50, 69.9] * 100, RoutingState.IN),
    ],
)
def test_three_low_values_or_two_very_low_ones_take_it_out(
    values: list[float | None], state: RoutingState
) -> None:
    assert lived(values)[0].state is state


def test_it_comes_back_after_300_seconds_of_health_without_a_break() -> None:
    assert lived([70] * 20, out())[0].state is RoutingState.OUT
    assert lived([70] * 21, out())[0].state is RoutingState.PROBATION
    assert lived([*[70] * 20, 69.9, *[70] * 20], out())[0].state is RoutingState.OUT
    assert lived([*[70] * 20, UNKNOWN, *[70] * 20], out())[0].state is RoutingState.OUT


def test_readings_that_are_missing_are_a_break() -> None:
    routing, _ = lived([90] * 20, out())
    after, _ = read(routing, Reading(index=90, is_known=True), STEP, NUMBERS, is_break=True)
    assert (after.state, after.healthy_seconds) == (RoutingState.OUT, 0.0)


@pytest.mark.parametrize(
    ("times", "seconds"), [(1, 60), (2, 120), (5, 960), (6, 1800), (7, 1800), (5000, 1800)]
)
def test_the_dwell_doubles_with_every_ejection_up_to_the_longest(
    times: int, seconds: float
) -> None:
    assert out(times).dwell_seconds(NUMBERS) == seconds


def test_the_dwell_is_kept_however_healthy_it_is() -> None:
    rounds = int(1800 / STEP)
    assert lived([100] * (rounds - 1), out(6))[0].state is RoutingState.OUT
    assert lived([100] * rounds, out(6))[0].state is RoutingState.PROBATION


def probation() -> Routing:
    routing, _ = lived([90] * 21, out())
    assert routing.state is RoutingState.PROBATION
    return routing


def test_the_weight_goes_10_50_100_and_then_it_is_in() -> None:
    routing, weights = probation(), []
    while routing.state is RoutingState.PROBATION:
        weights.append(routing.weight_percent(NUMBERS))
        routing, _ = lived([90], routing)
    assert weights == [10] * 4 + [50] * 4 + [100] * 4
    assert (routing.state, routing.weight_percent(NUMBERS)) == (RoutingState.IN, 100)


def test_between_50_and_70_the_probation_stands_still() -> None:
    half, _ = lived([90] * 3, probation())
    still, _ = lived([50, 69.9] * 100, half)
    assert (still.state, still.step, still.step_seconds) == (half.state, 0, half.step_seconds)
    assert lived([90] * 2, still)[0].step == 1, "the first one back begins, the second one adds"


def test_a_relapse_is_one_more_ejection() -> None:
    routing, transitions = lived([49, 49, 49], probation())
    assert (routing.state, routing.ejections) == (RoutingState.OUT, 2)
    (transition,) = transitions
    assert (transition.before, transition.dwell_seconds) == (RoutingState.PROBATION, 120)


def test_every_1800_healthy_seconds_forgive_one_ejection() -> None:
    routing = replace(NEW, ejections=3)
    assert lived([90] * 120, routing)[0].ejections == 3
    assert lived([90] * 121, routing)[0].ejections == 2
    assert lived([90] * 241, routing)[0].ejections == 1
    assert lived([90] * 1000, routing)[0].ejections == 0
    assert lived([*[90] * 120, 69, *[90] * 120], routing)[0].ejections == 3


def test_unknown_is_shown_as_hold_and_moves_nothing() -> None:
    for routing in (lived([90])[0], out(), probation()):
        held, transitions = lived([UNKNOWN] * 200, routing)
        assert (held.verdict, held.state, transitions) == (Verdict.HOLD, routing.state, [])


def test_an_operators_word_counts_until_it_ends_and_the_machine_goes_on_beneath() -> None:
    forced = Forced(state=RoutingState.OUT, by="ann", reason="drill", seconds_left=60)
    routing = force(lived([90])[0], forced)
    assert (routing.verdict, routing.weight_percent(NUMBERS)) == (Verdict.OUT, 0)
    held, _ = lived([UNKNOWN], routing)
    assert held.verdict is Verdict.OUT, "an operator knows what is not known to us"
    after, transitions = lived([90] * 4, routing)
    assert (after.verdict, transitions) == (Verdict.IN, [])
    bad = force(lived([90])[0], replace(forced, state=RoutingState.IN))
    beneath, transitions = lived([10, 10], bad)
    assert (beneath.verdict, beneath.state) == (Verdict.IN, RoutingState.OUT)
    assert len(transitions) == 1


def test_no_time_passes_while_nobody_looks() -> None:
    routing, _ = lived([90] * 100, out(), step=0.0)
    assert routing.state is RoutingState.OUT


def test_an_index_that_swings_between_49_and_71_for_an_hour_moves_nothing() -> None:
    routing, transitions = lived([49, 71] * 120)
    assert (routing.state, transitions) == (RoutingState.IN, [])
    held, transitions = lived([49, 71] * 120, out())
    assert (held.state, transitions) == (RoutingState.OUT, [])
