"""The further sources that a cluster's configuration asks for."""

from healthd.collect.certificates import CertificateReader
from healthd.collect.logdirs import LogDirsSource
from healthd.collect.side import SideSource
from healthd.collect.target import ClusterTarget
from healthd.config.fleet import ClusterConfig


def sides_of(config: ClusterConfig, target: ClusterTarget) -> tuple[SideSource, ...]:
    """One source for each part of the configuration that names one.

    Raises:
        ConfigError: a secret cannot be read; names where it should be.
    """
    del config
    sources: list[SideSource] = []
    if target.reads_log_dirs:
        sources.append(LogDirsSource(target))
    if target.access.uses_tls:
        sources.append(CertificateReader(target))
    return tuple(sources)
