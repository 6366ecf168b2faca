"""What the servers of an ensemble said, put together. Pure."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

from healthd.collect.observation import FailureReason
from healthd.collect.zookeeper_server import ServerSeen
from healthd.collect.zookeeper_words import LeaderSays, ServerState

_LEADS: Final = frozenset({ServerState.LEADER, ServerState.STANDALONE})
_EPOCH_BITS: Final = 32


def is_serving(one: ServerSeen, seen: Sequence[ServerSeen]) -> bool | None:
    """Whether a server takes part in its ensemble; None when nobody can tell.

    A server that does not answer us is out only where it refuses, or where another one answers:
    else it may be our own network.
    """
    state = one.says.state
    if state.is_serving:
        return True
    if state in {ServerState.NOT_SERVING, ServerState.READ_ONLY}:
        return False
    if one.reason is FailureReason.REFUSED:
        return False
    if state is ServerState.UNKNOWN or one.reason is FailureReason.DNS:
        return None
    others_answer = any(other.reason is None for other in seen)
    return False if others_answer else None


def majority_is_gone(seen: Sequence[ServerSeen]) -> bool:
    """Whether the ensemble cannot have a majority: nobody serves, and more than half say why.

    A server that times out says nothing of the kind; one that refuses, or that itself says it
    serves nobody, does.
    """
    if any(one.says.state.is_serving for one in seen):
        return False
    out = [
        one
        for one in seen
        if one.reason is FailureReason.REFUSED
        or one.says.state in {ServerState.NOT_SERVING, ServerState.READ_ONLY}
    ]
    return 2 * len(out) > len(seen)


def ids_of(seen: Sequence[ServerSeen]) -> dict[str, int]:
    """The id of every server by its address.

    Their own word counts. A server that never said (words off, or silent since the start) gets an
    id that the ensemble names and nobody else has, in the order of the configuration; without any
    such word its position, counted from 1.
    """
    known = {one.address: one.id for one in seen if one.id is not None}
    members = sorted(set().union(*(one.members for one in seen)) - set(known.values()))
    left = iter([*members, *(n for n in range(1, 1000) if n not in {*members, *known.values()})])
    return {one.address: known[one.address] if one.address in known else next(left) for one in seen}


def section_of(
    seen: Sequence[ServerSeen],
    *,
    chroot: str,
    controller: int | None,
    registered: AbstractSet[int] | None,
    numbers: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """The section `zookeeper` of the snapshot's `extra`; what is unknown is left out.

    `numbers` are the servers' ids by address, where the fleet file says them.
    """
    ids = ids_of(seen)
    leader = next((one for one in seen if one.says.state in _LEADS), None)
    told = LeaderSays() if leader is None or leader.leads is None else leader.leads
    has_majority = True if any(one.says.state.is_serving for one in seen) else None
    return _known(
        {
            "chroot": chroot or "/",
            "servers": [
                _server(one, seen, ids[one.address], leader) | _named(one, numbers) for one in seen
            ],
            "leader": None if leader is None else leader.address,
            "hasMajority": False if majority_is_gone(seen) else has_majority,
            "syncedFollowers": told.synced_followers,
            "quorumSize": told.quorum_size,
            "controllerId": controller,
            "registeredBrokers": None if registered is None else sorted(registered),
        }
    )


def _server(
    one: ServerSeen, seen: Sequence[ServerSeen], number: int, leader: ServerSeen | None
) -> dict[str, Any]:
    says = one.says
    return _known(
        {
            "address": one.address,
            "id": number,
            "state": says.state.value,
            "isServing": is_serving(one, seen),
            "version": says.version,
            "zxid": None if says.zxid is None else f"0x{says.zxid:x}",
            "zxidLag": _lag(one, leader),
            "outstandingRequests": says.outstanding_requests,
            "averageLatencyMs": says.average_latency_ms,
            "connections": says.connections,
            "askedBy": "adminServer" if one.asked_admin_server else "words",
            "failure": one.problem or None,
        }
    )


def _named(one: ServerSeen, numbers: Mapping[str, int] | None) -> dict[str, Any]:
    """Who the fleet file says that a server is, and who it says itself."""
    number = (numbers or {}).get(one.address)
    return {} if number is None else _known({"server": number, "ownId": one.id})


def _lag(one: ServerSeen, leader: ServerSeen | None) -> int | None:
    """Transactions behind the leader; they were asked at about the same time, not at the same."""
    own = one.says.zxid
    newest = None if leader is None else leader.says.zxid
    if own is None or newest is None or own >> _EPOCH_BITS != newest >> _EPOCH_BITS:
        return None
    return max(0, newest - own)


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
