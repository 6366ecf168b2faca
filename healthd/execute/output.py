"""What a command prints: kept up to a limit, told line by line, without secrets."""

import codecs
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from healthd.execute.protocol import Command, ExecKind, LineReader, Outcome, Stream
from healthd.execute.redact import redact, redact_cut

MAX_LINES: Final = 10_000
"""Of one command so many lines are told while it runs."""
MAX_LINE_CHARACTERS: Final = 2_000
"""A longer line is cut, and the rest of it is dropped."""


class Sink:
    """The beginning of a stream; the rest is counted and dropped."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._kept = bytearray()
        self.is_truncated = False

    def write(self, data: bytes) -> None:
        """Keep what still fits."""
        room = self._limit_bytes - len(self._kept)
        self._kept += data[:room]
        self.is_truncated = self.is_truncated or len(data) > room

    def text(self, secrets: Iterable[str] = ()) -> str:
        """What was kept, without secrets; bytes that are not UTF-8 are replaced."""
        text = self._kept.decode("utf-8", errors="replace")
        return redact_cut(text, secrets) if self.is_truncated else redact(text, secrets)


@dataclass(slots=True)
class _Partial:
    """The line that a stream is in the middle of."""

    decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")(errors="replace")
    )
    text: str = ""
    is_cut: bool = False


class Lines:
    """Tells each whole line to a reader, bounded in length and in number.

    A secret is struck out of whole lines only, so that none slips through in two halves.
    """

    def __init__(self, reader: LineReader, secrets: Iterable[str] = ()) -> None:
        self._reader = reader
        self._secrets = tuple(secrets)
        self._partial = {stream: _Partial() for stream in Stream}
        self._told = 0

    def write(self, stream: Stream, data: bytes) -> None:
        """Tell the lines that these bytes end."""
        partial = self._partial[stream]
        *whole, rest = partial.decoder.decode(data).split("\n")
        for piece in whole:
            self._add(partial, piece)
            self._tell(stream, partial)
        self._add(partial, rest)

    def close(self) -> None:
        """Tell what was printed without a line end."""
        for stream, partial in self._partial.items():
            self._add(partial, partial.decoder.decode(b"", final=True))
            if partial.text:
                self._tell(stream, partial)

    @staticmethod
    def _add(partial: _Partial, piece: str) -> None:
        # A margin is kept behind the cut, for a secret that lies across it.
        room = 2 * MAX_LINE_CHARACTERS - len(partial.text)
        partial.is_cut = partial.is_cut or len(piece) > room
        partial.text += piece[:room]

    def _tell(self, stream: Stream, partial: _Partial) -> None:
        strike = redact_cut if partial.is_cut else redact
        line = strike(partial.text.rstrip("\r"), self._secrets)
        partial.text, partial.is_cut = "", False
        self._told += 1
        if self._told <= MAX_LINES:
            is_long = len(line) > MAX_LINE_CHARACTERS
            self._reader(stream, line[:MAX_LINE_CHARACTERS] + (" [...]" if is_long else ""))
        elif self._told == MAX_LINES + 1:
            self._reader(stream, f"[after {MAX_LINES} lines no more are told]")


def exited(
    command: Command, code: int, stdout: bytes = b"", stderr: bytes = b"", *, detail: str = ""
) -> Outcome:
    """The outcome of a command that has ended so, as an executor of the real world gives it."""
    printed = {Stream.OUT: stdout, Stream.ERR: stderr}
    sinks = {stream: Sink(command.max_output_bytes) for stream in Stream}
    for stream, sink in sinks.items():
        sink.write(printed[stream])
    if command.on_line is not None:
        lines = Lines(command.on_line, command.secrets)
        for stream, data in printed.items():
            lines.write(stream, data)
        lines.close()
    return Outcome(
        kind=ExecKind.EXITED,
        exit_code=code,
        stdout=sinks[Stream.OUT].text(command.secrets),
        stderr=sinks[Stream.ERR].text(command.secrets),
        is_truncated=any(sink.is_truncated for sink in sinks.values()),
        detail=redact(detail or f"{command.argv[0]} ended with exit code {code}", command.secrets),
    )
