"""Whole waves over a model cluster in virtual time: what an operator would see."""

from collections.abc import Callable

import pytest
from support.cluster_model import Node, ring
from support.wave_model import WaveModel

from healthd.waves.events import Draining, Verb
from healthd.waves.policy import WavePolicy
from healthd.waves.state import BETWEEN_STOP_AND_START, NodeStatus, WaveStatus

POLICY = WavePolicy(
    soak_seconds=20,
    clean_seconds=10,
    stop_timeout_seconds=60,
    start_timeout_seconds=60,
    recovery_timeout_seconds=300,
)


def five(policy: WavePolicy = POLICY, interval: float = 5.0) -> WaveModel:
    """Five brokers, three of them controllers, RF 4 and min.insync.replicas 3, as in the demo."""
    nodes, partitions = ring(nodes=5, factor=4, min_isr=3, voters=3)
    return WaveModel(nodes, partitions, policy=policy, interval=interval)


def outcome_of(model: WaveModel) -> WaveStatus:
    return model.state.status


def at_status(model: WaveModel, node: int, status: NodeStatus, act: Callable[[], object]) -> None:
    """Let something happen once, when a node first enters a status."""
    struck: list[int] = []

    def strike(entered: int, entered_status: NodeStatus) -> None:
        if (entered, entered_status) == (node, status) and not struck:
            struck.append(node)
            act()

    model.on_status = strike


def holds_of(model: WaveModel) -> set[str]:
    return {f"{hold.reason.code.value} {hold.reason.object}" for hold in model.state.holds}


def run_on(model: WaveModel, node: int) -> NodeStatus:
    run = model.state.node(node)
    assert run is not None
    return run.status


@pytest.mark.parametrize(
    ("policy", "interval"),
    [
        pytest.param(POLICY, 5.0, id="as in these tests"),
        pytest.param(WavePolicy(), 15.0, id="the defaults"),
        pytest.param(WavePolicy(soak_seconds=5, clean_seconds=5), 3.5, id="short ones"),
    ],
)
def test_a_calm_wave_never_holds_and_takes_no_partition_under_min_isr(
    policy: WavePolicy, interval: float
) -> None:
    model = five(policy, interval)
    under: list[float] = []

    def watch() -> None:
        if model.cluster.under_min_isr():
            under.append(model.agenda.now)
        model.agenda.after(0.25, watch)

    watch()
    model.begin()
    model.run(3600)
    assert model.statuses == ["running", "succeeded"]
    assert model.as_json() == {
        "outcome": "succeeded",
        "restarts": dict.fromkeys(range(1, 6), 1),
        "order": [2, 3, 1, 4, 5],
        "maxInFlight": 1,
        "down": [],
        "violations": [],
    }
    assert not under
    assert not [event for _, event, _, _ in model.story if event == "gate_closed"]


def test_an_election_after_the_active_controllers_stop_holds_for_as_long_as_it_takes() -> None:
    # Snapshots at this pace see the second in which nobody leads; the wave goes on by itself.
    model = five(WavePolicy(soak_seconds=5, clean_seconds=5), 0.8)
    model.begin()
    model.run(3600)
    assert model.statuses == ["running", "holding", "running", "succeeded"]
    (closed,) = [row for row in model.story if row[1] == "gate_closed"]
    assert closed[3].startswith("CONTROLLER_ABSENT cluster:model")


def test_pure_controllers_are_taken_before_brokers_and_the_active_one_is_their_last() -> None:
    nodes, partitions = ring(nodes=4, factor=3, min_isr=2, voters=0)
    controllers = [Node(id=node, is_broker=False, is_voter=True) for node in (101, 102, 103)]
    model = WaveModel([*nodes, *controllers], partitions, policy=POLICY)
    model.begin()
    model.run(3600)
    assert model.order == [102, 103, 101, 1, 2, 3, 4]
    assert model.statuses == ["running", "succeeded"]


def test_a_broker_that_freezes_in_the_soak_of_another_holds_the_wave_by_name() -> None:
    model = five()
    # Node 2 is through by then, so that it is no repair of this wave.
    at_status(model, 3, NodeStatus.SOAKING, lambda: model.cluster.freeze(2))
    model.begin()
    model.run_to(lambda: model.state.status is WaveStatus.HOLDING)
    model.run(model.agenda.now + 30)
    assert "BROKER_DOWN broker:2" in holds_of(model)
    assert any(hold.startswith("PARTITION_UNDER_REPLICATED orders-") for hold in holds_of(model))
    assert run_on(model, 3) is NodeStatus.SOAKING
    model.cluster.thaw(2)
    model.run(3600)
    assert outcome_of(model) is WaveStatus.SUCCEEDED
    assert set(model.restarts.values()) == {1}


def test_when_another_dies_while_one_is_down_that_one_finishes_and_no_third_is_taken() -> None:
    model = five()
    at_status(model, 3, NodeStatus.STOPPING, lambda: model.cluster.crash(2))
    model.begin()
    model.run_to(lambda: run_on(model, 3) is NodeStatus.RECOVERING)
    model.run(model.agenda.now + 200)
    assert outcome_of(model) is WaveStatus.HOLDING
    assert "BROKER_DOWN broker:2" in holds_of(model)
    assert not model.state.having(BETWEEN_STOP_AND_START)
    assert model.order == [2, 3]
    model.cluster.start(2)
    model.run(model.agenda.now + 3600)
    assert outcome_of(model) is WaveStatus.SUCCEEDED


