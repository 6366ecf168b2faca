"""One node's state as an exporter page, in the words of each dialect.

The names are written out as the real exporters wrote them (tests/data/pages), not derived from
healthd's own table: what renders and what reads may not share a mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

VERSION_KNOWN = frozenset({"healthd"})
"""Dialects whose pages name Kafka's version."""
WITHOUT_LOG_MANAGER = frozenset({"bitnami"})
WITHOUT_GAUGE = ("strimzi", "reporter")
"""How dialects begin without a one-minute gauge of the request handlers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """What Kafka's MBeans hold."""

    state: int = 3
    idle_nanoseconds: int = 25_000_000_000
    idle_one_minute: float = 0.9
    idle_mean: float = 0.95
    own_idle_nanoseconds: int | None = None
    """From 4.2 on."""
    own_idle_one_minute: float = 0.9
    own_idle_mean: float = 0.95
    offline_log_dirs: int = 0
    remaining_logs: dict[str, int] | None = None
    """By directory, while it recovers."""
    max_lag: float | None = None
    unclean: int | None = 0
    """None, like the next three: no controller."""
    active: int = 1
    topics: int = 7
    partitions: int = 70
    shrinks: int = 0
    expands: int = 0
    version: str = "4.1.0"
    start_milliseconds: int = 1_795_279_274_025


Lines = Iterator[tuple[str, float]]


def page(dialect: str, node: NodeState) -> str:
    """The page of a node in that dialect."""
    rows = [*DIALECTS[dialect](node), ("jmx_scrape_error", 0.0)]
    rows.append(("process_start_time_seconds", node.start_milliseconds / 1000))
    return "".join(f"{name} {value!r}\n" for name, value in rows)


def _controller(node: NodeState) -> list[tuple[str, int]]:
    if node.unclean is None:
        return []
    return [
        ("ActiveControllerCount", node.active),
        ("GlobalTopicCount", node.topics),
        ("GlobalPartitionCount", node.partitions),
        # A neighbour: a gauge of each controller that nothing here reads.
        ("PreferredReplicaImbalanceCount", 3),
    ]


def _pools(node: NodeState) -> list[tuple[str, int, float, float]]:
    both = (
        "RequestHandlerAvgIdlePercent",
        node.idle_nanoseconds,
        node.idle_one_minute,
        node.idle_mean,
    )
    if node.own_idle_nanoseconds is None:
        return [both]
    count, gauge, mean = node.own_idle_nanoseconds, node.own_idle_one_minute, node.own_idle_mean
    own = ("BrokerRequestHandlerAvgIdlePercent", count, gauge, mean)
    return [both, own, ("ControllerRequestHandlerAvgIdlePercent", 2 * count, 0.99, 0.99)]


def _churn(node: NodeState) -> list[tuple[str, int]]:
    return [("IsrShrinks", node.shrinks), ("IsrExpands", node.expands)]


def _remaining(node: NodeState) -> list[tuple[str, int]]:
    return sorted((node.remaining_logs or {}).items())


def _healthd(node: NodeState) -> Lines:
    yield "kafka_server_kafkaserver_brokerstate", node.state
    for name, count, gauge, _ in _pools(node):
        base = f"kafka_server_kafkarequesthandlerpool_{name.lower().removesuffix('percent')}"
        yield f"{base}_nanoseconds_total", count
        yield f"{base}_oneminuterate", gauge
    for name, count in _churn(node):
        yield f"kafka_server_replicamanager_{name.lower()}_total", count
    if node.max_lag is not None:
        yield "kafka_server_replicafetchermanager_maxlag", node.max_lag
    yield "kafka_log_logmanager_offlinelogdirectorycount", node.offline_log_dirs
    for folder, count in _remaining(node):
        yield f'kafka_log_logmanager_remaininglogstorecover{{dir="{folder}"}}', count
    for name, value in _controller(node):
        yield f"kafka_controller_kafkacontroller_{name.lower()}", value
    if node.unclean is not None:
        yield "kafka_controller_controllerstats_uncleanleaderelections_total", node.unclean
    yield f'kafka_server_app_version{{id="1",version="{node.version}"}}', 1.0


def _catch_all(node: NodeState, case: Callable[[str], str] = str) -> Lines:
    def row(family: str, name: str, value: float, more: str = "") -> tuple[str, float]:
        return f'{case(family)}{{{more}name="{name}"}}', value

    yield row("kafka_server_KafkaServer_Value", "BrokerState", node.state)
    yield row("kafka_server_KafkaServer_Value", "yammer-metrics-count", 11_354)
    for name, count, gauge, mean in _pools(node):
        yield row("kafka_server_KafkaRequestHandlerPool_Count", name, count)
        yield row("kafka_server_KafkaRequestHandlerPool_OneMinuteRate", name, gauge)
        yield row("kafka_server_KafkaRequestHandlerPool_FiveMinuteRate", name, 0.5)
        yield row("kafka_server_KafkaRequestHandlerPool_MeanRate", name, mean)
    for name, count in _churn(node):
        yield row("kafka_server_ReplicaManager_Count", f"{name}PerSec", count)
        yield row("kafka_server_ReplicaManager_OneMinuteRate", f"{name}PerSec", 0.25)
    if node.max_lag is not None:
        replica = 'clientId="Replica",'
        yield row("kafka_server_ReplicaFetcherManager_Value", "MaxLag", node.max_lag, replica)
        yield row("kafka_server_ReplicaFetcherManager_Value", "MaxLag", 9e9, 'clientId="Link",')
    yield row("kafka_log_LogManager_Value", "OfflineLogDirectoryCount", node.offline_log_dirs)
    for folder, count in _remaining(node):
        quoted = f'dir="{folder}",'
        yield row("kafka_log_LogManager_Value", "remainingLogsToRecover", count, quoted)
    for name, value in _controller(node):
        yield row("kafka_controller_KafkaController_Value", name, value)
    if node.unclean is not None:
        unclean = "UncleanLeaderElectionsPerSec"
        yield row("kafka_controller_ControllerStats_Count", unclean, node.unclean)
        yield row("kafka_controller_ControllerStats_MeanRate", unclean, 0.125)
    yield case("java_lang_Runtime_StartTime"), float(node.start_milliseconds)


