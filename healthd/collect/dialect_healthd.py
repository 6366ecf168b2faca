"""The names of healthd's own rule file (config/jmx/kafka.yml), in one table."""

from collections.abc import Mapping
from typing import Final

from healthd.collect.observation import BrokerSignals
from healthd.collect.scan import Sample
from healthd.model.words import BrokerState

BROKER_STATE: Final = "kafka_server_kafkaserver_brokerstate"
IDLE_NANOSECONDS: Final = (
    "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_nanoseconds_total"
)
IDLE_RATIO: Final = "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_oneminuterate"
BROKER_IDLE_NANOSECONDS: Final = (
    "kafka_server_kafkarequesthandlerpool_brokerrequesthandleravgidle_nanoseconds_total"
)
BROKER_IDLE_RATIO: Final = (
    "kafka_server_kafkarequesthandlerpool_brokerrequesthandleravgidle_oneminuterate"
)
OFFLINE_LOG_DIRS: Final = "kafka_log_logmanager_offlinelogdirectorycount"
UNCLEAN_ELECTIONS: Final = "kafka_controller_controllerstats_uncleanleaderelections_total"
ACTIVE_CONTROLLERS: Final = "kafka_controller_kafkacontroller_activecontrollercount"
GLOBAL_TOPICS: Final = "kafka_controller_kafkacontroller_globaltopiccount"
GLOBAL_PARTITIONS: Final = "kafka_controller_kafkacontroller_globalpartitioncount"
VERSION: Final = "kafka_server_app_version"
START_TIME: Final = "process_start_time_seconds"
SCRAPE_ERROR: Final = "jmx_scrape_error"

FAMILIES: Final = (
    BROKER_STATE,
    IDLE_NANOSECONDS,
    IDLE_RATIO,
    BROKER_IDLE_NANOSECONDS,
    BROKER_IDLE_RATIO,
    OFFLINE_LOG_DIRS,
    UNCLEAN_ELECTIONS,
    ACTIVE_CONTROLLERS,
    GLOBAL_TOPICS,
    GLOBAL_PARTITIONS,
    VERSION,
    START_TIME,
    SCRAPE_ERROR,
)
"""All that is kept of a page."""

KAFKA_FAMILIES: Final = frozenset(
    {BROKER_STATE, IDLE_NANOSECONDS, ACTIVE_CONTROLLERS, OFFLINE_LOG_DIRS}
)
"""A page with none of these is of an agent that has not begun to read Kafka."""

_STATES: Final[Mapping[int, BrokerState]] = {
    0: BrokerState.NOT_RUNNING,
    1: BrokerState.STARTING,
    2: BrokerState.RECOVERY,
    3: BrokerState.RUNNING,
    6: BrokerState.PENDING_CONTROLLED_SHUTDOWN,
    7: BrokerState.SHUTTING_DOWN,
}
"""Kafka's ``org.apache.kafka.metadata.BrokerState``."""


def signals_of(samples: Mapping[Sample, float]) -> BrokerSignals:
    """What the samples of one page say of its node."""
    values = {name: value for (name, labels), value in samples.items() if not labels}
    own_pool = BROKER_IDLE_NANOSECONDS in values or BROKER_IDLE_RATIO in values
    state = _count(values.get(BROKER_STATE))
    return BrokerSignals(
        state=None if state is None else _STATES.get(state, BrokerState.UNKNOWN),
        idle_nanoseconds=values.get(BROKER_IDLE_NANOSECONDS if own_pool else IDLE_NANOSECONDS),
        idle_ratio=values.get(BROKER_IDLE_RATIO if own_pool else IDLE_RATIO),
        is_broker_pool=own_pool,
        offline_log_dirs=_count(values.get(OFFLINE_LOG_DIRS)),
        version=_version(samples),
        start_time_seconds=values.get(START_TIME),
        unclean_elections=values.get(UNCLEAN_ELECTIONS),
        active_controllers=_count(values.get(ACTIVE_CONTROLLERS)),
        global_topics=_count(values.get(GLOBAL_TOPICS)),
        global_partitions=_count(values.get(GLOBAL_PARTITIONS)),
    )


def _count(value: float | None) -> int | None:
    # A gauge that has not been set yet may be NaN, which is no number of anything.
    if value is None or value - value != 0 or value < 0:
        return None
    return int(value)


def _version(samples: Mapping[Sample, float]) -> str | None:
    for name, labels in samples:
        if name == VERSION:
            version = dict(labels).get("version")
            if version:
                return version
    return None
