"""What an examination finds, before it is shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from healthd.collect.denials import Authorizer, DenyRule
from healthd.collect.doctor.grants import commands
from healthd.collect.rights import Acl
from healthd.health.words import Term


class Outcome(StrEnum):
    """How it is with one source."""

    ALLOWED = "allowed"
    """It answers, and we may see what it has."""
    DENIED = "denied"
    """It answers, and refuses us: an ACL or a credential is missing."""
    UNREACHABLE = "unreachable"
    FAILED = "failed"
    """It answers, and what it says is of no use, or bad news."""
    UNKNOWN = "unknown"
    """It could not be found out; another finding says why."""
    NOT_CONFIGURED = "not configured"


PROBLEMS: Final = frozenset({Outcome.DENIED, Outcome.UNREACHABLE, Outcome.FAILED, Outcome.UNKNOWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorFinding:
    """How it is with one thing that healthd reads."""

    source: str
    """What reads it: `bootstrap`, `metadata`, `configs`, `quorum`, `metrics`, ..."""
    subject: str
    """What was tried: an address, a request, a node."""
    outcome: Outcome
    detail: str = ""
    """One sentence or more; empty when there is nothing to say."""
    terms: tuple[Term, ...] = ()
    """Terms of the index that are not known without it."""
    share: float = 1.0
    """How much of these terms: one exporter of five is a fifth."""
    acls: tuple[Acl, ...] = ()
    """What to grant."""
    denies: tuple[DenyRule, ...] = ()
    """Rules that forbid it, whatever else is granted."""

    @property
    def is_problem(self) -> bool:
        """Whether somebody should do something."""
        return self.outcome in PROBLEMS


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """All findings about one cluster."""

    cluster: str
    bootstrap: str
    """Where the commands connect: one `host:port`."""
    principal: str | None
    """Whom brokers take us for, as far as the configuration tells."""
    authorizer: Authorizer
    health_class: str
    completeness: float
    weights: Mapping[Term, float]
    """Of the terms that are configured."""
    findings: tuple[DoctorFinding, ...]
    cluster_id: str | None = None
    """What the brokers call their cluster."""
    addresses: Mapping[int, tuple[str, int]] = field(default_factory=dict)
    """Where Metadata says that each broker listens."""

    @property
    def problems(self) -> int:
        """How many findings are problems."""
        return sum(finding.is_problem for finding in self.findings)

    def cost(self, finding: DoctorFinding) -> float:
        """The completeness that this one problem takes away, from 0 to 1."""
        whole = sum(self.weights.values())
        if not whole or not finding.is_problem:
            return 0.0
        return finding.share * sum(self.weights.get(term, 0.0) for term in finding.terms) / whole

    def commands(self, *findings: DoctorFinding) -> tuple[str, ...]:
        """What grants everything that these findings lack, and nothing else."""
        return commands(
            [acl for finding in findings for acl in finding.acls],
            [rule for finding in findings for rule in finding.denies],
            bootstrap=self.bootstrap,
            principal=self.principal,
        )

    def as_json(self) -> dict[str, Any]:
        """The document of `healthd doctor -o json` and of the API."""
        return {
            "cluster": self.cluster,
            "principal": self.principal,
            "authorizer": self.authorizer.value,
            "class": self.health_class,
            "completeness": self.completeness,
            "problems": self.problems,
            "findings": [self._finding(finding) for finding in self.findings],
            "grants": list(self.commands(*self.findings)),
        }

    def _finding(self, finding: DoctorFinding) -> dict[str, Any]:
        return {
            "source": finding.source,
            "subject": finding.subject,
            "outcome": finding.outcome.value,
            "detail": finding.detail,
            "terms": [term.value for term in finding.terms] if finding.is_problem else [],
            "completenessLost": round(self.cost(finding), 4),
            "grants": list(self.commands(finding)),
        }
