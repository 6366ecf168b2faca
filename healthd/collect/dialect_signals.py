"""What the samples of a page say of its node, whatever the dialect of the page.

A value counts when it can mean one thing only. Where rule files use one name for different things,
they are told apart by what the exporter adds to it (``_objectname``) and by magnitude; if that does
not do, or two samples contradict each other, the signal is unknown.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from healthd.collect.dialects import (
    ATTRIBUTES,
    JVM_STARTS,
    MEANINGS,
    PROCESS_START,
    VERSIONS,
    Attribute,
    Signal,
)
from healthd.collect.observation import BrokerSignals
from healthd.collect.scan import Sample
from healthd.model.words import BrokerState

LEAST_NANOSECONDS: Final = 1e6
"""A counter of idle nanoseconds below 1 ms is none: it is a ratio under the same name."""

LARGEST_RATIO: Final = 3.0
"""Two pools add up to 2, and a rate over one minute overshoots by some per cent at the start."""

_STATES: Final[Mapping[int, BrokerState]] = {
    0: BrokerState.NOT_RUNNING,
    1: BrokerState.STARTING,
    2: BrokerState.RECOVERY,
    3: BrokerState.RUNNING,
    6: BrokerState.PENDING_CONTROLLED_SHUTDOWN,
    7: BrokerState.SHUTTING_DOWN,
}
"""Kafka's ``org.apache.kafka.metadata.BrokerState``."""

_COUNTS: Final = frozenset({Signal.IDLE_COUNT, Signal.OWN_IDLE_COUNT})
_RATIOS: Final = frozenset(
    {
        Signal.IDLE_ONE_MINUTE,
        Signal.IDLE_MEAN,
        Signal.OWN_IDLE_ONE_MINUTE,
        Signal.OWN_IDLE_MEAN,
    }
)
_OWN_POOL: Final = frozenset(
    {Signal.OWN_IDLE_COUNT, Signal.OWN_IDLE_ONE_MINUTE, Signal.OWN_IDLE_MEAN}
)
_INCREASES: Final = frozenset({Signal.UNCLEAN_ELECTIONS, Signal.ISR_SHRINKS, Signal.ISR_EXPANDS})
_TELLING: Final = frozenset(
    {
        Signal.STATE,
        Signal.OFFLINE_LOG_DIRS,
        Signal.ACTIVE_CONTROLLERS,
        Signal.ISR_SHRINKS,
        *_COUNTS,
        *_RATIOS,
    }
)
"""A page with none of these is of an agent that has not begun to read Kafka, or of another JVM."""

_PART_OF_A_WHOLE: Final = frozenset({"topic", "partition", "quantile", "le"})
"""Labels of samples that are about less than the node."""

_OBJECT_NAME: Final = re.compile(r"kafka\.(\w+)<type=([^,>]+), name=([^,>]+)><>(\w+)")
"""What jmx_exporter 1.x writes into ``_objectname`` when two attributes got the same name."""

_BY_OBJECT_NAME: Final[Mapping[tuple[str, ...], Attribute]] = {
    (of.domain, of.type, of.name, of.attribute): of for of in ATTRIBUTES
}

_CONFLUENT_VERSION: Final = re.compile(r"([5-9]|[1-9][0-9])\.([0-9]+)\.([0-9]+)-c(?:cs|e)\b.*")
_VERSION: Final = re.compile(r"[0-9]+\.[0-9]+")


def signals_of(samples: Mapping[Sample, float]) -> BrokerSignals:
    """What the samples of one node say of it.

    Args:
        samples: Of `dialects.FAMILIES`, in any dialect; further labels, such as those that a
            Prometheus server adds, do no harm.
    """
    values = _values(samples)
    single = {signal: _agreed(found) for signal, found in values.items()}
    own_pool = not _OWN_POOL.isdisjoint(values)
    state = _count(single.get(Signal.STATE))
    remaining = values.get(Signal.REMAINING_LOGS)
    return BrokerSignals(
        state=None if state is None else _STATES.get(state, BrokerState.UNKNOWN),
        idle_nanoseconds=single.get(Signal.OWN_IDLE_COUNT if own_pool else Signal.IDLE_COUNT),
        idle_ratio=single.get(Signal.OWN_IDLE_ONE_MINUTE if own_pool else Signal.IDLE_ONE_MINUTE),
        idle_mean=single.get(Signal.OWN_IDLE_MEAN if own_pool else Signal.IDLE_MEAN),
        is_broker_pool=own_pool,
        offline_log_dirs=_count(single.get(Signal.OFFLINE_LOG_DIRS)),
        remaining_logs=None if remaining is None else _count(sum(remaining)),
        version=_version(samples),
        start_time_seconds=_start(samples),
        max_lag=_largest(values.get(Signal.MAX_LAG, ())),
        unclean_elections=single.get(Signal.UNCLEAN_ELECTIONS),
        isr_shrinks=single.get(Signal.ISR_SHRINKS),
        isr_expands=single.get(Signal.ISR_EXPANDS),
        active_controllers=_count(single.get(Signal.ACTIVE_CONTROLLERS)),
        global_topics=_count(single.get(Signal.GLOBAL_TOPICS)),
        global_partitions=_count(single.get(Signal.GLOBAL_PARTITIONS)),
    )


