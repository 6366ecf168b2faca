"""The recorder of history in virtual time, over a store in memory."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from support.daemon import broker_down, snapshot_of_cluster
from support.virtual_time import in_virtual_time

from healthd.engine import history as history_module
from healthd.engine.clock import Clock
from healthd.engine.collecting import Published
from healthd.engine.history import RUNNING_SECONDS, WRITE_SECONDS, HistoryRecorder
from healthd.engine.journal import StoreThread
from healthd.health.history import NO_HISTORY
from healthd.health.index import HealthReport, evaluate
from healthd.health.timeline import HistoryRow
from healthd.routing.verdict import Routing, RoutingState
from healthd.store.errors import StoreFull
from healthd.store.memory import MemoryStore

NOON = 1_767_268_800.0
INTERVAL = 15.0
KNOWN = Routing(is_known=True)
FULL = StoreFull("the disk is full", where="/state", todo="make room")
WELL = evaluate(snapshot_of_cluster())
ILL = evaluate(snapshot_of_cluster(**broker_down(3)))


class Life:
    """One life of the daemon, as far as history goes."""

    def __init__(self, store: MemoryStore, offset: float = 0.0) -> None:
        self.store = store
        self.offset = offset
        """What the wall clock is ahead of the loop's time."""
        self.recorder = HistoryRecorder(
            StoreThread(store),
            Clock(monotonic=self._loop_time, wall=lambda: NOON + self._loop_time() + self.offset),
            interval_seconds=INTERVAL,
        )

    @staticmethod
    def _loop_time() -> float:
        return asyncio.get_running_loop().time()

    async def sweeps(
        self,
        many: int,
        report: HealthReport | Callable[[int], HealthReport] = WELL,
        *,
        routing: Routing = KNOWN,
        cluster: str = "payments",
        is_news: bool = True,
    ) -> None:
        """So many looks, an interval apart; it is one interval after the last when this returns."""
        for at in range(many):
            self.look(report(at) if callable(report) else report, routing=routing, cluster=cluster,
                      is_news=is_news)  # fmt: skip
            await asyncio.sleep(INTERVAL)

    def look(
        self,
        report: HealthReport,
        *,
        routing: Routing = KNOWN,
        cluster: str = "payments",
        is_news: bool = True,
    ) -> None:
        published = Published(
            snapshot=snapshot_of_cluster(),
            previous=None,
            report=report,
            history=NO_HISTORY,
            began=0.0,
            is_news=is_news,
        )
        self.recorder.read(cluster, published, routing)

    async def rows(self, cluster: str = "payments", **more: Any) -> list[tuple[float, float]]:
        """From when to when the rows are, in seconds since noon."""
        return [(row.at - NOON, row.until - NOON) for row in await self.found(cluster, **more)]

    async def found(self, cluster: str = "payments", **more: Any) -> tuple[HistoryRow, ...]:
        span = {"since": NOON - 1, "until": NOON + 1e6, "limit": 10_000} | more
        return (await self.recorder.rows(cluster, **span)).rows


def at_index(index: float, **changes: Any) -> HealthReport:
    return replace(WELL, health_index=index, lower=index, upper=index, **changes)


@in_virtual_time
async def test_what_does_not_change_is_one_row_from_its_first_look_to_its_last() -> None:
    life = Life(MemoryStore())
    await life.sweeps(4)
    assert await life.rows() == [(0, 45)]


@in_virtual_time
async def test_a_change_ends_the_row_where_the_next_begins() -> None:
    life = Life(MemoryStore())
    await life.sweeps(2)
    await life.sweeps(2, ILL)
    await life.sweeps(1)
    assert await life.rows() == [(0, 30), (30, 60), (60, 60)]
    ill = (await life.found())[1]
    assert ill.story.health_class == ILL.health_class.value
    assert ("BROKER_DOWN", "WARN") in ill.story.checks or (
        "BROKER_DOWN",
        "CRIT",
    ) in ill.story.checks
    assert ill.index == pytest.approx(ILL.health_index, abs=1e-3)


