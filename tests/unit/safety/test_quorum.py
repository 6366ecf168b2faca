"""What controllers and the quorum have against a stop (restart-safety.md section 1)."""

from typing import Any

import pytest
from support.snapshots import a_broker, a_controller, a_quorum, a_snapshot, a_topic

from healthd.model.snapshot import ClusterSnapshot, Quorum, Voter
from healthd.model.words import BrokerState, QuorumMode, Role
from healthd.safety.acknowledgements import Acknowledgements
from healthd.safety.ok_to_stop import ok_to_stop
from healthd.safety.quorum import caught_up, quorum_blockers, voters_behind

SPARE = Acknowledgements(allow_quorum_without_spare=True)
LEADER_TIME = 10_000


def voter(node: int, behind: int = 0) -> Voter:
    return Voter(id=node, last_caught_up_ms=LEADER_TIME - behind)


def quorum_of(*voters: Voter, **changes: Any) -> Quorum:
    return a_quorum(**{"voters": voters, **changes})


def cluster(quorum: Quorum | None, **nodes: dict[str, Any]) -> ClusterSnapshot:
    changes = {int(name.removeprefix("n")): change for name, change in nodes.items()}
    brokers = tuple(a_broker(node, **changes.get(node, {})) for node in range(1, 7))
    return a_snapshot(a_topic("t", []), brokers=brokers, quorum=quorum)


def found(
    snapshot: ClusterSnapshot,
    brokers: tuple[int, ...],
    acknowledged: Acknowledgements | None = None,
) -> list[tuple[str, str]]:
    reasons = ok_to_stop(snapshot, brokers, acknowledged=acknowledged or Acknowledgements())
    return [(reason.code.value, reason.object) for reason in reasons]


THREE = (voter(1), voter(2), voter(3))
FIVE = (*THREE, voter(4), voter(5))


@pytest.mark.parametrize(
    ("voters", "brokers", "expected"),
    [
        pytest.param(THREE, (1,), [], id="one of three"),
        pytest.param(THREE, (4,), [], id="no voter"),
        pytest.param(THREE, (1, 4), [], id="one of three and a broker"),
        pytest.param(
            THREE, (1, 2), [("WOULD_LOSE_QUORUM", "node:1"), ("WOULD_LOSE_QUORUM", "node:2")],
            id="two of three",
        ),
        pytest.param(FIVE, (1, 2), [], id="two of five"),
        pytest.param(
            FIVE, (1, 2, 3), [("WOULD_LOSE_QUORUM", f"node:{node}") for node in (1, 2, 3)],
            id="three of five",
        ),
        pytest.param(
            (voter(1), voter(2), voter(3, 2000)), (2,), [("WOULD_LOSE_QUORUM", "node:2")],
            id="another is behind by the limit",
        ),
        pytest.param(
            (voter(1), voter(2), voter(3, 1999)), (2,), [], id="another is just caught up"
        ),
        pytest.param(
            (voter(1), voter(2), voter(3, 2000)), (3,), [], id="the one that is behind itself"
        ),
        pytest.param(
            (voter(1), voter(2), Voter(id=3, last_caught_up_ms=-1)), (2,),
            [("WOULD_LOSE_QUORUM", "node:2")], id="another's time is negative",
        ),
        pytest.param(
            (voter(1), voter(2), Voter(id=3)), (2,), [("WOULD_LOSE_QUORUM", "node:2")],
            id="another's time is missing",
        ),
        pytest.param(
            (voter(1), voter(2), voter(3), voter(4)), (1,), [], id="one of four leaves three"
        ),
        pytest.param(
            (voter(1), voter(2), voter(3), voter(4)), (1, 2),
            [("WOULD_LOSE_QUORUM", "node:1"), ("WOULD_LOSE_QUORUM", "node:2")],
            id="two of four are no majority",
        ),
    ],
)  # fmt: skip
def test_a_majority_of_all_voters_must_be_left_caught_up(
    voters: tuple[Voter, ...], brokers: tuple[int, ...], expected: list[tuple[str, str]]
) -> None:
    assert found(cluster(quorum_of(*voters)), brokers) == expected


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"leader_id": None, "absent_seconds": 0}, id="leader unknown"),
        pytest.param({"leader_id": 9}, id="leader not among the voters"),
        pytest.param({"fetch_timeout_ms": None}, id="no fetch time-out"),
        pytest.param({"voters": (Voter(id=1), voter(2), voter(3))}, id="its own time missing"),
        pytest.param(
            {"voters": (Voter(id=1, last_caught_up_ms=-1), voter(2), voter(3))},
            id="its own time negative",
        ),
        pytest.param({"leader_id": 1, "voters": (Voter(id=1),)}, id="one voter, its time missing"),
    ],
)
@pytest.mark.parametrize("acknowledged", [Acknowledgements(), SPARE], ids=["strict", "spare"])
def test_a_quorum_that_cannot_be_judged_blocks_its_voters(
    change: dict[str, Any], acknowledged: Acknowledgements
) -> None:
    snapshot = cluster(a_quorum(**change))
    assert found(snapshot, (1, 4), acknowledged) == [("QUORUM_UNKNOWN", "node:1")]
    assert found(snapshot, (4,), acknowledged) == []


