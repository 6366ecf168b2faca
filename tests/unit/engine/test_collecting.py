"""One cluster's collections: deadlines, at most one in flight, and growing old in public."""

import asyncio
from collections.abc import Callable, MutableMapping
from typing import Any

import pytest
from support.engine import INTERVAL, NOW, Plant
from support.virtual_time import in_virtual_time

from healthd.collect.memory import MemorySource
from healthd.collect.observation import FailureReason, Origin, Source, SourceFailure
from healthd.collect.protocol import Collected
from healthd.engine import judging
from healthd.engine.clock import Clock
from healthd.engine.collecting import ClusterLoop, Published
from healthd.engine.late import LateSource
from healthd.engine.totals import Totals
from healthd.model.codes import CheckCode
from healthd.model.words import EvidenceGroup
from healthd.safety.gate import snapshot_holds

DEADLINE = 4.0


class FaultySource(MemorySource):
    """A source that can hang or break."""

    def __init__(self, plant: Plant, **kwargs: Any) -> None:
        super().__init__(
            plant.cluster, interval_seconds=INTERVAL, clock=lambda: plant.now, **kwargs
        )
        self.hangs_for = 0.0
        self.breaks: Exception | None = None
        self.failures: tuple[SourceFailure, ...] = ()
        self.in_flight = 0
        self.most_in_flight = 0

    async def collect(self, *, read_configs: bool = False) -> Collected:
        self.in_flight += 1
        self.most_in_flight = max(self.in_flight, self.most_in_flight)
        try:
            await asyncio.sleep(self.hangs_for)
            if self.breaks is not None:
                raise self.breaks
            collected = await super().collect(read_configs=read_configs)
            return Collected(
                snapshot=collected.snapshot,
                durations=collected.durations,
                failures=(*collected.failures, *self.failures),
            )
        finally:
            self.in_flight -= 1


class Watched:
    """A loop over a faulty source, and what it published."""

    def __init__(self, plant: Plant, *, source: Any = None, totals: Totals | None = None) -> None:
        self.plant = plant
        self.totals = totals or Totals()
        self.source = source or FaultySource(plant)
        self.published: list[Published] = []
        self.listen: Callable[[Published], None] = self.published.append
        self.loop = ClusterLoop(
            plant.config(),
            self.source,
            deadline_seconds=DEADLINE,
            clock=Clock(monotonic=lambda: plant.now, wall=lambda: NOW + plant.now),
            totals=self.totals,
            listener=lambda _cluster, published: self.listen(published),
        )

    def failures(self) -> dict[tuple[str, str, str], int]:
        return self.totals.failures.get(self.plant.name, {})


@in_virtual_time
async def test_a_collection_is_judged_published_and_counted() -> None:
    watched = Watched(Plant())
    assert not watched.loop.has_been_looked_at
    await watched.loop.sweep()
    assert bool(watched.loop.has_been_looked_at)
    (published,) = watched.published
    assert published.previous is None
    assert watched.loop.view.snapshot is published.snapshot
    assert watched.loop.view.report is published.report
    assert published.report.health_index == 100.0
    assert watched.loop.view.index_without_wave == 100.0
    assert watched.loop.view.tolerated_racks == ("az1", "az2", "az3")
    assert watched.loop.view.seen_at["metadata"] == pytest.approx(NOW)
    assert watched.totals.collections["payments"]["cluster"] == 1
    assert watched.totals.collections["payments"]["metadata"] == 1
    assert watched.totals.loop_ticks["collect:payments"] == NOW
    assert watched.failures() == {}


@in_virtual_time
async def test_a_source_that_hangs_is_abandoned_at_its_deadline_and_counted() -> None:
    plant = Plant()
    watched = Watched(plant)
    watched.source.hangs_for = 1e9
    before = plant.now
    await watched.loop.sweep()
    assert plant.now - before == DEADLINE
    assert watched.failures() == {("cluster", "ours", "deadline"): 1}
    assert watched.loop.view.failures[0]["detail"] == "not done after 4 s"
    assert watched.loop.has_been_looked_at
    assert watched.source.in_flight == 0


