"""What log directories add to the brokers of a snapshot, beside their exporters' pages. Pure."""

from collections.abc import Mapping
from dataclasses import replace

from healthd.collect.observation import LogDirsSeen, Observations
from healthd.collect.state import LastValues
from healthd.collect.target import ClusterTarget
from healthd.model.snapshot import Broker


def log_dirs_at_now(
    target: ClusterTarget, last: LastValues, observed: Observations
) -> Mapping[int, float]:
    """When each broker last told how full its disks are, as far as that is its disks' only source.

    A broker whose page tells it too needs no second witness: that one may be denied any day.
    """
    if not target.reads_log_dirs:
        return {}
    told = {
        node: seen.at for node, seen in observed.log_dirs.items() if seen.used_ratio is not None
    }
    by_page = {
        node
        for node, page in observed.pages.items()
        if page.signals.disk_used_ratio is not None and node not in told
    }
    return {node: at for node, at in {**last.log_dirs_at, **told}.items() if node not in by_page}


def metrics_at_now(
    target: ClusterTarget, page_at: Mapping[int, float], log_dirs_at: Mapping[int, float]
) -> Mapping[int, float]:
    """When each node's metrics are from: the older of its page and its log directories.

    There is one age for all metrics of a broker, and neither source may make a stale value of the
    other look fresh.
    """
    if not target.has_metrics:
        return log_dirs_at if target.counts_log_dirs_alone else page_at
    return {
        node: min(times[node] for times in (page_at, log_dirs_at) if node in times)
        for node in {*page_at, *log_dirs_at}
    }


def with_log_dirs(broker: Broker, seen: LogDirsSeen | None, page_offline: int | None) -> Broker:
    """The broker with what it says of its disks.

    Args:
        broker: With what its page said, or with its last values.
        seen: What it said since the last round; None: nothing new.
        page_offline: The lost directories by this round's page.
    """
    if seen is None:
        return broker
    return replace(
        broker,
        disk_used_ratio=broker.disk_used_ratio if seen.used_ratio is None else seen.used_ratio,
        # Read a moment apart: the worse of the two is the later one.
        offline_log_dirs=max(seen.offline, page_offline or 0),
    )
