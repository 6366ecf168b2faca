"""What one ZooKeeper server says of itself, from four-letter words or its AdminServer. Pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class ServerState(StrEnum):
    """What a server of an ensemble is."""

    LEADER = "leader"
    FOLLOWER = "follower"
    OBSERVER = "observer"
    STANDALONE = "standalone"
    READ_ONLY = "read-only"
    """It has lost the majority and serves old data to clients that ask for that."""
    NOT_SERVING = "not-serving"
    """It answers, and is in no quorum: an election, or the majority is gone."""
    SILENT = "silent"
    """It gave no answer; `failure` says why."""
    UNKNOWN = "unknown"
    """It is there, and may not say more."""

    @property
    def is_serving(self) -> bool:
        """Whether it belongs to a majority: a follower serves only once it is in sync."""
        return self in _SERVING


_SERVING: Final = frozenset(
    {ServerState.LEADER, ServerState.FOLLOWER, ServerState.OBSERVER, ServerState.STANDALONE}
)
_NOT_SERVING: Final = "not currently serving requests"
_DENIED: Final = "is not executed because it is not in the whitelist"
_MEMBER: Final = re.compile(r"server\.([0-9]{1,9})=")
_ID: Final = re.compile(r"[0-9]{1,9}")
_VERSION: Final = re.compile(r"\d+(?:\.\d+)+")


class AnswerError(Exception):
    """An answer that says nothing; the text says why, fit to follow the server's name."""


class DeniedError(AnswerError):
    """The server does not allow this word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSays:
    """What a server says of itself. None: it does not say."""

    state: ServerState
    version: str | None = None
    zxid: int | None = None
    """Its last transaction: the epoch in the upper, a counter in the lower 32 bits."""
    outstanding_requests: int | None = None
    average_latency_ms: float | None = None
    connections: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderSays:
    """What a leader says of its ensemble. None: it does not say."""

    synced_followers: int | None = None
    quorum_size: int | None = None
    """How many servers vote."""


def says_of_srvr(text: str) -> ServerSays:
    """What the answer to ``srvr`` says.

    Raises:
        DeniedError: the word is not allowed.
        AnswerError: it is no such answer, or only the beginning of one.
    """
    if _is_idle(text, "srvr"):
        return ServerSays(state=ServerState.NOT_SERVING)
    found = _lines(text, ":")
    if "Mode" not in found:
        raise AnswerError("gave no whole answer to srvr: is this ZooKeeper's client port?")
    return ServerSays(
        state=_state(found["Mode"]),
        version=_version(found.get("Zookeeper version")),
        zxid=_number(found.get("Zxid"), 0),
        outstanding_requests=_number(found.get("Outstanding")),
        average_latency_ms=_average(found.get("Latency min/avg/max")),
        connections=_number(found.get("Connections")),
    )


def says_of_mntr(text: str) -> LeaderSays:
    """What a leader's answer to ``mntr`` says of its ensemble.

    Raises:
        DeniedError: the word is not allowed.
        AnswerError: it is no such answer.
    """
    if _is_idle(text, "mntr"):
        return LeaderSays()
    found = _lines(text, "\t")
    if "zk_server_state" not in found:
        raise AnswerError("gave no whole answer to mntr")
    return LeaderSays(
        synced_followers=_number(found.get("zk_synced_followers")),
        quorum_size=_number(found.get("zk_quorum_size")),
    )


def identity_of_conf(text: str) -> tuple[int | None, frozenset[int]]:
    """The server's id (``myid``) and those of the ensemble's members in the answer to ``conf``.

    Raises:
        DeniedError: the word is not allowed.
    """
    if _is_idle(text, "conf"):
        return None, frozenset()
    members = (_MEMBER.match(line) for line in text.splitlines())
    return _number(_lines(text, "=").get("serverId")), frozenset(
        int(member.group(1)) for member in members if member is not None
    )


def admin_object(body: bytes) -> Mapping[str, Any] | None:
    """The object that an AdminServer command answered; None while the server does not serve.

    Raises:
        AnswerError: it is no answer of an AdminServer, or tells of another error.
    """
    try:
        # A number with very many digits is a ValueError too, nesting without end its own error.
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise AnswerError("gave no JSON: is this ZooKeeper's AdminServer?") from None
    if not isinstance(found, dict) or "error" not in found:
        raise AnswerError("gave JSON that is no answer of ZooKeeper's AdminServer")
    error = found["error"]
    if error is None:
        return found
    if _NOT_SERVING in str(error):
        return None
    raise AnswerError("answered with an error instead of a state")


def says_of_server_stats(found: Mapping[str, Any] | None) -> ServerSays:
    """The same as `says_of_srvr`, from the AdminServer's ``/commands/srvr``.

    Raises:
        AnswerError: the state is not in it.
    """
    if found is None:
        return ServerSays(state=ServerState.NOT_SERVING)
    stats = found.get("server_stats")
    if not isinstance(stats, dict) or not isinstance(stats.get("server_state"), str):
        raise AnswerError("gave an answer without server_state")
    is_read_only = found.get("read_only") is True
    return ServerSays(
        state=ServerState.READ_ONLY if is_read_only else _state(stats["server_state"]),
        version=_version(found.get("version")),
        zxid=_integer(stats.get("last_processed_zxid")),
        outstanding_requests=_integer(stats.get("outstanding_requests")),
        average_latency_ms=_float(stats.get("avg_latency")),
        connections=_integer(stats.get("num_alive_client_connections")),
    )


def says_of_monitor(found: Mapping[str, Any] | None) -> LeaderSays:
    """The same as `says_of_mntr`, from the AdminServer's ``/commands/monitor``."""
    found = found or {}
    return LeaderSays(
        synced_followers=_integer(found.get("synced_followers")),
        quorum_size=_integer(found.get("quorum_size")),
    )


def id_of_configuration(found: Mapping[str, Any] | None) -> int | None:
    """The server's id in the AdminServer's ``/commands/configuration``."""
    return _integer((found or {}).get("server_id"))


def members_of_voting_view(found: Mapping[str, Any] | None) -> frozenset[int]:
    """The ids of the ensemble's voters in the AdminServer's ``/commands/voting_view``."""
    members = (found or {}).get("current_config")
    names = members if isinstance(members, dict) else {}
    return frozenset(int(name) for name in names if _ID.fullmatch(name))


def _is_idle(text: str, word: str) -> bool:
    if text.startswith(f"{word} {_DENIED}"):
        raise DeniedError(f"does not allow the word {word}")
    return _NOT_SERVING in text


def _lines(text: str, separator: str) -> dict[str, str]:
    pairs = (line.partition(separator) for line in text.splitlines())
    return {name.strip(): value.strip() for name, found, value in pairs if found}


def _state(word: str) -> ServerState:
    try:
        return ServerState(word)
    except ValueError:
        # A word of another version: it answers and says that it is something.
        return ServerState.UNKNOWN


def _version(text: Any) -> str | None:
    match = _VERSION.match(text) if isinstance(text, str) else None
    return None if match is None else match.group(0)


def _number(text: str | None, base: int = 10) -> int | None:
    try:
        return _integer(int(text, base)) if text is not None else None
    except ValueError:
        return None


def _integer(value: Any) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    # -1 is ZooKeeper's word for "none so far"; nothing that it counts is above a Java long.
    return value if 0 <= value < 2**63 else None


def _average(text: str | None) -> float | None:
    parts = (text or "").split("/")
    try:
        return _float(float(parts[1])) if len(parts) == len(("min", "avg", "max")) else None
    except ValueError:
        return None


def _float(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < float("inf") else None
