"""The command line's side of the daemon's HTTP API: its address, the token, and clear errors."""

import getpass
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

import click
import httpx2

from healthd.cli.daemon_options import DEFAULT_SERVER, daemon_options
from healthd.cli.exits import Exit

_READ_SECONDS: Final = 30.0
_CONNECT_SECONDS: Final = 5.0
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_MAX_TOKEN_BYTES: Final = 4096

__all__ = [
    "DEFAULT_SERVER",
    "DaemonClient",
    "DaemonError",
    "daemon_options",
    "path_of",
    "refusal",
]


class DaemonError(click.ClickException):
    """The daemon did not do what was asked: a line for a person, and the exit code."""

    def __init__(self, message: str, exit_code: Exit) -> None:
        super().__init__(message)
        # click declares it as a class variable and reads it from the instance.
        setattr(self, "exit_code", int(exit_code))  # noqa: B010 - mypy refuses the plain form.

    def show(self, file: Any = None) -> None:
        """Print the message on stderr, or on what click asks for."""
        click.echo(f"healthd: {self.message}", file=file, err=True)


class DaemonClient:
    """Asks the daemon; every failure is a `DaemonError`."""

    def __init__(
        self, server: str, token_file: Path | None, *, read_seconds: float = _READ_SECONDS
    ) -> None:
        address = urlsplit(server)
        if address.scheme not in {"http", "https"} or not address.hostname:
            raise click.BadParameter(
                f"{server} is no address such as {DEFAULT_SERVER}", param_hint="--server"
            )
        self._server = server.rstrip("/")
        headers = {"X-Healthd-User": _user(), "Accept": "application/json"}
        token = _read_token(token_file)
        if token is not None:
            if address.scheme == "http" and address.hostname not in _LOOPBACK:
                click.echo(
                    f"healthd: warning: the token goes to {address.hostname} unencrypted", err=True
                )
            headers["Authorization"] = f"Bearer {token}"
        # Proxies of the environment are not for a daemon that usually is on this host.
        self._client = httpx2.Client(
            base_url=self._server,
            headers=headers,
            timeout=httpx2.Timeout(read_seconds, connect=_CONNECT_SECONDS),
            trust_env=False,
        )

    def get(self, path: str, **params: Any) -> Any:
        """The JSON that a path answers with."""
        return self._json(self._send("GET", path, params=params))

    def text(self, path: str, **params: Any) -> str:
        """The text that a path answers with."""
        return str(self._send("GET", path, params=params).text)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON that an order is answered with."""
        return self._json(self._send("POST", path, json=dict(body)))

    def _send(self, method: str, path: str, **options: Any) -> httpx2.Response:
        try:
            response = self._client.request(method, path, **options)
        except httpx2.RequestError as error:
            raise self._unreachable(_reason(error)) from None
        if response.is_success:
            return response
        raise self._refused(response)

    def _json(self, response: httpx2.Response) -> Any:
        try:
            return response.json()
        except ValueError:
            raise self._unreachable("what answers there is not healthd") from None

    def _unreachable(self, reason: str) -> DaemonError:
        return DaemonError(
            f"the daemon cannot be reached at {self._server}: {reason}\n"
            "Start it with 'healthd run', or say where it is with --server or HEALTHD_SERVER.",
            Exit.UNREACHABLE,
        )

    def _refused(self, response: httpx2.Response) -> DaemonError:
        try:
            problem = response.json()
        except ValueError:
            problem = None
        if not isinstance(problem, Mapping) or "detail" not in problem:
            return self._unreachable(f"HTTP {response.status_code}, and not from healthd")
        return refusal(problem)


def refusal(problem: Mapping[str, Any]) -> DaemonError:
    """What a problem document of the daemon says to a person, and the exit code."""
    kind = str(problem.get("type", "")).rpartition(":")[2]
    detail = str(problem["detail"])
    status = int(problem.get("status", 0))
    if kind == "unauthorized":
        message = (
            "the daemon wants its token: name the file with --token-file or HEALTHD_TOKEN_FILE"
        )
        return DaemonError(message, Exit.FAILED)
    if kind == "leased":
        facts = [
            f"{label} {problem[key]}"
            for label, key in (("held by", "holder"), ("since", "since"), ("for wave", "wave"))
            if problem.get(key)
        ]
        return DaemonError("\n  ".join([detail, *facts]), Exit.LEASE_HELD)
    if kind == "plan-stale":
        rows = [str(row["detail"]) for row in problem.get("differences", ())]
        # The differences are in the sentence as well, for those who read only that.
        message = detail.partition(": ")[0] if rows else detail
        return DaemonError("\n  ".join([message, *rows]), Exit.PLAN_STALE)
    if kind == "rehearsal-failed":
        return DaemonError(detail, Exit.PROBLEMS)
    if kind == "unknown" or kind.startswith(("invalid-", "unknown-")):
        rows = [_problem_line(row) for row in problem.get("problems", ())]
        rows = [row for row in rows if row != detail]
        return DaemonError("\n  ".join([detail, *rows]), Exit.USAGE)
    if status == 404:  # noqa: PLR2004  # An older or newer daemon without this path.
        return DaemonError(f"this daemon cannot do that: {detail}", Exit.FAILED)
    return DaemonError(detail, Exit.FAILED)


def _problem_line(row: Any) -> str:
    if not isinstance(row, Mapping):
        return str(row)
    path, message, action = (str(row.get(key) or "") for key in ("path", "message", "action"))
    line = f"{path}: {message}" if path else message
    return f"{line} -> {action}" if action else line


def _reason(error: httpx2.RequestError) -> str:
    if isinstance(error, httpx2.ConnectTimeout):
        return f"no connection within {_CONNECT_SECONDS:g} s"
    if isinstance(error, httpx2.TimeoutException):
        return f"no answer within {_READ_SECONDS:g} s"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__


def _read_token(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            token = file.read(_MAX_TOKEN_BYTES).partition(b"\n")[0].strip().decode("ascii")
    except OSError as error:
        raise click.BadParameter(
            f"{path} cannot be read: {error.strerror}", param_hint="--token-file"
        ) from None
    except UnicodeDecodeError:
        token = ""
    if not token.isprintable() or not token:
        raise click.BadParameter(f"{path} holds no token", param_hint="--token-file")
    return token


def _user() -> str:
    """Who gives the order: whoever became root is named, not root."""
    try:
        name = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        name = f"uid {os.getuid()}"
    return name.encode("ascii", "backslashreplace").decode("ascii")


def path_of(*parts: str) -> str:
    """A path of the API, whatever characters the names in it have."""
    return "/api/v1/" + "/".join(quote(part, safe="") for part in parts)
