"""What stays is set aside from the search for garbage, once it is there."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import weakref

from healthd.engine.tidying import Tidier, tidy

_IN_A_PROCESS_OF_ITS_OWN = """
import gc
from healthd.engine.tidying import tidy
gc.collect()
before = len(gc.get_objects())
tidy()
assert gc.get_freeze_count() > 0.9 * before, (gc.get_freeze_count(), before)
assert len(gc.get_objects()) < 0.1 * before
"""


class Ring:
    """Garbage that only a search finds."""

    def __init__(self) -> None:
        self.itself = self


def test_what_stays_is_set_aside() -> None:
    subprocess.run([sys.executable, "-c", _IN_A_PROCESS_OF_ITS_OWN], check=True)


def test_what_has_become_garbage_while_it_was_set_aside_is_found_the_next_time() -> None:
    ring = Ring()
    seen = weakref.ref(ring)
    try:
        tidy()
        del ring
        gc.collect()
        assert seen() is not None
        tidy()
        assert seen() is None
    finally:
        gc.unfreeze()


async def test_it_begins_when_everything_is_there_and_goes_on() -> None:
    ready, done, twice = [False, False, True], [0], asyncio.Event()

    def is_ready() -> bool:
        assert done[0] == 0
        return ready.pop(0)

    def work() -> None:
        assert not ready
        done[0] += 1
        if done[0] == 2:
            twice.set()

    tidier = Tidier(is_ready, work=work, seconds=0, ready_seconds=0)
    tidier.start()
    await twice.wait()
    await tidier.close()
