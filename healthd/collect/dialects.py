"""What exporters call the few things of a broker that healthd reads: one table for every dialect.

An exporter page has no standard names. jmx_exporter makes them from rules, and everybody has other
rules: the same attribute of the same MBean is a family of its own, a label of a family, or gone. So
the table starts from Kafka's MBeans, and each dialect is a function from an attribute to the series
that it makes of it. A page is read with all of them at once: nobody has to say which one it is.

Where names of two dialects collide, `dialect_signals` tells the meanings apart or says nothing.
The sources of each dialect's names are in docs/reference/exporters.md.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Signal(StrEnum):
    """One value that a page may have of its node."""

    STATE = "state"
    IDLE_COUNT = "idle_count"
    """Nanoseconds that request handlers were idle, for each handler, since the start."""
    IDLE_ONE_MINUTE = "idle_one_minute"
    IDLE_MEAN = "idle_mean"
    """Since the start."""
    OWN_IDLE_COUNT = "own_idle_count"
    """The same of the broker's own pool, which has a name of its own from 4.2 on."""
    OWN_IDLE_ONE_MINUTE = "own_idle_one_minute"
    OWN_IDLE_MEAN = "own_idle_mean"
    OFFLINE_LOG_DIRS = "offline_log_dirs"
    REMAINING_LOGS = "remaining_logs"
    """Of one log directory; the sum of all is what is left to recover."""
    MAX_LAG = "max_lag"
    """Messages that the replica that is furthest behind lacks."""
    UNCLEAN_ELECTIONS = "unclean_elections"
    ISR_SHRINKS = "isr_shrinks"
    ISR_EXPANDS = "isr_expands"
    ACTIVE_CONTROLLERS = "active_controllers"
    GLOBAL_TOPICS = "global_topics"
    GLOBAL_PARTITIONS = "global_partitions"
    START_SECONDS = "start_seconds"
    START_MILLISECONDS = "start_milliseconds"
    VERSION = "version"
    SCRAPE_ERROR = "scrape_error"


class Dialect(StrEnum):
    """A family of rule files, by who made it known."""

    HEALTHD = "healthd"
    CATCH_ALL = "catch-all"
    """jmx_exporter without rules; names in any case."""
    STRIMZI = "strimzi"
    """Also jmx_exporter's example for Kafka 2, and so Grafana's mixin."""
    CONFLUENT = "confluent"
    BITNAMI = "bitnami"
    REPORTER = "reporter"
    """Strimzi's metrics reporter, which works without JMX."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of one of Kafka's MBeans (``kafka.DOMAIN:type=TYPE,name=NAME``)."""

    signal: Signal
    domain: str
    type: str
    name: str
    attribute: str


