"""Programs that print a secret: no shell, limits on time and output, and nothing is shown."""

import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Final

KEPT_SECONDS: Final = 5.0
"""What a program printed serves whoever asks so soon after: the clients of a cluster are made at
the same time, and clusters share programs. It is less than a round, so what was changed is seen."""
MAX_PRINTED: Final = 100_000
"""Characters; no secret is longer, and a log that somebody prints by mistake is."""
_MAX_BYTES: Final = 4 * MAX_PRINTED
_PIECE_BYTES: Final = 65_536
_MAX_SHOWN: Final = 200
_END_SECONDS: Final = 1.0
"""After which a program that was killed should be gone."""
_RUN_IT: Final = "run it as healthd's user: it has to print the secret and end with 0"


class ProgramError(Exception):
    """A program printed no secret. Says what it did, and never what it printed or was given."""

    def __init__(self, what: str, action: str = _RUN_IT) -> None:
        super().__init__(what)
        self.action = action
        """What to do."""


class _RunsOnError(ProgramError):
    """It could not be ended: another user's by now (sudo), or stuck in the kernel."""

    def __init__(self, what: str, process: subprocess.Popen[bytes]) -> None:
        super().__init__(what, f"end process {process.pid} as root, and find out why it hangs")
        self.process = process


@dataclass(slots=True)
class _Run:
    is_over: threading.Event = field(default_factory=threading.Event)
    ended: float = 0.0
    value: str | None = field(default=None, repr=False)
    failure: tuple[str, str] = ("did not end in order", _RUN_IT)


class SecretPrograms:
    """What programs print; whoever asks while one runs waits for that run. Safe for all threads.

    Args:
        monotonic: Seconds on a clock that never jumps.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock = monotonic
        self._lock = threading.Lock()
        self._runs: dict[tuple[tuple[str, ...], float], _Run] = {}
        self._run_on: dict[tuple[str, ...], subprocess.Popen[bytes]] = {}

    def printed(self, argv: tuple[str, ...], timeout_seconds: float) -> str:
        """What the program prints, without white space around it; blocks while it runs.

        A failure is told to those who wait for it; who asks later runs the program again.

        Raises:
            ProgramError: It printed no secret.
        """
        key = argv, timeout_seconds
        with self._lock:
            now = self._clock()
            # What is too old is not kept in memory either.
            self._runs = {
                each: run
                for each, run in self._runs.items()
                if not run.is_over.is_set() or now - run.ended < KEPT_SECONDS
            }
            run = self._runs.get(key)
            is_first = run is None
            if run is None:
                run = self._runs[key] = _Run()
        if is_first:
            self._carry_out(run, key)
        else:
            run.is_over.wait()
        if run.value is None:
            raise ProgramError(*run.failure)
        return run.value

    def _carry_out(self, run: _Run, key: tuple[tuple[str, ...], float]) -> None:
        argv, timeout_seconds = key
        try:
            self._require_ended(argv)
            run.value = _printed(argv, timeout_seconds)
        except ProgramError as error:
            run.failure = str(error), error.action
            if isinstance(error, _RunsOnError):
                self._run_on[argv] = error.process
        finally:
            with self._lock:
                run.ended = self._clock()
                run.is_over.set()
                if run.value is None:
                    del self._runs[key]

    def _require_ended(self, argv: tuple[str, ...]) -> None:
        """Refuse a second process beside one that could not be ended: there would be ever more."""
        process = self._run_on.get(argv)
        if process is None:
            return
        if process.poll() is None:
            raise _RunsOnError("still runs, and cannot be ended by healthd's user", process)
        self._run_on.pop(argv, None)


def shown(argv: tuple[str, ...]) -> str:
    """The program's own name, as far as it fits into a line; its arguments are never shown."""
    return argv[0] if argv[0].isprintable() and len(argv[0]) <= _MAX_SHOWN else "(unprintable)"


def _printed(argv: tuple[str, ...], timeout_seconds: float) -> str:
    try:
        value = _output(argv, timeout_seconds).decode("utf-8").strip()
    except UnicodeDecodeError:
        raise ProgramError("printed what is not UTF-8 text") from None
    if not value:
        raise ProgramError("printed nothing")
    if len(value) > MAX_PRINTED:
        raise _too_much()
    return value


def _output(argv: tuple[str, ...], timeout_seconds: float) -> bytes:
    try:
        # What it says on standard error may hold the secret, so nobody reads it. In a session of
        # its own it has no terminal to ask on, and ends with all that it has started.
        process = subprocess.Popen(  # noqa: S603  # The operator's own program, and no shell.
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no program can have such a name"
        action = "install it for healthd's user, or correct its name"
        raise ProgramError(f"cannot be run: {reason}", action) from None
    assert process.stdout is not None
    until = time.monotonic() + timeout_seconds
    # Not `with process`, which would wait without a limit for what cannot be ended.
    with process.stdout as pipe:
        try:
            found = _read(pipe, until)
            code = process.wait(max(0.0, until - time.monotonic()))
        except (TimeoutError, subprocess.TimeoutExpired):
            _end(process)
            raise ProgramError(f"printed no secret within {timeout_seconds:g} s") from None
        except BaseException:
            _end(process)
            raise
    if code < 0:
        raise ProgramError(f"was ended by signal {-code}")
    if code > 0:
        raise ProgramError(f"ended with {code}")
    return found


def _read(pipe: IO[bytes], until: float) -> bytes:
    """All that comes until the pipe's end; raises TimeoutError when that is too late."""
    found = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while (left := until - time.monotonic()) > 0:
            if not selector.select(left):
                continue
            piece = os.read(pipe.fileno(), _PIECE_BYTES)
            if not piece:
                return bytes(found)
            found += piece
            if len(found) > _MAX_BYTES:
                raise _too_much()
    raise TimeoutError


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it with all that it has started.

    Raises:
        _RunsOnError: it goes on.
    """
    # Nobody but root may end what sudo runs.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        what = "did not end in time, and cannot be ended by healthd's user"
        raise _RunsOnError(what, process) from None


def _too_much() -> ProgramError:
    return ProgramError(f"printed more than {MAX_PRINTED} characters")
