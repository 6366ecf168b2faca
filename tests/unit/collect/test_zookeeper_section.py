"""What the servers of an ensemble said, put together."""

from dataclasses import replace
from typing import Any

import pytest

from healthd.collect.observation import FailureReason
from healthd.collect.zookeeper_section import ids_of, is_serving, majority_is_gone, section_of
from healthd.collect.zookeeper_server import ServerSeen
from healthd.collect.zookeeper_words import LeaderSays, ServerSays, ServerState

LEADER = ServerSeen(
    address="a:1",
    id=1,
    members=frozenset({1, 2, 3}),
    says=ServerSays(state=ServerState.LEADER, version="3.8.4", zxid=0x200000009),
    leads=LeaderSays(synced_followers=1, quorum_size=3),
)
FOLLOWER = ServerSeen(
    address="b:1", id=2, says=ServerSays(state=ServerState.FOLLOWER, zxid=0x200000007)
)


def silent(address: str, reason: FailureReason = FailureReason.REFUSED) -> ServerSeen:
    return ServerSeen(
        address=address,
        says=ServerSays(state=ServerState.SILENT),
        reason=reason,
        problem="refused the connection",
    )


def says(address: str, state: ServerState) -> ServerSeen:
    return ServerSeen(address=address, says=ServerSays(state=state))


IDLE = says("b:1", ServerState.NOT_SERVING)
DENIED = replace(says("d:1", ServerState.UNKNOWN), reason=FailureReason.AUTHORIZATION)


@pytest.mark.parametrize(
    ("one", "others", "expected"),
    [
        pytest.param(LEADER, (), True, id="a leader"),
        pytest.param(FOLLOWER, (), True, id="a follower"),
        pytest.param(IDLE, (LEADER,), False, id="it says so"),
        pytest.param(says("b:1", ServerState.READ_ONLY), (), False, id="read-only"),
        pytest.param(silent("c:1"), (), False, id="refused"),
        pytest.param(silent("c:1", FailureReason.TIMEOUT), (LEADER,), False, id="others answer"),
        pytest.param(silent("c:1", FailureReason.TIMEOUT), (silent("b:1"),), None, id="nobody"),
        pytest.param(silent("c:1", FailureReason.DNS), (LEADER,), None, id="our name service"),
        pytest.param(DENIED, (LEADER,), None, id="it may not say"),
    ],
)
def test_a_server_is_out_only_where_that_can_be_told(
    one: ServerSeen, others: tuple[ServerSeen, ...], *, expected: bool | None
) -> None:
    assert is_serving(one, (one, *others)) is expected


TIMED_OUT = silent("e:1", FailureReason.TIMEOUT)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param((LEADER, silent("b:1"), silent("c:1")), False, id="somebody serves"),
        pytest.param((IDLE, silent("b:1"), TIMED_OUT), True, id="two of three are out"),
        pytest.param((IDLE, TIMED_OUT, TIMED_OUT), False, id="one of three is out"),
        pytest.param((silent("a:1"), silent("b:1")), True, id="all refuse"),
        pytest.param((TIMED_OUT,), False, id="all are silent"),
        pytest.param((DENIED, silent("b:1")), False, id="one of two may serve"),
    ],
)
def test_a_majority_is_gone_when_more_than_half_are_surely_out(
    seen: tuple[ServerSeen, ...], *, expected: bool
) -> None:
    assert majority_is_gone(seen) is expected


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param((LEADER, FOLLOWER), {"a:1": 1, "b:1": 2}, id="their own word"),
        pytest.param(
            (silent("c:1"), LEADER, FOLLOWER), {"c:1": 3, "a:1": 1, "b:1": 2}, id="the one left"
        ),
        pytest.param((silent("x:1"), silent("y:1")), {"x:1": 1, "y:1": 2}, id="by position"),
        pytest.param((silent("x:1"), FOLLOWER), {"x:1": 1, "b:1": 2}, id="nobody's id twice"),
        pytest.param(
            (LEADER, FOLLOWER, silent("c:1"), silent("d:1")),
            {"a:1": 1, "b:1": 2, "c:1": 3, "d:1": 4},
            id="more than members",
        ),
    ],
)
def test_every_server_has_an_id_of_its_own(
    seen: tuple[ServerSeen, ...], expected: dict[str, int]
) -> None:
    assert ids_of(seen) == expected


def section(*seen: ServerSeen, controller: int | None = None) -> dict[str, Any]:
    return section_of(seen, chroot="/kafka", controller=controller, registered=None)


def test_the_section_says_what_is_known_and_leaves_out_what_is_not() -> None:
    assert section(LEADER, FOLLOWER, silent("c:1"), controller=7) == {
        "chroot": "/kafka",
        "servers": [
            {
                "address": "a:1",
                "id": 1,
                "state": "leader",
                "isServing": True,
                "version": "3.8.4",
                "zxid": "0x200000009",
                "zxidLag": 0,
                "askedBy": "words",
            },
            {
                "address": "b:1",
                "id": 2,
                "state": "follower",
                "isServing": True,
                "zxid": "0x200000007",
                "zxidLag": 2,
                "askedBy": "words",
            },
            {
                "address": "c:1",
                "id": 3,
                "state": "silent",
                "isServing": False,
                "askedBy": "words",
                "failure": "refused the connection",
            },
        ],
        "leader": "a:1",
        "hasMajority": True,
        "syncedFollowers": 1,
        "quorumSize": 3,
        "controllerId": 7,
    }


def test_a_lag_across_epochs_is_no_number_of_transactions() -> None:
    old = replace(FOLLOWER, says=replace(FOLLOWER.says, zxid=0x1FFFFFFFF))
    assert "zxidLag" not in section(LEADER, old)["servers"][1]


def test_whether_there_is_a_majority_is_left_out_where_nobody_can_tell() -> None:
    assert section(silent("a:1"), silent("b:1"))["hasMajority"] is False
    assert "hasMajority" not in section(TIMED_OUT)
