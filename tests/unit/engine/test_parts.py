"""The small parts of the engine, each by itself."""

import asyncio
import json
from collections.abc import MutableMapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.snapshots import a_broker, a_quorum, a_snapshot, a_topic, topic_of_states
from support.virtual_time import in_virtual_time

from healthd.engine import saving
from healthd.engine.aging import aged
from healthd.engine.clock import Clock
from healthd.engine.halfway import phase_seconds
from healthd.engine.journal import StoreThread
from healthd.engine.saving import SnapshotSaver
from healthd.engine.schedule import Schedule
from healthd.engine.tasks import Background
from healthd.engine.totals import Totals
from healthd.health.history import NO_HISTORY
from healthd.health.index import evaluate
from healthd.model.snapshot import Probe
from healthd.model.words import EvidenceGroup
from healthd.store.errors import StoreFull
from healthd.store.memory import MemoryStore

FULL = StoreFull("the disk is full", where="/state", todo="make room")


def test_what_further_sources_said_grows_older_too() -> None:
    sections = {"connect": {"ageSeconds": 2.0, "workers": 3}, "collector": {"failures": []}}
    older = aged(a_snapshot(extra=sections), 30)
    assert older.extra == {
        "connect": {"ageSeconds": 32.0, "workers": 3},
        "collector": {"failures": []},
    }


def test_a_snapshot_grows_older_in_every_age_and_in_nothing_else() -> None:
    snapshot = a_snapshot(
        a_topic(),
        brokers=(a_broker(1, metrics_age_seconds=2.0), a_broker(2)),
        ages={EvidenceGroup.METADATA: 1.0, EvidenceGroup.PROBE: None},
    )
    older = aged(snapshot, 30)
    assert older.ages == {EvidenceGroup.METADATA: 31.0, EvidenceGroup.PROBE: None}
    assert older.observed_at - snapshot.observed_at == timedelta(seconds=30)
    assert [broker.metrics_age_seconds for broker in older.brokers] == [32.0, None]
    same = replace(
        older, ages=snapshot.ages, observed_at=snapshot.observed_at, brokers=snapshot.brokers
    )
    assert same == snapshot


def test_a_snapshot_without_ages_is_given_those_that_it_stands_for() -> None:
    snapshot = a_snapshot(ages=None)
    older = aged(snapshot, 10)
    assert older.ages is not None
    assert older.age(EvidenceGroup.METADATA) == 10.0


@pytest.mark.parametrize("seconds", [0.0, -5.0])
def test_no_snapshot_ever_grows_younger(seconds: float) -> None:
    snapshot = a_snapshot()
    assert aged(snapshot, seconds) is snapshot


def test_totals_count_and_forget_a_cluster_and_a_wave() -> None:
    totals = Totals()
    for _ in range(2):
        totals.count_collection("a", "metadata")
        totals.count_failure("a", "metadata", "theirs", "timeout")
    totals.add_restart("stopping", 3.0)
    totals.loop_ticks |= {"collect:a": 1.0, "wave:w": 1.0}
    assert totals.collections == {"a": {"metadata": 2}}
    assert totals.failures == {"a": {("metadata", "theirs", "timeout"): 2}}
    totals.forget("a")
    totals.forget_wave("w")
    assert (totals.collections, totals.failures, totals.loop_ticks) == ({}, {}, {})
    assert totals.restart_seconds == {"stopping": [3.0]}


def test_the_phases_of_a_restart_last_from_one_status_to_the_next() -> None:
    history = (("pending", 0.0), ("stopping", 10.0), ("stopped", 14.0), ("starting", 14.0),
               ("recovering", 20.0), ("soaking", 50.0), ("done", 170.0))  # fmt: skip
    assert phase_seconds(history) == [
        ("stopping", 4.0), ("stopped", 0.0), ("starting", 6.0), ("recovering", 30.0),
        ("soaking", 120.0),
    ]  # fmt: skip


