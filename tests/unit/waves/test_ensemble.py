"""A wave over a ZooKeeper ensemble: the servers are its nodes, and their quorum is kept."""

from dataclasses import replace
from typing import Any

import pytest
from support.ensembles import (
    KAFKA_CONTROLLER,
    SILENT,
    an_ensemble,
    ensemble_wave,
    kafka_with,
    looked,
    saw,
    saw_clean,
)
from support.snapshots import a_broker, a_partition, a_topic
from support.waves import IS_DOWN, RUNS_ANEW, a_run, ended, observed, run_of, ticked

from healthd.model.codes import ReasonCode
from healthd.safety.ok_to_stop import ok_to_stop
from healthd.waves.codec import decode_state, encode_state
from healthd.waves.effects import Confirm, Observe, StartService, Step, StopService
from healthd.waves.ensemble import MOST_BEHIND, projected
from healthd.waves.events import Ordered, PinsSeen, Verb
from healthd.waves.forecast import with_forecast
from healthd.waves.pins import Pins, places_of, playbook_digest
from healthd.waves.playbook import PlaybookTarget
from healthd.waves.reducer import reduce
from healthd.waves.report import wave_report
from healthd.waves.report_text import report_markdown
from healthd.waves.sequence import sequence
from healthd.waves.state import NodeStatus, WaveState, WaveStatus


def holds_of(step: Step) -> set[tuple[str, str]]:
    return {(hold.reason.code.value, hold.reason.object) for hold in step.state.holds}


def detail_of(step: Step, code: ReasonCode) -> str:
    return next(hold.reason.detail for hold in step.state.holds if hold.reason.code is code)


def candidates(step: Step) -> tuple[int, ...]:
    return next((effect.nodes for effect in step.effects if isinstance(effect, Confirm)), ())


def stopped(step: Step) -> list[int]:
    return [effect.node for effect in step.effects if isinstance(effect, StopService)]


def zxid(epoch: int, counter: int) -> str:
    return f"0x{(epoch << 32) + counter:x}"


# --- Order -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("leader", "order"), [(1, [2, 3, 1]), (2, [1, 3, 2]), (3, [1, 2, 3])])
def test_followers_go_first_and_the_leader_last(leader: int, order: list[int]) -> None:
    snapshot = projected(kafka_with(an_ensemble(leader=leader)))
    assert [node for _, node in sequence(snapshot, (1, 2, 3))] == order


def test_the_controller_of_the_kafka_cluster_has_no_say_in_the_order() -> None:
    assert KAFKA_CONTROLLER == 3
    assert candidates(saw_clean(ensemble_wave(1, 3))) == (3,)


def test_a_leader_that_moves_to_a_server_still_to_come_makes_that_one_the_last() -> None:
    wave = ensemble_wave(a_run(2, NodeStatus.DONE), 1, 3)
    assert candidates(saw_clean(wave, section=an_ensemble(leader=3))) == (1,)
    assert candidates(saw_clean(wave, section=an_ensemble(leader=1))) == (3,)


def test_a_leader_that_moves_between_the_choice_and_the_last_look_is_not_taken() -> None:
    chosen = saw_clean(ensemble_wave(1, 3)).state
    step = looked(chosen, 3, 201.0, an_ensemble(leader=3))
    assert stopped(step) == []


def test_observers_are_restarted_and_have_no_vote() -> None:
    section = an_ensemble(servers=4, quorumSize=3, s4={"state": "observer"}, syncedFollowers=2)
    snapshot = projected(kafka_with(section))
    assert snapshot.quorum is not None
    assert [voter.id for voter in snapshot.quorum.voters] == [1, 2, 3]
    assert [node for _, node in sequence(snapshot, (1, 2, 3, 4))] == [2, 3, 4, 1]


# --- One at a time ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status",
    [
        NodeStatus.STOPPING,
        NodeStatus.STOPPED,
        NodeStatus.STARTING,
        NodeStatus.RECOVERING,
        NodeStatus.SOAKING,
    ],
)
@pytest.mark.parametrize("concurrency", [1, 2, None])
def test_nobody_is_taken_beside_a_server_in_flight(
    status: NodeStatus, concurrency: int | None
) -> None:
    wave = ensemble_wave(a_run(2, status), 1, 3, concurrency=concurrency)
    section = an_ensemble(s2=SILENT, syncedFollowers=1)
    if status is NodeStatus.SOAKING:
        wave = wave.with_node(replace(wave.nodes[0], soak_since=199.0))
        section = an_ensemble()
    assert candidates(saw_clean(wave, at=210.0, section=section)) == ()


