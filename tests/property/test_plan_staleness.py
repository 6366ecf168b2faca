"""A plan is accepted exactly as long as everything that it says is true."""

import json
import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from support.safety_snapshots import acknowledgements, clusters
from support.snapshots import snapshots

from healthd.model.snapshot import ClusterSnapshot
from healthd.safety.acknowledgements import Acknowledgements
from healthd.safety.ok_to_stop import each_broker, ok_to_stop
from healthd.waves.plan_difference import differences
from healthd.waves.plan_file import FiledPlan, in_short, read_plan
from healthd.waves.plan_json import plan_document
from healthd.waves.planner import StepRole, plan
from healthd.waves.planner_digests import node_marks
from healthd.waves.planner_fingerprint import fingerprint
from healthd.waves.sequence import is_controller, needs_repair

limits = st.sampled_from([None, None, 1, 2, 3])
any_cluster = clusters() | snapshots()
often = settings(max_examples=80)


def filed(snapshot: ClusterSnapshot, limit: int | None, accepted: Acknowledgements) -> FiledPlan:
    made = plan(snapshot, concurrency=limit, acknowledged=accepted)
    document = plan_document(made, snapshot, acknowledged=accepted)
    return read_plan(json.loads(json.dumps(in_short(document))))


@st.composite
def two_moments(draw: st.DrawFn) -> tuple[ClusterSnapshot, ClusterSnapshot]:
    """A cluster, and the same cluster later: some parts of it are those of another."""
    first, other = draw(any_cluster), draw(any_cluster)
    names = draw(st.sets(st.sampled_from(("brokers", "topics", "quorum"))))
    return first, replace(first, **{name: getattr(other, name) for name in names})


@often
@given(any_cluster, limits, acknowledgements)
def test_a_plan_of_now_is_never_stale(
    snapshot: ClusterSnapshot, limit: int | None, accepted: Acknowledgements
) -> None:
    assert differences(filed(snapshot, limit, accepted), snapshot, accepted) == ()


@settings(max_examples=150)
@given(two_moments(), limits, acknowledgements)
def test_a_plan_is_accepted_exactly_when_all_of_it_is_still_true(
    moments: tuple[ClusterSnapshot, ClusterSnapshot], limit: int | None, accepted: Acknowledgements
) -> None:
    before, now = moments
    made = filed(before, limit, accepted)
    found = differences(made, now, accepted)
    assert (found == ()) == _holds(made, now, accepted)
    for each in found:
        assert each.detail


def _holds(made: FiledPlan, now: ClusterSnapshot, accepted: Acknowledgements) -> bool:
    """The definition, one node and one step after the other."""
    if made.fingerprint != fingerprint(now):
        return False
    each = each_broker(now, acknowledged=accepted)
    for step in made.steps:
        for node in step.nodes:
            broker = now.brokers_by_id[node]
            role = StepRole.CONTROLLER if is_controller(now, broker) else StepRole.BROKER
            if each[node] or step.role is not (StepRole.REPAIR if needs_repair(broker) else role):
                return False
        if ok_to_stop(now, step.nodes, acknowledged=accepted):
            return False
    return all(each[node] for node in made.blocked)


@often
@given(two_moments())
def test_where_the_fingerprint_differs_the_marks_or_the_topics_do(
    moments: tuple[ClusterSnapshot, ClusterSnapshot],
) -> None:
    before, now = moments
    if fingerprint(before) == fingerprint(now):
        assert node_marks(before) == node_marks(now)
        return
    # What no node has a replica of leaves no mark: a topic without partitions, its name and all.
    told = differences(filed(before, 1, Acknowledgements()), now, Acknowledgements())
    assert told


@often
@given(any_cluster, st.randoms(use_true_random=False))
def test_marks_do_not_depend_on_the_order_of_anything(
    snapshot: ClusterSnapshot, dice: random.Random
) -> None:
    shuffled = replace(
        snapshot,
        brokers=tuple(dice.sample(snapshot.brokers, len(snapshot.brokers))),
        topics=tuple(dice.sample(snapshot.topics, len(snapshot.topics))),
    )
    assert node_marks(shuffled) == node_marks(snapshot)
