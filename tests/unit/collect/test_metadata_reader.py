"""Which broker is asked for metadata, and when librdkafka is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from support.metadata_answers import Row, State, as_bytes

from healthd.collect.admin import MetadataClient
from healthd.collect.metadata_reader import REST_ROUNDS, MetadataReader
from healthd.collect.observation import (
    FailureReason,
    MetadataSeen,
    Origin,
    Source,
    SourceFailure,
)
from healthd.collect.raw_request import RawMetadata
from healthd.collect.target import ClusterTarget
from healthd.collect.wire import UnsupportedError, WireClient, WireError
from healthd.model.snapshot import Topic

TARGET = ClusterTarget(name="a", bootstrap_servers=("b1:9092",), request_timeout_seconds=2.0)
STATE = State(topics={"orders": (Row(id=0, leader=1, replicas=(1, 2), isr=(1, 2)),)})
GOOD = as_bytes(STATE, 13)
TIMED_OUT = WireError(FailureReason.TIMEOUT, Origin.OURS, "timed out")
REFUSED = WireError(FailureReason.REFUSED, Origin.THEIRS, "refused")
EXPIRED = WireError(FailureReason.TLS, Origin.THEIRS, "the certificate has expired")
THROUGH_LIBRDKAFKA = MetadataSeen(answered_by=9, brokers={}, topics=(), partition_count=0)


@dataclass
class Scene:
    """Brokers that answer as told, on a clock that only their time-outs move."""

    answers: dict[int, RawMetadata | WireError] = field(default_factory=dict)
    bootstrap: WireError | None = None
    now: float = 0.0
    asked: list[int] = field(default_factory=list)
    others: list["Other"] = field(default_factory=list)
    other_says: MetadataSeen | SourceFailure = THROUGH_LIBRDKAFKA
    wire_closed: int = 0

    def reader(self) -> MetadataReader:
        return MetadataReader(
            TARGET,
            wire=cast("WireClient", self),
            through_librdkafka=cast("Callable[[ClusterTarget], MetadataClient]", self._other),
            clock=lambda: self.now,
        )

    def brokers(self) -> tuple[int, ...]:
        if self.bootstrap is not None:
            raise self.bootstrap
        return tuple(sorted(self.answers))

    def send(self, _request: object, node: int) -> RawMetadata:
        self.asked.append(node)
        answer = self.answers[node]
        if isinstance(answer, WireError):
            self.now += TARGET.attempt_seconds if answer is TIMED_OUT else 0.01
            raise answer
        return answer

    def refresh(self) -> None:
        """Nothing to look at again."""

    def close(self) -> None:
        self.wire_closed += 1

    def _other(self, _target: ClusterTarget) -> "Other":
        self.others.append(Other(self))
        return self.others[-1]


@dataclass
class Other:
    """librdkafka."""

    scene: Scene
    attempts: list[int] = field(default_factory=list)
    is_closed: bool = False

    def read(self, _previous: Mapping[str, Topic], *, attempts: int) -> Any:
        self.attempts.append(attempts)
        return self.scene.other_says

    def close(self) -> None:
        self.is_closed = True


def seen(found: MetadataSeen | SourceFailure) -> MetadataSeen:
    assert isinstance(found, MetadataSeen)
    return found


def test_the_same_broker_is_asked_as_long_as_it_answers() -> None:
    scene = Scene(dict.fromkeys((3, 1, 2), GOOD))
    reader = scene.reader()
    for _ in range(3):
        assert seen(reader.read({})).answered_by == 1
    assert scene.asked == [1, 1, 1]
    assert scene.others == []


def test_a_frozen_broker_costs_one_time_out_and_the_next_one_is_asked_from_then_on() -> None:
    scene = Scene({1: TIMED_OUT, 2: GOOD, 3: GOOD})
    reader = scene.reader()
    assert seen(reader.read({})).answered_by == 2
    assert seen(reader.read({})).answered_by == 2
    assert scene.asked == [1, 2, 2]


def test_two_frozen_brokers_are_a_round_without_metadata() -> None:
    scene = Scene({1: TIMED_OUT, 2: TIMED_OUT, 3: GOOD})
    found = scene.reader().read({})
    assert isinstance(found, SourceFailure)
    assert (found.reason, found.origin) == (FailureReason.TIMEOUT, Origin.OURS)
    assert "broker 1 timed out; broker 2 timed out" in found.detail
    assert scene.now <= 2 * TARGET.attempt_seconds
    assert scene.others == []


def test_brokers_that_refuse_at_once_cost_no_attempt() -> None:
    scene = Scene({1: REFUSED, 2: REFUSED, 3: REFUSED, 4: GOOD})
    assert seen(scene.reader().read({})).answered_by == 4


def test_a_broker_that_does_not_let_us_in_is_passed_over() -> None:
    scene = Scene({1: EXPIRED, 2: GOOD})
    assert seen(scene.reader().read({})).answered_by == 2


def test_when_nobody_lets_us_in_librdkafka_is_not_asked_for_it_knows_less() -> None:
    for scene in (Scene({1: REFUSED, 2: EXPIRED}), Scene(bootstrap=EXPIRED)):
        found = scene.reader().read({})
        assert isinstance(found, SourceFailure)
        assert (found.reason, found.origin) == (FailureReason.TLS, Origin.THEIRS)
        assert found.detail == "No metadata: the certificate has expired."
        assert scene.others == []


def test_a_broker_that_was_not_believed_is_left_for_the_next_going_round() -> None:
    scene = Scene(dict.fromkeys((1, 2, 5), GOOD))
    reader = scene.reader()
    asked = []
    for _ in range(4):
        found = seen(reader.read({}))
        asked.append(found.answered_by)
        reader.turn_away(found.answered_by)
    assert asked == [1, 2, 5, 1]


def test_librdkafka_tells_why_nobody_can_be_reached() -> None:
    scene = Scene(bootstrap=TIMED_OUT)
    scene.other_says = SourceFailure(
        source=Source.METADATA,
        origin=Origin.OURS,
        reason=FailureReason.AUTHENTICATION,
        detail="our credentials were refused",
    )
    assert scene.reader().read({}) is scene.other_says
    assert [other.attempts for other in scene.others] == [[1]]


def test_librdkafka_is_let_go_of_when_the_raw_way_works_again() -> None:
    scene = Scene({1: GOOD}, bootstrap=TIMED_OUT)
    reader = scene.reader()
    assert seen(reader.read({})).answered_by == 9
    scene.bootstrap = None
    assert seen(reader.read({})).answered_by == 1
    assert scene.others[0].is_closed


def test_brokers_with_other_addresses_are_found_again_through_librdkafka() -> None:
    scene = Scene({1: REFUSED})
    assert seen(scene.reader().read({})).answered_by == 9
    # The next round begins with the bootstrap servers.
    assert scene.wire_closed == 1


@pytest.mark.parametrize(
    ("answer", "failures"),
    [
        pytest.param(
            UnsupportedError(FailureReason.PROTOCOL, Origin.OURS, "version 9"), 0, id="too-old"
        ),
        pytest.param(RawMetadata(13, GOOD.body[:-3]), 1, id="cut-off"),
    ],
)
def test_what_cannot_be_read_is_read_through_librdkafka_for_a_while(
    answer: RawMetadata | WireError, failures: int, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene({1: answer, 2: GOOD})
    reader = scene.reader()
    assert seen(reader.read({})).answered_by == 9
    assert [failure.reason for failure in reader.failures] == [FailureReason.PROTOCOL] * failures
    for _ in range(REST_ROUNDS):
        assert seen(reader.read({})).answered_by == 9
        assert reader.failures == ()
    assert scene.asked == [1]
    scene.answers[1] = GOOD
    assert seen(reader.read({})).answered_by == 1
    assert len(caplog.records) == 1
