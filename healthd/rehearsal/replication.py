"""Replicas, ISRs and leaders of the model, by partition and by node."""

from collections.abc import Iterable, Iterator, Mapping

from healthd.model.snapshot import NO_LEADER
from healthd.rehearsal.agenda import Agenda
from healthd.rehearsal.harm import Harm
from healthd.rehearsal.nodes import Node, Phase
from healthd.rehearsal.topics import PartitionNow, TopicNow


class Replication:
    """Who has which replica, who is in sync, and who leads."""

    def __init__(
        self, agenda: Agenda, nodes: Mapping[int, Node], topics: Iterable[TopicNow]
    ) -> None:
        self._agenda = agenda
        self._nodes = nodes
        self.topics: dict[str, TopicNow] = {topic.name: topic for topic in topics}
        self.harm = Harm(agenda)
        self._of: dict[int, dict[PartitionNow, None]] = {node: {} for node in nodes}
        """The partitions that a node has to do with, in a fixed order."""
        for topic in self.topics.values():
            self._enlist(topic)

    def _enlist(self, topic: TopicNow) -> None:
        for partition in topic.partitions:
            for node in {
                **dict.fromkeys(partition.replicas),
                **dict.fromkeys(sorted(partition.isr)),
            }:
                self._of.setdefault(node, {})[partition] = None

    def partitions(self) -> Iterator[PartitionNow]:
        """Every partition."""
        return (each for topic in self.topics.values() for each in topic.partitions)

    def partition(self, topic: str, number: int) -> PartitionNow | None:
        """One partition by name; None when there is none."""
        found = self.topics.get(topic)
        rows = () if found is None else found.partitions
        return next((each for each in rows if each.number == number), None)

    def add_topic(self, topic: TopicNow) -> None:
        """A topic is created: led and followed by whoever serves."""
        self.topics[topic.name] = topic
        self._enlist(topic)
        for partition in topic.partitions:
            able = [node for node in partition.replicas if self._serves(node)]
            partition.isr = set(able) or set(partition.replicas[:1])
            self._lead(partition, able[0] if able else NO_LEADER)

    def remove_topic(self, name: str) -> None:
        """A topic is deleted."""
        topic = self.topics.pop(name, None)
        if topic is None:
            return
        self.harm.forget(topic.partitions)
        for partition in topic.partitions:
            for of in self._of.values():
                of.pop(partition, None)

    # --- ISR and leader ----------------------------------------------------------------------

    def leave(self, it: Node, *, by_wave: bool, is_handing_over: bool = False) -> None:
        """A node leaves every ISR, and leads nothing any more; the last of an ISR stays in it.

        Args:
            it: the node.
            by_wave: a stop by the wave is the cause.
            is_handing_over: it still runs; what nobody else can lead it leads until its end.
        """
        for partition in list(self._of[it.id]):
            if it.id not in partition.isr and partition.leader != it.id:
                continue
            before = partition.is_under_min_isr, partition.is_offline
            leader = partition.leader
            if leader == it.id:
                leader = self._successor(partition, it.id)
                if leader == NO_LEADER and is_handing_over:
                    continue
            if len(partition.isr) > 1:
                partition.isr.discard(it.id)
            if leader != partition.leader:
                self._lead(partition, leader)
            self._changed(partition, before, by_wave=by_wave)

    def fall_behind(self, it: Node) -> None:
        """A broker that lags leaves the ISRs of the partitions that it follows."""
        for partition in list(self._of[it.id]):
            if it.id in partition.isr and partition.leader not in {it.id, NO_LEADER}:
                before = partition.is_under_min_isr, partition.is_offline
                partition.isr.discard(it.id)
                self._changed(partition, before, by_wave=False)

    def join(self, it: Node) -> None:
        """A node has caught up with everything that has a leader."""
        for partition in list(self._of[it.id]):
            self.join_one(it, partition)

    def join_one(self, it: Node | None, partition: PartitionNow) -> None:
        """A node has caught up with one partition."""
        if it is None or not it.serves or it.is_lagging or partition.leader == NO_LEADER:
            return
        if it.id in partition.isr or it.id not in partition.replicas:
            return
        before = partition.is_under_min_isr, partition.is_offline
        partition.isr.add(it.id)
        partition.elr.discard(it.id)
        if not partition.is_under_min_isr:
            partition.elr.clear()
        self._changed(partition, before, by_wave=False)

    def take_leaderless(self, it: Node) -> list[PartitionNow]:
        """A node leads what nobody leads and it may be elected for; which partitions that are."""
        taken = []
        for partition in list(self._of[it.id]):
            if partition.leader == NO_LEADER and self._may_lead(it.id, partition):
                before = partition.is_under_min_isr, partition.is_offline
                partition.isr.add(it.id)
                partition.elr.discard(it.id)
                self._lead(partition, it.id)
                self._changed(partition, before, by_wave=False)
                taken.append(partition)
        return taken

    def elect_preferred(self, it: Node) -> None:
        """Give a node the partitions that it leads by preference and is in sync for."""
        for partition in list(self._of[it.id]):
            is_first = bool(partition.replicas) and partition.replicas[0] == it.id
            can = is_first and it.id in partition.isr and it.serves
            if can and partition.leader not in {it.id, NO_LEADER}:
                self._lead(partition, it.id)
                partition.topic.changed(partition)

    def _may_lead(self, node: int, partition: PartitionNow) -> bool:
        """Never uncleanly: in the ISR, eligible, or the only one that can have everything."""
        if node in partition.isr or node in partition.elr:
            return True
        if partition.isr or partition.elr:
            return False
        if partition.last_leader != NO_LEADER:
            return partition.last_leader == node
        return partition.replicas == (node,) or all(map(self._serves, partition.replicas))

    def _successor(self, partition: PartitionNow, leaving: int) -> int:
        for node in partition.replicas:
            if node != leaving and node in partition.isr and self._is_registered(node):
                return node
        return NO_LEADER

    def _lead(self, partition: PartitionNow, leader: int) -> None:
        if leader == NO_LEADER:
            if partition.leader != NO_LEADER:
                partition.last_leader = partition.leader
            if partition.leaderless_since is None:
                partition.leaderless_since = self._agenda.now
        else:
            partition.leaderless_since = None
            partition.last_leader = leader
        partition.leader = leader

    def _changed(
        self, partition: PartitionNow, before: tuple[bool, bool], *, by_wave: bool
    ) -> None:
        partition.topic.changed(partition)
        was_under, was_offline = before
        self.harm.changed(partition, was_under=was_under, was_offline=was_offline, by_wave=by_wave)

    def _serves(self, node: int) -> bool:
        it = self._nodes.get(node)
        return it is not None and it.serves

    def _is_registered(self, node: int) -> bool:
        it = self._nodes.get(node)
        # The controller elects a dead broker, too, until its session is over.
        return it is not None and it.is_registered and it.phase is not Phase.STOPPING

    # --- Reassignments -----------------------------------------------------------------------

    def begin_adding(self, partition: PartitionNow, nodes: tuple[int, ...]) -> None:
        """A reassignment begins: replicas are added to a partition."""
        new = tuple(node for node in nodes if node not in partition.replicas)
        partition.replicas += new
        partition.adding |= frozenset(new)
        for node in new:
            self._of.setdefault(node, {})[partition] = None
        partition.topic.changed(partition)

    def finish_adding(self, partition: PartitionNow, nodes: tuple[int, ...]) -> None:
        """It ends, with the added replicas in the set and in sync where their broker serves."""
        partition.adding -= frozenset(nodes)
        partition.topic.changed(partition)
        for node in nodes:
            self.join_one(self._nodes.get(node), partition)
