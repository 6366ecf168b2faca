"""The guards of the whole fleet over the verdicts of its clusters (health-index.md section 5).

A router that fails with its monitor is worse than none: few clusters are taken out, the last one of
a failover group never is, and when many turn unknown at once the monitor itself is in doubt.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from healthd.health.scoring import RoutingScoring
from healthd.routing.verdict import (
    NEW,
    Forced,
    Reading,
    Routing,
    RoutingState,
    Transition,
    force,
    read,
    wants_out,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetReading:
    """One cluster's reading, as the guards see it."""

    reading: Reading
    is_unreachable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetRouting:
    """What is held of all clusters between two readings."""

    clusters: Mapping[str, Routing] = field(default_factory=dict)
    dark_since: Mapping[str, float] = field(default_factory=dict)
    """Clusters that are unknown or unreachable, and when they turned so, in seconds on the clock
    of the readings."""
    suspects: frozenset[str] = frozenset()
    """The clusters that turned dark together; while there are enough of them, nothing moves."""
    panics: frozenset[str] = frozenset()
    """Clusters that would be out were they not the last of a failover group."""
    held_back: frozenset[str] = frozenset()
    """Clusters that would be out were not too many out already."""
    never_known: frozenset[str] = frozenset()
    """Clusters that have not been known yet: they did not turn dark, they never were light."""

    @property
    def is_suspect(self) -> bool:
        """Whether the monitor is in doubt: every verdict is frozen."""
        return bool(self.suspects)

    def routing(self, cluster: str) -> Routing:
        """What is held of one cluster."""
        return self.clusters.get(cluster, NEW)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one reading did."""

    fleet: FleetRouting
    transition: Transition | None = None


def new_fleet(names: Iterable[str], kept: Mapping[str, Routing] | None = None) -> FleetRouting:
    """The routing of a fleet at the start, with what was held before a restart."""
    known = dict.fromkeys(names, NEW)
    for name, routing in (kept or {}).items():
        if name in known:
            # Nothing has been read yet by this process: it holds what it was.
            known[name] = replace(routing, is_known=False, is_healthy=False, healthy_seconds=0.0)
    return FleetRouting(clusters=known, never_known=frozenset(known))


def with_clusters(fleet: FleetRouting, names: Collection[str]) -> FleetRouting:
    """The routing after a change of the fleet file: new clusters are IN, others are forgotten."""
    wanted = dict.fromkeys(names)
    added = {name for name in wanted if name not in fleet.clusters}
    return replace(
        fleet,
        clusters={name: fleet.routing(name) for name in wanted},
        dark_since={name: at for name, at in fleet.dark_since.items() if name in wanted},
        suspects=fleet.suspects & wanted.keys(),
        panics=fleet.panics & wanted.keys(),
        held_back=fleet.held_back & wanted.keys(),
        never_known=(fleet.never_known & wanted.keys()) | added,
    )


def step(  # Everything that a verdict depends on.
    fleet: FleetRouting,
    cluster: str,
    seen: FleetReading,
    *,
    at: float,
    step_seconds: float,
    groups: Iterable[Collection[str]],
    numbers: RoutingScoring,
    guards: RoutingScoring | None = None,
    is_break: bool = False,
) -> Step:
    """The fleet after one reading of one of its clusters.

    Args:
        fleet: After the reading before.
        cluster: Whose reading it is; one of the fleet.
        seen: What was judged.
        at: Seconds on a clock that never jumps, the same one for the whole fleet.
        step_seconds: Since this cluster's last reading.
        groups: The failover groups: the members of each connection profile.
        numbers: When this cluster moves.
        guards: When the fleet's guards hold; the cluster's own numbers when None.
        is_break: Readings of this cluster are missing in between.
    """
    guards = guards or numbers
    fleet = _with_darkness(fleet, cluster, seen, at, guards)
    routing, reading = fleet.routing(cluster), seen.reading
    if fleet.is_suspect:
        reading = replace(reading, is_known=False)
    wanted = wants_out(routing, reading, numbers)
    is_last = wanted and _is_last(fleet, cluster, groups)
    is_too_many = wanted and not _has_room(fleet, cluster, guards)
    after, transition = read(
        routing,
        reading,
        step_seconds,
        numbers,
        may_eject=not (is_last or is_too_many),
        is_break=is_break,
    )
    known = reading.is_known
    return Step(
        fleet=replace(
            fleet,
            clusters={**fleet.clusters, cluster: after},
            panics=_marked(fleet.panics, cluster, mark=is_last, is_known=known),
            held_back=_marked(
                fleet.held_back, cluster, mark=is_too_many and not is_last, is_known=known
            ),
        ),
        transition=transition,
    )


def with_force(fleet: FleetRouting, cluster: str, forced: Forced | None) -> FleetRouting:
    """The fleet with an operator's word on one cluster, or with it taken back."""
    routing = force(fleet.routing(cluster), forced)
    return replace(fleet, clusters={**fleet.clusters, cluster: routing})


def _marked(marks: frozenset[str], cluster: str, *, mark: bool, is_known: bool) -> frozenset[str]:
    if mark:
        return marks | {cluster}
    # What is not known now changes nothing: neither a panic nor its end.
    return marks - {cluster} if is_known else marks


def _with_darkness(
    fleet: FleetRouting, cluster: str, seen: FleetReading, at: float, numbers: RoutingScoring
) -> FleetRouting:
    is_dark = seen.is_unreachable or not seen.reading.is_known
    dark = dict(fleet.dark_since)
    never = fleet.never_known
    if not is_dark:
        dark.pop(cluster, None)
        never -= {cluster}
    elif cluster not in dark and cluster not in never:
        dark[cluster] = at
    together = frozenset(
        name for name, since in dark.items() if at - since <= numbers.suspect_within_seconds
    )
    # Once in doubt, it ends when enough of those that turned dark together are back.
    suspects = together | (fleet.suspects & dark.keys())
    if not _are_many(len(suspects), len(fleet.clusters), numbers):
        suspects = frozenset()
    return replace(fleet, dark_since=dark, never_known=never, suspects=suspects)


def _are_many(dark: int, clusters: int, numbers: RoutingScoring) -> bool:
    return dark >= numbers.suspect_clusters and dark >= numbers.suspect_share * clusters - 1e-9


def _has_room(fleet: FleetRouting, cluster: str, numbers: RoutingScoring) -> bool:
    out = sum(
        1
        for name, routing in fleet.clusters.items()
        if name != cluster and routing.state is RoutingState.OUT
    )
    limit = max(1, math.floor(numbers.fleet_out_share * len(fleet.clusters) + 1e-9))
    return out < limit


def _is_last(fleet: FleetRouting, cluster: str, groups: Iterable[Collection[str]]) -> bool:
    """Whether some group that has this cluster would have no other one to serve."""
    return any(
        cluster in group
        and all(
            fleet.routing(name).effective is RoutingState.OUT for name in group if name != cluster
        )
        for group in groups
    )
