"""`healthd run` that dies by SIGKILL at one write of a wave, right before or after its commit.

Run as a program: `dying_daemon.py MOMENT WRITE COUNT_FILE run --options`. It is the real daemon
with a counter around two methods of its store; nothing in healthd knows of it. Writes are counted
from the acceptance of a wave by this process, which is the first; `any` counts those of waves that
it takes up as well. Each write is told in the file, so that a test knows how many a wave has.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from healthd.cli.app import cli
from healthd.cli.wave_text import ENDED
from healthd.demo.daemon import DaemonProcess
from healthd.store.records import AuditRecord, JournalStep, WaveRecord
from healthd.store.sqlite import SqliteStore

T = TypeVar("T")


class Moment(StrEnum):
    """When the daemon dies, seen from one write."""

    BEFORE = "before"
    AFTER = "after"
    BEFORE_ANY = "before-any"
    """Counted from the start of the process, waves that it takes up included."""
    AFTER_ANY = "after-any"
    NEVER = "never"

    @property
    def is_before(self) -> bool:
        """Whether the write is never made."""
        return self in {Moment.BEFORE, Moment.BEFORE_ANY}

    @property
    def counts_all(self) -> bool:
        """Whether also writes of waves of earlier processes count."""
        return self in {Moment.BEFORE_ANY, Moment.AFTER_ANY}


class DyingDaemon(DaemonProcess):
    """A daemon whose next life ends at a write of a wave."""

    def dies(self, moment: Moment, write: int = 0) -> None:
        """Say when it is to die, from its next start on."""
        self.count_file.write_text("", "ascii")
        script = [sys.executable, __file__, moment.value, str(write), str(self.count_file)]
        self.program = tuple(script)

    def lives_through(self, wave: str | None, *, seconds: float = 600) -> bool:
        """Whether a wave ends before this life does; without a wave the death is waited for."""
        deadline = time.monotonic() + seconds
        while self.exit_code is None:
            assert time.monotonic() < deadline, self.last_log_lines(40)
            try:
                if wave is not None and self.get(f"/api/v1/waves/{wave}")["status"] in ENDED:
                    return True
            except OSError:
                continue  # It is dying.
            time.sleep(0.05)
        assert self.exit_code == -signal.SIGKILL, self.last_log_lines(40)
        return False

    @property
    def count_file(self) -> Path:
        """Where its writes are told."""
        return self.folder / "writes"

    @property
    def writes(self) -> list[str]:
        """The writes since `dies` was said, each with the wave's state."""
        return self.count_file.read_text("ascii").splitlines()


class _Counter:
    """Counts writes of waves, and ends the process at one of them."""

    def __init__(self, moment: Moment, write: int, told: Path) -> None:
        self._moment = moment
        self._write = write
        self._told = told
        self._count = 0
        self._waves: set[str] = set()

    def around(self, wave: str, status: str, work: Callable[[], T], *, is_new: bool) -> T:
        """The result of a write, if the process lives to see it."""
        if is_new:
            self._waves.add(wave)
        if wave not in self._waves and not self._moment.counts_all:
            return work()
        self._count += 1
        is_last = self._count == self._write and self._moment is not Moment.NEVER
        with self._told.open("a", encoding="ascii") as file:
            file.write(f"{self._count} {wave} {status}\n")
        if is_last and self._moment.is_before:
            _die()
        done = work()
        if is_last:
            _die()
        return done


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _count_writes(counter: _Counter) -> None:
    """Have every write of a wave in this process counted."""
    create, append = SqliteStore.create_wave, SqliteStore.append

    def create_wave(
        self: SqliteStore, record: WaveRecord, *, audit: tuple[AuditRecord, ...] = ()
    ) -> None:
        counter.around(
            record.id, record.status, lambda: create(self, record, audit=audit), is_new=True
        )

    def append_step(self: SqliteStore, step: JournalStep) -> int:
        return counter.around(step.wave_id, step.status, lambda: append(self, step), is_new=False)

    SqliteStore.create_wave = create_wave  # type: ignore[method-assign]
    SqliteStore.append = append_step  # type: ignore[method-assign]


def main() -> None:
    """Run the daemon until it dies."""
    moment, write, told, *arguments = sys.argv[1:]
    _count_writes(_Counter(Moment(moment), int(write), Path(told)))
    sys.argv = ["healthd", *arguments]
    cli()


if __name__ == "__main__":
    main()
