"""How long clients are without a cluster when theirs is killed, part by part.

Real clusters, a real daemon that looks once a second, real clients. In production the interval is
15 s by default: detection and verdict then take fifteen times as long, the rest stays.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from support.failover import INTERVAL_SECONDS, SPREAD, Clients, Pair, pair_of_clusters, summary

ROUNDS: Final = 3
PRODUCERS, CONSUMERS = 4, 2
_LOOK_SECONDS: Final = 0.02
_LIMIT_SECONDS: Final = 120.0


def moment(condition: Callable[[], bool]) -> float:
    """When it first held."""
    limit = time.monotonic() + _LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < limit
        time.sleep(_LOOK_SECONDS)
    return time.monotonic()


def kill_and_time(pair: Pair, clients: Clients) -> dict[str, float]:
    """Seconds of each part, from the kill to the first and the last client's first write."""
    clients.resolved_at.clear()
    clients.account.first_at.clear()
    killed = time.monotonic()
    pair.east.node(1).kill()
    detected = moment(lambda: pair.index() <= 20)
    moment(lambda: pair.verdict() == "OUT")
    moment(lambda: len(clients.resolved_at) == len(clients.resolvers))
    clients.wait_all_acknowledged("west")
    writes = [at for (_, cluster), at in clients.account.first_at.items() if cluster == "west"]
    resolved = sorted(clients.resolved_at.values())
    # The verdict is seen first by whoever waits for it: the first client that was told.
    verdict = resolved[0]
    return {
        "detection": detected - killed,
        "verdict": verdict - detected,
        "resolution": resolved[-1] - resolved[0],
        "reconnect": min(writes) - verdict,
        "first write": min(writes) - killed,
        "last client": max(writes) - killed,
    }


@pytest.mark.bench
@pytest.mark.timeout(900)
def test_time_to_move(tmp_path: Path) -> None:
    rounds: list[dict[str, float]] = []
    with pair_of_clusters(tmp_path) as pair:
        clients = Clients(pair, producers=PRODUCERS, consumers=CONSUMERS)
        try:
            clients.start()
            for _ in range(ROUNDS):
                rounds.append(kill_and_time(pair, clients))
                clients.wait_on("west")
                began = time.monotonic()
                pair.east.node(1).start()
                pair.wait_verdict("IN", 300)
                clients.wait_on("east")
                print(
                    f"\nfailover: back in {time.monotonic() - began:.1f} s, with the demo's times"
                )
            clients.stop_writing()
            account = clients.account
            lost = len(account.sent) - len(account.delivered)
        finally:
            clients.close()
    print(
        f"failover: {PRODUCERS} producers, {CONSUMERS} consumers, interval {INTERVAL_SECONDS} s, "
        f"spread {SPREAD.down_seconds:g} s when the cluster is down; median (longest) of {ROUNDS}"
    )
    for part in rounds[0]:
        times = [found[part] for found in rounds]
        print(f"failover: {part:<12} {statistics.median(times):5.2f} s ({max(times):.2f} s)")
    print(f"failover: lost {lost}; {summary(account)}")
    assert lost == 0
