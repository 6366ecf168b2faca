"""The checks that one snapshot raises: when, how bad, and about what."""

from dataclasses import replace
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
    topic_of_states,
)

from healthd.health.checks import Check
from healthd.health.history import History, MajorityLost
from healthd.health.index import evaluate
from healthd.health.text import TEXTS
from healthd.model.codes import CheckCode, Severity
from healthd.model.snapshot import ClusterSnapshot, Probe
from healthd.model.words import BrokerState, Excluded, QuorumMode

RACKS = {1: "a", 2: "b", 3: "c", 4: "a"}


def check(snapshot: ClusterSnapshot, code: str, **kwargs: Any) -> Check | None:
    checks = evaluate(snapshot, **kwargs).checks
    return next((found for found in checks if found.code == code), None)


def row(snapshot: ClusterSnapshot, code: str) -> tuple[str, tuple[str, ...]] | None:
    found = check(snapshot, code)
    return None if found is None else (found.severity.value, found.objects)


def brokers(**first: Any) -> dict[str, Any]:
    return {"brokers": (a_broker(1, **first), a_broker(2), a_broker(3), a_broker(4))}


def racked(**changes: Any) -> dict[str, Any]:
    return {
        "brokers": tuple(
            a_broker(node, **({"rack": rack} | changes)) for node, rack in RACKS.items()
        )
    }


