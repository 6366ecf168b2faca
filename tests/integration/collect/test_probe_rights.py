"""What a user without rights can probe and see of disks, and what to grant, on a real broker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # They are public, not exported.
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from support.guarded_kafka import PASSWORD, GuardedKafka

from healthd.collect.access import Access
from healthd.collect.cluster import ClusterCollector
from healthd.collect.logdirs import LogDirsSource
from healthd.collect.observation import FailureReason, Origin, Source
from healthd.collect.probe import ProbeSource
from healthd.collect.protocol import Collected
from healthd.collect.target import ClusterTarget
from healthd.config.source_probe import PROBE_TOPIC
from healthd.model.codes import CheckCode

USER = "healthd"


@pytest.fixture(scope="module")
def kafka() -> Iterator[GuardedKafka]:
    with GuardedKafka() as found:
        yield found


async def collected(kafka: GuardedKafka) -> Collected:
    """Two rounds of a collector that begins anew."""
    target = ClusterTarget(
        name="guarded",
        bootstrap_servers=(kafka.bootstrap,),
        access=Access(
            protocol="SASL_PLAINTEXT", sasl_mechanism="PLAIN", username=USER, password=PASSWORD
        ),
        interval_seconds=10.0,
        is_probed=True,
    )
    sides = (LogDirsSource(target), ProbeSource(target))
    collector = ClusterCollector(target, sides=sides, settle=True)
    try:
        await collector.collect()
        return await collector.collect()
    finally:
        await collector.aclose()


def grant(kafka: GuardedKafka, kind: ResourceType, name: str, *operations: AclOperation) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.cluster.bootstrap})
    bindings = [
        AclBinding(
            kind,
            name,
            ResourcePatternType.LITERAL,
            f"User:{USER}",
            "*",
            operation,
            AclPermissionType.ALLOW,
        )
        for operation in operations
    ]
    for future in admin.create_acls(bindings).values():
        future.result(30)


async def test_what_may_not_be_done_is_unknown_with_the_acl_named_and_works_once_it_is_granted(
    kafka: GuardedKafka,
) -> None:
    denied = await collected(kafka)
    told = {one.source: one for one in denied.failures}
    for source in (Source.LOG_DIRS, Source.PROBE):
        assert told[source].reason is FailureReason.AUTHORIZATION
        assert told[source].origin is Origin.OURS
        assert told[source].check is CheckCode.COLLECTOR_AUTH
    assert "grant Describe on Cluster:kafka-cluster" in told[Source.LOG_DIRS].detail
    assert f"on Topic:{PROBE_TOPIC}" in told[Source.PROBE].detail
    assert denied.snapshot.probe is None
    assert "logDirs" not in (denied.snapshot.extra or {})

    topic = (AclOperation.DESCRIBE, AclOperation.READ, AclOperation.WRITE)
    grant(kafka, ResourceType.TOPIC, PROBE_TOPIC, *topic)
    created = await collected(kafka)
    (failure,) = [one for one in created.failures if one.source is Source.PROBE]
    assert f"grant Create on Topic:{PROBE_TOPIC}" in failure.detail

    grant(kafka, ResourceType.TOPIC, PROBE_TOPIC, AclOperation.CREATE)
    grant(kafka, ResourceType.BROKER, "kafka-cluster", AclOperation.DESCRIBE)
    allowed = await collected(kafka)
    # No right on any group is needed: the consumer belongs to none.
    assert not {Source.LOG_DIRS, Source.PROBE} & {one.source for one in allowed.failures}
    assert allowed.snapshot.probe is not None
    assert allowed.snapshot.probe.attempts == allowed.snapshot.probe.succeeded == 2
    assert allowed.snapshot.brokers_by_id[1].disk_used_ratio is not None