@in_virtual_time
async def test_values_that_are_not_renewed_grow_old_until_the_gate_is_closed() -> None:
    plant = Plant()
    watched = Watched(plant)
    await watched.loop.sweep()
    watched.source.hangs_for = 1e9
    for _ in range(6):
        await asyncio.sleep(INTERVAL)
        await watched.loop.sweep()
    newest = watched.published[-1]
    assert len(watched.published) == 7
    assert newest.snapshot.age(EvidenceGroup.METADATA) == pytest.approx(6 * (INTERVAL + DEADLINE))
    assert newest.snapshot.topics == watched.published[0].snapshot.topics
    held = {(hold.code.value, hold.object) for hold in snapshot_holds(newest.snapshot)}
    assert ("EVIDENCE_STALE", "source:metadata") in held
    assert watched.loop.view.seen_at["metadata"] == pytest.approx(NOW)
    # It comes back by itself.
    watched.source.hangs_for = 0.0
    await watched.loop.sweep()
    assert not snapshot_holds(watched.published[-1].snapshot)


@in_virtual_time
async def test_a_source_that_breaks_does_not_end_the_loop(
    logged: list[MutableMapping[str, Any]],
) -> None:
    watched = Watched(Plant())
    watched.source.breaks = ValueError("a defect")
    await watched.loop.sweep()
    assert watched.failures() == {("cluster", "ours", "internal"): 1}
    assert [entry["event"] for entry in logged] == ["collection_broke", "collection_abandoned"]
    assert await watched.loop.collect_now() is None
    watched.source.breaks = None
    await watched.loop.sweep()
    assert watched.loop.view.report is not None
    assert watched.loop.view.failures == ()


