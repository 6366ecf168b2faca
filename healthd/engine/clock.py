"""Time as the engine reads it; tests bring their own."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Monotonic seconds for every duration and deadline, wall seconds only for records."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
