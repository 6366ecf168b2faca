"""Virtual time: what is to happen when."""

import heapq
import itertools
from collections.abc import Callable
from math import inf

_Planned = tuple[float, int, Callable[[], object], bool, bool]


class Agenda:
    """What is to happen when; what is due at the same time happens in the order of its planning.

    What comes back every few seconds is *recurring*. Where it alone is left, and would change
    nothing, time may leap: then it comes back later, in the same rhythm. What is a *look* is due
    like anything else, and changes nothing that there is to see.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.until = 0.0
        """Until when time is to pass."""
        self.happened = 0
        """Counts what has happened and was neither recurring nor a look."""
        self._order = itertools.count()
        self._planned: list[_Planned] = []

    def after(
        self,
        seconds: float,
        act: Callable[[], object],
        *,
        is_recurring: bool = False,
        is_look: bool = False,
    ) -> None:
        """Plan something."""
        self.at(self.now + seconds, act, is_recurring=is_recurring, is_look=is_look)

    def at(
        self,
        time: float,
        act: Callable[[], object],
        *,
        is_recurring: bool = False,
        is_look: bool = False,
    ) -> None:
        """Plan something for a time; one that has passed is now."""
        due, is_change = max(time, self.now), not (is_recurring or is_look)
        heapq.heappush(self._planned, (due, next(self._order), act, is_recurring, is_change))

    def next_event(self) -> float:
        """When something is due that does not just come back; infinite when nothing is."""
        return min((due for due, _, _, recurring, _ in self._planned if not recurring), default=inf)

    def leap(self, seconds: float) -> None:
        """Let time pass without what comes back in it."""
        self.now += seconds
        self._planned = [
            (due + seconds * recurring, order, act, recurring, is_change)
            for due, order, act, recurring, is_change in self._planned
        ]
        heapq.heapify(self._planned)

    def run_until(self, until: float, *, is_over: Callable[[], bool] = lambda: False) -> None:
        """Let time pass and everything planned happen, until then or until it is over."""
        self.until = until
        while self._planned and self._planned[0][0] <= until and not is_over():
            due, _, act, _, is_change = heapq.heappop(self._planned)
            self.now = max(self.now, due)
            self.happened += is_change
            act()
        if not is_over():
            self.now = max(self.now, until)
