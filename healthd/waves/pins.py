"""What an accepted wave rests on: its playbook, the inventory and the topology, as digests.

A difference pauses the wave and is told in words; a person's resume accepts it. The assignment is
not pinned: it is judged live, on every snapshot and again right before each stop, and a topic that
somebody creates is no reason to wake anybody.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import Any, Final

from healthd.model.snapshot import ClusterSnapshot
from healthd.model.words import Role
from healthd.waves.playbook import Playbook

_DIGITS: Final = 16
_MOST_NAMED: Final = 8
_BROKER: Final = "broker:"
SSH: Final = "ssh"
SERVICE: Final = "service"
VARIABLES: Final = "variables"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Nodes that have the same rack and roles."""

    rack: str | None
    roles: tuple[Role, ...] | None
    nodes: tuple[int, ...]
    """By rising id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pins:
    """What a wave was accepted with, or what there is now."""

    playbook: str
    inventory: tuple[tuple[str, str], ...]
    """Part (``ssh``, ``service``, ``variables``, ``broker:ID``) and digest."""
    places: tuple[Place, ...] = ()
    """Every node of the cluster; empty until the cluster was seen."""


def digest_of(value: Any) -> str:
    """A short digest of a plain value, or of a dataclass of such."""
    plain = asdict(value) if hasattr(value, "__dataclass_fields__") else value
    text = json.dumps(plain, sort_keys=True, default=str)
    return sha256(text.encode()).hexdigest()[:_DIGITS]


def playbook_digest(playbook: Playbook) -> str:
    """The digest of what a playbook does; its description may be rewritten."""
    plain = asdict(replace(playbook, description="", folder=""))
    # How it was asked for is nothing that it does.
    del plain["asked_digest"]
    return digest_of(plain)


def places_of(snapshot: ClusterSnapshot) -> tuple[Place, ...]:
    """Every node with its rack and roles, those that are alike together."""
    found: dict[tuple[str | None, tuple[Role, ...] | None], list[int]] = {}
    for broker in sorted(snapshot.brokers, key=lambda broker: broker.id):
        roles = None if broker.roles is None else tuple(sorted(broker.roles))
        found.setdefault((broker.rack, roles), []).append(broker.id)
    return tuple(
        Place(rack=rack, roles=roles, nodes=tuple(nodes)) for (rack, roles), nodes in found.items()
    )


def topology_changes(
    before: Sequence[Place], now: Sequence[Place], word: str = "broker"
) -> tuple[str, ...]:
    """Who joined, left, moved to another rack or has other roles, in words.

    What is not known on one side is no difference: a broker that is down may say no rack, and of a
    cluster of which nobody is seen nobody knows who has left it.
    """
    if not before or not now or before == now:
        return ()
    was, is_now = _by_node(before), _by_node(now)
    return tuple(_changes(was, is_now, word))


def _changes(was: Mapping[int, Place], is_now: Mapping[int, Place], word: str) -> Iterator[str]:
    joined, left = sorted(is_now.keys() - was.keys()), sorted(was.keys() - is_now.keys())
    if joined:
        yield f"{_named(joined, word)} joined the cluster and {_verb(joined)} not part of this wave"
    if left:
        yield f"{_named(left, word)} left the cluster"
    for node in sorted(was.keys() & is_now.keys()):
        one, other = was[node], is_now[node]
        if None not in {one.rack, other.rack} and one.rack != other.rack:
            yield f"{word} {node} moved from rack {one.rack} to rack {other.rack}"
        if None not in {one.roles, other.roles} and one.roles != other.roles:
            yield f"{word} {node} was {_roles(one.roles)} and is {_roles(other.roles)}"


def inventory_changes(
    before: Iterable[tuple[str, str]], now: Iterable[tuple[str, str]], word: str = "broker"
) -> tuple[str, ...]:
    """What is different in the fleet file's hosts and how they are driven, in words."""
    was, is_now = dict(before), dict(now)
    both = was.keys() & is_now.keys()
    changed = {key for key in both if was[key] != is_now[key]}
    found = [words for key, words in _HOW.items() if key in changed ^ (was.keys() ^ is_now.keys())]
    for words, keys in (
        ("the fleet file has another host for {}", changed),
        ("the fleet file has a host for {} now", is_now.keys() - was.keys()),
        ("the fleet file has no host for {} any more", was.keys() - is_now.keys()),
    ):
        nodes = sorted(int(key.removeprefix(_BROKER)) for key in keys if key.startswith(_BROKER))
        if nodes:
            found.append(words.format(_named(nodes, word)))
    return tuple(found)


_HOW: Final = {
    SSH: "the ssh access in the fleet file is another",
    SERVICE: "the service commands in the fleet file are others",
    VARIABLES: "the variables in the fleet file are others",
}


def broker_part(node: int) -> str:
    """The name of the inventory's part that is about one node."""
    return f"{_BROKER}{node}"


def _by_node(places: Iterable[Place]) -> dict[int, Place]:
    return {node: place for place in places for node in place.nodes}


def _named(nodes: Sequence[int], word: str) -> str:
    shown = ", ".join(map(str, nodes[:_MOST_NAMED]))
    more = len(nodes) - _MOST_NAMED
    many = "s" if len(nodes) > 1 else ""
    return f"{word}{many} {shown}" + (f" and {more} more" if more > 0 else "")


def _verb(nodes: Sequence[int]) -> str:
    return "is" if len(nodes) == 1 else "are"


def _roles(roles: Sequence[Role] | None) -> str:
    return " and ".join(roles or ()) or "without roles"
