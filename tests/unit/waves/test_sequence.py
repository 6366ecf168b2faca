"""In which order nodes are taken, by their rank on one snapshot."""

from typing import Any

import pytest
from support.snapshots import a_broker, a_controller, a_quorum
from support.waves import brokers, snapshot_at

from healthd.model.snapshot import ClusterSnapshot
from healthd.model.words import BrokerState, QuorumMode, Role
from healthd.waves.sequence import Rank, is_controller, needs_repair, sequence


def in_zookeeper_mode() -> ClusterSnapshot:
    """Brokers 1 to 4, of which 2 is the active controller; the ensemble's ids are 1 to 3, too."""
    return snapshot_at(0.0, quorum=a_quorum(mode=QuorumMode.ZOOKEEPER, leader_id=2))


def test_in_zookeeper_mode_the_active_controller_is_the_last_of_the_brokers() -> None:
    ranked = sequence(in_zookeeper_mode(), (1, 2, 3, 4))
    assert ranked == tuple((Rank.BROKER, node) for node in (1, 3, 4, 2))


def test_without_a_quorum_brokers_go_by_their_ids() -> None:
    ranked = sequence(snapshot_at(0.0, quorum=None), (4, 2, 3, 1))
    assert ranked == tuple((Rank.BROKER, node) for node in (1, 2, 3, 4))


def test_a_node_that_the_cluster_does_not_list_has_no_turn() -> None:
    assert [node for _, node in sequence(snapshot_at(0.0), (9, 4))] == [4]


@pytest.mark.parametrize("mode", QuorumMode)
def test_the_active_controller_is_the_last_repair_of_its_kind(mode: QuorumMode) -> None:
    fenced = brokers(**{f"b{node}": {"fenced": True} for node in (1, 2, 3, 4)})
    snapshot = snapshot_at(0.0, quorum=a_quorum(mode=mode, leader_id=1), brokers=fenced)
    order = {QuorumMode.KRAFT: [2, 3, 1, 4], QuorumMode.ZOOKEEPER: [2, 3, 4, 1]}[mode]
    assert sequence(snapshot, (1, 2, 3, 4)) == tuple((Rank.REPAIR, node) for node in order)


def test_a_controller_is_who_says_so_or_who_votes_in_kraft() -> None:
    says_so, votes, neither = a_controller(7), a_broker(2), a_broker(4)
    combined = a_broker(8, roles=frozenset({Role.BROKER, Role.CONTROLLER}))
    kraft, zookeeper = snapshot_at(0.0), in_zookeeper_mode()
    for broker, in_kraft, in_zookeeper in (
        (says_so, True, True),
        (combined, True, True),
        (votes, True, False),
        (neither, False, False),
    ):
        assert is_controller(kraft, broker) is in_kraft
        assert is_controller(zookeeper, broker) is in_zookeeper


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, False, id="it runs"),
        pytest.param({"alive": False}, True, id="it is down"),
        pytest.param({"fenced": True}, True, id="it is fenced"),
        pytest.param({"state": BrokerState.NOT_RUNNING}, True, id="it does not run"),
        pytest.param({"state": BrokerState.UNKNOWN}, False, id="nobody knows its state"),
    ],
)
def test_who_is_down_fenced_or_not_running_needs_repair(
    changes: dict[str, Any], *, expected: bool
) -> None:
    assert needs_repair(a_broker(1, **changes)) is expected
