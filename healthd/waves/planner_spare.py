"""Which plain brokers may be down together, as conflicts and as counters.

Whoever may be stopped alone can be stopped in company until a partition would lose more members of
its ISR than it can spare: |ISR| - min.insync.replicas - margin (restart-safety.md section 1, rules
6 and 7; every other rule blocks a broker alone). Where one may be spared the members exclude each
other pairwise, and that is a bitset for each broker. Where more may be, pairs say nothing: these
partitions are counted.

Nearly all partitions are in sync, so whole columns are worked on, never pairs of brokers.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, combinations

from healthd.model.snapshot import NO_LEADER, ClusterSnapshot, Topic
from healthd.safety.acknowledgements import Acknowledgements
from healthd.safety.replication import assigned, in_sync, is_whole, serving_brokers

_BITS = bytes.maketrans(b"\0\1", b"01")
"""From a row of the matrix to the digits of a binary number."""

_Members = tuple[int, ...]
_Groups = dict[tuple[int, int], list[_Members]]
"""Members of the ISR of partitions, by how many of them can be spared and how many there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SparedPartition:
    """A partition that can spare only some of its brokers at a time."""

    name: str
    members: tuple[int, ...]
    """Its ISR, by rising id."""
    spare: int


# Without slots: what is counted is made when it is first asked for, and kept.
@dataclass(frozen=True, kw_only=True)
class Conflicts:
    """What keeps brokers from being down together; they are named by their position in `nodes`.

    A set of them may be down together exactly when no two are in each other's `pairs` and no
    partition has more than `spares[it]` of its `members[it]` in the set.
    """

    nodes: tuple[int, ...]
    pairs: tuple[int, ...]
    """For each broker the bitset of those that may not be down with it."""
    members: tuple[tuple[int, ...], ...]
    """For each partition with several to spare its brokers; others than `nodes` are left out."""
    spares: tuple[int, ...]
    """For each of these partitions how many of its brokers it can spare."""

    @cached_property
    def counted(self) -> tuple[tuple[int, ...], ...]:
        """For each broker the partitions with several to spare in whose ISR it is."""
        found: list[list[int]] = [[] for _ in self.nodes]
        for number, those in enumerate(self.members):
            for at in those:
                found[at].append(number)
        return tuple(map(tuple, found))

    @classmethod
    def of(
        cls, snapshot: ClusterSnapshot, nodes: Sequence[int], acknowledged: Acknowledgements
    ) -> "Conflicts":
        """The conflicts among brokers each of which may be stopped alone."""
        return cls._among(snapshot, nodes, _groups(snapshot, acknowledged))

    @classmethod
    def beside(
        cls,
        snapshot: ClusterSnapshot,
        nodes: Sequence[int],
        acknowledged: Acknowledgements,
        away: frozenset[int],
    ) -> "Conflicts":
        """The conflicts among those of the brokers that may be stopped beside others at all.

        Args:
            snapshot: what is known of the cluster.
            nodes: brokers that are neither down nor away.
            acknowledged: what a person accepts, and the margin.
            away: brokers that count as down, whether they are down already or not.
        """
        serving = serving_brokers(snapshot) - away
        groups, blocked = _groups_beside(snapshot, acknowledged, serving)
        return cls._among(snapshot, [node for node in nodes if node not in blocked], groups)

    @classmethod
    def _among(
        cls, snapshot: ClusterSnapshot, nodes: Sequence[int], groups: _Groups
    ) -> "Conflicts":
        position = dict.fromkeys(snapshot.brokers_by_id, len(nodes))
        position.update({node: at for at, node in enumerate(nodes)})
        members, spares = _counted_partitions(groups, position, len(nodes))
        return cls(
            nodes=tuple(nodes),
            pairs=_pairs(groups, position, len(nodes)),
            members=tuple(members),
            spares=tuple(spares),
        )


def spared_partitions(
    snapshot: ClusterSnapshot, acknowledged: Acknowledgements, *, spare: int
) -> Iterator[SparedPartition]:
    """Every partition that can spare exactly so many of its brokers, in the snapshot's order."""
    serving = serving_brokers(snapshot)
    for topic in snapshot.topics:
        for at in range(len(topic)):
            found = _standing(topic, at, serving, acknowledged)
            if found is not None and found[0] == spare:
                yield SparedPartition(
                    name=topic.label(at), members=tuple(sorted(found[1])), spare=spare
                )


def _groups(snapshot: ClusterSnapshot, acknowledged: Acknowledgements) -> _Groups:
    """The partitions that can spare some of their brokers and not all."""
    serving = serving_brokers(snapshot)
    groups: _Groups = {}
    for topic in snapshot.topics:
        if acknowledged.min_isr(topic) is None:
            continue  # Whoever has a replica there is blocked alone.
        if is_whole(topic, serving):
            _add_whole(groups, topic, acknowledged)
            continue
        for at in range(len(topic)):
            found = _standing(topic, at, serving, acknowledged)
            if found is not None:
                groups.setdefault((found[0], len(found[1])), []).append(found[1])
    return groups


