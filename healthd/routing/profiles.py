"""Connection profiles: stable names that clients resolve to clusters that are fit to serve."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from healthd.health.scoring import RoutingScoring
from healthd.routing.fleet import FleetRouting
from healthd.routing.verdict import WHOLE_PERCENT, RoutingState, Verdict


class Order(StrEnum):
    """How the members of a profile stand to each other."""

    PREFERENCE = "preference"
    """The first that is fit is used; during its probation only for its weight's share."""
    EQUAL = "equal"
    """All that are fit are used, in proportion to their weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """How clients connect to one cluster."""

    cluster: str
    bootstrap_servers: tuple[str, ...]
    security_protocol: str = "PLAINTEXT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One connection profile with its members, the most preferred first."""

    name: str
    order: Order
    members: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One cluster that clients may use now."""

    endpoint: Endpoint
    verdict: Verdict
    """IN or PROBATION. One that is held is what it was: a look that was missed moves no client."""
    weight_percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What a profile resolves to."""

    profile: str
    order: Order
    members: tuple[Member, ...]
    """Those that are IN or in PROBATION, or held there; in the profile's order."""

    def as_json(self) -> dict[str, Any]:
        """The form of the API."""
        return {
            "profile": self.profile,
            "order": self.order.value,
            "members": [
                {
                    "cluster": member.endpoint.cluster,
                    "verdict": member.verdict.value,
                    "weight": member.weight_percent,
                    "bootstrapServers": list(member.endpoint.bootstrap_servers),
                    "securityProtocol": member.endpoint.security_protocol,
                }
                for member in self.members
            ],
        }

    @property
    def etag(self) -> str:
        """A name for exactly this answer; the same after a restart."""
        text = json.dumps(self.as_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def resolve(
    profile: Profile,
    fleet: FleetRouting,
    numbers: Mapping[str, RoutingScoring],
    *,
    is_dry_run: bool = False,
) -> Route:
    """The members of a profile that clients may use.

    Args:
        profile: Whose members.
        fleet: The verdicts.
        numbers: The routing numbers of each cluster.
        is_dry_run: Only what an operator forced counts; all others are used.
    """
    return Route(
        profile=profile.name,
        order=profile.order,
        members=tuple(_members(profile, fleet, numbers, is_dry_run=is_dry_run)),
    )


def _members(
    profile: Profile,
    fleet: FleetRouting,
    numbers: Mapping[str, RoutingScoring],
    *,
    is_dry_run: bool,
) -> Iterable[Member]:
    for endpoint in profile.members:
        routing = fleet.routing(endpoint.cluster)
        if is_dry_run and routing.forced is None:
            yield Member(endpoint=endpoint, verdict=Verdict.IN, weight_percent=WHOLE_PERCENT)
        elif routing.effective is not RoutingState.OUT:
            yield Member(
                endpoint=endpoint,
                verdict=Verdict(routing.effective.value),
                weight_percent=routing.weight_percent(numbers[endpoint.cluster]),
            )
