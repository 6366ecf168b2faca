"""Holds from one snapshot about evidence, cluster and nodes (restart-safety.md section 2)."""

from typing import Any

import pytest
from support.snapshots import (
    a_broker,
    a_controller,
    a_partition,
    a_quorum,
    a_snapshot,
    a_topic,
    ages,
)

from healthd.model.snapshot import Broker, ClusterSnapshot, Quorum, Voter
from healthd.model.words import BrokerState, EvidenceGroup, Excluded, QuorumMode
from healthd.safety.acknowledgements import Acknowledgements
from healthd.safety.gate import repairs_among, snapshot_holds


def holds(snapshot: ClusterSnapshot, **changes: Any) -> list[tuple[str, str]]:
    found = snapshot_holds(snapshot, **changes)
    assert all(reason.detail for reason in found)
    return [(reason.code.value, reason.object) for reason in found]


def with_node(node: Broker) -> ClusterSnapshot:
    """A healthy cluster in which broker 4 holds no replica and is as given."""
    return a_snapshot(brokers=(a_broker(1), a_broker(2), a_broker(3), node))


def test_a_healthy_snapshot_is_clear() -> None:
    assert holds(a_snapshot()) == []


@pytest.mark.parametrize("group", ["metadata", "quorum", "metrics", "probe"])
@pytest.mark.parametrize(
    ("age", "expected"),
    [
        pytest.param(30.0, None, id="two intervals"),
        pytest.param(30.1, "EVIDENCE_STALE", id="more"),
        pytest.param(None, "EVIDENCE_MISSING", id="never seen"),
        pytest.param("-", None, id="not configured"),
    ],
)
def test_evidence_is_at_most_two_intervals_old(
    group: str, age: float | str | None, expected: str | None
) -> None:
    if (group, age) == ("metadata", "-"):
        expected = "EVIDENCE_MISSING"  # Metadata always is configured.
    found = holds(a_snapshot(ages=ages(**{group: age})))
    assert found == ([(expected, f"source:{group}")] if expected else [])


@pytest.mark.parametrize(
    ("age", "expected"),
    [(300.0, []), (300.1, [("EVIDENCE_STALE", "source:configs")])],
    ids=["20 intervals", "more"],
)
def test_configs_may_be_twenty_intervals_old(age: float, expected: list[tuple[str, str]]) -> None:
    assert holds(a_snapshot(ages=ages(configs=age))) == expected


def test_limits_follow_the_interval() -> None:
    snapshot = a_snapshot(interval_seconds=5.0, ages=ages(metadata=10.1, quorum=10.0))
    assert holds(snapshot) == [("EVIDENCE_STALE", "source:metadata")]


