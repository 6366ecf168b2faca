"""The closed sets of words that describe a cluster's state."""

from enum import StrEnum


class BrokerState(StrEnum):
    """Where a broker's process is in its life (Kafka's ``BrokerState``); absent is UNKNOWN."""

    STARTING = "starting"
    RECOVERY = "recovery"
    RUNNING = "running"
    PENDING_CONTROLLED_SHUTDOWN = "pending_controlled_shutdown"
    SHUTTING_DOWN = "shutting_down"
    NOT_RUNNING = "not_running"
    UNKNOWN = "unknown"


LEAVING_STATES = frozenset(
    {BrokerState.PENDING_CONTROLLED_SHUTDOWN, BrokerState.SHUTTING_DOWN},
)
"""States of a broker that still answers and is on its way out."""


class Role(StrEnum):
    """What a node does (``process.roles``)."""

    BROKER = "broker"
    CONTROLLER = "controller"


class QuorumMode(StrEnum):
    """What keeps the cluster's metadata."""

    KRAFT = "kraft"
    ZOOKEEPER = "zookeeper"


class Excluded(StrEnum):
    """Why a topic is left out of the index (never out of ok-to-stop)."""

    PROBE = "probe"
    DELETING = "deleting"


class EvidenceGroup(StrEnum):
    """A group of observations that ages together."""

    METADATA = "metadata"
    CONFIGS = "configs"
    QUORUM = "quorum"
    METRICS = "metrics"
    PROBE = "probe"


INTERNAL_TOPICS = frozenset({"__consumer_offsets", "__transaction_state", "__share_group_state"})
"""Topics that commits and transactions write with acks=all."""

REMOTE_LOG_METADATA_TOPIC = "__remote_log_metadata"