@pytest.mark.parametrize(
    ("quorum", "roles", "state", "expected"),
    [
        pytest.param(None, {Role.CONTROLLER}, "running", ["QUORUM_UNKNOWN"], id="pure controller"),
        pytest.param(None, set(Role), "running", ["QUORUM_UNKNOWN"], id="combined node"),
        pytest.param(None, {Role.BROKER}, "running", [], id="a broker"),
        pytest.param(None, None, "running", [], id="roles unknown"),
        pytest.param(None, {Role.CONTROLLER}, "not_running", [], id="only started"),
        pytest.param(
            a_quorum(voters=()), {Role.CONTROLLER}, "running", ["QUORUM_UNKNOWN"], id="no voters"
        ),
    ],
)
def test_a_controller_without_quorum_data_is_blocked(
    quorum: Quorum | None, roles: set[Role] | None, state: str, expected: list[str]
) -> None:
    node = {"roles": None if roles is None else frozenset(roles), "state": BrokerState(state)}
    assert [code for code, _ in found(cluster(quorum, n1=node), (1,))] == expected


@pytest.mark.parametrize(
    ("voters", "brokers", "strict", "spare"),
    [
        pytest.param((voter(1),), (1,), "QUORUM_WITHOUT_SPARE", None, id="one voter"),
        pytest.param((voter(1), voter(2)), (1,), "QUORUM_WITHOUT_SPARE", None, id="two voters"),
        pytest.param(
            (voter(1), voter(2, 2000)), (1,), "QUORUM_WITHOUT_SPARE", "WOULD_LOSE_QUORUM",
            id="the other is behind",
        ),
        pytest.param(
            (voter(1), voter(2, 2000)), (2,), "QUORUM_WITHOUT_SPARE", None,
            id="the one that is behind",
        ),
        pytest.param(
            (voter(1), voter(2)), (1, 2), "QUORUM_WITHOUT_SPARE", "WOULD_LOSE_QUORUM", id="both"
        ),
    ],
)  # fmt: skip
def test_a_small_quorum_has_no_spare(
    voters: tuple[Voter, ...], brokers: tuple[int, ...], strict: str, spare: str | None
) -> None:
    snapshot = cluster(quorum_of(*voters))
    named = [f"node:{node}" for node in brokers]
    assert found(snapshot, brokers) == [(strict, name) for name in named]
    assert found(snapshot, brokers, SPARE) == ([(spare, name) for name in named] if spare else [])


def test_a_voter_that_is_down_is_judged_by_the_quorum_all_the_same() -> None:
    snapshot = cluster(quorum_of(voter(1), voter(2), voter(3, 5000)), n2={"alive": False})
    assert found(snapshot, (2,)) == [("WOULD_LOSE_QUORUM", "node:2")]


def test_a_voter_whose_process_does_not_run_is_only_started() -> None:
    not_running = {"state": BrokerState.NOT_RUNNING, "alive": False}
    snapshot = cluster(quorum_of(voter(1), voter(2, 5000), voter(3, 5000)), n2=not_running)
    assert found(snapshot, (2,)) == []
    # Beside another it still is one of those that would be away.
    assert found(snapshot, (1, 2)) == [("WOULD_LOSE_QUORUM", "node:1")]


