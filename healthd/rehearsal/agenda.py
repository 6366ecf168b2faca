"""Virtual time: what is to happen when."""

import heapq
import itertools
from collections.abc import Callable


class Agenda:
    """What is to happen when; what is due at the same time happens in the order of its planning."""

    def __init__(self) -> None:
        self.now = 0.0
        self._order = itertools.count()
        self._planned: list[tuple[float, int, Callable[[], object]]] = []

    def after(self, seconds: float, act: Callable[[], object]) -> None:
        """Plan something."""
        self.at(self.now + seconds, act)

    def at(self, time: float, act: Callable[[], object]) -> None:
        """Plan something for a time; one that has passed is now."""
        heapq.heappush(self._planned, (max(time, self.now), next(self._order), act))

    def run_until(self, until: float, *, is_over: Callable[[], bool] = lambda: False) -> None:
        """Let time pass and everything planned happen, until then or until it is over."""
        while self._planned and self._planned[0][0] <= until and not is_over():
            at, _, act = heapq.heappop(self._planned)
            self.now = max(self.now, at)
            act()
        if not is_over():
            self.now = max(self.now, until)