def test_a_server_is_taken_and_said_to_be_one() -> None:
    step = looked(saw_clean(ensemble_wave(1, 2, 3)).state, 2, 201.0)
    assert stopped(step) == [2]
    assert ("BROKER_IN_FLIGHT", "node:2") in holds_of(
        saw(step.state, 202.0, an_ensemble(s2=SILENT))
    )


def test_a_server_that_fails_is_named_as_what_it_is() -> None:
    wave = ensemble_wave(a_run(2, NodeStatus.STARTING, command_at=100.0), 1, 3)
    step = ticked(wave, 1000.0)
    assert step.state.pauses[0].reason.startswith("ZooKeeper server 2 failed: ")


# --- The quorum ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "code", "subject", "words"),
    [
        pytest.param(
            an_ensemble(s3=SILENT, syncedFollowers=1),
            ReasonCode.VOTER_BEHIND,
            "node:3",
            "refused the connection",
            id="another one does not answer",
        ),
        pytest.param(
            an_ensemble(s3={"state": "not-serving"}, syncedFollowers=1),
            ReasonCode.VOTER_BEHIND,
            "node:3",
            "it is not-serving: in no quorum",
            id="another one is in no quorum",
        ),
        pytest.param(
            an_ensemble(
                s3={
                    "zxid": zxid(5, 1000),
                },
                s1={"zxid": zxid(5, 2001)},
            ),
            ReasonCode.VOTER_BEHIND,
            "node:3",
            "it is 1,001 transactions behind the leader, the limit is 1,000",
            id="another one is behind",
        ),
        pytest.param(
            an_ensemble(s3={"zxid": zxid(4, 900_000)}, s1={"zxid": zxid(5, MOST_BEHIND + 1)}),
            ReasonCode.VOTER_BEHIND,
            "node:3",
            "it is 1,001 transactions behind the leader, the limit is 1,000",
            id="another one is an epoch behind",
        ),
        pytest.param(
            an_ensemble(leader=None, hasMajority=False),
            ReasonCode.QUORUM_UNKNOWN,
            "cluster:payments",
            "the ensemble has lost its majority",
            id="no majority",
        ),
        pytest.param(
            an_ensemble(s1={"state": "unknown"}, hasMajority=True),
            ReasonCode.QUORUM_UNKNOWN,
            "cluster:payments",
            "no server says that it leads",
            id="nobody leads",
        ),
        pytest.param(
            an_ensemble(s2={"state": "leader"}),
            ReasonCode.QUORUM_UNKNOWN,
            "cluster:payments",
            "servers 1 and 2 both say that they lead",
            id="two lead",
        ),
        pytest.param(
            an_ensemble(syncedFollowers=1),
            ReasonCode.QUORUM_UNKNOWN,
            "cluster:payments",
            "2 servers say that they follow, the leader has 1 in sync",
            id="a follower is not in sync",
        ),
        pytest.param(
            an_ensemble(quorumSize=5),
            ReasonCode.QUORUM_UNKNOWN,
            "cluster:payments",
            "5 servers vote, and zookeeper.servers of the fleet file names 3",
            id="the fleet file does not name all",
        ),
        pytest.param(
            an_ensemble(s3={"ownId": 2}),
            ReasonCode.IDENTITY,
            "node:3",
            "zk3.example.net:2181 says that it is server 2, the fleet file says 3",
            id="it says that it is another one",
        ),
        pytest.param(
            an_ensemble(s3={"ownId": None}),
            ReasonCode.IDENTITY,
            "node:3",
            "zk3.example.net:2181 does not say its id: allow conf in 4lw.commands.whitelist, or"
            " name adminPort",
            id="it does not say who it is",
        ),
    ],
)
def test_an_ensemble_that_is_not_whole_closes_the_gate(
    section: dict[str, Any], code: ReasonCode, subject: str, words: str
) -> None:
    # A wave that has server 3 behind it: what is wrong there is nobody's repair.
    step = saw_clean(ensemble_wave(a_run(3, NodeStatus.DONE), 1, 2), section=section)
    assert candidates(step) == ()
    assert (code.value, subject) in holds_of(step)
    assert detail_of(step, code) == words
    assert step.state.status is WaveStatus.HOLDING


@pytest.mark.parametrize("status", [NodeStatus.SOAKING, NodeStatus.RECOVERING])
def test_a_server_that_is_not_back_is_told_in_the_words_of_its_ensemble(status: NodeStatus) -> None:
    wave = ensemble_wave(a_run(2, status), 1, 3)
    step = saw(wave, 200.0, an_ensemble(s2={"state": "not-serving"}, syncedFollowers=1))
    assert run_of(step, 2).status is NodeStatus.RECOVERING
    assert run_of(step, 2).detail == "it is not-serving: in no quorum"


