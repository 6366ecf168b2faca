"""Plans: order, company, the bound, words, duration and fingerprint."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations
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

from healthd.model.snapshot import ClusterSnapshot, Quorum, Topic, Voter
from healthd.model.words import BrokerState, EvidenceGroup, QuorumMode, Role
from healthd.safety.acknowledgements import NONE, Acknowledgements
from healthd.safety.ok_to_stop import UnknownBroker
from healthd.waves.planner import Plan, StepRole, plan
from healthd.waves.planner_duration import (
    DurationModel,
    MeasuredRestarts,
    PlannedPace,
    estimated_seconds,
)
from healthd.waves.planner_fingerprint import fingerprint
from healthd.waves.planner_packing import racks_together
from healthd.waves.planner_search import fit
from healthd.waves.planner_spare import Conflicts
from healthd.waves.policy import WavePolicy

BROKER = frozenset({Role.BROKER})


def topic_on(*rows: Sequence[int], name: str = "orders", min_isr: int = 2) -> Topic:
    """A topic in sync with a partition on each of these lists of brokers."""
    return a_topic(
        name,
        [
            a_partition(at, leader=row[0], replicas=tuple(row), isr=tuple(row))
            for at, row in enumerate(rows)
        ],
        min_insync_replicas=min_isr,
    )


def quorum_of(*voters: int, leader: int, **changes: object) -> Quorum:
    return replace(
        a_quorum(),
        leader_id=leader,
        voters=tuple(Voter(id=node, last_caught_up_ms=10_000) for node in voters),
        **changes,  # type: ignore[arg-type]  # The fields of the dataclass, by name.
    )


def plain(many: int, *topics: Topic, racks: int = 3, **changes: object) -> ClusterSnapshot:
    """So many plain brokers, in racks by turns, and pure controllers 101, 102 and 103."""
    nodes = range(1, many + 1)
    brokers = [a_broker(node, rack=f"az{node % racks}", roles=BROKER) for node in nodes]
    brokers += [a_controller(node) for node in (101, 102, 103)]
    quorum = quorum_of(101, 102, 103, leader=102)
    return a_snapshot(*topics, **({"brokers": tuple(brokers), "quorum": quorum} | changes))


def with_node(snapshot: ClusterSnapshot, node: int, **changes: object) -> ClusterSnapshot:
    return replace(
        snapshot,
        brokers=tuple(
            replace(broker, **changes) if broker.id == node else broker  # type: ignore[arg-type]  # As above.
            for broker in snapshot.brokers
        ),
    )


def taken(found: Plan) -> list[tuple[int, ...]]:
    return [step.nodes for step in found.steps]


def rack_aware(many: int) -> Topic:
    """RF 3 with a replica in each of three racks, every such combination."""
    nodes = range(1, many + 1)
    rows = [row for row in combinations(nodes, 3) if len({node % 3 for node in row}) == 3]
    return topic_on(*rows)


def everywhere(many: int) -> Topic:
    """RF 3 on every three brokers."""
    return topic_on(*combinations(range(1, many + 1), 3))


# --- Order -------------------------------------------------------------------------------------


def test_one_at_a_time_controllers_come_first_and_the_active_one_last_of_them() -> None:
    found = plan(plain(3, topic_on((1, 2, 3))))
    assert taken(found) == [(101,), (103,), (102,), (1,), (2,), (3,)]
    roles = [step.role for step in found.steps]
    assert roles == [StepRole.CONTROLLER] * 3 + [StepRole.BROKER] * 3
    assert found.steps[2].reason == "the active controller, the last of the controllers"
    assert found.controller_last == 102


def test_combined_nodes_are_controllers_and_never_go_together() -> None:
    found = plan(a_snapshot(topic_on((1, 2, 3))), concurrency=None)
    assert taken(found) == [(2,), (3,), (1,), (4,)]
    assert [step.role for step in found.steps] == [StepRole.CONTROLLER] * 3 + [StepRole.BROKER]


def test_repairs_come_first_and_alone_whatever_they_are() -> None:
    snapshot = plain(6, topic_on((4, 5, 6)))
    snapshot = with_node(snapshot, 2, alive=False)
    snapshot = with_node(snapshot, 3, fenced=True)
    snapshot = with_node(snapshot, 5, state=BrokerState.NOT_RUNNING)
    snapshot = with_node(snapshot, 103, state=BrokerState.NOT_RUNNING)
    found = plan(snapshot, concurrency=None)
    first = found.steps[0]
    assert (first.nodes, first.role) == ((2, 3, 5, 103), StepRole.REPAIR)
    assert first.reason == "repairs come first: 2 down; 3 fenced; 5, 103 not running"
    assert all(step.role is not StepRole.REPAIR for step in found.steps[1:])
    assert found.lower_bound == len(found.steps)


def test_repairs_keep_to_the_concurrency() -> None:
    snapshot = with_node(with_node(plain(3), 1, alive=False), 2, alive=False)
    assert taken(plan(snapshot, nodes={1, 2}))[:2] == [(1,), (2,)]


def test_two_controllers_are_not_repaired_together_and_the_active_one_is_last() -> None:
    snapshot = plain(3, quorum=None)
    for node in (3, 101, 102, 103):
        snapshot = with_node(snapshot, node, state=BrokerState.NOT_RUNNING)
    snapshot = replace(snapshot, quorum=quorum_of(101, 102, 103, leader=101))
    found = plan(snapshot, nodes={3, 101, 102, 103}, concurrency=None)
    assert taken(found) == [(102,), (103,), (3, 101)]
    assert found.lower_bound == 3


def test_in_zookeeper_mode_the_active_controller_is_in_the_last_step() -> None:
    quorum = Quorum(
        mode=QuorumMode.ZOOKEEPER, leader_id=1, absent_seconds=0, voters=(Voter(id=2), Voter(id=3))
    )
    brokers = tuple(a_broker(node, rack=f"az{node % 3}") for node in range(1, 7))
    snapshot = a_snapshot(rack_aware(6), brokers=brokers, quorum=quorum)
    assert taken(plan(snapshot)) == [(2,), (3,), (4,), (5,), (6,), (1,)]
    safe = plan(snapshot, concurrency=None)
    assert taken(safe) == [(2, 5), (3, 6), (1, 4)]
    assert safe.steps[-1].reason.startswith("the active controller is in the last step; rack az1")
    assert safe.controller_last == 1
    assert "the servers of the ZooKeeper ensemble are not part of the plan" in safe.notes


@pytest.mark.parametrize("leader", [None, -1])
def test_an_unknown_active_controller_is_none(leader: int | None) -> None:
    snapshot = plain(3, quorum=quorum_of(101, 102, 103, leader=101))
    assert snapshot.quorum is not None
    unknown = replace(snapshot, quorum=replace(snapshot.quorum, leader_id=leader))
    assert plan(unknown).controller_last is None
    assert plan(replace(snapshot, quorum=None)).controller_last is None


def test_only_the_nodes_asked_for_are_planned() -> None:
    found = plan(plain(6, rack_aware(6)), nodes=[6, 3, 1], concurrency=None)
    assert taken(found) == [(1,), (3, 6)]
    assert taken(plan(plain(3), nodes=[])) == []


def test_an_unknown_node_is_refused_by_name() -> None:
    with pytest.raises(UnknownBroker, match="unknown broker 77: payments has 1, 2, 3, 101"):
        plan(plain(3), nodes=[1, 77])


# --- Company -----------------------------------------------------------------------------------


def test_a_rack_goes_at_once_where_the_assignment_proves_it() -> None:
    found = plan(plain(12, rack_aware(12)), concurrency=None)
    assert taken(found)[3:] == [(1, 4, 7, 10), (2, 5, 8, 11), (3, 6, 9, 12)]
    assert found.steps[3].reason == (
        "rack az1 at once: no partition loses more replicas in sync than it can spare, and each of"
        " the 8 others would take one too many from some partition"
    )
    assert found.lower_bound == 6


def test_rack_labels_prove_nothing() -> None:
    one_breaks_it = topic_on((1, 4, 2), name="misplaced")
    found = plan(plain(6, rack_aware(6), one_breaks_it), concurrency=None)
    assert not any({1, 4} <= set(step.nodes) for step in found.steps)


def test_without_labels_the_assignment_still_proves_what_may_go() -> None:
    snapshot = plain(6, rack_aware(6))
    for node in range(1, 7):
        snapshot = with_node(snapshot, node, rack=None)
    found = plan(snapshot, concurrency=None)
    assert taken(found)[3:] == [(1, 4), (2, 5), (3, 6)]
    assert found.steps[3].reason.startswith("2 brokers together: ")


def test_where_every_two_share_a_partition_the_reason_says_so_and_names_one() -> None:
    found = plan(plain(5, everywhere(5)), concurrency=None)
    assert taken(found)[3:] == [(1,), (2,), (3,), (4,), (5,)]
    assert found.steps[3].reason == (
        "only one at a time is safe: orders-0 can spare one of 1, 2, 3, and such partitions are"
        " shared with each of the 4 other brokers"
    )
    assert found.lower_bound == 8


def test_a_step_is_never_larger_than_the_concurrency() -> None:
    found = plan(plain(12, rack_aware(12)), concurrency=3)
    sizes = [len(step.nodes) for step in found.steps[3:]]
    assert max(sizes) == 3
    assert sum(sizes) == 12
    reason = found.steps[3].reason
    assert reason.startswith("3 of the 4 brokers of rack az1 together: ")
    assert reason.endswith("; more than 3 are not allowed")


def test_four_racks_with_two_to_spare_go_in_two_steps() -> None:
    rows = [(1, 2, 3, 4), (5, 6, 7, 8), (1, 6, 3, 8), (5, 2, 7, 4)]
    found = plan(plain(8, topic_on(*rows), racks=4), nodes=range(1, 9), concurrency=None)
    assert len(found.steps) == found.lower_bound == 2


def test_five_brokers_of_which_no_three_may_go_need_three_steps() -> None:
    topic = topic_on(*combinations(range(1, 6), 3), min_isr=1)
    found = plan(plain(5, topic), nodes=range(1, 6), concurrency=None)
    assert len(found.steps) == found.lower_bound == 3


def test_a_search_that_is_too_long_ends_without_an_answer() -> None:
    # The Paley graph of 101: no 6 brokers exclude each other, and no 6 may go together.
    residues = {number * number % 101 for number in range(1, 101)}
    pairs = [pair for pair in combinations(range(1, 102), 2) if pair[1] - pair[0] in residues]
    accepted = Acknowledgements(allow_rf_le_min_isr=("*",))
    conflicts = Conflicts.of(plain(101, topic_on(*pairs)), range(1, 102), accepted)
    outcome = fit(conflicts, 15)
    assert (outcome.packing, outcome.is_impossible) == (None, False)


def test_brokers_without_a_partition_go_together() -> None:
    found = plan(plain(6, topic_on((101, 102, 103))), nodes=range(1, 7), concurrency=None)
    assert taken(found) == [(1, 2, 3, 4, 5, 6)]
    assert found.steps[0].reason.startswith("6 brokers together: ")


def test_a_margin_keeps_apart_whom_the_minimum_alone_would_not() -> None:
    snapshot = plain(6, topic_on((1, 2, 3), (4, 5, 6), min_isr=1))
    nodes = range(1, 7)
    relaxed = plan(snapshot, nodes=nodes, concurrency=None)
    strict = plan(snapshot, nodes=nodes, concurrency=None, acknowledged=Acknowledgements(margin=1))
    assert (len(relaxed.steps), len(strict.steps)) == (2, 3)


def test_with_rf_le_min_isr_acknowledged_one_replica_goes_and_never_a_second() -> None:
    snapshot = plain(2, topic_on((1, 2)))
    assert taken(plan(snapshot, nodes={1, 2})) == []
    accepted = Acknowledgements(allow_rf_le_min_isr=("orders",))
    found = plan(snapshot, nodes={1, 2}, concurrency=None, acknowledged=accepted)
    assert taken(found) == [(1,), (2,)]
    assert found.steps[0].reason.endswith("shared with the other broker")


# --- Who cannot go -----------------------------------------------------------------------------


def test_who_is_blocked_alone_is_in_no_step_and_named_with_every_blocker() -> None:
    topic = a_topic(partitions=[a_partition(isr=(1, 2)), a_partition(1)])
    found = plan(plain(4, topic), concurrency=None)
    assert [row.node for row in found.blocked] == [1, 2]
    assert [(one.code, one.object) for one in found.blocked[0].blockers] == [
        ("WOULD_GO_UNDER_MIN_ISR", "orders-0")
    ]
    assert taken(found)[3:] == [(3, 4)]


def test_when_nobody_can_go_there_is_no_step_no_bound_and_no_time() -> None:
    found = plan(plain(3, a_topic(min_insync_replicas=None)), nodes={1, 2, 3})
    assert (found.steps, found.lower_bound, found.estimated_seconds) == ((), 0, 0)
    assert len(found.blocked) == 3


# --- Time, notes, fingerprint ------------------------------------------------------------------


def test_the_model_of_the_time_is_a_clean_run_and_restart_and_soak_for_each_step() -> None:
    # 5 + 15 + 20 s are seen with the snapshot at 45 s.
    assert plan(plain(3), nodes={1}).estimated_seconds == 60 + 45 + 120
    assert plan(plain(3), nodes={1, 2}).estimated_seconds == 60 + 2 * (45 + 120)
    assert plan(plain(4), nodes={1, 4}, concurrency=2).estimated_seconds == 60 + 45 + 120


def test_a_node_that_does_not_run_is_not_stopped_first() -> None:
    model = DurationModel(stop_seconds=100, start_seconds=10, catch_up_seconds=10)
    started, stopped = (PlannedPace(nodes=1, has_to_stop=stops) for stops in (False, True))
    assert estimated_seconds([started], 10, WavePolicy(), model=model) == 60 + 20 + 120
    assert estimated_seconds([stopped], 10, WavePolicy(), model=model) == 60 + 120 + 120
    snapshot = with_node(plain(3), 1, state=BrokerState.NOT_RUNNING)
    assert plan(snapshot, nodes={1}).estimated_seconds == 60 + 45 + 120


def test_the_policy_says_how_long_the_soak_and_the_clean_run_are() -> None:
    policy = WavePolicy(soak_seconds=10, clean_snapshots=5, clean_seconds=20)
    assert plan(plain(3), nodes={1}, policy=policy).estimated_seconds == 60 + 45 + 60


@pytest.mark.parametrize("interval", [5e-324, 1e-300, 1.7e308])
def test_an_interval_that_nobody_would_choose_gets_a_duration_too(interval: float) -> None:
    found = plan(replace(plain(3), interval_seconds=interval), nodes={1})
    assert found.steps
    assert found.estimated_seconds >= 60 + 40 + 120


@pytest.mark.parametrize(
    ("age", "said"),
    [(None, "nothing is known of the cluster"), (31.0, "its metadata is 31 s old"), (30.0, "")],
    ids=["never seen", "old", "fresh"],
)
def test_the_plan_says_when_its_metadata_is_none_to_rely_on(age: float | None, said: str) -> None:
    found = plan(replace(plain(3), ages={EvidenceGroup.METADATA: age}))
    told = [note for note in found.notes if "metadata" in note]
    assert [note.startswith(said) for note in told] == ([True] if said else [])


def test_the_plan_says_that_lag_is_not_asked_for_without_metrics() -> None:
    note = "replica lag is not asked for: no metrics are configured"
    assert note in plan(plain(3, ages=ages(metrics="-"))).notes
    assert plan(plain(3)).notes == ()


def changed(snapshot: ClusterSnapshot) -> Iterable[tuple[str, ClusterSnapshot]]:
    """Clusters that differ in what a plan rests on."""
    yield "cluster", replace(snapshot, cluster="other")
    yield "rack", with_node(snapshot, 1, rack="az9")
    yield "roles", with_node(snapshot, 1, roles=None)
    yield "node", replace(snapshot, brokers=snapshot.brokers[1:])
    yield "min ISR", replace(snapshot, topics=(topic_on((1, 2, 3), (2, 3, 1), min_isr=1),))
    yield "replica", replace(snapshot, topics=(topic_on((1, 2, 3), (2, 3, 4)),))
    yield "partition", replace(snapshot, topics=(topic_on((1, 2, 3)),))
    yield "topic", replace(snapshot, topics=(*snapshot.topics, topic_on((1, 2, 3), name="new")))
    rows = [a_partition(), a_partition(1, adding=frozenset({3}))]
    yield "adding", replace(snapshot, topics=(a_topic("orders", rows),))
    rows = [a_partition(), a_partition(1, removing=frozenset({3}))]
    yield "removing", replace(snapshot, topics=(a_topic("orders", rows),))
    rows = [a_partition(), a_partition(2)]
    yield "id", replace(snapshot, topics=(a_topic("orders", rows),))


def test_the_fingerprint_tells_topologies_apart() -> None:
    snapshot = plain(4, topic_on((1, 2, 3), (2, 3, 1)))
    digests = {name: fingerprint(other) for name, other in changed(snapshot)}
    digests["as it was"] = fingerprint(snapshot)
    assert len(set(digests.values())) == len(digests)
    assert all(len(digest) == 64 for digest in digests.values())


def test_the_fingerprint_does_not_know_what_changes_by_itself() -> None:
    snapshot = plain(4, topic_on((1, 2, 3)))
    moved = a_topic("orders", [a_partition(leader=-1, replicas=(3, 1, 2), isr=(2,))])
    later = with_node(replace(snapshot, topics=(moved,), quorum=None), 1, alive=False, version="9")
    assert fingerprint(later) == fingerprint(snapshot)


def restart(stop: float, start: float, recover: float, *, begin: float = 10.0) -> list[Any]:
    """What a node's history says after a restart that took so long."""
    times = [begin, begin + stop, begin + stop + 0.5]
    times += [times[-1] + start, times[-1] + start + recover, times[-1] + start + recover + 120]
    states = ("stopping", "stopped", "starting", "recovering", "soaking", "done")
    return [("pending", 0.0), *zip(states, times, strict=True)]


