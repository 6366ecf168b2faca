"""Leaders moved off a node, and given back: whatever is kept, is kept on its host first."""

from pathlib import Path
from typing import Any

import pytest
from support.daemon import snapshot_of_cluster
from support.steps import Stage

from healthd.collect.cluster_admin import AdminError
from healthd.collect.memory_admin import MemoryAdmin
from healthd.engine.step_host import StepEnds
from healthd.engine.step_leaders import (
    LeaderMoves,
    carefully,
    movable,
    packed,
    turned_away,
    unpacked,
)
from healthd.execute.detached import Detached
from healthd.execute.local import LocalExecutor
from healthd.execute.memory import MemoryElector
from healthd.execute.protocol import Target
from healthd.model.snapshot import ClusterSnapshot
from healthd.waves.events import Outcome
from healthd.waves.playbook import StepKind
from healthd.waves.playbook_steps import KafkaAction, KafkaVerb

FIRST = ("orders", 0)
HERE = Target(address="127.0.0.1", user="nobody", key_file=Path("-"), known_hosts_file=Path("-"))


class Cluster:
    """One whose partition 0 of `orders` is what the admin was told."""

    def __init__(self, folder: Path) -> None:
        self.admin = MemoryAdmin()
        self.elector = MemoryElector()
        self.changes: dict[str, Any] = {}
        self.moves = LeaderMoves(
            wave="w1",
            node=1,
            admin=self.admin,
            elector=self.elector,
            detached=Detached(executor=LocalExecutor(), folder=str(folder / "marks")),
            target=HERE,
            look=self.look,
        )

    async def look(self) -> ClusterSnapshot | None:
        order = list(self.admin.orders.get(FIRST, (1, 2, 3)))
        row = {"id": 0, "leader": order[0], "replicas": order, "isr": [1, 2, 3]}
        topic = {"name": "orders", "minInsyncReplicas": 2, "partitions": [row]}
        return snapshot_of_cluster(**{"topics": [topic], **self.changes})


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


async def test_the_node_stands_last_and_comes_back_to_where_it_stood(cluster: Cluster) -> None:
    outcome, detail = await cluster.moves.away(100)
    assert (outcome, detail) == (Outcome.OK, "1 of 1 leaders of broker 1")
    assert cluster.admin.orders == {FIRST: (2, 3, 1)}
    assert cluster.elector.elected == [FIRST]
    assert (await cluster.moves.away(100))[1] == (
        "broker 1 leads nothing that another one could lead"
    )
    assert (await cluster.moves.back())[0] is Outcome.OK
    assert cluster.admin.orders == {FIRST: (1, 2, 3)}
    assert cluster.elector.elected == [FIRST, FIRST]
    assert (await cluster.moves.back())[1] == "the lists of replicas are as they were"


async def test_what_was_kept_first_is_what_is_put_back(cluster: Cluster) -> None:
    cluster.admin.fails = AdminError("no answer", may_have_been_done=True)
    assert (await carefully(cluster.moves.away(100)))[0] is Outcome.UNKNOWN
    # The next try, or the next daemon, finds the list turned; the host knows what it was.
    await cluster.moves.away(100)
    await cluster.moves.back()
    assert cluster.admin.orders == {FIRST: (1, 2, 3)}


async def test_lists_that_somebody_else_has_changed_are_left_alone(cluster: Cluster) -> None:
    await cluster.moves.away(100)
    cluster.admin.orders[FIRST] = (3, 1, 2)
    assert (await cluster.moves.back())[1] == "the lists of replicas are as they were"
    assert cluster.admin.orders[FIRST] == (3, 1, 2)


async def test_without_a_record_nothing_is_given_back(cluster: Cluster) -> None:
    assert await cluster.moves.back() == (Outcome.OK, "")
    assert cluster.admin.orders == {}


async def test_nothing_is_moved_while_partitions_are_reassigned(cluster: Cluster) -> None:
    for reassignments in (1, None):
        cluster.changes = {"reassignments": reassignments}
        with pytest.raises(StepEnds, match="being reassigned"):
            await cluster.moves.away(100)
    assert cluster.admin.orders == {}


async def test_nothing_is_moved_that_no_later_step_gives_back(tmp_path: Path) -> None:
    stage = Stage(folder=tmp_path)
    action = KafkaAction(verb=KafkaVerb.MOVE_LEADERS_AWAY, limit=10)
    stage.step(None, kind=StepKind.ELECT_LEADERS)
    at = stage.step(action, kind=StepKind.KAFKA)
    outcome, detail = await stage.run(at=at)
    assert (outcome, "needs a later step" in detail) == (Outcome.FAILED, True), detail
    stage.step(None, kind=StepKind.ELECT_LEADERS)
    assert await stage.run(at=at) == (Outcome.FAILED, "nobody here can change the cluster")


def test_as_many_are_moved_as_is_said_and_fits() -> None:
    rows = [{"id": at, "leader": 1, "replicas": [1, 2, 3], "isr": [1, 2]} for at in range(9000)]
    alone = {"id": 9000, "leader": 1, "replicas": [1, 2, 3], "isr": [1]}
    topic = {"name": "orders", "minInsyncReplicas": 1, "partitions": [*rows, alone]}
    snapshot = snapshot_of_cluster(topics=[topic])
    assert list(movable(snapshot, 1, 2)) == [("orders", 0), ("orders", 1)]
    many = movable(snapshot, 1, 100_000)
    assert 1000 < len(many) < 9000
    assert len(packed(many)) <= 60_000
    assert unpacked(packed(many).decode()) == many
    with pytest.raises(StepEnds, match="not to be read"):
        unpacked(packed(many).decode()[:-5])


def test_somebody_in_sync_stands_first() -> None:
    assert turned_away((1, 2, 3), 1, frozenset({1, 3})) == (3, 2, 1)
    assert turned_away((1, 2, 3), 1, frozenset({1, 2, 3})) == (2, 3, 1)