@pytest.mark.parametrize(
    ("after", "is_change"),
    [
        (at_index(99.96), False),
        (at_index(99.9), True),
        (replace(WELL, completeness=0.995), False),
        (replace(WELL, completeness=0.9), True),
        (replace(WELL, lower=99.0), True),
        (replace(WELL, is_metadata_seen=False), True),
    ],
)
def test_small_moves_are_no_change(after: HealthReport, *, is_change: bool) -> None:
    @in_virtual_time
    async def run() -> None:
        life = Life(MemoryStore())
        await life.sweeps(1)
        await life.sweeps(1, after)
        assert len(await life.rows()) == 1 + is_change

    run()


@in_virtual_time
async def test_many_small_moves_add_up_to_a_change() -> None:
    life = Life(MemoryStore())
    await life.sweeps(10, lambda at: at_index(100 - at * 0.04))
    assert [row.index for row in await life.found()] == [99.96, 99.88, 99.8, 99.72, 99.64]


@in_virtual_time
async def test_counts_tell_a_change_beyond_their_noise_and_the_highest_is_kept() -> None:
    life = Life(MemoryStore())

    def counted(count: int) -> HealthReport:
        return replace(ILL, checks=(replace(ILL.checks[0], count=count),))

    for count in (100, 105, 102, 80, 1, 2):
        await life.sweeps(1, counted(count))
    assert [row.counts for row in await life.found()] == [(105,), (80,), (1,), (2,)]


@in_virtual_time
async def test_a_verdict_that_moves_is_a_change() -> None:
    life = Life(MemoryStore())
    await life.sweeps(1)
    await life.sweeps(1, routing=replace(KNOWN, is_known=False))
    await life.sweeps(1, routing=replace(KNOWN, state=RoutingState.OUT))
    rows = await life.found()
    assert [(row.story.verdict, row.story.state) for row in rows] == [
        ("IN", "IN"),
        ("HOLD", "IN"),
        ("OUT", "OUT"),
    ]


@in_virtual_time
async def test_a_row_ends_after_an_hour_though_nothing_changed() -> None:
    life = Life(MemoryStore())
    await life.sweeps(300)
    assert await life.rows() == [(0, 3600), (3600, 4485)]


@in_virtual_time
async def test_a_time_without_looks_is_a_gap() -> None:
    life = Life(MemoryStore())
    await life.sweeps(2)
    await asyncio.sleep(120)
    await life.sweeps(2)
    assert await life.rows() == [(0, 15), (150, 165)]


@in_virtual_time
async def test_a_skipped_sweep_is_no_gap() -> None:
    life = Life(MemoryStore())
    await life.sweeps(2)
    await asyncio.sleep(INTERVAL)
    await life.sweeps(2)
    assert await life.rows() == [(0, 60)]


@in_virtual_time
async def test_old_values_that_grow_older_count_as_looks_but_begin_nothing() -> None:
    life = Life(MemoryStore())
    await life.sweeps(2, is_news=False)
    assert await life.rows() == []
    await life.sweeps(1)
    await life.sweeps(2, is_news=False)
    assert await life.rows() == [(30, 60)]


@in_virtual_time
async def test_a_clock_that_is_set_back_begins_a_new_row_and_loses_none() -> None:
    life = Life(MemoryStore())
    await life.sweeps(4)
    life.offset = -600.0
    await life.sweeps(2)
    found = await life.rows(since=NOON - 1000)
    assert found == [(-540, -525), (0, 45)]