@dataclass(frozen=True, slots=True)
class Series:
    """A family, and the value that its label ``name`` must have when several things share it."""

    family: str
    name_label: str | None = None


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a sample of a family is, in some dialect."""

    attribute: Attribute
    name_label: str | None


_POOL: Final = "KafkaRequestHandlerPool"
_BOTH_POOLS: Final = "RequestHandlerAvgIdlePercent"
"""Of one pool on a broker; on a node that is a controller too, the sum or the mean of two."""
_OWN_POOL: Final = "BrokerRequestHandlerAvgIdlePercent"
_CONTROLLER: Final = "KafkaController"

ATTRIBUTES: Final = (
    Attribute(Signal.STATE, "server", "KafkaServer", "BrokerState", "Value"),
    Attribute(Signal.IDLE_COUNT, "server", _POOL, _BOTH_POOLS, "Count"),
    Attribute(Signal.IDLE_ONE_MINUTE, "server", _POOL, _BOTH_POOLS, "OneMinuteRate"),
    Attribute(Signal.IDLE_MEAN, "server", _POOL, _BOTH_POOLS, "MeanRate"),
    Attribute(Signal.OWN_IDLE_COUNT, "server", _POOL, _OWN_POOL, "Count"),
    Attribute(Signal.OWN_IDLE_ONE_MINUTE, "server", _POOL, _OWN_POOL, "OneMinuteRate"),
    Attribute(Signal.OWN_IDLE_MEAN, "server", _POOL, _OWN_POOL, "MeanRate"),
    Attribute(Signal.ISR_SHRINKS, "server", "ReplicaManager", "IsrShrinksPerSec", "Count"),
    Attribute(Signal.ISR_EXPANDS, "server", "ReplicaManager", "IsrExpandsPerSec", "Count"),
    Attribute(Signal.MAX_LAG, "server", "ReplicaFetcherManager", "MaxLag", "Value"),
    Attribute(Signal.OFFLINE_LOG_DIRS, "log", "LogManager", "OfflineLogDirectoryCount", "Value"),
    Attribute(Signal.REMAINING_LOGS, "log", "LogManager", "remainingLogsToRecover", "Value"),
    Attribute(
        Signal.UNCLEAN_ELECTIONS,
        "controller",
        "ControllerStats",
        "UncleanLeaderElectionsPerSec",
        "Count",
    ),
    Attribute(
        Signal.ACTIVE_CONTROLLERS, "controller", _CONTROLLER, "ActiveControllerCount", "Value"
    ),
    Attribute(Signal.GLOBAL_TOPICS, "controller", _CONTROLLER, "GlobalTopicCount", "Value"),
    Attribute(Signal.GLOBAL_PARTITIONS, "controller", _CONTROLLER, "GlobalPartitionCount", "Value"),
)
"""Everything that is read of Kafka itself."""

_PER_SECOND: Final = "PerSec"
_PERCENT: Final = "Percent"
_OF_ONE_FORM: Final = frozenset({"Count", "Value"})
"""An MBean has either of these, so rule files like to leave it out of the name."""


def _healthd(of: Attribute) -> Iterable[Series]:
    base = f"kafka_{of.domain}_{of.type}_{of.name}"
    if of.name.endswith(_PERCENT):
        form = "nanoseconds_total" if of.attribute == "Count" else of.attribute
        yield Series(f"{base.removesuffix(_PERCENT)}_{form}")
    elif of.attribute == "Count":
        yield Series(f"{base.removesuffix(_PER_SECOND)}_total")
    else:
        yield Series(base)


def _catch_all(of: Attribute) -> Iterable[Series]:
    yield Series(f"kafka_{of.domain}_{of.type}_{of.attribute}", of.name)


def _strimzi(of: Attribute) -> Iterable[Series]:
    base = f"kafka_{of.domain}_{of.type}_{of.name}"
    if of.name.endswith(_PER_SECOND):
        yield Series(f"{base.removesuffix(_PER_SECOND)}_total")
    elif of.attribute == "Count":
        yield Series(f"{base}_count")
        # jmx_exporter 1.x ends the name of every counter in _total, whatever the rule says.
        yield Series(f"{base}_count_total")
    elif of.attribute == "MeanRate":
        yield Series(f"{base.removesuffix(_PERCENT)}_percent")
    elif of.attribute == "Value":
        yield Series(base)


def _confluent(of: Attribute) -> Iterable[Series]:
    base = f"kafka_{of.domain}_{of.type}_{of.name}"
    if of.attribute in _OF_ONE_FORM:
        yield Series(base)
    elif of.signal is Signal.IDLE_ONE_MINUTE:
        yield Series(f"{base}_OneMinuteRate")
        # As it was called until 2025. With an agent 1.x it loses its ending, which is reserved for
        # counters, and collides with the counter: then both have a label _objectname.
        yield Series(f"{base}_total")


def _bitnami(of: Attribute) -> Iterable[Series]:
    if of.attribute == "MeanRate":
        return
    if of.domain == "controller":
        yield Series(f"kafka_controller_{of.type}_{of.name}_{of.attribute}")
    elif of.type == "ReplicaFetcherManager":
        # It has a client id, and with it a rule of its own.
        yield Series(f"kafka_server_{of.type}_{of.name}_{of.attribute}")
    elif of.domain == "server":
        yield Series(f"kafka_server_{of.type}_total_{of.name}_{of.attribute}")
    # Its rules leave out the log manager.


def _reporter(of: Attribute) -> Iterable[Series]:
    base = f"kafka_{of.domain}_{of.type}_{of.name}"
    if of.attribute == "Value":
        yield Series(base)
    elif of.attribute == "Count":
        yield Series(f"{base}_total")


DIALECTS: Final[Mapping[Dialect, Callable[[Attribute], Iterable[Series]]]] = {
    Dialect.HEALTHD: _healthd,
    Dialect.CATCH_ALL: _catch_all,
    Dialect.STRIMZI: _strimzi,
    Dialect.CONFLUENT: _confluent,
    Dialect.BITNAMI: _bitnami,
    Dialect.REPORTER: _reporter,
}

SCRAPE_ERROR: Final = "jmx_scrape_error"
PROCESS_START: Final = "process_start_time_seconds"
JVM_STARTS: Final = ("java_lang_Runtime_StartTime", "java_lang_runtime_starttime")
"""Over JMX, in milliseconds: of the broker, also when the exporter is a process of its own."""
VERSIONS: Final = (
    "kafka_server_app_version",
    "kafka_server_app_info",
    "kafka_server_app_info_version",
)
"""With a label ``version``: healthd's own, and what other rule files write that have it at all."""


def _table() -> dict[str, tuple[Meaning, ...]]:
    found: dict[str, dict[Meaning, None]] = defaultdict(dict)
    for attribute in ATTRIBUTES:
        for names in DIALECTS.values():
            for series in names(attribute):
                meaning = Meaning(attribute, series.name_label)
                # Whether names are in lower case is an option of every rule file.
                found[series.family][meaning] = None
                found[series.family.lower()][meaning] = None
    return {family: tuple(meanings) for family, meanings in found.items()}


MEANINGS: Final[Mapping[str, tuple[Meaning, ...]]] = _table()
"""What a sample of each family of Kafka's may be."""

FAMILIES: Final = (
    *sorted(MEANINGS),
    *VERSIONS,
    *JVM_STARTS,
    PROCESS_START,
    SCRAPE_ERROR,
)
"""All that is kept of a page, whatever its dialect."""
