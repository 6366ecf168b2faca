"""The snapshot: everything known of one cluster at one moment.

Partitions are kept in columns, one tuple a field and topic, because a cluster may have 100,000 of
them: an object for each would cost more than reading them. A partition whose ISR holds exactly its
replicas shares one tuple for both, so that "in sync" is an identity check (`Topic.of` sees to it).
"""

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import chain, compress
from operator import is_not
from types import MappingProxyType
from typing import Any, Final, TypeVar

from healthd.model.words import BrokerState, EvidenceGroup, Excluded, QuorumMode, Role

ValueT = TypeVar("ValueT")

NO_LEADER: Final = -1
DEFAULT_INTERVAL_SECONDS: Final = 15.0
LONGEST_INTERVAL_SECONDS: Final = 1e300
"""What an interval counts as at most: multiples of it must be finite, or what was never seen, and
is therefore infinitely old, would be inside its limit."""
ABSENT_SECONDS_WITHOUT_LEADER: Final = 90.0
"""What ``absentSeconds`` counts as when only ``leaderId`` -1 is known (contract.md)."""

NOTHING: Final[Mapping[int, Any]] = MappingProxyType({})


def _nothing() -> Mapping[int, Any]:
    # A factory, because dataclasses of Python 3.11 refuse a mappingproxy as a default.
    return NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """One node of the cluster, pure controllers included. None means unknown."""

    id: int
    alive: bool
    """A Metadata response lists it (a pure controller: it leads or is caught up)."""
    host: str | None = None
    rack: str | None = None
    state: BrokerState = BrokerState.UNKNOWN
    fenced: bool = False
    roles: frozenset[Role] | None = None
    request_handler_idle: float | None = None
    """Ratio, 0 busy to 1 idle."""
    disk_used_ratio: float | None = None
    """Of the fullest log directory."""
    offline_log_dirs: int | None = None
    metrics_age_seconds: float | None = None
    """Since this broker's last page; None: as old as the newest page of the cluster."""
    version: str | None = None

    @property
    def is_pure_controller(self) -> bool:
        """Whether it is a controller and nothing else."""
        return self.roles is not None and self.roles == {Role.CONTROLLER}

    @property
    def is_down(self) -> bool:
        """Whether it cannot serve: not alive, or fenced."""
        return not self.alive or self.fenced


