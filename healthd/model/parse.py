"""The snapshot from its JSON form (contract.md section 2), strictly."""

from datetime import datetime
from typing import Any, Final

from healthd.model import json_reader as read
from healthd.model.json_reader import InputError, member, refuse
from healthd.model.snapshot import (
    DEFAULT_INTERVAL_SECONDS,
    Broker,
    ClusterSnapshot,
    Probe,
    Quorum,
    Topic,
    Voter,
    shared_isr,
)
from healthd.model.words import BrokerState, EvidenceGroup, Excluded, QuorumMode, Role

__all__ = ["API_VERSION", "InputError", "parse_snapshot", "snapshot_of"]

API_VERSION: Final = "healthd/v1"
KIND: Final = "ClusterSnapshot"

_SNAPSHOT_FIELDS: Final = frozenset({
    "apiVersion", "kind", "cluster", "observedAt", "intervalSeconds", "brokers", "quorum", "topics",
    "reassignments", "uncleanElections24h", "unreachable", "probe", "ages", "extra",
})  # fmt: skip
_BROKER_FIELDS: Final = frozenset({
    "id", "host", "rack", "alive", "state", "fenced", "roles", "requestHandlerIdle",
    "diskUsedRatio", "offlineLogDirs", "metricsAgeSeconds", "version",
})  # fmt: skip
_QUORUM_FIELDS: Final = frozenset({"mode", "leaderId", "fetchTimeoutMs", "absentSeconds", "voters"})
_VOTER_FIELDS: Final = frozenset({"id", "lastCaughtUpMs", "logEndOffset"})
_TOPIC_FIELDS: Final = frozenset({"name", "minInsyncReplicas", "excluded", "partitions"})
_PARTITION_FIELDS: Final = frozenset(
    {"id", "leader", "replicas", "isr", "adding", "removing", "elr", "leaderlessSeconds"}
)
_PROBE_FIELDS: Final = frozenset({"attempts", "succeeded"})


def parse_snapshot(data: bytes | str) -> ClusterSnapshot:
    """The snapshot that a JSON document describes.

    Raises:
        InputError: with the path of the first thing that is wrong.
    """
    return snapshot_of(read.load_json(data))


def snapshot_of(value: Any, at: str = "") -> ClusterSnapshot:
    """The snapshot that a JSON value describes; `at` is the value's own path.

    Raises:
        InputError: with the path of the first thing that is wrong.
    """
    found = read.an_object(value, at, _SNAPSHOT_FIELDS)
    for key, expected in (("apiVersion", API_VERSION), ("kind", KIND)):
        path = member(at, key)
        if read.a_text(read.required(found, key, at), path) != expected:
            refuse(path, f"must be {expected}")
    return ClusterSnapshot(
        cluster=read.a_text(read.required(found, "cluster", at), member(at, "cluster")),
        observed_at=_time(read.required(found, "observedAt", at), member(at, "observedAt")),
        interval_seconds=_interval(found, at),
        brokers=_brokers(read.required(found, "brokers", at), member(at, "brokers")),
        topics=_topics(read.required(found, "topics", at), member(at, "topics")),
        quorum=_quorum(found["quorum"], member(at, "quorum")) if "quorum" in found else None,
        reassignments=_count(found, "reassignments", at),
        unclean_elections_24h=_count(found, "uncleanElections24h", at),
        unreachable=_boolean(found, "unreachable", at),
        probe=_probe(found["probe"], member(at, "probe")) if "probe" in found else None,
        ages=_ages(found["ages"], member(at, "ages")) if "ages" in found else None,
        extra=_extra(found["extra"], member(at, "extra")) if "extra" in found else None,
    )


def _time(value: Any, path: str) -> datetime:
    text = read.rfc_3339(value, path)
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        refuse(path, f"is no time: {error}")


def _interval(found: dict[str, Any], at: str) -> float:
    if "intervalSeconds" not in found:
        return DEFAULT_INTERVAL_SECONDS
    path = member(at, "intervalSeconds")
    number = read.a_number(found["intervalSeconds"], path)
    if number <= 0:
        refuse(path, "must be above 0")
    return number


def _count(found: dict[str, Any], key: str, at: str) -> int | None:
    return read.an_integer(found[key], member(at, key)) if key in found else None


