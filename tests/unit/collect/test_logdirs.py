"""What brokers say of their log directories: answers, failures and whose fault they are."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from healthd.collect.logdirs import LogDirsSource, broker_section, log_dirs_of, seen_of
from healthd.collect.observation import Address, FailureReason, Origin
from healthd.collect.side import SideContext, SideSeen
from healthd.collect.target import ClusterTarget
from healthd.collect.wire import WireError

TIB = 1 << 40


def row(path: str = "/data", *, error: int = 0, **fields: Any) -> SimpleNamespace:
    return SimpleNamespace(log_dir=path, error_code=error, topics=[], **fields)


def answer(*rows: SimpleNamespace, error: int = 0) -> SimpleNamespace:
    return SimpleNamespace(error_code=error, results=list(rows))


def test_the_fullest_directory_counts_and_lost_ones_are_counted() -> None:
    dirs = log_dirs_of(
        answer(
            row("/a", total_bytes=100, usable_bytes=60),
            row("/b", total_bytes=200, usable_bytes=50),
            row("/c", error=56, total_bytes=-1, usable_bytes=-1),
        )
    )
    seen = seen_of(dirs, at=7.0)
    assert (seen.used_ratio, seen.offline, seen.at) == (0.75, 1, 7.0)
    assert broker_section(3, dirs) == {
        "broker": 3,
        "directories": 3,
        "offline": ["/c"],
        "fullest": {"path": "/b", "usedRatio": 0.75, "usableBytes": 50, "totalBytes": 200},
    }


@pytest.mark.parametrize(
    "fields",
    [{}, {"total_bytes": -1, "usable_bytes": -1}, {"total_bytes": 0, "usable_bytes": 0}],
    ids=["before-3.3", "unknown", "empty-volume"],
)
def test_a_broker_that_gives_no_sizes_is_unknown_and_not_empty(fields: dict[str, Any]) -> None:
    seen = seen_of(log_dirs_of(answer(row(**fields))), at=0.0)
    assert seen.used_ratio is None
    assert seen.offline == 0


def test_more_usable_than_total_is_not_below_zero() -> None:
    # A volume that grew between the two questions.
    dirs = log_dirs_of(answer(row(total_bytes=TIB, usable_bytes=2 * TIB)))
    assert seen_of(dirs, at=0.0).used_ratio == 0


@pytest.mark.parametrize(
    "denied", [answer(error=31), answer()], ids=["top-level", "empty-before-version-3"]
)
def test_no_right_to_describe_is_our_lack_of_an_acl(denied: SimpleNamespace) -> None:
    with pytest.raises(WireError) as raised:
        log_dirs_of(denied)
    assert (raised.value.reason, raised.value.origin) == (
        FailureReason.AUTHORIZATION,
        Origin.OURS,
    )


def test_an_error_of_a_directory_that_is_not_its_loss_is_no_answer() -> None:
    with pytest.raises(WireError, match="Unknown"):
        log_dirs_of(answer(row(error=-1)))


class Wire:
    """A client whose answers are set."""

    def __init__(self, answers: dict[int, Any]) -> None:
        self.answers = answers
        self.refreshed = 0

    def brokers(self) -> tuple[int, ...]:
        return tuple(self.answers)

    def send_all(self, requests: dict[int, Any]) -> dict[int, Any]:
        missing = WireError(FailureReason.PROTOCOL, Origin.THEIRS, "UnknownBrokerIdError")
        return {node: self.answers.get(node, missing) for node in requests}

    def refresh(self) -> None:
        self.refreshed += 1

    def close(self) -> None:
        """Nothing to close."""


async def read(wire: Wire, *nodes: int, now: float = 5.0, source: Any = None) -> SideSeen:
    source = source or a_source(wire)
    brokers = {node: Address(host=f"b{node}", port=9092) for node in nodes}
    context = SideContext(brokers=brokers, now=now, wall=datetime(2026, 1, 1, tzinfo=UTC))
    seen: SideSeen = await source.read(context)
    return seen


def a_source(wire: Wire) -> LogDirsSource:
    source = LogDirsSource(ClusterTarget(name="payments", bootstrap_servers=("b1:9092",)))
    source._client = wire  # type: ignore[assignment]
    return source


FULL = answer(row(total_bytes=100, usable_bytes=10))
LATE = WireError(FailureReason.TIMEOUT, Origin.OURS, "KafkaTimeoutError")


async def test_one_silent_broker_costs_its_own_value_only_and_is_no_fault_of_ours() -> None:
    wire = Wire({1: FULL, 2: LATE})
    seen = await read(wire, 1, 2)
    assert {node: one.used_ratio for node, one in (seen.log_dirs or {}).items()} == {1: 0.9}
    (failure,) = seen.failures
    assert (failure.node, failure.origin, failure.check) == (2, Origin.THEIRS, None)
    assert wire.refreshed == 1


async def test_nobody_answering_is_one_failure_of_our_own_way() -> None:
    seen = await read(Wire({1: LATE, 2: LATE}), 1, 2)
    (failure,) = seen.failures
    assert (failure.node, failure.origin, failure.reason) == (
        None,
        Origin.OURS,
        FailureReason.TIMEOUT,
    )
    assert seen.section is None
    assert not seen.log_dirs


async def test_a_missing_acl_is_named_once_with_what_to_grant() -> None:
    seen = await read(Wire({1: answer(error=31), 2: answer(error=31)}), 1, 2)
    (failure,) = seen.failures
    assert failure.reason is FailureReason.AUTHORIZATION
    assert "grant Describe on Cluster:kafka-cluster" in failure.detail


async def test_a_broker_that_falls_silent_keeps_its_line_in_the_section_with_its_age() -> None:
    wire = Wire({1: FULL, 2: FULL})
    source = a_source(wire)
    await read(wire, 1, 2, now=10.0, source=source)
    wire.answers[2] = LATE
    seen = await read(wire, 1, 2, now=25.0, source=source)
    assert seen.section is not None
    silent = [entry.get("silentSeconds") for entry in seen.section["brokers"]]
    assert silent == [None, 15.0]
    # One that has left the cluster leaves the section.
    gone = await read(wire, 1, now=40.0, source=source)
    assert gone.section is not None
    assert [entry["broker"] for entry in gone.section["brokers"]] == [1]


async def test_before_the_first_metadata_the_client_s_own_brokers_are_asked() -> None:
    seen = await read(Wire({4: FULL}))
    assert set(seen.log_dirs or {}) == {4}
