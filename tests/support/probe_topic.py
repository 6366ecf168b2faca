"""Taking the probe's topic away again, for tests that share a cluster with others."""

from __future__ import annotations

import contextlib

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from healthd.config.source_probe import PROBE_TOPIC
from healthd.demo.service import wait_until
from healthd.demo.topics import quiet_client


def delete_probe_topic(bootstrap: str) -> None:
    """The topic is gone from the metadata; nothing happens when there is none."""
    admin = AdminClient(quiet_client(bootstrap))

    def is_gone() -> bool:
        try:
            return PROBE_TOPIC not in admin.list_topics(timeout=5).topics
        except KafkaException:
            return False

    with contextlib.suppress(KafkaException):
        admin.delete_topics([PROBE_TOPIC])[PROBE_TOPIC].result()
    wait_until(is_gone, "the probe's topic is deleted", 30)