def _number(found: dict[str, Any], key: str, at: str, highest: float | None = None) -> float | None:
    return read.a_number(found[key], member(at, key), highest) if key in found else None


def _text(found: dict[str, Any], key: str, at: str) -> str | None:
    return read.a_text(found[key], member(at, key)) if key in found else None


def _boolean(found: dict[str, Any], key: str, at: str) -> bool | None:
    return read.a_boolean(found[key], member(at, key)) if key in found else None


def _brokers(value: Any, path: str) -> tuple[Broker, ...]:
    rows = [_broker(row, f"{path}[{at}]") for at, row in enumerate(read.a_list(value, path))]
    read.unique([row.id for row in rows], lambda at: f"{path}[{at}].id")
    return tuple(rows)


def _broker(value: Any, at: str) -> Broker:
    found = read.an_object(value, at, _BROKER_FIELDS)
    state = found.get("state")
    return Broker(
        id=read.an_id(read.required(found, "id", at), member(at, "id")),
        alive=read.a_boolean(read.required(found, "alive", at), member(at, "alive")),
        host=_text(found, "host", at),
        rack=_text(found, "rack", at),
        state=BrokerState.UNKNOWN
        if state is None
        else read.a_word(state, member(at, "state"), BrokerState),
        fenced=_boolean(found, "fenced", at) or False,
        roles=_roles(found["roles"], member(at, "roles")) if "roles" in found else None,
        request_handler_idle=_number(found, "requestHandlerIdle", at),
        disk_used_ratio=_number(found, "diskUsedRatio", at, 1),
        offline_log_dirs=_count(found, "offlineLogDirs", at),
        metrics_age_seconds=_number(found, "metricsAgeSeconds", at),
        version=_text(found, "version", at),
    )


def _roles(value: Any, path: str) -> frozenset[Role]:
    return frozenset(
        read.a_word(word, f"{path}[{at}]", Role) for at, word in enumerate(read.a_list(value, path))
    )


def _quorum(value: Any, at: str) -> Quorum:
    found = read.an_object(value, at, _QUORUM_FIELDS)
    voters_path = member(at, "voters")
    voters = [
        _voter(row, f"{voters_path}[{position}]")
        for position, row in enumerate(read.a_list(found.get("voters", []), voters_path))
    ]
    read.unique([voter.id for voter in voters], lambda at: f"{voters_path}[{at}].id")
    leader = found.get("leaderId")
    return Quorum(
        mode=read.a_word(read.required(found, "mode", at), member(at, "mode"), QuorumMode),
        leader_id=None if leader is None else read.an_id(leader, member(at, "leaderId"), -1),
        fetch_timeout_ms=_count(found, "fetchTimeoutMs", at),
        absent_seconds=_number(found, "absentSeconds", at),
        voters=tuple(voters),
    )


def _voter(value: Any, at: str) -> Voter:
    found = read.an_object(value, at, _VOTER_FIELDS)
    caught_up, end = found.get("lastCaughtUpMs"), found.get("logEndOffset")
    return Voter(
        id=read.an_id(read.required(found, "id", at), member(at, "id")),
        last_caught_up_ms=None
        if caught_up is None
        else read.an_integer(caught_up, member(at, "lastCaughtUpMs"), -1),
        log_end_offset=None
        if end is None
        else read.an_integer(end, member(at, "logEndOffset"), -1),
    )


def _topics(value: Any, path: str) -> tuple[Topic, ...]:
    topics = [_topic(row, f"{path}[{at}]") for at, row in enumerate(read.a_list(value, path))]
    read.unique([topic.name for topic in topics], lambda at: f"{path}[{at}].name")
    return tuple(topics)


def _topic(value: Any, at: str) -> Topic:
    found = read.an_object(value, at, _TOPIC_FIELDS)
    path = member(at, "partitions")
    name = read.a_text(read.required(found, "name", at), member(at, "name"))
    minimum, excluded = found.get("minInsyncReplicas"), found.get("excluded")
    columns = _Columns()
    for position, row in enumerate(read.a_list(read.required(found, "partitions", at), path)):
        columns.add(row, f"{path}[{position}]")
    read.unique(columns.ids, lambda position: f"{path}[{position}].id")
    return Topic(
        name=name,
        min_insync_replicas=None
        if minimum is None
        else read.an_integer(minimum, member(at, "minInsyncReplicas"), 1),
        excluded=None
        if excluded is None
        else read.a_word(excluded, member(at, "excluded"), Excluded),
        ids=tuple(columns.ids),
        leaders=tuple(columns.leaders),
        replicas=tuple(columns.replicas),
        isrs=tuple(columns.isrs),
        adding=columns.adding,
        removing=columns.removing,
        elr=columns.elr,
        leaderless_seconds=columns.leaderless_seconds,
    )


