"""Pure: certificates that have expired, or will soon."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from healthd.health.checks import Finding, Objects
from healthd.health.side.sections import number_in, objects_in
from healthd.model.codes import CheckCode, Severity
from healthd.model.order import natural_key

DAY_SECONDS: Final = 86_400.0
WARN_SECONDS: Final = 30 * DAY_SECONDS
"""Time to have one signed and to restart every broker with it."""
TOLD: Final = 3
"""So many are told in words, the first to expire first."""


@dataclass(frozen=True, slots=True)
class _Expiring:
    left: float
    object: str
    what: str
    is_ours: bool

    @property
    def words(self) -> str:
        days = abs(self.left) / DAY_SECONDS
        number = f"{days:.0f} days" if days >= 2 else f"{abs(self.left) / 3600:.0f} hours"  # noqa: PLR2004  # Below two days hours tell more.
        when = f"expires in {number}" if self.left > 0 else f"expired {number} ago"
        return f"{self.what} {when}"


def findings(section: Mapping[str, Any], shown: int) -> Iterator[Finding]:
    """At most one, about every certificate that is over or has 30 days left.

    It is CRIT when a listener's is over. Ours being over is no fault of the cluster: WARN.
    """
    age = number_in(section, "ageSeconds") or 0.0
    cluster = f"cluster:{section.get('cluster', '')}"
    soon = [
        each
        for each in (*_listeners(section, cluster, age), *_own(section, cluster, age))
        if each.left <= WARN_SECONDS
    ]
    if not soon:
        return
    soon.sort(key=lambda each: (each.left, natural_key(each.object)))
    objects = sorted({each.object for each in soon}, key=natural_key)
    is_over = any(each.left <= 0 and not each.is_ours for each in soon)
    told = "; ".join(each.words for each in soon[:TOLD])
    more = f"; and {len(soon) - TOLD} more" if len(soon) > TOLD else ""
    yield Finding(
        code=CheckCode.CERT_EXPIRY,
        objects=Objects(count=len(objects), shown=tuple(objects[:shown])),
        severity=Severity.CRIT if is_over else Severity.WARN,
        detail=f": {told}{more}",
    )


def _listeners(section: Mapping[str, Any], cluster: str, age: float) -> Iterator[_Expiring]:
    for entry in objects_in(section, "listeners"):
        times = [number_in(each, "secondsLeft") for each in (entry, *objects_in(entry, "chain"))]
        left = min((time for time in times if time is not None), default=None)
        if left is None:
            continue
        node = entry.get("broker")
        yield _Expiring(
            left - age,
            cluster if node is None else f"broker:{node}",
            f"that of {entry.get('address', 'a listener')}",
            is_ours=False,
        )


def _own(section: Mapping[str, Any], cluster: str, age: float) -> Iterator[_Expiring]:
    for entry in objects_in(section, "own"):
        left = number_in(entry, "secondsLeft")
        if left is not None:
            kind = "CA" if entry.get("kind") == "ca" else "client certificate"
            what = f"healthd's own {kind} ({entry.get('file', 'a file')})"
            yield _Expiring(left - age, cluster, what, is_ours=True)
