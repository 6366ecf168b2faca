"""A producer that moves: what becomes of messages that are under way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from healthd.client import Member
from healthd.client import producer as module
from healthd.client.moving import Spread
from healthd.client.producer import FailoverProducer
from healthd.client.sending import Delivery


class Message:
    def partition(self) -> int:
        return 1

    def offset(self) -> int:
        return 42


class FakeKafka:
    """Stands in for librdkafka's producer: acknowledges what its cluster is told to."""

    made: list[FakeKafka]
    deaf: set[str]
    """Clusters that acknowledge nothing."""
    refusing: dict[str, int]
    """Values that are refused, with the error."""

    def __init__(self, config: dict[str, Any]) -> None:
        if config["bootstrap.servers"] == "broken:9092":
            raise KafkaException(KafkaError(KafkaError._INVALID_ARG, "no such thing"))
        self.config = config
        self.cluster = config["bootstrap.servers"].partition(":")[0]
        self.queue: list[tuple[dict[str, Any], Any]] = []
        self.taken: list[str] = []
        self.is_full = False
        self.made.append(self)

    def __len__(self) -> int:
        return len(self.queue)

    def produce(self, *, on_delivery: Any, **words: Any) -> None:
        if self.is_full:
            raise BufferError
        if not isinstance(words["value"], str):
            raise TypeError("no text")
        self.taken.append(words["value"])
        self.queue.append((words, on_delivery))

    def poll(self, seconds: float) -> None:
        time.sleep(0.001)
        if self.cluster in self.deaf:
            return
        while self.queue:
            words, on_delivery = self.queue.pop(0)
            code = self.refusing.get(words["value"])
            on_delivery(None if code is None else KafkaError(code), Message())

    def purge(self, **_: Any) -> None:
        for _, on_delivery in self.queue:
            on_delivery(KafkaError(KafkaError._PURGE_INFLIGHT), None)
        self.queue.clear()

    def goes_down(self) -> None:
        self.config["error_cb"](KafkaError(KafkaError._ALL_BROKERS_DOWN))


class Profile:
    """In the place of a resolver."""

    profile = "P"

    def __init__(self) -> None:
        self.member: Member | None = None
        self.use("east")

    def use(self, cluster: str) -> None:
        self.member = Member(
            cluster=cluster, bootstrap_servers=(f"{cluster}:9092",), security_protocol="PLAINTEXT"
        )

    def wait(self, _: float) -> None:
        pass


class Told:
    """What became of every message, by its value."""

    def __init__(self) -> None:
        self.of: dict[str, Delivery] = {}
        self.order: list[str] = []

    def __call__(self, delivery: Delivery) -> None:
        value = str(delivery.value)
        assert value not in self.of, "told twice"
        self.of[value] = delivery
        self.order.append(value)


@pytest.fixture(autouse=True)
def kafka(monkeypatch: pytest.MonkeyPatch) -> type[FakeKafka]:
    FakeKafka.made, FakeKafka.deaf, FakeKafka.refusing = [], set(), {}
    monkeypatch.setattr(module, "Producer", FakeKafka)
    return FakeKafka


@pytest.fixture
def profile() -> Profile:
    return Profile()


@pytest.fixture
def told() -> Told:
    return Told()


Make = Callable[..., FailoverProducer]


@pytest.fixture
def make(profile: Profile) -> Iterator[Make]:
    made: list[FailoverProducer] = []

    def making(config: dict[str, Any] | None = None, **settings: Any) -> FailoverProducer:
        given = {"spread": Spread(seconds=0, down_seconds=0), "drain_seconds": 0.05, **settings}
        made.append(FailoverProducer(profile, config, **given))  # type: ignore[arg-type]
        return made[-1].start()

    yield making
    for producer in made:
        producer.close(0)


def broken() -> None:
    raise RuntimeError("a callback's own defect")


def until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.002)