class SlowStore(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.saved: list[str] = []

    def save_snapshot(self, snapshot: Any) -> None:
        self.saved.append(snapshot.cluster)
        super().save_snapshot(snapshot)


@in_virtual_time
async def test_one_snapshot_is_saved_at_a_time_the_newest_of_each_cluster() -> None:
    store = SlowStore()
    saver = SnapshotSaver(StoreThread(store), Clock())
    for cluster in ("a", "b", "a", "b", "a"):
        saver.offer(a_snapshot(cluster=cluster), NO_HISTORY)
    assert len(saver._tasks._tasks) == 1
    await saver.close()
    assert store.saved == ["a", "b"]


@in_virtual_time
async def test_a_large_cluster_is_saved_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "SMALL_CLUSTER_PARTITIONS", 0)
    store = SlowStore()
    loop = asyncio.get_running_loop()
    saver = SnapshotSaver(StoreThread(store), Clock(monotonic=loop.time))
    for _ in range(9):
        saver.offer(a_snapshot(a_topic()), NO_HISTORY)
        await asyncio.sleep(15)
    assert len(store.saved) == 3


@in_virtual_time
async def test_a_cluster_that_tells_the_same_is_saved_once_a_minute_and_at_the_end() -> None:
    store = SlowStore()
    loop = asyncio.get_running_loop()
    saver = SnapshotSaver(StoreThread(store), Clock(monotonic=loop.time))
    first = a_snapshot(a_topic())
    for at in range(9):
        # Its topics are the very same object, as they are in a collector's steady state.
        later = replace(first, observed_at=first.observed_at + timedelta(seconds=15 * at))
        saver.offer(later, NO_HISTORY, evaluate(later))
        await asyncio.sleep(15)
    assert len(store.saved) == 3
    later = replace(first, observed_at=first.observed_at + timedelta(seconds=135))
    saver.offer(later, NO_HISTORY, evaluate(later))
    assert len(store.saved) == 3
    await saver.close()
    (stored,) = store.load_snapshots()
    assert json.loads(stored.body)["observedAt"] == "2026-01-01T12:02:15Z"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"brokers": (a_broker(1), a_broker(2), a_broker(3))}, id="broker-gone"),
        pytest.param({"brokers": tuple(a_broker(n, disk_used_ratio=0.9) for n in (1, 2, 3, 4))},
                     id="disk"),
        pytest.param({"quorum": a_quorum(leader_id=2)}, id="leader"),
        pytest.param({"probe": Probe(attempts=20, succeeded=19)}, id="probe"),
        pytest.param({"topics": (topic_of_states(at_min_isr=1),)}, id="topics"),
        pytest.param({"reassignments": 3}, id="reassignments"),
    ],
)  # fmt: skip
@in_virtual_time
async def test_what_has_changed_is_saved_at_once(change: dict[str, Any]) -> None:
    store = SlowStore()
    saver = SnapshotSaver(StoreThread(store), Clock(monotonic=asyncio.get_running_loop().time))
    first = a_snapshot(a_topic())
    for snapshot in (first, first, replace(first, **change)):
        saver.offer(snapshot, NO_HISTORY, evaluate(snapshot))
        await asyncio.sleep(1)
    assert len(store.saved) == 2


@in_virtual_time
async def test_a_save_that_fails_is_logged_and_the_next_one_works(
    logged: list[MutableMapping[str, Any]],
) -> None:
    store = SlowStore()
    saver = SnapshotSaver(StoreThread(store), Clock())
    store.fail_writes_with = FULL
    saver.offer(a_snapshot(), NO_HISTORY)
    await saver.close()
    await saver.forget("payments")
    assert [e["event"] for e in logged] == ["last_values_not_saved", "last_values_not_forgotten"]
    store.fail_writes_with = None
    saver.offer(a_snapshot(), NO_HISTORY)
    await saver.close()
    assert len(store.load_snapshots()) == 1


