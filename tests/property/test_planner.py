"""What is true of every plan, with ok-to-stop as the oracle."""

import random
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st
from support.safety_snapshots import NODES, acknowledgements, clusters
from support.snapshots import NOON, a_broker, snapshots

from healthd.model.snapshot import Broker, ClusterSnapshot, Partition, Topic
from healthd.safety.acknowledgements import Acknowledgements
from healthd.safety.ok_to_stop import each_broker, ok_to_stop
from healthd.waves.planner import Plan, StepRole, plan
from healthd.waves.planner_fingerprint import fingerprint
from healthd.waves.planner_packing import Together, fewest_steps
from healthd.waves.planner_search import fit
from healthd.waves.planner_spare import Conflicts
from healthd.waves.sequence import is_active_controller, is_controller, needs_repair

limits = st.sampled_from([None, None, 1, 2, 3])
often = settings(max_examples=300)
MANY = tuple(range(1, 9))


@st.composite
def plain_clusters(draw: st.DrawFn) -> ClusterSnapshot:
    """Eight plain brokers without trouble: everything depends on the assignment."""
    racks = draw(st.sampled_from([1, 2, 3, 4]))
    topics = []
    for name in ("t1", "t2"):
        rows = draw(
            st.lists(
                st.lists(st.sampled_from(MANY), unique=True, min_size=2, max_size=5),
                max_size=8,
            )
        )
        topics.append(
            Topic.of(
                name,
                [
                    Partition(id=at, leader=row[0], replicas=tuple(row), isr=tuple(row))
                    for at, row in enumerate(rows)
                ],
                min_insync_replicas=draw(st.sampled_from([1, 1, 2])),
            )
        )
    return ClusterSnapshot(
        cluster="plain",
        observed_at=NOON,
        brokers=tuple(a_broker(node, rack=f"az{node % racks}") for node in MANY),
        topics=tuple(topics),
    )


any_cluster = clusters() | plain_clusters() | snapshots()


def planned(found: Plan) -> list[int]:
    return [node for step in found.steps for node in step.nodes]


@often
@given(any_cluster, limits, acknowledgements, st.data())
def test_each_node_is_in_one_step_or_blocked_alone(
    snapshot: ClusterSnapshot, limit: int | None, accepted: Acknowledgements, data: st.DataObject
) -> None:
    listed = sorted(snapshot.brokers_by_id)
    asked = data.draw(st.none() | st.sets(st.sampled_from(listed)) if listed else st.none())
    found = plan(snapshot, nodes=asked, concurrency=limit, acknowledged=accepted)
    wanted = set(listed) if asked is None else asked
    each = each_broker(snapshot, acknowledged=accepted)
    blocked = {row.node: row.blockers for row in found.blocked}
    assert blocked == {node: each[node] for node in wanted if each[node]}
    assert list(blocked) == sorted(blocked)
    assert sorted([*planned(found), *blocked]) == sorted(wanted)


@often
@given(any_cluster, limits, acknowledgements)
def test_every_step_may_stop_as_a_set(
    snapshot: ClusterSnapshot, limit: int | None, accepted: Acknowledgements
) -> None:
    found = plan(snapshot, concurrency=limit, acknowledged=accepted)
    for step in found.steps:
        assert list(step.nodes) == sorted(step.nodes)
        assert limit is None or len(step.nodes) <= limit
        assert ok_to_stop(snapshot, step.nodes, acknowledged=accepted) == ()


@often
@given(any_cluster, limits)
def test_the_order_is_that_of_the_rules(snapshot: ClusterSnapshot, limit: int | None) -> None:
    brokers = snapshot.brokers_by_id

    def role(node: Broker) -> StepRole:
        if needs_repair(node):
            return StepRole.REPAIR
        return StepRole.CONTROLLER if is_controller(snapshot, node) else StepRole.BROKER

    found = plan(snapshot, concurrency=limit, acknowledged=Acknowledgements(assume_min_isr=1))
    roles = [step.role for step in found.steps]
    assert roles == sorted(roles, key=list(StepRole).index)
    for step in found.steps:
        nodes = [brokers[node] for node in step.nodes]
        assert {role(node) for node in nodes} == {step.role}
        assert sum(is_controller(snapshot, node) for node in nodes) <= 1
        assert step.reason
    for one in StepRole:
        steps = [step for step in found.steps if step.role is one]
        if one is not StepRole.BROKER:
            steps = [step for step in steps if any(is_controller(snapshot, brokers[node]) for node in step.nodes)]  # fmt: skip  # noqa: E501
        active = [at for at, step in enumerate(steps) if any(is_active_controller(snapshot, node) for node in step.nodes)]  # fmt: skip  # noqa: E501
        plain_repair = one is StepRole.REPAIR and not steps
        assert plain_repair or active in ([], [len(steps) - 1])


