"""How log directories and exporter pages come together in a broker's metrics."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from healthd.collect.assemble import Assembled, assemble
from healthd.collect.observation import (
    Address,
    BrokerSignals,
    LogDirsSeen,
    MetadataSeen,
    Observations,
    PageSeen,
    QuorumSeen,
)
from healthd.collect.state import LastValues, Moment
from healthd.collect.target import ClusterTarget, NodeTarget
from healthd.health.index import evaluate
from healthd.health.words import Term
from healthd.model.codes import CheckCode
from healthd.model.snapshot import Partition, Topic, Voter
from healthd.model.words import EvidenceGroup, Excluded

NODES = (1, 2, 3)
TARGET = ClusterTarget(
    name="payments",
    bootstrap_servers=("b1:9092",),
    nodes={
        node: NodeTarget(id=node, host=f"b{node}", exporter_url=f"http://b{node}/")
        for node in NODES
    },
    interval_seconds=15.0,
)
BARE = replace(TARGET, nodes={node: NodeTarget(id=node, host=f"b{node}") for node in NODES})
BY_NAME = replace(BARE, counts_log_dirs_alone=True)


def round_at(
    seconds: float,
    *,
    pages: Mapping[int, BrokerSignals] | None = None,
    dirs: Mapping[int, tuple[float | None, int]] | None = None,
    last: LastValues | None = None,
    target: ClusterTarget = TARGET,
    topics: tuple[Topic, ...] = (),
) -> Assembled:
    observed = Observations(
        metadata=MetadataSeen(
            answered_by=1,
            brokers={node: Address(host=f"b{node}", port=9092) for node in NODES},
            topics=topics,
            partition_count=0,
        ),
        min_insync_replicas={topic.name: 1 for topic in topics},
        configs_complete=True,
        quorum=QuorumSeen(
            leader_id=1,
            voters=tuple(
                Voter(id=node, last_caught_up_ms=1000, log_end_offset=5) for node in NODES
            ),
            fetch_timeout_ms=2000,
        ),
        reassigning={},
        pages={node: PageSeen(signals=one, at=seconds) for node, one in (pages or {}).items()},
        log_dirs={
            node: LogDirsSeen(used_ratio=ratio, offline=offline, at=seconds)
            for node, (ratio, offline) in (dirs or {}).items()
        },
        any_answered=True,
    )
    moment = Moment(monotonic=seconds, wall=datetime(2026, 1, 1, tzinfo=UTC))
    return assemble(target, last or LastValues(), observed, began=seconds, now=moment)


IDLE = dict.fromkeys(NODES, BrokerSignals(idle_ratio=0.9, is_broker_pool=True, offline_log_dirs=0))
HALF = dict.fromkeys(NODES, (0.5, 0))


def test_pages_and_log_directories_together_are_all_that_is_to_be_known() -> None:
    snapshot = round_at(10.0, pages=IDLE, dirs=HALF).snapshot
    assert [broker.disk_used_ratio for broker in snapshot.brokers] == [0.5] * 3
    report = evaluate(snapshot)
    assert report.completeness == 1
    assert report.health_index == 100


def test_fresh_disks_do_not_make_a_stale_page_look_fresh_nor_the_reverse() -> None:
    first = round_at(0.0, pages=IDLE, dirs=HALF)
    for pages, dirs in ((IDLE, None), (None, HALF)):
        snapshot = round_at(60.0, pages=pages, dirs=dirs, last=first.last).snapshot
        assert [broker.metrics_age_seconds for broker in snapshot.brokers] == [60.0] * 3
        assert evaluate(snapshot).completeness < 0.9


def test_the_group_is_as_old_as_the_newest_page_whatever_the_disks_say() -> None:
    first = round_at(0.0, pages=IDLE, dirs=HALF)
    snapshot = round_at(60.0, dirs=HALF, last=first.last).snapshot
    assert snapshot.age(EvidenceGroup.METRICS) == 60.0


def test_disks_that_were_never_told_cost_their_own_term_only() -> None:
    # As when the user may not describe log directories, or the brokers are older than 3.3.
    for dirs in (None, dict.fromkeys(NODES, (None, 0))):
        snapshot = round_at(10.0, pages=IDLE, dirs=dirs).snapshot
        assert [broker.metrics_age_seconds for broker in snapshot.brokers] == [0.0] * 3
        assert evaluate(snapshot).completeness == pytest.approx(85 / 90)


def test_a_page_that_tells_the_disk_needs_no_second_witness() -> None:
    first = round_at(0.0, pages=IDLE, dirs=HALF)
    full = dict.fromkeys(
        NODES, BrokerSignals(idle_ratio=0.9, is_broker_pool=True, disk_used_ratio=0.6)
    )
    snapshot = round_at(60.0, pages=full, last=first.last).snapshot
    assert [broker.metrics_age_seconds for broker in snapshot.brokers] == [0.0] * 3
    assert [broker.disk_used_ratio for broker in snapshot.brokers] == [0.6] * 3


def test_the_last_value_of_a_disk_survives_silence_and_a_restart_of_the_daemon() -> None:
    first = round_at(0.0, pages=IDLE, dirs={**HALF, 2: (0.96, 0)}).snapshot
    last = LastValues.from_snapshot(first, 30.0, 100.0)
    snapshot = round_at(101.0, pages=IDLE, last=last).snapshot
    two = snapshot.brokers_by_id[2]
    assert (two.disk_used_ratio, two.metrics_age_seconds) == (0.96, 31.0)
    assert CheckCode.DISK_CRITICAL in {check.code for check in evaluate(snapshot).checks}


def test_a_lost_directory_is_found_by_whoever_sees_it_and_gone_when_both_say_so() -> None:
    lost = round_at(0.0, pages=IDLE, dirs={**HALF, 3: (0.5, 1)})
    assert lost.snapshot.brokers_by_id[3].offline_log_dirs == 1
    assert CheckCode.LOGDIR_OFFLINE in {check.code for check in evaluate(lost.snapshot).checks}
    by_page = {**IDLE, 3: BrokerSignals(idle_ratio=0.9, is_broker_pool=True, offline_log_dirs=2)}
    worse = round_at(15.0, pages=by_page, dirs={**HALF, 3: (0.5, 1)}, last=lost.last)
    assert worse.snapshot.brokers_by_id[3].offline_log_dirs == 2
    well = round_at(30.0, pages=IDLE, dirs=HALF, last=worse.last)
    assert well.snapshot.brokers_by_id[3].offline_log_dirs == 0


def test_without_exporters_disks_are_shown_and_the_group_stays_not_configured() -> None:
    snapshot = round_at(10.0, dirs={**HALF, 1: (0.97, 1)}, target=BARE).snapshot
    assert snapshot.brokers_by_id[1].disk_used_ratio == 0.97
    assert snapshot.age(EvidenceGroup.METRICS) is None
    report = evaluate(snapshot)
    assert set(report.not_observed) == {Term.SATURATION, Term.STORAGE, Term.PROBE}
    assert report.completeness == 1
    # A lost directory has no group: it is told wherever it is known.
    assert [check.code for check in report.checks] == [CheckCode.LOGDIR_OFFLINE]


def test_asked_for_by_name_disks_count_without_exporters_once_they_were_seen() -> None:
    never = round_at(0.0, target=BY_NAME)
    assert never.snapshot.age(EvidenceGroup.METRICS) is None
    seen = round_at(15.0, dirs=dict.fromkeys(NODES, (0.97, 0)), last=never.last, target=BY_NAME)
    report = evaluate(seen.snapshot)
    assert CheckCode.DISK_CRITICAL in {check.code for check in report.checks}
    assert report.not_observed == (Term.PROBE,)
    later = round_at(75.0, last=seen.last, target=BY_NAME).snapshot
    assert later.age(EvidenceGroup.METRICS) == 60.0


def test_turned_off_the_age_of_old_answers_no_longer_counts() -> None:
    first = round_at(0.0, pages=IDLE, dirs=HALF)
    off = replace(TARGET, reads_log_dirs=False)
    snapshot = round_at(60.0, pages=IDLE, last=first.last, target=off).snapshot
    assert [broker.metrics_age_seconds for broker in snapshot.brokers] == [0.0] * 3


def test_the_probe_topic_is_marked_and_makes_nobody_expected() -> None:
    own = Topic.of(TARGET.probe_topic, [Partition(id=0, leader=1, replicas=(1, 9), isr=(1,))])
    snapshot = round_at(10.0, pages=IDLE, dirs=HALF, topics=(own,)).snapshot
    assert snapshot.topics[0].excluded is Excluded.PROBE
    assert set(snapshot.brokers_by_id) == set(NODES)
    assert evaluate(snapshot).health_index == 100
