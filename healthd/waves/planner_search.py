"""Whether plain brokers fit into so many steps: found, proven impossible, or given up.

The search puts the broker with the fewest steps left to it into each of them in turn, and goes back
when somebody has none left (DSATUR, Brélaz 1979, on partitions that are counted as well). It ends
after a fixed amount of work, so that the same snapshot has the same plan on every machine.
"""

from dataclasses import dataclass
from typing import Final

from healthd.waves.planner_packing import Packing, bitset, positions
from healthd.waves.planner_spare import Conflicts

_WORK: Final = 6_000
"""Brokers that are put into steps, at most: a tenth of a second."""
_COUNTED_PER_WORK: Final = 50
"""So many partitions that are counted cost as much as putting a broker into a step."""
_LOOK_AT: Final = 32
"""Brokers that are compared before one is chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a search has found."""

    packing: Packing | None = None
    """The steps, when the brokers fit."""
    is_impossible: bool = False
    """Every way was tried, or was like one that was tried."""


@dataclass(slots=True, kw_only=True)
class _Choice:
    """A broker, where it is, and where it was not tried yet."""

    at: int
    others: list[int]
    step: int = -1
    forbidden_before: int = 0


def fit(conflicts: Conflicts, many: int) -> Outcome:
    """Whether the brokers fit into so many steps, as far as a fixed amount of work tells."""
    return _Search(conflicts, many).run()


class _Search:
    """A search whose state is one set of steps that are partly filled."""

    def __init__(self, conflicts: Conflicts, many: int) -> None:
        self._conflicts = conflicts
        self._forbidden = [0] * many
        self._left = [list(conflicts.spares) for _ in range(many)]
        self._sizes = [0] * many
        self._waiting = (1 << len(conflicts.nodes)) - 1
        self._chosen: list[_Choice] = []
        self._work = _WORK

    def run(self) -> Outcome:
        """The outcome."""
        while self._waiting:
            choice = self._next_choice()
            if choice is not None:
                self._chosen.append(choice)
            if not self._advance():
                return Outcome(is_impossible=True)
            if self._work <= 0:
                return Outcome()
        steps: Packing = [[] for _ in self._sizes]
        for done in self._chosen:
            steps[done.step].append(done.at)
        return Outcome(packing=[step for step in steps if step])

    def _next_choice(self) -> _Choice | None:
        """The broker with the fewest steps left to it; None when somebody has none."""
        # Empty steps are all alike: the first of them stands for the others.
        steps = [at for at, size in enumerate(self._sizes) if size]
        steps += [at for at, size in enumerate(self._sizes) if not size][:1]
        fewest = self._with_fewest(steps)
        if not fewest:
            return None
        at = self._most_entangled(fewest)
        others = [step for step in steps if not self._forbidden[step] >> at & 1]
        return _Choice(at=at, others=others)

    def _with_fewest(self, steps: list[int]) -> int:
        """Those waiting who are left the fewest of these steps; nobody when one is left none."""
        at_least = [self._waiting, *(0 for _ in steps)]
        for step in steps:
            open_to = self._waiting & ~self._forbidden[step]
            for level in range(len(steps), 0, -1):
                at_least[level] |= at_least[level - 1] & open_to
        if at_least[0] != at_least[1]:
            return 0
        exactly = (at_least[level] & ~at_least[level + 1] for level in range(1, len(steps)))
        return next((found for found in exactly if found), at_least[-1])

    def _most_entangled(self, members: int) -> int:
        best, most = -1, -1
        for looked, at in enumerate(positions(members)):
            many = (self._conflicts.pairs[at] & self._waiting).bit_count()
            many += len(self._conflicts.counted[at])
            if many > most:
                best, most = at, many
            if looked == _LOOK_AT:
                break
        return best

    def _advance(self) -> bool:
        """Whether the latest broker that could be put elsewhere was put there."""
        while self._chosen:
            choice = self._chosen[-1]
            if choice.step >= 0:
                self._take_back(choice)
            if choice.others:
                self._put(choice, choice.others.pop(0))
                return True
            self._chosen.pop()
        return False

    def _put(self, choice: _Choice, step: int) -> None:
        conflicts, left = self._conflicts, self._left[step]
        choice.step, choice.forbidden_before = step, self._forbidden[step]
        shut_out: set[int] = set()
        for number in conflicts.counted[choice.at]:
            left[number] -= 1
            if not left[number]:
                shut_out.update(conflicts.members[number])
        self._forbidden[step] |= conflicts.pairs[choice.at] | bitset(shut_out)
        self._sizes[step] += 1
        self._waiting &= ~(1 << choice.at)
        self._work -= 1 + len(conflicts.counted[choice.at]) // _COUNTED_PER_WORK

    def _take_back(self, choice: _Choice) -> None:
        left = self._left[choice.step]
        for number in self._conflicts.counted[choice.at]:
            left[number] += 1
        self._forbidden[choice.step] = choice.forbidden_before
        self._sizes[choice.step] -= 1
        self._waiting |= 1 << choice.at
        choice.step = -1
