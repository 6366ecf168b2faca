"""Commands on the machine that healthd itself runs on, for a setup of one machine."""

import asyncio
import time
from collections.abc import Collection
from dataclasses import replace
from typing import Final

from healthd.execute.local_process import LocalProcess
from healthd.execute.output import Lines, Sink
from healthd.execute.protocol import Command, ExecKind, Outcome, Stream, Target
from healthd.execute.redact import redact
from healthd.execute.words import explained

_LAST_WORDS_SECONDS: Final = 1.0
"""After the end of the command: the rest of its output, unless a child holds the pipe."""
_SHELL_CODES: Final = {FileNotFoundError: 127, PermissionError: 126}
"""What a shell would have said; over SSH it is one that does."""


class LocalExecutor:
    """An `Executor` without SSH: each command is a process of this machine, never a shell's text.

    Each has a session of its own. As over SSH, no command ends because healthd stopped waiting
    for it: its output is read on, and dropped, until it ends by itself.

    Args:
        pool_size: Commands at a time; further ones wait, for as long as their own time-out.
        secrets: Struck out of every answer.
    """

    def __init__(self, *, pool_size: int = 32, secrets: Collection[str] = ()) -> None:
        self._places = asyncio.Semaphore(pool_size)
        self._secrets = tuple(secrets)
        self._closing = asyncio.Event()
        self._left: set[LocalProcess] = set()

    async def run(self, target: Target, command: Command) -> Outcome:
        """Carry the command out once and answer what came of it."""
        started = time.monotonic()
        secrets = (*self._secrets, *command.secrets)
        wanted = command.wait_seconds
        limit = command.timeout_seconds if wanted is None else wanted
        try:
            await asyncio.wait_for(self._places.acquire(), limit)
        except TimeoutError:
            return Outcome(kind=ExecKind.NOT_SENT, detail=f"no place was free within {limit:g} s")
        try:
            outcome = await self._run(command, secrets)
        finally:
            self._places.release()
        outcome = explained(outcome, command, target)
        detail = redact(outcome.detail, secrets)
        return replace(outcome, detail=detail, seconds=time.monotonic() - started)

    async def aclose(self) -> None:
        """Wait for nothing any more; processes under way live on."""
        self._closing.set()
        for process in self._left:
            process.let_go()
        self._left.clear()

    async def _run(self, command: Command, secrets: tuple[str, ...]) -> Outcome:
        if self._closing.is_set():
            return Outcome(kind=ExecKind.NOT_SENT, detail="the executor is closed")
        sinks = {stream: Sink(command.max_output_bytes) for stream in Stream}
        lines = None if command.on_line is None else Lines(command.on_line, secrets)
        try:
            process = LocalProcess(command.words, stdin=command.stdin, sinks=sinks, lines=lines)
        except OSError as error:
            return _not_begun(command, error)
        except ValueError as error:
            return Outcome(kind=ExecKind.NOT_SENT, detail=f"{command.argv[0]!r}: {error}")
        self._left = {one for one in self._left if one.is_open} | {process}
        try:
            kind, code, detail = await self._wait(process, command)
        finally:
            process.stop_telling()
        return Outcome(
            kind=kind,
            exit_code=code,
            stdout=sinks[Stream.OUT].text(secrets),
            stderr=sinks[Stream.ERR].text(secrets),
            is_truncated=any(sink.is_truncated for sink in sinks.values()),
            detail=detail,
        )

    async def _wait(
        self, process: LocalProcess, command: Command
    ) -> tuple[ExecKind, int | None, str]:
        name = command.argv[0]
        ended = asyncio.create_task(process.ended())
        closing = asyncio.create_task(self._closing.wait())
        try:
            await asyncio.wait(
                {ended, closing},
                timeout=command.timeout_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if ended.done():
                last_words = asyncio.create_task(process.said_all())
                await asyncio.wait({last_words}, timeout=_LAST_WORDS_SECONDS)
                last_words.cancel()
        finally:
            closing.cancel()
            ended.cancel()
        code = process.exit_code
        if code is not None and code >= 0:
            return ExecKind.EXITED, code, f"{name} ended with exit code {code}"
        if code is not None:
            return ExecKind.EXITED, None, f"{name} was ended by a signal"
        observe = "it may still run: observe before anything else is done"
        if self._closing.is_set():
            return ExecKind.CONNECTION_LOST, None, f"healthd stopped waiting for {name}; {observe}"
        detail = f"{name} gave no answer within {command.timeout_seconds:g} s; {observe}"
        return ExecKind.TIMED_OUT, None, detail


def _not_begun(command: Command, error: OSError) -> Outcome:
    code = _SHELL_CODES.get(type(error))
    said = f"{error.filename or command.words[0]}: {error.strerror or error}"
    if code is None:
        return Outcome(kind=ExecKind.NOT_SENT, detail=said)
    return Outcome(kind=ExecKind.EXITED, exit_code=code, stderr=f"{said}\n", detail=said)
