"""What a snapshot says of itself: ages, absences, holders, partitions in columns."""

import math
from typing import Any

import pytest
from support.snapshots import (
    a_broker,
    a_controller,
    a_partition,
    a_snapshot,
    a_topic,
    ages,
)

from healthd.model.snapshot import Partition, Quorum, Topic
from healthd.model.words import EvidenceGroup, Excluded, QuorumMode, Role


@pytest.mark.parametrize(
    ("leader", "absent", "expected"),
    [
        pytest.param(1, None, 0, id="led"),
        pytest.param(-1, None, 90, id="not led"),
        pytest.param(None, None, None, id="unknown"),
        pytest.param(None, 7, 7, id="only the seconds"),
        pytest.param(1, 7, 7, id="the seconds over the leader"),
        pytest.param(-1, 0, 0, id="the seconds over no leader"),
    ],
)
def test_seconds_without_a_controller(
    leader: int | None, absent: float | None, expected: float | None
) -> None:
    quorum = Quorum(mode=QuorumMode.KRAFT, leader_id=leader, absent_seconds=absent)
    assert quorum.controller_absent_seconds == expected


def test_ages_as_written() -> None:
    snapshot = a_snapshot(ages=ages(metadata=3.0, configs=None, probe="-"))
    assert snapshot.age(EvidenceGroup.METADATA) == 3
    assert snapshot.age(EvidenceGroup.CONFIGS) == math.inf
    assert snapshot.age(EvidenceGroup.PROBE) is None


def test_metadata_is_always_configured() -> None:
    assert a_snapshot(ages={}).effective_ages == {EvidenceGroup.METADATA: math.inf}


def test_without_ages_groups_with_data_are_fresh_and_the_rest_not_configured() -> None:
    everything = a_snapshot(ages=None).effective_ages
    assert everything == dict.fromkeys(EvidenceGroup, 0.0)
    nothing = a_snapshot(
        a_topic(min_insync_replicas=None),
        ages=None,
        quorum=None,
        probe=None,
        brokers=(a_broker(1, request_handler_idle=None, disk_used_ratio=None), a_controller(2)),
    )
    assert nothing.effective_ages == {EvidenceGroup.METADATA: 0.0}


@pytest.mark.parametrize(
    "value", [{"request_handler_idle": 0.5}, {"disk_used_ratio": 0.5}], ids=["idle", "disk"]
)
def test_one_value_of_one_broker_configures_metrics(value: dict[str, Any]) -> None:
    bare = {"request_handler_idle": None, "disk_used_ratio": None}
    snapshot = a_snapshot(
        ages=None, brokers=(a_broker(1, **bare), a_broker(2, **{**bare, **value}))
    )
    assert snapshot.age(EvidenceGroup.METRICS) == 0


def test_a_broker_without_an_age_of_its_own_is_as_old_as_the_group() -> None:
    snapshot = a_snapshot(ages=ages(metrics=4.0))
    assert snapshot.metrics_age(a_broker(1)) == 4
    assert snapshot.metrics_age(a_broker(1, metrics_age_seconds=9.0)) == 9
    assert a_snapshot(ages=ages(metrics="-")).metrics_age(a_broker(1)) is None


def test_holders_of_replicas() -> None:
    snapshot = a_snapshot(
        a_topic("t", [a_partition(replicas=(1, 2, 9), adding=frozenset({9}))]),
        a_topic("dying", [a_partition(replicas=(8,), isr=())], excluded=Excluded.DELETING),
    )
    assert snapshot.replica_holders == {1, 2, 9}
    assert snapshot.unlisted_holders == {8, 9}


def test_brokers_by_id() -> None:
    nodes = (a_broker(2), a_broker(1))
    assert a_snapshot(brokers=nodes).brokers_by_id == {1: nodes[1], 2: nodes[0]}


@pytest.mark.parametrize(
    ("changes", "down"),
    [({}, False), ({"alive": False}, True), ({"fenced": True}, True)],
    ids=["alive", "not alive", "fenced"],
)
def test_a_broker_is_down(changes: dict[str, bool], *, down: bool) -> None:
    assert a_broker(1, **changes).is_down is down


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        (None, False),
        (frozenset(), False),
        (frozenset({Role.BROKER}), False),
        (frozenset(Role), False),
        (frozenset({Role.CONTROLLER}), True),
    ],
    ids=["unknown", "none", "broker", "both", "controller"],
)
def test_a_pure_controller(roles: frozenset[Role] | None, *, expected: bool) -> None:
    assert a_broker(1, roles=roles).is_pure_controller is expected


def test_a_topic_gives_back_the_partitions_it_was_made_of() -> None:
    rows = [
        a_partition(0),
        a_partition(7, leader=-1, isr=(2,), elr=frozenset({3}), leaderless_seconds=0.0),
        a_partition(1, adding=frozenset({3}), removing=frozenset({1})),
    ]
    topic = Topic.of("t", rows)
    assert list(topic) == rows
    assert len(topic) == 3
    assert topic.label(1) == "t-7"
    assert topic.adding.keys() == topic.removing.keys() == {2}
    assert topic.elr.keys() == topic.leaderless_seconds.keys() == {1}


def test_an_isr_of_all_replicas_is_their_very_tuple() -> None:
    topic = Topic.of(
        "t",
        [
            Partition(id=0, leader=1, replicas=(1, 2), isr=(2, 1)),
            Partition(id=1, leader=1, replicas=(1, 2), isr=(1, 3)),
        ],
    )
    assert topic.isrs[0] is topic.replicas[0]
    assert topic.isrs[1] == (1, 3)