@dataclass(frozen=True, slots=True, kw_only=True)
class Voter:
    """One voter of the quorum, or one server of a ZooKeeper ensemble. None means unknown."""

    id: int
    last_caught_up_ms: int | None = None
    log_end_offset: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quorum:
    """Who keeps the metadata."""

    mode: QuorumMode
    leader_id: int | None = None
    fetch_timeout_ms: int | None = None
    absent_seconds: float | None = None
    voters: tuple[Voter, ...] = ()

    @property
    def controller_absent_seconds(self) -> float | None:
        """Seconds without exactly one agreed active controller; None when that is unknown."""
        if self.absent_seconds is not None:
            return self.absent_seconds
        if self.leader_id is None:
            return None
        return 0.0 if self.leader_id >= 0 else ABSENT_SECONDS_WITHOUT_LEADER


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """The last attempts (20 at most) to produce and consume as a client does."""

    attempts: int
    succeeded: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """One partition, as a view for code that looks at few of them."""

    id: int
    leader: int
    replicas: tuple[int, ...]
    """All of them, those being added or removed included."""
    isr: tuple[int, ...]
    adding: frozenset[int] = frozenset()
    removing: frozenset[int] = frozenset()
    elr: frozenset[int] = frozenset()
    leaderless_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic with its partitions in columns of equal length; build it with `Topic.of`.

    The sparse columns map a position (not a partition id) to what few partitions have.
    """

    name: str
    min_insync_replicas: int | None = None
    excluded: Excluded | None = None
    ids: tuple[int, ...] = ()
    leaders: tuple[int, ...] = ()
    replicas: tuple[tuple[int, ...], ...] = ()
    isrs: tuple[tuple[int, ...], ...] = ()
    """A partition in sync has the very tuple of its replicas here."""
    adding: Mapping[int, frozenset[int]] = field(default_factory=_nothing)
    removing: Mapping[int, frozenset[int]] = field(default_factory=_nothing)
    elr: Mapping[int, frozenset[int]] = field(default_factory=_nothing)
    leaderless_seconds: Mapping[int, float] = field(default_factory=_nothing)
    _holders: frozenset[int] | None = field(default=None, init=False, compare=False, repr=False)
    _unsynced: tuple[int, ...] | None = field(default=None, init=False, compare=False, repr=False)

    @property
    def holders(self) -> frozenset[int]:
        """Every id in a replica list; looked for once, for topics outlive their snapshots."""
        found = self._holders
        if found is None:
            found = frozenset(chain.from_iterable(self.replicas))
            object.__setattr__(self, "_holders", found)
        return found

    @property
    def unsynced(self) -> tuple[int, ...]:
        """The positions whose ISR is not the very tuple of the replicas; looked for once."""
        found = self._unsynced
        if found is None:
            found = ()
            if self.isrs is not self.replicas:
                others = map(is_not, self.isrs, self.replicas)
                found = tuple(compress(range(len(self.isrs)), others))
            object.__setattr__(self, "_unsynced", found)
        return found

    @classmethod
    def of(
        cls,
        name: str,
        partitions: Iterable[Partition] = (),
        *,
        min_insync_replicas: int | None = None,
        excluded: Excluded | None = None,
    ) -> "Topic":
        """A topic in columns from its partitions."""
        rows = tuple(partitions)
        return cls(
            name=name,
            min_insync_replicas=min_insync_replicas,
            excluded=excluded,
            ids=tuple(row.id for row in rows),
            leaders=tuple(row.leader for row in rows),
            replicas=tuple(row.replicas for row in rows),
            isrs=tuple(shared_isr(row.replicas, row.isr) for row in rows),
            adding={at: row.adding for at, row in enumerate(rows) if row.adding},
            removing={at: row.removing for at, row in enumerate(rows) if row.removing},
            elr={at: row.elr for at, row in enumerate(rows) if row.elr},
            leaderless_seconds={
                at: row.leaderless_seconds
                for at, row in enumerate(rows)
                if row.leaderless_seconds is not None
            },
        )

    def with_leadership(
        self,
        leaders: Iterable[int],
        isrs: Iterable[tuple[int, ...]],
        leaderless_seconds: Mapping[int, float],
    ) -> "Topic":
        """The topic with other leaders and ISRs, which knows what this one knows of its replicas.

        As `dataclasses.replace` would make it, in a third of the time.
        """
        made = Topic(
            name=self.name,
            min_insync_replicas=self.min_insync_replicas,
            excluded=self.excluded,
            ids=self.ids,
            leaders=tuple(leaders),
            replicas=self.replicas,
            isrs=tuple(isrs),
            adding=self.adding,
            removing=self.removing,
            elr=self.elr,
            leaderless_seconds=leaderless_seconds,
        )
        object.__setattr__(made, "_holders", self._holders)
        return made

    def knowing(self, before: "Topic") -> "Topic":
        """The same topic, which knows what an older one with equal replicas has found out of them.

        Leaders and ISRs change often, replicas hardly ever.
        """
        if self._holders is None:
            known = before._holders  # noqa: SLF001 - it is another of its kind.
            object.__setattr__(self, "_holders", known)
        return self

    def partition(self, at: int) -> Partition:
        """The partition at a position."""
        return Partition(
            id=self.ids[at],
            leader=self.leaders[at],
            replicas=self.replicas[at],
            isr=self.isrs[at],
            adding=self.adding.get(at, frozenset()),
            removing=self.removing.get(at, frozenset()),
            elr=self.elr.get(at, frozenset()),
            leaderless_seconds=self.leaderless_seconds.get(at),
        )

    def __iter__(self) -> Iterator[Partition]:
        return (self.partition(at) for at in range(len(self.ids)))

    def __len__(self) -> int:
        return len(self.ids)

    def label(self, at: int) -> str:
        """The name of the partition at a position: ``orders-0``."""
        return f"{self.name}-{self.ids[at]}"


class Topics(tuple[Topic, ...]):  # noqa: SLOT001  # A tuple can have no slots of its own.
    """The topics of a snapshot, which remember what was made of them.

    From one sweep to the next they nearly always are the very same object; then nobody looks at
    each of them again. A plain tuple does everywhere, too, and remembers nothing.
    """

    def __init__(self, _topics: Iterable[Topic] = ()) -> None:
        self._memory: dict[str, tuple[Hashable, Any]] = {}

    def remembered(self, about: str, key: Hashable, make: Callable[[], ValueT]) -> ValueT:
        """What ``make`` gave for the same key, the last one for each subject; made when new."""
        kept = self._memory.get(about)
        if kept is None or kept[0] != key:
            kept = self._memory[about] = (key, make())
        found: ValueT = kept[1]
        return found


def remembered(
    topics: Iterable[Topic], about: str, key: Hashable, make: Callable[[], ValueT]
) -> ValueT:
    """What ``make`` gives; made once for the very same `Topics` and key.

    Args:
        topics: What it is made of.
        about: What it is; unique in the program.
        key: All else that it depends on, as a value.
        make: A pure function of the topics and the key.
    """
    return topics.remembered(about, key, make) if isinstance(topics, Topics) else make()


def shared_isr(replicas: tuple[int, ...], isr: tuple[int, ...]) -> tuple[int, ...]:
    """The ISR, as the very tuple of the replicas when it holds the same brokers."""
    if isr == replicas or (len(isr) == len(replicas) and set(isr) == set(replicas)):
        return replicas
    return isr


@dataclass(frozen=True, kw_only=True)
class ClusterSnapshot:
    """Everything known of one cluster at one moment; immutable. None means unknown."""

    cluster: str
    observed_at: datetime
    brokers: tuple[Broker, ...]
    """The expected ones: configured, alive, or holding replicas; pure controllers as well."""
    topics: tuple[Topic, ...]
    interval_seconds: float = DEFAULT_INTERVAL_SECONDS
    quorum: Quorum | None = None
    reassignments: int | None = None
    unclean_elections_24h: int | None = None
    unreachable: bool | None = None
    probe: Probe | None = None
    ages: Mapping[EvidenceGroup, float | None] | None = None
    """Seconds since each group was seen as written: None never, absent not configured."""
    extra: Mapping[str, Mapping[str, Any]] | None = None

    @cached_property
    def brokers_by_id(self) -> Mapping[int, Broker]:
        """The nodes by id."""
        return {broker.id: broker for broker in self.brokers}

    @cached_property
    def effective_ages(self) -> Mapping[EvidenceGroup, float]:
        """Seconds since each *configured* group was last seen; infinite when it never was.

        A group that is not in the mapping is not configured. Metadata always is.
        """
        if self.ages is None:
            return dict.fromkeys(self._groups_with_data(), 0.0)
        ages = {group: math.inf if age is None else float(age) for group, age in self.ages.items()}
        ages.setdefault(EvidenceGroup.METADATA, math.inf)
        return ages

    def _groups_with_data(self) -> Iterator[EvidenceGroup]:
        yield EvidenceGroup.METADATA
        if any(topic.min_insync_replicas is not None for topic in self.topics):
            yield EvidenceGroup.CONFIGS
        if self.quorum is not None:
            yield EvidenceGroup.QUORUM
        if any(
            broker.request_handler_idle is not None or broker.disk_used_ratio is not None
            for broker in self.brokers
            if not broker.is_pure_controller
        ):
            yield EvidenceGroup.METRICS
        if self.probe is not None:
            yield EvidenceGroup.PROBE

    def age(self, group: EvidenceGroup) -> float | None:
        """Seconds since a group was seen: infinite when never, None when not configured."""
        return self.effective_ages.get(group)

    @property
    def is_metadata_known(self) -> bool:
        """Whether metadata was ever seen; without it `brokers` are those of a configuration."""
        return math.isfinite(self.effective_ages[EvidenceGroup.METADATA])

    def metrics_age(self, broker: Broker) -> float | None:
        """Seconds since a broker's own metrics were seen; None when metrics are not configured."""
        newest = self.age(EvidenceGroup.METRICS)
        if newest is None or broker.metrics_age_seconds is None:
            return newest
        return broker.metrics_age_seconds

    @cached_property
    def replica_holders(self) -> frozenset[int]:
        """Every id that stands in a replica list, excluded topics left out."""
        topics = self.topics
        return remembered(
            topics,
            "holders of what counts",
            None,
            lambda: _holders(topic for topic in topics if topic.excluded is None),
        )

    @cached_property
    def unlisted_holders(self) -> frozenset[int]:
        """Ids in any replica list that `brokers` does not name; they count as down."""
        return holders(self.topics) - self.brokers_by_id.keys()

    @property
    def fresh_limit_seconds(self) -> float:
        """How old evidence may be and count as fresh: two intervals."""
        return 2 * min(self.interval_seconds, LONGEST_INTERVAL_SECONDS)


def holders(topics: Iterable[Topic]) -> frozenset[int]:
    """Every id in a replica list of these topics."""
    return remembered(topics, "holders", None, lambda: _holders(topics))


def _holders(topics: Iterable[Topic]) -> frozenset[int]:
    found: set[int] = set()
    for topic in topics:
        found.update(topic.holders)
    return frozenset(found)
