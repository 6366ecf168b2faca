"""How few steps brokers can be taken in, and how few are needed at least.

Brokers are positions in `Conflicts.nodes`, sets of them are integers with a bit for each.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, combinations
from typing import Final

from healthd.waves.planner_spare import Conflicts

Packing = list[list[int]]
"""Steps of positions; each position is in one."""

_STARTS: Final = 4
"""From how many partitions a crowd is grown; the largest counts."""
_ENOUGH_ADDED: Final = 2_000
"""Brokers that are put into cliques before the search for a larger one ends."""
_LOOK_AT: Final = 64
"""Candidates that are compared before one is added to a clique: it bounds the work."""
_MOST_SUBSETS: Final = 2_000
"""Where so many parts of a crowd would have to be asked, it is large enough."""


class Together:
    """A set of brokers that are down together, and who may not join them any more."""

    def __init__(self, conflicts: Conflicts) -> None:
        self._conflicts = conflicts
        self._left: list[int] = []
        """For each partition that is counted how many more it can spare; made when it is needed."""
        self._shut_out: set[int] = set()
        self.forbidden = 0
        """The bitset of brokers that may not be added; those that are in it may be among them."""

    def add(self, at: int) -> None:
        """Add one broker."""
        conflicts = self._conflicts
        self.forbidden |= conflicts.pairs[at]
        if conflicts.counted[at]:
            self._left = self._left or list(conflicts.spares)
            self._count(conflicts.counted[at])

    def _count(self, numbers: Iterable[int]) -> None:
        """Count one broker less in these partitions, and shut out the others where none is left."""
        left, members = self._left, self._conflicts.members
        reached: set[int] = set()
        for number in numbers:
            now = left[number] = left[number] - 1
            if not now:
                reached.update(members[number])
        # Shifting bits for every partition would cost more than all the rest.
        self.forbidden |= bitset(reached - self._shut_out)
        self._shut_out |= reached

    def allows(self, at: int) -> bool:
        """Whether a broker that is not among them may join."""
        return not self.forbidden >> at & 1


def racks_together(
    conflicts: Conflicts, racks: Sequence[Sequence[int]], many: int
) -> Packing | None:
    """The racks in so many steps of neighbours, where no partition loses too many by that.

    With rack-aware placement nothing else needs to be looked for, and one look at each partition
    tells.
    """
    if not 0 < many <= len(racks):
        return None
    steps: Packing = [[] for _ in range(many)]
    for number, rack in enumerate(racks):
        steps[number * many // len(racks)] += rack
    return steps if _may_go(conflicts, steps) else None


def _may_go(conflicts: Conflicts, steps: Packing) -> bool:
    """Whether every step may be down together."""
    step_of = [0] * len(conflicts.nodes)
    for number, step in enumerate(steps):
        members = bitset(step)
        if any(conflicts.pairs[at] & members for at in step):
            return False
        for at in step:
            step_of[at] = number
    shapes = set(zip(map(len, conflicts.members), conflicts.spares, strict=True))
    for size, spare in shapes:
        rows: Iterable[Sequence[int]] = conflicts.members
        if len(shapes) > 1:
            both = zip(conflicts.members, conflicts.spares, strict=True)
            rows = (row for row, can in both if can == spare and len(row) == size)
        # Of 400,000 partitions only few differ in the steps of their members.
        flat = map(step_of.__getitem__, chain.from_iterable(rows))
        for found in set(zip(*[flat] * size, strict=True)):
            if max(map(found.count, found)) > spare:
                return False
    return True


def packed(
    conflicts: Conflicts, orders: Iterable[Sequence[int]], limit: int | None, enough: int
) -> Packing:
    """The fewest steps that were found; no set in it is unsafe and none larger than the limit.

    Args:
        conflicts: who may not be down together.
        orders: positions in orders that are worth trying, the one that people expect first.
        limit: brokers in one step at most; None: as many as is safe.
        enough: a number of steps below which nobody can get; the search ends there.
    """
    best: Packing | None = None
    for found in _packings(conflicts, orders, limit):
        if best is None or len(found) < len(best):
            best = found
        if len(best) <= enough:
            break
    return best or []


def _packings(
    conflicts: Conflicts, orders: Iterable[Sequence[int]], limit: int | None
) -> Iterator[Packing]:
    """Every way that is tried, made when it is asked for."""
    for order in orders:
        yield _first_fit(conflicts, order, limit)
    yield _crowded_first(conflicts, limit)


def _first_fit(conflicts: Conflicts, order: Sequence[int], limit: int | None) -> Packing:
    """Steps that each take, in this order, everybody who may still join."""
    steps: Packing = []
    left = list(order)
    remaining = bitset(left)
    while left:
        together = Together(conflicts)
        step: list[int] = []
        rest: list[int] = []
        for looked, at in enumerate(left, start=1):
            if not together.allows(at):
                rest.append(at)
                continue
            together.add(at)
            step.append(at)
            remaining &= ~(1 << at)
            if len(step) == limit or not remaining & ~together.forbidden:
                rest += left[looked:]
                break
        steps.append(step)
        left = rest
    return steps


def _crowded_first(conflicts: Conflicts, limit: int | None) -> Packing:
    """Steps that each grow by whoever has most in common with those that are shut out already.

    This is recursive-largest-first (Leighton 1979): it leaves fewer conflicts for later steps.
    """
    pairs = conflicts.pairs
    steps: Packing = []
    left = (1 << len(pairs)) - 1
    while left:
        together = Together(conflicts)
        step: list[int] = []
        fitting = left
        while fitting and len(step) != limit:
            out = together.forbidden & left if step else left
            at = max(positions(fitting), key=lambda one: ((pairs[one] & out).bit_count(), -one))
            together.add(at)
            step.append(at)
            left &= ~(1 << at)
            fitting = left & ~together.forbidden
        steps.append(step)
    return steps


def fewest_steps(conflicts: Conflicts) -> int:
    """A number of steps that every plan for these brokers has at least; 0 for nobody.

    It is proven by brokers no two of which may be down together, and by partitions of which no
    step can take more brokers than they can spare.
    """
    if not conflicts.nodes:
        return 0
    counted = zip(conflicts.members, conflicts.spares, strict=True)
    shapes = {(len(members), spare) for members, spare in counted}
    by_partition = (-(-many // spare) for many, spare in shapes)
    return max(_largest_clique(conflicts.pairs), *by_partition, 1)


def fewest_steps_of_crowds(conflicts: Conflicts) -> int:
    """The same, proven by brokers around one partition; 0 where none can spare several.

    They are a crowd: no s + 1 of them may be down together, so every step takes s at most.
    """
    spares = sorted(set(conflicts.spares))
    return max((-(-_largest_crowd(conflicts, spare) // spare) for spare in spares), default=0)


def _largest_clique(pairs: Sequence[int]) -> int:
    """The size of the largest set found of which no two may be down together.

    It is grown from one broker after the other, those with most conflicts first.
    """
    by_degree = sorted(range(len(pairs)), key=lambda at: (-pairs[at].bit_count(), at))
    best = added = 0
    for start in by_degree:
        size, candidates = 1, pairs[start]
        while candidates:
            candidates &= pairs[_best_connected(pairs, candidates)]
            size += 1
        best = max(best, size)
        added += size
        if best == len(pairs) or added > _ENOUGH_ADDED:
            break
    return best


def _best_connected(pairs: Sequence[int], candidates: int) -> int:
    """The candidate that leaves most other candidates, among the first."""
    best, most = -1, -1
    for looked, at in enumerate(positions(candidates)):
        left = (pairs[at] & candidates).bit_count()
        if left > most:
            best, most = at, left
        if looked == _LOOK_AT:
            break
    return best


def _largest_crowd(conflicts: Conflicts, spare: int) -> int:
    """The size of the largest set found of which no `spare` + 1 may be down together."""
    starts = [at for at, found in enumerate(conflicts.spares) if found == spare]
    return max(_grown(conflicts, conflicts.members[at], spare) for at in _spread(starts))


def _grown(conflicts: Conflicts, members: Sequence[int], spare: int) -> int:
    """How many brokers can be put around those of one partition so that it stays a crowd."""
    crowd = list(members)
    candidates = (1 << len(conflicts.nodes)) - 1
    for part in combinations(crowd, spare):
        candidates &= _shut_out(conflicts, part)
    candidates &= ~bitset(crowd)
    while candidates:
        at = (candidates & -candidates).bit_length() - 1
        candidates &= ~(1 << at)
        for number, part in enumerate(combinations(crowd, spare - 1)):
            candidates &= _shut_out(conflicts, (*part, at))
            if number == _MOST_SUBSETS:
                return len(crowd)
        crowd.append(at)
    return len(crowd)


def _shut_out(conflicts: Conflicts, part: Sequence[int]) -> int:
    """Who may not be down together with these; everybody when they may not be down themselves."""
    together = Together(conflicts)
    for at in part:
        if not together.allows(at):
            return -1
        together.add(at)
    return together.forbidden


def _spread(items: Sequence[int]) -> Sequence[int]:
    """Some of the items: the first, and others at equal distances."""
    return items[:: -(-len(items) // _STARTS) or 1]


def bitset(members: Iterable[int]) -> int:
    """The number with a bit set for each position."""
    found = 0
    for at in members:
        found |= 1 << at
    return found


def positions(members: int) -> Iterator[int]:
    """The positions whose bits are set, rising."""
    while members:
        lowest = members & -members
        yield lowest.bit_length() - 1
        members ^= lowest
