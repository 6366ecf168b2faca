"""What a ZooKeeper server says of itself; the texts are those of 3.8.4."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd.collect.zookeeper_words import (
    AnswerError,
    DeniedError,
    LeaderSays,
    ServerSays,
    ServerState,
    admin_object,
    id_of_configuration,
    identity_of_conf,
    members_of_voting_view,
    says_of_mntr,
    says_of_monitor,
    says_of_server_stats,
    says_of_srvr,
)

VERSION = "3.8.4-9316c2a7a97e1666d8f4593f34dd6fc36ecc436c, built on 2024-02-12 22:16 UTC"
SRVR = f"""Zookeeper version: {VERSION}
Latency min/avg/max: 0/2.8163/41
Received: 4
Sent: 5
Connections: 3
Outstanding: 1
Zxid: 0x100000058
Mode: follower
Node count: 5
"""
MNTR = f"""zk_version\t{VERSION}
zk_server_state\tleader
zk_peer_state\tleading - broadcast
zk_synced_followers\t2
zk_quorum_size\t3
"""
CONF = """clientPort=15916
serverId=3
peerType=0
membership: 
server.1=127.0.0.1:27244:29749:participant
server.2=127.0.0.1:22969:27348:participant
server.3=127.0.0.1:29453:27868:participant
version=0
"""  # noqa: W291  # It ends this line so.
IDLE = "This ZooKeeper instance is not currently serving requests\n"
FOLLOWER = ServerSays(
    state=ServerState.FOLLOWER,
    version="3.8.4",
    zxid=0x100000058,
    outstanding_requests=1,
    average_latency_ms=2.8163,
    connections=3,
)


def denied(word: str) -> str:
    return f"{word} is not executed because it is not in the whitelist.\n"


def stats(**more: Any) -> dict[str, Any]:
    return {
        "version": VERSION,
        "read_only": False,
        "server_stats": {
            "server_state": "follower",
            "outstanding_requests": 1,
            "avg_latency": 2.8163,
            "last_processed_zxid": 0x100000058,
            "num_alive_client_connections": 3,
        },
        "command": "server_stats",
        "error": None,
        **more,
    }


def test_srvr_says_who_a_server_is() -> None:
    assert says_of_srvr(SRVR) == FOLLOWER


def test_the_admin_server_says_the_same() -> None:
    assert says_of_server_stats(admin_object(json.dumps(stats()).encode())) == FOLLOWER


@pytest.mark.parametrize("word", ["leader", "follower", "observer", "standalone", "read-only"])
def test_every_mode_is_known(word: str) -> None:
    assert says_of_srvr(SRVR.replace("follower", word)).state == word


def test_a_mode_of_another_version_is_there_and_says_no_more() -> None:
    state = says_of_srvr(SRVR.replace("follower", "witness")).state
    assert (state, state.is_serving) == (ServerState.UNKNOWN, False)


def test_a_read_only_server_serves_nobody_who_writes() -> None:
    state = says_of_server_stats(stats(read_only=True)).state
    assert (state, state.is_serving) == (ServerState.READ_ONLY, False)


def test_a_server_without_a_majority_says_that_it_serves_nobody() -> None:
    idle = ServerSays(state=ServerState.NOT_SERVING)
    answer = json.dumps({"command": "srvr", "error": IDLE.strip()}).encode()
    assert says_of_srvr(IDLE) == idle
    assert says_of_server_stats(admin_object(answer)) == idle
    assert says_of_mntr(IDLE) == LeaderSays()
    assert identity_of_conf(IDLE) == (None, frozenset())


def test_a_leader_says_how_many_follow_it() -> None:
    expected = LeaderSays(synced_followers=2, quorum_size=3)
    assert says_of_mntr(MNTR) == expected
    assert says_of_monitor({"synced_followers": 2, "quorum_size": 3, "error": None}) == expected


def test_a_server_says_its_id_and_those_of_the_ensemble() -> None:
    assert identity_of_conf(CONF) == (3, frozenset({1, 2, 3}))
    assert id_of_configuration({"server_id": 3}) == 3
    assert members_of_voting_view({"current_config": {"1": {}, "2": {}, "x": {}}}) == {1, 2}


@pytest.mark.parametrize(
    ("word", "read"),
    [("srvr", says_of_srvr), ("mntr", says_of_mntr), ("conf", identity_of_conf)],
)
def test_a_word_that_is_not_allowed_is_told_apart_from_trouble(word: str, read: Any) -> None:
    with pytest.raises(DeniedError, match=f"does not allow the word {word}"):
        read(denied(word))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param(SRVR[: SRVR.index("Mode")], id="half an answer"),
        pytest.param("HTTP/1.1 400 Bad Request\r\n\r\n", id="a web server"),
        pytest.param("\x15\x03\x03\x00\x02\x02\x46", id="a TLS alert"),
    ],
)
def test_what_is_no_whole_answer_says_nothing(text: str) -> None:
    with pytest.raises(AnswerError, match="no whole answer to srvr"):
        says_of_srvr(text)


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("Zxid: 0x100000058", "Zxid: 0xzz", "zxid"),
        ("Outstanding: 1", "Outstanding: -1", "outstanding_requests"),
        ("Connections: 3", "Connections: " + "9" * 30, "connections"),
        ("0/2.8163/41", "0/nan/41", "average_latency_ms"),
        ("0/2.8163/41", "2.8163", "average_latency_ms"),
        (VERSION, "unknown", "version"),
    ],
)
def test_a_value_that_is_none_is_unknown_and_the_rest_counts(
    old: str, new: str, field: str
) -> None:
    says = says_of_srvr(SRVR.replace(old, new))
    assert getattr(says, field) is None
    assert says.state is ServerState.FOLLOWER


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        pytest.param(b"<html>", "no JSON", id="a page"),
        pytest.param(b"{" * 9, "no JSON", id="half"),
        pytest.param(b"[" * 100_000, "no JSON", id="deep"),
        pytest.param(b"\xff\xfe\xfd", "no JSON", id="no text"),
        pytest.param(b"[]", "no answer of ZooKeeper", id="a list"),
        pytest.param(b"{}", "no answer of ZooKeeper", id="another service"),
        pytest.param(b'{"error": "Unknown command: x"}', "with an error", id="an error"),
    ],
)
def test_what_is_no_answer_of_an_admin_server_is_refused(body: bytes, problem: str) -> None:
    with pytest.raises(AnswerError, match=problem):
        admin_object(body)


@pytest.mark.parametrize("server_stats", [None, [], {}, {"server_state": 7}])
def test_stats_without_a_state_say_nothing(server_stats: Any) -> None:
    with pytest.raises(AnswerError, match="without server_state"):
        says_of_server_stats(stats(server_stats=server_stats))


@given(st.text())
def test_no_text_breaks_the_reading(text: str) -> None:
    for read in (says_of_srvr, says_of_mntr, identity_of_conf):
        with contextlib.suppress(AnswerError):
            read(text)