@in_virtual_time
async def test_what_ended_is_written_together_and_not_at_once() -> None:
    store = MemoryStore()
    life = Life(store)
    await life.sweeps(1)
    await life.sweeps(int(RUNNING_SECONDS // INTERVAL), ILL)
    assert store.timeline.clusters() == ("payments",)
    written = store.timeline.rows("payments", since=0, until=NOON * 2, limit=9)
    assert [row.until - NOON for row in written] == [INTERVAL]
    assert [row.until - NOON for row in store.timeline.running()] == [WRITE_SECONDS]
    assert len(await life.rows()) == 2


@in_virtual_time
async def test_an_orderly_end_writes_everything_and_the_next_life_goes_on_with_it() -> None:
    store = MemoryStore()
    first = Life(store)
    await first.sweeps(4)
    await first.recorder.close()
    second = Life(store)
    await second.recorder.load(["payments"])
    assert await second.rows() == [(0, 45)]
    await second.sweeps(2)
    assert await second.rows() == [(0, 75)]
    await second.sweeps(1, ILL)
    assert await second.rows() == [(0, 90), (90, 90)]


@in_virtual_time
async def test_what_changed_during_a_short_restart_begins_where_it_was_seen() -> None:
    store = MemoryStore()
    first = Life(store)
    await first.sweeps(2)
    await first.recorder.close()
    second = Life(store)
    await second.recorder.load(["payments"])
    await second.sweeps(1, ILL)
    assert await second.rows() == [(0, 30), (30, 30)]


@in_virtual_time
async def test_a_long_absence_is_a_gap_and_a_kill_costs_a_minute() -> None:
    store = MemoryStore()
    killed = Life(store)
    await killed.sweeps(int(3 * RUNNING_SECONDS / INTERVAL) + 1)
    del killed
    await asyncio.sleep(3600)
    second = Life(store)
    await second.recorder.load(["payments"])
    await second.sweeps(1)
    (before, after) = await second.rows()
    assert 3 * RUNNING_SECONDS - RUNNING_SECONDS <= before[1] <= 3 * RUNNING_SECONDS
    assert after == (3795, 3795)


@in_virtual_time
async def test_a_cluster_that_leaves_the_fleet_keeps_its_history() -> None:
    life = Life(MemoryStore())
    await life.sweeps(3)
    life.recorder.forget("payments")
    life.recorder.forget("never there")
    await life.recorder.close()
    assert await life.rows() == [(0, 30)]
    assert await life.recorder.clusters() == {"payments"}


@in_virtual_time
async def test_a_cluster_that_left_the_fleet_while_the_daemon_was_away_is_written_down() -> None:
    store = MemoryStore()
    first = Life(store)
    await first.sweeps(3)
    await first.recorder.close()
    second = Life(store)
    await second.recorder.load(["web"])
    assert await second.rows() == [(0, 30)]
    await second.recorder.close()
    assert store.timeline.running() == ()
    assert store.timeline.clusters() == ("payments",)


@in_virtual_time
async def test_a_store_that_does_not_write_is_caught_up_with_later() -> None:
    store = MemoryStore()
    life = Life(store)
    store.fail_writes_with = FULL
    await life.sweeps(40, lambda at: at_index(float(at)))
    assert store.timeline.clusters() == ()
    assert len(await life.rows()) == 40
    store.fail_writes_with = None
    await life.sweeps(3, at_index(99.0))
    assert life.recorder.lost_rows == 0
    assert len(store.timeline.rows("payments", since=0, until=NOON * 2, limit=99)) == 40
    assert len(await life.rows()) == 41


@in_virtual_time
async def test_what_a_dead_store_cannot_take_is_bounded_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history_module, "ROWS_KEPT", 10)
    monkeypatch.setattr(history_module, "ROWS_AT_ONCE", 4)
    store = MemoryStore()
    life = Life(store)
    store.fail_writes_with = FULL
    await life.sweeps(31, lambda at: at_index(float(at)))
    assert life.recorder.lost_rows == 20
    assert [row.index for row in await life.found()] == [float(at) for at in range(20, 31)]
    store.fail_writes_with = None
    await life.recorder.close()
    assert life.recorder.lost_rows == 20
    written = store.timeline.rows("payments", since=0, until=NOON * 2, limit=99)
    assert [row.index for row in written] == [float(at) for at in range(20, 30)]


@in_virtual_time
async def test_only_the_newest_rows_are_given_when_there_are_more() -> None:
    life = Life(MemoryStore())
    await life.sweeps(40, lambda at: at_index(float(at)))
    found = await life.recorder.rows("payments", since=NOON, until=NOON + 1e5, limit=7)
    assert [row.index for row in found.rows] == [float(at) for at in range(33, 40)]
    assert found.is_truncated


@in_virtual_time
async def test_the_outline_of_an_hour_of_unrest_is_short_and_knows_the_lowest() -> None:
    life = Life(MemoryStore())
    await life.sweeps(100, lambda at: at_index(100 - (at * 7) % 9))
    await life.sweeps(1, ILL)
    found = await life.found(is_outline=True)
    assert len(found) == 3
    assert found[1].lowest == 92.0
    assert found[2].story.binding_cap == "PARTITION_AT_MIN_ISR"


@in_virtual_time
async def test_the_fleet_as_it_was_at_a_moment() -> None:
    life = Life(MemoryStore())
    await life.sweeps(4)
    await life.sweeps(1, ILL)
    await life.sweeps(1, cluster="web")
    then = await life.recorder.at(NOON + 59)
    later = await life.recorder.at(NOON + 85)
    assert {name: row.story.health_class for name, row in then.items()} == {"payments": "OK"}
    assert later.keys() == {"payments", "web"}
    assert later["payments"].until == NOON + 85
    assert later["payments"].story.binding_cap == "PARTITION_AT_MIN_ISR"


@in_virtual_time
async def test_what_changed_knows_rows_that_are_not_written_yet() -> None:
    life = Life(MemoryStore())
    await life.sweeps(4)
    await life.sweeps(4, ILL)
    found = await life.recorder.changes("payments", since=NOON, until=NOON + 1e5)
    assert [change.text for change in found.story if "BROKER_DOWN" in change.text]
    assert found.until == NOON + 120
    assert found.gaps == ()


@in_virtual_time
@pytest.mark.parametrize("offset", [0.00043, 0.00057], ids=["rounded down", "rounded up"])
async def test_a_row_in_the_store_and_the_one_that_runs_touch_to_the_millisecond(
    offset: float,
) -> None:
    life = Life(MemoryStore(), offset=offset)
    await life.sweeps(4)
    await life.sweeps(4, ILL)
    await life.recorder.settled()
    (well, ill) = await life.found()
    assert well.until == ill.at
    found = await life.recorder.changes("payments", since=NOON + 1, until=NOON + 1e5)
    assert found.gaps == ()


@in_virtual_time
async def test_a_daemon_that_no_longer_looks_is_told_as_a_gap_at_the_end() -> None:
    life = Life(MemoryStore())
    await life.sweeps(2)
    await asyncio.sleep(600)
    found = await life.recorder.changes("payments", since=NOON, until=NOON + 1e5)
    assert [change.text for change in found.story] == ["nobody looked from here on"]
    assert found.gaps[0].seconds == 615.0


def test_the_same_looks_make_the_same_rows_whenever_they_are_replayed() -> None:
    recorded: list[tuple[HistoryRow, ...]] = []

    @in_virtual_time
    async def run() -> None:
        life = Life(MemoryStore())
        await life.sweeps(50, lambda at: ILL if at % 7 == 0 else at_index(100 - at % 5))
        await asyncio.sleep(300)
        await life.sweeps(10)
        recorded.append(await life.found())

    run()
    run()
    assert len(recorded[0]) > 40
    assert recorded[0] == recorded[1]


@in_virtual_time
async def test_a_look_that_comes_while_the_store_is_read_makes_nothing_unseen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    life = Life(MemoryStore())
    await life.sweeps(2)
    asked = life.recorder._asked

    async def interrupted(work: Any) -> Any:
        life.look(WELL)
        return await asked(work)

    monkeypatch.setattr(life.recorder, "_asked", interrupted)
    now = NOON + 30
    assert (await life.recorder.at(now - 1))["payments"].until >= now - 1
    assert (await life.recorder.changes("payments", since=NOON, until=now)).gaps == ()
