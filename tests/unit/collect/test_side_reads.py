"""Further sources are read in the background: none of them delays a snapshot."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime

from healthd.collect.observation import FailureReason, LogDirsSeen, Origin, Source, SourceFailure
from healthd.collect.side import SideContext, SideSeen
from healthd.collect.side_reads import SideReads
from healthd.model.snapshot import Probe


@dataclass
class _Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class _Scripted:
    """A source that gives what it is told, once it may."""

    source: Source = Source.CONNECT
    interval_seconds: float | None = None
    timeout_seconds: float = 5.0
    seen: SideSeen = field(default_factory=lambda: SideSeen(section={"n": 1}))
    error: Exception | None = None
    reads: int = 0
    is_closed: bool = False
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self, context: SideContext) -> SideSeen:
        assert context.wall.tzinfo is not None
        self.reads += 1
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        return self.seen

    async def aclose(self) -> None:
        self.is_closed = True


def _context(clock: _Clock) -> SideContext:
    return SideContext(now=clock.now, wall=datetime(2026, 1, 1, tzinfo=UTC))


def _quick(**given: object) -> _Scripted:
    made = _Scripted(**given)  # type: ignore[arg-type]
    made.may_answer.set()
    return made


async def test_a_source_that_never_told_anything_is_waited_for() -> None:
    clock, source = _Clock(), _quick()
    reads = SideReads([source], clock=clock)
    reads.begin(_context(clock))
    found = await reads.take(until=clock.now + 5)
    assert found.sections["connectors"].body == {"n": 1}
    assert found.sections["connectors"].at == 100.0
    assert list(found.durations) == ["connectors"]


async def test_a_slow_source_is_taken_in_a_later_round_and_read_once() -> None:
    clock, source = _Clock(), _quick()
    reads = SideReads([source], clock=clock)
    reads.begin(_context(clock))
    await reads.take(until=clock.now + 5)
    source.may_answer.clear()
    reads.begin(_context(clock))
    assert (await reads.take(until=clock.now + 1000)).sections == {}
    reads.begin(_context(clock))
    await asyncio.sleep(0)
    assert source.reads == 2
    source.may_answer.set()
    clock.now = 115.0
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    found = await reads.take(until=clock.now)
    assert found.sections["connectors"].at == 100.0, "as old as its question"
    await reads.aclose()


async def test_a_source_that_is_a_little_slower_than_its_round_is_read_in_every_round() -> None:
    clock, source = _Clock(), _quick()
    reads = SideReads([source], clock=clock)
    reads.begin(_context(clock))
    await reads.take(until=clock.now + 5)
    source.may_answer.clear()
    ages = []
    for _ in range(4):
        clock.now += 15.0
        reads.begin(_context(clock))
        # The round ends first.
        found = await reads.take(until=clock.now)
        ages += [clock.now - section.at for section in found.sections.values()]
        source.may_answer.set()
        clock.now += 0.5
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        source.may_answer.clear()
    assert ages == [15.5] * 3, "fresh evidence is at most two intervals old"
    assert source.reads == 5
    await reads.aclose()


async def test_a_source_with_an_interval_rests_between_reads_and_keeps_its_failures() -> None:
    failure = SourceFailure(
        source=Source.CERTIFICATES,
        origin=Origin.OURS,
        reason=FailureReason.DNS,
        detail="No such name.",
    )
    clock = _Clock()
    source = _quick(
        source=Source.CERTIFICATES, interval_seconds=60.0, seen=SideSeen(failures=(failure,))
    )
    reads = SideReads([source], clock=clock)
    for now, expected in ((100.0, 1), (115.0, 1), (159.0, 1), (160.0, 2)):
        clock.now = now
        reads.begin(_context(clock))
        await asyncio.sleep(0)
        found = await reads.take(until=now + 5)
        assert (source.reads, found.failures) == (expected, (failure,))


async def test_a_source_that_overruns_is_cancelled_and_counted_as_a_time_out_of_ours() -> None:
    clock, source = _Clock(), _Scripted(timeout_seconds=0.01)
    reads = SideReads([source], clock=clock)
    reads.begin(_context(clock))
    found = await reads.take(until=clock.now + 5)
    assert [(f.source, f.origin, f.reason) for f in found.failures] == [
        (Source.CONNECT, Origin.OURS, FailureReason.TIMEOUT)
    ]
    assert found.failures[0].check is None, "Connect says nothing of our way to Kafka"


async def test_a_source_that_breaks_costs_nothing_but_its_own_values() -> None:
    clock = _Clock()
    broken = _quick(error=ValueError("secret=hunter2"))
    well = _quick(
        source=Source.PROBE,
        seen=SideSeen(
            probe=Probe(attempts=20, succeeded=19),
            log_dirs={1: LogDirsSeen(used_ratio=0.5, offline=0, at=1.0)},
        ),
    )
    reads = SideReads([broken, well], clock=clock)
    reads.begin(_context(clock))
    found = await reads.take(until=clock.now + 5)
    assert found.probe is not None
    assert found.probe.probe.succeeded == 19
    assert found.log_dirs[1].used_ratio == 0.5
    assert [f.detail for f in found.failures] == ["Reading connectors broke: ValueError."]


async def test_settling_waits_for_every_source_however_long() -> None:
    clock, source = _Clock(), _quick()
    reads = SideReads([source], clock=clock, settle=True)
    for _ in range(2):
        reads.begin(_context(clock))
        assert (await reads.take(until=0.0)).sections["connectors"].body == {"n": 1}


async def test_closing_abandons_what_is_in_flight() -> None:
    clock, source = _Clock(), _Scripted()
    reads = SideReads([source], clock=clock)
    reads.begin(_context(clock))
    await asyncio.sleep(0)
    await reads.aclose()
    await reads.aclose()
    assert source.is_closed
