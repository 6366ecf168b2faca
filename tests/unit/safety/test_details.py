"""What a person reads beside a code: the object's own numbers, in one sentence."""

from typing import Any

import pytest
from support.snapshots import (
    a_broker,
    a_partition,
    a_quorum,
    a_snapshot,
    a_topic,
    ages,
)

from healthd.model.snapshot import Broker, ClusterSnapshot, Quorum, Voter
from healthd.model.words import BrokerState, QuorumMode, Role
from healthd.safety.acknowledgements import Acknowledgements
from healthd.safety.clean_run import CleanRun, clean_enough, index_holds
from healthd.safety.gate import snapshot_holds
from healthd.safety.ok_to_stop import UnknownBroker, ok_to_stop
from healthd.safety.trend import changes_between


def of(*, min_isr: int | None = 2, **row: Any) -> ClusterSnapshot:
    return a_snapshot(a_topic("t", [a_partition(**row)], min_insync_replicas=min_isr))


def node_4(**changes: Any) -> tuple[Broker, ...]:
    return (a_broker(1), a_broker(2), a_broker(3), a_broker(4, **changes))


def voters(*times: int | None) -> Quorum:
    rows = tuple(Voter(id=at, last_caught_up_ms=time) for at, time in enumerate(times, 1))
    return a_quorum(voters=rows)


FIRST_TWENTY = ", ".join(map(str, range(20)))
LINGERING = (
    "has no leader, and broker 4, which still runs, may be the only one"
    " that can lead it without loss"
)

STOPS: list[tuple[ClusterSnapshot, set[int], Acknowledgements, str, str]] = [
    (of(leader=-1, isr=()), {1}, Acknowledgements(), "PARTITION_OFFLINE", "has no leader"),
    (
        of(replicas=(1,), isr=(1,)),
        {1},
        Acknowledgements(),
        "RF_ONE",
        "it has no second replica: it would be offline meanwhile",
    ),
    (
        of(min_isr=None),
        {1},
        Acknowledgements(),
        "MIN_ISR_UNKNOWN",
        "min.insync.replicas is not known",
    ),
    (
        of(min_isr=3),
        {1},
        Acknowledgements(),
        "RF_LE_MIN_ISR",
        "RF 3 is not above min.insync.replicas 3: acks=all stops whichever replica goes",
    ),
    (
        of(isr=(1,)),
        {1},
        Acknowledgements(),
        "UNDER_MIN_ISR",
        "1 of 3 replicas are in sync, at least 2 must be: let it recover",
    ),
    (
        of(isr=(1, 2)),
        {1},
        Acknowledgements(),
        "WOULD_GO_UNDER_MIN_ISR",
        "1 of 3 replicas would be left in sync, at least 2 must be",
    ),
    (
        of(min_isr=1, isr=(1, 2)),
        {1},
        Acknowledgements(margin=1),
        "WOULD_BREAK_MARGIN",
        "1 of 3 replicas would be left in sync, the minimum is 1 and the margin 1",
    ),
    (
        a_snapshot(
            a_topic("t", [a_partition(leader=-1, replicas=(4,), isr=(4,))]),
            brokers=node_4(fenced=True),
        ),
        {4},
        Acknowledgements(),
        "PARTITION_OFFLINE",
        LINGERING,
    ),
    (
        a_snapshot(quorum=voters(9000)),
        {1},
        Acknowledgements(),
        "QUORUM_WITHOUT_SPARE",
        "a quorum of one voter is lost without this one",
    ),
    (
        a_snapshot(quorum=voters(9000, 9000)),
        {1},
        Acknowledgements(),
        "QUORUM_WITHOUT_SPARE",
        "a quorum of two voters is lost without this one",
    ),
    (
        a_snapshot(quorum=a_quorum(2)),
        {3},
        Acknowledgements(),
        "WOULD_LOSE_QUORUM",
        "1 of 3 voters would be left caught up, at least 2 must be",
    ),
    (
        a_snapshot(quorum=a_quorum(leader_id=-1, absent_seconds=12.5)),
        {4},
        Acknowledgements(),
        "CONTROLLER_ABSENT",
        "no controller has been active for 12.5 s: a controlled shutdown cannot move leaders",
    ),
    (
        a_snapshot(quorum=a_quorum(leader_id=-1, absent_seconds=None)),
        {4},
        Acknowledgements(),
        "CONTROLLER_ABSENT",
        "no controller has been active: a controlled shutdown cannot move leaders",
    ),
    (
        a_snapshot(quorum=a_quorum(leader_id=9)),
        {1},
        Acknowledgements(),
        "QUORUM_UNKNOWN",
        "the quorum's leader 9 is not among its voters",
    ),
    (
        a_snapshot(quorum=voters(None, 9000, 9000)),
        {2},
        Acknowledgements(),
        "QUORUM_UNKNOWN",
        "the time of the quorum's leader 1 is not known",
    ),
    (
        a_snapshot(quorum=a_quorum(fetch_timeout_ms=None)),
        {2},
        Acknowledgements(),
        "QUORUM_UNKNOWN",
        "controller.quorum.fetch.timeout.ms is not known",
    ),
    (
        a_snapshot(quorum=a_quorum(leader_id=None)),
        {1},
        Acknowledgements(),
        "QUORUM_UNKNOWN",
        "the quorum's leader is not known",
    ),
    (
        a_snapshot(quorum=None, brokers=node_4(roles=frozenset({Role.CONTROLLER}))),
        {4},
        Acknowledgements(),
        "QUORUM_UNKNOWN",
        "a controller, and its quorum was not seen",
    ),
    (
        a_snapshot(brokers=node_4(state=BrokerState.RECOVERY)),
        {4},
        Acknowledgements(),
        "BROKER_RECOVERING",
        "it is recovering its logs: a stop would make it begin again",
    ),
]


