"""The owner's side of the guardian: processes that end when this process ends, however it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from healthd.demo import guardian


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One program to run in the foreground, and the file that gets what it says."""

    argv: Sequence[str]
    log: Path


class GuardedProcesses:
    """Running programs that all end with ``close`` or with the process that started them.

    Their children and grandchildren end too, also those that became daemons. What is mounted for
    them is unmounted then.
    """

    def __init__(
        self,
        commands: Sequence[Command],
        folder: Path,
        *,
        remove_folder: bool,
        mounts: Sequence[Path] = (),
    ) -> None:
        self._folder = folder
        self._mounts = [str(mount) for mount in mounts]
        spec = {
            "commands": [{"argv": list(it.argv), "log": str(it.log)} for it in commands],
            "mounts": self._mounts,
            "remove": str(folder) if remove_folder else "",
        }
        spec_file = folder / "guardian.json"
        spec_file.write_text(json.dumps(spec), encoding="utf-8")
        with (folder / "guardian.log").open("wb") as log:
            self._guardian = subprocess.Popen(
                [sys.executable, "-I", "-S", str(guardian.__file__), str(spec_file)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                # Out of reach of Ctrl-C in our terminal: it has to outlive us to clean up.
                start_new_session=True,
            )
        assert self._guardian.stdout is not None
        self._guardian.stdout.readline()

    @property
    def process_id(self) -> int:
        """The guardian's own process id."""
        return self._guardian.pid

    def close(self) -> None:
        """No process is left; can be called again."""
        for pipe in (self._guardian.stdin, self._guardian.stdout):
            assert pipe is not None
            pipe.close()
        if self._guardian.wait(guardian.ENDING_SECONDS + 10) != 0:
            # The guardian itself was killed: what it started is found by where it works.
            guardian.end_all(guardian.processes_of(self._folder))
            guardian.unmount_all(self._mounts)
