"""How long a stage takes when clusters begin as soon as the limits let them."""

import pytest

from healthd.waves.planner_fleet import ClusterTime, fleet_fingerprint, stage_seconds


def times(*seconds: float, **label: str) -> list[ClusterTime]:
    return [ClusterTime(seconds=each, domains=tuple(label.items())) for each in seconds]


@pytest.mark.parametrize(
    ("seconds", "at_once", "expected"),
    [((), 3, 0), ((5,), 1, 5), ((5, 5, 5), 1, 15), ((5, 5, 5), 2, 10), ((9, 2, 2, 2), 2, 9),
     ((1, 1, 9), 2, 10), ((4, 4), 99, 4)],
)  # fmt: skip
def test_the_next_begins_when_one_has_ended(
    seconds: tuple[float, ...], at_once: int, expected: float
) -> None:
    assert stage_seconds(times(*seconds), at_once) == expected


def test_a_label_keeps_its_clusters_apart_and_others_pass_by() -> None:
    clusters = [*times(5, 5, site="a"), *times(5, 5, site="b")]
    assert stage_seconds(clusters, 4, {"site": 1}) == 10
    assert stage_seconds(clusters, 4, {"site": 2}) == 5
    assert stage_seconds(clusters, 1, {"site": 1}) == 20
    assert stage_seconds(times(5, 5, site="a"), 4, {"rack": 1}) == 5


def test_the_fingerprint_does_not_depend_on_the_order_and_confuses_no_names() -> None:
    rows = [("s", "a", "1"), ("s", "b", "2")]
    assert fleet_fingerprint(rows) == fleet_fingerprint(reversed(rows))
    assert fleet_fingerprint([("s", "ab", "c")]) != fleet_fingerprint([("s", "a", "bc")])
