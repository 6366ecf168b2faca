"""A consumer that moves: offsets, partitions and the last messages of the cluster that is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from healthd.client import Member
from healthd.client import consumer as module
from healthd.client.consumer import FailoverConsumer, Received
from healthd.client.moving import Spread
from healthd.client.resuming import Resume


class Message:
    def __init__(
        self, offset: int = 0, at: int = 1_000_000, error: KafkaError | None = None
    ) -> None:
        self._offset, self._at, self._error = offset, at, error

    def topic(self) -> str:
        return "orders"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        return (1, self._at)

    def error(self) -> KafkaError | None:
        return self._error


class FakeKafka:
    """Stands in for librdkafka's consumer; one partition, assigned with the first poll."""

    made: list[FakeKafka]
    stuck: set[str]
    """Clusters in which leaving takes for ever."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.cluster = config["bootstrap.servers"].partition(":")[0]
        self.messages: list[Message] = []
        self.commits: list[int | None] = []
        self.assigned: list[TopicPartition] | None = None
        self.is_closed = False
        self.own_offset = -1001
        self.by_time = 500
        self.end = 900
        self.asked_times: list[int] = []
        self.fails_lookup = False
        self._callbacks: dict[str, Any] = {}
        self._has_joined = False
        self.made.append(self)

    def subscribe(self, topics: list[str], **callbacks: Any) -> None:
        self._callbacks = callbacks

    def poll(self, seconds: float) -> Message | None:
        if not self._has_joined:
            self._has_joined = True
            self._callbacks["on_assign"](self, [TopicPartition("orders", 0)])
        if self.messages:
            return self.messages.pop(0)
        time.sleep(min(seconds, 0.002))
        return None

    def commit(self, message: Message | None = None, *, asynchronous: bool = True) -> None:
        self.commits.append(None if message is None else message.offset())

    def assign(self, places: list[TopicPartition]) -> None:
        self.assigned = places

    def get_watermark_offsets(self, _: TopicPartition, **__: Any) -> tuple[int, int]:
        if self.fails_lookup:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return (0, self.end)

    def offsets_for_times(self, asked: list[TopicPartition], **_: Any) -> list[TopicPartition]:
        self.asked_times += [place.offset for place in asked]
        return [TopicPartition(place.topic, place.partition, self.by_time) for place in asked]

    def committed(self, asked: list[TopicPartition], **_: Any) -> list[TopicPartition]:
        return [TopicPartition(place.topic, place.partition, self.own_offset) for place in asked]

    def close(self) -> None:
        while self.cluster in self.stuck:
            time.sleep(0.01)
        self._callbacks["on_revoke"](self, [TopicPartition("orders", 0)])
        self.is_closed = True


class Profile:
    """In the place of a resolver."""

    profile = "P"

    def __init__(self) -> None:
        self.use("east")

    def use(self, cluster: str) -> None:
        self.member = Member(
            cluster=cluster, bootstrap_servers=(f"{cluster}:9092",), security_protocol="PLAINTEXT"
        )

    def wait(self, _: float) -> None:
        pass


class Story:
    """Rebalances in the order in which they were told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def given(self, cluster: str, places: Any) -> None:
        self.lines.append(f"{cluster} +{len(places)}")

    def taken(self, cluster: str, places: Any) -> None:
        self.lines.append(f"{cluster} -{len(places)}")


@pytest.fixture(autouse=True)
def kafka(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FakeKafka]]:
    FakeKafka.made, FakeKafka.stuck = [], set()
    monkeypatch.setattr(module, "Consumer", FakeKafka)
    yield FakeKafka
    FakeKafka.stuck = set()


@pytest.fixture
def profile() -> Profile:
    return Profile()


@pytest.fixture
def story() -> Story:
    return Story()


Make = Callable[..., FailoverConsumer]


@pytest.fixture
def make(profile: Profile, story: Story) -> Make:
    def making(**settings: Any) -> FailoverConsumer:
        given = {
            "spread": Spread(seconds=0, down_seconds=0),
            "drain_seconds": 5,
            "quiet_seconds": 0,
            "leave_seconds": 5,
            **settings,
        }
        consumer = FailoverConsumer(profile, {"group.id": "g"}, **given)  # type: ignore[arg-type]
        consumer.subscribe(["orders"], on_assign=story.given, on_revoke=story.taken)
        return consumer

    return making


def received(consumer: FailoverConsumer) -> Received:
    found = consumer.poll(1)
    assert found is not None
    return found


def move(consumer: FailoverConsumer, profile: Profile, cluster: str = "west") -> FakeKafka:
    profile.use(cluster)
    limit = time.monotonic() + 10
    while consumer.cluster != cluster:
        assert time.monotonic() < limit
        consumer.poll(0.01)
    consumer.poll(0)
    return FakeKafka.made[-1]


def test_messages_name_their_cluster(make: Make, kafka: type[FakeKafka]) -> None:
    consumer = make()
    kafka.made[0].messages = [Message(7)]
    found = received(consumer)
    assert (found.cluster, found.message.offset()) == ("east", 7)
    assert consumer.commit(found)
    assert kafka.made[0].commits == [7]


def test_it_leaves_the_old_group_before_it_joins_the_new_one(
    make: Make, profile: Profile, story: Story, kafka: type[FakeKafka]
) -> None:
    consumer = make()
    consumer.poll(0)
    move(consumer, profile)
    assert kafka.made[0].is_closed
    assert story.lines == ["east +1", "east -1", "west +1"]
    assert consumer.moves == 1