def test_a_snapshot_that_says_nothing_of_the_ensemble_closes_the_gate() -> None:
    wave = ensemble_wave()
    for at in (170.0, 185.0, 200.0):
        step = saw(wave, at, extra=None)
        wave = step.state
    assert candidates(step) == ()
    assert {("QUORUM_UNKNOWN", "cluster:payments"), ("EVIDENCE_MISSING", "source:quorum")} <= (
        holds_of(step)
    )


def test_old_words_of_the_servers_close_the_gate() -> None:
    step = saw_clean(ensemble_wave(), section=an_ensemble(ageSeconds=31.0))
    assert candidates(step) == ()
    assert ("EVIDENCE_STALE", "source:quorum") in holds_of(step)


def test_the_last_look_refuses_when_a_server_has_gone_since() -> None:
    chosen = saw_clean(ensemble_wave(a_run(3, NodeStatus.DONE), 1, 2)).state
    step = looked(chosen, 2, 201.0, an_ensemble(s3=SILENT, syncedFollowers=1))
    assert stopped(step) == []
    assert ("VOTER_BEHIND", "node:3") in holds_of(step)


def test_an_election_during_the_clean_run_starts_it_again() -> None:
    wave = saw(saw(ensemble_wave(), 170.0).state, 185.0).state
    step = saw(wave, 200.0, an_ensemble(leader=2), previous=kafka_with(at=185.0))
    assert ("CONTROLLER_CHANGED", "cluster:payments") in holds_of(step)
    assert detail_of(step, ReasonCode.CONTROLLER_CHANGED) == (
        "the leader of the ensemble was 1 and is 2"
    )
    assert candidates(step) == ()


def test_a_server_of_an_ensemble_of_one_goes_only_when_that_is_accepted() -> None:
    section = an_ensemble(servers=1, s1={"state": "standalone"}, quorumSize=None)
    step = saw_clean(ensemble_wave(1), section=section)
    assert ("QUORUM_WITHOUT_SPARE", "node:1") in holds_of(step)
    policy = replace(ensemble_wave().policy, allow_quorum_without_spare=True)
    assert candidates(saw_clean(ensemble_wave(1, policy=policy), section=section)) == (1,)


@pytest.mark.parametrize("away", [{1, 2}, {2, 3}, {1, 2, 3}])
def test_two_of_three_never_pass_ok_to_stop(away: set[int]) -> None:
    found = ok_to_stop(projected(kafka_with()), away)
    assert {reason.code for reason in found} == {ReasonCode.WOULD_LOSE_QUORUM}


# --- The Kafka cluster -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "hold"),
    [
        pytest.param(
            {"brokers": tuple(a_broker(node, alive=node != 2) for node in (1, 2, 3, 4))},
            ("BROKER_DOWN", "broker:2"),
            id="a broker is down",
        ),
        pytest.param(
            {"topics": (a_topic("orders", [a_partition(isr=(1, 2))]),)},
            ("PARTITION_UNDER_REPLICATED", "orders-0"),
            id="a partition is under-replicated",
        ),
        pytest.param({"reassignments": 3}, ("REASSIGNMENT", "cluster:payments"), id="it is moved"),
        pytest.param({"unreachable": True}, ("UNREACHABLE", "cluster:payments"), id="unreachable"),
    ],
)
def test_an_ensemble_is_not_restarted_under_a_cluster_that_is_unwell(
    changes: dict[str, Any], hold: tuple[str, str]
) -> None:
    wave = ensemble_wave()
    for at in (170.0, 185.0, 200.0):
        step = saw(wave, at, **changes)
        wave = step.state
    assert candidates(step) == ()
    assert hold in holds_of(step)


def test_a_broker_with_the_id_of_a_server_in_flight_is_no_effect_of_the_wave() -> None:
    wave = ensemble_wave(a_run(2, NodeStatus.SOAKING, soak_since=190.0), 1, 3)
    brokers = tuple(a_broker(node, alive=node != 2) for node in (1, 2, 3, 4))
    assert ("BROKER_DOWN", "broker:2") in holds_of(saw(wave, 200.0, brokers=brokers))


def test_a_health_index_of_the_cluster_that_is_too_low_closes_the_gate() -> None:
    wave = ensemble_wave(policy=replace(ensemble_wave().policy, min_health_index=99.0))
    topics = (a_topic("orders", [a_partition(leader=-1, isr=())]),)
    step = saw(wave, 200.0, topics=topics)
    assert ("HEALTH_INDEX_LOW", "cluster:payments") in holds_of(step)