def test_a_broker_of_the_wave_that_dies_beside_a_soak_is_started_there_and_then() -> None:
    model = five()
    at_status(model, 2, NodeStatus.SOAKING, lambda: model.cluster.crash(5))
    model.begin()
    model.run(3600)
    assert outcome_of(model) is WaveStatus.SUCCEEDED
    assert model.state.died == (5,)
    assert model.restarts[5] == 1
    assert model.order[:2] == [2, 5]


@pytest.mark.parametrize(
    "status",
    [
        NodeStatus.STOPPING,
        NodeStatus.STOPPED,
        NodeStatus.STARTING,
        NodeStatus.RECOVERING,
        NodeStatus.SOAKING,
        NodeStatus.DONE,
    ],
)
@pytest.mark.parametrize("down_for", [0.5, 120.0])
def test_a_daemon_killed_in_any_state_ends_its_wave_with_one_restart_each(
    status: NodeStatus, down_for: float
) -> None:
    model = five()
    at_status(model, 3, status, lambda: model.kill(down_for))
    model.begin()
    model.run(3600)
    assert model.as_json()["restarts"] == dict.fromkeys(range(1, 6), 1), model.told()
    assert outcome_of(model) is WaveStatus.SUCCEEDED
    assert not model.violations


@pytest.mark.parametrize("fault", ["hangs", "lies"])
def test_a_stop_that_does_nothing_fails_its_node_and_a_retry_restarts_it_once(fault: str) -> None:
    model = five()
    getattr(model.faults, fault).add(3)
    model.begin()
    model.run_to(lambda: model.state.is_paused)
    assert model.state.pauses[0].node == 3
    assert model.restarts[3] == 0
    assert model.order_(Verb.RESUME) is not None
    assert model.order_(Verb.RETRY, 3) is None
    model.run(3600)
    assert outcome_of(model) is WaveStatus.SUCCEEDED
    assert set(model.restarts.values()) == {1}


def test_an_answer_that_is_lost_costs_no_second_restart() -> None:
    model = five()
    model.faults.loses_answer.add(3)
    model.begin()
    model.run(3600)
    assert model.statuses == ["running", "succeeded"]
    assert set(model.restarts.values()) == {1}


def test_a_broker_that_does_not_start_pauses_the_wave_and_a_retry_starts_it() -> None:
    model = five()
    model.faults.start_fails.add(3)
    model.begin()
    model.run_to(lambda: model.state.is_paused)
    model.run(model.agenda.now + 100)
    assert model.down() == [3]
    assert model.order == [2, 3]
    assert [event for _, event, node, _ in model.story if node == 3][-1] == "logs_seen"
    model.faults.start_fails.clear()
    assert model.order_(Verb.RETRY, 3) is None
    model.run(3600)
    assert outcome_of(model) is WaveStatus.SUCCEEDED
    assert set(model.restarts.values()) == {1}


def test_a_long_log_recovery_pauses_the_wave_and_names_the_broker() -> None:
    model = five()
    model.cluster.nodes[3].log_recovery = 400
    model.begin()
    model.run_to(lambda: model.state.is_paused)
    assert "broker 3 is not back after 300 s" in model.state.pauses[0].reason
    assert model.order == [2, 3]


def test_a_host_out_of_reach_before_its_stop_holds_and_nothing_is_done() -> None:
    model = five()
    model.faults.unreachable.add(2)
    model.begin()
    model.run(300)
    assert outcome_of(model) is WaveStatus.HOLDING
    assert "HOST_UNREACHABLE broker:2" in holds_of(model)
    closed = [event for _, event, _, _ in model.story if event == "gate_closed"]
    assert len(closed) == 1  # It does not flap with every look.
    assert not model.intents
    model.faults.unreachable.clear()
    model.run(3600)
    assert outcome_of(model) is WaveStatus.SUCCEEDED


def test_a_lost_exporter_holds_and_names_its_broker() -> None:
    model = five()
    at_status(model, 3, NodeStatus.SOAKING, lambda: model.collector.exporters_lost.update([5]))
    model.begin()
    model.run_to(lambda: model.state.status is WaveStatus.HOLDING)
    assert "EVIDENCE_STALE broker:5" in holds_of(model)


@pytest.mark.parametrize("status", sorted(BETWEEN_STOP_AND_START - {NodeStatus.STOPPED}))
def test_a_daemon_that_drains_brings_the_broker_in_flight_back_and_takes_no_other(
    status: NodeStatus,
) -> None:
    model = five()
    at_status(
        model,
        3,
        status,
        lambda: model.agenda.after(0.1, lambda: model.handle(Draining(at=model.wave_clock))),
    )
    model.begin()
    model.run(400)
    assert not model.state.having(BETWEEN_STOP_AND_START)
    assert not model.down()
    assert model.order == [2, 3]


def test_a_frozen_broker_that_is_asked_to_stop_is_started_when_it_stops_after_all() -> None:
    model = five()
    at_status(model, 3, NodeStatus.STOPPING, lambda: model.cluster.freeze(3))
    model.begin()
    model.run_to(lambda: model.state.is_paused)
    assert run_on(model, 3) is NodeStatus.FAILED
    model.cluster.thaw(3)
    model.run(model.agenda.now + 60)
    assert not model.down()
    assert run_on(model, 3) is NodeStatus.FAILED
    assert model.restarts[3] == 1
    assert model.order_(Verb.RETRY, 3) is None
    model.run(3600)
    assert outcome_of(model) is WaveStatus.SUCCEEDED
    assert set(model.restarts.values()) == {1}
