"""A cluster of which every address refuses: no exception, no thread too many, and the verdict."""

import asyncio
import threading

import pytest
from support.snapshots import a_snapshot

from healthd.collect.cluster import ClusterCollector
from healthd.collect.direct import snapshot_of_bootstrap
from healthd.collect.target import ClusterTarget
from healthd.config.problems import ConfigError
from healthd.health.index import evaluate
from healthd.model.codes import CheckCode
from healthd.model.words import EvidenceGroup


def own_threads() -> set[str]:
    names = {thread.name for thread in threading.enumerate()}
    return {name for name in names if name.startswith(("healthd", "kafka"))}


@pytest.fixture
def target(unused_tcp_port: int) -> ClusterTarget:
    return ClusterTarget(
        name="gone",
        bootstrap_servers=(f"127.0.0.1:{unused_tcp_port}",),
        interval_seconds=0.5,
        request_timeout_seconds=0.5,
    )


async def test_refused_everywhere_becomes_unreachable(target: ClusterTarget) -> None:
    collector = ClusterCollector(target)
    first = (await collector.collect()).snapshot
    assert first.unreachable is False
    assert first.effective_ages[EvidenceGroup.METADATA] == float("inf")
    await asyncio.sleep(2 * target.interval_seconds)
    collected = await collector.collect()
    await collector.aclose()
    assert collected.snapshot.unreachable is True
    report = evaluate(collected.snapshot)
    assert report.binding_cap is CheckCode.UNREACHABLE
    # Refused by everybody is evidence against the cluster, not against our network.
    assert {
        (failure.source.value, failure.origin.value, failure.reason.value, failure.check)
        for failure in collected.failures
    } == {("metadata", "theirs", "refused", None), ("quorum", "theirs", "refused", None)}


async def test_rounds_without_an_answer_cost_no_threads(target: ClusterTarget) -> None:
    # The pool that resolves names belongs to the process and stays.
    before = own_threads()
    collector = ClusterCollector(target)
    await collector.collect()
    after_one = own_threads()
    for _ in range(3):
        await collector.collect()
    assert own_threads() <= after_one
    await collector.aclose()
    async with asyncio.timeout(5):
        while own_threads() - before:  # noqa: ASYNC110  # Threads end without telling anybody.
            await asyncio.sleep(0.05)


async def test_a_collection_that_is_cancelled_leaves_the_source_usable(
    target: ClusterTarget,
) -> None:
    collector = ClusterCollector(target)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await collector.collect()
    collected = await collector.collect()
    await collector.aclose()
    assert collected.failures


async def test_an_address_that_cannot_be_read_is_named() -> None:
    with pytest.raises(ConfigError, match="port"):
        await snapshot_of_bootstrap("localhost")


async def test_what_a_source_said_that_is_no_longer_configured_is_forgotten(
    target: ClusterTarget,
) -> None:
    extra = {name: {"ageSeconds": 1.0} for name in ("mirrors", "connectors", "zookeeper")}
    collector = ClusterCollector(target, known=a_snapshot(extra=extra))
    collected = await collector.collect()
    await collector.aclose()
    assert collected.snapshot.extra is not None
    # What the cluster itself is read for is no matter of configuration.
    assert collected.snapshot.extra.keys() == {"zookeeper", "collector"}
