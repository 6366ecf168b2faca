"""What one round of collecting saw, source by source, and what failed and whose fault that is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from healthd.model.codes import CheckCode
from healthd.model.snapshot import NOTHING, Probe, Topic, Voter
from healthd.model.words import BrokerState, QuorumMode

PartitionKey = tuple[str, int]
"""Topic name and partition id."""


class Source(StrEnum):
    """Something that is read."""

    METADATA = "metadata"
    CONFIGS = "configs"
    QUORUM = "quorum"
    METRICS = "metrics"
    LOG_DIRS = "logDirs"
    PROBE = "probe"
    CERTIFICATES = "certificates"
    CONNECT = "connectors"
    MIRRORS = "mirrors"
    REGISTRY = "schemaRegistry"
    ZOOKEEPER = "zookeeper"


NOT_ABOUT_THE_CLUSTER: Final = frozenset(
    {
        Source.METRICS,
        Source.CERTIFICATES,
        Source.CONNECT,
        Source.MIRRORS,
        Source.REGISTRY,
        Source.ZOOKEEPER,
    }
)
"""Sources beside Kafka itself: that we cannot read them says nothing of our way to the cluster."""


class Origin(StrEnum):
    """Whose fault a failure is (health-index.md section 4)."""

    OURS = "ours"
    """Our network, credentials, ACLs or set-up: no evidence against the cluster."""
    THEIRS = "theirs"


class FailureReason(StrEnum):
    """Why a source gave nothing."""

    TIMEOUT = "timeout"
    REFUSED = "refused"
    DNS = "dns"
    NETWORK = "network"
    AUTHENTICATION = "authentication"
    AUTHORIZATION = "authorization"
    TLS = "tls"
    TOPICS_HIDDEN = "topics_hidden"
    LISTENER_NOT_FOUND = "listener_not_found"
    NO_LEADER = "no_leader"
    NOT_CAUGHT_UP = "not_caught_up"
    QUORUM_UNKNOWN = "quorum_unknown"
    HTTP_STATUS = "http_status"
    NOT_METRICS = "not_metrics"
    NO_KAFKA_METRICS = "no_kafka_metrics"
    SCRAPE_ERROR = "scrape_error"
    TOO_LARGE = "too_large"
    INCOMPLETE = "incomplete"
    """It was cut off: half a page says nothing of the other half."""
    BAD_ENCODING = "bad_encoding"
    """Compressed or encoded in a way that cannot be undone."""
    REDIRECT = "redirect"
    CONTRADICTION = "contradiction"
    """It says two different things of one and the same."""
    NOT_FINITE = "not_finite"
    """A value that is no number."""
    TARGET_DOWN = "target_down"
    """Prometheus could not scrape it."""
    NO_DATA = "no_data"
    """Prometheus knows nothing of it."""
    QUERY_FAILED = "query_failed"
    PARTIAL = "partial"
    """The answer came with warnings: what is not in it may be there all the same."""
    AMBIGUOUS = "ambiguous"
    """More than one that it could be."""
    BUSY = "busy"
    PROTOCOL = "protocol"


_CHECKS: Mapping[FailureReason, CheckCode] = {
    FailureReason.AUTHENTICATION: CheckCode.COLLECTOR_AUTH,
    FailureReason.AUTHORIZATION: CheckCode.COLLECTOR_AUTH,
    FailureReason.TLS: CheckCode.COLLECTOR_AUTH,
    FailureReason.TOPICS_HIDDEN: CheckCode.COLLECTOR_AUTH,
    FailureReason.DNS: CheckCode.COLLECTOR_NETWORK,
    FailureReason.TIMEOUT: CheckCode.COLLECTOR_NETWORK,
    FailureReason.NETWORK: CheckCode.COLLECTOR_NETWORK,
    FailureReason.LISTENER_NOT_FOUND: CheckCode.COLLECTOR_NETWORK,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFailure:
    """One thing that could not be read."""

    source: Source
    origin: Origin
    reason: FailureReason
    detail: str
    """One sentence: what was tried, where, and what to do; never a secret."""
    node: int | None = None
    """The node that it is about, where it is about one."""

    @property
    def check(self) -> CheckCode | None:
        """The COLLECTOR_ check that it raises, when it is ours and about the whole cluster."""
        if self.origin is Origin.THEIRS or self.source in NOT_ABOUT_THE_CLUSTER:
            return None
        return _CHECKS.get(self.reason)

    def as_json(self) -> dict[str, Any]:
        """The form in `extra.collector.failures`."""
        found: dict[str, Any] = {
            "source": self.source.value,
            "origin": self.origin.value,
            "reason": self.reason.value,
            "detail": self.detail,
        }
        if self.node is not None:
            found["node"] = self.node
        if self.check is not None:
            found["check"] = self.check.value
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a broker listens for clients."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataSeen:
    """One Metadata answer for all topics."""

    answered_by: int
    """The broker that answered, -1 when it is not known."""
    brokers: Mapping[int, Address]
    """Those that are listed: the alive ones."""
    topics: tuple[Topic, ...]
    """In the order of their names; min.insync.replicas as it was last known."""
    partition_count: int
    hidden_listeners: tuple[PartitionKey, ...] = ()
    """Partitions whose leader has no listener of the kind that we are on (at most a few)."""
    listeners_missing: int = 0
    """How many such partitions there are."""
    controller: int | None = field(default=None, compare=False)
    """Who it calls controller: in KRaft any broker, by chance; None: not known."""
    cluster_id: str | None = field(default=None, compare=False)
    """The cluster's own id; None: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reassigning:
    """What a reassignment adds to and removes from one partition."""

    adding: frozenset[int] = frozenset()
    removing: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class QuorumSeen:
    """One DescribeQuorum answer, or the finding that there is no leader to give one."""

    leader_id: int
    """-1: none, as far as the brokers that answer us know."""
    voters: tuple[Voter, ...] = ()
    observers: Mapping[int, int] = field(default_factory=lambda: NOTHING)
    """Last-caught-up time in milliseconds by node id."""
    fetch_timeout_ms: int | None = None
    mode: QuorumMode = QuorumMode.KRAFT
    registered: frozenset[int] | None = None
    """Brokers with a live session in ZooKeeper; None: not asked (KRaft), or not told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterNode:
    """One broker as DescribeCluster knows it, dead ones included."""

    id: int
    host: str | None = None
    rack: str | None = None
    fenced: bool = False


class ListenerState(StrEnum):
    """What a listener does when somebody knocks."""

    ANSWERED = "answered"
    REFUSED = "refused"
    TIMED_OUT = "timed_out"
    UNRESOLVED = "unresolved"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSignals:
    """What one exporter page says of its node. None: the page does not say."""

    state: BrokerState | None = None
    idle_nanoseconds: float | None = None
    """Counter: idle time of request handlers for each handler."""
    idle_ratio: float | None = None
    """Gauge over one minute, as reported: above 1 on a combined node before 4.2."""
    idle_mean: float | None = None
    """Mean since the start, as reported: no idle ratio of now, but it shows what the others are."""
    is_broker_pool: bool = False
    """The idle values are those of the broker's own pool (4.2 and later)."""
    offline_log_dirs: int | None = None
    remaining_logs: int | None = None
    """Logs left to recover after an unclean stop, of all directories; told only meanwhile."""
    disk_used_ratio: float | None = None
    version: str | None = None
    start_time_seconds: float | None = None
    max_lag: float | None = None
    """Messages that the replica on it that is furthest behind lacks."""
    unclean_elections: float | None = None
    """Counter; every controller publishes it."""
    isr_shrinks: float | None = None
    """Counter, of partitions that the broker leads."""
    isr_expands: float | None = None
    """Counter, of partitions that the broker leads."""
    active_controllers: int | None = None
    global_topics: int | None = None
    global_partitions: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSeen:
    """One exporter page."""

    signals: BrokerSignals
    at: float
    """Monotonic seconds at which it was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogDirsSeen:
    """What one broker says of its log directories."""

    used_ratio: float | None
    """Of the fullest; None: this version does not say."""
    offline: int
    at: float
    """Monotonic seconds at which it was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSeen:
    """The outcome of the last attempts to produce and consume."""

    probe: Probe
    at: float
    """Monotonic seconds of the newest attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionSeen:
    """What one further source says, for the snapshot's `extra`."""

    body: Mapping[str, Any]
    """JSON; never a secret."""
    at: float
    """Monotonic seconds at which it was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observations:
    """Everything that one round saw; None: not asked, or no answer (then `failures` says why)."""

    metadata: MetadataSeen | None = None
    min_insync_replicas: Mapping[str, int] | None = None
    """Of the topics that were asked for in this round."""
    configs_complete: bool = False
    """Every topic's config is known as of this round."""
    quorum: QuorumSeen | None = None
    quorum_silent: frozenset[int] = frozenset()
    """Brokers that were asked who leads and ran into the limit."""
    quorum_configured: bool = True
    """False: the cluster offers no DescribeQuorum (ZooKeeper mode)."""
    reassigning: Mapping[PartitionKey, Reassigning] | None = None
    cluster_nodes: Mapping[int, ClusterNode] | None = None
    pages: Mapping[int, PageSeen] = field(default_factory=lambda: NOTHING)
    pages_up: Mapping[int, bool] = field(default_factory=lambda: NOTHING)
    """Whether anything answered where a node's page is: another path to its host."""
    listeners: Mapping[int, ListenerState] = field(default_factory=lambda: NOTHING)
    """Of brokers, by id; only asked for when metadata cannot be trusted."""
    all_refused: bool = False
    """Every bootstrap and known broker address refused the connection."""
    all_gone: bool = False
    """Some timed out, a second path to their hosts failed too, and others answer this process."""
    any_answered: bool = False
    """Some broker answered something in this round."""
    describes_every_topic: bool | None = None
    """Whether our user may describe every topic, for metadata leaves out the others; None: not
    known."""
    releases: Mapping[int, str] = field(default_factory=lambda: NOTHING)
    """Kafka's release by broker id, of brokers whose exporter page does not say."""
    log_dirs: Mapping[int, LogDirsSeen] = field(default_factory=lambda: NOTHING)
    probe: ProbeSeen | None = None
    sections: Mapping[str, SectionSeen] = field(default_factory=dict)
    """What further sources gave since the last round, by their name in `extra`."""
    failures: tuple[SourceFailure, ...] = ()

    @property
    def nobody_there(self) -> bool:
        """Nobody answers, and that is evidence against the cluster."""
        return self.all_refused or self.all_gone
