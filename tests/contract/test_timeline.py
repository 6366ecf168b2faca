"""One suite over every implementation of the timeline."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.history_rows import DOWN, WELL, row

from healthd.store.errors import StoreFull
from healthd.store.memory import MemoryStore
from healthd.store.protocol import Store
from healthd.store.sqlite import SqliteStore
from healthd.store.timeline import Timeline

NOON = 1_767_268_800.0


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened: dict[str, Callable[[], Store]] = {
        "memory": MemoryStore,
        "sqlite": lambda: SqliteStore.open(tmp_path / "state"),
    }
    made = opened[request.param]()
    yield made
    made.close()


@pytest.fixture
def timeline(store: Store) -> Timeline:
    return store.timeline


def test_a_row_reads_back_as_it_was_written(timeline: Timeline) -> None:
    written = row(
        NOON,
        NOON + 15.25,
        69.5,
        lowest=42.125,
        lowest_at=NOON + 7.5,
        lower=30.0,
        upper=80.0,
        completeness=0.75,
        story=replace(DOWN, verdict="HOLD"),
        counts=(1, 3000),
    )
    timeline.write([written], [])
    assert timeline.rows("payments", since=NOON, until=NOON + 1, limit=10) == (written,)


def test_a_cluster_that_was_never_seen_has_no_numbers(timeline: Timeline) -> None:
    dark = row(NOON, NOON + 15, None, story=replace(WELL, health_class="UNKNOWN"), completeness=0)
    timeline.write([dark], [])
    assert timeline.at(NOON) == (dark,)


def test_numbers_are_kept_rounded_down_and_times_to_the_millisecond(timeline: Timeline) -> None:
    timeline.write([row(NOON + 0.00049, NOON + 15.0004, 89.99999, completeness=0.99999)], [])
    (found,) = timeline.at(NOON + 1)
    assert (found.at, found.until) == (NOON, NOON + 15.0)
    assert (found.index, found.lowest, found.completeness) == (89.999, 89.999, 0.999)


def test_rows_are_those_that_touch_the_time_and_the_newest_of_them(timeline: Timeline) -> None:
    timeline.write([row(NOON + at, NOON + at + 10, 90 - at) for at in (0, 10, 20, 30)], [])
    timeline.write([row(NOON + 10, NOON + 20, 5.0, cluster="web")], [])

    def times(since: float, until: float, limit: int = 10) -> list[float]:
        found = timeline.rows("payments", since=NOON + since, until=NOON + until, limit=limit)
        return [each.at - NOON for each in found]

    assert times(0, 40) == [0, 10, 20, 30]
    assert times(15, 30) == [10, 20]
    assert times(-100, 1) == [0]
    assert times(0, 40, limit=2) == [20, 30]
    assert times(40, 50) == []
    assert timeline.rows("nobody", since=0, until=NOON * 2, limit=5) == ()


def test_one_that_began_at_the_same_moment_takes_the_others_place(timeline: Timeline) -> None:
    timeline.write([row(NOON, NOON + 10, 90.0)], [])
    timeline.write([row(NOON, NOON + 20, 80.0)], [])
    assert [each.index for each in timeline.at(NOON)] == [80.0]


def test_what_runs_is_replaced_whole_and_is_no_row_yet(timeline: Timeline) -> None:
    first, second = row(NOON, NOON + 5), row(NOON, NOON + 5, cluster="web")
    timeline.write([], [second, first])
    assert timeline.running() == (first, second)
    timeline.write([], [replace(first, until=NOON + 10)])
    assert timeline.running() == (replace(first, until=NOON + 10),)
    assert timeline.clusters() == ()
    assert timeline.at(NOON + 20) == ()


def test_the_outline_tells_every_change_and_keeps_the_first_row(timeline: Timeline) -> None:
    rows = [
        row(NOON, NOON + 10, 99.0),
        row(NOON + 10, NOON + 20, 98.0),
        row(NOON + 20, NOON + 30, 91.0, completeness=0.9),
        row(NOON + 30, NOON + 40, 97.0),
        row(NOON + 40, NOON + 50, 40.0, story=DOWN, counts=(1, 12)),
        row(NOON + 50, NOON + 60, 42.0, story=DOWN, counts=(2, 9)),
        row(NOON + 90, NOON + 95, 44.0, story=DOWN, counts=(1, 1)),
    ]
    timeline.write(rows, [])
    found = timeline.outline("payments", since=NOON + 5, until=NOON + 94)
    assert found == (
        rows[0],
        replace(
            rows[1], until=NOON + 40, index=97.0, lower=97.0, upper=97.0,
            lowest=91.0, lowest_at=NOON + 20, completeness=0.9,
        ),
        replace(
            rows[4], until=NOON + 60, index=42.0, lower=42.0, upper=42.0, counts=(2, 12),
        ),
        rows[6],
    )  # fmt: skip
    assert timeline.outline("nobody", since=0, until=NOON) == ()


def test_the_fleet_at_a_moment_is_the_last_row_of_each_that_had_begun(timeline: Timeline) -> None:
    timeline.write(
        [
            row(NOON, NOON + 10, 90.0, cluster="web"),
            row(NOON, NOON + 10),
            row(NOON + 10, NOON + 20, 50.0, story=DOWN),
            row(NOON + 15, NOON + 20, cluster="late"),
        ],
        [],
    )
    found = timeline.at(NOON + 14)
    assert [(each.cluster, each.at - NOON) for each in found] == [("payments", 10), ("web", 0)]
    assert timeline.at(NOON - 1) == ()
    assert timeline.clusters() == ("late", "payments", "web")


def test_rows_are_put_in_the_place_of_others_and_no_others_are_touched(timeline: Timeline) -> None:
    timeline.write([row(NOON + at, NOON + at + 10, 90.0) for at in (0, 10, 20, 30)], [])
    timeline.write([row(NOON + 10, NOON + 20, cluster="web")], [])
    one = row(NOON + 10, NOON + 30, 80.0)
    timeline.replace("payments", since=NOON + 10, until=NOON + 30, rows=[one])
    found = timeline.began("payments", since=NOON, until=NOON + 100, limit=10)
    assert [each.at - NOON for each in found] == [0, 10, 30]
    assert found[1] == one
    assert [each.cluster for each in timeline.at(NOON + 10)] == ["payments", "web"]
    assert len(timeline.began("payments", since=NOON + 1, until=NOON + 30, limit=1)) == 1


def test_marks_are_remembered_by_cluster_and_grain(timeline: Timeline) -> None:
    timeline.mark("payments", grain=300, until=NOON)
    timeline.mark("payments", grain=3600, until=NOON - 5)
    timeline.mark("payments", grain=300, until=NOON + 300)
    assert timeline.marks() == {("payments", 300): NOON + 300, ("payments", 3600): NOON - 5}


def test_the_oldest_are_forgotten_a_few_at_a_time(timeline: Timeline) -> None:
    timeline.write([row(NOON + at, NOON + at + 10) for at in (0, 10, 20, 30)], [])
    assert timeline.forget("payments", before=NOON + 30, limit=2) == 2
    assert timeline.forget("payments", before=NOON + 30, limit=2) == 1
    assert timeline.forget("payments", before=NOON + 30, limit=2) == 0
    assert timeline.forget("nobody", before=NOON + 30, limit=2) == 0
    assert [each.at - NOON for each in timeline.at(NOON + 99)] == [30]


def test_a_full_disk_refuses_the_write_whole() -> None:
    store = MemoryStore()
    store.fail_writes_with = StoreFull("the disk is full", where="/state", todo="make room")
    timeline = store.timeline
    with pytest.raises(StoreFull):
        timeline.write([row(NOON, NOON + 1)], [row(NOON + 1, NOON + 2)])
    with pytest.raises(StoreFull):
        timeline.replace("payments", since=0, until=NOON, rows=[])
    with pytest.raises(StoreFull):
        timeline.mark("payments", grain=300, until=NOON)
    assert store.timeline.clusters() == ()
    assert store.timeline.running() == ()


def test_history_is_read_again_by_the_next_daemon(tmp_path: Path) -> None:
    first = SqliteStore.open(tmp_path)
    first.timeline.write([row(NOON, NOON + 10, 40.0, story=DOWN)], [row(NOON + 10, NOON + 12)])
    first.close()
    second = SqliteStore.open(tmp_path)
    assert [each.story for each in second.timeline.at(NOON)] == [DOWN]
    assert second.timeline.running() == (row(NOON + 10, NOON + 12),)
    second.timeline.write([row(NOON + 10, NOON + 20, 41.0, story=DOWN)], [])
    assert len(second.timeline.rows("payments", since=0, until=NOON * 2, limit=9)) == 2
    second.close()
