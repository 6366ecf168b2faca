"""Which brokers go together, and whole waves over racks, on the model cluster."""

from dataclasses import replace
from typing import Any

import pytest
from support.cluster_model import Rows, healthy, racked, unconstrained
from support.wave_model import WaveModel

from healthd.model.snapshot import ClusterSnapshot
from healthd.model.words import QuorumMode
from healthd.safety.acknowledgements import NONE
from healthd.safety.ok_to_stop import ok_to_stop
from healthd.waves.company import company
from healthd.waves.planner import plan
from healthd.waves.policy import WavePolicy
from healthd.waves.state import WaveStatus

# --- Company -------------------------------------------------------------------------------------


def of_model(rows: Rows, *, nodes: Any) -> ClusterSnapshot:
    return healthy(nodes, rows)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("is_racked", [True, False], ids=["racks", "anywhere"])
def test_company_is_always_safe_together_and_never_larger_than_the_room(
    seed: int,
    is_racked: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    nodes, rows = (
        racked(racks=3, each=5, factor=3, min_isr=2, partitions=40, seed=seed)
        if is_racked
        else unconstrained(nodes=15, factor=3, min_isr=2, partitions=12, seed=seed)
    )
    snapshot = of_model(rows, nodes=nodes)
    ids = [node.id for node in nodes if node.is_broker]
    for many in (0, 1, 3):
        away = frozenset(
            company(snapshot, ids, away=frozenset(), room=many, acknowledged=NONE) if many else ()
        )
        left = [node for node in ids if node not in away]
        for room in (None, 1, 2, 4):
            chosen = company(snapshot, left, away=away, room=room, acknowledged=NONE)
            assert not ok_to_stop(snapshot, {*away, *chosen})
            assert room is None or len(chosen) <= room
            if not chosen:
                assert all(ok_to_stop(snapshot, {*away, node}) for node in left)


def test_the_active_controller_of_zookeeper_goes_with_the_last() -> None:
    nodes, rows = racked(racks=3, each=2, factor=3, min_isr=2, partitions=12)
    snapshot = of_model(rows, nodes=nodes)
    assert snapshot.quorum is not None
    active = replace(snapshot.quorum, leader_id=1, mode=QuorumMode.ZOOKEEPER, voters=())
    snapshot = replace(snapshot, quorum=active)
    ids = [node.id for node in nodes if node.is_broker]
    order = []
    left = list(ids)
    while left:
        chosen = company(snapshot, left, away=frozenset(), room=None, acknowledged=NONE)
        order.append(chosen)
        left = [node for node in left if node not in chosen]
    assert 1 in order[-1]


# --- Whole waves ---------------------------------------------------------------------------------

DEFAULTS = WavePolicy()


def makespan(concurrency: int | None, *, each: int) -> tuple[float, WaveModel]:
    nodes, rows = racked(racks=3, each=each, factor=3, min_isr=2, partitions=600)
    brokers = tuple(node.id for node in nodes if node.is_broker)
    model = WaveModel(
        nodes, rows, policy=DEFAULTS, brokers=brokers, interval=15.0, concurrency=concurrency
    )
    model.begin()
    model.run(100_000)
    assert model.state.status is WaveStatus.SUCCEEDED
    assert not model.violations
    assert set(model.restarts.values()) == {0, 1}
    return model.agenda.now, model


@pytest.mark.parametrize("each", [6, pytest.param(20, marks=pytest.mark.prove)])
def test_brokers_in_three_racks_are_restarted_rack_by_rack_as_planned(each: int) -> None:
    alone, one = makespan(1, each=each)
    together, several = makespan(None, each=each)
    assert (one.as_json()["maxInFlight"], several.as_json()["maxInFlight"]) == (1, each)
    # The gate's clean time before the first broker is the same for both.
    assert alone / together >= 0.85 * each
    steps = plan(one.world.collector.given, nodes=several.order, concurrency=None).steps
    assert [set(several.order[at * each : (at + 1) * each]) for at in range(3)] == [
        set(step.nodes) for step in steps
    ]


def test_two_in_flight_do_not_wait_for_each_other() -> None:
    nodes, rows = racked(racks=3, each=4, factor=3, min_isr=2, partitions=30)
    model = WaveModel(nodes, rows, policy=DEFAULTS, interval=15.0, concurrency=2)
    slow = 1
    model.cluster.nodes[slow].log_recovery = 300
    model.begin()
    model.run(100_000)
    assert model.state.status is WaveStatus.SUCCEEDED
    done = [node for _, event, node, _ in model.story if event == "node_done" and node is not None]
    assert not model.violations
    assert done.index(slow) > done.index(4)