@often
@given(any_cluster, acknowledgements)
def test_conflicts_say_of_sets_of_plain_brokers_what_ok_to_stop_says(
    snapshot: ClusterSnapshot, accepted: Acknowledgements
) -> None:
    each = each_broker(snapshot, acknowledged=accepted)
    nodes = [
        node
        for node, broker in sorted(snapshot.brokers_by_id.items())
        if not each[node] and not is_controller(snapshot, broker) and not needs_repair(broker)
    ]
    conflicts = Conflicts.of(snapshot, nodes, accepted)
    for size in (2, 3, 4):
        for part in combinations(range(len(nodes)), size):
            together = Together(conflicts)
            fits = True
            for at in part:
                fits = fits and together.allows(at)
                together.add(at)
            stopped = [nodes[at] for at in part]
            assert fits == (not ok_to_stop(snapshot, stopped, acknowledged=accepted))


def fewest_by_trying(snapshot: ClusterSnapshot, nodes: tuple[int, ...]) -> int:
    """The true minimum of steps, over every way to divide the nodes."""
    safe = [
        sum(1 << at for at in part)
        for size in range(1, len(nodes) + 1)
        for part in combinations(range(len(nodes)), size)
        if not ok_to_stop(snapshot, [nodes[at] for at in part])
    ]
    everybody = (1 << len(nodes)) - 1
    fewest = {0: 0}
    for done in range(everybody):
        if done not in fewest:
            continue
        first = ~done & (done + 1)
        for part in safe:
            if part & first and not part & done:
                then = done | part
                fewest[then] = min(fewest.get(then, len(nodes)), fewest[done] + 1)
    return fewest[everybody]


@settings(max_examples=80)
@given(plain_clusters())
def test_no_division_into_safe_steps_has_fewer_than_the_lower_bound(
    snapshot: ClusterSnapshot,
) -> None:
    each = each_broker(snapshot)
    nodes = tuple(node for node in MANY if not each[node])
    found = plan(snapshot, concurrency=None)
    true = fewest_by_trying(snapshot, nodes)
    assert found.lower_bound == true == len(found.steps)
    conflicts = Conflicts.of(snapshot, nodes, Acknowledgements())
    assert fewest_steps(conflicts) <= found.lower_bound
    for many in range(1, len(nodes) + 1):
        assert fit(conflicts, many).is_impossible == (many < true)
    pairs = [pair for pair in combinations(nodes, 2) if ok_to_stop(snapshot, pair)]
    assert found.lower_bound >= (2 if pairs else min(1, len(nodes)))


@often
@given(any_cluster, limits, acknowledgements)
def test_the_bound_is_never_above_the_steps_and_does_not_know_the_concurrency(
    snapshot: ClusterSnapshot, limit: int | None, accepted: Acknowledgements
) -> None:
    found = plan(snapshot, concurrency=limit, acknowledged=accepted)
    assert found.lower_bound <= len(found.steps)
    assert found.lower_bound == plan(snapshot, acknowledged=accepted).lower_bound
    assert (found.lower_bound > 0) == bool(found.steps)


@given(clusters(), st.randoms(use_true_random=False))
def test_the_fingerprint_does_not_know_the_order(
    snapshot: ClusterSnapshot, dice: random.Random
) -> None:
    topics = [
        Topic.of(
            topic.name,
            dice.sample(list(topic), len(topic)),
            min_insync_replicas=topic.min_insync_replicas,
            excluded=topic.excluded,
        )
        for topic in snapshot.topics
    ]
    mixed = ClusterSnapshot(
        cluster=snapshot.cluster,
        observed_at=snapshot.observed_at,
        brokers=tuple(dice.sample(list(snapshot.brokers), len(NODES))),
        topics=tuple(dice.sample(topics, len(topics))),
    )
    assert fingerprint(mixed) == fingerprint(snapshot)
