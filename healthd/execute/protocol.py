"""How a command is carried out on a host, behind a small Protocol."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A host and how it is reached.

    Attributes:
        address: Name or IP address, as it stands in the known-hosts file.
        key_file: The private key; refused when others may read it.
        known_hosts_file: In OpenSSH's format; a host that is not in it is refused.
        connect_timeout_seconds: For name, connection, key exchange and login together.
    """

    address: str
    port: int = 22
    user: str
    key_file: Path
    known_hosts_file: Path
    connect_timeout_seconds: float = 10.0

    def __str__(self) -> str:
        return f"{self.user}@{self.address}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program with its arguments, and the limits that it runs under.

    Attributes:
        argv: Given to the host as these words, whatever characters they hold. A `sudo -n` in
            front is part of the configuration, not of the code.
        timeout_seconds: From the moment the command is sent.
        effect_id: The journal's id of what this command is part of, or empty for a question.
        wait_seconds: After so long without its turn, or without a connection, it is not sent any
            more; None: after as long as it may take.
        max_output_bytes: Of each stream this much is kept from its beginning; what follows is
            read and dropped, so that the command never blocks on a full pipe.
    """

    argv: tuple[str, ...]
    timeout_seconds: float
    effect_id: str = ""
    wait_seconds: float | None = None
    max_output_bytes: int = 65_536

    def __post_init__(self) -> None:
        if not self.argv:
            raise ValueError("a command needs at least the name of its program")
        if self.timeout_seconds <= 0:
            raise ValueError("a command needs a time limit above 0 seconds")


class ExecKind(StrEnum):
    """How far a command came."""

    EXITED = "exited"
    TIMED_OUT = "timed_out"
    CONNECTION_LOST = "connection_lost"
    UNREACHABLE = "unreachable"
    HOST_KEY_REFUSED = "host_key_refused"
    AUTH_REFUSED = "auth_refused"
    NOT_SENT = "not_sent"


_MAY_HAVE_RUN: Final = frozenset({ExecKind.EXITED, ExecKind.TIMED_OUT, ExecKind.CONNECTION_LOST})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a command; trouble is a value here, never an exception.

    Attributes:
        exit_code: Of a command that has `exited`; None when a signal ended it.
        stdout: Decoded as UTF-8; what is not UTF-8 is replaced.
        is_truncated: Some output was dropped.
        seconds: From the request to this answer.
        detail: A sentence for people; known secrets are struck out.
    """

    kind: ExecKind
    exit_code: int | None = None
    stdout: str = ""
    stderr: str = ""
    is_truncated: bool = False
    seconds: float = 0.0
    detail: str = ""

    @property
    def is_success(self) -> bool:
        """Whether the command ran to its end and said that all is well."""
        return self.kind is ExecKind.EXITED and self.exit_code == 0

    @property
    def may_have_run(self) -> bool:
        """Whether anything may have happened on the host: observe it, never repeat it blindly."""
        return self.kind in _MAY_HAVE_RUN


class Executor(Protocol):
    """Carries out commands on hosts.

    `run` answers within the target's connect time-out plus the command's time-out (and a few
    seconds for a connection that must be torn down), whatever the host does. It sends a command
    at most once. Any number of commands may run at a time, also on one host. When the caller is
    cancelled, the connection is let go of and the command may have run.

    A command must survive the end of its session: stopping the connection does not stop it, and
    a service that it starts must belong to the host's service manager (`sv`, `systemctl`), which
    detaches by itself. No terminal is ever allocated.
    """

    async def run(self, target: Target, command: Command) -> Outcome:
        """Carry the command out once and answer what came of it."""
        ...

    async def aclose(self) -> None:
        """Let go of every connection; commands under way end as `connection_lost`."""
        ...
