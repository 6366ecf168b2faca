"""What a plan that was made before says of a cluster that has changed since."""

import json
from dataclasses import replace
from typing import Any

import pytest
from support.snapshots import a_broker, a_partition, a_snapshot, a_topic

from healthd.model.json_reader import InputError
from healthd.model.snapshot import ClusterSnapshot
from healthd.model.words import EvidenceGroup, Role
from healthd.safety.acknowledgements import NONE
from healthd.waves.plan_difference import Change, differences
from healthd.waves.plan_file import FiledPlan, in_short, read_plan
from healthd.waves.plan_json import plan_document
from healthd.waves.planner import plan

ROWS = ((1, 2, 3), (4, 5, 6), (1, 5, 3), (4, 2, 6))


def cluster(**changes: Any) -> ClusterSnapshot:
    """Six plain brokers in three racks: 1 and 4, 2 and 5, 3 and 6 may be down together."""
    nodes = tuple(
        a_broker(node, rack=f"az{node % 3}", roles=frozenset({Role.BROKER})) for node in range(1, 7)
    )
    parts = [a_partition(at, leader=row[0], replicas=row, isr=row) for at, row in enumerate(ROWS)]
    found = a_snapshot(a_topic(partitions=parts), brokers=nodes, quorum=None)
    return replace(found, **changes)


def with_broker(node: int, **changes: Any) -> ClusterSnapshot:
    found = cluster()
    rows = tuple(replace(row, **changes) if row.id == node else row for row in found.brokers)
    return replace(found, brokers=rows)


def with_partition(at: int, **changes: Any) -> ClusterSnapshot:
    parts = [a_partition(n, leader=row[0], replicas=row, isr=row) for n, row in enumerate(ROWS)]
    parts[at] = replace(parts[at], **changes)
    return cluster(topics=(a_topic(partitions=parts),))


def document(snapshot: ClusterSnapshot | None = None, **asked: Any) -> dict[str, Any]:
    made_from = snapshot or cluster()
    found = plan(made_from, **({"concurrency": None} | asked))
    written: dict[str, Any] = json.loads(json.dumps(plan_document(found, made_from)))
    return written


def filed(snapshot: ClusterSnapshot | None = None, **asked: Any) -> FiledPlan:
    return read_plan(in_short(document(snapshot, **asked)))


def told(now: ClusterSnapshot, before: FiledPlan | None = None) -> list[tuple[str, str]]:
    found = differences(before or filed(), now, NONE)
    return [(each.change.value, each.detail) for each in found]


def test_a_plan_of_the_same_cluster_is_not_stale() -> None:
    assert told(cluster()) == []
    assert filed().taken == (1, 2, 3, 4, 5, 6)
    assert [step.nodes for step in filed().steps] == [(1, 4), (2, 5), (3, 6)]


def test_what_changes_by_itself_makes_no_plan_stale() -> None:
    now = with_partition(0, leader=2, replicas=(2, 1, 3), isr=(3, 2, 1))
    assert told(replace(now, ages={EvidenceGroup.METADATA: 9.0}, interval_seconds=5.0)) == []


EIGHT = (a_partition(1), a_partition(2, replicas=(4, 5, 6), isr=(4, 5, 6), leader=4))
CHANGED: list[Any] = [
    (cluster(brokers=(*cluster().brokers, a_broker(7), a_broker(8))),
     [("broker-new", "brokers 7, 8 joined the cluster")]),
    (with_broker(3, rack="az9"), [("rack", "broker 3 was in rack az0 and is in rack az9")]),
    (with_broker(3, rack=None), [("rack", "broker 3 was in rack az0 and is in no rack")]),
    (with_broker(3, roles=frozenset(Role)),
     [("roles", "broker 3 was broker and is broker and controller")]),
    (with_partition(0, replicas=(1, 2, 6), isr=(1, 2, 6)),
     [("replicas", "the replicas of brokers 3, 6 are others")]),
    (with_partition(0, adding=frozenset({4}), replicas=(1, 2, 3, 4)),
     [("replicas", "the replicas of broker 4 are others: 2 then, 3 now")]),
    (cluster(topics=(*cluster().topics, a_topic("new", EIGHT[:1]))),
     [("replicas", "the replicas of brokers 1, 2, 3 are others"),
      ("topics", "the cluster had 1 topics and has 2")]),
    (cluster(topics=(replace(cluster().topics[0], min_insync_replicas=1),)),
     [("replicas", "the replicas of brokers 1, 2, 3, 4, 5, 6 are others")]),
    (with_broker(2, alive=False),
     [("role", "broker 2 was a plain broker and is down, fenced or not running")]),
    (with_partition(0, isr=(1, 2)),
     [("blocked", "broker 1 cannot be taken any more: WOULD_GO_UNDER_MIN_ISR orders-0"),
      ("blocked", "broker 2 cannot be taken any more: WOULD_GO_UNDER_MIN_ISR orders-0")]),
]  # fmt: skip