def test_it_tells_who_acknowledged_a_message(make: Make, told: Told) -> None:
    producer = make()
    producer.produce("orders", "a", "key", headers={"h": b"1"}, on_delivery=told)
    assert producer.flush(5) == 0
    delivery = told.of["a"]
    assert (delivery.cluster, delivery.partition, delivery.offset) == ("east", 1, 42)
    assert (delivery.error, delivery.tried, delivery.is_maybe_duplicated) == (
        None,
        ("east",),
        False,
    )


def test_what_the_old_cluster_has_not_acknowledged_is_sent_again_in_order(
    make: Make, told: Told, profile: Profile, kafka: type[FakeKafka]
) -> None:
    producer = make()
    kafka.deaf = {"east"}
    for value in "abc":
        producer.produce("orders", value, on_delivery=told)
    profile.use("west")
    until(lambda: producer.cluster == "west")
    producer.produce("orders", "d", on_delivery=told)
    assert producer.flush(5) == 0
    assert kafka.made[1].taken == ["a", "b", "c", "d"]
    assert [told.of[value].tried for value in "ad"] == [("east", "west"), ("west",)]
    assert told.of["a"].is_maybe_duplicated
    assert not told.of["d"].is_maybe_duplicated
    assert producer.moves == 1


def test_what_comes_during_the_move_waits_for_what_came_before(
    make: Make, told: Told, profile: Profile, kafka: type[FakeKafka]
) -> None:
    producer = make(drain_seconds=0.3)
    kafka.deaf = {"east"}
    producer.produce("orders", "a", on_delivery=told)
    profile.use("west")
    until(lambda: len(kafka.made) == 2)
    producer.produce("orders", "b", on_delivery=told)
    assert producer.flush(5) == 0
    assert kafka.made[1].taken == ["a", "b"]


def test_a_cluster_that_answers_is_let_finish(
    make: Make, told: Told, profile: Profile, kafka: type[FakeKafka]
) -> None:
    producer = make(drain_seconds=5)
    kafka.deaf = {"east"}
    producer.produce("orders", "a", on_delivery=told)
    profile.use("west")
    until(lambda: len(kafka.made) == 2)
    kafka.deaf = set()
    assert producer.flush(5) == 0
    until(lambda: producer.cluster == "west")
    assert told.of["a"].tried == ("east",)
    assert kafka.made[1].taken == []


def test_a_cluster_that_is_down_is_not_waited_for(
    make: Make, told: Told, profile: Profile, kafka: type[FakeKafka]
) -> None:
    producer = make(drain_seconds=3600, spread=Spread(seconds=3600, down_seconds=0))
    kafka.deaf = {"east"}
    producer.produce("orders", "a", on_delivery=told)
    kafka.made[0].goes_down()
    profile.use("west")
    assert producer.flush(5) == 0
    assert told.of["a"].cluster == "west"


def test_it_comes_back(make: Make, told: Told, profile: Profile) -> None:
    producer = make()
    for cluster in ("west", "east"):
        profile.use(cluster)
        until(lambda cluster=cluster: producer.cluster == cluster)  # type: ignore[misc]
        producer.produce("orders", cluster, on_delivery=told)
        assert producer.flush(5) == 0
        assert told.of[cluster].cluster == cluster


def test_without_a_cluster_to_use_it_keeps_what_it_has(
    make: Make, told: Told, profile: Profile
) -> None:
    producer = make()
    profile.member = None
    producer.produce("orders", "a", on_delivery=told)
    assert producer.flush(5) == 0
    assert producer.cluster == "east"


def test_a_message_that_is_wrong_in_itself_has_failed(
    make: Make, told: Told, kafka: type[FakeKafka]
) -> None:
    kafka.refusing = {"big": KafkaError.MSG_SIZE_TOO_LARGE}
    producer = make()
    producer.produce("orders", "big", on_delivery=told)
    assert producer.flush(5) == 0
    error = told.of["big"].error
    assert error is not None
    assert error.code() == KafkaError.MSG_SIZE_TOO_LARGE


