"""When a client moves, and with what configuration."""

from __future__ import annotations

import pytest

from healthd.client.moving import Move, Pulse, Spread, configuration, refuse
from healthd.client.route import Member


def member(name: str, port: int = 9092) -> Member:
    return Member(cluster=name, bootstrap_servers=(f"{name}:{port}",), security_protocol="SASL_SSL")


EAST, WEST = member("east"), member("west")


def test_it_waits_for_its_own_moment_in_the_window() -> None:
    move = Move(Spread(seconds=10), draw=lambda: 0.5)
    due = [move.is_due(EAST, WEST, is_down=False, now=now) for now in (100, 104, 105)]
    assert due == [False, False, True]


def test_it_waits_less_when_its_cluster_is_down() -> None:
    move = Move(Spread(seconds=10, down_seconds=1), draw=lambda: 0.5)
    assert not move.is_due(EAST, WEST, is_down=False, now=100)
    assert move.is_due(EAST, WEST, is_down=True, now=100.5)


def test_it_stays_when_the_profile_has_taken_it_back() -> None:
    move = Move(Spread(seconds=10), draw=lambda: 0.5)
    assert not move.is_due(EAST, WEST, is_down=False, now=100)
    assert not move.is_due(EAST, EAST, is_down=False, now=104)
    assert not move.is_due(EAST, WEST, is_down=False, now=106)


def test_it_stays_when_there_is_nowhere_to_go() -> None:
    assert not Move(Spread()).is_due(EAST, None, is_down=True, now=1e9)


def test_new_addresses_of_its_own_cluster_are_a_move() -> None:
    move = Move(Spread(seconds=10), draw=lambda: 0.0)
    assert move.is_due(EAST, member("east", 9093), is_down=False, now=100)


def test_another_weight_or_verdict_is_none() -> None:
    other = Member(
        cluster="east",
        bootstrap_servers=EAST.bootstrap_servers,
        security_protocol=EAST.security_protocol,
        verdict="PROBATION",
        weight_percent=10,
    )
    assert not Move(Spread(seconds=0)).is_due(EAST, other, is_down=False, now=100)


def test_a_client_without_a_cluster_connects_at_once() -> None:
    assert Move(Spread(), draw=lambda: 0.9).is_due(None, EAST, is_down=False, now=0)


def test_a_thousand_clients_are_spread_over_the_window() -> None:
    moves = [Move(Spread(seconds=5)) for _ in range(1000)]
    for move in moves:
        move.is_due(EAST, WEST, is_down=False, now=0)
    moved = [sum(m.is_due(EAST, WEST, is_down=False, now=now) for m in moves) for now in (1, 2.5)]
    assert moved == [pytest.approx(200, abs=70), pytest.approx(500, abs=90)]
    assert all(move.is_due(EAST, WEST, is_down=False, now=5) for move in moves)


def test_the_configuration_is_that_of_the_cluster() -> None:
    own = configuration(
        {"acks": "all", "sasl.username": "all"}, WEST, lambda at: {"sasl.username": at.cluster}
    )
    assert own == {
        "bootstrap.servers": "west:9092",
        "security.protocol": "SASL_SSL",
        "acks": "all",
        "sasl.username": "west",
    }


def test_addresses_of_one_cluster_are_refused() -> None:
    with pytest.raises(ValueError, match=r"bootstrap\.servers: is set from the profile"):
        refuse({"bootstrap.servers": "a:1"}, {})


def test_a_cluster_is_down_until_it_is_heard_or_it_is_long_ago() -> None:
    pulse = Pulse()
    assert not pulse.is_down(100)
    pulse.lost(100)
    assert pulse.is_down(101)
    assert not pulse.is_down(221)
    pulse.lost(300)
    pulse.heard()
    assert not pulse.is_down(301)
