"""One command on one open SSH session: sent once, drained while it runs, under a deadline."""

import select
import shlex
import threading
import time
from dataclasses import dataclass, field
from typing import Final

import paramiko

from healthd.execute.output import Lines, Sink
from healthd.execute.protocol import Command, ExecKind, Outcome, Stream
from healthd.execute.ssh_errors import is_end, reason_of

_CHUNK_BYTES: Final = 65_536
_TICK_SECONDS: Final = 0.1
"""How late a cancellation is noticed; data wakes the loop at once."""
_INPUT_TICK_SECONDS: Final = 0.02
"""How late it is noticed that the host takes more input; nothing wakes the loop for that."""
_LAST_WORDS_SECONDS: Final = 1.0
"""After the exit status: the rest of the output, unless a child that lives on holds the pipe."""


@dataclass(slots=True, kw_only=True)
class Session:
    """A command on its way; `is_cancelled` may be set from another thread."""

    channel: paramiko.Channel
    command: Command
    is_cancelled: threading.Event
    lines: Lines | None = None
    _unsent: memoryview = field(init=False)
    _is_input_open: bool = True

    def __post_init__(self) -> None:
        self._unsent = memoryview(self.command.stdin)

    def run(self) -> Outcome:
        """Send the command and answer what came of it. Once sent, it may have run."""
        started = time.monotonic()
        deadline = started + self.command.timeout_seconds
        out = Sink(self.command.max_output_bytes)
        err = Sink(self.command.max_output_bytes)
        kind, code, detail = self._carry_out(out, err, deadline)
        if self.lines is not None:
            self.lines.close()
        secrets = self.command.secrets
        return Outcome(
            kind=kind,
            exit_code=code,
            stdout=out.text(secrets),
            stderr=err.text(secrets),
            is_truncated=out.is_truncated or err.is_truncated,
            seconds=time.monotonic() - started,
            detail=detail,
        )

    def _carry_out(self, out: Sink, err: Sink, deadline: float) -> tuple[ExecKind, int | None, str]:
        name = self.command.argv[0]
        try:
            # The far side always runs a shell: the words are quoted for it. There is no time-out
            # in this call; the executor's guard cuts the connection when no answer comes.
            self.channel.exec_command(shlex.join(self.command.words))
            why_stopped = self._drain(out, err, deadline)
        except (paramiko.SSHException, OSError, EOFError) as error:
            if time.monotonic() >= deadline:
                return ExecKind.TIMED_OUT, None, self._time_is_up()
            why = "" if is_end(error) else f": {reason_of(error)}"
            return self._lost(f"the connection ended{why}")
        if why_stopped is not None:
            return why_stopped
        code = self.channel.exit_status if self.channel.exit_status_ready() else -1
        if code >= 0:
            return ExecKind.EXITED, code, f"{name} ended with exit code {code}"
        transport = self.channel.get_transport()
        if not transport.is_active():
            return self._lost("the connection ended")
        return (
            ExecKind.EXITED,
            None,
            (f"{name} ended without an exit code: a signal ended it, or the host its session"),
        )

    def _drain(
        self, out: Sink, err: Sink, deadline: float
    ) -> tuple[ExecKind, int | None, str] | None:
        """Read both streams until the command is over; None then, else why it was given up.

        Waiting for the exit status first would deadlock with a command that fills its pipe.
        """
        poller = select.poll()
        poller.register(self.channel.fileno(), select.POLLIN)
        last_words = float("inf")
        while True:
            now = time.monotonic()
            if self.is_cancelled.is_set():
                return self._lost("healthd stopped waiting")
            if now >= deadline:
                return ExecKind.TIMED_OUT, None, self._time_is_up()
            self._write()
            has_read = self._read(out, err)
            is_over = self.channel.status_event.is_set()
            if is_over:
                last_words = min(last_words, now + _LAST_WORDS_SECONDS)
            if has_read:
                continue
            is_at_end = self.channel.eof_received or self.channel.closed
            if is_over and (is_at_end or now >= last_words):
                return None
            tick = _INPUT_TICK_SECONDS if self._is_input_open else _TICK_SECONDS
            wait = max(min(tick, deadline - now), 0.0)
            if is_at_end:
                # Its streams are closed, the command still runs: the pipe would never block.
                self.channel.status_event.wait(wait)
            else:
                poller.poll(wait * 1000)

    def _write(self) -> None:
        """Give the command as much of its input as the host takes now, and then its end.

        A program that asks for a password, where none is given, so ends at once.
        """
        try:
            while self._unsent and self.channel.send_ready():
                sent = self.channel.send(bytes(self._unsent[:_CHUNK_BYTES]))
                self._unsent = self._unsent[sent:]
            if not self._unsent and self._is_input_open:
                self._is_input_open = False
                self.channel.shutdown_write()
        except OSError:
            # The command has ended without reading it all; how it ended is read further on.
            self._is_input_open = False
            self._unsent = memoryview(b"")

    def _read(self, out: Sink, err: Sink) -> bool:
        has_read = False
        if self.channel.recv_ready():
            self._keep(Stream.OUT, out, self.channel.recv(_CHUNK_BYTES))
            has_read = True
        if self.channel.recv_stderr_ready():
            self._keep(Stream.ERR, err, self.channel.recv_stderr(_CHUNK_BYTES))
            has_read = True
        return has_read

    def _keep(self, stream: Stream, sink: Sink, data: bytes) -> None:
        sink.write(data)
        if self.lines is not None:
            self.lines.write(stream, data)

    def _time_is_up(self) -> str:
        return (
            f"{self.command.argv[0]} gave no answer within {self.command.timeout_seconds:g} s; "
            "it may still run on the host: observe before anything else is done"
        )

    def _lost(self, what: str) -> tuple[ExecKind, int | None, str]:
        detail = (
            f"{what} while {self.command.argv[0]} was under way; it may have been carried out: "
            "observe before anything else is done"
        )
        return ExecKind.CONNECTION_LOST, None, detail
