"""Alertmanager silences for hosts in work: what each matches, how long it lasts, whose it is.

A silence is found again by its comment, which names wave and node: a daemon that was killed makes
no second one, and removes what another has left.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from healthd.model.moments import moment_text
from healthd.waves.patterns import literal_pattern
from healthd.waves.policy import WavePolicy

CREATED_BY: Final = "healthd"
_MARK: Final = re.compile(r"\[wave (?P<wave>[A-Za-z0-9._-]+), node (?P<node>[0-9]+)\]$")
_MAX_REASON: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceMark:
    """What a silence of healthd's was made for."""

    wave: str
    node: int

    def __str__(self) -> str:
        """As it stands in the silence's comment."""
        return f"[wave {self.wave}, node {self.node}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """One silence of Alertmanager's, as far as it matters here."""

    id: str
    mark: SilenceMark | None
    """None: a person has made it, or some other program."""
    ends: float = 0.0
    """Unix seconds."""


def mark_of(created_by: str, comment: str) -> SilenceMark | None:
    """What a silence was made for by healthd; None when it is not healthd's."""
    found = _MARK.search(comment) if created_by == CREATED_BY else None
    return None if found is None else SilenceMark(wave=found["wave"], node=int(found["node"]))


def silence_seconds(policy: WavePolicy, *, stop_seconds: float, start_seconds: float) -> float:
    """How long a silence lasts when nobody removes it: as long as a restart may take in all."""
    return stop_seconds + start_seconds + policy.recovery_timeout_seconds


def host_pattern(address: str, exporter: str | None, others: Collection[str] = ()) -> str | None:
    """The pattern that a host's label matches in full, and no other host's; None: there is none.

    It is the address, with any port or none. Where several nodes share an address only the
    exporter's `host:port` tells them apart.

    Args:
        address: the host's, without a port.
        exporter: `host:port` of its exporter, when it has one.
        others: the addresses of all other nodes.
    """
    own = [] if exporter is None else [literal_pattern(exporter)]
    if address not in others:
        bare = literal_pattern(address)
        own.append(rf"\[{bare}\](:[0-9]+)?" if ":" in address else f"{bare}(:[0-9]+)?")
        if ":" in address:
            own.append(bare)
    return "|".join(own) or None


def silence_document(
    mark: SilenceMark, *, label: str, pattern: str, reason: str, now: float, seconds: float
) -> dict[str, Any]:
    """What Alertmanager is sent (`postableSilence` of its API version 2)."""
    return {
        "matchers": [{"name": label, "value": pattern, "isRegex": True, "isEqual": True}],
        "startsAt": moment_text(now),
        "endsAt": moment_text(now + seconds),
        "createdBy": CREATED_BY,
        "comment": f"healthd restarts this host: {reason[:_MAX_REASON]} {mark}",
    }
