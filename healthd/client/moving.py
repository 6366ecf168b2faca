"""When a client moves to another cluster, and how it connects there."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from healthd.client.route import Member

DOWN_SECONDS: Final = 120.0
"""So long librdkafka's word that all brokers are down counts, when nothing was heard since."""
_OURS: Final = frozenset({"bootstrap.servers", "metadata.broker.list", "error_cb"})

ClusterConfig = Callable[[Member], Mapping[str, Any]]
"""What a cluster needs beside the common configuration: its own credentials and certificates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Over what time clients move, so that they do not all arrive at once."""

    seconds: float = 5.0
    """A client whose cluster still serves it moves at a moment drawn from so long."""
    down_seconds: float = 0.5
    """One whose cluster is down for it."""


class Move:
    """The moment at which one client moves; drawn once for each new destination."""

    def __init__(self, spread: Spread, draw: Callable[[], float] = random.random) -> None:
        self._spread = spread
        self._draw = draw
        self._wanted: Member | None = None
        self._share = 0.0
        self._since = 0.0

    def is_due(
        self, current: Member | None, wanted: Member | None, *, is_down: bool, now: float
    ) -> bool:
        """Whether the client should move now.

        Args:
            current: The cluster it is on, as it is connected; None: it is on none.
            wanted: The cluster it should be on; None: the one it has.
            is_down: Its own cluster does not serve it any more.
            now: Monotonic seconds.
        """
        if wanted is None or (current is not None and is_same(current, wanted)):
            self._wanted = None
            return False
        if current is None:
            return True
        if self._wanted is None or not is_same(self._wanted, wanted):
            self._wanted, self._share, self._since = wanted, self._draw(), now
        window = self._spread.down_seconds if is_down else self._spread.seconds
        return now - self._since >= self._share * window


def is_same(one: Member, other: Member) -> bool:
    """Whether a client of the one needs no new connection for the other."""
    return (one.cluster, one.bootstrap_servers, one.security_protocol) == (
        other.cluster,
        other.bootstrap_servers,
        other.security_protocol,
    )


def configuration(
    common: Mapping[str, Any], member: Member, of_cluster: ClusterConfig | None
) -> dict[str, Any]:
    """Librdkafka's configuration for one cluster."""
    own = {} if of_cluster is None else dict(of_cluster(member))
    return {
        # The profile knows the protocol; who knows better says so in the own configuration.
        "security.protocol": member.security_protocol,
        **common,
        **own,
        "bootstrap.servers": ",".join(member.bootstrap_servers),
    }


def refuse(config: Mapping[str, Any], more: Mapping[str, str]) -> None:
    """Refuse keys that a client which moves cannot have.

    Raises:
        ValueError: There is one; says which and why.
    """
    for key in config:
        if key in _OURS:
            raise ValueError(f"{key}: is set from the profile's answer; leave it out")
        if key in more:
            raise ValueError(f"{key}: {more[key]}")


class Pulse:
    """Whether a cluster serves a client, as far as the client itself can tell."""

    def __init__(self) -> None:
        self._down_at: float | None = None
        self.is_broken = False
        """The client cannot go on and must be made anew (librdkafka's fatal errors)."""

    def is_down(self, now: float) -> bool:
        """Whether all brokers were lost, and nothing came from them since."""
        down_at = self._down_at
        return down_at is not None and now - down_at < DOWN_SECONDS

    def lost(self, now: float) -> None:
        """All brokers are down."""
        self._down_at = now

    def heard(self) -> None:
        """A broker has answered."""
        self._down_at = None
