"""History of long ago becomes fewer rows, in small steps, in virtual time."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.history_rows import DOWN, row
from support.virtual_time import in_virtual_time

from healthd.engine import thinning
from healthd.engine.clock import Clock
from healthd.engine.journal import StoreThread
from healthd.engine.thinning import DAY, HistoryLimits, Thinner
from healthd.health.timeline import HistoryRow
from healthd.store.errors import StoreFull
from healthd.store.ledger import LedgerEvent, LedgerWrite
from healthd.store.memory import MemoryStore
from healthd.store.sqlite import SqliteStore

NOON = 1_767_268_800.0
LIMITS = HistoryLimits(raw_days=1, fine_days=2, days=4)


class Counting(MemoryStore):
    """Counts how many rows each replacement touches."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[int] = []
        timeline, replace = self.timeline, self.timeline.replace

        def counted(
            cluster: str, *, since: float, until: float, rows: Sequence[HistoryRow]
        ) -> None:
            self.steps.append(len(timeline.began(cluster, since=since, until=until, limit=100_000)))
            replace(cluster, since=since, until=until, rows=rows)

        timeline.replace = counted  # type: ignore[method-assign]  # It counts, and does the same.


def restless(days: float, step: float = 600.0, newest: float = 0.0) -> list[HistoryRow]:
    """Rows from so many days before noon on, each lower than the one before within an hour."""
    many = int((days - newest) * DAY / step)
    began = NOON - days * DAY
    return [row(began + at * step, began + (at + 1) * step, 100.0 - at % 60) for at in range(many)]


def thinner(store: MemoryStore | SqliteStore, ahead: Sequence[float] = (0.0,)) -> Thinner:
    clock = Clock(
        monotonic=lambda: asyncio.get_running_loop().time(),
        wall=lambda: NOON + asyncio.get_running_loop().time() + ahead[0],
    )
    return Thinner(StoreThread(store), clock, LIMITS)


def spans(store: MemoryStore | SqliteStore, first: float, last: float) -> set[float]:
    """How long rows are that began so many days before noon."""
    since, until = NOON - first * DAY, NOON - last * DAY
    found = store.timeline.began("payments", since=since, until=until, limit=100_000)
    return {round(each.until - each.at, 3) for each in found}


@in_virtual_time
async def test_rows_grow_longer_with_age_and_end_at_the_last_limit() -> None:
    store = MemoryStore()
    store.timeline.write(restless(5.0, step=150.0), [])
    await thinner(store).thin()
    assert spans(store, 0.9, 0) == {150.0}
    assert spans(store, 1.9, 1.1) == {300.0}
    assert spans(store, 3.9, 2.1) == {3600.0}
    assert spans(store, 9, 4.1) == set()


@in_virtual_time
async def test_what_was_thinned_keeps_the_lowest_index_of_its_hour() -> None:
    store = MemoryStore()
    rows = restless(3.0, step=60.0, newest=2.0)
    store.timeline.write(rows, [])
    await thinner(store).thin()
    found = store.timeline.began("payments", since=0, until=NOON - 2.1 * DAY, limit=10_000)
    assert {each.lowest for each in found} == {41.0}
    assert {each.lowest_at for each in found} <= {each.at for each in rows}


@in_virtual_time
async def test_a_step_is_small_and_a_second_pass_does_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(thinning, "ROWS_A_STEP", 100)
    store = Counting()
    store.timeline.write(restless(3.0, step=150.0), [])
    made = thinner(store)
    await made.thin()
    assert max(store.steps) <= 100
    assert spans(store, 1.9, 1.1) == {300.0}
    assert spans(store, 2.9, 2.1) == {3600.0}
    many = len(store.steps)
    await made.thin()
    assert len(store.steps) == many


@in_virtual_time
async def test_a_bucket_with_more_rows_than_a_step_is_no_endless_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(thinning, "ROWS_A_STEP", 10)
    store = MemoryStore()
    store.timeline.write(restless(1.02, step=1.0, newest=1.0), [])
    await thinner(store).thin()
    left = store.timeline.began("payments", since=0, until=NOON - DAY, limit=100_000)
    assert len(left) < 0.02 * DAY / 5


@in_virtual_time
async def test_it_thins_once_an_hour_by_itself_and_survives_a_store_that_fails() -> None:
    store = MemoryStore()
    store.timeline.write(restless(2.0, step=60.0, newest=1.0), [])
    store.fail_writes_with = StoreFull("the disk is full", where="/state", todo="make room")
    made = thinner(store)
    made.start()
    await asyncio.sleep(3700)
    assert spans(store, 2, 1.1) == {60.0}
    store.fail_writes_with = None
    await asyncio.sleep(3700)
    assert spans(store, 1.9, 1.1) == {300.0}
    await made.close()


@in_virtual_time
async def test_a_clock_that_jumps_a_year_ahead_forgets_nothing_for_a_day() -> None:
    store, ahead = MemoryStore(), [0.0]
    store.timeline.write(restless(0.5), [])
    made = thinner(store, ahead)
    ahead[0] = 365 * DAY
    await made.thin()
    assert spans(store, 1, 0) == {600.0}
    ahead[0] = 0.0
    await made.thin()
    await asyncio.sleep(DAY + 60)
    await made.thin()
    assert 600.0 in spans(store, 1, 0)


@in_virtual_time
async def test_events_are_forgotten_with_the_history() -> None:
    store = MemoryStore()
    events = tuple(
        LedgerEvent(at=NOON - days * DAY, kind="verdict", subject="payments", body={})
        for days in (5, 3)
    )
    store.ledger.write(LedgerWrite(kind="routing", documents={}, events=events))
    await thinner(store).thin()
    assert [event.at for event in store.ledger.events()] == [NOON - 3 * DAY]


@in_virtual_time
async def test_the_state_file_thins_as_memory_does(tmp_path: Path) -> None:
    sqlite, memory = SqliteStore.open(tmp_path), MemoryStore()
    rows = restless(3.0, step=150.0)
    rows[400:420] = [
        row(each.at, each.until, 20.0, story=DOWN, counts=(1, at))
        for at, each in enumerate(rows[400:420], start=1)
    ]
    for store in (sqlite, memory):
        store.timeline.write(rows, [])
        await thinner(store).thin()
    found = [
        store.timeline.began("payments", since=0.0, until=NOON, limit=100_000)
        for store in (sqlite, memory)
    ]
    assert found[0] == found[1]
    sqlite.close()
