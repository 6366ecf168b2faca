"""The cluster as a wave drives it: by the hosts of its brokers, or of its ensemble's servers."""

from dataclasses import replace

from healthd.config.fleet import ClusterConfig, HostConfig, ServiceCommands
from healthd.waves.naming import NODE_WORDS
from healthd.waves.playbook import PlaybookTarget


def driven(config: ClusterConfig, target: PlaybookTarget) -> ClusterConfig:
    """The cluster whose hosts and service are those that a wave with that target drives.

    Over an ensemble the hosts are numbered by the servers' ids, and everything that looks up a
    node's host, service, or place in the inventory finds the server's. For brokers it is the
    cluster as it is.
    """
    if target is not PlaybookTarget.ZOOKEEPER:
        return config
    zookeeper = config.zookeeper
    if zookeeper is None:
        return replace(config, hosts=(), service=None, node_word=NODE_WORDS[target])
    service = zookeeper.service
    return replace(
        config,
        node_word=NODE_WORDS[target],
        hosts=tuple(
            HostConfig(broker=host.server, address=host.address, ssh_port=host.ssh_port)
            for host in zookeeper.hosts
        ),
        service=None
        if service is None
        else ServiceCommands(
            stop=service.stop, start=service.start, status=service.status, logs=service.logs
        ),
    )
