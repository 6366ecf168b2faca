"""Places for open connections: so many and no more, and few of them for hosts that hang."""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

_TIMES_ASIDE: Final = 4
"""Each of these is a thread as well, while its host takes its time with the login: hundreds of
hosts that hang there at the same time are more than a network does by itself."""


@dataclass(order=True, slots=True, kw_only=True)
class _Waiting:
    """Somebody who waits; those whose host has hung come after all others."""

    is_suspect: bool
    number: int
    turn: asyncio.Future[None] = field(compare=False)


class Places:
    """A bounded number of places, given out in the order of asking.

    Hosts that have hung at their last attempt (suspects) wait until nobody else does, and take a
    quarter of the places at most: however many of them there are, the others find room.

    Who is slow with a place that it has got is set aside, while others may go on.

    Args:
        size: How many places there are.
        make_room: Called when somebody has to wait; may give a place back.
    """

    def __init__(self, size: int, make_room: Callable[[], None]) -> None:
        self._size = size
        self._make_room = make_room
        self._most_suspects = max(size // 4, 1)
        self._taken = 0
        self._suspects = 0
        self._aside = 0
        self._numbers = itertools.count()
        self._waiting: list[_Waiting] = []

    @property
    def is_wanted(self) -> bool:
        """Whether somebody would take a place if one were given back."""
        return any(self._may(one) and not one.turn.done() for one in self._waiting)

    async def take(self, *, is_suspect: bool, comes_back: bool = False) -> None:
        """Return with a place, which has to be given back; who was set aside comes first."""
        turn = asyncio.get_running_loop().create_future()
        number = next(self._numbers)
        waiting = _Waiting(is_suspect=is_suspect, number=-1 if comes_back else number, turn=turn)
        self._waiting.append(waiting)
        self._hand_out()
        if not turn.done():
            self._make_room()
        try:
            await turn
        except asyncio.CancelledError:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            else:
                self.give_back(is_suspect=is_suspect)
            raise

    def give_back(self, *, is_suspect: bool) -> None:
        """A place is free again; say what was said when it was taken."""
        self._taken -= 1
        self._suspects -= is_suspect
        self._hand_out()

    def set_aside(self, *, is_suspect: bool) -> bool:
        """Give a place back, and stay beside: for one that has got it and then goes slowly.

        There is room beside for a few times as many as there are places; False when it is taken.
        """
        if self._aside >= _TIMES_ASIDE * self._size:
            return False
        self._aside += 1
        self.give_back(is_suspect=is_suspect)
        return True

    def leave_aside(self) -> None:
        """The room beside is not needed any more."""
        self._aside -= 1

    def _may(self, one: _Waiting) -> bool:
        return not one.is_suspect or self._suspects < self._most_suspects

    def _hand_out(self) -> None:
        for one in sorted(self._waiting):
            if self._taken < self._size and self._may(one) and not one.turn.done():
                self._waiting.remove(one)
                self._taken += 1
                self._suspects += one.is_suspect
                one.turn.set_result(None)
