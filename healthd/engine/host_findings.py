"""What an examination finds on the hosts of a cluster, before it is shown."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from healthd.execute.host_facts import HostFacts
from healthd.execute.protocol import Outcome
from healthd.execute.service import ServiceStatus


class HostOutcome(StrEnum):
    """How it is with one thing on a host."""

    OK = "ok"
    FAILED = "failed"
    """It is wrong, or missing."""
    UNKNOWN = "unknown"
    """It could not be found out."""
    NOT_CONFIGURED = "not configured"


class HostCheck(StrEnum):
    """What is looked at, in this order."""

    REACHABLE = "reachable"
    HOST_KEY = "hostKey"
    LOGIN = "login"
    SUDO = "sudo"
    SERVICE = "service"
    IDENTITY = "identity"
    LISTENING = "listening"
    SECOND_SERVICE = "secondService"
    CLOCK = "clock"
    DISK = "disk"
    HOME = "home"
    REBOOT = "reboot"


PROBLEMS: Final = frozenset({HostOutcome.FAILED, HostOutcome.UNKNOWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFinding:
    """How it is with one thing on one host, and what to do."""

    check: HostCheck
    outcome: HostOutcome = HostOutcome.OK
    detail: str = ""
    action: str = ""

    @property
    def is_problem(self) -> bool:
        """Whether somebody should do something."""
        return self.outcome in PROBLEMS


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What sudo says of one command; it was not run."""

    words: tuple[str, ...]
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Everything that one host has said."""

    node: int
    address: str
    is_zookeeper: bool = False
    """It is the host of a server of the ensemble, and `node` that server's id."""
    first: Outcome
    """How the first command ended: what tells whether we get in."""
    has_service: bool = True
    """The fleet file has service commands."""
    status: ServiceStatus | None = None
    """What the status command says; None: nothing that is understood."""
    told: Outcome | None = None
    """How the question after the facts ended."""
    facts: HostFacts | None = None
    asked_at: float = 0.0
    """Our wall clock right before that question."""
    answered_at: float = 0.0
    named: Outcome | None = None
    """How the fleet file's `service.identity` ended; None: there is none."""
    sudo: tuple[Allowed, ...] = ()
    sudo_list: Outcome | None = None
    """What sudo lists; None: no command needs it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostReport:
    """All findings about one host."""

    node: int
    address: str
    findings: tuple[HostFinding, ...]
    is_zookeeper: bool = False

    @property
    def problems(self) -> int:
        """How many of them are problems."""
        return sum(finding.is_problem for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """One item of `hosts` in the document of `healthd doctor -o json`."""
        return {
            ("server" if self.is_zookeeper else "broker"): self.node,
            "address": self.address,
            "problems": self.problems,
            "checks": [
                {
                    "check": finding.check.value,
                    "outcome": finding.outcome.value,
                    "detail": finding.detail,
                    "action": finding.action,
                }
                for finding in self.findings
            ],
        }
