"""A page is the same whether healthd reads it or a real Prometheus server did."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.prometheus_server import RealPrometheus, StandInExporter, free_port, prometheus

from healthd.collect.assemble import assemble
from healthd.collect.observation import (
    Address,
    FailureReason,
    MetadataSeen,
    Observations,
    Origin,
    PageSeen,
    QuorumSeen,
)
from healthd.collect.page import PageReader, Pages
from healthd.collect.prometheus_pages import PrometheusReaders, pages_of
from healthd.collect.state import LastValues, Moment
from healthd.collect.target import ClusterTarget, NodeTarget
from healthd.config.source_prometheus import PrometheusServer, PrometheusUse
from healthd.config.source_rest import RestConfig
from healthd.health.index import HealthReport, evaluate
from healthd.model.snapshot import Topic, Voter

# One server serves them all, so they run in one worker.
pytestmark = pytest.mark.xdist_group("prometheus")

PAGE = (Path(__file__).parents[1] / "data" / "broker_page.txt").read_bytes()
IDLE = b"kafka_server_kafkarequesthandlerpool_requesthandleravgidle_oneminuterate"
STATE = b"kafka_server_kafkaserver_brokerstate"

NODES = (1, 2, 3)
OLD = 4
"""A node whose samples were already old when they were scraped, as those of a federation may be."""
OLD_SECONDS = 100
LOST = 9
"""A node whose exporter refuses."""
CLUSTER = 'pay.ments+(eu)|"a\\b" {x}'
"""Whatever means something in a regular expression or in quotes has to be itself."""
UNKNOWN = 10
"""A node that Prometheus does not scrape."""


def with_value(page: bytes, name: bytes, value: bytes) -> bytes:
    return b"\n".join(
        name + b" " + value if row.startswith(name + b" ") else row for row in page.split(b"\n")
    )


def catch_all(page: bytes) -> bytes:
    """Some values as jmx_exporter's catch-all rules write them, with labels of the page's own."""
    return with_value(page, STATE, b"3.0") + (
        b'kafka_server_KafkaServer_Value{name="BrokerState",job="mine"} 3.0\n'
        b'kafka_log_LogManager_Value{name="OfflineLogDirectoryCount"} 0.0\n'
    )


PAGES = {
    1: with_value(PAGE, IDLE, b"1.1234567890123457"),
    2: with_value(with_value(PAGE, IDLE, b"1.05"), STATE, b"2.0"),
    3: catch_all(with_value(PAGE, IDLE, b"1.0300000000000002")),
}


@dataclass(slots=True)
class World:
    """Exporters, and a Prometheus server that scrapes them."""

    exporters: Mapping[int, StandInExporter]
    server: RealPrometheus

    def target(self, source: str) -> ClusterTarget:
        """The cluster, read in one of three ways."""
        use = PrometheusUse(
            server=PrometheusServer(name="eu", rest=RestConfig(urls=(self.server.url,))),
            matchers={"kafka_cluster": CLUSTER},
            node_label="broker_id" if source == "label" else None,
        )
        by_label = source == "label"
        return ClusterTarget(
            name="payments",
            bootstrap_servers=("b1:9092",),
            nodes={
                node: NodeTarget(
                    id=node,
                    exporter_url=exporter.url if source == "exporter" else None,
                    instance=None if by_label else exporter.address,
                )
                for node, exporter in self.exporters.items()
            },
            prometheus=None if source == "exporter" else use,
            request_timeout_seconds=5,
        )

    def wait_for_scrapes(self) -> None:
        """Return when every exporter that answers was scraped anew."""
        now = time.time()
        self.server.wait_for(f'count(timestamp(up{{job="kafka"}}) > {now}) == {len(NODES) + 2}')


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with contextlib.ExitStack() as stack:
        exporters = {
            node: stack.enter_context(StandInExporter(PAGES[node]).serving()) for node in NODES
        }
        stamp = f" {round((time.time() - OLD_SECONDS) * 1000)}\n".encode()
        rows = [row for row in PAGE.split(b"\n") if row and not row.startswith(b"#")]
        old = StandInExporter(b"".join(row + stamp for row in rows))
        exporters[OLD] = stack.enter_context(old.serving())
        lost, unknown = StandInExporter(None), StandInExporter(None)
        lost.address = f"127.0.0.1:{free_port()}"
        unknown.address = "127.0.0.1:1"
        exporters |= {LOST: lost, UNKNOWN: unknown}
        targets = {
            exporter.address: {"kafka_cluster": CLUSTER, "broker_id": str(node), "az": "1"}
            for node, exporter in exporters.items()
            if node != UNKNOWN
        }
        folder = tmp_path_factory.mktemp("prometheus") / "server"
        found = World(exporters, stack.enter_context(prometheus(folder, targets)))
        found.server.wait_for(f'count(up{{job="kafka"}}) == {len(targets)}')
        found.wait_for_scrapes()
        yield found


@pytest.fixture(params=["exporter", "instance", "label"])
async def reader(request: pytest.FixtureRequest, world: World) -> AsyncIterator[PageReader]:
    pages = pages_of(world.target(request.param), PrometheusReaders(), time.monotonic)
    yield pages
    await pages.close()
    await pages.close()


@pytest.fixture
async def read(world: World) -> AsyncIterator[Callable[[str], Awaitable[Pages]]]:
    async with contextlib.AsyncExitStack() as stack:

        async def now(source: str) -> Pages:
            pages = pages_of(world.target(source), PrometheusReaders(), time.monotonic)
            stack.push_async_callback(pages.close)
            return await pages.read()

        yield now


def report_of(pages: Mapping[int, PageSeen]) -> HealthReport:
    """The index that these pages give on one and the same cluster."""
    at = max(page.at for page in pages.values())
    topic = Topic.of("orders", (), min_insync_replicas=2)
    quorum = QuorumSeen(
        leader_id=1,
        voters=tuple(Voter(id=node, last_caught_up_ms=1_000, log_end_offset=9) for node in NODES),
        fetch_timeout_ms=2_000,
    )
    done = assemble(
        ClusterTarget(
            name="payments",
            bootstrap_servers=("b1:9092",),
            nodes={node: NodeTarget(id=node, exporter_url="http://b/") for node in NODES},
        ),
        LastValues(),
        Observations(
            metadata=MetadataSeen(
                answered_by=1,
                brokers={node: Address(host=f"b{node}", port=9092) for node in NODES},
                topics=(topic,),
                partition_count=0,
            ),
            quorum=quorum,
            cluster_nodes={},
            reassigning={},
            pages={node: replace(page, at=at) for node, page in pages.items()},
        ),
        began=at,
        now=Moment(monotonic=at, wall=datetime(2026, 1, 1, tzinfo=UTC)),
    )
    return evaluate(done.snapshot)


async def test_every_node_says_what_its_page_says(reader: PageReader, world: World) -> None:
    world.wait_for_scrapes()
    found = await reader.read()
    assert set(found.seen) == {*NODES, OLD}
    first = found.seen[1].signals
    assert (first.idle_ratio, first.version) == (1.1234567890123457, "4.1.0")
    assert found.seen[2].signals.state == "recovery"
    assert {node: found.up[node] for node in (*NODES, LOST)} == {
        1: True,
        2: True,
        3: True,
        LOST: False,
    }


async def test_both_ways_give_the_same_signals_and_the_same_index_to_the_last_digit(
    read: Callable[[str], Awaitable[Pages]], world: World
) -> None:
    world.wait_for_scrapes()
    own, by_instance, by_label = [
        {node: page for node, page in (await read(source)).seen.items() if node in NODES}
        for source in ("exporter", "instance", "label")
    ]
    signals = {node: page.signals for node, page in own.items()}
    for other in (by_instance, by_label):
        assert {node: page.signals for node, page in other.items()} == signals
        assert report_of(other) == report_of(own)
    assert report_of(own).health_index < 100, "saturation has to count, or this shows nothing"


async def test_a_node_that_cannot_be_read_is_unknown_and_says_why(
    reader: PageReader, request: pytest.FixtureRequest
) -> None:
    found = await reader.read()
    assert not {LOST, UNKNOWN} & set(found.seen)
    failures = {failure.node: failure for failure in found.failures}
    assert set(failures) == {LOST, UNKNOWN}
    own = "exporter" in request.node.name
    assert failures[LOST].reason is (FailureReason.REFUSED if own else FailureReason.TARGET_DOWN)
    assert failures[LOST].origin is Origin.THEIRS
    assert failures[UNKNOWN].reason is (FailureReason.REFUSED if own else FailureReason.NO_DATA)
    if not own:
        assert failures[UNKNOWN].origin is Origin.OURS
        assert UNKNOWN not in found.up


async def test_a_sample_is_as_old_as_it_is_and_not_as_the_answer(
    read: Callable[[str], Awaitable[Pages]],
) -> None:
    found = await read("label")
    now = time.monotonic()
    assert now - found.seen[OLD].at > OLD_SECONDS - 1
    assert now - found.seen[2].at < OLD_SECONDS / 2
    assert found.up[OLD]


async def test_a_page_that_loses_kafka_is_unknown_at_once_though_prometheus_looks_back(
    read: Callable[[str], Awaitable[Pages]], world: World
) -> None:
    exporter = world.exporters[2]
    exporter.page = b"jvm_threads_current 9.0\n"
    try:
        world.server.wait_for("jvm_threads_current{broker_id='2'} == 9")
        found = await read("instance")
    finally:
        exporter.page = PAGES[2]
    assert 2 not in found.seen
    (failure,) = (one for one in found.failures if one.node == 2)
    assert (failure.reason, failure.origin) == (FailureReason.NO_KAFKA_METRICS, Origin.THEIRS)


async def test_an_exporter_that_stops_is_unknown_and_down_though_its_values_were_just_there(
    read: Callable[[str], Awaitable[Pages]], world: World
) -> None:
    exporter = world.exporters[3]
    exporter.page = None
    try:
        world.server.wait_for("up{broker_id='3'} == 0")
        found = await read("label")
    finally:
        exporter.page = PAGES[3]
    assert 3 not in found.seen
    assert found.up[3] is False
    (failure,) = (one for one in found.failures if one.node == 3)
    assert failure.reason is FailureReason.TARGET_DOWN


async def test_a_page_is_news_only_once(world: World) -> None:
    target = replace(world.target("label"), interval_seconds=0.001)
    pages = pages_of(target, PrometheusReaders(), time.monotonic)
    first = await pages.read()
    world.wait_for_scrapes()
    second = await pages.read()
    third = await pages.read()
    await pages.close()
    assert second.seen[1].at > first.seen[1].at
    assert third.seen.keys() <= second.seen.keys()
    assert all(third.seen[node].at > second.seen[node].at for node in third.seen)
    assert [failure.node for failure in third.failures] == [LOST, UNKNOWN]
