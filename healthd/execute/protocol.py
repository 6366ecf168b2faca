"""How a command is carried out on a host, behind a small Protocol."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

from healthd.config.secrets import SecretRef

MAX_STDIN_BYTES: Final = 16 * 1024 * 1024
"""More is not put into a command: it is held in memory, for as many hosts at a time as there are
connections."""
BECOME: Final = ("sudo", "-n", "--")
"""In front of the words of a command that another user (root) is to run: `-n` never asks."""


class Stream(StrEnum):
    """Where a command has printed something."""

    OUT = "out"
    ERR = "err"


LineReader = Callable[[Stream, str], None]
"""Is called with each line that a command prints."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A host and how it is reached.

    Attributes:
        address: Name or IP address, as it stands in the known-hosts file.
        key_file: The private key; refused when others may read it. None: the agent has the keys.
        known_hosts_file: In OpenSSH's format; a host that is not in it is refused.
        connect_timeout_seconds: For name, connection, key exchange and login together.
        passphrase: Where the private key's passphrase is.
        certificate_file: A user's certificate for the key, in OpenSSH's format.
        agent: The socket of an SSH agent; asked where there is no key file.
        bastion: The host through which this one is reached, which may have a bastion itself.
        is_local: It is the machine that healthd runs on; nothing of SSH is used.
    """

    address: str
    port: int = 22
    user: str
    key_file: Path | None = None
    known_hosts_file: Path
    connect_timeout_seconds: float = 10.0
    passphrase: SecretRef | None = None
    certificate_file: Path | None = None
    agent: Path | None = None
    bastion: "Target | None" = None
    is_local: bool = False

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
        become: Run by root, through `sudo -n`; a password is never typed.
        stdin: What the command reads; it is written once, and the end of input follows. Nothing
            of it is ever printed.
        secrets: Struck out of everything that the answer says, beside what looks like one.
        on_line: Called on the event loop with each line while the command runs, secrets struck
            out, long lines cut, so many lines and no more (`output.MAX_LINES`).
    """

    argv: tuple[str, ...]
    timeout_seconds: float
    effect_id: str = ""
    wait_seconds: float | None = None
    max_output_bytes: int = 65_536
    become: bool = False
    stdin: bytes = field(default=b"", repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    on_line: LineReader | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.argv:
            raise ValueError("a command needs at least the name of its program")
        if self.timeout_seconds <= 0:
            raise ValueError("a command needs a time limit above 0 seconds")
        if len(self.stdin) > MAX_STDIN_BYTES:
            raise ValueError(f"a command's input is at most {MAX_STDIN_BYTES} bytes")

    @property
    def words(self) -> tuple[str, ...]:
        """What the host runs: the arguments, behind `sudo -n --` where root is to run them."""
        return (*BECOME, *self.argv) if self.become else self.argv


class ExecKind(StrEnum):
    """How far a command came."""

    EXITED = "exited"
    TIMED_OUT = "timed_out"
    CONNECTION_LOST = "connection_lost"
    UNREACHABLE = "unreachable"
    HOST_KEY_REFUSED = "host_key_refused"
    AUTH_REFUSED = "auth_refused"
    NOT_SENT = "not_sent"


class Trouble(StrEnum):
    """Why a command could not be begun on a host that took it."""

    SUDO_ASKS = "sudo_asks"
    SUDO_REFUSES = "sudo_refuses"
    NOT_FOUND = "not_found"
    NOT_EXECUTABLE = "not_executable"


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
        trouble: Set where the command `exited` without having been begun, as far as its exit
            code and its words say; `detail` says then what to do.
    """

    kind: ExecKind
    exit_code: int | None = None
    stdout: str = ""
    stderr: str = ""
    is_truncated: bool = False
    seconds: float = 0.0
    detail: str = ""
    trouble: Trouble | None = None

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
