"""What collecting needs to know of one cluster: names, addresses and how to connect."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from healthd.config.fleet import ClusterConfig, SecurityConfig
from healthd.config.source_probe import PROBE_TOPIC

REQUEST_TIMEOUT_SECONDS: Final = 2.0
"""A frozen broker costs every client that asks it exactly this; then another one is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeTarget:
    """One configured node."""

    id: int
    host: str | None = None
    rack: str | None = None
    exporter_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How clients connect, with the secrets read; `repr` shows none of them."""

    protocol: str = "PLAINTEXT"
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    key_password: str | None = field(default=None, repr=False)
    sasl_mechanism: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, security: SecurityConfig) -> "Access":
        """The access that a cluster's configuration describes.

        Raises:
            ConfigError: a secret cannot be read; names where it should be.
        """
        return cls(
            protocol=security.protocol,
            ca_file=security.ca_file,
            cert_file=security.cert_file,
            key_file=security.key_file,
            key_password=None if security.key_password is None else security.key_password.read(),
            sasl_mechanism=security.sasl_mechanism,
            username=security.username,
            password=None if security.password is None else security.password.read(),
        )

    @property
    def uses_tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.protocol in {"SSL", "SASL_SSL"}

    def librdkafka_properties(self) -> dict[str, Any]:
        """The properties of confluent-kafka's clients."""
        return _known(
            {
                "security.protocol": self.protocol,
                "ssl.ca.location": _text(self.ca_file),
                "ssl.certificate.location": _text(self.cert_file),
                "ssl.key.location": _text(self.key_file),
                "ssl.key.password": self.key_password,
                "sasl.mechanism": self.sasl_mechanism,
                "sasl.username": self.username,
                "sasl.password": self.password,
            }
        )

    def kafka_python_properties(self) -> dict[str, Any]:
        """The same for kafka-python's clients."""
        return _known(
            {
                "security_protocol": self.protocol,
                "ssl_cafile": _text(self.ca_file),
                "ssl_certfile": _text(self.cert_file),
                "ssl_keyfile": _text(self.key_file),
                "ssl_password": self.key_password,
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password,
            }
        )

    def probing_tls(self) -> ssl.SSLContext | None:
        """A context for asking only whether a listener answers; None for plain connections.

        It proves no identity and carries no secret: a certificate that does not fit is an answer.
        """
        if not self.uses_tls:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterTarget:
    """One cluster to collect from."""

    name: str
    bootstrap_servers: tuple[str, ...]
    """`host:port`, at least one."""
    nodes: Mapping[int, NodeTarget] = field(default_factory=lambda: MappingProxyType({}))
    """The configured nodes by id; may be empty."""
    access: Access = field(default_factory=Access)
    ssh_port: int | None = None
    """Where the nodes' sshd listens: another path to the same hosts; None: none is known."""
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
                    rack=host.rack,
                    exporter_url=urls.get(host.broker),
                )
                for host in config.hosts
            },
            access=Access.of(config.security),
            ssh_port=None if config.ssh is None else config.ssh.port,
            is_probed=config.probe is not None,
            probe_topic=PROBE_TOPIC if config.probe is None else config.probe.topic,
            reads_log_dirs=config.log_dirs is not False,
            counts_log_dirs_alone=config.log_dirs is True and not config.has_metrics,
            interval_seconds=interval_seconds,
            request_timeout_seconds=request_timeout_seconds,
            deadline_seconds=deadline_seconds,
        )

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
    def exporter_urls(self) -> dict[int, str]:
        """The exporter page of every node that has one, by node id."""
        return {
            node.id: node.exporter_url
            for node in self.nodes.values()
            if node.exporter_url is not None
        }


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _known(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in properties.items() if value is not None}