def test_without_ages_what_is_in_the_snapshot_is_fresh() -> None:
    assert holds(a_snapshot(ages=None)) == []


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        pytest.param({"metrics_age_seconds": 30.0}, [], id="its own age is fresh"),
        pytest.param(
            {"metrics_age_seconds": 31.0}, [("EVIDENCE_STALE", "broker:4")], id="it is too old"
        ),
        pytest.param(
            {"request_handler_idle": None, "disk_used_ratio": None, "offline_log_dirs": None},
            [("EVIDENCE_MISSING", "broker:4")], id="nothing of it was seen",
        ),
        pytest.param(
            {"request_handler_idle": None, "disk_used_ratio": None},
            [("EVIDENCE_MISSING", "broker:4")], id="none of its metrics was seen",
        ),
        pytest.param({"request_handler_idle": None}, [], id="some of its metrics were seen"),
        pytest.param(
            {"metrics_age_seconds": 31.0, "alive": False}, [("BROKER_DOWN", "broker:4")],
            id="a dead broker needs none",
        ),
    ],
)  # fmt: skip
def test_every_alive_broker_has_fresh_metrics(
    node: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    snapshot = with_node(a_broker(4, **node))
    assert holds(snapshot) == expected
    assert holds(snapshot, in_flight={4}) == []
    assert holds(snapshot, repairs={4}) == []


def test_pure_controllers_need_no_metrics_of_a_broker() -> None:
    node = a_controller(4, request_handler_idle=None, disk_used_ratio=None, offline_log_dirs=None)
    assert holds(with_node(node)) == []
    assert holds(with_node(a_controller(4, metrics_age_seconds=500.0))) == []


@pytest.mark.parametrize("age", [31.0, None], ids=["stale", "never seen"])
def test_a_stale_group_is_held_once_and_not_for_each_broker(age: float | None) -> None:
    snapshot = a_snapshot(
        brokers=tuple(a_broker(node, metrics_age_seconds=50.0) for node in (1, 2, 3, 4)),
        ages=ages(metrics=age),
    )
    assert [name for _, name in holds(snapshot)] == ["source:metrics"]


def test_metrics_that_are_not_configured_are_not_asked() -> None:
    node = a_broker(4, state=BrokerState.UNKNOWN, metrics_age_seconds=900.0)
    snapshot = a_snapshot(
        brokers=(a_broker(1), a_broker(2), a_broker(3), node), ages=ages(metrics="-")
    )
    assert holds(snapshot) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"unreachable": True}, ["UNREACHABLE"], id="unreachable"),
        pytest.param({"unreachable": None}, [], id="unreachable unknown"),
        pytest.param({"quorum": None}, ["QUORUM_UNKNOWN"], id="no quorum"),
        pytest.param(
            {"quorum": a_quorum(fetch_timeout_ms=None)}, ["QUORUM_UNKNOWN"], id="no time-out"
        ),
        pytest.param(
            {"quorum": a_quorum(leader_id=7)}, ["QUORUM_UNKNOWN"], id="leader is no voter"
        ),
        pytest.param({"quorum": a_quorum(leader_id=None)}, ["QUORUM_UNKNOWN"], id="no leader id"),
        pytest.param({"quorum": a_quorum(voters=())}, ["QUORUM_UNKNOWN"], id="no voters"),
        pytest.param(
            {"quorum": a_quorum(2, voters=(Voter(id=1), Voter(id=2)))},
            ["QUORUM_UNKNOWN"], id="the leader's time is missing: nobody is called behind",
        ),
        pytest.param(
            {"quorum": a_quorum(absent_seconds=3)}, ["CONTROLLER_ABSENT"], id="absent for 3 s"
        ),
        pytest.param(
            {"quorum": a_quorum(leader_id=-1, absent_seconds=None)},
            ["CONTROLLER_ABSENT", "QUORUM_UNKNOWN"], id="no leader",
        ),
        pytest.param(
            {"quorum": Quorum(mode=QuorumMode.ZOOKEEPER, leader_id=2)}, [], id="zookeeper"
        ),
        pytest.param(
            {"quorum": Quorum(mode=QuorumMode.ZOOKEEPER)}, ["QUORUM_UNKNOWN"],
            id="zookeeper, nothing known",
        ),
        pytest.param(
            {"quorum": Quorum(mode=QuorumMode.ZOOKEEPER, absent_seconds=0)}, [],
            id="zookeeper, somebody is active",
        ),
        pytest.param(
            {"quorum": Quorum(mode=QuorumMode.ZOOKEEPER, leader_id=-1)}, ["CONTROLLER_ABSENT"],
            id="zookeeper, nobody is active",
        ),
        pytest.param({"reassignments": 2}, ["REASSIGNMENT"], id="reassignments by number"),
        pytest.param({"reassignments": None}, [], id="reassignments not known"),
    ],
)  # fmt: skip
def test_holds_about_the_cluster(changes: dict[str, Any], expected: list[str]) -> None:
    found = holds(a_snapshot(**changes), in_flight={1}, repairs={4})
    assert found == [(code, "cluster:payments") for code in expected]


@pytest.mark.parametrize("excluded", [None, *Excluded])
def test_a_reassignment_names_its_partitions_and_not_the_cluster(
    excluded: Excluded | None,
) -> None:
    rows = [
        a_partition(0, replicas=(1, 2, 3, 4), adding=frozenset({4})),
        a_partition(1, removing=frozenset({3})),
        a_partition(2),
    ]
    snapshot = a_snapshot(a_topic("t", rows, excluded=excluded), reassignments=5)
    assert holds(snapshot) == [("REASSIGNMENT", "t-0"), ("REASSIGNMENT", "t-1")]