@pytest.mark.parametrize(("now", "says"), CHANGED, ids=range(len(CHANGED)))
def test_every_difference_is_told_in_words(
    now: ClusterSnapshot, says: list[tuple[str, str]]
) -> None:
    assert [row for row in told(now) if row in says] == says


def test_a_broker_that_left_is_named_once() -> None:
    now = cluster(brokers=cluster().brokers[:5])
    assert told(now)[0] == ("broker-gone", "broker 6 left the cluster")
    assert [change for change, _ in told(now)].count("broker-gone") == 1


def test_brokers_that_may_not_be_down_together_any_more_are_told_by_their_step() -> None:
    made = document()
    # Somebody edited the file: nothing in it is believed.
    made["steps"] = [{"brokers": [1, 2], "role": "broker"}, *made["steps"][2:]]
    ((change, detail),) = told(cluster(), read_plan(made))
    assert change == Change.STEP
    assert detail == (
        "step 1: brokers 1, 2 may not be down together any more: WOULD_GO_UNDER_MIN_ISR orders-0"
    )


def test_one_that_was_blocked_and_can_be_taken_now_is_told() -> None:
    before = filed(with_partition(0, isr=(1, 2)))
    assert ("free", "brokers 1, 2 could not be taken and can be now") in told(cluster(), before)


def test_one_that_was_to_be_repaired_and_is_back_is_told() -> None:
    before = filed(with_broker(2, alive=False))
    assert ("role", "broker 2 was to be repaired and is a plain broker") in told(cluster(), before)


def test_a_plan_without_marks_still_says_that_it_is_stale() -> None:
    made = {key: value for key, value in document().items() if key not in {"nodes", "topics"}}
    ((change, detail),) = told(
        with_partition(0, replicas=(1, 2, 6), isr=(1, 2, 6)), read_plan(made)
    )
    assert change == Change.TOPOLOGY
    assert "the fingerprint of the cluster is not" in detail


def damaged(**changes: Any) -> dict[str, Any]:
    return document() | changes


DAMAGED: list[tuple[Any, str]] = [
    ([], "is no plan"),
    ({"cluster": "payments"}, "is no plan"),
    (damaged(fingerprint="abc"), "fingerprint: is no SHA-256"),
    (damaged(fingerprint=7), "fingerprint: must be text"),
    (damaged(steps={}), "steps: must be a list"),
    (damaged(steps=[[1]]), "steps[0]: must be an object"),
    (damaged(steps=[{"brokers": [], "role": "broker"}]), "steps[0].brokers: is empty"),
    (damaged(steps=[{"brokers": [1], "role": ["x"]}]), "steps[0].role: must be text"),
    (damaged(steps=[{"brokers": [True], "role": "broker"}]), "steps[0].brokers[0]: must be"),
    (damaged(steps=[{"brokers": [1, 1], "role": "broker"}]), "steps: broker 1 is there twice"),
    (damaged(steps=[{"role": "broker"}]), "steps[0].brokers: is required"),
    (damaged(blocked=[3]), "blocked[0]: must be an object"),
    (damaged(concurrency=0), "concurrency: must be a whole number from 1, or safe"),
    (damaged(concurrency=True), "concurrency: must be a whole number from 1, or safe"),
    (damaged(madeFrom="thin air"), "madeFrom: must be one of snapshot, kcat"),
    (damaged(policy=[]), "policy: must be an object"),
    (damaged(nodes=[{"id": 1}]), "nodes[0].rack: is required"),
    (damaged(topics=-1), "topics: must be at least 0"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "says"), DAMAGED, ids=[says for _, says in DAMAGED])
def test_a_damaged_plan_is_refused_with_the_place(value: object, says: str) -> None:
    with pytest.raises(InputError) as refused:
        read_plan(value)
    assert str(refused.value).startswith(says)


def test_what_a_newer_version_adds_is_left_alone() -> None:
    assert read_plan(document() | {"tomorrow": 1}) == read_plan(document())
