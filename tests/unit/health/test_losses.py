"""What a cluster can lose: brokers, racks and controllers."""

from dataclasses import replace
from typing import Any

from support import snapshots
from support.snapshots import a_broker, a_partition, a_quorum, a_topic

from healthd.health.losses import Loss, LossKind, losses
from healthd.model.codes import ReasonCode
from healthd.model.snapshot import ClusterSnapshot, Topic
from healthd.model.words import Excluded


def a_snapshot(*topics: Topic, **changes: Any) -> ClusterSnapshot:
    """Three brokers, all healthy unless told otherwise."""
    brokers = [a_broker(node) for node in (1, 2, 3)]
    return snapshots.a_snapshot(*topics, **({"brokers": tuple(brokers)} | changes))


def by_name(snapshot: ClusterSnapshot) -> dict[tuple[LossKind, str], Loss]:
    return {(loss.kind, loss.name): loss for loss in losses(snapshot)}


def tolerated(snapshot: ClusterSnapshot, kind: LossKind) -> dict[str, bool | None]:
    return {loss.name: loss.is_tolerated for loss in losses(snapshot) if loss.kind is kind}


def racked(snapshot: ClusterSnapshot) -> ClusterSnapshot:
    return replace(snapshot, brokers=tuple(replace(b, rack=f"az{b.id}") for b in snapshot.brokers))


def test_a_healthy_cluster_can_lose_any_one_broker_rack_and_controller() -> None:
    found = losses(racked(a_snapshot()))
    assert [(loss.kind, loss.name) for loss in found] == [
        (LossKind.BROKER, "1"), (LossKind.BROKER, "2"), (LossKind.BROKER, "3"),
        (LossKind.RACK, "az1"), (LossKind.RACK, "az2"), (LossKind.RACK, "az3"),
        (LossKind.CONTROLLER, "1"), (LossKind.CONTROLLER, "2"), (LossKind.CONTROLLER, "3"),
    ]  # fmt: skip
    assert all(loss.is_tolerated is True for loss in found)


def test_at_min_isr_only_brokers_outside_the_isr_can_go() -> None:
    snapshot = a_snapshot(a_topic("t", [a_partition(isr=(1, 2))]))
    assert tolerated(snapshot, LossKind.BROKER) == {"1": False, "2": False, "3": True}
    loss = by_name(snapshot)[LossKind.BROKER, "1"]
    assert (loss.breaks, loss.partitions) == ((ReasonCode.WOULD_GO_UNDER_MIN_ISR,), 1)


def test_what_is_broken_already_is_nobodys_loss_to_come() -> None:
    snapshot = a_snapshot(
        a_topic("t", [a_partition(isr=(1,)), a_partition(1, leader=-1, isr=(1,))])
    )
    assert tolerated(snapshot, LossKind.BROKER) == {"1": True, "2": True, "3": True}


def test_a_topic_without_a_second_replica_is_lost_with_its_broker() -> None:
    snapshot = a_snapshot(a_topic("t", [a_partition(replicas=(2,), isr=(2,), leader=2)]))
    assert tolerated(racked(snapshot), LossKind.BROKER) == {"1": True, "2": False, "3": True}
    assert tolerated(racked(snapshot), LossKind.RACK) == {"az1": True, "az2": False, "az3": True}


def test_unknown_min_isr_is_not_known_rather_than_well() -> None:
    snapshot = racked(a_snapshot(a_topic("t", min_insync_replicas=None)))
    assert set(tolerated(snapshot, LossKind.BROKER).values()) == {None}
    assert set(tolerated(snapshot, LossKind.RACK).values()) == {None}


def test_a_quorum_with_a_voter_behind_can_lose_only_that_one() -> None:
    snapshot = a_snapshot(quorum=a_quorum(3))
    assert tolerated(snapshot, LossKind.CONTROLLER) == {"1": False, "2": False, "3": True}
    assert tolerated(snapshot, LossKind.BROKER) == {"1": False, "2": False, "3": True}


def test_brokers_that_are_down_and_excluded_topics_do_not_count() -> None:
    probe = a_topic("probe", [a_partition(isr=(1, 2))], excluded=Excluded.PROBE)
    snapshot = a_snapshot(
        a_topic(), probe, brokers=[a_broker(1), a_broker(2), a_broker(3), a_broker(4, alive=False)]
    )
    assert tolerated(snapshot, LossKind.BROKER) == {"1": True, "2": True, "3": True}
