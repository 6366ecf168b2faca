"""A step that runs a local ansible-playbook, limited to the one host.

Everything that Ansible is told about host and variables stands in a file of mode 0600 that is gone
when it has ended; its command line names that file, the playbook and the host.
"""

import asyncio
import json
import os
import shutil
import signal
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from healthd.engine.printed import KeyLines, OnLines, nothing_is_shown
from healthd.engine.step_host import StepEnds
from healthd.engine.step_job import StepJob
from healthd.engine.step_sources import Sources
from healthd.engine.subprocesses import let_go
from healthd.execute.protocol import Target
from healthd.execute.redact import redact
from healthd.waves.events import Outcome
from healthd.waves.playbook_steps import AnsibleAction

PROGRAM: Final = "ansible-playbook"
_PREFIX: Final = "healthd-ansible-"
"""Of the private folders; the id of whose process they are comes next."""
_LINES: Final = 15
_CHARACTERS: Final = 1_500
_LINE_BYTES: Final = 65_536
_GRACE_SECONDS: Final = 5.0
_KEPT_NAMES: Final = ("PATH", "HOME", "LANG", "SSH_AUTH_SOCK", "TMPDIR")
"""What it inherits; a secret in the environment of healthd is not among it."""
_ENVIRONMENT: Final = {
    "ANSIBLE_HOST_KEY_CHECKING": "True",
    "ANSIBLE_FORCE_COLOR": "0",
    "ANSIBLE_NOCOWS": "1",
    "ANSIBLE_RETRY_FILES_ENABLED": "0",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsibleRun:
    """One run of ansible-playbook for one node."""

    action: AnsibleAction
    job: StepJob
    target: Target
    secrets: tuple[str, ...]
    on_lines: OnLines = nothing_is_shown
    """Hears what it prints while it runs."""

    async def run(self) -> tuple[Outcome, str]:
        """Run it to its end, or to the end of its time."""
        name = self.action.ansible_playbook
        await Sources(playbook=self.job.playbook).file(name)
        playbook = Path(self.job.playbook.folder) / name
        program = await asyncio.to_thread(shutil.which, PROGRAM)
        if program is None:
            detail = f"{PROGRAM} is not installed where healthd runs"
            raise StepEnds(Outcome.FAILED, detail)
        variables = await self._variables()
        with _private_file(json.dumps(variables)) as file:
            return await self._carried_out((program, *self._words(playbook, file)))

    def _words(self, playbook: Path, file: Path) -> tuple[str, ...]:
        host = self.target.address
        become = ("--become",) if self.action.become else ()
        # The comma makes it a list of hosts and no file.
        return (
            *("--inventory", f"{host},", "--limit", host),
            *("--extra-vars", f"@{file}", *become, str(playbook)),
        )

    async def _variables(self) -> dict[str, object]:
        known = self.target.known_hosts_file
        return {
            **await self.job.values.all_secrets(),
            **dict(self.action.extra_vars),
            "ansible_port": self.target.port,
            "ansible_user": self.target.user,
            "ansible_ssh_private_key_file": str(self.target.key_file),
            "ansible_ssh_common_args": (
                f"-o UserKnownHostsFile={known} -o StrictHostKeyChecking=yes -o BatchMode=yes"
            ),
        }

    async def _carried_out(self, words: tuple[str, ...]) -> tuple[Outcome, str]:
        try:
            process = await asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
                env=_environment(os.environ),
                limit=_LINE_BYTES,
            )
        except OSError as error:
            detail = f"{PROGRAM} cannot be run: {error.strerror or error}"
            raise StepEnds(Outcome.FAILED, detail) from None
        last: deque[str] = deque(maxlen=_LINES)
        try:
            async with asyncio.timeout(max(0.1, self.job.seconds_left())):
                assert process.stdout is not None
                await _read(process.stdout, self._heard(last))
                code = await process.wait()
        except TimeoutError:
            return Outcome.UNKNOWN, self._told("it was ended: its time was up", last)
        finally:
            try:
                await _end(process)
            finally:
                let_go(process)
        outcome = Outcome.OK if code == 0 else Outcome.FAILED
        return outcome, self._told(f"{PROGRAM} ended with exit code {code}", last)

    def _heard(self, last: deque[str]) -> OnLines:
        keys = KeyLines()

        def heard(lines: Sequence[str]) -> None:
            plain = keys.struck(lines)
            last.extend(plain)
            self.on_lines([redact(line, self.secrets) for line in plain])

        return heard

    def _told(self, how: str, last: deque[str]) -> str:
        said = redact("\n".join(last), self.secrets)[-_CHARACTERS:]
        return f"{how}\n{said}" if said else how


async def _read(stream: asyncio.StreamReader, heard: OnLines) -> None:
    """Read to the end, and tell every line; of an endless line its last piece."""
    rest = b""
    while piece := await stream.read(_LINE_BYTES):
        *lines, rest = (rest + piece)[-2 * _LINE_BYTES :].split(b"\n")
        heard([line.decode(errors="replace") for line in lines if line.strip()])
    if rest.strip():
        heard([rest.decode(errors="replace")])


async def _end(process: asyncio.subprocess.Process) -> None:
    """Nothing of it runs any more."""
    for sign, seconds in ((signal.SIGTERM, _GRACE_SECONDS), (signal.SIGKILL, _GRACE_SECONDS)):
        if process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), seconds)


@contextmanager
def _private_file(text: str) -> Iterator[Path]:
    """A file that nobody else may read; gone at the end of the block."""
    _remove_left_over(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-") as folder:
        file = Path(folder) / "vars.json"
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(text)
        yield file


def _remove_left_over(folder: Path) -> None:
    """Remove what a healthd that was killed could not."""
    for each in folder.glob(f"{_PREFIX}*"):
        owner = each.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdecimal() and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(each, ignore_errors=True)


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    inherited = {
        name: value
        for name, value in ours.items()
        if name in _KEPT_NAMES or name.startswith(("LC_", "ANSIBLE_"))
    }
    return _ENVIRONMENT | inherited | {"ANSIBLE_HOST_KEY_CHECKING": "True"}
