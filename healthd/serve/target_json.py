"""The targets of Prometheus's HTTP service discovery, made from the fleet file."""

import re
from collections.abc import Iterator
from typing import Any, Final

from healthd.config.fleet import ClusterConfig, ExporterConfig, HostConfig
from healthd.serve.cluster_metrics import ROUTING_LABELS
from healthd.serve.metric_names import CLUSTER

META: Final = "__meta_healthd_"
"""Labels that start so are for relabelling; Prometheus drops them afterwards."""

_NOT_IN_A_NAME: Final = re.compile("[^a-zA-Z0-9_]")


def target_groups(config: ClusterConfig) -> Iterator[dict[str, Any]]:
    """A target group for each node of a cluster whose exporter the fleet file tells.

    Clusters whose pages healthd takes from Prometheus are among them: that Prometheus has to
    scrape them. It is the fleet file alone that tells, so that a target never goes away because
    its broker has.
    """
    for host in config.hosts:
        if host.exporter is not None:
            yield {"targets": [host.exporter], "labels": _labels(config, host)}


def _labels(config: ClusterConfig, host: HostConfig) -> dict[str, str]:
    """The labels of a target; one without a value is left out, as Prometheus would do."""
    told = {f"label_{name}": value for name, value in config.labels.items()}
    told |= {f"host_label_{name}": value for name, value in host.labels.items()}
    labels = {META + _NOT_IN_A_NAME.sub("_", name): value for name, value in told.items()}
    labels |= {
        f"{META}address": host.address,
        "__metrics_path__": (config.exporter or ExporterConfig()).path,
        CLUSTER: config.name,
        "broker": str(host.broker),
        "rack": host.rack or "",
        **{name: config.labels.get(name, "") for name in ROUTING_LABELS},
    }
    return {name: value for name, value in labels.items() if value}