@pytest.mark.parametrize(
    ("snapshot", "code", "expected"),
    [
        pytest.param(
            a_snapshot(topic_of_states(ok=1, offline=1, under_min_isr=1)),
            "PARTITION_OFFLINE", ("CRIT", ("orders-1",)), id="offline",
        ),
        pytest.param(
            a_snapshot(topic_of_states(offline=1, under_min_isr=1)),
            "PARTITION_UNDER_MIN_ISR", ("CRIT", ("orders-1",)), id="under-min-isr",
        ),
        pytest.param(
            a_snapshot(topic_of_states(offline=1, ok=3, at_min_isr=1)),
            "PARTITION_AT_MIN_ISR", ("WARN", ("orders-4",)), id="at-min-isr-in-just-that-state",
        ),
        pytest.param(
            a_snapshot(topic_of_states(at_min_isr=1, under_replicated=2)),
            "PARTITION_UNDER_REPLICATED", ("INFO", ("orders-1", "orders-2")), id="under-replicated",
        ),
        pytest.param(
            a_snapshot(
                topic_of_states("__transaction_state", offline=1),
                topic_of_states("__consumer_offsets", ok=1, under_min_isr=1),
            ),
            "INTERNAL_TOPIC_UNAVAILABLE",
            ("CRIT", ("__consumer_offsets-1", "__transaction_state-0")), id="internal",
        ),
        pytest.param(
            a_snapshot(topic_of_states("__remote_log_metadata", at_min_isr=1, under_min_isr=1)),
            "REMOTE_LOG_METADATA_UNAVAILABLE",
            ("WARN", ("__remote_log_metadata-1",)), id="remote-log-metadata",
        ),
        pytest.param(
            a_snapshot(quorum=a_quorum(absent_seconds=1)),
            "CONTROLLER_TRANSIENT", ("WARN", ("cluster:payments",)), id="controller-transient",
        ),
        pytest.param(
            a_snapshot(quorum=a_quorum(absent_seconds=31)),
            "CONTROLLER_ABSENT", ("CRIT", ("cluster:payments",)), id="controller-absent",
        ),
        pytest.param(
            a_snapshot(**brokers(alive=False)), "BROKER_DOWN", ("WARN", ("broker:1",)),
            id="broker-down",
        ),
        pytest.param(
            a_snapshot(brokers=(a_broker(1),)),
            "BROKER_DOWN", ("CRIT", ("broker:2", "broker:3")), id="holders-not-listed-are-down",
        ),
        pytest.param(
            a_snapshot(probe=Probe(attempts=20, succeeded=19)),
            "PROBE_FAILING", ("INFO", ("cluster:payments",)), id="probe-95-percent",
        ),
        pytest.param(
            a_snapshot(probe=Probe(attempts=20, succeeded=18)),
            "PROBE_FAILING", ("INFO", ("cluster:payments",)), id="probe-90-percent-meets-the-limit",
        ),
        pytest.param(
            a_snapshot(probe=Probe(attempts=20, succeeded=14)),
            "PROBE_FAILING", ("WARN", ("cluster:payments",)), id="probe-70-percent-meets-the-limit",
        ),
        pytest.param(
            a_snapshot(probe=Probe(attempts=20, succeeded=13)),
            "PROBE_FAILING", ("CRIT", ("cluster:payments",)), id="probe-65-percent",
        ),
        pytest.param(
            a_snapshot(brokers=(a_broker(1, disk_used_ratio=0.85), a_broker(2, disk_used_ratio=1.0),
                                a_broker(3), a_broker(4))),
            "DISK_HIGH", ("WARN", ("broker:1", "broker:2")), id="disk-high-names-every-full-one",
        ),
        pytest.param(
            a_snapshot(brokers=(a_broker(1, disk_used_ratio=0.85), a_broker(2), a_broker(3),
                                a_broker(4, disk_used_ratio=0.95))),
            "DISK_CRITICAL", ("CRIT", ("broker:4",)), id="disk-critical",
        ),
        pytest.param(
            a_snapshot(unclean_elections_24h=2),
            "UNCLEAN_ELECTION", ("WARN", ("cluster:payments",)), id="unclean-election",
        ),
        pytest.param(
            a_snapshot(unreachable=True), "UNREACHABLE", ("CRIT", ("cluster:payments",)),
            id="unreachable",
        ),
        pytest.param(
            a_snapshot(**brokers(state=BrokerState.RECOVERY)),
            "BROKER_RECOVERING", ("WARN", ("broker:1",)), id="recovering",
        ),
        pytest.param(
            a_snapshot(**brokers(state=BrokerState.RECOVERY, alive=False)),
            "BROKER_RECOVERING", None, id="recovering-but-not-alive",
        ),
        pytest.param(
            a_snapshot(**brokers(fenced=True)), "BROKER_FENCED", ("WARN", ("broker:1",)),
            id="fenced",
        ),
        pytest.param(
            a_snapshot(**brokers(fenced=True, alive=False)), "BROKER_FENCED", None,
            id="fenced-but-not-alive",
        ),
        pytest.param(
            a_snapshot(**brokers(offline_log_dirs=2)), "LOGDIR_OFFLINE", ("WARN", ("broker:1",)),
            id="logdir-offline",
        ),
        pytest.param(
            a_snapshot(brokers=(a_controller(9, offline_log_dirs=1, fenced=True, version="3.0.0",
                                             state=BrokerState.RECOVERY),
                                *map(a_broker, (1, 2, 3)))),
            "LOGDIR_OFFLINE", None, id="pure-controllers-raise-none",
        ),
        pytest.param(
            a_snapshot(**brokers(version="4.0.1")),
            "MIXED_VERSIONS", ("INFO", ("cluster:payments",)), id="mixed-versions",
        ),
        pytest.param(
            a_snapshot(**brokers(version="4.1.9-rc1")), "MIXED_VERSIONS", None,
            id="the-third-number-does-not-count",
        ),
        pytest.param(
            a_snapshot(**brokers(version="trunk")), "MIXED_VERSIONS", None, id="unknown-versions",
        ),
        pytest.param(
            a_snapshot(**brokers(version="3.9.0", alive=False)), "MIXED_VERSIONS", None,
            id="versions-of-dead-brokers-do-not-count",
        ),
        pytest.param(
            a_snapshot(a_topic("t", [a_partition(0), a_partition(1, replicas=(1,), isr=(1,))],
                               min_insync_replicas=1)),
            "RF_ONE", ("INFO", ("topic:t",)), id="rf-one",
        ),
        pytest.param(
            a_snapshot(a_topic("t", [a_partition(replicas=(1, 2), isr=(1,), adding=frozenset({2}))],
                               min_insync_replicas=1)),
            "RF_ONE", ("INFO", ("topic:t",)), id="rf-one-while-one-is-added",
        ),
        pytest.param(
            a_snapshot(a_topic("t", [a_partition(replicas=(), isr=())])), "RF_ONE", None,
            id="no-replicas-is-not-rf-one",
        ),
        pytest.param(
            a_snapshot(a_topic("t", min_insync_replicas=4)),
            "CONFIG_MINISR_GT_RF", ("WARN", ("topic:t",)), id="min-isr-above-rf",
        ),
        pytest.param(
            a_snapshot(a_topic("t", min_insync_replicas=3)), "CONFIG_MINISR_GT_RF", None,
            id="min-isr-equal-to-rf",
        ),
        pytest.param(
            a_snapshot(a_topic("t", [a_partition(replicas=(), isr=())])),
            "CONFIG_MINISR_GT_RF", None, id="no-replicas-is-not-below-min-isr",
        ),
        pytest.param(
            a_snapshot(a_topic("t", min_insync_replicas=4), **brokers(version="3.6.2")),
            "CONFIG_MINISR_GT_RF", ("CRIT", ("topic:t",)), id="min-isr-above-rf-before-3.7",
        ),
        pytest.param(
            a_snapshot(a_topic("t", min_insync_replicas=4), **brokers(version="3.10.0")),
            "CONFIG_MINISR_GT_RF", ("WARN", ("topic:t",)), id="3.10-is-after-3.7",
        ),
        pytest.param(
            a_snapshot(a_topic("t", min_insync_replicas=4), **brokers(version="3.6", alive=False)),
            "CONFIG_MINISR_GT_RF", ("WARN", ("topic:t",)), id="the-old-broker-is-not-alive",
        ),
        pytest.param(
            a_snapshot(a_topic("t", min_insync_replicas=4), ages=ages(configs=None)),
            "CONFIG_MINISR_GT_RF", ("WARN", ("topic:t",)), id="a-min-isr-in-the-snapshot-counts",
        ),
        pytest.param(
            a_snapshot(a_topic("t", min_insync_replicas=None), ages=ages(configs="-")),
            "MIN_ISR_UNKNOWN", ("INFO", ("topic:t",)), id="min-isr-unknown",
        ),
        pytest.param(
            a_snapshot(a_topic(), a_topic("t", min_insync_replicas=None, excluded=Excluded.PROBE)),
            "MIN_ISR_UNKNOWN", None, id="excluded-topics-raise-none",
        ),
        pytest.param(
            a_snapshot(quorum=a_quorum(2)), "QUORUM_AT_RISK", ("WARN", ("node:2",)),
            id="a-voter-behind",
        ),
        pytest.param(
            a_snapshot(quorum=a_quorum(2, 3)),
            "QUORUM_AT_RISK", ("WARN", ("node:2", "node:3")), id="no-majority-from-one-snapshot",
        ),
        pytest.param(
            a_snapshot(quorum=a_quorum(2, fetch_timeout_ms=None)), "QUORUM_AT_RISK", None,
            id="quorum-cannot-be-judged",
        ),
        pytest.param(
            a_snapshot(quorum=a_quorum(2, mode=QuorumMode.ZOOKEEPER)), "QUORUM_AT_RISK", None,
            id="zookeeper",
        ),
    ],
)  # fmt: skip
def test_a_check_is_raised_with_its_severity_and_objects(
    snapshot: ClusterSnapshot, code: str, expected: tuple[str, tuple[str, ...]] | None
) -> None:
    assert row(snapshot, code) == expected