class _Columns:
    """The partitions of one topic while they are read."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.leaders: list[int] = []
        self.replicas: list[tuple[int, ...]] = []
        self.isrs: list[tuple[int, ...]] = []
        self.adding: dict[int, frozenset[int]] = {}
        self.removing: dict[int, frozenset[int]] = {}
        self.elr: dict[int, frozenset[int]] = {}
        self.leaderless_seconds: dict[int, float] = {}

    def add(self, value: Any, at: str) -> None:
        """Read one partition."""
        found = read.an_object(value, at, _PARTITION_FIELDS)
        position = len(self.ids)
        self.ids.append(read.an_id(read.required(found, "id", at), member(at, "id")))
        self.leaders.append(
            read.an_id(read.required(found, "leader", at), member(at, "leader"), -1)
        )
        replicas = _node_ids(read.required(found, "replicas", at), member(at, "replicas"))
        isr = _node_ids(read.required(found, "isr", at), member(at, "isr"))
        self.replicas.append(replicas)
        self.isrs.append(shared_isr(replicas, isr))
        for key, column in (
            ("adding", self.adding),
            ("removing", self.removing),
            ("elr", self.elr),
        ):
            if found.get(key):
                column[position] = _some_replicas(found[key], member(at, key), replicas)
            elif key in found:
                read.a_list(found[key], member(at, key))
        if "leaderlessSeconds" in found:
            path = member(at, "leaderlessSeconds")
            self.leaderless_seconds[position] = read.a_number(found["leaderlessSeconds"], path)


def _node_ids(value: Any, path: str) -> tuple[int, ...]:
    ids = [read.an_id(item, f"{path}[{at}]") for at, item in enumerate(read.a_list(value, path))]
    read.unique(ids, lambda at: f"{path}[{at}]")
    return tuple(ids)


def _some_replicas(value: Any, path: str, replicas: tuple[int, ...]) -> frozenset[int]:
    rows = read.a_list(value, path)
    ids = [read.an_id(item, f"{path}[{at}]") for at, item in enumerate(rows)]
    for at, node in enumerate(ids):
        if node not in replicas:
            refuse(f"{path}[{at}]", f"{node} is not in replicas")
    return frozenset(ids)


def _probe(value: Any, at: str) -> Probe:
    found = read.an_object(value, at, _PROBE_FIELDS)
    attempts, succeeded = (
        read.an_integer(read.required(found, key, at), member(at, key))
        for key in ("attempts", "succeeded")
    )
    if succeeded > attempts:
        refuse(member(at, "succeeded"), "must be at most attempts")
    return Probe(attempts=attempts, succeeded=succeeded)


def _ages(value: Any, path: str) -> dict[EvidenceGroup, float | None]:
    if not isinstance(value, dict):
        refuse(path, f"must be an object, not {read.kind_of(value)}")
    ages: dict[EvidenceGroup, float | None] = {}
    for key, age in value.items():
        at = member(path, key)
        if key not in set(EvidenceGroup):
            refuse(at, "is no known field")
        # Here null does not count as absent: the group is configured and was never seen.
        ages[EvidenceGroup(key)] = None if age is None else read.a_number(age, at)
    return ages


def _extra(value: Any, path: str) -> dict[str, dict[str, Any]]:
    if not isinstance(value, dict):
        refuse(path, f"must be an object, not {read.kind_of(value)}")
    for key, item in value.items():
        if item is not None and not isinstance(item, dict):
            refuse(member(path, key), f"must be an object, not {read.kind_of(item)}")
    for inner, node in read.walk(value):
        if isinstance(node, float) and node - node != 0:
            refuse(f"{path}.{inner}", "must be finite")
    return {key: item for key, item in value.items() if item is not None}
