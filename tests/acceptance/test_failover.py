"""Clients move from one real cluster to another when healthd says so, and come back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.failover import PROFILE, Clients, Pair, pair_of_clusters, summary

from healthd.demo.service import wait_until


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with pair_of_clusters(tmp_path) as found:
        yield found


def test_clients_of_a_killed_cluster_go_on_in_the_other_one(pair: Pair) -> None:
    clients = Clients(pair, producers=2, consumers=1)
    try:
        clients.start()
        pair.east.node(1).kill()
        pair.wait_verdict("OUT")
        clients.wait_on("west")
        clients.stop_writing()
        account = clients.account
        # What only the dead cluster has is read when it is back; all else is read now.
        in_west = {name for name, told in account.delivered.items() if told.cluster == "west"}
        wait_until(lambda: in_west <= account.read.keys(), "all that west has was read", 30)
        assert len(account.delivered) == len(account.sent)
        assert account.failed == []
        assert pair.daemon.get(f"/api/v1/routes/{PROFILE}")["members"][0]["cluster"] == "west"
    finally:
        clients.close()


@pytest.mark.prove
@pytest.mark.timeout(600)
def test_there_and_back_nothing_is_lost_and_every_duplicate_is_told(pair: Pair) -> None:
    clients = Clients(pair, producers=12, consumers=4)
    try:
        clients.start()
        for _ in range(2):
            pair.east.node(1).kill()
            pair.wait_verdict("OUT")
            clients.wait_on("west")
            pair.east.node(1).start()
            pair.wait_verdict("PROBATION", 150)
            pair.wait_verdict("IN", 60)
            clients.wait_on("east")
        clients.stop_writing()
        account = clients.account
        assert len(account.delivered) == len(account.sent)
        assert account.failed == []
        # West's last messages, written by clients that moved later than its readers, stay there.
        in_east = {name for name, told in account.delivered.items() if told.cluster == "east"}
        wait_until(lambda: in_east <= account.read.keys(), "all that east has was read", 60)
        left_behind = account.unread
        pair.daemon.post(
            "/api/v1/overrides",
            {"cluster": "east", "state": "OUT", "seconds": 600, "reason": "read what is left"},
        )
        wait_until(lambda: not account.unread, "what was left in west was read", 60)
        print(summary(account) | {"leftBehind": len(left_behind)})
        # Written twice is only what was given to both, and its delivery says so.
        twice = {name for name, clusters in account.read_in.items() if len(clusters) > 1}
        assert twice <= {n for n, told in account.delivered.items() if told.is_maybe_duplicated}
    finally:
        clients.close()
