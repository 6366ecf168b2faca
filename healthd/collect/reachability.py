"""Whose fault it is that nobody answers. Pure: what was knocked at in, the verdict out.

Everybody refusing is evidence against the cluster: somebody there said no. A time-out is not, for
our own network may have lost it: it counts only when a second path to the same hosts fails as well
while this process reaches others (health-index.md section 3, UNREACHABLE).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from healthd.collect.observation import (
    FailureReason,
    ListenerState,
    Origin,
    Source,
    SourceFailure,
)
from healthd.model.snapshot import NOTHING


class Reach(StrEnum):
    """What knocking at every known address of a cluster says."""

    ANSWERED = "answered"
    """Somebody is there."""
    REFUSED = "refused"
    """Every address refused."""
    GONE = "gone"
    """Some timed out, a second path to their hosts failed too, and others answer us."""
    UNCLEAR = "unclear"
    """Nobody answered, and it may be our own network."""
    UNRESOLVED = "unresolved"
    """Nobody answered, and a name cannot be resolved here: ours."""


HAS_SAID_NO: Final = frozenset({Reach.REFUSED, Reach.GONE})
"""Evidence against the cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knocks:
    """What was found at one cluster's doors in one round."""

    bootstrap: tuple[ListenerState, ...]
    """Of each bootstrap address that is no known broker's."""
    brokers: Mapping[int, ListenerState] = field(default_factory=lambda: NOTHING)
    """Of each known broker address, by node id."""
    second_paths: Mapping[int, bool] = field(default_factory=lambda: NOTHING)
    """Nodes with another path to their host (exporter, SSH port, Prometheus): whether any of them
    answered."""
    others_answer: bool = False
    """Another cluster, or a canary, answers this process."""


def reach_of(knocks: Knocks) -> Reach:
    """The verdict of one round."""
    states = {*knocks.bootstrap, *knocks.brokers.values()}
    if ListenerState.ANSWERED in states:
        return Reach.ANSWERED
    if ListenerState.UNRESOLVED in states:
        return Reach.UNRESOLVED
    if states == {ListenerState.REFUSED}:
        return Reach.REFUSED
    if not states or states - {ListenerState.REFUSED, ListenerState.TIMED_OUT}:
        return Reach.UNCLEAR
    return Reach.GONE if knocks.others_answer and _hosts_are_gone(knocks) else Reach.UNCLEAR


def _hosts_are_gone(knocks: Knocks) -> bool:
    """Whether every other path to the hosts that are silent fails, and there is one to each.

    Without a silent broker it is a bootstrap address that is: it stands for the hosts behind it.
    """
    paths = knocks.second_paths
    silent = {node for node, state in knocks.brokers.items() if state is ListenerState.TIMED_OUT}
    asked = silent or paths.keys()
    return bool(asked) and all(paths.get(node) is False for node in asked)


_NETWORK: Final = frozenset({FailureReason.TIMEOUT, FailureReason.NETWORK, FailureReason.REFUSED})
_KAFKA: Final = frozenset({Source.METADATA, Source.QUORUM, Source.CONFIGS})
_JUDGED: Final[Mapping[Reach, tuple[Origin, FailureReason, str]]] = {
    Reach.REFUSED: (Origin.THEIRS, FailureReason.REFUSED, ""),
    Reach.GONE: (
        Origin.THEIRS,
        FailureReason.TIMEOUT,
        " Other paths to its hosts fail too, while others answer.",
    ),
    Reach.UNCLEAR: (
        Origin.OURS,
        FailureReason.TIMEOUT,
        " It may be healthd's own network: nothing else shows that these hosts are gone.",
    ),
    Reach.UNRESOLVED: (
        Origin.OURS,
        FailureReason.DNS,
        " A name cannot be resolved on healthd's host: check its DNS and the fleet file.",
    ),
}


def judged(failures: Iterable[SourceFailure], reach: Reach) -> list[SourceFailure]:
    """The failures with the origin that knocking proved.

    A client library says "time-out" after refusals that it tried again, and "all brokers down"
    after time-outs: its word for it is not evidence.
    """
    found = _JUDGED.get(reach)
    if found is None:
        return list(failures)
    origin, reason, told = found
    return [
        replace(failure, origin=origin, reason=reason, detail=failure.detail + told)
        if failure.source in _KAFKA and failure.reason in _NETWORK
        else failure
        for failure in failures
    ]