RF_4_IN_3_RACKS = a_topic(
    "t", [a_partition(replicas=(1, 2, 3, 4), isr=(1, 2, 3, 4))], min_insync_replicas=3
)


@pytest.mark.parametrize(
    ("snapshot", "expected"),
    [
        pytest.param(a_snapshot(RF_4_IN_3_RACKS, **racked()), ("rack:a",), id="two-in-one-rack"),
        pytest.param(a_snapshot(**racked()), (), id="one-in-each-rack"),
        pytest.param(a_snapshot(RF_4_IN_3_RACKS, **racked(rack="a")), (), id="one-rack-only"),
        pytest.param(
            a_snapshot(a_topic("t", min_insync_replicas=3), **racked()),
            ("rack:a", "rack:b", "rack:c"),
            id="rf-not-above-min-isr",
        ),
        pytest.param(
            a_snapshot(
                a_topic(),
                a_topic("t", min_insync_replicas=3, excluded=Excluded.PROBE),
                **racked(),
            ),
            (),
            id="excluded-topics-left-out",
        ),
        pytest.param(
            a_snapshot(topic_of_states(under_min_isr=1, offline=1), **racked()),
            (),
            id="what-is-broken-already-is-no-matter-of-racks",
        ),
        pytest.param(
            a_snapshot(topic_of_states(at_min_isr=1), **racked()),
            ("rack:a", "rack:b"),
            id="no-replica-to-spare",
        ),
        pytest.param(
            a_snapshot(quorum=a_quorum(3), **racked()),
            ("rack:a", "rack:b"),
            id="the-quorum-would-be-lost",
        ),
        pytest.param(
            a_snapshot(quorum=a_quorum(3), ages=ages(quorum=None), **racked()),
            (),
            id="the-quorum-was-never-seen",
        ),
        pytest.param(
            a_snapshot(quorum=a_quorum(3), ages=ages(quorum="-"), **racked()),
            (),
            id="the-quorum-is-not-configured",
        ),
    ],
)
def test_racks_that_cannot_be_lost_are_named(
    snapshot: ClusterSnapshot, expected: tuple[str, ...]
) -> None:
    found = row(snapshot, "RACK_LOSS_NOT_TOLERATED")
    assert found == (("INFO", expected) if expected else None)


def test_a_rack_with_pure_controllers_only_counts() -> None:
    nodes = (
        *(a_broker(node, rack="a") for node in (11, 12, 13)),
        a_controller(1, rack="b"),
        a_controller(2, rack="b"),
        a_controller(3, rack="c"),
    )
    rows = [a_partition(replicas=(11, 12, 13), isr=(11, 12, 13))]
    topic = a_topic("t", rows, min_insync_replicas=None)
    found = row(a_snapshot(topic, brokers=nodes), "RACK_LOSS_NOT_TOLERATED")
    assert found == ("INFO", ("rack:b",))