def has_kafka(samples: Iterable[Sample]) -> bool:
    """Whether the page is of an agent that reads Kafka, and has begun to."""
    return any(
        attribute.signal in _TELLING
        for name, labels in samples
        for attribute in _attributes(name, dict(labels))
    )


def _values(samples: Mapping[Sample, float]) -> dict[Signal, list[float]]:
    """The believable values of each signal."""
    found: dict[Signal, list[float]] = defaultdict(list)
    for (name, labels), value in samples.items():
        # A gauge that has not been set yet may be NaN, which is no number of anything.
        if math.isfinite(value):
            for signal in _signals(name, dict(labels), value):
                found[signal].append(value)
    return found


def _signals(name: str, labels: Mapping[str, str], value: float) -> Iterator[Signal]:
    """What one sample is; nothing, when that is not certain."""
    found = {attribute.signal for attribute in _attributes(name, labels)}
    for signal in found:
        if signal in _COUNTS:
            if value >= LEAST_NANOSECONDS:
                yield signal
        elif signal in _RATIOS:
            if 0 <= value <= LARGEST_RATIO:
                yield signal
        elif signal is Signal.MAX_LAG:
            if value >= 0 and _is_of_replicas(labels):
                yield signal
        elif signal in _INCREASES:
            # `...PerSec` is a count of events almost everywhere; a rate is no whole number.
            if value >= 0 and value == math.floor(value):
                yield signal
        else:
            yield signal


def _attributes(name: str, labels: Mapping[str, str]) -> Iterator[Attribute]:
    """The attributes that a sample may be the value of."""
    if _PART_OF_A_WHOLE & labels.keys():
        return
    meanings = MEANINGS.get(name, ())
    object_name = labels.get("_objectname") if meanings else None
    if object_name is not None:
        match = _OBJECT_NAME.match(object_name)
        if match is not None and match.groups() in _BY_OBJECT_NAME:
            yield _BY_OBJECT_NAME[match.groups()]
        return
    for meaning in meanings:
        if meaning.name_label is None or labels.get("name") == meaning.name_label:
            yield meaning.attribute


def _is_of_replicas(labels: Mapping[str, str]) -> bool:
    """Whether the fetchers are those of replicas: others (cluster links, ...) name themselves."""
    client = labels.get("clientId", labels.get("clientid"))
    return client is None or client == "Replica"


def _largest(values: Iterable[float]) -> float | None:
    return max(values, default=None)


def _agreed(values: Iterable[float]) -> float | None:
    different = set(values)
    return different.pop() if len(different) == 1 else None


def _count(value: float | None) -> int | None:
    return None if value is None or value < 0 else int(value)


def _start(samples: Mapping[Sample, float]) -> float | None:
    """When the broker's process began: not that of an exporter beside it, if that can be told."""
    over_jmx = _agreed(value for (name, _), value in samples.items() if name in JVM_STARTS)
    if over_jmx is not None and math.isfinite(over_jmx):
        return over_jmx / 1000
    own = _agreed(value for (name, _), value in samples.items() if name == PROCESS_START)
    return own if own is not None and math.isfinite(own) else None


def _version(samples: Mapping[Sample, float]) -> str | None:
    versions = {dict(labels).get("version", "") for name, labels in samples if name in VERSIONS}
    found = {version for version in versions if _VERSION.match(version)}
    return kafka_release(found.pop()) if len(found) == 1 else None


def kafka_release(version: str) -> str:
    """The Kafka release that a version is of: Confluent counts its packages in its own way.

    Confluent Platform 5.x is Kafka 2.x, 6.x is 2.(x + 6), 7.x is 3.x, 8.x is 4.x.
    """
    match = _CONFLUENT_VERSION.fullmatch(version)
    if match is None:
        return version
    major, minor, patch = (int(part) for part in match.groups())
    match major:
        case 5:
            major = 2
        case 6:
            major, minor = 2, minor + 6
        case _:
            major -= 4
    return f"{major}.{minor}.{patch} (Confluent {version})"
