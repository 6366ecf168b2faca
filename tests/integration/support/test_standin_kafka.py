"""The stand-ins against the real thing: a cluster of the same shape gives the same snapshot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from support.kafka_cluster import KafkaCluster
from support.standin_kafka import EXPORTER_PORT, StandInCluster, StandIns, StandInTopic

from healthd.collect.cluster import ClusterCollector
from healthd.collect.protocol import Collected
from healthd.collect.target import ClusterTarget, NodeTarget
from healthd.demo.topics import quiet_client
from healthd.model.snapshot import ClusterSnapshot, Quorum


async def collected(target: ClusterTarget, rounds: int = 3) -> Collected:
    collector = ClusterCollector(target)
    for _ in range(rounds):
        found = await collector.collect()
    await collector.aclose()
    return found


def twin_of(snapshot: ClusterSnapshot) -> StandInCluster:
    """A stand-in of the shape that was seen."""
    return StandInCluster(
        name="twin",
        hosts={broker.id: f"127.99.0.{broker.id}" for broker in snapshot.brokers},
        racks={broker.id: broker.rack for broker in snapshot.brokers},
        topics=[
            StandInTopic(
                name=topic.name,
                min_insync_replicas=topic.min_insync_replicas or 1,
                rows=[(row.leader, row.replicas, row.isr) for row in topic],
            )
            for topic in snapshot.topics
        ],
    )


def shape(snapshot: ClusterSnapshot) -> ClusterSnapshot:
    """What does not differ from one running cluster to the next."""
    assert snapshot.quorum is not None
    quorum = Quorum(
        mode=snapshot.quorum.mode,
        leader_id=snapshot.quorum.leader_id,
        fetch_timeout_ms=snapshot.quorum.fetch_timeout_ms,
        absent_seconds=snapshot.quorum.absent_seconds,
        voters=tuple(
            replace(voter, last_caught_up_ms=None, log_end_offset=None)
            for voter in snapshot.quorum.voters
        ),
    )
    brokers = tuple(replace(broker, host=None) for broker in snapshot.brokers)
    return replace(
        snapshot,
        cluster="",
        observed_at=snapshot.observed_at.min,
        brokers=brokers,
        quorum=quorum,
        ages=dict.fromkeys(snapshot.ages or {}, 0.0),
    )


async def test_a_stand_in_is_collected_as_the_cluster_that_it_stands_for(tmp_path: Path) -> None:
    with KafkaCluster(nodes=1, racks={1: "west"}) as cluster:
        admin = AdminClient(quiet_client(cluster.bootstrap))
        topics = [NewTopic(f"t{at}", 3, 1, config={"min.insync.replicas": "1"}) for at in range(4)]
        for future in admin.create_topics(topics).values():
            future.result()
        real = await collected(
            ClusterTarget(name="real", bootstrap_servers=(cluster.bootstrap,)), rounds=5
        )
    assert real.failures == ()
    twin = twin_of(real.snapshot)
    target = ClusterTarget(name="twin", bootstrap_servers=tuple(twin.bootstrap.split(",")))
    with StandIns([twin], tmp_path) as stand_ins:
        found = await collected(target)
        assert found.failures == ()
        assert shape(found.snapshot) == shape(real.snapshot)
        stand_ins.order("twin", behind=2)
        moved = await collected(target)
        behind = [row.isr for topic in moved.snapshot.topics for row in topic if row.isr == ()]
        assert len(behind) == 2

        url = f"http://{twin.hosts[1]}:{EXPORTER_PORT}/metrics"
        nodes = {1: NodeTarget(id=1, exporter_url=url)}
        with_page = await collected(replace(target, nodes=nodes))
        assert with_page.failures == ()
        assert with_page.snapshot.brokers_by_id[1].version == "4.1.0"
