"""Pure: every ACL that healthd's principal needs on a cluster, by what it is for."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from healthd.collect.doctor.grants import commands
from healthd.collect.doctor.judge_rights import PROBE_OPERATIONS
from healthd.collect.rights import (
    DESCRIBE_CLUSTER,
    DESCRIBE_CLUSTER_CONFIGS,
    DESCRIBE_TOPIC_CONFIGS,
    DESCRIBE_TOPICS,
    Acl,
    Operation,
    on_cluster,
    on_topic,
)
from healthd.config.fleet import ClusterConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What one use of healthd asks for, beyond what reading does."""

    purpose: str
    why: str
    acls: tuple[Acl, ...]


def needs_of(config: ClusterConfig) -> tuple[Need, ...]:
    """What is needed with this part of the fleet file, reading first."""
    return tuple(_needs(config))


def _needs(config: ClusterConfig) -> Iterator[Need]:
    yield Need(
        purpose="read",
        why="the Health Index, ok-to-stop and plans",
        acls=(
            DESCRIBE_CLUSTER,
            DESCRIBE_CLUSTER_CONFIGS,
            DESCRIBE_TOPICS,
            DESCRIBE_TOPIC_CONFIGS,
        ),
    )
    if config.mirrors:
        yield Need(
            purpose="mirrors",
            why="the heartbeats of MirrorMaker 2 that arrive here",
            acls=tuple(
                on_topic(Operation.READ, mirror.heartbeats_topic) for mirror in config.mirrors
            ),
        )
    if config.probe is not None:
        yield Need(
            purpose="probe",
            why="making the probe's topic, keeping it in shape, writing and reading it",
            acls=tuple(on_topic(each, config.probe.topic) for each in PROBE_OPERATIONS),
        )
    if config.ssh is not None and (config.service is not None or config.zookeeper is not None):
        yield Need(
            purpose="waves",
            why="giving restarted brokers their leaderships back, moving leaders away, and raising "
            "features (kafka: electPreferredLeaders, moveLeadersAway, setFeature)",
            acls=(on_cluster(Operation.ALTER),),
        )
        yield Need(
            purpose="configs",
            why="playbooks with setBrokerConfig or setClusterConfig; leave it out without any",
            acls=(on_cluster(Operation.ALTER_CONFIGS),),
        )


def needs_json(config: ClusterConfig, *, principal: str | None) -> dict[str, Any]:
    """The document of `healthd doctor --acls -o json`."""
    bootstrap = config.bootstrap_servers[0]
    return {
        "cluster": config.name,
        "principal": principal,
        "purposes": [
            {
                "purpose": need.purpose,
                "why": need.why,
                "acls": [str(acl) for acl in need.acls],
                "commands": list(commands(need.acls, (), bootstrap=bootstrap, principal=principal)),
            }
            for need in needs_of(config)
        ],
    }
