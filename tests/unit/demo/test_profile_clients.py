"""The clients of the demo show the steps of a probation."""

from __future__ import annotations

import pytest

from healthd.client.route import Member, Route, choose
from healthd.demo.failover import PROFILE
from healthd.demo.profile_clients import CLIENT_IDS
from healthd.demo.story import EAST, WEST


def member(cluster: str, weight_percent: float) -> Member:
    return Member(
        cluster=cluster,
        bootstrap_servers=("127.0.0.1:9092",),
        security_protocol="PLAINTEXT",
        weight_percent=weight_percent,
    )


@pytest.mark.parametrize(("weight_percent", "clients"), [(10, 1), (50, 5), (100, 10)])
def test_so_many_clients_come_back_at_each_step(weight_percent: float, clients: int) -> None:
    members = (member(EAST, weight_percent), member(WEST, 100))
    route = Route(profile=PROFILE, order="preference", members=members)
    chosen = [choose(route, client_id) for client_id in CLIENT_IDS]
    assert sum(one is not None and one.cluster == EAST for one in chosen) == clients