def test_an_offset_of_the_old_cluster_is_never_committed_in_the_new_one(
    make: Make, profile: Profile, kafka: type[FakeKafka]
) -> None:
    consumer = make()
    kafka.made[0].messages = [Message(7)]
    found = received(consumer)
    west = move(consumer, profile)
    assert not consumer.commit(found)
    assert west.commits == []


def test_partitions_that_are_taken_may_still_be_committed(
    profile: Profile, kafka: type[FakeKafka]
) -> None:
    consumer = FailoverConsumer(
        profile,  # type: ignore[arg-type]
        {"group.id": "g"},
        spread=Spread(seconds=0),
        quiet_seconds=0,
    )

    def taken(*_: Any) -> None:
        consumer.commit(asynchronous=False)

    consumer.subscribe(["orders"], on_revoke=taken)
    consumer.poll(0)
    move(consumer, profile)
    assert kafka.made[0].commits == [None]


def test_what_is_there_is_read_before_a_cluster_that_serves_is_left(
    make: Make, profile: Profile, kafka: type[FakeKafka]
) -> None:
    consumer = make(quiet_seconds=0.1)
    kafka.made[0].messages = [Message(at) for at in range(5)]
    profile.use("west")
    assert [received(consumer).cluster for _ in range(5)] == ["east"] * 5
    move(consumer, profile)


def test_a_cluster_in_which_it_never_gets_quiet_is_left_all_the_same(
    make: Make, profile: Profile, kafka: type[FakeKafka]
) -> None:
    consumer = make(quiet_seconds=3600, drain_seconds=0.05)
    move(consumer, profile)


def test_a_cluster_that_is_down_is_left_without_waiting_for_its_answer(
    make: Make, profile: Profile, story: Story, kafka: type[FakeKafka], monkeypatch: Any
) -> None:
    monkeypatch.setattr(module, "_DOWN_CLOSE_SECONDS", 0.05)
    consumer = make(
        quiet_seconds=3600, drain_seconds=3600, spread=Spread(seconds=3600, down_seconds=0)
    )
    consumer.poll(0)
    kafka.stuck = {"east"}
    kafka.made[0].config["error_cb"](KafkaError(KafkaError._ALL_BROKERS_DOWN))
    move(consumer, profile)
    kafka.stuck = set()
    limit = time.monotonic() + 10
    while not kafka.made[0].is_closed:
        assert time.monotonic() < limit
        time.sleep(0.002)
    # Told once, by the move, and not again by the leaving that ended later.
    assert story.lines == ["east +1", "east -1", "west +1"]


def test_the_groups_own_offsets_count_in_the_new_cluster(make: Make, profile: Profile) -> None:
    consumer = make()
    assert move(consumer, profile).assigned is None


STARTS = {
    "no offsets": (-1001, 500, 500),
    "older offsets": (400, 500, 500),
    "newer offsets": (600, 500, 600),
    "nothing so young": (400, -1, 900),
}


@pytest.mark.parametrize("case", STARTS)
def test_by_timestamp_it_begins_a_margin_before_what_it_has_read(
    make: Make, profile: Profile, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    own, by_time, start = STARTS[case]
    monkeypatch.setattr(FakeKafka, "__init__", _with(own_offset=own, by_time=by_time))
    consumer = make(resume=Resume.TIMESTAMP, margin_seconds=60)
    FakeKafka.made[0].messages = [Message(7, at=1_000_000)]
    received(consumer)
    west = move(consumer, profile)
    assert west.asked_times == [940_000]
    assert west.assigned is not None
    assert [place.offset for place in west.assigned] == [start]


def _with(**values: int) -> Callable[..., None]:
    original = FakeKafka.__init__

    def init(self: FakeKafka, config: dict[str, Any]) -> None:
        original(self, config)
        vars(self).update(values)

    return init


def test_without_an_answer_by_time_the_groups_own_offsets_count(
    make: Make, profile: Profile, kafka: type[FakeKafka], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeKafka, "__init__", _with(fails_lookup=True))
    consumer = make(resume=Resume.TIMESTAMP)
    kafka.made[0].messages = [Message()]
    received(consumer)
    assert move(consumer, profile).assigned is None


def test_what_nothing_was_read_of_begins_at_the_groups_own_offsets(
    make: Make, profile: Profile
) -> None:
    consumer = make(resume=Resume.TIMESTAMP)
    consumer.poll(0)
    assert move(consumer, profile).assigned is None


def test_trouble_that_passes_is_no_error_and_a_refusal_is(
    make: Make, kafka: type[FakeKafka]
) -> None:
    consumer = make()
    kafka.made[0].messages = [
        Message(error=KafkaError(KafkaError._TRANSPORT)),
        Message(error=KafkaError(KafkaError._PARTITION_EOF)),
        Message(error=KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)),
    ]
    with pytest.raises(KafkaException):
        consumer.poll(1)
    assert kafka.made[0].messages == []


def test_closing_leaves_the_group(make: Make, kafka: type[FakeKafka]) -> None:
    with make() as consumer:
        consumer.poll(0)
    assert kafka.made[0].is_closed
    with pytest.raises(ValueError, match="closed"):
        consumer.poll(0)


def test_what_cannot_move_is_refused(profile: Profile) -> None:
    with pytest.raises(ValueError, match=r"bootstrap\.servers"):
        FailoverConsumer(profile, {"group.id": "g", "bootstrap.servers": "x"})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"group\.id"):
        FailoverConsumer(profile, {})  # type: ignore[arg-type]