def test_a_client_that_librdkafka_gives_up_is_made_anew_and_nothing_is_lost(
    make: Make, told: Told, kafka: type[FakeKafka]
) -> None:
    kafka.deaf = {"east"}
    producer = make()
    producer.produce("orders", "a", on_delivery=told)
    fatal = KafkaError(KafkaError._FATAL, "sequence numbers are gone", fatal=True)
    kafka.made[0].config["error_cb"](fatal)
    until(lambda: len(kafka.made) == 2)
    kafka.deaf = set()
    assert producer.flush(5) == 0
    assert told.of["a"].tried == ("east", "east")
    assert producer.moves == 0


def test_a_message_that_timed_out_is_tried_again_until_it_is_given_up(
    make: Make, told: Told, kafka: type[FakeKafka]
) -> None:
    kafka.refusing = {"late": KafkaError._MSG_TIMED_OUT}
    producer = make(give_up_seconds=0.2)
    producer.produce("orders", "late", on_delivery=told)
    assert producer.flush(5) == 0
    error = told.of["late"].error
    assert error is not None
    assert error.code() == KafkaError._MSG_TIMED_OUT
    assert len(told.of["late"].tried) > 1


def test_a_full_queue_of_librdkafka_is_waited_for(
    make: Make, told: Told, kafka: type[FakeKafka]
) -> None:
    producer = make()
    kafka.made[0].is_full = True
    for value in "ab":
        producer.produce("orders", value, on_delivery=told)
    kafka.made[0].is_full = False
    assert producer.flush(5) == 0
    assert told.order == ["a", "b"]


def test_no_more_is_kept_than_may_be(make: Make, kafka: type[FakeKafka]) -> None:
    kafka.deaf = {"east"}
    producer = make(max_pending=2)
    for _ in range(2):
        producer.produce("orders", "a")
    with pytest.raises(BufferError, match="2 messages wait"):
        producer.produce("orders", "a", timeout_seconds=0.01)


def test_a_callback_that_produces_into_a_full_box_is_told_at_once(
    make: Make, kafka: type[FakeKafka]
) -> None:
    kafka.deaf = {"east"}
    producer = make(max_pending=2)
    refused = threading.Event()

    def again(_delivery: Delivery) -> None:
        try:
            for _ in range(2):
                producer.produce("orders", "more")
        except BufferError:
            refused.set()

    producer.produce("orders", "a", on_delivery=again)
    producer.produce("orders", "b")
    kafka.deaf = set()
    assert refused.wait(5)


def test_closing_tells_of_what_was_never_acknowledged(
    make: Make, told: Told, kafka: type[FakeKafka]
) -> None:
    kafka.deaf = {"east"}
    producer = make()
    producer.produce("orders", "a", on_delivery=told)
    assert producer.close(0.01) == 1
    assert told.of["a"].error is not None
    with pytest.raises(ValueError, match="closed"):
        producer.produce("orders", "b")


def test_a_message_that_librdkafka_refuses_is_not_kept(make: Make) -> None:
    producer = make()
    with pytest.raises(TypeError):
        producer.produce("orders", 1)  # type: ignore[arg-type]
    assert producer.flush(0) == 0


def test_a_cluster_that_it_cannot_be_configured_for_costs_nothing(
    make: Make, told: Told, profile: Profile
) -> None:
    producer = make()
    profile.use("broken")
    time.sleep(0.02)
    producer.produce("orders", "a", on_delivery=told)
    assert producer.flush(5) == 0
    assert told.of["a"].cluster == "east"


def test_a_callback_that_fails_harms_no_other(make: Make, told: Told) -> None:
    producer = make()
    producer.produce("orders", "a", on_delivery=lambda _: broken())
    producer.produce("orders", "b", on_delivery=told)
    assert producer.flush(5) == 0
    assert "b" in told.of


def test_acknowledgements_of_all_replicas_are_the_default(
    make: Make, kafka: type[FakeKafka]
) -> None:
    make()
    make({"enable.idempotence": False, "acks": 1})
    assert [found.config.get("enable.idempotence") for found in kafka.made] == [True, False]


@pytest.mark.parametrize("key", ["transactional.id", "bootstrap.servers", "error_cb"])
def test_what_cannot_move_is_refused(profile: Profile, key: str) -> None:
    with pytest.raises(ValueError, match=key):
        FailoverProducer(profile, {key: "x"})  # type: ignore[arg-type]
