"""The further sources that a cluster's configuration asks for."""

from healthd.collect.certificates import CertificateReader
from healthd.collect.connect import ConnectSource
from healthd.collect.logdirs import LogDirsSource
from healthd.collect.mirrors import MirrorSource
from healthd.collect.probe import ProbeSource
from healthd.collect.registry import RegistrySource
from healthd.collect.side import SideSource
from healthd.collect.target import ClusterTarget
from healthd.config.fleet import ClusterConfig


def sides_of(config: ClusterConfig, target: ClusterTarget) -> tuple[SideSource, ...]:
    """One source for each part of the configuration that names one.

    Raises:
        ConfigError: a secret cannot be read; names where it should be.
    """
    sources: list[SideSource] = []
    if target.reads_log_dirs:
        sources.append(LogDirsSource(target))
    if config.probe is not None:
        sources.append(ProbeSource(target, interval_seconds=config.probe.interval_seconds))
    if target.access.uses_tls:
        sources.append(CertificateReader(target))
    if config.connect:
        sources.append(ConnectSource(config.connect, attempt_seconds=target.attempt_seconds))
    if config.mirrors:
        sources.append(MirrorSource(config.mirrors, config.connect, target))
    if config.schema_registry is not None:
        registry = config.schema_registry
        sources.append(RegistrySource(registry, attempt_seconds=target.attempt_seconds))
    return tuple(sources)
