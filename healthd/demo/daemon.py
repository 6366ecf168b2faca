"""The real daemon as a process of its own, as the demo and the acceptance tests run it."""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from healthd.demo.service import DemoTimeoutError, wait_until

START_SECONDS = 60
_PR_SET_PDEATHSIG = 1


class DaemonProcess:
    """`healthd run` on a free port of the loopback interface, with its files in one folder.

    It can be killed and started again on the same state; it dies with the process that started it.
    """

    program: tuple[str, ...] = (sys.executable, "-m", "healthd")
    """What is run, before the command and its options."""

    def __init__(self, fleet_file: Path, folder: Path, **settings: str | float) -> None:
        self.folder = folder
        self.state_dir = folder / "state"
        self.token_file = self.state_dir / "token"
        self.log_file = folder / "healthd.log"
        self._port_file = folder / "port"
        self._process: subprocess.Popen[bytes] | None = None
        self._flags = {
            "fleet-file": str(fleet_file),
            "state-dir": str(self.state_dir),
            "port-file": str(self._port_file),
            "listen-port": "0",
            **{name.replace("_", "-"): str(value) for name, value in settings.items()},
        }

    @property
    def url(self) -> str:
        """Where it serves HTTP."""
        return f"http://127.0.0.1:{self._port_file.read_text('ascii').strip()}"

    @property
    def process_id(self) -> int:
        """The daemon's process id."""
        assert self._process is not None, "the daemon was not started"
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The code it ended with; None while it runs."""
        return None if self._process is None else self._process.poll()

    def start(self, *, wait: bool = True) -> Self:
        """Start it; it serves HTTP when this returns.

        Raises:
            DemoTimeoutError: It does not answer, or has ended; its last log lines are in the text.
        """
        self._port_file.unlink(missing_ok=True)
        argv = [*self.program, "run"]
        for name, value in self._flags.items():
            argv += [f"--{name}", value]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Out of reach of Ctrl-C in our terminal: whoever started it stops it in order.
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509  # One call of libc, no lock is taken.
            )
        if wait:
            try:
                wait_until(self._answers_or_ended, "the daemon answers", START_SECONDS)
            except DemoTimeoutError as error:
                raise DemoTimeoutError(f"{error}\n{self.last_log_lines()}") from None
            if self.exit_code is not None:
                text = f"the daemon ended with code {self.exit_code}\n{self.last_log_lines()}"
                raise DemoTimeoutError(text)
        return self

    def _answers_or_ended(self) -> bool:
        if self.exit_code is not None:
            return True
        if not self._port_file.exists():
            return False
        try:
            return self.get("/-/healthy") is not None
        except OSError:
            return False

    def stop(self, timeout_seconds: float = 120.0) -> int:
        """Its exit code after SIGTERM; killed when it takes longer."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout_seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        return self._process.wait()

    def kill(self) -> None:
        """Kill -9, as an out-of-memory killer would."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.process_id, number)

    def last_log_lines(self, count: int = 20) -> str:
        """What it said last."""
        try:
            lines = self.log_file.read_text("utf-8", "replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-count:])

    def get(self, path: str) -> Any:
        """The JSON (or text) that a path answers.

        Raises:
            OSError: It does not answer, or with an error (`urllib.error.HTTPError`).
        """
        return self._call("GET", path, None)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON that a path answers to an order, given with the token of the token file.

        Raises:
            OSError: It does not answer, or with an error (`urllib.error.HTTPError`).
        """
        return self._call("POST", path, body)

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        headers = {"X-Healthd-User": "demo"}
        data = None
        if body is not None:
            token = self.token_file.read_text("utf-8").strip()
            headers |= {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            data = json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310  # Our own http:// on loopback.
            self.url + path, data=data, headers=headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  # The same.
                text = answer.read().decode()
                kind = answer.headers.get_content_type()
        except http.client.HTTPException as error:  # It died in the middle of its answer.
            raise ConnectionResetError(f"{self.url}{path}: {error!r}") from error
        return json.loads(text) if kind.endswith("json") else text

    def command_environment(self) -> dict[str, str]:
        """The environment in which `healthd status` and others talk to this daemon."""
        return {"HEALTHD_SERVER": self.url, "HEALTHD_TOKEN_FILE": str(self.token_file)}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        # What it was driving goes with its fleet; nothing is to be brought back any more.
        self.kill()


def die_with_parent() -> None:
    """Between fork and exec: the kernel kills this process when the thread that started it ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def error_of(error: urllib.error.HTTPError) -> dict[str, Any]:
    """The problem document of an HTTP error."""
    document = json.loads(error.read().decode())
    return document if isinstance(document, dict) else {}
