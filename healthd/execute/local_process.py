"""A process of this machine whose streams are read on the event loop, and that outlives it.

Not `asyncio.subprocess`: its transport kills the process when it is closed, and a service that a
command has just begun to start must not die because healthd ends.
"""

import asyncio
import contextlib
import os
import subprocess
from typing import Final

from healthd.execute.output import Lines, Sink
from healthd.execute.protocol import Stream

_CHUNK_BYTES: Final = 65_536
_FIRST_LOOK_SECONDS: Final = 0.002
_LAST_LOOK_SECONDS: Final = 0.1
"""Looks at whether it has ended come further and further apart, up to this."""


class LocalProcess:
    """A running process; its output is drained until both streams end or it is let go of.

    Args:
        words: The program and its arguments.
        stdin: Written to it, then the end of input.
        sinks: Where its output is kept.
        lines: Told each line, until `stop_telling`.

    Raises:
        OSError: It cannot be begun.
        ValueError: A word holds a NUL byte.
    """

    def __init__(
        self,
        words: tuple[str, ...],
        *,
        stdin: bytes,
        sinks: dict[Stream, Sink],
        lines: Lines | None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._process = subprocess.Popen(  # noqa: S603 - words, no shell.
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._sinks = sinks
        self._lines = lines
        self._unsent = memoryview(stdin)
        self._ended = {stream: asyncio.Event() for stream in Stream}
        self._open: dict[int, Stream | None] = {}
        for pipe, stream in (
            (self._process.stdout, Stream.OUT),
            (self._process.stderr, Stream.ERR),
            (self._process.stdin, None),
        ):
            assert pipe is not None
            # The numbers alone are kept: Python's buffered files would write when collected.
            number = os.dup(pipe.fileno())
            with contextlib.suppress(OSError):
                pipe.close()
            os.set_blocking(number, False)
            self._open[number] = stream
            if stream is None:
                self._loop.add_writer(number, self._write, number)
            else:
                self._loop.add_reader(number, self._read, number, stream)

    @property
    def exit_code(self) -> int | None:
        """As `Popen` has it: negative for a signal, None while it runs."""
        return self._process.poll()

    @property
    def is_open(self) -> bool:
        """Whether it runs, or somebody still holds one of its streams."""
        return self.exit_code is None or any(self._open.values())

    async def ended(self) -> None:
        """Return once it has ended."""
        wait = _FIRST_LOOK_SECONDS
        while self.exit_code is None:
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LAST_LOOK_SECONDS)

    async def said_all(self) -> None:
        """Return once both of its streams have ended."""
        for event in self._ended.values():
            await event.wait()

    def stop_telling(self) -> None:
        """Tell what was printed without a line end, and no lines after that."""
        if self._lines is not None:
            self._lines.close()
        self._lines = None

    def let_go(self) -> None:
        """Close our ends of its streams; it is not ended by that, unless it goes on printing."""
        for number in tuple(self._open):
            self._close(number)

    def _read(self, number: int, stream: Stream) -> None:
        try:
            data = os.read(number, _CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(number)
            return
        self._sinks[stream].write(data)
        if self._lines is not None:
            self._lines.write(stream, data)

    def _write(self, number: int) -> None:
        try:
            sent = os.write(number, self._unsent[:_CHUNK_BYTES]) if self._unsent else 0
        except BlockingIOError:
            return
        except OSError:
            # It reads no more; what it says of that is its own.
            self._unsent = memoryview(b"")
            sent = 0
        self._unsent = self._unsent[sent:]
        if not self._unsent:
            self._close(number)

    def _close(self, number: int) -> None:
        stream = self._open.pop(number)
        if stream is None:
            self._loop.remove_writer(number)
        else:
            self._loop.remove_reader(number)
            self._ended[stream].set()
        os.close(number)
