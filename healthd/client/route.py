"""What a profile resolves to, and which of its clusters one client uses.

Values in, values out: no clock, no network.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

WHOLE_PERCENT: Final = 100.0
_ORDERS: Final = frozenset({"preference", "equal"})
_BITS: Final = 53
"""What a float holds exactly."""


class ResolveError(Exception):
    """No answer, or none that can be used; says whose, why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One cluster that may be used now."""

    cluster: str
    bootstrap_servers: tuple[str, ...]
    security_protocol: str
    verdict: str = "IN"
    weight_percent: float = WHOLE_PERCENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What a profile resolves to."""

    profile: str
    order: str
    """`preference` or `equal`."""
    members: tuple[Member, ...]
    etag: str = ""

    def member(self, cluster: str) -> Member | None:
        """The member of that name; None when it may not be used."""
        return next((member for member in self.members if member.cluster == cluster), None)


def parse_route(body: bytes, etag: str = "") -> Route:
    """The route that healthd's answer describes; fields that it does not know are passed over.

    Raises:
        ResolveError: It describes none.
    """
    try:
        document = json.loads(body)
        return Route(
            profile=_text(document, "profile"),
            order=_order(document),
            members=tuple(_member(item) for item in document["members"]),
            etag=etag,
        )
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ResolveError(
            f"the answer is no route of healthd ({error!r}); is the URL that of a healthd?"
        ) from None


def route_json(route: Route) -> dict[str, Any]:
    """The form that `parse_route` reads."""
    return {
        "profile": route.profile,
        "order": route.order,
        "members": [
            {
                "cluster": member.cluster,
                "verdict": member.verdict,
                "weight": member.weight_percent,
                "bootstrapServers": list(member.bootstrap_servers),
                "securityProtocol": member.security_protocol,
            }
            for member in route.members
        ],
    }


def choose(route: Route, client_id: str) -> Member | None:
    """The cluster that this client uses; None: keep what you have.

    The same client gets the same answer, and another one only where the route's change concerns
    it: with 10 % of the weight the same tenth of all clients is there, and stays when it is 50 %.

    Args:
        route: What the profile resolves to.
        client_id: Anything that tells this client from the others and stays the same.
    """
    if not route.members:
        return None
    if route.order == "equal":
        return min(route.members, key=lambda member: _cost(member, client_id))
    *first, last = route.members
    for member in first:
        if _draw(client_id, member.cluster) * WHOLE_PERCENT < member.weight_percent:
            return member
    return last


def _cost(member: Member, client_id: str) -> tuple[float, str]:
    """Weighted rendezvous hashing: the least cost wins in proportion to the weights."""
    if member.weight_percent <= 0:
        return math.inf, member.cluster
    return -math.log(_draw(client_id, member.cluster)) / member.weight_percent, member.cluster


def _draw(client_id: str, cluster: str) -> float:
    """The client's own number for a cluster, evenly spread above 0 and below 1."""
    text = f"{client_id}\0{cluster}".encode("utf-8", "surrogatepass")
    number = int.from_bytes(hashlib.sha256(text).digest()[:8]) >> (64 - _BITS)
    return (number + 0.5) / float(1 << _BITS)


def _text(document: Mapping[str, Any], key: str) -> str:
    value = document[key]
    if not isinstance(value, str) or not value:
        raise TypeError(f"{key} must be text")
    return value


def _order(document: Mapping[str, Any]) -> str:
    order = _text(document, "order")
    if order not in _ORDERS:
        raise ValueError(f"unknown order {order}")
    return order


def _member(item: Mapping[str, Any]) -> Member:
    servers = item["bootstrapServers"]
    if not isinstance(servers, list) or not servers or not all(isinstance(s, str) for s in servers):
        raise TypeError("bootstrapServers must be a list of addresses")
    weight = item["weight"]
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight):
        raise TypeError("weight must be a number")
    return Member(
        cluster=_text(item, "cluster"),
        bootstrap_servers=tuple(servers),
        security_protocol=_text(item, "securityProtocol"),
        verdict=_text(item, "verdict"),
        weight_percent=float(weight),
    )