STATES = [
    pytest.param({"alive": False, "fenced": True}, "BROKER_DOWN", id="not alive"),
    pytest.param({"fenced": True, "state": BrokerState.STARTING}, "BROKER_FENCED", id="fenced"),
    pytest.param({"state": BrokerState.STARTING}, "BROKER_STARTING", id="starting"),
    pytest.param({"state": BrokerState.RECOVERY}, "BROKER_RECOVERING", id="recovery"),
    pytest.param(
        {"state": BrokerState.PENDING_CONTROLLED_SHUTDOWN}, "BROKER_STOPPING", id="asked to stop"
    ),
    pytest.param({"state": BrokerState.SHUTTING_DOWN}, "BROKER_STOPPING", id="stopping"),
    pytest.param({"state": BrokerState.NOT_RUNNING}, "BROKER_NOT_RUNNING", id="not running"),
    pytest.param({"state": BrokerState.UNKNOWN}, "BROKER_STATE_UNKNOWN", id="unknown"),
    pytest.param({"state": BrokerState.RUNNING}, None, id="running"),
]


@pytest.mark.parametrize(("node", "expected"), STATES)
def test_a_node_has_one_hold_the_first_that_matches(
    node: dict[str, Any], expected: str | None
) -> None:
    snapshot = with_node(a_broker(4, **node))
    assert holds(snapshot) == ([(expected, "broker:4")] if expected else [])
    assert holds(snapshot, in_flight={4}) == []
    assert holds(snapshot, repairs={4}) == []


@pytest.mark.parametrize(("node", "expected"), STATES)
def test_a_pure_controller_is_held_only_while_it_starts_recovers_or_stops(
    node: dict[str, Any], expected: str | None
) -> None:
    found = holds(with_node(a_controller(4, **node)))
    if node.get("state") is BrokerState.STARTING:
        expected = "BROKER_STARTING"  # Fenced is nothing that a controller can be.
    telling = {"BROKER_STARTING", "BROKER_RECOVERING", "BROKER_STOPPING"}
    assert found == ([(expected, "broker:4")] if expected in telling else [])


def test_an_id_that_only_replica_lists_name_is_down_unless_it_is_the_wave_s_own() -> None:
    topic = a_topic("t", [a_partition(replicas=(1, 2, 9), isr=(1, 2))])
    snapshot = a_snapshot(topic)
    assert ("BROKER_DOWN", "broker:9") in holds(snapshot)
    assert holds(snapshot, in_flight={9}) == []


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        pytest.param({}, [("VOTER_BEHIND", "node:2"), ("VOTER_BEHIND", "node:3")], id="nobody"),
        pytest.param({"in_flight": {2}}, [("VOTER_BEHIND", "node:3")], id="one in flight"),
        pytest.param({"repairs": {3}}, [("VOTER_BEHIND", "node:2")], id="one waits for repair"),
    ],
)
def test_voters_behind_hold_unless_they_are_the_wave_s_own(
    own: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert holds(a_snapshot(quorum=a_quorum(2, 3)), **own) == expected


def test_the_servers_of_zookeeper_are_never_behind() -> None:
    quorum = a_quorum(2, 3, mode=QuorumMode.ZOOKEEPER)
    assert holds(a_snapshot(quorum=quorum)) == []


def test_metadata_alone_closes_the_gate() -> None:
    """As kcat gives it: unknown minimum, configs and quorum never seen."""
    nodes = tuple(Broker(id=node, alive=True) for node in (1, 2, 3))
    snapshot = a_snapshot(
        a_topic(min_insync_replicas=None),
        brokers=nodes,
        quorum=None,
        ages={EvidenceGroup.METADATA: 0, EvidenceGroup.CONFIGS: None, EvidenceGroup.QUORUM: None},
    )
    assert set(holds(snapshot)) == {
        ("QUORUM_UNKNOWN", "cluster:payments"),
        ("EVIDENCE_MISSING", "source:configs"),
        ("EVIDENCE_MISSING", "source:quorum"),
        ("MIN_ISR_UNKNOWN", "orders-0"),
    }
    assumed = holds(snapshot, acknowledged=Acknowledgements(assume_min_isr=2))
    assert ("MIN_ISR_UNKNOWN", "orders-0") not in assumed


def test_nodes_that_are_down_fenced_or_not_running_are_repairs_of_ok_to_stop() -> None:
    nodes = (
        a_broker(1),
        a_broker(2, alive=False),
        a_broker(3, fenced=True),
        a_broker(4, state=BrokerState.NOT_RUNNING),
        a_broker(5, alive=False),
        a_broker(6, state=BrokerState.SHUTTING_DOWN),
    )
    assert repairs_among(a_snapshot(brokers=nodes), {1, 2, 3, 4, 6}) == {2, 3, 4}
