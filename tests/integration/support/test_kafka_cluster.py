"""The launcher of throw-away Kafka that other tests lean on."""

from __future__ import annotations

import os
import socket

import pytest
from confluent_kafka.admin import AdminClient
from support.kafka_cluster import KafkaCluster, KafkaStartError

from healthd.demo.topics import quiet_client


def test_a_cluster_answers_survives_a_restart_and_leaves_nothing() -> None:
    with KafkaCluster(
        listeners={"SECOND": "PLAINTEXT"},
        properties={"num.partitions": "7"},
        racks={1: "west"},
        jvm=("-Dhealthd.test=yes",),
    ) as cluster:
        node = cluster.node(1)
        for servers in (cluster.bootstrap, cluster.bootstrap_of("SECOND")):
            metadata = AdminClient(quiet_client(servers)).list_topics(timeout=10)
            assert str(metadata.cluster_id) == cluster.cluster_id
            assert [(b.id, f"{b.host}:{b.port}") for b in metadata.brokers.values()] == [
                (1, servers)
            ]
        assert "broker.rack = west" in cluster.logs
        assert "num.partitions = 7" in cluster.logs
        first = node.pid
        node.stop()
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)
        node.start()
        cluster.wait_complete()
        assert node.pid != first
        last = node.pid
        folder = cluster.folder
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(last, 0)


def test_a_node_that_cannot_start_says_why_and_leaves_nothing() -> None:
    # Formatting succeeds: the port is looked at only when the broker binds to it.
    cluster = KafkaCluster()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", cluster.node(1).ports["CONTROLLER"]))
        taken.listen()
        with pytest.raises(KafkaStartError, match="ended at its start"):
            cluster.start()
    assert not cluster.node(1).is_running
    assert not cluster.folder.exists()
