"""A Kafka cluster in memory and in virtual time: processes, ISRs, leaders, a quorum.

It knows what is true. What healthd gets to see of it is `cluster_view.Collector`'s business.
"""

import heapq
import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long things take, in seconds."""

    stop: float = 5.0
    start: float = 8.0
    catch_up: float = 6.0
    session_timeout: float = 9.0
    election: float = 1.0


class Phase(StrEnum):
    """Where a process is in its life."""

    STARTING = "starting"
    RECOVERY = "recovery"
    RUNNING = "running"
    STOPPING = "pending_controlled_shutdown"
    DOWN = "not_running"


@dataclass(slots=True, kw_only=True)
class Node:
    """One node: its process, and what the cluster thinks of it."""

    id: int
    is_broker: bool = True
    is_voter: bool = False
    phase: Phase = Phase.RUNNING
    starts: int = 1
    """Counts the processes that it had; the last one's number is its start time."""
    is_registered: bool = True
    """The controller has an unfenced registration of it: Metadata lists it."""
    is_frozen: bool = False
    is_fenced: bool = False
    """Something keeps it from registering, although its process runs."""
    stops_when_thawed: bool = False
    log_recovery: float = 0.0
    """The next start recovers its logs for so long."""
    caught_up_at: float = 0.0

    @property
    def runs(self) -> bool:
        """Whether it has a process."""
        return self.phase is not Phase.DOWN

    @property
    def serves(self) -> bool:
        """Whether it can be in an ISR and lead."""
        return self.phase is Phase.RUNNING and self.is_registered and not self.is_frozen

    @property
    def votes(self) -> bool:
        """Whether its vote counts: a controller answers until its process ends."""
        is_up = self.phase in {Phase.RUNNING, Phase.STOPPING}
        return self.is_voter and is_up and not self.is_frozen


@dataclass(slots=True, kw_only=True)
class PartitionNow:
    """One partition as it is."""

    topic: str
    number: int
    replicas: tuple[int, ...]
    min_isr: int
    isr: set[int] = field(default_factory=set)
    leader: int = -1

    @property
    def is_under_min_isr(self) -> bool:
        """Whether acks=all is refused."""
        return self.leader < 0 or len(self.isr) < self.min_isr


class Agenda:
    """What is to happen when, in virtual time; same time, same order as planned."""

    def __init__(self) -> None:
        self.now = 0.0
        self._order = itertools.count()
        self._planned: list[tuple[float, int, Callable[[], object]]] = []

    def after(self, seconds: float, act: Callable[[], object]) -> None:
        """Plan something."""
        heapq.heappush(self._planned, (self.now + seconds, next(self._order), act))

    def run_until(self, until: float, *, is_over: Callable[[], bool] = lambda: False) -> None:
        """Let time pass and everything planned happen, until then or until it is over."""
        while self._planned and self._planned[0][0] <= until and not is_over():
            at, _, act = heapq.heappop(self._planned)
            self.now = max(self.now, at)
            act()
        if not is_over():
            self.now = max(self.now, until)


