"""Rehearse seeded schedules of faults at random, and keep what breaks a promise.

`make adversary N=10000 [SEED=0] [PART=i/n]`: two processes by default, the rate every few seconds,
the total at the end, exit code 1 when anything was found. What is found is made as small as it
gets, and written as a rehearsal file to tests/rehearsals/found/, where it stays as a test.
"""

import argparse
import gc
import multiprocessing
import sys
import time
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.rehearsing import keep, tried

FOUND = Path(__file__).parents[1] / "rehearsals" / "found"
CHUNK = 20
"""Schedules that a process takes at a time."""
TOLD_EVERY = 10.0
SELDOM = 100_000
"""Objects that are made before cycles among the youngest are looked for."""
MOST_KEPT = 10
"""After so many findings it is time to look at them."""


def main() -> int:
    """The exit code of one hunt."""
    asked = _arguments()
    seeds = [
        seed for seed in range(asked.seed, asked.seed + asked.schedules) if _is_mine(seed, asked)
    ]
    chunks = [seeds[at : at + CHUNK] for at in range(0, len(seeds), CHUNK)]
    began, done, found = time.monotonic(), 0, 0
    told = began
    with multiprocessing.Pool(asked.processes, initializer=_begin) as pool:
        for many, broken in pool.imap_unordered(hunted, chunks):
            done += many
            for seed, words in broken:
                found += 1
                print(f"seed {seed}: {'; '.join(words)}", flush=True)
                if found <= MOST_KEPT:
                    print(f"  kept as {keep(seed, FOUND)}", flush=True)
            now = time.monotonic()
            if now - told >= TOLD_EVERY:
                told = now
                _tell(done, len(seeds), found, now - began)
    _tell(done, len(seeds), found, time.monotonic() - began)
    return 1 if found else 0


def _begin() -> None:
    """Look for cycles seldom: a schedule leaves few behind, and looking takes a twelfth of it."""
    gc.freeze()
    gc.set_threshold(SELDOM)


def hunted(seeds: Iterable[int]) -> tuple[int, list[tuple[int, list[str]]]]:
    """How many schedules were tried, and those that broke something."""
    rows = [(seed, tried(seed)) for seed in seeds]
    return len(rows), [(seed, words) for seed, words in rows if words]


def _tell(done: int, of: int, found: int, seconds: float) -> None:
    rate = done / seconds if seconds else 0.0
    print(
        f"{done} of {of} schedules in {seconds:.0f} s ({rate:.1f} a second),"
        f" {found} broke something",
        flush=True,
    )


def _is_mine(seed: int, asked: argparse.Namespace) -> bool:
    number, parts = asked.part
    return bool(seed % parts == number - 1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("schedules", type=int, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--part", type=_part, default=(1, 1), help="i/n: every n-th of them")
    parser.add_argument("--processes", type=int, default=2)
    return parser.parse_args()


def _part(text: str) -> tuple[int, int]:
    number, _, parts = text.partition("/")
    if not (number.isdecimal() and parts.isdecimal() and 1 <= int(number) <= int(parts)):
        raise argparse.ArgumentTypeError(f"a part looks like 1/4, not {text!r}")
    return int(number), int(parts)


if __name__ == "__main__":
    sys.exit(main())
