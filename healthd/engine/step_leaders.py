"""Leadership moved off a node before it is stopped, and given back when it has returned.

Kafka elects whoever stands first in a partition's list of replicas. So the node is put last in the
lists of what it leads, and elections follow; the set of replicas stays the same, and nothing is
copied. How the lists were is kept on the node's host before anything is changed, so that whoever
comes after a crash can put them back as they were.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from healthd.collect.cluster_admin import AdminError, ClusterAdmin, Partition
from healthd.engine.step_commands import mark_of
from healthd.engine.step_host import StepEnds
from healthd.execute.detached import Detached, MarkState, Work
from healthd.execute.leaders import LeaderElector
from healthd.execute.protocol import Target
from healthd.model.snapshot import ClusterSnapshot
from healthd.waves.events import Outcome

MAX_BYTES: Final = 60_000
"""Of the lists that are kept; a command may be given a little more to read."""
_KEEP_SECONDS: Final = 30.0

Orders = Mapping[Partition, tuple[int, ...]]
"""The list of replicas of each partition, in its order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderMoves:
    """Moves the leaders of one node of one wave away, and back."""

    wave: str
    node: int
    admin: ClusterAdmin
    elector: LeaderElector
    detached: Detached
    target: Target
    look: Callable[[], Awaitable[ClusterSnapshot | None]]
    election_seconds: float = 30.0

    @property
    def mark(self) -> str:
        """Names what the host keeps; one for the wave, so that the first lists are the ones."""
        return mark_of(self.wave, self.node, "leaders")

    async def away(self, limit: int) -> tuple[Outcome, str]:
        """Move at most so many; what cannot be led by anybody else in sync stays.

        Raises:
            StepEnds: nothing was changed.
        """
        snapshot = await self._looked()
        if snapshot.reassignments != 0 or any(topic.adding for topic in snapshot.topics):
            raise StepEnds(Outcome.NOT_SENT, "partitions are being reassigned: that is waited for")
        wanted = movable(snapshot, self.node, limit)
        if not wanted:
            return Outcome.OK, f"broker {self.node} leads nothing that another one could lead"
        kept = await self._kept(wanted)
        now = orders_of(snapshot)
        turned = {
            partition: turned_away(order, self.node, isr_of(snapshot, partition))
            for partition, order in kept.items()
            if sorted(now.get(partition, ())) == sorted(order)
        }
        return await self._ordered(turned, f"of {len(wanted)} leaders of broker {self.node}")

    async def back(self) -> tuple[Outcome, str]:
        """Put the lists back as they were, where nobody has changed them meanwhile.

        Raises:
            StepEnds: nothing was changed.
        """
        kept = await self._known()
        if not kept:
            return Outcome.OK, ""
        now = orders_of(await self._looked())
        mine = {
            partition: order
            for partition, order in kept.items()
            if now.get(partition) != order
            and now.get(partition, ())[-1:] == (self.node,)
            and sorted(now[partition]) == sorted(order)
        }
        if not mine:
            return Outcome.OK, "the lists of replicas are as they were"
        return await self._ordered(mine, "lists of replicas are as they were")

    async def _ordered(self, orders: Orders, what: str) -> tuple[Outcome, str]:
        failed = await self.admin.reassign(orders)
        done = [partition for partition in orders if partition not in failed]
        if done:
            await self.elector.elect_preferred(done, timeout_seconds=self.election_seconds)
        told = f"{len(done)} {what}"
        if failed:
            partition, why = next(iter(sorted(failed.items())))
            told += f"; {len(failed)} were refused: {partition[0]}-{partition[1]}: {why}"
        return (Outcome.OK if done or not orders else Outcome.FAILED), told

    async def _looked(self) -> ClusterSnapshot:
        snapshot = await self.look()
        if snapshot is None:
            raise StepEnds(Outcome.NOT_SENT, "the cluster could not be looked at")
        return snapshot

    async def _kept(self, orders: Orders) -> Orders:
        """The lists as the host keeps them: those of the first time, when this is not the first."""
        work = Work(
            argv=("cat",), effect_id=self.mark, timeout_seconds=_KEEP_SECONDS, stdin=packed(orders)
        )
        progress = await self.detached.launch(self.target, work, wait_seconds=5)
        if progress.state is not MarkState.ENDED or progress.exit_code != 0:
            detail = f"how leaders were could not be kept on the host: {progress.detail}"
            raise StepEnds(Outcome.NOT_SENT, f"{detail}; nothing was changed")
        return unpacked(progress.stdout)

    async def _known(self) -> Orders:
        progress = await self.detached.observe(self.target, self.mark)
        if progress.state is MarkState.NOT_BEGUN:
            return {}
        if progress.state is not MarkState.ENDED:
            raise StepEnds(Outcome.NOT_SENT, f"how leaders were is not known: {progress.detail}")
        return unpacked(progress.stdout)


def movable(snapshot: ClusterSnapshot, node: int, limit: int) -> Orders:
    """What a node leads and another member of the ISR could, in a fixed order, so many at most."""
    found: dict[Partition, tuple[int, ...]] = {}
    for topic in sorted(snapshot.topics, key=lambda topic: topic.name):
        for at, leader in enumerate(topic.leaders):
            others = set(topic.isrs[at]) - {node}
            if leader == node and others and len(found) < limit:
                found[topic.name, topic.ids[at]] = topic.replicas[at]
    while len(packed(found)) > MAX_BYTES:
        for partition in list(found)[-max(1, len(found) // 10) :]:
            del found[partition]
    return found


def turned_away(order: tuple[int, ...], node: int, isr: frozenset[int]) -> tuple[int, ...]:
    """The list with the first other one in sync in front, and the node last."""
    others = [each for each in order if each != node]
    others.sort(key=lambda each: each not in isr)
    return (*others, node)


def orders_of(snapshot: ClusterSnapshot) -> Orders:
    """The lists of replicas of all partitions."""
    return {
        (topic.name, topic.ids[at]): replicas
        for topic in snapshot.topics
        for at, replicas in enumerate(topic.replicas)
    }


def isr_of(snapshot: ClusterSnapshot, partition: Partition) -> frozenset[int]:
    """Who is in sync with a partition."""
    name, number = partition
    for topic in snapshot.topics:
        if topic.name == name and number in topic.ids:
            return frozenset(topic.isrs[topic.ids.index(number)])
    return frozenset()


def packed(orders: Orders) -> bytes:
    """The lists as one line."""
    rows = [[name, number, list(order)] for (name, number), order in orders.items()]
    return json.dumps(rows, separators=(",", ":")).encode()


def unpacked(text: str) -> Orders:
    """The lists of such a line.

    Raises:
        StepEnds: it is none, or not all of it.
    """
    try:
        return {(str(row[0]), int(row[1])): tuple(map(int, row[2])) for row in json.loads(text)}
    except (ValueError, TypeError, LookupError):
        detail = "how leaders were is not to be read on the host any more"
        raise StepEnds(Outcome.FAILED, detail) from None


async def carefully(moved: Awaitable[tuple[Outcome, str]]) -> tuple[Outcome, str]:
    """How a move ended, trouble with the cluster included."""
    try:
        return await moved
    except AdminError as error:
        if error.may_have_been_done:
            return Outcome.UNKNOWN, error.detail
        return (Outcome.FAILED if error.is_refused else Outcome.NOT_SENT), error.detail
