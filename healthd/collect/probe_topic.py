"""What is to be done next about the probe's topic, from what metadata shows of it. Pure.

Invariants: RF is the smaller of 3 and the number of brokers, min.insync.replicas is 1, so that with
two brokers or more the topic never keeps anybody from stopping one. An existing topic is touched
only while every expected broker is up: never beside a restart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from healthd.model.snapshot import NO_LEADER, Partition

REPLICAS: Final = 3
MIN_INSYNC_REPLICAS: Final = 1

TOPIC_CONFIG: Final[Mapping[str, str]] = {
    "min.insync.replicas": str(MIN_INSYNC_REPLICAS),
    "cleanup.policy": "delete",
    # What was read is of no use any more; Kafka 4 takes no segment below 1 MiB.
    "retention.ms": "600000",
    "segment.ms": "600000",
    "segment.bytes": "1048576",
    # Both indexes of a segment are allocated in full: 10 MB each by default.
    "segment.index.bytes": "65536",
}

Replicas = tuple[int, ...]
"""Broker ids, the preferred leader first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The brokers that partitions can be on."""

    up: frozenset[int]
    """Listed by a Metadata response."""
    expected: frozenset[int]
    """Those, and those that are down and meant to come back."""
    racks: Mapping[int, str] = field(default_factory=dict)
    """Of those that have one."""

    @property
    def is_complete(self) -> bool:
        """Whether nobody is missing."""
        return self.expected <= self.up


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateTopic:
    """Make the topic."""

    assignments: tuple[Replicas, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddPartitions:
    """Make further partitions, for brokers that lead none."""

    count: int
    """Of all partitions afterwards."""
    assignments: tuple[Replicas, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reassign:
    """Move replicas, or their order."""

    replicas: Mapping[int, Replicas]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetMinIsr:
    """Set min.insync.replicas back: somebody has changed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ElectPreferred:
    """Give partitions back to their preferred leaders."""

    partitions: tuple[int, ...]


Step = CreateTopic | AddPartitions | Reassign | SetMinIsr | ElectPreferred


def next_step(
    partitions: Sequence[Partition], places: Places, min_insync_replicas: int | None
) -> Step | None:
    """The one thing to do next; None: the topic is as it should be, or nothing may be done now.

    Args:
        partitions: As metadata shows them; none: there is no such topic.
        places: The brokers.
        min_insync_replicas: Of the topic; None: unknown.
    """
    if not places.up:
        return None
    if not partitions:
        return CreateTopic(
            assignments=tuple(replicas_led_by(broker, places) for broker in sorted(places.up))
        )
    if min_insync_replicas not in {None, MIN_INSYNC_REPLICAS}:
        return SetMinIsr()
    if not places.is_complete or any(row.adding or row.removing for row in partitions):
        return None
    targets, without = _targets(partitions, places)
    moves = {row.id: targets[row.id] for row in partitions if targets[row.id] != row.replicas}
    if moves:
        return Reassign(replicas=moves)
    if without:
        return AddPartitions(
            count=len(partitions) + len(without),
            assignments=tuple(replicas_led_by(broker, places) for broker in without),
        )
    displaced = tuple(
        row.id
        for row in partitions
        if row.leader not in {row.replicas[0], NO_LEADER} and row.replicas[0] in row.isr
    )
    return ElectPreferred(partitions=displaced) if displaced else None


def _targets(
    partitions: Sequence[Partition], places: Places
) -> tuple[dict[int, Replicas], list[int]]:
    """The replicas that each partition should have, and the brokers that then still lead none."""
    owners: dict[int, int] = {}
    spare: list[Partition] = []
    for row in partitions:
        first = row.replicas[0] if row.replicas else NO_LEADER
        if first in places.up and first not in owners.values():
            owners[row.id] = first
        else:
            spare.append(row)
    without = [broker for broker in sorted(places.up) if broker not in owners.values()]
    everybody = sorted(places.up)
    for row in spare:
        if without:
            owners[row.id] = without.pop(0)
        elif not _is_sound(row, places):
            # Partitions cannot be taken away: one broker too few leaves one too many.
            owners[row.id] = everybody[row.id % len(everybody)]
        else:
            owners[row.id] = row.replicas[0]
    targets = {}
    for row in partitions:
        owner = owners[row.id]
        keeps = _is_sound(row, places) and row.replicas[0] == owner
        targets[row.id] = row.replicas if keeps else replicas_led_by(owner, places)
    return targets, without


def _is_sound(row: Partition, places: Places) -> bool:
    if not set(row.replicas) <= places.up or len(row.replicas) != _factor(places):
        return False
    # Racks may have been unknown when it was made.
    best = replicas_led_by(row.replicas[0], places)
    return _racks_of(row.replicas, places) >= _racks_of(best, places)


def _racks_of(replicas: Replicas, places: Places) -> int:
    return len({places.racks[node] for node in replicas if node in places.racks})


def _factor(places: Places) -> int:
    return min(REPLICAS, len(places.up))


def replicas_led_by(broker: int, places: Places) -> Replicas:
    """The replicas of the partition that a broker is to lead: in as many racks as there are."""
    ring = sorted(places.up)
    at = ring.index(broker)
    others = [*ring[at + 1 :], *ring[:at]]
    found = [broker]
    racks = {places.racks.get(broker)}
    for other in others:
        rack = places.racks.get(other)
        if len(found) < _factor(places) and rack is not None and rack not in racks:
            found.append(other)
            racks.add(rack)
    rest = [other for other in others if other not in found]
    return (*found, *rest[: _factor(places) - len(found)])
