"""The probe as a source: what it gives when, and when it repairs its topic."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from healthd.collect.observation import FailureReason, Origin, Source, SourceFailure
from healthd.collect.probe import FAILED_STEP_SECONDS, STEP_SECONDS, ProbeSource
from healthd.collect.probe_client import ProbeRound, TopicSeen
from healthd.collect.probe_stats import Attempt
from healthd.collect.probe_topic import CreateTopic, SetMinIsr, Step
from healthd.collect.side import SideContext, SideSeen
from healthd.collect.target import ClusterTarget, NodeTarget
from healthd.config.source_probe import PROBE_TOPIC
from healthd.model.snapshot import Broker, ClusterSnapshot, Partition, Probe, Topic

TARGET = ClusterTarget(
    name="payments",
    bootstrap_servers=("b1:9092",),
    nodes={node: NodeTarget(id=node, rack=f"az{node}") for node in (1, 2, 3)},
)
NODES = (1, 2, 3)
OURS = SourceFailure(
    source=Source.PROBE, origin=Origin.OURS, reason=FailureReason.TIMEOUT, detail="No metadata."
)


EMPTY = TopicSeen(partitions=(), brokers=frozenset(NODES), controller=1)


def partitions(leaders: Sequence[int] = NODES) -> tuple[Partition, ...]:
    rings = ((1, 2, 3), (2, 3, 1), (3, 1, 2))
    return tuple(
        Partition(id=at, leader=leader, replicas=rings[at], isr=rings[at])
        for at, leader in enumerate(leaders)
    )


@dataclass
class Client:
    """A client whose looks and attempts are set."""

    seen: TopicSeen | SourceFailure = field(
        default_factory=lambda: TopicSeen(
            partitions=partitions(), brokers=frozenset(NODES), controller=1
        )
    )
    succeeded: bool = True
    failures: tuple[SourceFailure, ...] = ()
    limit_seconds: float = 2.5
    is_closed: bool = False
    may_go_on: threading.Event = field(default_factory=threading.Event)

    def look(self, tries: int = 2) -> TopicSeen | SourceFailure:
        assert tries > 0
        return self.seen

    def attempt(self, rows: Sequence[Partition]) -> ProbeRound:
        if self.failures:
            return ProbeRound(failures=self.failures)
        return ProbeRound(
            attempts=tuple(
                Attempt(
                    partition=row.id,
                    broker=row.leader,
                    at=0.0,
                    latency_ms=9.0 if self.succeeded else None,
                    error=None if self.succeeded else "not written within 2.5 s",
                )
                for row in rows
            )
        )

    def close(self) -> None:
        self.is_closed = True


@dataclass
class Keeper:
    """Notes what it is told, and does it when it may."""

    client: Client
    problem: SourceFailure | None = None
    steps: list[Step] = field(default_factory=list)

    def carry_out(self, step: Step, controller: int) -> SourceFailure | None:
        assert controller == 1
        self.steps.append(step)
        if self.problem is None and isinstance(step, CreateTopic):
            self.client.seen = TopicSeen(
                partitions=partitions(), brokers=frozenset(NODES), controller=1
            )
        return self.problem


class Bench:
    """A source on fakes, with a clock that only moves when it is told."""

    def __init__(self, client: Client | None = None) -> None:
        self.now = 0.0
        self.client = client or Client()
        self.keeper = Keeper(client=self.client)
        fakes: dict[str, Any] = {"client": self.client, "keeper": self.keeper}
        self.source = ProbeSource(TARGET, clock=lambda: self.now, sleep=self.advance, **fakes)

    def advance(self, seconds: float) -> None:
        self.now += seconds

    async def read(self, snapshot: ClusterSnapshot | None = None) -> SideSeen:
        wall = datetime(2026, 1, 1, tzinfo=UTC)
        return await self.source.read(SideContext(snapshot=snapshot, now=self.now, wall=wall))


def snapshot(*, alive: Sequence[int] = NODES, min_isr: int | None = 1, **more: Any) -> Any:
    own = Topic.of(PROBE_TOPIC, partitions(), min_insync_replicas=min_isr)
    return ClusterSnapshot(
        cluster="payments",
        observed_at=datetime(2026, 1, 1, tzinfo=UTC),
        brokers=tuple(
            Broker(id=node, alive=node in alive) for node in (*NODES, *more.pop("also", ()))
        ),
        topics=(own,),
        **more,
    )


def topic_of(seen: SideSeen) -> dict[str, Any]:
    assert seen.section is not None
    found: dict[str, Any] = dict(seen.section["topic"])
    return found


async def test_a_round_gives_the_attempts_and_the_section() -> None:
    bench = Bench()
    seen = await bench.read(snapshot())
    assert seen.probe == Probe(attempts=3, succeeded=3)
    assert topic_of(seen)["state"] == "complete"
    assert bench.keeper.steps == []


async def test_a_topic_that_is_missing_is_made_and_probed_in_the_same_round() -> None:
    bench = Bench(Client(seen=EMPTY))
    seen = await bench.read()
    (step,) = bench.keeper.steps
    assert isinstance(step, CreateTopic)
    assert seen.probe == Probe(attempts=3, succeeded=3)
    assert topic_of(seen)["lastChange"]["text"] == "create the probe's topic"


async def test_what_could_not_be_repaired_is_told_until_it_could_and_not_tried_all_the_time() -> (
    None
):
    bench = Bench()
    bench.keeper.problem = OURS
    for _ in range(5):
        seen = await bench.read(snapshot(min_isr=2))
        assert seen.failures == (OURS,)
        assert topic_of(seen)["lastError"] == OURS.detail
        assert seen.probe is not None, "probing goes on"
        bench.advance(FAILED_STEP_SECONDS / 5)
    assert bench.keeper.steps == [SetMinIsr()]
    bench.keeper.problem = None
    assert (await bench.read(snapshot(min_isr=2))).failures == ()
    assert bench.keeper.steps == [SetMinIsr()] * 2


async def test_a_change_is_seen_before_the_next_is_decided() -> None:
    bench = Bench()
    for _ in range(3):
        await bench.read(snapshot(min_isr=2))
        bench.advance(STEP_SECONDS / 3 - 0.1)
    assert len(bench.keeper.steps) == 1


async def test_a_topic_that_is_deleted_is_made_again_at_once_but_not_where_that_was_refused() -> (
    None
):
    bench = Bench(Client(seen=EMPTY))
    for _ in range(2):
        bench.client.seen = EMPTY
        assert (await bench.read()).probe is not None
    assert len(bench.keeper.steps) == 2
    bench.keeper.problem = OURS
    for _ in range(2):
        bench.client.seen = EMPTY
        assert (await bench.read()).failures == (OURS,)
    assert len(bench.keeper.steps) == 3


async def test_nothing_is_moved_while_the_snapshot_names_a_broker_that_is_down() -> None:
    bench = Bench()
    bench.client.seen = TopicSeen(
        partitions=partitions((1, 2, 1)), brokers=frozenset({1, 2, 3}), controller=1
    )
    await bench.read(snapshot(alive=(1, 2, 3), also=(4,)))
    assert bench.keeper.steps == []
    await bench.read(snapshot())
    assert len(bench.keeper.steps) == 1, "the leader is elected back"


async def test_no_attempt_counts_is_nothing_new_and_the_last_value_ages() -> None:
    for client in (Client(seen=OURS), Client(failures=(OURS,))):
        seen = await Bench(client).read(snapshot())
        assert seen.probe is None
        assert seen.failures == (OURS,)


async def test_metadata_from_a_broker_that_hangs_does_not_keep_the_others_from_being_probed() -> (
    None
):
    bench = Bench()
    await bench.read(snapshot())
    bench.client.seen = OURS
    seen = await bench.read(snapshot(min_isr=2))
    assert seen.probe == Probe(attempts=6, succeeded=6)
    assert seen.failures == ()
    assert bench.keeper.steps == [], "nothing is changed by what was seen before"
    bench.client.failures = (OURS,)
    assert (await bench.read(snapshot())).failures == (OURS,)


async def test_after_a_restart_the_attempts_of_before_still_count() -> None:
    seen = await Bench().read(snapshot(probe=Probe(attempts=20, succeeded=10)))
    assert seen.probe == Probe(attempts=20, succeeded=10)


async def test_a_read_that_was_cancelled_leaves_a_source_that_says_busy_and_recovers() -> None:
    bench = Bench()
    look, gate = bench.client.look, threading.Event()

    def hanging(tries: int = 2) -> TopicSeen | SourceFailure:
        gate.wait(10)
        return look(tries)

    bench.client.look = hanging  # type: ignore[method-assign]
    task = asyncio.create_task(bench.read(snapshot()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (busy,) = (await bench.read(snapshot())).failures
    assert busy.reason is FailureReason.BUSY
    gate.set()
    # The thread comes to what was asked after it is free again.
    await asyncio.wrap_future(bench.source._thread.submit(str))
    assert (await bench.read(snapshot())).failures == ()
    await bench.source.aclose()
    await bench.source.aclose()


async def test_closing_lets_go_of_the_clients() -> None:
    bench = Bench()
    await bench.source.aclose()
    bench.source._thread.shutdown(wait=True)
    assert bench.client.is_closed