def _groups_beside(
    snapshot: ClusterSnapshot, acknowledged: Acknowledgements, serving: frozenset[int]
) -> tuple[_Groups, frozenset[int]]:
    """The same when only these brokers serve, and whoever can be spared by no partition."""
    groups: _Groups = {}
    blocked: set[int] = set()
    for topic in snapshot.topics:
        if acknowledged.min_isr(topic) is None:
            blocked.update(chain.from_iterable(topic.replicas))
            continue
        if is_whole(topic, serving):
            _add_whole(groups, topic, acknowledged)
            blocked.update(_never_spared(topic, acknowledged))
            continue
        for at in range(len(topic)):
            members, spare = _left(topic, at, serving, acknowledged)
            if spare <= 0:
                blocked.update(members)
            elif spare < len(members):
                groups.setdefault((spare, len(members)), []).append(members)
    return groups, frozenset(blocked)


def _never_spared(topic: Topic, acknowledged: Acknowledgements) -> Iterator[int]:
    """The brokers of a topic in sync whose partitions can spare nobody."""
    for factor in set(map(len, topic.replicas)):
        if factor == 1 and acknowledged.allows_rf_one(topic):
            continue
        if _spare(topic, factor, factor, acknowledged) <= 0:
            yield from chain.from_iterable(row for row in topic.replicas if len(row) == factor)


def _left(
    topic: Topic, at: int, serving: frozenset[int], acknowledged: Acknowledgements
) -> tuple[_Members, int]:
    """Who is left in sync of a partition, and how many of them it can spare.

    Of one that asks nobody to stay all can be spared; of one without leader nobody who holds it.
    """
    replicas = topic.replicas[at]
    if topic.leaders[at] == NO_LEADER:
        return replicas, 0
    factor = len(replicas)
    if topic.isrs[at] is replicas and not topic.adding:
        members = tuple([node for node in replicas if node in serving])
    else:
        members = tuple(in_sync(topic, at, serving))
        factor = len(assigned(topic, at))
    if factor == 1 and acknowledged.allows_rf_one(topic):
        return members, len(members)
    return members, _spare(topic, factor, len(members), acknowledged)


def _add_whole(groups: _Groups, topic: Topic, acknowledged: Acknowledgements) -> None:
    """Add the partitions of a topic all of whose replicas are in sync."""
    factors = set(map(len, topic.replicas))
    for factor in factors:
        spare = _spare(topic, factor, factor, acknowledged)
        if not 0 < spare < factor:
            continue
        rows = groups.setdefault((spare, factor), [])
        if len(factors) == 1:
            rows.extend(topic.replicas)
        else:
            rows.extend(row for row in topic.replicas if len(row) == factor)


def _standing(
    topic: Topic, at: int, serving: frozenset[int], acknowledged: Acknowledgements
) -> tuple[int, _Members] | None:
    """How many of which brokers a partition can spare; None when it asks nothing of a set."""
    replicas = topic.replicas[at]
    if topic.leaders[at] == NO_LEADER:
        return None
    members: _Members = replicas
    factor = len(replicas)
    if topic.isrs[at] is not replicas or topic.adding or not serving.issuperset(replicas):
        members = tuple(in_sync(topic, at, serving))
        factor = len(assigned(topic, at))
    spare = _spare(topic, factor, len(members), acknowledged)
    return (spare, members) if 0 < spare < len(members) else None


def _spare(topic: Topic, factor: int, in_isr: int, acknowledged: Acknowledgements) -> int:
    """How many members of the ISR may go; below 1 when they are blocked alone, or RF is 1."""
    minimum = acknowledged.min_isr(topic)
    if minimum is None or factor <= 1:
        return 0
    if factor <= minimum:
        if not acknowledged.allows_rf_le_min_isr(topic):
            return 0
        minimum = factor - 1
    wanted = minimum + acknowledged.margin
    return in_isr - (wanted if factor > wanted else minimum)


def _pairs(groups: _Groups, position: Mapping[int, int], many: int) -> tuple[int, ...]:
    """For each broker the bitset of those with which it shares a partition that can spare one."""
    if not any(spare == 1 for spare, _ in groups):
        return (0,) * many
    # One row and column more than there are brokers: everybody else is collected there.
    matrix = [bytearray(many + 1) for _ in range(many + 1)]
    for (spare, factor), rows in groups.items():
        if spare != 1:
            continue
        flat = list(map(position.__getitem__, chain.from_iterable(rows)))
        columns = [flat[at::factor] for at in range(factor)]
        for first, second in combinations(columns, 2):
            for one, other in zip(first, second, strict=True):
                matrix[one][other] = 1
    whole = b"".join(matrix)
    return tuple(
        _bitset(matrix[at][:many]) | _bitset(whole[at : -1 - many : many + 1]) for at in range(many)
    )


def _bitset(row: bytes | bytearray) -> int:
    """The number whose bit n is set where the row has a 1 at n."""
    return int(row[::-1].translate(_BITS) or b"0", 2)


def _counted_partitions(
    groups: _Groups, position: Mapping[int, int], many: int
) -> tuple[list[_Members], list[int]]:
    """Partitions with several to spare that brokers of ours could exceed, and how many."""
    members: list[_Members] = []
    spares: list[int] = []
    for (spare, factor), rows in groups.items():
        if spare == 1:
            continue
        # Partitions on the same brokers ask the same.
        flat = map(position.__getitem__, chain.from_iterable(dict.fromkeys(rows)))
        found = list(zip(*[flat] * factor, strict=True))
        if many in position.values():
            ours = (tuple([at for at in row if at != many]) for row in found)
            found = [row for row in ours if len(row) > spare]
        members += found
        spares += [spare] * len(found)
    return members, spares