# --- Repair and recovery ---------------------------------------------------------------------


def test_a_server_that_does_not_run_is_only_started() -> None:
    section = an_ensemble(s3=SILENT, syncedFollowers=1)
    asked = saw(ensemble_wave(), 200.0, section)
    assert Observe(node=3) in asked.effects
    step = observed(asked.state, 3, 201.0, IS_DOWN)
    assert [type(effect) for effect in step.effects] == [StartService]
    run = step.state.node(3)
    assert run is not None
    assert run.repair


def test_a_restarted_server_is_back_when_it_follows_again() -> None:
    wave = ensemble_wave(a_run(2, NodeStatus.RECOVERING, at=200.0), 1, 3)
    away = saw(wave, 210.0, an_ensemble(s2=SILENT, syncedFollowers=1))
    run = away.state.node(2)
    assert run is not None
    assert (run.status, run.detail) == (NodeStatus.RECOVERING, "refused the connection")
    back = saw(away.state, 220.0).state.node(2)
    assert back is not None
    assert back.status is NodeStatus.SOAKING


def test_a_whole_wave_takes_the_followers_and_then_the_leader() -> None:
    wave, order, at = ensemble_wave(), [], 200.0
    leader = 1
    while not wave.status.has_ended:
        chosen = saw_clean(wave, at=at, section=an_ensemble(leader=leader))
        wave = chosen.state
        if not candidates(chosen):
            at += 60.0
            assert at < 5000.0
            continue
        (node,) = candidates(chosen)
        wave = _restarted(wave, node, at, leader)
        leader = 2 if node == leader else leader
        order.append(node)
        at += 60.0
    assert order == [2, 3, 1]
    assert wave.status is WaveStatus.SUCCEEDED


def _restarted(wave: WaveState, node: int, at: float, leader: int) -> WaveState:
    step = looked(wave, node, at + 1, an_ensemble(leader=leader))
    (stop,) = (each for each in step.effects if isinstance(each, StopService))
    wave = ended(step.state, stop, at + 2).state
    wave = observed(wave, node, at + 3, IS_DOWN).state
    wave = ended(wave, stop.start_effect_id, at + 4).state
    return observed(wave, node, at + 5, RUNS_ANEW).state


# --- What is written -------------------------------------------------------------------------


def test_servers_of_which_nothing_is_known_have_not_left() -> None:
    places = places_of(projected(kafka_with()))
    wave = ensemble_wave()
    pins = Pins(playbook=playbook_digest(wave.playbook), inventory=(), places=places)
    wave = replace(wave, pins=pins)
    assert not saw(wave, 200.0, extra=None).state.is_paused
    fewer = an_ensemble(servers=2, quorumSize=2)
    (pause,) = saw(wave, 200.0, fewer).state.pauses
    assert "ZooKeeper server 3 left the cluster" in pause.reason


def test_the_report_calls_servers_what_they_are() -> None:
    wave = with_forecast(ensemble_wave(a_run(2, NodeStatus.DONE), 1, 3), kafka_with())
    entry = {"at": "2026-01-01T12:00:00Z", "event": "node_stopping", "node": 2, "detail": ""}
    report = wave_report(wave, [entry])
    assert report["target"] == "zookeeper"
    assert report["plan"]["steps"] == [[2], [3], [1]]
    text = report_markdown(report)
    assert "1 of 3 ZooKeeper servers done, 1 together" in text
    assert "- 2026-01-01T12:00:00Z ZooKeeper server 2 node stopping" in text
    assert "## ZooKeeper servers" in text


def test_the_journal_keeps_what_the_wave_is_about() -> None:
    wave = ensemble_wave()
    assert decode_state(encode_state(wave)).playbook.target is PlaybookTarget.ZOOKEEPER


def test_a_resume_never_makes_the_ids_of_servers_those_of_brokers() -> None:
    wave = ensemble_wave()
    wave = replace(wave, pins=Pins(playbook=playbook_digest(wave.playbook), inventory=()))
    other = replace(wave.playbook, target=PlaybookTarget.BROKER)
    paused = reduce(wave, PinsSeen(at=1.0, playbook=other, inventory=())).state
    assert paused.is_paused
    order = Ordered(at=2.0, verb=Verb.RESUME, by="ada", reason="why not")
    assert reduce(paused, order).state.playbook.target is PlaybookTarget.ZOOKEEPER