@pytest.mark.parametrize(
    ("snapshot", "brokers", "accepted", "code", "detail"),
    [pytest.param(*row, id=f"{at} {row[3]}") for at, row in enumerate(STOPS)],
)
def test_a_blocker_tells_its_numbers(
    snapshot: ClusterSnapshot,
    brokers: set[int],
    accepted: Acknowledgements,
    code: str,
    detail: str,
) -> None:
    found = ok_to_stop(snapshot, brokers, acknowledged=accepted)
    assert (code, detail) in [(reason.code.value, reason.detail) for reason in found]


HOLDS: list[tuple[ClusterSnapshot, str, str]] = [
    (of(leader=-1, isr=()), "PARTITION_OFFLINE", "has no leader"),
    (
        of(isr=(1,)),
        "PARTITION_UNDER_MIN_ISR",
        "1 of 3 replicas are in sync, at least 2 must be",
    ),
    (
        of(min_isr=5, isr=(1,)),
        "PARTITION_UNDER_MIN_ISR",
        "1 of 3 replicas are in sync, at least 3 must be",
    ),
    (
        of(min_isr=1, isr=(1,)),
        "PARTITION_UNDER_REPLICATED",
        "not in sync on broker 2, 3",
    ),
    (of(min_isr=None), "MIN_ISR_UNKNOWN", "min.insync.replicas is not known"),
    (
        of(replicas=(1, 2, 3, 4), adding=frozenset({4})),
        "REASSIGNMENT",
        "its replicas are being moved",
    ),
    (a_snapshot(reassignments=7), "REASSIGNMENT", "partitions that are being moved: 7"),
    (a_snapshot(unreachable=True), "UNREACHABLE", "no broker can be reached"),
    (a_snapshot(quorum=None), "QUORUM_UNKNOWN", "nothing is known of the quorum"),
    (
        a_snapshot(quorum=a_quorum(mode=QuorumMode.ZOOKEEPER, leader_id=None, absent_seconds=None)),
        "QUORUM_UNKNOWN",
        "it is not known whether a controller is active",
    ),
    (
        a_snapshot(quorum=a_quorum(leader_id=None)),
        "QUORUM_UNKNOWN",
        "the quorum's leader is not known",
    ),
    (a_snapshot(brokers=node_4(alive=False)), "BROKER_DOWN", "it is not alive"),
    (
        a_snapshot(a_topic("t", [a_partition(replicas=(1, 2, 9), isr=(1, 2))])),
        "BROKER_DOWN",
        "it is in a replica list and among no brokers",
    ),
    (a_snapshot(brokers=node_4(fenced=True)), "BROKER_FENCED", "it is fenced by the controller"),
    (
        a_snapshot(brokers=node_4(state=BrokerState.UNKNOWN)),
        "BROKER_STATE_UNKNOWN",
        "its state is not known",
    ),
    (a_snapshot(brokers=node_4(state=BrokerState.STARTING)), "BROKER_STARTING", "it is starting"),
    (
        a_snapshot(brokers=node_4(state=BrokerState.RECOVERY)),
        "BROKER_RECOVERING",
        "it is recovering its logs",
    ),
    *(
        (a_snapshot(brokers=node_4(state=state)), "BROKER_STOPPING", "it is shutting down")
        for state in (BrokerState.PENDING_CONTROLLED_SHUTDOWN, BrokerState.SHUTTING_DOWN)
    ),
    (
        a_snapshot(brokers=node_4(state=BrokerState.NOT_RUNNING)),
        "BROKER_NOT_RUNNING",
        "its process does not run",
    ),
    (
        a_snapshot(brokers=node_4(request_handler_idle=None, disk_used_ratio=None)),
        "EVIDENCE_MISSING",
        "none of its metrics was ever seen",
    ),
    (
        a_snapshot(ages=ages(quorum=None)),
        "EVIDENCE_MISSING",
        "quorum is configured and was never seen",
    ),
    (
        a_snapshot(ages=ages(configs=300.5)),
        "EVIDENCE_STALE",
        "last seen 300.5 s ago, the limit is 300 s",
    ),
    (
        a_snapshot(brokers=node_4(metrics_age_seconds=31.0)),
        "EVIDENCE_STALE",
        "last seen 31 s ago, the limit is 30 s",
    ),
    (
        a_snapshot(quorum=a_quorum(3)),
        "VOTER_BEHIND",
        "this voter is 2000 ms behind the leader, the limit is 2000 ms",
    ),
    *(
        (
            a_snapshot(quorum=voters(9000, 9000, unknown)),
            "VOTER_BEHIND",
            "it is not known when this voter was last caught up",
        )
        for unknown in (None, -1)
    ),
]