def test_what_was_measured_counts_instead_of_the_model() -> None:
    histories = [restart(30, 20, recover) for recover in (40, 50, 300)]
    measured = MeasuredRestarts.of([*histories, [("pending", 0.0)]])
    assert measured == MeasuredRestarts(restarts=(90.5, 100.5, 350.5), starts=(60.0, 70.0, 320.0))
    found = plan(plain(3), nodes={1}, measured=measured)
    assert (found.estimated_seconds, found.measured_restarts) == (60 + 101 + 120, 3)


def test_of_several_side_by_side_the_slowest_counts() -> None:
    measured = MeasuredRestarts.of([restart(10, 10, 10 * at) for at in range(11)])
    assert measured is not None

    def away(nodes: int) -> float:
        return measured.away_seconds(PlannedPace(nodes=nodes, has_to_stop=True))

    assert away(1) == 20.5 + 50
    assert away(4) == 20.5 + 80
    assert away(9) == 20.5 + 90
    assert away(10_000) < 20.5 + 100


@pytest.mark.parametrize(
    "history",
    [
        [],
        [("pending", 0.0), ("skipped", 5.0)],
        restart(1, 2, 3)[:4],
        [*restart(1, 2, 3)[:3], ("failed", 20.0)],
        [*restart(1, 2, 3)[:3], ("pending", 20.0), *restart(1, 2, 3, begin=30.0)[1:]],
        [("pending", 0.0), *restart(1, 2, 3)[3:]],
    ],
    ids=["none", "skipped", "under way", "failed", "tried twice", "repair"],
)
def test_only_restarts_in_one_go_are_measured(history: list[Any]) -> None:
    assert MeasuredRestarts.of([history]) is None


