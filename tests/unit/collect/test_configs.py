"""Which min.insync.replicas is in force, and how it is read."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from healthd.collect.configs import (
    TOPICS_A_REQUEST,
    ConfigReader,
    ConfigSource,
    Setting,
    effective_min_isr,
)
from healthd.collect.observation import FailureReason, Origin
from healthd.collect.wire import BROKER_RESOURCE, WireError

STATIC_1 = Setting(1, ConfigSource.STATIC)
STATIC_2 = Setting(2, ConfigSource.STATIC)


@pytest.mark.parametrize(
    ("own", "brokers", "expected"),
    [
        pytest.param(
            Setting(3, ConfigSource.TOPIC), {1: STATIC_1, 2: None}, 3, id="of-the-topic-itself"
        ),
        pytest.param(STATIC_1, {1: STATIC_1, 2: STATIC_2}, 2, id="largest-of-the-files"),
        pytest.param(
            Setting(1, ConfigSource.DEFAULT), {1: Setting(1, ConfigSource.DEFAULT)}, 1, id="default"
        ),
        pytest.param(
            Setting(2, ConfigSource.CLUSTER),
            {1: Setting(2, ConfigSource.CLUSTER), 2: Setting(2, ConfigSource.CLUSTER)},
            2,
            id="of-the-cluster",
        ),
        pytest.param(
            Setting(2, ConfigSource.CLUSTER),
            {1: Setting(3, ConfigSource.BROKER), 2: Setting(2, ConfigSource.CLUSTER)},
            3,
            id="overridden-on-one-broker",
        ),
        pytest.param(STATIC_1, {1: STATIC_1, 2: None}, None, id="a-broker-is-silent"),
        pytest.param(STATIC_1, {}, None, id="no-broker-is-alive"),
    ],
)
def test_value_in_force(
    own: Setting, brokers: dict[int, Setting | None], expected: int | None
) -> None:
    assert effective_min_isr(own, brokers) == expected


class Wire:
    """Answers DescribeConfigs from a table; fails where the table says so."""

    def __init__(self, *, topic_source: ConfigSource, denied: Iterable[str] = ()) -> None:
        self.topic_source = topic_source
        self.denied = frozenset(denied)
        """Names of topics, and ids of brokers, that may not be described."""
        self.requests: list[Any] = []
        self.silent: set[int] = set()
        self.forgotten: set[int] = set()
        """Those of the silent ones that a fresh look finds again."""

    def send(self, request: Any, node: int | None = None) -> Any:
        self.requests.append(request)
        return SimpleNamespace(
            results=[
                SimpleNamespace(
                    error_code=29 if row[1] in self.denied else 0,
                    error_message="",
                    resource_name=row[1],
                    configs=[
                        SimpleNamespace(
                            name="min.insync.replicas", value="2", config_source=self.source(row)
                        )
                    ],
                )
                for row in request.resources
            ]
        )

    def refresh(self) -> None:
        self.silent -= self.forgotten

    def send_all(self, requests: dict[int, tuple[int, Any]]) -> dict[int, Any]:
        late = WireError(FailureReason.TIMEOUT, Origin.OURS, "late")
        return {
            key: late if node in self.silent else self.send(request, node)
            for key, (node, request) in requests.items()
        }

    def source(self, row: Any) -> int:
        return 4 if row[0] == BROKER_RESOURCE else int(self.topic_source)


def reader(wire: Wire) -> ConfigReader:
    return ConfigReader(wire, clock=lambda: 0.0, sleep=lambda _: None)  # type: ignore[arg-type]  # A stand-in.


def test_topics_are_asked_for_in_batches() -> None:
    wire = Wire(topic_source=ConfigSource.TOPIC)
    names = [f"t{at}" for at in range(2 * TOPICS_A_REQUEST + 1)]
    found = reader(wire).read(names, [1, 2], 5.0)
    assert len(wire.requests) == 3
    assert found.complete
    assert found.min_insync_replicas == dict.fromkeys(names, 2)


def test_brokers_are_asked_only_when_values_depend_on_them() -> None:
    wire = Wire(topic_source=ConfigSource.STATIC)
    assert reader(wire).read(["t"], [1, 2], 5.0).min_insync_replicas == {"t": 2}
    assert len(wire.requests) == 3


def test_a_silent_broker_leaves_values_unknown_and_is_named() -> None:
    wire = Wire(topic_source=ConfigSource.STATIC)
    wire.silent = {2}
    found = reader(wire).read(["t"], [1, 2], 5.0)
    assert found.min_insync_replicas == {}
    assert not found.complete
    assert "Broker 2" in found.failures[0].detail


def test_a_broker_that_the_client_has_forgotten_is_asked_again_after_a_fresh_look() -> None:
    wire = Wire(topic_source=ConfigSource.STATIC)
    wire.silent = {2}
    wire.forgotten = {2}
    found = reader(wire).read(["t"], [1, 2], 5.0)
    assert found.complete
    assert found.min_insync_replicas == {"t": 2}


def test_what_does_not_fit_into_the_limit_is_left_for_the_next_round() -> None:
    ticks = iter([0.0, 1.0, 9.0, 9.0])
    wire = Wire(topic_source=ConfigSource.TOPIC)
    slow = ConfigReader(wire, clock=lambda: next(ticks))  # type: ignore[arg-type]  # As above.
    found = slow.read([f"t{at}" for at in range(2 * TOPICS_A_REQUEST)], [1], 5.0)
    assert len(found.min_insync_replicas) == TOPICS_A_REQUEST
    assert not found.complete


def test_a_missing_right_is_ours_and_named() -> None:
    wire = Wire(topic_source=ConfigSource.TOPIC, denied=["a", "b", "c", "d"])
    found = reader(wire).read(["a", "b", "c", "d"], [1], 5.0)
    (failure,) = found.failures
    assert (failure.reason, failure.origin) == (FailureReason.AUTHORIZATION, Origin.OURS)
    assert failure.detail == (
        "DescribeConfigs of topic a, b, c and 1 more was refused: grant DescribeConfigs on Topic:*."
    )


def test_what_may_be_described_is_known_although_other_topics_may_not() -> None:
    found = reader(Wire(topic_source=ConfigSource.TOPIC, denied=["b"])).read(["a", "b"], [1], 5.0)
    assert found.min_insync_replicas == {"a": 2}
    assert not found.complete
    assert "topic b was refused" in found.failures[0].detail


def test_brokers_that_may_not_be_described_are_named_and_not_asked_again() -> None:
    wire = Wire(topic_source=ConfigSource.STATIC, denied=["1", "2"])
    found = reader(wire).read(["a"], [1, 2], 5.0)
    assert len(wire.requests) == 3
    (failure,) = found.failures
    assert failure.reason is FailureReason.AUTHORIZATION
    assert failure.detail.endswith("grant DescribeConfigs on Cluster:kafka-cluster.")
