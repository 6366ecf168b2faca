"""What a node's page means, given what else is known of the node."""

from datetime import UTC, datetime

import pytest

from healthd.collect.assemble import Assembled, assemble
from healthd.collect.observation import (
    Address,
    BrokerSignals,
    ClusterNode,
    MetadataSeen,
    Observations,
    PageSeen,
    QuorumSeen,
)
from healthd.collect.state import LastValues, Moment
from healthd.collect.target import ClusterTarget, NodeTarget
from healthd.model.snapshot import Broker, Voter
from healthd.model.words import BrokerState, QuorumMode

TARGET = ClusterTarget(
    name="payments",
    bootstrap_servers=("b1:9092",),
    nodes={1: NodeTarget(id=1, host="b1", exporter_url="http://b1/")},
)
COMBINED = QuorumSeen(leader_id=1, voters=(Voter(id=1, last_caught_up_ms=1, log_end_offset=5),))
ENSEMBLE = QuorumSeen(leader_id=1, mode=QuorumMode.ZOOKEEPER)


def page(idle: float | None, version: str | None) -> PageSeen:
    signals = BrokerSignals(
        state=BrokerState.RUNNING, idle_ratio=idle, version=version, active_controllers=1
    )
    return PageSeen(signals=signals, at=0.0)


def seen(
    idle: float | None = 0.4,
    version: str | None = None,
    *,
    release: str | None = None,
    quorum: QuorumSeen | None = COMBINED,
    last: LastValues | None = None,
) -> Assembled:
    observed = Observations(
        metadata=MetadataSeen(
            answered_by=1,
            brokers={1: Address(host="b1", port=9092)},
            topics=(),
            partition_count=0,
        ),
        quorum=quorum,
        quorum_configured=quorum is not None,
        any_answered=True,
        cluster_nodes={1: ClusterNode(id=1, host="b1")},
        pages={1: page(idle, version)},
        releases={} if release is None else {1: release},
    )
    moment = Moment(monotonic=0.0, wall=datetime(2026, 1, 1, tzinfo=UTC))
    return assemble(TARGET, last or LastValues(), observed, began=0.0, now=moment)


def only(assembled: Assembled) -> Broker:
    (broker,) = assembled.snapshot.brokers
    return broker


@pytest.mark.parametrize(
    ("version", "release", "idle"),
    [
        pytest.param("4.1.0", None, 0.0, id="page-says-4.1"),
        pytest.param(None, "4.1", 0.0, id="broker-says-4.1"),
        pytest.param("4.2.0", None, None, id="page-says-4.2"),
        pytest.param(None, "4.2", None, id="broker-says-4.2"),
        pytest.param(None, None, None, id="nobody-says"),
        pytest.param("4.1.0", "4.2", 0.0, id="page-is-newer-than-the-answer"),
    ],
)
def test_the_release_decides_what_a_small_ratio_of_a_combined_node_is(
    version: str | None, release: str | None, idle: float | None
) -> None:
    # 0.4 is a sum with a controller's pool that is idle all the time, or a mean.
    assert only(seen(0.4, version, release=release)).request_handler_idle == idle


@pytest.mark.parametrize("quorum", [ENSEMBLE, None], ids=["seen", "not-configured"])
def test_with_zookeeper_every_broker_has_controller_gauges_and_one_pool(
    quorum: QuorumSeen | None,
) -> None:
    assert only(seen(0.4, "3.9.1", quorum=quorum)).request_handler_idle == 0.4


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        pytest.param("4.1.0", "4.1", "4.1.0", id="same-release"),
        pytest.param("4.1.0", "4.2", "4.2", id="upgraded"),
        pytest.param("4.10.0", "4.1", "4.1", id="not-a-beginning-of-a-number"),
        pytest.param(None, "4.1", "4.1", id="first"),
        pytest.param("4.1.0", None, "4.1.0", id="not-told-now"),
    ],
)
def test_the_version_is_the_newest_that_was_told(
    before: str | None, now: str | None, expected: str
) -> None:
    first = seen(version=before)
    assert only(seen(release=now, last=first.last)).version == expected
