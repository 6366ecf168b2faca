"""Topics and partitions as they are, and their snapshot form, made anew only where they changed."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from healthd.model.snapshot import NO_LEADER, Partition, Topic, shared_isr
from healthd.model.words import Excluded


@dataclass(slots=True, kw_only=True, eq=False)
class PartitionNow:
    """One partition as it is."""

    topic: "TopicNow"
    at: int
    """Its position in the topic."""
    number: int
    replicas: tuple[int, ...]
    leader: int = NO_LEADER
    isr: set[int] = field(default_factory=set)
    adding: frozenset[int] = frozenset()
    removing: frozenset[int] = frozenset()
    elr: set[int] = field(default_factory=set)
    """Replicas that may still be elected although they have left the ISR (KIP-966)."""
    last_leader: int = NO_LEADER
    leaderless_since: float | None = None
    caused_under_since: float | None = None
    """Since when a stop by the wave keeps it under min.insync.replicas."""
    caused_offline_since: float | None = None

    @property
    def is_offline(self) -> bool:
        """Whether nobody leads it."""
        return self.leader == NO_LEADER

    @property
    def is_under_min_isr(self) -> bool:
        """Whether acks=all is refused."""
        return self.is_offline or len(self.isr) < (self.topic.min_isr or 0)

    @property
    def name(self) -> str:
        """Topic and number, as people write it."""
        return f"{self.topic.name}-{self.number}"

    def as_seen(self, now: float) -> Partition:
        """The partition as Metadata shows it."""
        isr = tuple(node for node in self.replicas if node in self.isr)
        if len(isr) < len(self.isr):
            isr += tuple(sorted(self.isr.difference(self.replicas)))
        since = self.leaderless_since
        return Partition(
            id=self.number,
            leader=self.leader,
            replicas=self.replicas,
            isr=isr,
            adding=self.adding,
            removing=self.removing,
            elr=frozenset(self.elr),
            leaderless_seconds=None if since is None else round(now - since, 3),
        )


class TopicNow:
    """One topic as it is."""

    def __init__(
        self, name: str, *, min_isr: int | None = None, excluded: Excluded | None = None
    ) -> None:
        self.name = name
        self.min_isr = min_isr
        self.excluded = excluded
        self.partitions: list[PartitionNow] = []
        self._seen: Topic | None = None
        self._changed: set[int] = set()
        self._leaderless: set[int] = set()

    def add(
        self,
        number: int,
        replicas: tuple[int, ...],
        *,
        leader: int | None = None,
        isr: Iterable[int] | None = None,
    ) -> PartitionNow:
        """A new partition; all in sync and led by its first replica unless it is said."""
        made = PartitionNow(
            topic=self,
            at=len(self.partitions),
            number=number,
            replicas=replicas,
            leader=replicas[0] if leader is None else leader,
            isr=set(replicas if isr is None else isr),
        )
        made.last_leader = made.leader
        self.partitions.append(made)
        self._seen = None
        return made

    def changed(self, partition: PartitionNow) -> None:
        """Note that a partition is not what it was."""
        self._changed.add(partition.at)

    def adopt(self, seen: Topic) -> None:
        """Take a topic of a snapshot for how this one looks now."""
        self._seen = seen
        self._changed.clear()
        self._leaderless = {at for at, leader in enumerate(seen.leaders) if leader == NO_LEADER}

    def as_seen(self, now: float) -> Topic:
        """The topic as healthd sees it; the very same object when nothing changed."""
        seen = self._seen
        if seen is None:
            rows = [partition.as_seen(now) for partition in self.partitions]
            seen = Topic.of(
                self.name, rows, min_insync_replicas=self.min_isr, excluded=self.excluded
            )
            self.adopt(seen)
        elif self._changed or self._leaderless:
            # Leaderless partitions change by growing older.
            self.adopt(self._renewed(seen, now))
        assert self._seen is not None
        return self._seen

    def _renewed(self, seen: Topic, now: float) -> Topic:
        rows = {at: self.partitions[at].as_seen(now) for at in self._changed | self._leaderless}
        leaders, replicas, isrs = list(seen.leaders), list(seen.replicas), list(seen.isrs)
        adding, removing = dict(seen.adding), dict(seen.removing)
        elr, leaderless = dict(seen.elr), dict(seen.leaderless_seconds)
        for at in sorted(rows):
            row = rows[at]
            leaders[at], replicas[at] = row.leader, row.replicas
            isrs[at] = shared_isr(row.replicas, row.isr)
            for column, value in ((adding, row.adding), (removing, row.removing), (elr, row.elr)):
                column.pop(at, None)
                if value:
                    column[at] = value
            leaderless.pop(at, None)
            if row.leaderless_seconds is not None:
                leaderless[at] = row.leaderless_seconds
        return Topic(
            name=self.name,
            min_insync_replicas=self.min_isr,
            excluded=self.excluded,
            ids=seen.ids,
            leaders=tuple(leaders),
            replicas=tuple(replicas),
            isrs=tuple(isrs),
            adding=adding,
            removing=removing,
            elr=elr,
            leaderless_seconds=leaderless,
        )