def test_alive_says_nothing_about_a_voter() -> None:
    snapshot = cluster(quorum_of(*THREE), n2={"alive": False}, n3={"alive": False})
    assert found(snapshot, (1,)) == []


@pytest.mark.parametrize(
    ("mode", "leader", "absent"),
    [
        pytest.param(QuorumMode.KRAFT, 1, 0.5, id="absent although one is named"),
        pytest.param(QuorumMode.ZOOKEEPER, -1, None, id="zookeeper, none"),
        pytest.param(QuorumMode.ZOOKEEPER, -1, 0, id="none, whatever the seconds say"),
        pytest.param(QuorumMode.ZOOKEEPER, None, 3, id="zookeeper, absent for 3 s"),
    ],
)
def test_without_an_active_controller_no_broker_stops(
    mode: QuorumMode, leader: int | None, absent: float | None
) -> None:
    quorum = quorum_of(*THREE, mode=mode, leader_id=leader, absent_seconds=absent)
    assert found(cluster(quorum), (4, 5)) == [("CONTROLLER_ABSENT", "cluster:payments")]


@pytest.mark.parametrize(
    "node",
    [
        pytest.param({"alive": False}, id="a dead broker"),
        pytest.param({"fenced": True}, id="a fenced broker"),
        pytest.param({"roles": frozenset({Role.CONTROLLER})}, id="a pure controller"),
    ],
)
def test_controlled_shutdown_is_not_asked_of(node: dict[str, Any]) -> None:
    quorum = quorum_of(*THREE, absent_seconds=5)
    assert found(cluster(quorum, n4=node), (4,)) == []


def test_in_kraft_an_absent_controller_and_an_unknown_quorum_both_block() -> None:
    snapshot = cluster(a_quorum(leader_id=-1, absent_seconds=None))
    assert found(snapshot, (1,)) == [
        ("CONTROLLER_ABSENT", "cluster:payments"),
        ("QUORUM_UNKNOWN", "node:1"),
    ]


def test_a_controller_that_may_be_there_does_not_block() -> None:
    quorum = Quorum(mode=QuorumMode.ZOOKEEPER)
    assert found(cluster(quorum), (1,)) == []


def test_the_ensemble_of_zookeeper_has_other_ids_than_the_brokers() -> None:
    quorum = quorum_of(voter(1), mode=QuorumMode.ZOOKEEPER)
    assert found(cluster(quorum, n1={"roles": frozenset({Role.CONTROLLER})}), (1,)) == []
    assert voters_behind(quorum_of(voter(1), Voter(id=2), mode=QuorumMode.ZOOKEEPER)) == ()


def test_pure_controllers_are_nodes_like_others() -> None:
    nodes = tuple(a_controller(node) for node in (1, 2, 3))
    snapshot = a_snapshot(a_topic("t", []), brokers=nodes)
    assert found(snapshot, (1, 3)) == [
        ("WOULD_LOSE_QUORUM", "node:1"),
        ("WOULD_LOSE_QUORUM", "node:3"),
    ]


def test_voters_are_behind_by_their_own_times() -> None:
    voters = (voter(1), voter(2, 1999), voter(3, 2000), Voter(id=4), voter(5, -50))
    quorum = quorum_of(*voters)
    assert [row.id for row in voters_behind(quorum)] == [3, 4]
    assert caught_up(quorum, voters[4])


def test_nobody_is_caught_up_in_a_quorum_that_cannot_be_judged() -> None:
    quorum = quorum_of(*THREE, fetch_timeout_ms=None)
    assert [row.id for row in voters_behind(quorum)] == [1, 2, 3]


def test_a_reason_says_how_many_voters_would_be_left() -> None:
    (reason,) = quorum_blockers(cluster(quorum_of(voter(1), voter(2), voter(3, 2000))), {2})
    assert reason.detail == "1 of 3 voters would be left caught up, at least 2 must be"
