"""A real cluster whose exporters are scraped by a real Prometheus server, not by healthd."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from types import MappingProxyType

import pytest
from support.prometheus_server import RealPrometheus, prometheus

from healthd.collect.cluster import ClusterCollector
from healthd.collect.direct import snapshot_of_target
from healthd.collect.observation import FailureReason
from healthd.collect.target import ClusterTarget, NodeTarget
from healthd.config.source_prometheus import PrometheusServer, PrometheusUse
from healthd.config.source_rest import RestConfig
from healthd.demo.fleet import DemoFleet
from healthd.health.index import evaluate
from healthd.model.words import EvidenceGroup

INTERVAL_SECONDS = 4.0
A_NEW_ROUND_SECONDS = 0.6 * INTERVAL_SECONDS
"""A round that is younger than half an interval is still the newest."""


def address_of(url: str) -> str:
    return url.removeprefix("http://").partition("/")[0]


@pytest.fixture(scope="module")
def server(
    shared_fleet: DemoFleet, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealPrometheus]:
    labels = {"kafka_cluster": shared_fleet.cluster}
    targets = {
        address_of(node.exporter_url): labels | {"broker_id": str(node.id)}
        for node in shared_fleet.nodes
    }
    with prometheus(tmp_path_factory.mktemp("prometheus") / "server", targets) as found:
        found.wait_for(f"count(up == 1) == {len(targets)}")
        yield found


def target(fleet: DemoFleet, server: RealPrometheus | None) -> ClusterTarget:
    use = None
    if server is not None:
        use = PrometheusUse(
            server=PrometheusServer(name="eu", rest=RestConfig(urls=(server.url,))),
            matchers=MappingProxyType({"kafka_cluster": fleet.cluster}),
        )
    return ClusterTarget(
        name=fleet.cluster,
        bootstrap_servers=tuple(fleet.bootstrap.split(",")),
        nodes={
            node.id: NodeTarget(
                id=node.id,
                rack=node.rack,
                exporter_url=node.exporter_url if use is None else None,
                instance=None if use is None else address_of(node.exporter_url),
            )
            for node in fleet.nodes
        },
        prometheus=use,
        interval_seconds=INTERVAL_SECONDS,
    )


@pytest.fixture
async def collector(fleet: DemoFleet, server: RealPrometheus) -> AsyncIterator[ClusterCollector]:
    found = ClusterCollector(target(fleet, server))
    yield found
    await found.aclose()


async def test_a_real_cluster_is_judged_alike_by_its_exporters_and_by_prometheus(
    fleet: DemoFleet, collector: ClusterCollector
) -> None:
    own = await snapshot_of_target(target(fleet, None))
    await collector.collect()
    await asyncio.sleep(A_NEW_ROUND_SECONDS)
    scraped = (await collector.collect()).snapshot
    for broker in scraped.brokers:
        direct = own.brokers_by_id[broker.id]
        assert (broker.state, broker.version) == (direct.state, direct.version)
        assert broker.offline_log_dirs == direct.offline_log_dirs
        assert broker.request_handler_idle is not None
    assert scraped.effective_ages[EvidenceGroup.METRICS] < 2 * INTERVAL_SECONDS
    reports = [evaluate(own), evaluate(scraped)]
    assert [report.health_index for report in reports] == [100, 100]
    assert reports[0].completeness == reports[1].completeness
    assert reports[0].checks == reports[1].checks


async def test_an_exporter_that_prometheus_cannot_scrape_only_ages_its_broker(
    fleet: DemoFleet, server: RealPrometheus, collector: ClusterCollector
) -> None:
    before = (await collector.collect()).snapshot.brokers_by_id[5]
    fleet.exporter_gone(5)
    gone_at = time.time()
    server.wait_for(f"up{{broker_id='5'}} == 0 and timestamp(up) > {gone_at}")
    await asyncio.sleep(A_NEW_ROUND_SECONDS)
    collected = await collector.collect()
    after = collected.snapshot.brokers_by_id[5]
    assert after.alive
    assert after.state == before.state
    assert after.metrics_age_seconds is not None
    assert before.metrics_age_seconds is not None
    assert after.metrics_age_seconds > before.metrics_age_seconds
    assert [(one.node, one.reason) for one in collected.failures] == [
        (5, FailureReason.TARGET_DOWN)
    ]
