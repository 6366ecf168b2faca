"""Observations and last values into snapshots."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from healthd.collect.assemble import Assembled, assemble
from healthd.collect.observation import (
    Address,
    BrokerSignals,
    ClusterNode,
    ListenerState,
    MetadataSeen,
    Observations,
    PageSeen,
    QuorumSeen,
    Reassigning,
)
from healthd.collect.state import LastValues, Moment
from healthd.collect.target import ClusterTarget, NodeTarget
from healthd.model.parse import snapshot_of
from healthd.model.render import render_snapshot
from healthd.model.snapshot import NO_LEADER, Broker, ClusterSnapshot, Partition, Topic, Voter
from healthd.model.words import BrokerState, EvidenceGroup, QuorumMode, Role

WALL = datetime(2026, 1, 1, tzinfo=UTC)
NODES = (1, 2, 3)
TARGET = ClusterTarget(
    name="payments",
    bootstrap_servers=("b1:9092",),
    nodes={node: NodeTarget(id=node, host=f"b{node}") for node in NODES},
)
WITH_EXPORTERS = replace(
    TARGET,
    nodes={
        node: NodeTarget(id=node, host=f"b{node}", exporter_url=f"http://b{node}/")
        for node in NODES
    },
)
QUORUM = QuorumSeen(
    leader_id=1,
    voters=tuple(Voter(id=node, last_caught_up_ms=1000, log_end_offset=5) for node in NODES),
    fetch_timeout_ms=2000,
)


def topic(name: str = "orders", leader: int = 1, isr: tuple[int, ...] = NODES) -> Topic:
    return Topic.of(name, [Partition(id=0, leader=leader, replicas=NODES, isr=isr)])


def metadata(*topics: Topic, brokers: tuple[int, ...] = NODES) -> MetadataSeen:
    return MetadataSeen(
        answered_by=1,
        brokers={node: Address(host=f"b{node}", port=9092) for node in brokers},
        topics=topics,
        partition_count=sum(len(found) for found in topics),
    )


def seen(*topics: Topic, brokers: tuple[int, ...] = NODES) -> Observations:
    return Observations(
        metadata=metadata(*topics, brokers=brokers),
        min_insync_replicas={found.name: 2 for found in topics},
        configs_complete=True,
        quorum=QUORUM,
        reassigning={},
        any_answered=True,
    )


NOTHING_SEEN = Observations()


def at(
    seconds: float,
    observed: Observations,
    last: LastValues | None = None,
    target: ClusterTarget = TARGET,
) -> Assembled:
    return assemble(
        target,
        last or LastValues(),
        observed,
        began=seconds,
        now=Moment(monotonic=seconds, wall=WALL),
    )


def broker(snapshot: ClusterSnapshot, node: int) -> Broker:
    return snapshot.brokers_by_id[node]


def only_partition(snapshot: ClusterSnapshot) -> Partition:
    return snapshot.topics[0].partition(0)


def test_everything_seen_is_in_the_snapshot_and_fresh() -> None:
    snapshot = at(100, seen(topic())).snapshot
    assert [(found.id, found.alive) for found in snapshot.brokers] == [(n, True) for n in NODES]
    assert snapshot.topics[0].min_insync_replicas == 2
    assert snapshot.reassignments == 0
    assert snapshot.ages == {
        EvidenceGroup.METADATA: 0,
        EvidenceGroup.CONFIGS: 0,
        EvidenceGroup.QUORUM: 0,
    }


def test_snapshots_are_valid_by_the_contract() -> None:
    done = at(100, seen(topic(leader=NO_LEADER, isr=())), target=WITH_EXPORTERS)
    later = at(130, NOTHING_SEEN, done.last, WITH_EXPORTERS).snapshot
    for snapshot in (done.snapshot, later):
        assert snapshot_of(render_snapshot(snapshot)) == snapshot


def test_what_is_not_seen_keeps_its_value_and_grows_older() -> None:
    first = at(100, seen(topic()))
    snapshot = at(130, NOTHING_SEEN, first.last).snapshot
    assert snapshot.topics == first.snapshot.topics
    assert snapshot.brokers == first.snapshot.brokers
    assert snapshot.quorum == first.snapshot.quorum
    assert set((snapshot.ages or {}).values()) == {30}


def test_never_seen_is_null_and_lists_what_is_configured() -> None:
    snapshot = at(100, NOTHING_SEEN, target=WITH_EXPORTERS).snapshot
    assert snapshot.ages == dict.fromkeys(
        [
            EvidenceGroup.METADATA,
            EvidenceGroup.CONFIGS,
            EvidenceGroup.QUORUM,
            EvidenceGroup.METRICS,
        ]
    )
    assert [(found.id, found.alive) for found in snapshot.brokers] == [(n, False) for n in NODES]


def test_expected_brokers_are_configured_alive_or_holding_replicas() -> None:
    wide = Topic.of("t", [Partition(id=0, leader=1, replicas=(1, 7), isr=(1,))])
    snapshot = at(100, seen(wide, brokers=(1, 2, 9))).snapshot
    assert {found.id: found.alive for found in snapshot.brokers} == {
        1: True,
        2: True,
        3: False,
        7: False,
        9: True,
    }


def test_a_topic_is_gone_when_it_is_missing_twice() -> None:
    both = at(0, seen(topic("a"), topic("b")))
    once = at(15, seen(topic("a")), both.last)
    assert [found.name for found in once.snapshot.topics] == ["a", "b"]
    back = at(30, seen(topic("a"), topic("b")), once.last)
    again = at(45, seen(topic("a")), back.last)
    assert [found.name for found in again.snapshot.topics] == ["a", "b"]
    twice = at(60, seen(topic("a")), again.last)
    assert [found.name for found in twice.snapshot.topics] == ["a"]


def test_an_unseen_round_does_not_count_as_missing() -> None:
    both = at(0, seen(topic("a"), topic("b")))
    once = at(15, seen(topic("a")), both.last)
    unseen = at(30, NOTHING_SEEN, once.last)
    assert [found.name for found in unseen.snapshot.topics] == ["a", "b"]


def test_leaderless_seconds_run_from_when_it_was_first_seen() -> None:
    first = at(100, seen(topic(leader=NO_LEADER, isr=())))
    assert only_partition(first.snapshot).leaderless_seconds == 0
    second = at(112, seen(topic(leader=NO_LEADER, isr=())), first.last)
    assert only_partition(second.snapshot).leaderless_seconds == 12
    unseen = at(120, NOTHING_SEEN, second.last)
    assert only_partition(unseen.snapshot).leaderless_seconds == 20
    healed = at(130, seen(topic()), unseen.last)
    assert only_partition(healed.snapshot).leaderless_seconds is None
    relapsed = at(140, seen(topic(leader=NO_LEADER, isr=())), healed.last)
    assert only_partition(relapsed.snapshot).leaderless_seconds == 0


def test_reassignment_shows_what_is_added_and_ends_with_it() -> None:
    moving = replace(
        seen(topic()),
        reassigning={("orders", 0): Reassigning(adding=frozenset({3, 8}), removing=frozenset({1}))},
    )
    first = at(0, moving)
    found = only_partition(first.snapshot)
    # 8 is not in the replicas that metadata shows: one of the two answers is newer.
    assert found.adding == {3}
    assert found.removing == {1}
    assert first.snapshot.reassignments == 1
    silent = at(15, replace(seen(topic()), reassigning=None), first.last)
    assert only_partition(silent.snapshot).adding == {3}
    done = at(30, seen(topic()), silent.last)
    assert only_partition(done.snapshot).adding == frozenset()
    assert done.snapshot.reassignments == 0


def test_last_known_min_isr_is_kept_when_configs_are_silent() -> None:
    first = at(0, seen(topic()))
    silent = replace(seen(topic()), min_insync_replicas=None, configs_complete=False)
    snapshot = at(15, silent, first.last).snapshot
    assert snapshot.topics[0].min_insync_replicas == 2
    assert snapshot.effective_ages[EvidenceGroup.CONFIGS] == 15


class TestQuorum:
    LOST = replace(
        Observations(quorum=QuorumSeen(leader_id=NO_LEADER), any_answered=True),
        metadata=metadata(topic()),
    )

    def test_absence_counts_from_when_a_leader_was_last_seen(self) -> None:
        first = at(100, seen(topic()))
        lost = at(107, self.LOST, first.last)
        assert lost.snapshot.quorum is not None
        assert lost.snapshot.quorum.leader_id == NO_LEADER
        assert lost.snapshot.quorum.absent_seconds == 7
        assert lost.snapshot.quorum.voters == QUORUM.voters
        back = at(120, seen(topic()), lost.last)
        assert back.snapshot.quorum is not None
        assert back.snapshot.quorum.absent_seconds == 0

    def test_never_seen_leader_is_absent_from_the_first_evidence_on(self) -> None:
        first = at(100, self.LOST)
        later = at(140, self.LOST, first.last)
        assert later.snapshot.quorum is not None
        assert later.snapshot.quorum.absent_seconds == 40

    def test_without_an_answer_absence_does_not_run(self) -> None:
        first = at(100, seen(topic()))
        snapshot = at(160, NOTHING_SEEN, first.last).snapshot
        assert snapshot.quorum is not None
        assert snapshot.quorum.absent_seconds == 0
        assert snapshot.effective_ages[EvidenceGroup.QUORUM] == 60

    def test_metadata_ages_and_refusing_brokers_are_down_without_a_leader(self) -> None:
        first = at(100, seen(topic()))
        knocked = replace(
            self.LOST,
            listeners={
                1: ListenerState.REFUSED,
                2: ListenerState.TIMED_OUT,
                3: ListenerState.ANSWERED,
            },
        )
        snapshot = at(130, knocked, first.last).snapshot
        assert [found.alive for found in snapshot.brokers] == [False, False, True]
        assert snapshot.effective_ages[EvidenceGroup.METADATA] == 30
        assert snapshot.effective_ages[EvidenceGroup.QUORUM] == 0
        again = at(145, replace(self.LOST, listeners={}), at(130, knocked, first.last).last)
        assert all(found.alive for found in again.snapshot.brokers)

    def test_when_nobody_answers_silence_is_no_sign_of_death(self) -> None:
        first = at(100, seen(topic()))
        silent = Observations(listeners=dict.fromkeys(NODES, ListenerState.TIMED_OUT))
        snapshot = at(130, silent, first.last).snapshot
        assert all(found.alive for found in snapshot.brokers)

    def test_reassignments_unread_leave_the_group_unseen(self) -> None:
        first = at(100, seen(topic()))
        snapshot = at(115, replace(seen(topic()), reassigning=None), first.last).snapshot
        assert snapshot.effective_ages[EvidenceGroup.QUORUM] == 15

    def test_pure_controllers_are_listed_and_live_by_the_quorum(self) -> None:
        voters = (
            Voter(id=10, last_caught_up_ms=9000),
            Voter(id=11, last_caught_up_ms=8000),
            Voter(id=12, last_caught_up_ms=1000),
        )
        quorum = QuorumSeen(
            leader_id=10,
            voters=voters,
            observers={1: 9000, 2: 9000, 3: 9000},
            fetch_timeout_ms=2000,
        )
        registered = {node: ClusterNode(id=node) for node in NODES}
        observed = replace(seen(topic()), quorum=quorum, cluster_nodes=registered)
        snapshot = at(0, observed).snapshot
        assert {
            found.id: found.alive for found in snapshot.brokers if found.is_pure_controller
        } == {10: True, 11: True, 12: False}
        assert broker(snapshot, 1).roles == frozenset({Role.BROKER})

    def test_zookeeper_clusters_have_no_quorum_group(self) -> None:
        observed = replace(seen(topic()), quorum=None, quorum_configured=False)
        snapshot = at(0, observed).snapshot
        assert EvidenceGroup.QUORUM not in snapshot.effective_ages
        assert snapshot.effective_ages[EvidenceGroup.METADATA] == 0

    def test_an_ensemble_that_never_named_a_controller_is_in_zookeeper_mode(self) -> None:
        nobody = QuorumSeen(leader_id=NO_LEADER, mode=QuorumMode.ZOOKEEPER, voters=(Voter(id=7),))
        quorum = at(0, replace(seen(topic()), quorum=nobody)).snapshot.quorum
        assert quorum is not None
        assert (quorum.mode, quorum.leader_id) == (QuorumMode.ZOOKEEPER, NO_LEADER)
        assert quorum.voters == nobody.voters

    def test_a_server_that_is_silent_since_a_restart_keeps_when_it_was_last_seen(self) -> None:
        told = QuorumSeen(
            leader_id=1,
            mode=QuorumMode.ZOOKEEPER,
            voters=(
                Voter(id=7, last_caught_up_ms=5, log_end_offset=3),
                Voter(id=8, last_caught_up_ms=5, log_end_offset=3),
            ),
        )
        snapshot = at(0, replace(seen(topic()), quorum=told)).snapshot
        restarted = LastValues.from_snapshot(snapshot, 60, 100)
        silent = replace(told, voters=(Voter(id=7), Voter(id=8, last_caught_up_ms=9)))
        quorum = at(100, replace(seen(topic()), quorum=silent), restarted).snapshot.quorum
        assert quorum is not None
        assert quorum.voters == (told.voters[0], silent.voters[1])

    def test_the_servers_of_an_ensemble_are_no_nodes_of_the_cluster(self) -> None:
        told = QuorumSeen(leader_id=1, mode=QuorumMode.ZOOKEEPER, voters=(Voter(id=77),))
        snapshot = at(0, replace(seen(topic()), quorum=told)).snapshot
        assert 77 not in snapshot.brokers_by_id
        assert {broker.roles for broker in snapshot.brokers} == {None}


def test_a_combined_node_that_is_dead_stays_a_broker() -> None:
    nodes = {node: ClusterNode(id=node, rack=f"az{node}", fenced=node == 3) for node in NODES}
    observed = replace(seen(topic(), brokers=(1, 2)), cluster_nodes=nodes)
    found = broker(at(0, observed).snapshot, 3)
    assert found.roles == frozenset({Role.BROKER, Role.CONTROLLER})
    assert (found.alive, found.fenced, found.rack) == (False, True, "az3")


def test_a_listed_broker_is_never_fenced() -> None:
    nodes = {node: ClusterNode(id=node, fenced=True) for node in NODES}
    snapshot = at(0, replace(seen(topic()), cluster_nodes=nodes)).snapshot
    assert not any(found.fenced for found in snapshot.brokers)


def page(at_seconds: float, unclean: float = 0.0) -> PageSeen:
    signals = BrokerSignals(
        state=BrokerState.RUNNING,
        idle_ratio=1.8,
        offline_log_dirs=0,
        version="4.1.0",
        unclean_elections=unclean,
        active_controllers=1,
    )
    return PageSeen(signals=signals, at=at_seconds)


class TestMetrics:
    def test_a_silent_exporter_keeps_its_values_with_their_own_age(self) -> None:
        both = replace(seen(topic()), pages={1: page(0), 2: page(0)})
        first = at(0, both, target=WITH_EXPORTERS)
        one = replace(seen(topic()), pages={1: page(20)})
        snapshot = at(20, one, first.last, WITH_EXPORTERS).snapshot
        assert snapshot.effective_ages[EvidenceGroup.METRICS] == 0
        silent = broker(snapshot, 2)
        assert silent.metrics_age_seconds == 20
        assert silent.request_handler_idle == pytest.approx(0.8)
        assert silent.state is BrokerState.RUNNING
        assert broker(snapshot, 1).metrics_age_seconds == 0
        assert broker(snapshot, 3).metrics_age_seconds is None

    def test_metrics_are_as_old_as_the_newest_page_of_a_broker(self) -> None:
        first = at(0, replace(seen(topic()), pages={1: page(0)}), target=WITH_EXPORTERS)
        snapshot = at(40, seen(topic()), first.last, WITH_EXPORTERS).snapshot
        assert snapshot.effective_ages[EvidenceGroup.METRICS] == 40

    def test_unclean_elections_are_the_largest_increase_of_any_controller(self) -> None:
        first = at(0, replace(seen(), pages={1: page(0, 5), 2: page(0, 5)}))
        assert first.snapshot.unclean_elections_24h == 0
        second = at(15, replace(seen(), pages={1: page(15, 7), 2: page(15, 6)}), first.last)
        assert second.snapshot.unclean_elections_24h == 2
        reset = at(30, replace(seen(), pages={1: page(30, 1), 2: page(30, 6)}), second.last)
        assert reset.snapshot.unclean_elections_24h == 3
        day = at(15 + 86_400, replace(seen(), pages={}), reset.last)
        assert day.snapshot.unclean_elections_24h == 1

    def test_unclean_elections_are_unknown_when_no_controller_tells(self) -> None:
        assert at(0, seen()).snapshot.unclean_elections_24h is None


class TestUnreachable:
    REFUSED = Observations(all_refused=True)

    def test_refused_everywhere_for_two_intervals(self) -> None:
        first = at(0, seen(topic()))
        once = at(15, self.REFUSED, first.last)
        assert once.snapshot.unreachable is False
        twice = at(30, self.REFUSED, once.last)
        assert twice.snapshot.unreachable is False
        assert at(45, self.REFUSED, twice.last).snapshot.unreachable is True

    def test_one_answer_starts_the_count_again(self) -> None:
        once = at(0, self.REFUSED)
        answered = at(15, Observations(any_answered=True), once.last)
        assert at(30, self.REFUSED, answered.last).snapshot.unreachable is False

    def test_silence_says_nothing_either_way(self) -> None:
        gone = at(60, self.REFUSED, at(0, self.REFUSED).last)
        silent = at(75, NOTHING_SEEN, gone.last)
        assert silent.snapshot.unreachable is True
        assert at(90, self.REFUSED, silent.last).snapshot.unreachable is True
        assert at(0, NOTHING_SEEN).snapshot.unreachable is None

    def test_silence_that_nothing_confirms_starts_the_count_again(self) -> None:
        silent = at(15, NOTHING_SEEN, at(0, self.REFUSED).last)
        assert not at(30, self.REFUSED, silent.last).snapshot.unreachable

    def test_time_outs_that_a_second_path_confirms_count_like_refusals(self) -> None:
        gone = at(0, Observations(all_gone=True))
        assert gone.snapshot.unreachable is False
        mixed = at(15, self.REFUSED, gone.last)
        assert at(30, Observations(all_gone=True), mixed.last).snapshot.unreachable is True

    def test_a_restart_does_not_take_it_back(self) -> None:
        gone = at(60, self.REFUSED, at(0, self.REFUSED).last).snapshot
        restarted = LastValues.from_snapshot(gone, 1.0, 1000.0)
        assert at(1000, self.REFUSED, restarted).snapshot.unreachable is True
        assert at(1000, NOTHING_SEEN, restarted).snapshot.unreachable is True
        answered = at(1000, Observations(any_answered=True), restarted)
        assert answered.snapshot.unreachable is False


class TestRestart:
    def test_values_and_ages_survive(self) -> None:
        observed = replace(
            seen(topic(leader=NO_LEADER, isr=())),
            pages={1: page(0)},
            reassigning={("orders", 0): Reassigning(adding=frozenset({3}))},
        )
        before = at(0, observed, target=WITH_EXPORTERS).snapshot
        last = LastValues.from_snapshot(before, 50, 1000)
        after = at(1010, NOTHING_SEEN, last, WITH_EXPORTERS).snapshot
        assert after.effective_ages == dict.fromkeys(before.effective_ages, 60)
        assert only_partition(after).leaderless_seconds == 60
        assert only_partition(after).adding == {3}
        assert after.topics[0].min_insync_replicas == 2
        assert broker(after, 1).metrics_age_seconds == 60
        assert broker(after, 1).request_handler_idle == broker(before, 1).request_handler_idle
        assert after.reassignments == 1
        assert after.unclean_elections_24h == 0

    def test_an_absence_goes_on_and_a_presence_does_not_turn_into_one(self) -> None:
        present = at(0, seen(topic())).snapshot
        absent = at(20, TestQuorum.LOST, at(0, seen(topic())).last).snapshot
        for before, expected in ((present, 5), (absent, 20 + 100 + 5)):
            last = LastValues.from_snapshot(before, 100, 1000)
            first = at(1000, TestQuorum.LOST, last)
            later = at(1005, TestQuorum.LOST, first.last).snapshot
            assert later.quorum is not None
            assert later.quorum.absent_seconds == expected
