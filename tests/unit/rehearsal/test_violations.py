"""What a rehearsal calls a violation of the order, and what it does not."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from support.rehearsals import cluster_document

from healthd.config.playbooks import load_playbook
from healthd.model.parse import snapshot_of
from healthd.model.snapshot import ClusterSnapshot, Voter
from healthd.rehearsal.breakage import broken_partitions, broken_quorum
from healthd.rehearsal.rehearsal import Rehearsal
from healthd.rehearsal.running import rehearse
from healthd.waves import choice
from healthd.waves.policy import WavePolicy
from healthd.waves.sequence import Rank, sequence


def cluster(**lonely: int) -> ClusterSnapshot:
    """Five brokers, the first three of them controllers; and topics with a single replica."""
    document = cluster_document()
    for name, node in lonely.items():
        row = {"id": 0, "leader": node, "replicas": [node], "isr": [node]}
        document["topics"].append({"name": name, "minInsyncReplicas": 1, "partitions": [row]})
    return snapshot_of(document)


def violated(snapshot: ClusterSnapshot) -> list[tuple[str, int]]:
    rehearsal = Rehearsal(
        snapshot=snapshot, playbook=load_playbook("rolling-restart"), until=1000.0
    )
    return [(row["rule"], row["broker"]) for row in rehearse(rehearsal).violations]


def the_active_one_first(
    snapshot: ClusterSnapshot, nodes: Iterable[int]
) -> tuple[tuple[Rank, int], ...]:
    swapped = {
        Rank.CONTROLLER: Rank.ACTIVE_CONTROLLER,
        Rank.ACTIVE_CONTROLLER: Rank.CONTROLLER,
    }
    return tuple((swapped.get(rank, rank), node) for rank, node in sequence(snapshot, nodes))


def brokers_first(snapshot: ClusterSnapshot, nodes: Iterable[int]) -> tuple[tuple[Rank, int], ...]:
    return tuple((Rank.BROKER, node) for _, node in reversed(sequence(snapshot, nodes)))


@pytest.mark.parametrize(
    ("order", "lonely", "expected"),
    [
        pytest.param(sequence, {"t": 2}, [], id="the active one passes over a blocked one"),
        pytest.param(
            the_active_one_first, {"t": 2}, [("order", 1)], id="one that could go is left"
        ),
        pytest.param(
            brokers_first,
            {"t": 2, "u": 3, "v": 1},
            [("order", 5), ("order", 4)],
            id="a plain broker waits for the blocked ones too",
        ),
    ],
)
def test_the_active_controller_waits_for_those_that_can_be_stopped(
    order: Any,
    lonely: dict[str, int],
    expected: list[tuple[str, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(choice, "sequence", order)
    assert violated(cluster(**lonely)) == expected


@pytest.mark.parametrize(
    ("policy", "gone", "expected"),
    [
        pytest.param(WavePolicy(), {2}, ["t-0"], id="the only replica"),
        pytest.param(WavePolicy(allow_rf_one=("t",)), {2}, [], id="acknowledged"),
        pytest.param(
            WavePolicy(allow_rf_one=("t",)),
            {2, 3},
            ["orders-0", "orders-1", "orders-5", "orders-6"],
            id="two of three",
        ),
        pytest.param(
            WavePolicy(allow_rf_one=("t",), margin=1), {2}, [], id="no factor has that margin"
        ),
    ],
)
def test_what_a_stop_takes_from_partitions(
    policy: WavePolicy, gone: set[int], expected: list[str]
) -> None:
    found = broken_partitions(cluster(t=2), 2, frozenset(gone), policy)
    assert sorted(found) == expected


@pytest.mark.parametrize(
    ("times", "gone", "expected"),
    [
        pytest.param((10_000, 10_000, 10_000), {2}, None, id="a majority follows"),
        pytest.param(
            (10_000, 10_000, 7_000), {2}, "only [1] of the voters follow without it", id="behind"
        ),
        pytest.param(
            (10_000, 10_000, -1), {2}, "only [1] of the voters follow without it", id="unknown"
        ),
        pytest.param((10_000, 10_000), {2}, None, id="a quorum without spare is accepted"),
    ],
)
def test_what_a_stop_takes_from_the_quorum(
    times: tuple[int, ...], gone: set[int], expected: str | None
) -> None:
    seen = cluster()
    assert seen.quorum is not None
    voters = tuple(Voter(id=at, last_caught_up_ms=time) for at, time in enumerate(times, 1))
    seen = replace(seen, quorum=replace(seen.quorum, voters=voters))
    assert broken_quorum(seen, 2, frozenset(gone)) == expected
    assert broken_quorum(seen, 5, frozenset(gone)) is None
