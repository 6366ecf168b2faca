"""What the metrics page of a Connect worker says of MirrorMaker 2's flows.

The same MBeans have three names: healthd's own rules and Strimzi's write them in lower case (the
latter calls the target `destination`), jmx_exporter's default keeps Kafka's capitals.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from healthd.collect.scan import Labels, Sample, Scanner

_PREFIXES: Final = (
    "kafka_connect_mirror_mirrorsourceconnector_",
    "kafka_connect_mirror_MirrorSourceConnector_",
)
_TASK_PREFIXES: Final = (
    "kafka_connect_worker_",
    "kafka_connect_connect_worker_metrics_",
)
LATENCY: Final = "replication_latency_ms_avg"
LAST_LATENCY: Final = "replication_latency_ms"
RECORD_AGE: Final = "record_age_ms_avg"
RECORDS: Final = "record_count"
FAILED_TASKS: Final = "connector_failed_task_count"
_NAMES: Final = (LATENCY, LAST_LATENCY, RECORD_AGE, RECORDS)
FAMILIES: Final = frozenset(
    {
        *(prefix + name for prefix in _PREFIXES for name in _NAMES),
        *(prefix + FAILED_TASKS for prefix in _TASK_PREFIXES),
    }
)
SCANNER: Final = Scanner(FAMILIES)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowPage:
    """What one page says of one flow. None: it says nothing of that."""

    latency_seconds: float | None = None
    """Of the slowest partition that had records within Kafka's last metric windows (a minute):
    its last one, else their average."""
    record_age_seconds: float | None = None
    records: float | None = None
    """Counter: replicated records, over all partitions of this worker."""
    failed_tasks: int | None = None
    """Of all connectors of this worker."""


def flow_page(samples: Mapping[Sample, float], *, source: str, target: str) -> FlowPage:
    """One flow on one page."""
    average: dict[Labels, float] = {}
    last: dict[Labels, float] = {}
    ages: list[float] = []
    records: list[float] = []
    failed: list[float] = []
    for (name, pairs), value in samples.items():
        # Nothing was replicated within the windows: NaN says neither slow nor fast.
        if not math.isfinite(value):
            continue
        labels = dict(pairs)
        if name.endswith(FAILED_TASKS):
            failed.append(value)
        elif not _is_of(labels, source, target):
            continue
        elif name.endswith(LATENCY):
            average[pairs] = value / 1000
        elif name.endswith(LAST_LATENCY):
            last[pairs] = value / 1000
        elif name.endswith(RECORD_AGE):
            ages.append(value / 1000)
        else:
            records.append(value)
    # The last value alone stays for ever where nothing goes through, and the average alone goes on
    # telling of a backlog for a minute after it is gone.
    latency = [last.get(partition, seconds) for partition, seconds in average.items()]
    return FlowPage(
        latency_seconds=max(0.0, *latency) if latency else None,
        record_age_seconds=max(0.0, *ages) if ages else None,
        records=sum(records) if records else None,
        failed_tasks=round(sum(failed)) if failed else None,
    )


def _is_of(labels: Mapping[str, str], source: str, target: str) -> bool:
    # Kafka before 4.0 names the target alone: then the page's other flows cannot be told apart.
    to = labels.get("target", labels.get("destination"))
    return to in {None, target} and labels.get("source") in {None, source}
