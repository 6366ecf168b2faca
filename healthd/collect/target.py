"""What collecting needs to know of one cluster: names, addresses and how to connect."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from healthd.collect.access import Access
from healthd.config.fleet import ClusterConfig
from healthd.config.source_probe import PROBE_TOPIC
from healthd.config.source_prometheus import PrometheusUse
from healthd.config.source_zookeeper import ZookeeperConfig

MAX_PAGE_BYTES: Final = 64 * 1024 * 1024
"""A catch-all page of a broker with 500 partitions is 1.7 MB, of one with 6,000 20 MB; ours is
20 kB. A page is read as it arrives, so the limit bounds work and not memory."""

REQUEST_TIMEOUT_SECONDS: Final = 2.0
"""A frozen broker costs every client that asks it exactly this; then another one is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeTarget:
    """One configured node."""

    id: int
    host: str | None = None
    ssh_port: int | None = None
    """Where its sshd listens: another path to the same host; None: none is known."""
    rack: str | None = None
    exporter_url: str | None = None
    instance: str | None = None
    """The label `instance` of its target, where a Prometheus server scrapes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterTarget:
    """One cluster to collect from."""

    name: str
    bootstrap_servers: tuple[str, ...]
    """`host:port`, at least one."""
    nodes: Mapping[int, NodeTarget] = field(default_factory=lambda: MappingProxyType({}))
    """The configured nodes by id; may be empty."""
    access: Access = field(default_factory=Access)
    zookeeper: ZookeeperConfig | None = None
    """Its ensemble; None: it is on KRaft, or who leads is not configured."""
    prometheus: PrometheusUse | None = None
    """Where its pages are instead of at its exporters."""
    max_page_bytes: int = MAX_PAGE_BYTES
    """Longer pages are cut off."""
    interval_seconds: float = 15.0
    request_timeout_seconds: float = REQUEST_TIMEOUT_SECONDS
    deadline_seconds: float | None = None
    """For one whole round; None: 0.8 of the interval, but two request time-outs at least."""
    is_probed: bool = False
    """The probe is configured."""
    probe_topic: str = PROBE_TOPIC
    """healthd's own topic, whoever writes to it: it is not the cluster's."""
    reads_log_dirs: bool = True
    counts_log_dirs_alone: bool = False
    """Without exporters, log directories make the metrics group: asked for by name only, for where
    metrics are configured the gate wants to know every broker's state too."""

    @classmethod
    def of(
        cls,
        config: ClusterConfig,
        *,
        interval_seconds: float = 15.0,
        request_timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
        deadline_seconds: float | None = None,
        max_page_bytes: int = MAX_PAGE_BYTES,
    ) -> "ClusterTarget":
        """The target that a cluster of the fleet file describes.

        Raises:
            ConfigError: a secret cannot be read.
        """
        urls = config.exporter_urls
        return cls(
            name=config.name,
            bootstrap_servers=config.bootstrap_servers,
            nodes={
                host.broker: NodeTarget(
                    id=host.broker,
                    host=host.address,
                    ssh_port=config.ssh_port(host),
                    rack=host.rack,
                    exporter_url=urls.get(host.broker),
                    instance=None if config.prometheus is None else host.exporter,
                )
                for host in config.hosts
            },
            access=Access.of(config.security),
            zookeeper=config.zookeeper,
            prometheus=config.prometheus,
            max_page_bytes=max_page_bytes,
            is_probed=config.probe is not None,
            probe_topic=PROBE_TOPIC if config.probe is None else config.probe.topic,
            reads_log_dirs=config.log_dirs is not False,
            counts_log_dirs_alone=config.log_dirs is True and not config.has_metrics,
            interval_seconds=interval_seconds,
            request_timeout_seconds=request_timeout_seconds,
            deadline_seconds=deadline_seconds,
        )

    @property
    def ssh_doors(self) -> dict[int, tuple[str, int]]:
        """Host and port of every sshd that is known, by node id."""
        return {
            node.id: (node.host, node.ssh_port)
            for node in self.nodes.values()
            if node.host is not None and node.ssh_port is not None
        }

    @property
    def budget_seconds(self) -> float:
        """What one round may take, with a little left for putting the snapshot together."""
        whole = self.deadline_seconds or max(
            0.8 * self.interval_seconds, 2 * self.request_timeout_seconds
        )
        return 0.9 * whole

    @property
    def attempt_seconds(self) -> float:
        """Limit of one request: a round may have to wait for three, one after the other.

        Ask somebody, ask somebody else, knock at the doors: all that must fit, or the rounds in
        which it matters would be abandoned.
        """
        return min(self.request_timeout_seconds, 0.31 * self.budget_seconds)

    @property
    def has_metrics(self) -> bool:
        """Whether pages are configured, at exporters or in a Prometheus server."""
        return self.prometheus is not None or bool(self.exporter_urls)

    @property
    def exporter_urls(self) -> dict[int, str]:
        """The exporter page of every node that has one, by node id."""
        return {
            node.id: node.exporter_url
            for node in self.nodes.values()
            if node.exporter_url is not None
        }
