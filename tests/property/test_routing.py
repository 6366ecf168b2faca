"""What holds for routing verdicts, whatever is read (health-index.md sections 5 and 7).

The oracle keeps every value since the last move and decides by looking at the whole list; the
machine keeps a few numbers. Replaying what was recorded must give the same transitions to the byte.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import takewhile

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from healthd.health.scoring import DEFAULT
from healthd.routing.codec import parse_routing, routing_json, transition_json
from healthd.routing.fleet import FleetReading, FleetRouting, new_fleet, step, with_force
from healthd.routing.verdict import (
    NEW,
    Forced,
    Reading,
    Routing,
    RoutingState,
    Transition,
    Verdict,
    read,
)

NUMBERS = DEFAULT.routing
VALUES = st.one_of(
    st.none(),
    st.sampled_from([0.0, 20.0, 20.1, 49.9, 50.0, 69.9, 70.0, 100.0]),
    st.floats(0, 100),
)
STEPS = st.sampled_from([1.0, 15.0, 15.0, 60.0, 75.0])
SERIES = st.lists(st.tuples(VALUES, STEPS), max_size=60)
RUNS = st.lists(st.tuples(VALUES, st.integers(1, 40), STEPS), max_size=12)
"""Values that go on for a while: only they get a cluster out and back."""


def reading(value: float | None) -> Reading:
    return Reading(index=0.0 if value is None else value, is_known=value is not None)


def unrolled(runs: Iterable[tuple[float | None, int, float]]) -> list[tuple[float | None, float]]:
    return [(value, seconds) for value, many, seconds in runs for _ in range(many)]


@dataclass
class Oracle:
    """The verdict by looking at everything since the last move."""

    state: RoutingState = RoutingState.IN
    seen: list[tuple[float | None, float]] = field(default_factory=list)
    """Values with the seconds before them, since the last move."""
    ejections: int = 0
    forgiven: float = 0.0
    passed: float = 0.0
    weights_done: int = 0
    step_from: int = 0
    began_well: bool = False
    """The value that made the last move was at 70 or more."""

    def read(self, value: float | None, seconds: float) -> RoutingState | None:
        """Where it goes, or None."""
        self.seen.append((value, seconds))
        known = [each for each, _ in self.seen if each is not None]
        after = None
        if self.state is RoutingState.OUT:
            after = self._back()
        elif value is not None and (
            (len(known) >= 3 and all(each < 50 for each in known[-3:]))
            or (len(known) >= 2 and all(each <= 20 for each in known[-2:]))
        ):
            after = RoutingState.OUT
        elif self.state is RoutingState.PROBATION:
            after = self._further()
        else:
            self._forgive()
        if after is not None:
            self.ejections += after is RoutingState.OUT
            self.state, self.seen = after, []
            self.began_well = value is not None and value >= 70
            self.weights_done, self.step_from, self.forgiven = 0, 0, 0.0
        return after

    def _healthy(self) -> float:
        """Seconds at 70 or more without a break, up to now."""
        streak = list(
            takewhile(lambda row: row[0] is not None and row[0] >= 70, reversed(self.seen))
        )
        goes_back = len(streak) == len(self.seen) and self.began_well
        return sum(seconds for _, seconds in (streak if goes_back else streak[:-1]))

    def _back(self) -> RoutingState | None:
        value = self.seen[-1][0]
        dwell = min(1800.0, 60.0 * 2.0 ** min(30, max(0, self.ejections - 1)))
        is_over = sum(seconds for _, seconds in self.seen) >= dwell
        is_well = value is not None and value >= 70 and self._healthy() >= 300
        return RoutingState.PROBATION if is_over and is_well else None

    def _further(self) -> RoutingState | None:
        rows = self.seen[self.step_from :]
        passed = 0.0
        for (before, _), (value, seconds) in zip(
            [(70.0, 0.0), *self.seen][self.step_from : -1], rows, strict=False
        ):
            if value is not None and value >= 70 and before is not None and before >= 70:
                passed += seconds
        value = self.seen[-1][0]
        if value is None or passed < 60:
            return None
        self.weights_done += 1
        self.step_from = len(self.seen)
        return RoutingState.IN if self.weights_done == 3 else None

    def _forgive(self) -> None:
        healthy = self._healthy()
        value = self.seen[-1][0]
        if value is None or value < 70 or healthy == 0:
            self.forgiven = 0.0
        if self.ejections and healthy - self.forgiven >= 1800:
            self.ejections -= 1
            self.forgiven += 1800


def lived(series: Iterable[tuple[float | None, float]]) -> tuple[Routing, list[Transition | None]]:
    routing, found = NEW, []
    for value, seconds in series:
        routing, transition = read(routing, reading(value), seconds, NUMBERS)
        found.append(transition)
    return routing, found


@given(st.one_of(SERIES, RUNS.map(unrolled)))
@settings(max_examples=400)
def test_the_machine_moves_as_the_oracle_says(series: list[tuple[float | None, float]]) -> None:
    oracle = Oracle()
    expected = [oracle.read(value, seconds) for value, seconds in series]
    routing, found = lived(series)
    assert [None if each is None else each.after for each in found] == expected
    assert routing.state is oracle.state


@given(RUNS.map(unrolled))
def test_transitions_alternate_and_never_happen_between_50_and_70_or_on_unknown(
    series: list[tuple[float | None, float]],
) -> None:
    state = RoutingState.IN
    for (value, _), transition in zip(series, lived(series)[1], strict=True):
        if transition is None:
            continue
        assert value is not None
        assert not 50 <= value < 70
        assert transition.before is state
        assert transition.after is not state
        state = transition.after


@given(RUNS.map(unrolled))
def test_a_recorded_series_replays_to_the_byte_also_over_restarts(
    series: list[tuple[float | None, float]],
) -> None:
    """A restart in between reads nothing anew: the state that was written is the state."""

    def told(transitions: Iterable[Transition | None]) -> str:
        return json.dumps([None if t is None else transition_json(t) for t in transitions])

    recorded = json.loads(json.dumps(series))
    assert told(lived(series)[1]) == told(lived([(v, s) for v, s in recorded])[1])
    routing, _ = lived(series)
    again = parse_routing(json.loads(json.dumps(routing_json(routing))))
    kept = replace(routing, is_known=False, is_healthy=False)
    assert again == kept


class FleetOfClusters(RuleBasedStateMachine):
    """A fleet whose clusters are read in any order, with restarts and operators."""

    @initialize(
        many=st.integers(1, 24),
        groups=st.lists(st.frozensets(st.integers(0, 23), min_size=1, max_size=3), max_size=4),
    )
    def begin(self, many: int, groups: list[frozenset[int]]) -> None:
        self.names = [f"c{n}" for n in range(many)]
        self.groups = [frozenset(f"c{n % many}" for n in group) for group in groups]
        self.fleet: FleetRouting = new_fleet(self.names)
        self.now = 0.0
        self.last_at = dict.fromkeys(self.names, 0.0)
        self.states = dict.fromkeys(self.names, RoutingState.IN)
        self.out_since: dict[str, tuple[float, float]] = {}

    @rule(values=st.dictionaries(st.integers(0, 23), VALUES), default=VALUES, step_=STEPS)
    def read_all(
        self, values: dict[int, float | None], default: float | None, step_: float
    ) -> None:
        self.now += step_
        for at, name in enumerate(self.names):
            self._read(name, values.get(at, default), is_unreachable=False)

    @rule(value=VALUES, many=st.integers(1, 45))
    def go_on(self, value: float | None, many: int) -> None:
        for _ in range(many):
            self.now += 15.0
            for name in self.names:
                self._read(name, value, is_unreachable=False)

    @rule(at=st.integers(0, 23), step_=STEPS)
    def one_is_unreachable(self, at: int, step_: float) -> None:
        self.now += step_
        self._read(self.names[at % len(self.names)], 0.0, is_unreachable=True)

    @rule(at=st.integers(0, 23), state=st.sampled_from(["IN", "OUT", None]))
    def an_operator_speaks(self, at: int, state: str | None) -> None:
        name = self.names[at % len(self.names)]
        forced = state and Forced(
            state=RoutingState(state), by="ann", reason="r", seconds_left=600.0
        )
        self.fleet = with_force(self.fleet, name, forced or None)

    @rule()
    def the_daemon_is_killed(self) -> None:
        kept = {
            name: parse_routing(json.loads(json.dumps(routing_json(self.fleet.routing(name)))))
            for name in self.names
        }
        self.fleet = new_fleet(self.names, kept)
        for name in self.names:
            assert self.fleet.routing(name).state is self.states[name]
            # It has not read anything yet, so nothing has passed for it.
            self.last_at[name] = self.now

    def _read(self, name: str, value: float | None, *, is_unreachable: bool) -> None:
        was_suspect = self.fleet.is_suspect
        seconds = self.now - self.last_at[name]
        self.last_at[name] = self.now
        done = step(
            self.fleet,
            name,
            FleetReading(reading=reading(value), is_unreachable=is_unreachable),
            at=self.now,
            step_seconds=min(75.0, seconds),
            groups=self.groups,
            numbers=NUMBERS,
            is_break=seconds > 30.0,
        )
        self.fleet, moved = done.fleet, done.transition
        if moved is None:
            assert self.fleet.routing(name).state is self.states[name]
            return
        assert value is not None
        assert not 50 <= value < 70
        assert not (was_suspect and self.fleet.is_suspect)
        assert moved.before is self.states[name]
        self.states[name] = moved.after
        if moved.after is RoutingState.OUT:
            self.out_since[name] = (self.now, moved.dwell_seconds)
            self._guards_held(name)
        if moved.after is RoutingState.PROBATION:
            since, dwell = self.out_since[name]
            assert self.now - since >= min(dwell, 300.0) - 1e-9
            assert self.now - since >= dwell - 1e-9

    def _guards_held(self, name: str) -> None:
        """The fleet's guards, at the moment at which a cluster is taken out."""
        out = [n for n in self.names if self.fleet.routing(n).state is RoutingState.OUT]
        assert len(out) <= max(1, math.floor(0.10 * len(self.names) + 1e-9))
        for group in self.groups:
            if name in group:
                assert any(
                    self.fleet.routing(n).effective is not RoutingState.OUT
                    for n in group
                    if n != name
                ), "the last member of a group was taken out"

    @invariant()
    def unknown_is_shown_as_hold(self) -> None:
        for routing in self.fleet.clusters.values():
            if routing.forced is None:
                assert (routing.verdict is Verdict.HOLD) is not routing.is_known


TestFleetOfClusters = FleetOfClusters.TestCase
TestFleetOfClusters.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
