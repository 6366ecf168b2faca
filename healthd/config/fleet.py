"""The fleet as the rest of healthd sees it: validated, frozen, with every path made absolute."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType

from healthd.config.addresses import join_address
from healthd.config.oauth import OAuthConfig
from healthd.config.profiles import ClientsConfig, ProfileConfig
from healthd.config.secrets import SecretRef
from healthd.config.source_alerts import AlertsConfig
from healthd.config.source_connect import ConnectConfig
from healthd.config.source_mirrors import MirrorConfig
from healthd.config.source_probe import ProbeConfig
from healthd.config.source_prometheus import PrometheusUse
from healthd.config.source_rest import RestConfig
from healthd.config.source_server import ServerConfig
from healthd.config.source_zookeeper import ZookeeperConfig
from healthd.config.ssh_access import SshConfig
from healthd.health.scoring import DEFAULT, ScoringProfile
from healthd.waves.freezes import Freeze
from healthd.waves.policy import WavePolicy
from healthd.waves.variable_values import Values, plain_values


def _nothing() -> Mapping[str, str]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityConfig:
    """How clients of this cluster connect."""

    protocol: str = "PLAINTEXT"
    """PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."""
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    key_password: SecretRef | None = None
    sasl_mechanism: str | None = None
    """PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER."""
    username: str | None = None
    password: SecretRef | None = None
    oauth: OAuthConfig | None = None
    """Where tokens come from, with OAUTHBEARER."""

    @property
    def uses_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.protocol in {"SSL", "SASL_SSL"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExporterConfig:
    """Where the exporter pages of a cluster's brokers are, unless a host says otherwise."""

    port: int | None = None
    path: str = "/metrics"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceCommands:
    """What stops, starts and asks after the broker on its host, as argv templates.

    `{broker_id}` and `{host}` are filled in; `{{` and `}}` stand for braces.
    """

    stop: tuple[str, ...]
    start: tuple[str, ...]
    status: tuple[str, ...]
    """Prints ``running PID START`` or ``stopped``, or what ``systemctl show -p
    ActiveState,MainPID,ExecMainStartTimestampMonotonic UNIT`` prints."""
    logs: tuple[str, ...] = ()
    """Prints the last log lines, for the report of a wave that got stuck; empty: none."""
    identity: tuple[str, ...] = ()
    """Prints ``node.id=ID`` and ``cluster.id=ID`` of the broker that the service is; empty: its
    process and its files are asked."""

    def pinned(self) -> dict[str, tuple[str, ...]]:
        """What plans and waves pin; commands that came later only where there are any."""
        later = {"identity"}
        return {name: argv for name, argv in asdict(self).items() if argv or name not in later}

    def render(self, command: str, *, broker_id: int, host: str) -> tuple[str, ...]:
        """The argv of `stop`, `start`, `status`, `logs` or `identity` for one broker."""
        template: tuple[str, ...] = getattr(self, command)
        # A server of an ensemble is another kind of node: its templates name it {server_id}.
        names = {"broker_id": broker_id, "server_id": broker_id, "host": host}
        return tuple(part.format(**names) for part in template)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostConfig:
    """The host of one node (a broker, a controller or both)."""

    broker: int
    """Its node.id."""
    address: str
    """Host name or IP address, without a port."""
    ssh_port: int | None = None
    """Where its sshd listens; None: where the cluster's `ssh` says."""
    rack: str | None = None
    exporter: str | None = None
    """`host:port` of its exporter; None when it has none."""
    labels: Mapping[str, str] = field(default_factory=_nothing)
    variables: Values = field(default_factory=_nothing)
    """What is given to variables of playbooks, over the cluster's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantConfig:
    """One tenant of a cluster: the topics that are its own."""

    name: str
    topics: tuple[str, ...]
    """Shell patterns over topic names, at least one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """One cluster of the fleet."""

    name: str
    bootstrap_servers: tuple[str, ...]
    """`host:port`, at least one."""
    labels: Mapping[str, str] = field(default_factory=_nothing)
    security: SecurityConfig = field(default_factory=SecurityConfig)
    exporter: ExporterConfig | None = None
    ssh: SshConfig | None = None
    """None: the cluster is only read, waves on it are refused."""
    service: ServiceCommands | None = None
    tolerate: str | None = None
    """`rack`: losing any one rack is meant to be survived."""
    log_dirs: bool | None = None
    """Ask brokers for their log directories; None: yes, and they count where metrics do."""
    probe: ProbeConfig | None = None
    hosts: tuple[HostConfig, ...] = ()
    connect: tuple[ConnectConfig, ...] = ()
    """The Kafka Connect clusters that work on it."""
    mirrors: tuple[MirrorConfig, ...] = ()
    """The MirrorMaker 2 flows that lead to it."""
    schema_registry: RestConfig | None = None
    prometheus: PrometheusUse | None = None
    """Where its exporters' pages are instead; None: they are read from the exporters."""
    zookeeper: ZookeeperConfig | None = None
    """Its ensemble; None: it is on KRaft."""
    alerts: AlertsConfig | None = None
    """Who is asked what fires; its own, or the fleet's. None: nobody."""
    cruise_control: ServerConfig | None = None
    """None: no Cruise Control moves its partitions."""
    scoring: ScoringProfile = DEFAULT
    clients: ClientsConfig | None = None
    """How clients connect; None: as healthd does."""
    tenants: tuple[TenantConfig, ...] = ()
    variables: Values = field(default_factory=_nothing)
    """What is given to variables of playbooks."""
    wave_policy: WavePolicy = field(default_factory=WavePolicy)
    """What a wave on this cluster uses where its file says nothing."""
    node_word: str = "broker"
    """What the nodes of `hosts` are called, in sentences; see `healthd.config.targets`."""

    def host(self, broker_id: int) -> HostConfig | None:
        """The host of one node, or None when the fleet file has none for it."""
        return next((host for host in self.hosts if host.broker == broker_id), None)

    def ssh_port(self, host: HostConfig) -> int | None:
        """Where healthd itself reaches the sshd of a host: its own port or the cluster's.

        None without `ssh`, behind a bastion, and where no SSH is needed.
        """
        if self.ssh is None or self.ssh.is_local or self.ssh.bastion is not None:
            return None
        return self.ssh.port if host.ssh_port is None else host.ssh_port

    @property
    def has_metrics(self) -> bool:
        """Whether metrics are configured: from exporters, or from Prometheus."""
        return self.prometheus is not None or any(host.exporter is not None for host in self.hosts)

    @property
    def exporter_urls(self) -> dict[int, str]:
        """The exporter page of every node whose page is to be read there, by node id."""
        if self.prometheus is not None:
            return {}
        path = (self.exporter or ExporterConfig()).path
        return {
            host.broker: f"http://{host.exporter}{path}"
            for host in self.hosts
            if host.exporter is not None
        }

    def inventory_digest(self) -> str:
        """SHA-256 over the hosts and how they are driven: what a plan pins of the inventory."""
        parts = {
            "hosts": [
                {
                    "broker": host.broker,
                    "address": host.address,
                    "rack": host.rack,
                    # Only where there is one: plans of fleet files without it stay true.
                    **({} if host.ssh_port is None else {"sshPort": host.ssh_port}),
                    **({"variables": plain_values(host.variables)} if host.variables else {}),
                }
                for host in sorted(self.hosts, key=lambda host: host.broker)
            ],
            "ssh": None if self.ssh is None else self.ssh.pinned(),
            "service": None if self.service is None else self.service.pinned(),
            **({"variables": plain_values(self.variables)} if self.variables else {}),
        }
        text = json.dumps(parts, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """All clusters that one healthd looks after, in the order of the file."""

    clusters: tuple[ClusterConfig, ...]
    canary: tuple[str, ...] = ()
    """`host:port` that answer when our own network is well (health-index.md, UNREACHABLE)."""
    scoring: ScoringProfile = DEFAULT
    """Of clusters that name none, and of the fleet's guards."""
    profiles: tuple[ProfileConfig, ...] = ()
    """Connection profiles that clients resolve."""
    freezes: tuple[Freeze, ...] = ()
    """Change freezes that are known in advance."""
    is_routing_dry_run: bool = False
    """Verdicts are shown and take nobody out."""

    def cluster(self, name: str) -> ClusterConfig | None:
        """The cluster of that name, or None."""
        return next((cluster for cluster in self.clusters if cluster.name == name), None)


def exporter_address(host: str, own: str | None, exporter: ExporterConfig | None) -> str | None:
    """Where a host's exporter is: what the host says, else the cluster's port on that host."""
    if own is not None:
        return own
    if exporter is not None and exporter.port is not None:
        return join_address(host, exporter.port)
    return None