@pytest.mark.parametrize(
    ("snapshot", "code", "detail"),
    [pytest.param(*row, id=f"{at} {row[1]}") for at, row in enumerate(HOLDS)],
)
def test_a_hold_tells_its_numbers(snapshot: ClusterSnapshot, code: str, detail: str) -> None:
    found = snapshot_holds(snapshot)
    assert (code, detail) in [(reason.code.value, reason.detail) for reason in found]


@pytest.mark.parametrize(
    ("claimed", "detail"),
    [
        ((2, 3), "no host of the inventory have this id: nobody knows what would be stopped"),
        ((1, 1, 1), "3 hosts of the inventory have this id: nobody knows what would be stopped"),
    ],
)
def test_an_id_without_exactly_one_host_tells_how_many(
    claimed: tuple[int, ...], detail: str
) -> None:
    (reason,) = ok_to_stop(a_snapshot(quorum=a_quorum()), {1}, claimed=claimed)
    assert (reason.code.value, reason.detail) == ("IDENTITY", detail)


def test_what_moved_between_two_snapshots_is_told_with_both_sides() -> None:
    before = a_snapshot(a_topic("t", [a_partition(leader=1)]))
    after = a_snapshot(
        a_topic("t", [a_partition(leader=2, isr=(2,))]), quorum=a_quorum(leader_id=3)
    )
    assert [reason.detail for reason in changes_between(before, after)] == [
        "the active controller was 1 and is 3",
        "broker 1, 3 left the ISR",
        "its leader was broker 1 and is 2, not the preferred replica",
    ]


@pytest.mark.parametrize(
    ("many", "named"),
    [(0, "none"), (20, FIRST_TWENTY), (21, f"{FIRST_TWENTY} and 1 more")],
)
def test_an_unknown_broker_is_answered_with_those_that_there_are(many: int, named: str) -> None:
    snapshot = a_snapshot(brokers=tuple(map(a_broker, range(many))), topics=())
    with pytest.raises(UnknownBroker, match="unknown broker 77, 99: ") as caught:
        ok_to_stop(snapshot, {99, 77})
    assert str(caught.value) == f"unknown broker 77, 99: payments has {named}"
    assert caught.value.ids == (77, 99)


def test_the_clean_run_tells_what_it_lacks() -> None:
    run = CleanRun(snapshots=2, since=10.0, last_snapshot="k", last_at=40.0, highest_index=99.0)
    (reason,) = clean_enough(run, at=55.9, snapshots=3, seconds=60, cluster="c")
    assert reason.detail == "clean on 2 of 3 snapshots and for 45 of 60 s"
    (reason,) = clean_enough(CleanRun(), at=55.9, snapshots=3, seconds=60, cluster="c")
    assert reason.detail == "clean on 0 of 3 snapshots and for 0 of 60 s"


@pytest.mark.parametrize(
    ("index", "highest", "detail"),
    [
        (None, 99.0, "the Health Index is not known"),
        (84.99, 99.0, "the Health Index is 84.99, the wave asks for 85"),
        (
            96.9,
            99.0,
            "the Health Index fell to 96.90 from 99.00 in this clean run, 2 points are allowed",
        ),
    ],
)
def test_an_index_that_is_too_low_is_told(index: float | None, highest: float, detail: str) -> None:
    run = CleanRun(snapshots=1, since=0.0, last_snapshot="k", last_at=0.0, highest_index=highest)
    (reason,) = index_holds(run, index=index, minimum=85, cluster="c")
    assert (reason.object, reason.detail) == ("cluster:c", detail)
