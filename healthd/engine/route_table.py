"""What every profile resolves to, made when something moves and only read when somebody asks."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from healthd.config.fleet import ClusterConfig, Fleet
from healthd.health.scoring import RoutingScoring
from healthd.routing.fleet import FleetRouting
from healthd.routing.profiles import Endpoint, Order, Profile, Route, resolve
from healthd.routing.verdict import RoutingState


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A route as it is sent."""

    route: Route
    etag: str
    body: bytes
    """JSON."""


class RouteTable:
    """The profiles of one fleet file, and their answers."""

    def __init__(self, fleet: Fleet) -> None:
        self._profiles = {profile.name: profile for profile in profiles_of(fleet)}
        self._clusters = tuple(cluster.name for cluster in fleet.clusters)
        self._of_cluster: dict[str, list[Profile]] = {}
        for profile in self._profiles.values():
            for member in profile.members:
                self._of_cluster.setdefault(member.cluster, []).append(profile)
        self.answers: Mapping[str, Answer] = {}
        """By the profile's name; replaced as a whole when something moves."""

    def without_others(self, cluster: str, fleet: FleetRouting) -> list[str]:
        """The profiles of a cluster in which every other member is out."""
        return sorted(
            profile.name
            for profile in self._of_cluster.get(cluster, ())
            if all(
                fleet.routing(member.cluster).effective is RoutingState.OUT
                for member in profile.members
                if member.cluster != cluster
            )
        )

    def groups_of(self, cluster: str) -> list[frozenset[str]]:
        """The failover groups that a cluster is in: the members of each of its profiles."""
        groups = {
            frozenset(member.cluster for member in profile.members)
            for profile in self._of_cluster.get(cluster, ())
        }
        return list(groups)

    def resolve(
        self,
        fleet: FleetRouting,
        numbers: Callable[[str], RoutingScoring],
        cluster: str | None = None,
        *,
        is_dry_run: bool,
    ) -> bool:
        """Whether an answer is another one than before.

        Args:
            fleet: The verdicts.
            numbers: The routing numbers of a cluster.
            cluster: The one that may have moved; None: any.
            is_dry_run: Verdicts take nobody out.
        """
        concerned = (
            self._profiles.values() if cluster is None else self._of_cluster.get(cluster, ())
        )
        own = {name: numbers(name) for name in self._clusters} if concerned else {}
        changed: dict[str, Answer] = {}
        for profile in concerned:
            route = resolve(profile, fleet, own, is_dry_run=is_dry_run)
            known = self.answers.get(profile.name)
            if known is None or known.route != route:
                body = json.dumps(route.as_json(), separators=(",", ":")).encode()
                changed[profile.name] = Answer(route=route, etag=route.etag, body=body)
        if changed:
            self.answers = {**self.answers, **changed}
        return bool(changed)


def profiles_of(fleet: Fleet) -> list[Profile]:
    """The profiles of a fleet file with their members' addresses."""
    labels = {cluster.name: cluster.labels for cluster in fleet.clusters}
    clusters = {cluster.name: cluster for cluster in fleet.clusters}
    return [
        Profile(
            name=profile.name,
            order=Order(profile.order),
            members=tuple(
                _endpoint(clusters[name]) for name in profile.clusters(labels) if name in clusters
            ),
        )
        for profile in fleet.profiles
    ]


def _endpoint(cluster: ClusterConfig) -> Endpoint:
    own = cluster.clients
    return Endpoint(
        cluster=cluster.name,
        bootstrap_servers=cluster.bootstrap_servers if own is None else own.bootstrap_servers,
        security_protocol=cluster.security.protocol if own is None else own.security_protocol,
    )
