"""The guards of the fleet over the verdicts of its clusters."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from healthd.health.scoring import DEFAULT
from healthd.routing.fleet import (
    FleetReading,
    FleetRouting,
    new_fleet,
    step,
    with_clusters,
    with_force,
)
from healthd.routing.verdict import Forced, Reading, RoutingState, Verdict

NUMBERS = DEFAULT.routing


@dataclass
class Fleet:
    """A fleet that is read cluster by cluster, every 15 seconds."""

    names: list[str]
    groups: list[Collection[str]] = field(default_factory=list)
    now: float = 0.0
    routing: FleetRouting = field(init=False)

    def __post_init__(self) -> None:
        self.routing = new_fleet(self.names)
        self.read(dict.fromkeys(self.names, 100.0))

    def read(self, values: dict[str, float | None], *, unreachable: Collection[str] = ()) -> None:
        """One round; a value of None is UNKNOWN."""
        self.now += 15.0
        for name in self.names:
            value = values.get(name, 100.0)
            reading = Reading(index=value or 0.0, is_known=value is not None)
            self.routing = step(
                self.routing,
                name,
                FleetReading(reading=reading, is_unreachable=name in unreachable),
                at=self.now,
                step_seconds=15.0,
                groups=self.groups,
                numbers=NUMBERS,
            ).fleet

    def read_often(self, many: int, values: dict[str, float | None]) -> None:
        for _ in range(many):
            self.read(values)

    def is_suspect(self) -> bool:
        return self.routing.is_suspect

    def out(self) -> set[str]:
        return {name for name in self.names if self.routing.routing(name).state is RoutingState.OUT}


def names(many: int) -> list[str]:
    return [f"c{n}" for n in range(many)]


def bad(which: Iterable[str], value: float | None = 0.0) -> dict[str, float | None]:
    return dict.fromkeys(which, value)


def test_at_most_a_tenth_is_taken_out_but_one_always_may_be() -> None:
    for many, most in ((1, 1), (9, 1), (19, 1), (20, 2), (102, 10)):
        fleet = Fleet(names(many))
        fleet.read_often(5, bad(fleet.names))
        assert len(fleet.out()) == most, many
        assert fleet.routing.held_back == set(fleet.names) - fleet.out()


def test_the_next_goes_out_when_there_is_room_again() -> None:
    fleet = Fleet(names(5))
    fleet.read_often(3, bad(["c0", "c1"]))
    assert fleet.out() == {"c0"}
    fleet.read_often(30, bad(["c1"]))
    assert fleet.out() == {"c1"}


def test_what_an_operator_forced_out_leaves_room_for_healthd() -> None:
    fleet = Fleet(names(5))
    forced = Forced(state=RoutingState.OUT, by="ann", reason="drill", seconds_left=9e9)
    fleet.routing = with_force(fleet.routing, "c4", forced)
    fleet.read_often(3, bad(["c0"]))
    assert fleet.out() == {"c0"}


def test_the_last_of_a_failover_group_is_never_taken_out() -> None:
    fleet = Fleet(names(40), groups=[["c0", "c1"]])
    fleet.read_often(5, bad(["c0", "c1"]))
    assert fleet.out() == {"c0"}
    assert fleet.routing.panics == {"c1"}
    fleet.read({"c0": 0.0, "c1": 80.0})
    assert fleet.routing.panics == set()


def test_a_member_that_an_operator_forced_out_makes_the_other_the_last() -> None:
    fleet = Fleet(names(40), groups=[["c0", "c1"]])
    forced = Forced(state=RoutingState.OUT, by="ann", reason="drill", seconds_left=9e9)
    fleet.routing = with_force(fleet.routing, "c0", forced)
    fleet.read_often(5, bad(["c1"]))
    assert fleet.out() == set()
    assert fleet.routing.panics == {"c1"}


def test_a_panic_outlives_what_is_not_known() -> None:
    fleet = Fleet(names(40), groups=[["c0"]])
    fleet.read_often(5, bad(["c0"]))
    fleet.read({"c0": None})
    assert fleet.routing.panics == {"c0"}


def test_forty_of_102_that_turn_unknown_at_once_freeze_every_verdict() -> None:
    fleet = Fleet(names(102))
    dark = fleet.names[:40]
    fleet.read(bad(dark, None))
    assert fleet.is_suspect()
    fleet.read_often(10, bad(dark, None) | bad(["c90"]))
    assert fleet.out() == set(), "c90 is bad on fresh evidence, and still nothing moves"
    assert fleet.routing.routing("c90").verdict is Verdict.HOLD
    fleet.read(bad(dark[:30], None))
    assert not fleet.is_suspect()
    fleet.read_often(3, bad(dark[:30], None) | bad(["c90"]))
    assert fleet.out() == {"c90"}


def test_unreachable_at_once_is_the_same_doubt() -> None:
    fleet = Fleet(names(10))
    dark = fleet.names[:3]
    fleet.read(bad(dark), unreachable=dark)
    fleet.read(bad(dark), unreachable=dark)
    assert fleet.is_suspect()
    assert fleet.out() == set()


def test_critical_on_fresh_evidence_is_no_doubt() -> None:
    fleet = Fleet(names(10))
    fleet.read_often(3, bad(fleet.names[:5], 10.0))
    assert not fleet.is_suspect()


def test_clusters_that_turn_unknown_one_after_the_other_are_no_doubt() -> None:
    fleet = Fleet(names(10))
    dark: list[str] = []
    for name in fleet.names[:5]:
        dark.append(name)
        fleet.read_often(3, bad(dark, None))
        assert not fleet.is_suspect()


def test_two_are_never_a_doubt_however_small_the_fleet() -> None:
    fleet = Fleet(names(2))
    fleet.read(bad(fleet.names, None))
    assert not fleet.is_suspect()


def test_clusters_that_were_never_known_did_not_turn_unknown() -> None:
    fleet = Fleet([])
    fleet.names = names(10)
    fleet.routing = with_clusters(fleet.routing, fleet.names)
    fleet.read_often(4, bad(fleet.names[:5], None))
    assert not fleet.is_suspect()


def test_a_cluster_that_leaves_the_fleet_is_forgotten_and_comes_back_in() -> None:
    fleet = Fleet(names(5))
    fleet.read_often(3, bad(["c0"]))
    without = with_clusters(fleet.routing, ["c1", "c2"])
    assert set(without.clusters) == {"c1", "c2"}
    assert with_clusters(without, ["c0", "c1"]).routing("c0").state is RoutingState.IN


def test_after_a_restart_everything_is_held_where_it_was() -> None:
    fleet = Fleet(names(5))
    fleet.read_often(3, bad(["c0"]))
    kept = fleet.routing.clusters
    again = new_fleet(fleet.names, {**kept, "gone": kept["c0"]})
    assert again.routing("c0") == replace(kept["c0"], is_known=False)
    assert again.routing("c0").verdict is Verdict.HOLD
    assert "gone" not in again.clusters
