"""The cluster as it is: processes, registrations, ISRs, leaders; faults and commands are methods.

What healthd gets to see of it is `view.Collector`'s business, and how a command gets here is
`hosts.Hosts`'s.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from random import Random

from healthd.model.snapshot import NO_LEADER, Quorum
from healthd.rehearsal.agenda import Agenda
from healthd.rehearsal.nodes import Node, Phase, Timing
from healthd.rehearsal.quorum import QuorumNow
from healthd.rehearsal.replication import Replication
from healthd.rehearsal.topics import PartitionNow, TopicNow


class ClusterModel:
    """The cluster as it is."""

    def __init__(
        self,
        agenda: Agenda,
        *,
        nodes: Sequence[Node],
        topics: Iterable[TopicNow],
        timing: Timing | None = None,
        quorum: Quorum | None = None,
        chance: Random | None = None,
    ) -> None:
        self.agenda = agenda
        self.timing = timing or Timing()
        self.nodes: Mapping[int, Node] = {node.id: node for node in nodes}
        self.quorum = QuorumNow(agenda, self.nodes, self.timing, given=quorum, chance=chance)
        self.replication = Replication(agenda, self.nodes, topics)
        self.can_stop_frozen = True
        """A service manager ends a frozen process after all; else it ends when it runs on."""
        self.on_end: list[Callable[[int], None]] = []
        """Called with a node whose process has ended."""
        self.on_start: list[Callable[[int], None]] = []

    # --- What an operator or a service manager does ------------------------------------------

    def stop(self, node: int, *, by_wave: bool = False) -> None:
        """Begin an orderly stop: leaders move, the ISRs shrink, then the process ends."""
        it = self.nodes[node]
        if it.phase in {Phase.STARTING, Phase.RECOVERY}:
            it.is_stop_by_wave = by_wave
            self._end(it)
        elif it.phase is Phase.RUNNING:
            it.is_stop_by_wave = by_wave
            if it.is_frozen and not self.can_stop_frozen:
                it.stops_when_thawed = True
                return
            self._enter(it, Phase.STOPPING)
            self._shut_down(it)

    def _shut_down(self, it: Node) -> None:
        """Leave as a controller allows; without one the process hangs on for minutes."""
        leaving = False

        def leave() -> None:
            nonlocal leaving
            leaving = True
            self.replication.leave(it, by_wave=it.is_stop_by_wave, is_handing_over=True)
            self._later(self.timing.stop, it, lambda: self._end(it))

        def give_up() -> None:
            if not leaving:
                self._end(it)

        if it.is_frozen or not it.is_broker:
            self._later(self.timing.stop, it, lambda: self._end(it))
            return
        self.quorum.by_controller(self._if_same(it, leave))
        if not leaving:
            self._later(self.timing.shutdown_without_controller, it, give_up)

    def start(self, node: int) -> bool:
        """Start a process when there is none; whether it did."""
        it = self.nodes[node]
        if it.runs:
            return False
        if it.is_registered:
            self._expire(it)
        it.starts += 1
        self._forget_trouble(it)
        it.is_behind_as_given = it.is_stop_by_wave = False
        recovery, it.log_recovery = it.log_recovery, 0.0
        if recovery:
            self._enter(it, Phase.RECOVERY)
            self._later(recovery, it, lambda: self._boot(it))
        else:
            self._boot(it)
        for told in self.on_start:
            told(node)
        return True

    def elect_preferred(self, node: int) -> bool:
        """Give a node the partitions that it leads by preference; false without a controller."""
        if not self.quorum.is_led:
            return False
        self.replication.elect_preferred(self.nodes[node])
        return True

    # --- Faults ------------------------------------------------------------------------------

    def crash(self, node: int) -> None:
        """Kill the process; the cluster notices after the session time-out."""
        it = self.nodes[node]
        if not it.runs:
            return
        self._stop_following(it)
        self._forget_trouble(it)
        it.is_stop_by_wave = False
        self._enter(it, Phase.DOWN)
        self.quorum.may_have_changed()
        self._later(self.timing.session_timeout, it, lambda: self._expire(it))
        self._tell_end(node)

    def freeze(self, node: int) -> None:
        """Stop the process from running (SIGSTOP)."""
        it = self.nodes[node]
        if not it.runs or it.is_frozen:
            return
        self._stop_following(it)
        it.is_frozen, it.is_as_given = True, False
        self.quorum.may_have_changed()
        it.freezes += 1
        frozen = it.starts, it.freezes

        def notice() -> None:
            if it.is_frozen and (it.starts, it.freezes) == frozen:
                self._expire(it)

        self.agenda.after(self.timing.session_timeout, notice)

    def thaw(self, node: int) -> None:
        """Let a frozen process run on."""
        it = self.nodes[node]
        if not it.is_frozen:
            return
        it.is_frozen, it.is_as_given = False, False
        if it.stops_when_thawed:
            it.stops_when_thawed = False
            self.stop(node, by_wave=it.is_stop_by_wave)
        elif it.phase is Phase.RUNNING:
            self._register(it)
        self.quorum.may_have_changed()

    def fence(self, node: int) -> None:
        """Keep a running broker out of the cluster."""
        it = self.nodes[node]
        if it.runs and it.is_broker and not it.is_fenced:
            it.is_fenced, it.is_as_given = True, False
            self._expire(it)

    def unfence(self, node: int) -> None:
        """Let it register again."""
        it = self.nodes[node]
        if it.is_fenced:
            it.is_fenced, it.is_as_given = False, False
            if it.phase is Phase.RUNNING and not it.is_frozen:
                self._register(it)

    def lag(self, node: int) -> None:
        """Let a broker follow too slowly: it leaves the ISRs of what it does not lead."""
        it = self.nodes[node]
        if it.is_lagging or not it.runs:
            return
        it.is_lagging = True
        process = it.starts

        def notice() -> None:
            if it.is_lagging and it.starts == process:
                self.quorum.by_controller(lambda: self.replication.fall_behind(it))

        self.agenda.after(self.timing.replica_lag, notice)

    def keep_up(self, node: int) -> None:
        """Let it follow as it should."""
        it = self.nodes[node]
        if it.is_lagging:
            it.is_lagging = False
            self._catch_up(it)

    # --- What follows by itself --------------------------------------------------------------

    def set_going(self) -> None:
        """Let what the snapshot shows half-way through a start or a stop go on."""
        for it in self.nodes.values():
            if it.phase is Phase.STARTING:
                self._later(self.timing.start, it, partial(self._come_up, it))
            elif it.phase is Phase.RECOVERY:
                self._later(self.timing.start, it, partial(self._boot, it))
            elif it.phase is Phase.STOPPING:
                self._later(self.timing.stop, it, partial(self._end, it))
            elif it.phase is Phase.DOWN and it.is_registered:
                self._later(self.timing.session_timeout, it, partial(self._expire, it))

    def _forget_trouble(self, it: Node) -> None:
        """What was wrong with a process ends with it."""
        it.is_frozen = it.is_fenced = it.is_lagging = it.stops_when_thawed = False

    def _enter(self, it: Node, phase: Phase) -> None:
        it.phase, it.is_as_given = phase, False

    def _if_same(self, it: Node, act: Callable[[], None]) -> Callable[[], None]:
        """What only happens when the process is the same, and as far, by then."""
        process, phase = it.starts, it.phase

        def act_if_same() -> None:
            if it.starts == process and it.phase is phase:
                act()

        return act_if_same

    def _later(self, seconds: float, it: Node, act: Callable[[], None]) -> None:
        self.agenda.after(seconds, self._if_same(it, act))

    def _boot(self, it: Node) -> None:
        self._enter(it, Phase.STARTING)
        self._later(self.timing.start * it.start_factor, it, lambda: self._come_up(it))

    def _come_up(self, it: Node) -> None:
        self._enter(it, Phase.RUNNING)
        if it.is_frozen:
            return
        self.quorum.may_have_changed()
        self._register(it)

    def _end(self, it: Node) -> None:
        self._stop_following(it)
        self._forget_trouble(it)
        self._enter(it, Phase.DOWN)
        self._expire(it)
        self.quorum.may_have_changed()
        self._tell_end(it.id)

    def _stop_following(self, it: Node) -> None:
        if it.votes:
            it.caught_up_at = self.agenda.now

    def _tell_end(self, node: int) -> None:
        for told in self.on_end:
            told(node)

    def _register(self, it: Node) -> None:
        if it.is_fenced or not it.is_broker:
            return

        def register() -> None:
            if it.is_fenced or it.is_frozen:
                return
            it.is_registered, it.is_as_given = True, False
            for partition in self.replication.take_leaderless(it):
                self._followers_catch_up(partition)
            self._catch_up(it)

        if self.quorum.is_zookeeper and not self.quorum.is_led:
            # A znode of its own says that it is there, and it may become the controller by that.
            it.is_registered, it.is_as_given = True, False
            self.quorum.may_have_changed()
        self.quorum.by_controller(self._if_same(it, register))

    def _catch_up(self, it: Node) -> None:
        seconds = self.timing.catch_up * it.catch_up_factor
        self._later(
            seconds,
            it,
            lambda: self.quorum.by_controller(self._if_same(it, lambda: self.replication.join(it))),
        )

    def _followers_catch_up(self, partition: PartitionNow) -> None:
        """A partition has a leader again: what serves can follow it."""

        def join() -> None:
            for node in partition.replicas:
                self.replication.join_one(self.nodes.get(node), partition)

        self.agenda.after(self.timing.catch_up, lambda: self.quorum.by_controller(join))

    def _expire(self, it: Node) -> None:
        """The cluster has noticed that a broker is gone."""
        self.quorum.expire(it.id)
        by_wave = it.is_stop_by_wave

        def expire() -> None:
            it.is_registered = False
            self.replication.leave(it, by_wave=by_wave)

        if not it.is_broker:
            return
        process = it.starts

        def expire_if_gone() -> None:
            if it.starts == process and (not it.runs or it.is_frozen or it.is_fenced):
                expire()

        if self.quorum.is_led:
            expire()
        else:
            self.quorum.by_controller(expire_if_gone)

    # --- Questions ---------------------------------------------------------------------------

    @property
    def controller(self) -> int:
        """The active controller, or -1."""
        return self.quorum.leader

    def under_min_isr(self) -> Sequence[PartitionNow]:
        """The partitions that refuse acks=all now."""
        return [each for each in self.replication.partitions() if each.is_under_min_isr]

    @property
    def is_whole(self) -> bool:
        """Whether every node serves and every partition has all its replicas in sync."""
        return all(node.serves or not node.is_broker for node in self.nodes.values()) and all(
            each.isr.issuperset(each.replicas) and each.leader != NO_LEADER
            for each in self.replication.partitions()
        )

    def down(self) -> list[int]:
        """The listed nodes that have no process."""
        return [node.id for node in self.nodes.values() if node.is_listed and not node.runs]
