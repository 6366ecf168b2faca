"""Faults at work: each begins, and ends when its time is over, or when a restart has cured it."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from healthd.model.words import EvidenceGroup
from healthd.rehearsal.daemon import Daemon
from healthd.rehearsal.faults import Fault, FaultKind
from healthd.rehearsal.topics import TopicNow
from healthd.rehearsal.world import World
from healthd.waves.events import Verb
from healthd.waves.state import NodeStatus

KeyT = TypeVar("KeyT")
Act = Callable[[], object]

_CURED_BY_START = frozenset(
    {FaultKind.BROKER_CRASH, FaultKind.BROKER_FROZEN, FaultKind.BROKER_FENCED}
)
_HAS_OWN_END = frozenset({FaultKind.DAEMON_KILLED, FaultKind.PAUSE})
"""Their end does something that the wave waits for, so it is to come."""


class Schedule:
    """The faults of a rehearsal: when they strike, what is under way, what is to come."""

    def __init__(self, world: World, daemon: Daemon, faults: tuple[Fault, ...]) -> None:
        self._world = world
        self._daemon = daemon
        self._waiting = [fault for fault in faults if fault.when is not None]
        self._to_come = 0
        self._under_way: list[Fault] = []
        for fault in faults:
            if fault.at is not None:
                self._to_come += 1
                world.agenda.at(fault.at, partial(self._strike_planned, fault))
        daemon.on_status.append(self._entered)
        world.cluster.on_start.append(self._started)

    @property
    def is_anything_to_come(self) -> bool:
        """Whether a fault with a time has not begun, or ends in an order that is not given yet."""
        return self._to_come > 0

    def begin(self) -> None:
        """The wave begins: what waits for a node to be pending strikes now."""
        for run in self._daemon.state.nodes:
            self._entered(run.node, NodeStatus.PENDING)

    def _strike_planned(self, fault: Fault) -> None:
        self._to_come -= 1
        self._strike(fault)

    def _entered(self, node: int, status: NodeStatus) -> None:
        for fault in list(self._waiting):
            when = fault.when
            if when is not None and (when.broker, when.state) == (node, status):
                self._waiting.remove(fault)
                self._strike(fault)

    def _strike(self, fault: Fault) -> None:
        story, agenda = self._world.story, self._world.agenda
        story.fault(fault.kind.value, "began", broker=fault.broker)
        self._under_way.append(fault)
        begin, end = _ACTS[fault.kind](self._world, self._daemon, fault)
        refused = begin()
        if isinstance(refused, str):
            self._forget(fault)
            story.fault(fault.kind.value, "ended", broker=fault.broker, detail=refused)
            return
        seconds = _seconds_of(fault)
        if seconds is None:
            return
        is_awaited = fault.kind in _HAS_OWN_END
        self._to_come += is_awaited

        def ends() -> None:
            self._to_come -= is_awaited
            if any(each is fault for each in self._under_way):
                end()
                self._over(fault)

        agenda.after(seconds, ends)

    def _started(self, node: int) -> None:
        """A start cures what is wrong with a process."""
        for fault in list(self._under_way):
            if fault.broker == node and fault.kind in _CURED_BY_START:
                self._over(fault)

    def _over(self, fault: Fault) -> None:
        if self._forget(fault):
            self._world.story.fault(fault.kind.value, "ended", broker=fault.broker)

    def _forget(self, fault: Fault) -> bool:
        """Whether it was under way; another one that says the same goes on."""
        for at, each in enumerate(self._under_way):
            if each is fault:
                del self._under_way[at]
                return True
        return False


def _seconds_of(fault: Fault) -> float | None:
    if fault.kind is FaultKind.DAEMON_KILLED:
        down_for: float | None = fault.details.get("downFor", fault.lasts)
        return down_for
    return fault.lasts


def _nothing() -> None:
    """Its end changes nothing."""


def _counted(counter: Counter[KeyT], *keys: KeyT) -> tuple[Act, Act]:
    """A fault that is there while it is counted; several may overlap."""

    def begin() -> None:
        counter.update(keys)

    def end() -> None:
        counter.subtract(keys)

    return begin, end


def _node(fault: Fault) -> int:
    assert fault.broker is not None, f"{fault.kind} names a broker; the parser sees to it"
    return fault.broker


def _crash(world: World, _daemon: Daemon, fault: Fault) -> tuple[Act, Act]:
    node, cluster = _node(fault), world.cluster
    return (lambda: cluster.crash(node)), (lambda: cluster.start(node))


def _frozen(world: World, _daemon: Daemon, fault: Fault) -> tuple[Act, Act]:
    node, cluster = _node(fault), world.cluster
    return (lambda: cluster.freeze(node)), (lambda: cluster.thaw(node))


def _fenced(world: World, _daemon: Daemon, fault: Fault) -> tuple[Act, Act]:
    node, cluster = _node(fault), world.cluster
    return (lambda: cluster.fence(node)), (lambda: cluster.unfence(node))


def _slow_start(world: World, _daemon: Daemon, fault: Fault) -> tuple[Act, Act]:
    factors = world.cluster.nodes[_node(fault)].start_factors
    factor = fault.details["factor"]
    return (lambda: factors.append(factor)), (lambda: factors.remove(factor))


def _slow_catch_up(world: World, _daemon: Daemon, fault: Fault) -> tuple[Act, Act]:
    factors = world.cluster.nodes[_node(fault)].catch_up_factors
    factor = fault.details["factor"]
    return (lambda: factors.append(factor)), (lambda: factors.remove(factor))


def _log_recovery(world: World, _daemon: Daemon, fault: Fault) -> tuple[Act, Act]:
    node = world.cluster.nodes[_node(fault)]
    return (lambda: setattr(node, "log_recovery", fault.details["seconds"])), _nothing


def _exporter(world: World, _daemon: Daemon, fault: Fault) -> tuple[Act, Act]:
    nodes = world.cluster.nodes if fault.broker is None else (fault.broker,)
    return _counted(world.collector.exporters_lost, *nodes)


def _source(group: EvidenceGroup) -> Callable[[World, Daemon, Fault], tuple[Act, Act]]:
    return lambda world, _daemon, _fault: _counted(world.collector.lost, group)


def _voter_behind(world: World, _daemon: Daemon, fault: Fault) -> tuple[Act, Act]:
    node, quorum = _node(fault), world.cluster.quorum
    return (lambda: quorum.hold_back(node)), (lambda: quorum.let_follow(node))


def _controller_moves(world: World, _daemon: Daemon, fault: Fault) -> tuple[Act, Act]:
    quorum, to = world.cluster.quorum, fault.details["to"]
    before: list[int] = []

    def begin() -> str | None:
        before.append(quorum.leader)
        return None if quorum.move(to) else f"node {to} cannot be the active controller now"

    return begin, (lambda: quorum.move(before[0]))


def _reassignment(world: World, _daemon: Daemon, fault: Fault) -> tuple[Act, Act]:
    replication, details = world.cluster.replication, fault.details
    adding = tuple(details["adding"])

    def begin() -> str | None:
        partition = replication.partition(details["topic"], details["partition"])
        if partition is None:
            return "the partition is not there any more"
        replication.begin_adding(partition, adding)
        cluster = world.cluster

        def caught_up() -> None:
            for node in adding:
                replication.join_one(cluster.nodes.get(node), partition)

        world.agenda.after(cluster.timing.catch_up, lambda: cluster.quorum.by_controller(caught_up))
        return None

    def end() -> None:
        partition = replication.partition(details["topic"], details["partition"])
        if partition is not None:
            replication.finish_adding(partition, adding)

    return begin, end


def _topic_created(world: World, _daemon: Daemon, fault: Fault) -> tuple[Act, Act]:
    replication, details = world.cluster.replication, fault.details

    def begin() -> str | None:
        if details["name"] in replication.topics:
            return "there is such a topic already"
        topic = TopicNow(details["name"], min_isr=details.get("minInsyncReplicas"))
        topic.add(0, tuple(details["replicas"]))
        replication.add_topic(topic)
        return None

    return begin, (lambda: replication.remove_topic(details["name"]))


def _outside(name: str) -> Callable[[World, Daemon, Fault], tuple[Act, Act]]:
    def acts(world: World, _daemon: Daemon, _fault: Fault) -> tuple[Act, Act]:
        def add(count: int) -> None:
            setattr(world.outside, name, getattr(world.outside, name) + count)

        return (lambda: add(1)), (lambda: add(-1))

    return acts


def _host(name: str) -> Callable[[World, Daemon, Fault], tuple[Act, Act]]:
    return lambda world, _daemon, fault: _counted(getattr(world.hosts.faults, name), _node(fault))


def _daemon_killed(_world: World, daemon: Daemon, _fault: Fault) -> tuple[Act, Act]:
    def begin() -> str | None:
        return None if daemon.kill() else "it does not run"

    return begin, daemon.rise


def _lease_stolen(_world: World, daemon: Daemon, _fault: Fault) -> tuple[Act, Act]:
    return daemon.keeping.steal, daemon.keeping.give_back


def _clock_jump(world: World, _daemon: Daemon, fault: Fault) -> tuple[Act, Act]:
    seconds, collector = fault.details["seconds"], world.collector

    def jump(by: float) -> None:
        collector.wall_jump += by

    return (lambda: jump(seconds)), (lambda: jump(-seconds))


def _order(verb: Verb, undone_by: Verb | None = None) -> Callable[..., tuple[Act, Act]]:
    def acts(_world: World, daemon: Daemon, fault: Fault) -> tuple[Act, Act]:
        end = _nothing if undone_by is None else (lambda: daemon.order(undone_by))
        return (lambda: daemon.order(verb, fault.broker)), end

    return acts


_ACTS: dict[FaultKind, Callable[[World, Daemon, Fault], tuple[Act, Act]]] = {
    FaultKind.BROKER_CRASH: _crash,
    FaultKind.SLOW_START: _slow_start,
    FaultKind.SLOW_CATCH_UP: _slow_catch_up,
    FaultKind.START_FAILS: _host("start_fails"),
    FaultKind.HOST_UNREACHABLE: _host("unreachable"),
    FaultKind.BROKER_FENCED: _fenced,
    FaultKind.BROKER_FROZEN: _frozen,
    FaultKind.LOG_RECOVERY: _log_recovery,
    FaultKind.EXPORTER_LOST: _exporter,
    FaultKind.EXPORTER_STALE: _exporter,
    FaultKind.METADATA_LOST: _source(EvidenceGroup.METADATA),
    FaultKind.METADATA_STALE: _source(EvidenceGroup.METADATA),
    FaultKind.QUORUM_LOST: _source(EvidenceGroup.QUORUM),
    FaultKind.VOTER_BEHIND: _voter_behind,
    FaultKind.CONTROLLER_MOVES: _controller_moves,
    FaultKind.REASSIGNMENT: _reassignment,
    FaultKind.TOPIC_CREATED: _topic_created,
    FaultKind.ALERT_FIRING: _outside("alerts_firing"),
    FaultKind.ALERT_QUERY_FAILS: _outside("alert_queries_failing"),
    FaultKind.COMMAND_HANGS: _host("hangs"),
    FaultKind.ANSWER_LOST: _host("loses_answer"),
    FaultKind.NOT_RESTARTED: _host("lies"),
    FaultKind.DAEMON_KILLED: _daemon_killed,
    FaultKind.LEASE_STOLEN: _lease_stolen,
    FaultKind.CLOCK_JUMP: _clock_jump,
    FaultKind.PAUSE: _order(Verb.PAUSE, Verb.RESUME),
    FaultKind.RESUME: _order(Verb.RESUME),
    FaultKind.ABORT: _order(Verb.ABORT),
    FaultKind.RETRY: _order(Verb.RETRY),
    FaultKind.SKIP: _order(Verb.SKIP),
}
