"""A consumer that moves begins where it should, by a real broker's word.

Two members of a profile with the addresses of one cluster are two clusters to a client: the second
holds just what a mirror would have brought there.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from healthd.client import Member
from healthd.client.consumer import FailoverConsumer
from healthd.client.moving import Spread
from healthd.client.resuming import Resume
from healthd.demo.fleet import DemoFleet
from healthd.demo.topics import quiet_client

MESSAGES, READ = 100, 50
BEGAN_MS = 1_700_000_000_000


class Profile:
    """In the place of a resolver."""

    profile = "P"

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self.use("east")

    def use(self, cluster: str) -> None:
        self.member = Member(
            cluster=cluster,
            bootstrap_servers=tuple(self._bootstrap.split(",")),
            security_protocol="PLAINTEXT",
        )

    def wait(self, _: float) -> None:
        pass


@pytest.fixture
def topic(fleet: DemoFleet) -> Iterator[str]:
    """A hundred messages, a second apart, in one partition."""
    name = f"resuming-{uuid.uuid4().hex[:8]}"
    admin = AdminClient(quiet_client(fleet.bootstrap))
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(30)
    producer = Producer(quiet_client(fleet.bootstrap))
    for at in range(MESSAGES):
        producer.produce(name, str(at), partition=0, timestamp=BEGAN_MS + at * 1000)
    assert producer.flush(30) == 0
    yield name
    admin.delete_topics([name])[name].result(30)


@pytest.mark.fleet
@pytest.mark.parametrize("strategy", ["range", "cooperative-sticky"])
def test_by_timestamp_it_begins_a_margin_before_what_it_has_read(
    fleet: DemoFleet, topic: str, strategy: str
) -> None:
    story: list[str] = []
    profile = Profile(fleet.bootstrap)
    config: dict[str, Any] = {
        "group.id": topic,
        "enable.auto.commit": False,
        "partition.assignment.strategy": strategy,
        "log_level": 0,
    }
    consumer = FailoverConsumer(
        profile,  # type: ignore[arg-type]
        config,
        resume=Resume.TIMESTAMP,
        margin_seconds=10,
        spread=Spread(seconds=0),
        drain_seconds=0,
    )
    consumer.subscribe(
        [topic],
        on_assign=lambda cluster, places: story.append(f"{cluster} +{len(places)}"),
        on_revoke=lambda cluster, places: story.append(f"{cluster} -{len(places)}"),
    )
    with consumer:
        read = [_next(consumer) for _ in range(READ)]
        assert read[-1] == ("east", READ - 1)
        profile.use("west")
        # The last one that was read is number 49; ten seconds before it is number 39.
        assert _next(consumer) == ("west", READ - 1 - 10)
        # A group's own offset that is younger counts: nothing is read for a third time.
        consumer.commit(asynchronous=False)
        profile.use("east")
        assert _next(consumer) == ("east", READ - 10)
    assert story == ["east +1", "east -1", "west +1", "west -1", "east +1", "east -1"]


def _next(consumer: FailoverConsumer) -> tuple[str, int]:
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        received = consumer.poll(1)
        if received is not None:
            return received.cluster, int(received.message.value())
    raise AssertionError("nothing came")
