"""A wave's policy: what a wave waits for, tolerates and gives up on.

The keys and defaults are those of the public contract ("Wave files"). A policy is data; nothing
here reads a file or a clock. Mistakes are values that name the key, never exceptions.
"""

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

_TYPE_NAMES: Final = {bool: "a boolean", str: "text", list: "a list", dict: "a mapping"}

Location = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecProblem:
    """One mistake in a wave file or policy: where it is, what is wrong and what to do."""

    location: Location
    message: str
    action: str

    @property
    def path(self) -> str:
        """The place as people write it, such as `stages[0].brokers`."""
        return render_path(self.location)

    def under(self, *prefix: str | int) -> "SpecProblem":
        """The same problem seen from the document that holds this part at `prefix`."""
        return SpecProblem(
            location=(*prefix, *self.location), message=self.message, action=self.action
        )


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
    baseline: tuple[str, ...] = ()
    """Partitions (`topic-partition`) known to be under-replicated before the wave."""


class _RefusedError(ValueError):
    """Why one value is not accepted; carried inside this module only."""

    def __init__(self, message: str, action: str, *location: str | int) -> None:
        super().__init__(message)
        self.message = message
        self.action = action
        self.location = location


def render_path(location: Iterable[str | int]) -> str:
    """`clusters[0].name` for `("clusters", 0, "name")`."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path


def describe_type(value: object) -> str:
    """What a value is, in words that show nothing of it."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, int) and not isinstance(value, bool):
        return "a whole number"
    if isinstance(value, float):
        return "a number"
    return _TYPE_NAMES.get(type(value), type(value).__name__)


def unknown_key(key: str, known: Iterable[str]) -> tuple[str, str]:
    """The message and the action for a key that nobody knows, with the nearest right one."""
    names = sorted(known)
    lowered = {name.lower(): name for name in names}
    near = difflib.get_close_matches(key.lower(), list(lowered), n=1, cutoff=0.6)
    if near:
        right = lowered[near[0]]
        return f"unknown key; did you mean {right}?", f"rename it to {right}"
    return "unknown key", f"remove it, or use one of: {', '.join(names)}"