class ClusterModel:
    """The cluster as it is; faults and commands are methods."""

    def __init__(
        self,
        agenda: Agenda,
        *,
        nodes: Sequence[Node],
        partitions: Sequence[PartitionNow],
        timing: Timing | None = None,
    ) -> None:
        self.agenda = agenda
        self.timing = timing or Timing()
        self.nodes: Mapping[int, Node] = {node.id: node for node in nodes}
        self.partitions = partitions
        self.controller = next((node.id for node in nodes if node.is_voter), -1)
        self.controller_absent_since: float | None = None
        for partition in partitions:
            partition.isr = set(partition.replicas)
            partition.leader = partition.replicas[0]

    # --- What an operator or a service manager does ------------------------------------------

    def stop(self, node: int) -> None:
        """Begin a controlled shutdown: leaders move, the ISRs shrink, then the process ends."""
        it = self.nodes[node]
        if it.is_frozen:
            it.stops_when_thawed = True
        elif it.phase in {Phase.STARTING, Phase.RECOVERY}:
            self._end(it)
        elif it.phase is Phase.RUNNING:
            it.phase = Phase.STOPPING
            self._leave_isrs(it)
            self._later(self.timing.stop, it, lambda: self._end(it))

    def start(self, node: int) -> None:
        """Start a process when there is none."""
        it = self.nodes[node]
        if it.runs:
            return
        it.starts += 1
        it.is_frozen = it.is_fenced = it.stops_when_thawed = False
        it.phase = Phase.STARTING
        recovery, it.log_recovery = it.log_recovery, 0.0
        if recovery:
            it.phase = Phase.RECOVERY
        self._later(self.timing.start + recovery, it, lambda: self._come_up(it))

    def elect_preferred(self, node: int) -> None:
        """Give a node the partitions that it leads by preference and is in sync for."""
        for partition in self.partitions:
            if partition.replicas[0] == node and node in partition.isr and self.nodes[node].serves:
                partition.leader = node

    # --- Faults ------------------------------------------------------------------------------

    def crash(self, node: int) -> None:
        """Kill the process; the cluster notices after the session time-out."""
        it = self.nodes[node]
        if not it.runs:
            return
        it.phase = Phase.DOWN
        it.is_frozen = False
        it.caught_up_at = self.agenda.now
        self._quorum_may_change()
        if it.is_registered:
            self._later(self.timing.session_timeout, it, lambda: self._expire(it))

    def freeze(self, node: int) -> None:
        """Stop the process from running (SIGSTOP)."""
        it = self.nodes[node]
        if not it.runs or it.is_frozen:
            return
        it.is_frozen = True
        it.caught_up_at = self.agenda.now
        self._quorum_may_change()
        self._later(self.timing.session_timeout, it, lambda: self._expire_if_frozen(it))

    def thaw(self, node: int) -> None:
        """Let a frozen process run on."""
        it = self.nodes[node]
        if not it.is_frozen:
            return
        it.is_frozen = False
        if it.stops_when_thawed:
            it.stops_when_thawed = False
            self.stop(node)
        elif it.phase is Phase.RUNNING:
            self._register(it)
        self._quorum_may_change()

    def fence(self, node: int) -> None:
        """Keep a running broker out of the cluster."""
        it = self.nodes[node]
        if it.runs and not it.is_fenced:
            it.is_fenced = True
            self._expire(it)

    def unfence(self, node: int) -> None:
        """Let it register again."""
        it = self.nodes[node]
        if it.is_fenced:
            it.is_fenced = False
            if it.phase is Phase.RUNNING and not it.is_frozen:
                self._register(it)

    def move_controller(self, to: int) -> None:
        """Let another voter lead the quorum."""
        if self.nodes[to].votes and self.controller >= 0:
            self.controller = to

    # --- What follows by itself --------------------------------------------------------------

    def _later(self, seconds: float, it: Node, act: Callable[[], None]) -> None:
        """Plan something that only happens when the process is still the same by then."""
        process, phase = it.starts, it.phase

        def act_if_same() -> None:
            if it.starts == process and it.phase is phase:
                act()

        self.agenda.after(seconds, act_if_same)

    def _end(self, it: Node) -> None:
        it.phase = Phase.DOWN
        it.is_frozen = False
        it.caught_up_at = self.agenda.now
        self._expire(it)
        self._quorum_may_change()

    def _come_up(self, it: Node) -> None:
        it.phase = Phase.RUNNING
        self._quorum_may_change()
        if not it.is_frozen:
            self._register(it)

    def _register(self, it: Node) -> None:
        if it.is_fenced:
            return
        it.is_registered = True
        for partition in self.partitions:
            if partition.leader < 0 and it.id in partition.isr:
                partition.leader = it.id
                for other in partition.replicas:
                    self._catch_up(self.nodes[other])
        self._catch_up(it)

    def _catch_up(self, it: Node) -> None:
        self._later(self.timing.catch_up, it, lambda: self._join_isrs(it))

    def _join_isrs(self, it: Node) -> None:
        if not it.serves:
            return
        for partition in self.partitions:
            if it.id in partition.replicas and partition.leader >= 0:
                partition.isr.add(it.id)

    def _expire_if_frozen(self, it: Node) -> None:
        if it.is_frozen:
            self._expire(it)

    def _expire(self, it: Node) -> None:
        it.is_registered = False
        self._leave_isrs(it)

    def _leave_isrs(self, it: Node) -> None:
        for partition in self.partitions:
            if it.id in partition.isr and len(partition.isr) > 1:
                partition.isr.remove(it.id)
            if partition.leader == it.id:
                able = [
                    node
                    for node in partition.replicas
                    if node in partition.isr and self.nodes[node].is_registered and node != it.id
                ]
                partition.leader = able[0] if able else -1

    def _quorum_may_change(self) -> None:
        voters = [node for node in self.nodes.values() if node.is_voter]
        voting = [node for node in voters if node.votes]
        has_majority = len(voting) > len(voters) // 2
        leads = self.controller >= 0 and self.nodes[self.controller].votes
        if leads and has_majority:
            return
        if self.controller_absent_since is None:
            self.controller_absent_since = self.agenda.now
        self.controller = -1
        if has_majority:
            self.agenda.after(self.timing.election, self._elect_controller)

    def _elect_controller(self) -> None:
        voters = [node for node in self.nodes.values() if node.is_voter]
        voting = [node.id for node in voters if node.votes]
        if self.controller < 0 and len(voting) > len(voters) // 2:
            self.controller = voting[0]
            self.controller_absent_since = None

    # --- Questions ---------------------------------------------------------------------------

    def under_min_isr(self) -> Collection[PartitionNow]:
        """The partitions that refuse acks=all now."""
        return [partition for partition in self.partitions if partition.is_under_min_isr]

    @property
    def is_whole(self) -> bool:
        """Whether every node serves and every partition has all its replicas in sync."""
        return all(node.serves or not node.is_broker for node in self.nodes.values()) and all(
            len(partition.isr) == len(partition.replicas) for partition in self.partitions
        )


def ring(
    *, nodes: int = 5, factor: int = 4, min_isr: int = 3, voters: int = 3, partitions: int = 0
) -> tuple[list[Node], list[PartitionNow]]:
    """Brokers with partitions all around them; the first few are controllers too."""
    ids = list(range(1, nodes + 1))
    made = [Node(id=node, is_voter=node <= voters) for node in ids]
    rows = [
        PartitionNow(
            topic="orders",
            number=number,
            replicas=tuple(ids[(number + at) % nodes] for at in range(factor)),
            min_isr=min_isr,
        )
        for number in range(partitions or nodes)
    ]
    return made, rows