@pytest.mark.parametrize(
    ("leader", "seconds", "severity"),
    [
        pytest.param(1, 5, Severity.CRIT, id="same-leader-5s"),
        pytest.param(1, 4.9, Severity.WARN, id="same-leader-4.9s"),
        pytest.param(2, 60, Severity.WARN, id="another-leader"),
    ],
)
def test_a_majority_that_stays_lost_under_one_leader_is_crit(
    leader: int, seconds: float, severity: Severity
) -> None:
    snapshot = a_snapshot(quorum=a_quorum(2, 3))
    since = snapshot.observed_at.timestamp() - seconds
    lost = MajorityLost(
        leader_id=leader,
        since=snapshot.observed_at.fromtimestamp(since, snapshot.observed_at.tzinfo),
    )
    found = check(snapshot, "QUORUM_AT_RISK", history=History(majority_lost=lost))
    assert found is not None
    assert found.severity is severity
    behind = check(
        a_snapshot(quorum=a_quorum(2)), "QUORUM_AT_RISK", history=History(majority_lost=lost)
    )
    assert behind is not None
    assert behind.severity is Severity.WARN


def test_at_most_20_objects_are_named_in_natural_order() -> None:
    rows = [a_partition(at, leader=-1) for at in (30, 3, 20, 100, *range(4, 19), *range(40, 45))]
    many = a_topic("b", rows)
    few = a_topic("a10", [a_partition(0, leader=-1)])
    fewer = a_topic("a9", [a_partition(7, leader=-1)])
    found = check(a_snapshot(many, few, fewer), "PARTITION_OFFLINE")
    assert found is not None
    expected = ["a9-7", "a10-0", "b-3", *(f"b-{at}" for at in range(4, 19)), "b-20", "b-30"]
    assert list(found.objects) == expected
    assert (found.count, found.is_truncated) == (26, True)


def test_exactly_20_objects_are_not_truncated() -> None:
    rows = [a_partition(at, leader=-1) for at in range(20)]
    found = check(a_snapshot(a_topic("b", rows)), "PARTITION_OFFLINE")
    assert found is not None
    assert (found.count, len(found.objects), found.is_truncated) == (20, 20, False)


def test_checks_stay_while_their_data_is_stale() -> None:
    broken = a_snapshot(topic_of_states(offline=1), quorum=a_quorum(2), **brokers(fenced=True))
    stale = replace(broken, ages=dict.fromkeys(ages(), 999.0))
    assert [found.code for found in evaluate(stale).checks] == [
        found.code for found in evaluate(broken).checks
    ]


def test_the_worst_checks_come_first() -> None:
    snapshot = a_snapshot(
        topic_of_states(ok=6, under_replicated=1, at_min_isr=1, offline=1),
        quorum=a_quorum(2, absent_seconds=40),
        unclean_elections_24h=1,
    )
    found = [f"{found.severity} {found.code}" for found in evaluate(snapshot).checks]
    assert found == [
        "CRIT PARTITION_OFFLINE",
        "CRIT CONTROLLER_ABSENT",
        "WARN PARTITION_AT_MIN_ISR",
        "WARN UNCLEAN_ELECTION",
        "WARN QUORUM_AT_RISK",
        "INFO PARTITION_UNDER_REPLICATED",
    ]


def test_a_summary_has_the_numbers() -> None:
    snapshot = a_snapshot(
        topic_of_states(ok=97, offline=2),
        probe=Probe(attempts=20, succeeded=13),
        unclean_elections_24h=1,
        **brokers(version="4.0.0", disk_used_ratio=0.971),
    )
    found = {found.code.value: found.summary for found in evaluate(snapshot).checks}
    assert found == {
        "PARTITION_OFFLINE": "2 partitions have no leader",
        "PROBE_FAILING": "35% of the last 20 probes failed",
        "UNCLEAN_ELECTION": "1 unclean leader election within 24 hours",
        "MIXED_VERSIONS": "brokers run different versions: 4.0, 4.1",
        "DISK_CRITICAL": "1 broker has a log directory that is 95% full or more (fullest: 97.1%)",
        "DISK_HIGH": "1 broker has a log directory that is 85% full or more (fullest: 97.1%)",
    }


@pytest.mark.parametrize("code", list(CheckCode))
def test_every_check_says_what_it_does_and_what_to_do(code: CheckCode) -> None:
    text = TEXTS[code]
    for words in (text.summary(1, "x"), text.summary(7, "x"), text.impact, text.action):
        assert words
        assert "{" not in words