def _catch_all_lower(node: NodeState) -> Lines:
    return _catch_all(node, str.lower)


def _strimzi(node: NodeState) -> Lines:
    yield "kafka_server_kafkaserver_brokerstate", node.state
    for name, count, _, mean in _pools(node):
        base = f"kafka_server_kafkarequesthandlerpool_{name.lower()}"
        yield f"{base}_count_total", count
        yield f"{base.removesuffix('percent')}_percent", mean
    for name, count in _churn(node):
        yield f"kafka_server_replicamanager_{name.lower()}_total", count
    if node.max_lag is not None:
        yield "kafka_server_replicafetchermanager_maxlag", node.max_lag
    yield "kafka_log_logmanager_offlinelogdirectorycount", node.offline_log_dirs
    for folder, count in _remaining(node):
        yield f'kafka_log_logmanager_remaininglogstorecover{{dir="{folder}"}}', count
    for name, value in _controller(node):
        yield f"kafka_controller_kafkacontroller_{name.lower()}", value
    if node.unclean is not None:
        yield "kafka_controller_controllerstats_uncleanleaderelections_total", node.unclean


def _strimzi_old_agent(node: NodeState) -> Lines:
    for name, value in _strimzi(node):
        yield name.replace("_count_total", "_count"), value


def _confluent_without_gauge(node: NodeState) -> Lines:
    yield "kafka_server_kafkaserver_brokerstate", node.state
    for name, count, _, _ in _pools(node):
        yield f"kafka_server_kafkarequesthandlerpool_{name.lower()}", count
    for name, count in _churn(node):
        yield f"kafka_server_replicamanager_{name.lower()}persec", count
    if node.max_lag is not None:
        yield "kafka_server_replicafetchermanager_maxlag", node.max_lag
    yield "kafka_log_logmanager_offlinelogdirectorycount", node.offline_log_dirs
    for folder, count in _remaining(node):
        yield f'kafka_log_logmanager_remaininglogstorecover{{dir="{folder}"}}', count
    for name, value in _controller(node):
        yield f"kafka_controller_kafkacontroller_{name.lower()}", value
    if node.unclean is not None:
        yield "kafka_controller_controllerstats_uncleanleaderelectionspersec", node.unclean


_IDLE = "kafka_server_kafkarequesthandlerpool_requesthandleravgidlepercent"


def _confluent(node: NodeState) -> Lines:
    yield from _confluent_without_gauge(node)
    yield f"{_IDLE}_oneminuterate", node.idle_one_minute


def _confluent_before_2025(node: NodeState) -> Lines:
    yield from _confluent_without_gauge(node)
    yield f"{_IDLE}_total", node.idle_one_minute


def _confluent_collision(node: NodeState) -> Lines:
    """Rules until 2025 with an agent 1.x: counter and gauge have one name."""
    of = "kafka.server<type=KafkaRequestHandlerPool, name=RequestHandlerAvgIdlePercent><>"
    for name, value in _confluent_without_gauge(node):
        yield (f'{name}{{_objectname="{of}Count"}}' if name == _IDLE else name), value
    yield f'{_IDLE}{{_objectname="{of}OneMinuteRate"}}', node.idle_one_minute


def _bitnami(node: NodeState) -> Lines:
    yield "kafka_server_kafkaserver_total_brokerstate_value", node.state
    if node.max_lag is not None:
        yield "kafka_server_replicafetchermanager_maxlag_value", node.max_lag
    for name, count, gauge, _ in _pools(node):
        base = f"kafka_server_kafkarequesthandlerpool_total_{name.lower()}"
        yield f"{base}_count", count
        yield f"{base}_oneminuterate", gauge
    for name, count in _churn(node):
        yield f"kafka_server_replicamanager_total_{name.lower()}persec_count", count
        yield f"kafka_server_replicamanager_total_{name.lower()}persec_oneminuterate", 0.25
    for name, value in _controller(node):
        yield f"kafka_controller_kafkacontroller_{name.lower()}_value", value
    if node.unclean is not None:
        unclean = "kafka_controller_controllerstats_uncleanleaderelectionspersec_count"
        yield unclean, node.unclean
    yield "java_lang_runtime_starttime", float(node.start_milliseconds)


def _reporter(node: NodeState) -> Lines:
    for name, value in _confluent_without_gauge(node):
        is_counter = "requesthandler" in name or "persec" in name
        yield (f"{name}_total" if is_counter else name), value


DIALECTS: dict[str, Callable[[NodeState], Lines]] = {
    "healthd": _healthd,
    "catch-all": _catch_all,
    "catch-all-lower": _catch_all_lower,
    "strimzi": _strimzi,
    "strimzi-agent-0.20": _strimzi_old_agent,
    "confluent": _confluent,
    "confluent-before-2025": _confluent_collision,
    "confluent-before-2025-agent-0.20": _confluent_before_2025,
    "bitnami": _bitnami,
    "reporter": _reporter,
}