def test_a_relapse_into_recovery_is_part_of_the_way_back() -> None:
    *before, _ = restart(10, 10, 10)
    again = [*before, ("recovering", 100.0), ("soaking", 130.0), ("done", 250.0)]
    measured = MeasuredRestarts.of([again])
    assert measured is not None
    assert measured.starts == (50.0,)


def test_racks_go_together_in_as_few_steps_as_there_have_to_be() -> None:
    rows = [(one, two, three) for one in (1, 4) for two in (2, 5) for three in (3, 6)]
    parts = [a_partition(at, leader=row[0], replicas=row, isr=row) for at, row in enumerate(rows)]
    nodes = tuple(a_broker(node, rack=f"az{node % 3}") for node in range(1, 7))
    for minimum, expected in ((2, [[1, 4], [2, 5], [3, 6]]), (1, [[1, 3, 4, 6], [2, 5]])):
        topic = a_topic(partitions=parts, min_insync_replicas=minimum)
        found = plan(a_snapshot(topic, brokers=nodes, quorum=None), concurrency=None)
        assert [list(step.nodes) for step in found.steps] == expected
        assert found.lower_bound == len(expected)


def test_racks_whose_brokers_share_a_partition_do_not_go_together() -> None:
    rows = [(1, 2, 3), (4, 5, 6), (1, 4, 2)]
    parts = [a_partition(at, leader=row[0], replicas=row, isr=row) for at, row in enumerate(rows)]
    nodes = tuple(a_broker(node, rack=f"az{node % 3}") for node in range(1, 7))
    snapshot = a_snapshot(a_topic(partitions=parts), brokers=nodes, quorum=None)
    conflicts = Conflicts.of(snapshot, range(1, 7), NONE)
    racks = [[2, 5], [0, 3], [1, 4]]
    assert racks_together(conflicts, racks, 3) is None
    assert racks_together(conflicts, racks[:1], 3) is None
    assert racks_together(conflicts, [], 0) is None


def test_a_rack_of_which_somebody_is_left_out_does_not_go_at_once() -> None:
    rows = [(one, two, three) for one in (1, 4) for two in (2, 5) for three in (3, 6)]
    parts = [a_partition(at, leader=row[0], replicas=row, isr=row) for at, row in enumerate(rows)]
    alone = a_topic("alone", [a_partition(replicas=(7,), isr=(7,), leader=7)])
    nodes = tuple(a_broker(node, rack=f"az{node % 3}") for node in range(1, 8))
    snapshot = a_snapshot(a_topic(partitions=parts), alone, brokers=nodes, quorum=None)
    found = plan(snapshot, concurrency=None)
    assert [row.node for row in found.blocked] == [7]
    reasons = {step.nodes: step.reason for step in found.steps}
    assert reasons[1, 4].startswith("2 of the 3 brokers of rack az1 together: ")
    assert reasons[2, 5].startswith("rack az2 at once: ")
