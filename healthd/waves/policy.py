"""A wave's policy: what a wave waits for, tolerates and gives up on.

The keys and defaults are those of the public contract ("Wave files"). A policy is data; nothing
here reads a file or a clock. Mistakes are values that name the key, never exceptions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from healthd.waves.calendar import never_open
from healthd.waves.policy_values import (
    MAX_WHOLE,
    RefusedError,
    read_alerts,
    read_count,
    read_duration,
    read_flag,
    read_index,
    read_limits,
    read_partitions,
    read_patterns,
    read_positive_count,
    read_timeout,
)
from healthd.waves.problems import (
    Location,
    SpecProblem,
    describe_type,
    not_built,
    render_path,
    unknown_key,
)
from healthd.waves.window import Window, read_windows, window_document

__all__ = [
    "MAX_WHOLE",
    "POLICY_KEYS",
    "POLICY_READERS",
    "Location",
    "SpecProblem",
    "WavePolicy",
    "describe_type",
    "not_built",
    "parse_policy",
    "policy_document",
    "render_path",
    "unknown_key",
    "unmeetable",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class WavePolicy:
    """What a wave waits for after each broker, and when it stops for a person."""

    soak_seconds: float = 120.0
    """Seconds a restarted broker must stay clean before the next one is taken."""
    clean_snapshots: int = 3
    """Distinct snapshots in a row that must be clean: one clean reading is not health."""
    clean_seconds: float = 60.0
    """Seconds that the clean run must span."""
    recovery_timeout_seconds: float = 1800.0
    """Seconds from `starting` after which the wave pauses for a person."""
    stop_timeout_seconds: float = 600.0
    """Seconds a stop may take: longer than Kafka's controlled shutdown does."""
    start_timeout_seconds: float = 600.0
    """Seconds in which the process must be running again."""
    margin: int = 0
    """In-sync replicas wanted above min.insync.replicas, where the replication factor allows it."""
    min_health_index: float = 85.0
    """The lowest Health Index, 0 to 100, at which the gate opens."""
    allow_rf_one: tuple[str, ...] = ()
    """Shell patterns over topic names whose only replica may be stopped."""
    allow_rf_le_min_isr: tuple[str, ...] = ()
    """Shell patterns over topic names that stop taking acks=all while one replica is away."""
    allow_quorum_without_spare: bool = False
    """Whether a quorum of one or two voters may be without one of them."""
    max_failed_brokers: int = 0
    """Failed brokers a cluster may have before the wave pauses: 0 pauses at the first."""
    max_failed_clusters: int = 0
    """Clusters that may have failed before the whole wave pauses: 0 pauses at the first."""
    baseline: tuple[str, ...] = ()
    """Partitions (`topic-partition`) known to be under-replicated before the wave."""
    windows: tuple[Window, ...] = ()
    """When brokers may be taken; empty is always."""
    cutoff_seconds: float = 0.0
    """Seconds before a window's end from which nothing new is taken."""
    alerts: tuple[str, ...] = ()
    """Matchers; an alert that fires and matches all of them closes the gate."""
    max_replica_lag_messages: int = 10_000
    """The most messages that a broker's replicas may be behind their leaders."""
    clusters_at_once_per: tuple[tuple[str, int], ...] = ()
    """A cluster's label, and how many clusters with the same value may be in work at once."""
    silence: bool = False
    """Whether Alertmanager is silenced for exactly the hosts in work."""


POLICY_READERS: Final[Mapping[str, tuple[str, Callable[[object], Any]]]] = {
    "soakSeconds": ("soak_seconds", read_duration),
    "cleanSnapshots": ("clean_snapshots", read_positive_count),
    "cleanSeconds": ("clean_seconds", read_duration),
    "recoveryTimeoutSeconds": ("recovery_timeout_seconds", read_timeout),
    "stopTimeoutSeconds": ("stop_timeout_seconds", read_timeout),
    "startTimeoutSeconds": ("start_timeout_seconds", read_timeout),
    "margin": ("margin", read_count),
    "minHealthIndex": ("min_health_index", read_index),
    "allowRfOne": ("allow_rf_one", read_patterns),
    "allowRfLeMinIsr": ("allow_rf_le_min_isr", read_patterns),
    "allowQuorumWithoutSpare": ("allow_quorum_without_spare", read_flag),
    "maxFailedBrokers": ("max_failed_brokers", read_count),
    "maxFailedClusters": ("max_failed_clusters", read_count),
    "baseline": ("baseline", read_partitions),
    "windows": ("windows", read_windows),
    "cutoffSeconds": ("cutoff_seconds", read_duration),
    "alerts": ("alerts", read_alerts),
    "maxReplicaLagMessages": ("max_replica_lag_messages", read_count),
    "clustersAtOncePer": ("clusters_at_once_per", read_limits),
    "silence": ("silence", read_flag),
}
"""How each key is read: the attribute that it sets, and who reads its value."""

POLICY_KEYS: Final = frozenset(POLICY_READERS)
"""The policy keys that a wave acts on."""


def parse_policy(mapping: object, base: WavePolicy | None = None) -> WavePolicy | list[SpecProblem]:
    """The policy that `mapping` (camelCase keys) describes, or every mistake in it.

    Args:
        mapping: The `policy` part of a wave file, a rehearsal or a cluster.
        base: The values of keys that are absent; the contract's defaults when None.
    """
    start = base or WavePolicy()
    if not isinstance(mapping, Mapping):
        message = f"must be a mapping of policy keys, not {describe_type(mapping)}"
        return [SpecProblem(location=(), message=message, action="write {key: value}")]
    values: dict[str, Any] = {field.name: getattr(start, field.name) for field in fields(start)}
    problems: list[SpecProblem] = []
    for key, value in mapping.items():
        if key in POLICY_READERS:
            name, read = POLICY_READERS[key]
            try:
                values[name] = read(value)
            except RefusedError as refused:
                problems.append(
                    SpecProblem(
                        location=(key, *refused.location),
                        message=refused.message,
                        action=refused.action,
                    )
                )
        else:
            message, action = unknown_key(str(key), POLICY_READERS)
            problems.append(SpecProblem(location=(str(key),), message=message, action=action))
    return problems or WavePolicy(**values)


def policy_document(policy: WavePolicy) -> dict[str, Any]:
    """The policy in the form of a wave file; `parse_policy` reads it back unchanged."""
    document: dict[str, Any] = {}
    for key, (name, _) in POLICY_READERS.items():
        document[key] = _written(key, getattr(policy, name))
    return document


def _written(key: str, value: Any) -> Any:
    if key == "windows":
        return [window_document(window) for window in value]
    if key == "clustersAtOncePer":
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def unmeetable(policy: WavePolicy) -> list[SpecProblem]:
    """Why a wave with this policy could never take a broker; empty when it could."""
    found = never_open(policy.windows, cutoff_seconds=policy.cutoff_seconds)
    if found is None:
        message = (
            f"can never be met: the cutoff of {policy.cutoff_seconds:g} s is as long as the longest"
            " of the windows, so nothing is ever taken"
        )
        action = "lower cutoffSeconds or make a window longer"
        return [SpecProblem(location=("cutoffSeconds",), message=message, action=action)]
    return [
        SpecProblem(
            location=("windows", at),
            message="can never be met: this window never opens",
            action="give it a weekday, and an end that is not its start",
        )
        for at in found
    ]