@in_virtual_time
async def test_a_judgement_that_breaks_is_counted_and_the_values_grow_old(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched = Watched(Plant())
    await watched.loop.sweep()

    def broken(*_: Any) -> None:
        raise ZeroDivisionError("a defect")

    with monkeypatch.context() as patched:
        patched.setattr(judging, "remember", broken)
        await asyncio.sleep(INTERVAL)
        assert await watched.loop.collect_now() is None
    assert watched.failures() == {("cluster", "ours", "internal"): 1}
    assert watched.published[-1].snapshot.age(EvidenceGroup.METADATA) == INTERVAL
    with monkeypatch.context() as patched:
        patched.setattr(judging, "evaluate", broken)
        await watched.loop.sweep()
    await watched.loop.sweep()
    assert watched.published[-1].snapshot.age(EvidenceGroup.METADATA) == 0.0


@in_virtual_time
async def test_a_listener_that_breaks_does_not_end_the_loop(
    logged: list[MutableMapping[str, Any]],
) -> None:
    watched = Watched(Plant())

    def broken(_: Published) -> None:
        raise ValueError("a defect")

    watched.listen = broken
    await watched.loop.sweep()
    assert [entry["event"] for entry in logged] == ["listener_broke"]
    assert watched.loop.view.report is not None


@in_virtual_time
async def test_at_most_one_collection_is_in_flight_and_a_sweep_that_finds_one_is_counted() -> None:
    watched = Watched(Plant())
    watched.source.hangs_for = 3.0
    await asyncio.gather(watched.loop.sweep(), watched.loop.sweep())
    assert watched.source.collections == 1
    assert watched.failures() == {("cluster", "ours", "overrun"): 1}
    assert watched.totals.collections["payments"]["cluster"] == 2, "one that was due and failed"
    snapshots = await asyncio.gather(*(watched.loop.collect_now() for _ in range(3)))
    assert all(snapshot is not None for snapshot in snapshots)
    assert watched.source.most_in_flight == 1


@in_virtual_time
async def test_a_last_look_before_a_stop_begins_after_the_sweep_in_flight_and_reads_configs() -> (
    None
):
    plant = Plant()
    watched = Watched(plant)
    watched.source.hangs_for = 3.0
    sweep = asyncio.create_task(watched.loop.sweep())
    await asyncio.sleep(1)
    await watched.loop.collect_now(read_configs=True)
    await sweep
    assert [published.began for published in watched.published] == [0.0, 3.0]
    assert watched.source.config_reads == 1
    # A sweep that falls into a last look is no overrun.
    look = asyncio.create_task(watched.loop.collect_now())
    await asyncio.sleep(1)
    await watched.loop.sweep()
    await look
    assert watched.failures() == {}
    assert watched.source.collections == 3


@in_virtual_time
async def test_a_cluster_that_hangs_delays_no_other() -> None:
    plant, other = Plant(), Plant(name="orders")
    slow, quick = Watched(plant), Watched(other)
    slow.source.hangs_for = 1e9

    async def every_interval(loop: ClusterLoop) -> None:
        while True:
            await loop.sweep()
            await asyncio.sleep(INTERVAL)

    tasks = [asyncio.create_task(every_interval(each.loop)) for each in (slow, quick)]
    await asyncio.sleep(10 * INTERVAL + 1)
    assert len(quick.published) == 11
    assert slow.published == []
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@in_virtual_time
async def test_what_was_known_before_a_restart_is_shown_as_old_as_it_is() -> None:
    plant = Plant()
    before = Watched(plant)
    await before.loop.sweep()
    await asyncio.sleep(100)
    known = before.loop.known()
    assert known is not None
    assert known.age(EvidenceGroup.METADATA) == 100.0
    after = Watched(plant)
    await after.loop.restore(known)
    assert not after.loop.has_been_looked_at
    assert after.loop.view.report is not None
    assert after.loop.view.seen_at["metadata"] == pytest.approx(NOW)
    assert snapshot_holds(after.published[0].snapshot)


@in_virtual_time
async def test_a_loop_that_is_closed_abandons_its_collection_and_publishes_nothing_more() -> None:
    plant = Plant()
    watched = Watched(plant)
    watched.source.hangs_for = 3.0
    sweep = asyncio.create_task(watched.loop.sweep())
    await asyncio.sleep(1)
    await watched.loop.close()
    assert plant.now == pytest.approx(1.0)
    await sweep
    assert watched.source.is_closed
    assert await watched.loop.collect_now() is None
    await watched.loop.restore(_snapshot(plant))
    assert watched.published == []
    assert watched.failures() == {}
    await watched.loop.close()


def _snapshot(plant: Plant) -> Any:
    source = MemorySource(plant.cluster)
    step = source.collect()
    try:
        step.send(None)
    except StopIteration as done:
        return done.value.snapshot
    raise AssertionError("a source in memory waits for nothing")


@in_virtual_time
async def test_a_loop_that_takes_another_s_place_shows_what_that_one_knew() -> None:
    plant = Plant()
    old, new = Watched(plant), Watched(plant)
    await old.loop.sweep()
    new.loop.inherit(old.loop)
    assert new.loop.view.report is old.loop.view.report
    assert new.loop.has_been_looked_at
    assert new.published == []


@in_virtual_time
async def test_a_source_that_cannot_be_built_yet_is_built_at_the_first_collection_that_can() -> (
    None
):
    plant = Plant()
    works: list[bool] = []

    def build() -> MemorySource:
        if not works:
            raise FileNotFoundError("no password")
        return FaultySource(plant)

    late = LateSource(build)
    watched = Watched(plant, source=late)
    await watched.loop.sweep()
    assert "no password" in watched.loop.view.failures[0]["detail"]
    await late.aclose()
    works.append(True)
    await watched.loop.sweep()
    assert watched.loop.view.report is not None
    await watched.loop.close()


@in_virtual_time
async def test_a_right_that_is_missing_is_a_check_at_once() -> None:
    watched = Watched(Plant())
    watched.source.failures = (_failure(FailureReason.AUTHORIZATION),)
    await watched.loop.sweep()
    assert CheckCode.COLLECTOR_AUTH in _checks(watched)


@in_virtual_time
async def test_a_network_that_fails_is_a_check_once_its_evidence_is_no_longer_fresh() -> None:
    plant = Plant()
    watched = Watched(plant)
    await watched.loop.sweep()
    plant.cluster.is_hidden = True
    await watched.loop.sweep()
    assert CheckCode.COLLECTOR_NETWORK not in _checks(watched)
    await asyncio.sleep(3 * INTERVAL)
    await watched.loop.sweep()
    assert CheckCode.COLLECTOR_NETWORK in _checks(watched)


def _failure(reason: FailureReason) -> SourceFailure:
    return SourceFailure(
        source=Source.CONFIGS, origin=Origin.OURS, reason=reason, detail="DescribeConfigs."
    )


def _checks(watched: Watched) -> set[CheckCode]:
    report = watched.loop.view.report
    assert report is not None
    return {check.code for check in report.checks}