@in_virtual_time
async def test_a_task_that_breaks_is_logged_though_nobody_waits_for_it(
    logged: list[MutableMapping[str, Any]],
) -> None:
    async def breaks() -> None:
        raise ValueError("a defect")

    tasks = Background("thing_broke", wave="w")
    tasks.spawn(breaks(), name="a thing")
    await tasks.join()
    await asyncio.sleep(0)
    (entry,) = logged
    assert (entry["event"], entry["task"], entry["wave"]) == ("thing_broke", "a thing", "w")
    assert isinstance(entry["exc_info"], ValueError)


@in_virtual_time
async def test_tasks_are_ended_together_and_that_is_no_trouble(
    logged: list[MutableMapping[str, Any]],
) -> None:
    tasks = Background("thing_broke")
    running = [tasks.spawn(asyncio.sleep(1e9), name="sleep") for _ in range(3)]
    await asyncio.sleep(0)
    await tasks.cancel()
    assert all(task.cancelled() for task in running)
    assert logged == []


async def test_a_cluster_is_collected_at_once_however_late_the_schedule_starts() -> None:
    collected = asyncio.Event()

    async def sweep() -> None:
        collected.set()

    schedule = Schedule(interval_seconds=15, wall=lambda: datetime.now(UTC) - timedelta(hours=1))
    schedule.add("payments", sweep)
    assert not schedule.is_running
    schedule.start()
    assert bool(schedule.is_running)
    async with asyncio.timeout(10):
        await collected.wait()
    schedule.remove("payments")
    await schedule.stop()
    assert bool(schedule.is_running) is False
    await schedule.stop()


async def test_a_collection_that_a_stop_ends_is_no_job_that_broke(
    caplog: pytest.LogCaptureFixture,
) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def sweep() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    schedule = Schedule(interval_seconds=15)
    schedule.add("payments", sweep)
    schedule.start()
    async with asyncio.timeout(10):
        await began.wait()
        await schedule.stop()
        await ended.wait()
    await asyncio.sleep(0)
    assert [row.getMessage() for row in caplog.records if row.levelname == "ERROR"] == []


async def test_a_wall_clock_that_is_set_back_stops_no_collection(
    logged: list[MutableMapping[str, Any]],
) -> None:
    collected = 0

    async def sweep() -> None:
        nonlocal collected
        collected += 1

    ahead = timedelta(hours=2)
    schedule = Schedule(interval_seconds=15, wall=lambda: datetime.now(UTC) + ahead)
    schedule.add("payments", sweep)  # Planned by a clock that was two hours ahead.
    schedule.start()
    await asyncio.sleep(0)
    ahead = timedelta()
    schedule.catch_up()
    async with asyncio.timeout(10):
        while not collected:  # noqa: ASYNC110  # As the schedule wants it: a plain call.
            await asyncio.sleep(0.005)
    assert [entry["event"] for entry in logged] == ["clock_set_back"]
    schedule.catch_up()
    assert len(logged) == 1
    await schedule.stop()


async def test_clusters_that_are_collected_together_at_the_start_are_spread_from_then_on() -> None:
    schedule = Schedule(interval_seconds=100)

    async def sweep() -> None:
        """Never due in this test."""

    first = datetime.now(UTC)
    seconds = []
    for at in range(50):
        schedule.add(f"cluster-{at}", sweep)
    for job in schedule._scheduler.get_jobs():
        began = job.next_run_time
        second = job.trigger.get_next_fire_time(began, began)
        # Asked again, it says the same but for the jitter; the one after is a whole interval later.
        third = job.trigger.get_next_fire_time(second, second)
        assert 89 <= (third - second).total_seconds() <= 111
        assert (began - first).total_seconds() < 10
        seconds.append((second - began).total_seconds())
    assert min(seconds) < 60
    assert max(seconds) > 85
    assert all(30 <= one <= 111 for one in seconds)
