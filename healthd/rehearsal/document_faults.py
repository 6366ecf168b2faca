"""The faults of a rehearsal from their documents, each judged against the snapshot."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from healthd.model.snapshot import ClusterSnapshot
from healthd.model.words import QuorumMode
from healthd.rehearsal.document_numbers import a_number, finite_number
from healthd.rehearsal.faults import SHAPES, Fault, FaultKind, Need, Shape, When
from healthd.waves.problems import Location, describe_type, unknown_key
from healthd.waves.spec_findings import Findings
from healthd.waves.state import NodeStatus

FAULT_KEYS: Final = ("at", "for", "when", "fault")


def parse_faults(
    value: object, found: Findings, snapshot: ClusterSnapshot | None
) -> tuple[Fault, ...]:
    """The faults of a list; what is wrong with them is added to `found`.

    Args:
        value: what stands at `faults`.
        found: the problems so far.
        snapshot: what is known of nodes and topics; None when it could not be read.
    """
    if not isinstance(value, list | tuple):
        message = f"must be a list, not {describe_type(value)}"
        found.add(("faults",), message, "write - {at: 60, fault: broker_crash, broker: 1}")
        return ()
    reader = _Reader(found, snapshot)
    rows = [reader.fault(row, ("faults", at)) for at, row in enumerate(value)]
    return tuple(row for row in rows if row is not None)


class _Reader:
    """Reads faults against one snapshot."""

    def __init__(self, found: Findings, snapshot: ClusterSnapshot | None) -> None:
        self._found = found
        self._snapshot = snapshot
        self._created: set[str] = set()
        nodes: set[int] = set()
        voters: set[int] = set()
        self._is_zookeeper = False
        if snapshot is not None:
            nodes.update(snapshot.brokers_by_id)
            quorum = snapshot.quorum
            if quorum is not None:
                voters.update(voter.id for voter in quorum.voters)
                self._is_zookeeper = quorum.mode is QuorumMode.ZOOKEEPER
        self._nodes = frozenset(nodes)
        self._voters = frozenset(voters)
        """In ZooKeeper mode these are servers of the ensemble, and no nodes."""

    def fault(self, row: object, at: Location) -> Fault | None:
        """One fault; None with its problems noted."""
        found = self._found
        if not isinstance(row, Mapping):
            message = f"must be a mapping, not {describe_type(row)}"
            found.add(at, message, "write {at: 60, fault: broker_crash, broker: 1}")
            return None
        given = {key: item for key, item in row.items() if item is not None}
        kind = self._kind(given, at)
        if kind is None:
            return None
        before = len(found.problems)
        shape = SHAPES[kind]
        self._keys(given, at, kind, shape)
        begins, when = self._start(given, at)
        lasts = None
        if "for" in given:
            lasts = a_number(given["for"], (*at, "for"), found)
        broker = self._broker(given, at, kind, shape)
        details = self._details(given, at, kind, shape)
        if len(found.problems) > before:
            return None
        return Fault(kind=kind, at=begins, when=when, lasts=lasts, broker=broker, details=details)

    def _kind(self, given: Mapping[str, Any], at: Location) -> FaultKind | None:
        value = given.get("fault")
        if value is None:
            self._found.add(at, "fault is missing", "say what goes wrong: fault: broker_crash")
            return None
        if isinstance(value, str) and value in set(FaultKind):
            return FaultKind(value)
        named = value if isinstance(value, str) else describe_type(value)
        _, action = unknown_key(str(value), list(FaultKind))
        self._found.add((*at, "fault"), f"there is no fault {named}", action)
        return None

    def _keys(self, given: Mapping[str, Any], at: Location, kind: FaultKind, shape: Shape) -> None:
        known = [*FAULT_KEYS, *shape.required, *shape.optional]
        if shape.broker is not Need.NONE:
            known.append("broker")
        for key in given:
            if key not in known:
                message, action = unknown_key(str(key), known)
                self._found.add((*at, str(key)), f"{message} (of {kind})", action)
        for key in shape.required:
            if key not in given:
                self._found.add(at, f"{key} is missing: {kind} needs it", f"add {key}")

    def _start(self, given: Mapping[str, Any], at: Location) -> tuple[float | None, When | None]:
        found = self._found
        if ("at" in given) == ("when" in given):
            message = "has both at and when" if "at" in given else "has neither at nor when"
            found.add(at, message, "write at: SECONDS, or when: {broker: 3, state: stopped}")
            return None, None
        if "at" in given:
            return a_number(given["at"], (*at, "at"), found), None
        return None, self._when(given["when"], (*at, "when"))

    def _when(self, value: object, at: Location) -> When | None:
        found = self._found
        if not isinstance(value, Mapping):
            message = f"must be a mapping, not {describe_type(value)}"
            found.add(at, message, "write {broker: 3, state: stopped}")
            return None
        found.keys(value, at, ("broker", "state"))
        broker = self._node(value.get("broker"), (*at, "broker"), self._nodes)
        state = value.get("state")
        states = [status.value for status in NodeStatus]
        if state not in states:
            named = state if isinstance(state, str) else describe_type(state)
            found.add((*at, "state"), f"there is no state {named}", f"use {', '.join(states)}")
            return None
        return None if broker is None else When(broker=broker, state=NodeStatus(state))

    def _broker(
        self, given: Mapping[str, Any], at: Location, kind: FaultKind, shape: Shape
    ) -> int | None:
        if shape.broker is Need.NONE:
            return None
        if "broker" not in given:
            if shape.broker is Need.REQUIRED:
                self._found.add(at, f"broker is missing: {kind} needs it", "add broker: ID")
            return None
        known = self._nodes if self._is_zookeeper else self._nodes | self._voters
        if kind is FaultKind.VOTER_BEHIND:
            known = self._voters
        return self._node(given["broker"], (*at, "broker"), known)

    def _node(self, value: object, at: Location, known: frozenset[int]) -> int | None:
        if type(value) is not int:
            self._found.add(at, f"must be a node id, not {describe_type(value)}", "write the id")
            return None
        if self._snapshot is not None and value not in known:
            is_node = value in self._nodes
            words = "is no voter of the quorum" if is_node else "is not in the snapshot"
            there = ", ".join(map(str, sorted(known))) or "none"
            self._found.add(at, f"node {value} {words}", f"there are: {there}")
            return None
        return value

    def _details(
        self, given: Mapping[str, Any], at: Location, kind: FaultKind, shape: Shape
    ) -> dict[str, Any]:
        details: dict[str, Any] = {}
        for key in (*shape.required, *shape.optional):
            if key in given:
                read = DETAIL_READERS[key]
                details[key] = read(self, given[key], (*at, key), kind)
        if kind is FaultKind.REASSIGNMENT and "partition" in details and "topic" in details:
            self._check_partition(details, at)
        if kind is FaultKind.TOPIC_CREATED and "name" in details:
            self._check_new(details["name"], (*at, "name"))
        return details

    def _check_partition(self, details: Mapping[str, Any], at: Location) -> None:
        if self._snapshot is None or details["topic"] in self._created:
            return
        topics = {topic.name: topic for topic in self._snapshot.topics}
        topic = topics.get(details["topic"])
        if topic is None:
            message = f"there is no topic {details['topic']} in the snapshot"
            self._found.add((*at, "topic"), message, "name one of the snapshot's")
            return
        if details["partition"] not in topic.ids:
            message = f"there is no partition {details['topic']}-{details['partition']}"
            self._found.add((*at, "partition"), message, "name one of the snapshot's")
            return
        replicas = topic.replicas[topic.ids.index(details["partition"])]
        for position, node in enumerate(details["adding"] or ()):
            if node in replicas:
                message = f"node {node} has a replica of {details['topic']} already"
                self._found.add((*at, "adding", position), message, "add another one")

    def _check_new(self, name: str | None, at: Location) -> None:
        if self._snapshot is None or name is None:
            return
        if any(topic.name == name for topic in self._snapshot.topics):
            self._found.add(at, f"there is a topic {name} already", "choose another name")
        self._created.add(name)

    # --- Readers of single fields ------------------------------------------------------------

    def seconds_or_factor(self, value: object, at: Location, kind: FaultKind) -> float | None:
        """A number; only a clock may jump back, and no factor is 0."""
        if kind is FaultKind.CLOCK_JUMP:
            return finite_number(value, at, self._found)
        is_factor = at[-1] == "factor"
        return a_number(value, at, self._found, is_above_zero=is_factor)

    def active(self, value: object, at: Location, _kind: FaultKind) -> int | None:
        """A node that can be the active controller."""
        return self._node(value, at, self._nodes if self._is_zookeeper else self._voters)

    def text(self, value: object, at: Location, _kind: FaultKind) -> str | None:
        """A topic's name."""
        if isinstance(value, str) and value:
            return value
        self._found.add(at, f"must be text, not {describe_type(value)}", "write the topic's name")
        return None

    def number(self, value: object, at: Location, _kind: FaultKind) -> int | None:
        """A whole number: a partition's from 0, a minimum from 1."""
        lowest = 1 if at[-1] == "minInsyncReplicas" else 0
        if type(value) is int and value >= lowest:
            return value
        self._found.add(at, f"must be a whole number from {lowest}", "write the number")
        return None

    def nodes(self, value: object, at: Location, _kind: FaultKind) -> list[int]:
        """A list of brokers, each once."""
        if not isinstance(value, list | tuple) or not value:
            self._found.add(at, "must be a list of broker ids", "write [1, 2]")
            return []
        read: list[int] = []
        for position, item in enumerate(value):
            node = self._node(item, (*at, position), self._nodes)
            if node in read:
                self._found.add((*at, position), f"names {node} twice", "remove one of the two")
            elif node is not None:
                read.append(node)
        return read


_Read = Callable[[_Reader, object, Location, FaultKind], Any]

DETAIL_READERS: Final[Mapping[str, _Read]] = {
    "factor": _Reader.seconds_or_factor,
    "seconds": _Reader.seconds_or_factor,
    "downFor": _Reader.seconds_or_factor,
    "to": _Reader.active,
    "topic": _Reader.text,
    "name": _Reader.text,
    "partition": _Reader.number,
    "minInsyncReplicas": _Reader.number,
    "replicas": _Reader.nodes,
    "adding": _Reader.nodes,
}