def _number(value: object, *, low: float, high: float, above: bool = False) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _RefusedError(f"must be a number, not {describe_type(value)}", "write a plain number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _RefusedError("must be a finite number", "write a plain number")
    if number < low or number > high or (above and number == low):
        least = f"above {low:g}" if above else f"at least {low:g}"
        most = f" and at most {high:g}" if math.isfinite(high) else ""
        raise _RefusedError(f"must be {least}{most}", "choose a value in that range")
    return number


def _duration(value: object) -> float:
    return _number(value, low=0.0, high=math.inf)


def _timeout(value: object) -> float:
    return _number(value, low=0.0, high=math.inf, above=True)


def _index(value: object) -> float:
    number = _number(value, low=0.0, high=math.inf)
    if number > 100.0:  # noqa: PLR2004 - the top of the Health Index.
        raise _RefusedError("can never be met: a Health Index is at most 100", "use 100 or less")
    return number


def _whole(value: object, *, low: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _RefusedError(
            f"must be a whole number, not {describe_type(value)}", "write a whole number"
        )
    if value < low:
        raise _RefusedError(f"must be at least {low}", f"use {low} or more")
    if value > MAX_WHOLE:
        raise _RefusedError(f"must be at most {MAX_WHOLE}", "choose a smaller number")
    return value


def _count(value: object) -> int:
    return _whole(value, low=0)


def _positive_count(value: object) -> int:
    return _whole(value, low=1)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise _RefusedError(
            f"must be true or false, not {describe_type(value)}", "write true or false"
        )
    return value


def _texts(value: object, what: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise _RefusedError(
            f"must be a list of {what}, not {describe_type(value)}", "write a list: [a]"
        )
    for position, item in enumerate(value):
        if not isinstance(item, str) or not item:
            raise _RefusedError(f"must be one of the {what}, as text", "put it in quotes", position)
    return tuple(value)


def _patterns(value: object) -> tuple[str, ...]:
    return _texts(value, "topic patterns")


def _partitions(value: object) -> tuple[str, ...]:
    names = _texts(value, "partitions")
    for position, name in enumerate(names):
        if not PARTITION_NAME.fullmatch(name):
            raise _RefusedError(
                "must name one partition as topic-partition",
                "write the topic, a dash and the partition, such as orders-0",
                position,
            )
    return names


MAX_WHOLE: Final = 2_147_483_647
PARTITION_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,249}-(0|[1-9][0-9]{0,9})")

_READERS: Final[Mapping[str, tuple[str, Callable[[object], Any]]]] = {
    "soakSeconds": ("soak_seconds", _duration),
    "cleanSnapshots": ("clean_snapshots", _positive_count),
    "cleanSeconds": ("clean_seconds", _duration),
    "recoveryTimeoutSeconds": ("recovery_timeout_seconds", _timeout),
    "stopTimeoutSeconds": ("stop_timeout_seconds", _timeout),
    "startTimeoutSeconds": ("start_timeout_seconds", _timeout),
    "margin": ("margin", _count),
    "minHealthIndex": ("min_health_index", _index),
    "allowRfOne": ("allow_rf_one", _patterns),
    "allowRfLeMinIsr": ("allow_rf_le_min_isr", _patterns),
    "allowQuorumWithoutSpare": ("allow_quorum_without_spare", _flag),
    "maxFailedBrokers": ("max_failed_brokers", _count),
    "baseline": ("baseline", _partitions),
}
_NOT_BUILT: Final = frozenset(
    {
        "maxFailedClusters",
        "windows",
        "cutoffSeconds",
        "alerts",
        "maxReplicaLagMessages",
        "clustersAtOncePer",
        "silence",
    }
)
POLICY_KEYS: Final = frozenset(_READERS)
"""The policy keys that a wave acts on."""


def not_built(location: Location) -> SpecProblem:
    """The refusal of something that the contract has and this version does not do yet."""
    return SpecProblem(
        location=location,
        message="not built yet: this version would not act on it",
        action="remove it",
    )


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
        if key in _READERS:
            name, read = _READERS[key]
            try:
                values[name] = read(value)
            except _RefusedError as refused:
                problems.append(
                    SpecProblem(
                        location=(key, *refused.location),
                        message=refused.message,
                        action=refused.action,
                    )
                )
        elif key in _NOT_BUILT:
            problems.append(not_built((key,)))
        else:
            message, action = unknown_key(str(key), [*_READERS, *_NOT_BUILT])
            problems.append(SpecProblem(location=(str(key),), message=message, action=action))
    return problems or WavePolicy(**values)


def policy_document(policy: WavePolicy) -> dict[str, Any]:
    """The policy in the form of a wave file; `parse_policy` reads it back unchanged."""
    document: dict[str, Any] = {}
    for key, (name, _) in _READERS.items():
        value = getattr(policy, name)
        document[key] = list(value) if isinstance(value, tuple) else value
    return document


def unmeetable(policy: WavePolicy, interval_seconds: float = 15.0) -> list[SpecProblem]:
    """Why a wave with this policy could never take its second broker; empty when it could.

    The recovery time-out runs from `starting` until the broker is `done`, and soak and clean run
    both begin at `soaking`, side by side (restart-safety.md section 2). So each of the three by
    itself has to be shorter than the time-out; their sum need not be. It has to be really
    shorter, for a start takes some time too.

    Args:
        policy: The policy to judge.
        interval_seconds: Seconds between two snapshots of the daemon.
    """
    limit = policy.recovery_timeout_seconds
    # The run begins with a snapshot, so n snapshots span n - 1 intervals.
    span = (policy.clean_snapshots - 1) * interval_seconds
    waits = (
        ("soakSeconds", policy.soak_seconds, "a soak"),
        ("cleanSeconds", policy.clean_seconds, "a clean run"),
        (
            "cleanSnapshots",
            span,
            f"{policy.clean_snapshots} snapshots, {interval_seconds:g} s each,",
        ),
    )
    return [
        SpecProblem(
            location=(key,),
            message=f"can never be met: {what} of {seconds:g} s does not end before the recovery "
            f"time-out, {limit:g} s after the start",
            action=f"lower {key} or raise recoveryTimeoutSeconds",
        )
        for key, seconds, what in waits
        if seconds >= limit
    ]
