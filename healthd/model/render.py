"""The JSON form of a snapshot (contract.md section 2): what is unknown is left out."""

from datetime import UTC, datetime
from typing import Any

from healthd.model.parse import API_VERSION, KIND
from healthd.model.snapshot import Broker, ClusterSnapshot, Partition, Quorum, Topic, Voter
from healthd.model.words import BrokerState

__all__ = ["render_snapshot", "render_time"]


def render_snapshot(snapshot: ClusterSnapshot) -> dict[str, Any]:
    """The snapshot as the JSON object that `parse_snapshot` reads back to an equal one."""
    return _known(
        {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "cluster": snapshot.cluster,
            "observedAt": render_time(snapshot.observed_at),
            "intervalSeconds": _plain(snapshot.interval_seconds),
            "brokers": [_broker(broker) for broker in snapshot.brokers],
            "quorum": None if snapshot.quorum is None else _quorum(snapshot.quorum),
            "topics": [_topic(topic) for topic in snapshot.topics],
            "reassignments": snapshot.reassignments,
            "uncleanElections24h": snapshot.unclean_elections_24h,
            "unreachable": snapshot.unreachable,
            "probe": None
            if snapshot.probe is None
            else {"attempts": snapshot.probe.attempts, "succeeded": snapshot.probe.succeeded},
            "ages": None
            if snapshot.ages is None
            else {
                group.value: None if age is None else _plain(age)
                for group, age in snapshot.ages.items()
            },
            "extra": None
            if snapshot.extra is None
            else {source: dict(found) for source, found in snapshot.extra.items()},
        }
    )


def render_time(moment: datetime) -> str:
    """The moment in RFC 3339, in UTC."""
    text = moment.astimezone(UTC).isoformat()
    return text.removesuffix("+00:00") + "Z"


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}


def _plain(number: float) -> float:
    """The number as people write it: 15, not 15.0."""
    return int(number) if number == int(number) else number


def _broker(broker: Broker) -> dict[str, Any]:
    return _known(
        {
            "id": broker.id,
            "host": broker.host,
            "rack": broker.rack,
            "alive": broker.alive,
            "state": None if broker.state is BrokerState.UNKNOWN else broker.state.value,
            "fenced": broker.fenced,
            "roles": None if broker.roles is None else sorted(broker.roles),
            "requestHandlerIdle": broker.request_handler_idle,
            "diskUsedRatio": broker.disk_used_ratio,
            "offlineLogDirs": broker.offline_log_dirs,
            "metricsAgeSeconds": broker.metrics_age_seconds,
            "version": broker.version,
        }
    )


def _quorum(quorum: Quorum) -> dict[str, Any]:
    return _known(
        {
            "mode": quorum.mode.value,
            "leaderId": quorum.leader_id,
            "fetchTimeoutMs": quorum.fetch_timeout_ms,
            "absentSeconds": quorum.absent_seconds,
            "voters": [_voter(voter) for voter in quorum.voters],
        }
    )


def _voter(voter: Voter) -> dict[str, Any]:
    return _known(
        {
            "id": voter.id,
            "lastCaughtUpMs": voter.last_caught_up_ms,
            "logEndOffset": voter.log_end_offset,
        }
    )


def _topic(topic: Topic) -> dict[str, Any]:
    return _known(
        {
            "name": topic.name,
            "minInsyncReplicas": topic.min_insync_replicas,
            "excluded": None if topic.excluded is None else topic.excluded.value,
            "partitions": [_partition(partition) for partition in topic],
        }
    )


def _partition(partition: Partition) -> dict[str, Any]:
    rendered: dict[str, Any] = {
        "id": partition.id,
        "leader": partition.leader,
        "replicas": list(partition.replicas),
        "isr": list(partition.isr),
    }
    for key, members in (
        ("adding", partition.adding),
        ("removing", partition.removing),
        ("elr", partition.elr),
    ):
        if members:
            rendered[key] = sorted(members)
    if partition.leaderless_seconds is not None:
        rendered["leaderlessSeconds"] = partition.leaderless_seconds
    return rendered
