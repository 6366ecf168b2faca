"""What partitions would lose if sets of brokers stopped (restart-safety.md section 1).

Many sets are asked about in one pass over the assignment, because a cluster may have 100,000
partitions and 100 brokers. What a partition in sync answers depends only on the sets in which its
replicas stand, so partitions that are alike there are judged once.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from healthd.model.codes import ReasonCode
from healthd.model.order import natural_key
from healthd.model.reason import Reason
from healthd.model.snapshot import NO_LEADER, ClusterSnapshot, Topic
from healthd.model.words import BrokerState
from healthd.safety.acknowledgements import NONE, Acknowledgements
from healthd.safety.replication import assigned, in_sync, is_whole, serving_brokers

Verdict = tuple[ReasonCode, str]
"""A blocker's code and detail."""
Answers = Mapping[int, Verdict]
"""One partition's blocker for each set, by the set's position, that has one."""
_Settled = dict[tuple[tuple[int, ...] | None, ...], Answers]
"""What partitions in sync answer, by the positions of the sets of each of their replicas."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSets:
    """Sets of brokers, each asked about by itself; build them with `BrokerSets.of`."""

    members: tuple[frozenset[int], ...]
    asking: Mapping[int, tuple[int, ...]]
    """The positions of the sets in which a broker asks something of its partitions."""
    lingering: Mapping[int, tuple[int, ...]]
    """The same for brokers that are down and still run: they may be the only ones to lead."""

    @classmethod
    def of(cls, snapshot: ClusterSnapshot, members: Iterable[frozenset[int]]) -> "BrokerSets":
        """The sets, with what each of their brokers asks on this snapshot."""
        sets = tuple(members)
        asking: dict[int, list[int]] = {}
        lingering: dict[int, list[int]] = {}
        for position, one in enumerate(sets):
            for node in one:
                broker = snapshot.brokers_by_id[node]
                if broker.state is BrokerState.NOT_RUNNING:
                    continue
                if not broker.is_down:
                    asking.setdefault(node, []).append(position)
                elif broker.state is not BrokerState.UNKNOWN:
                    lingering.setdefault(node, []).append(position)
        return cls(
            members=sets,
            asking={node: tuple(at) for node, at in asking.items()},
            lingering={node: tuple(at) for node, at in lingering.items()},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rules:
    """What is asked of the partitions of one topic."""

    min_isr: int | None
    margin: int
    allows_rf_one: bool
    allows_rf_le_min_isr: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    """How one partition stands, as safety counts it."""

    has_leader: bool
    replicas: tuple[int, ...]
    isr: frozenset[int]


def partition_blockers(
    snapshot: ClusterSnapshot,
    sets: BrokerSets,
    acknowledged: Acknowledgements,
    *,
    include_excluded: bool = True,
) -> tuple[list[Reason], ...]:
    """For each set the partitions that would suffer, in natural order of their names."""
    results: tuple[list[Reason], ...] = tuple([] for _ in sets.members)
    found = _answers(snapshot, sets, acknowledged, include_excluded=include_excluded)
    named = [(topic.label(at), answers) for topic, at, answers in found]
    for name, answers in sorted(named, key=lambda row: natural_key(row[0])):
        # Brokers of one partition mostly get the same answer: one object serves them all.
        made: dict[Verdict, Reason] = {}
        for position, verdict in answers.items():
            if verdict not in made:
                made[verdict] = Reason(code=verdict[0], object=name, detail=verdict[1])
            results[position].append(made[verdict])
    return results


def breaking_counts(
    snapshot: ClusterSnapshot, sets: BrokerSets, codes: Collection[ReasonCode]
) -> Mapping[int, Mapping[ReasonCode, int]]:
    """How many partitions each set would break, by code, with nothing acknowledged.

    By the sets' positions; sets that break nothing are left out. Excluded topics do not count.
    """
    counts: dict[int, Counter[ReasonCode]] = {}
    for _, _, answers in _answers(snapshot, sets, NONE, include_excluded=False):
        for position, (code, _) in answers.items():
            if code in codes:
                counts.setdefault(position, Counter())[code] += 1
    return counts


def _answers(
    snapshot: ClusterSnapshot,
    sets: BrokerSets,
    acknowledged: Acknowledgements,
    *,
    include_excluded: bool,
) -> Iterator[tuple[Topic, int, Answers]]:
    """Every partition that has something against a set, by topic and position."""
    judge = _Judge(sets, serving_brokers(snapshot))
    for topic in snapshot.topics:
        if not include_excluded and topic.excluded is not None:
            continue
        rules = _Rules(
            min_isr=acknowledged.min_isr(topic),
            margin=acknowledged.margin,
            allows_rf_one=acknowledged.allows_rf_one(topic),
            allows_rf_le_min_isr=acknowledged.allows_rf_le_min_isr(topic),
        )
        for at, answers in judge.topic(topic, rules):
            yield topic, at, answers


class _Judge:
    """Judges partitions for all sets at once."""

    def __init__(self, sets: BrokerSets, serving: frozenset[int]) -> None:
        self._sets = sets
        self._serving = serving
        self._largest = max(map(len, sets.members), default=0)
        self._settled: dict[_Rules, _Settled] = {}

    def topic(self, topic: Topic, rules: _Rules) -> Iterator[tuple[int, Answers]]:
        """The positions of a topic with something against a set, and what."""
        settled = self._settled.setdefault(rules, {})
        factors = set(map(len, topic.replicas))
        safe = {many for many in factors if _spare(rules, many) >= self._largest}
        all_whole = is_whole(topic, self._serving)
        if all_whole and safe == factors:
            return
        for at, replicas in enumerate(topic.replicas):
            if all_whole or self._is_whole(topic, at):
                if len(replicas) in safe:
                    continue
                answers = self._whole(replicas, rules, settled)
            else:
                answers = self._torn(topic, at, rules)
            if answers:
                yield at, answers

    def _is_whole(self, topic: Topic, at: int) -> bool:
        replicas = topic.replicas[at]
        return (
            topic.isrs[at] is replicas
            and topic.leaders[at] != NO_LEADER
            and at not in topic.adding
            and self._serving.issuperset(replicas)
        )

    def _whole(self, replicas: tuple[int, ...], rules: _Rules, settled: _Settled) -> Answers:
        """The answers for a partition with a leader and all of these replicas in sync.

        They depend on nothing but the rules and the sets in which each replica stands.
        """
        pattern = tuple(map(self._sets.asking.get, replicas))
        answers = settled.get(pattern)
        if answers is None:
            standing = _Standing(has_leader=True, replicas=replicas, isr=frozenset(replicas))
            answers = settled[pattern] = self._judged(standing, rules, replicas)
        return answers

    def _torn(self, topic: Topic, at: int, rules: _Rules) -> Answers:
        """The answers for a partition that is not all there."""
        standing = _Standing(
            has_leader=topic.leaders[at] != NO_LEADER,
            replicas=assigned(topic, at),
            isr=in_sync(topic, at, self._serving),
        )
        answers = self._judged(standing, rules, topic.replicas[at])
        if standing.has_leader or not self._sets.lingering:
            return answers
        found = dict(answers)
        for node in sorted(topic.elr.get(at, frozenset()).union(topic.isrs[at])):
            for position in self._sets.lingering.get(node, ()):
                found.setdefault(position, (ReasonCode.PARTITION_OFFLINE, _may_lead(node)))
        return found

    def _judged(self, standing: _Standing, rules: _Rules, holders: tuple[int, ...]) -> Answers:
        """The blocker of one partition for each set that has one; `holders` may be being added."""
        asking = self._sets.asking
        answers = {}
        for position in {position for node in holders for position in asking.get(node, ())}:
            verdict = _blocker(standing, rules, self._sets.members[position])
            if verdict is not None:
                answers[position] = verdict
        return answers


def _may_lead(node: int) -> str:
    return (
        f"has no leader, and broker {node}, which still runs, may be the only one"
        " that can lead it without loss"
    )


def _spare(rules: _Rules, factor: int) -> int:
    """How many replicas a partition in sync can lose without any blocker; -1: not even asked."""
    if rules.min_isr is None or factor <= rules.min_isr or factor == 1:
        return -1
    needed = rules.min_isr + rules.margin
    return factor - (needed if factor > needed else rules.min_isr)


def _blocker(standing: _Standing, rules: _Rules, stopped: frozenset[int]) -> Verdict | None:
    """The first rule of section 1 that stands against stopping these brokers together."""
    if not standing.has_leader:
        return ReasonCode.PARTITION_OFFLINE, "has no leader"
    if len(standing.replicas) != 1:
        return _by_min_isr(standing, rules, stopped)
    if rules.allows_rf_one or standing.replicas[0] not in stopped:
        return None
    return ReasonCode.RF_ONE, "it has no second replica: it would be offline meanwhile"


def _by_min_isr(standing: _Standing, rules: _Rules, stopped: frozenset[int]) -> Verdict | None:
    """The rules for a partition with a leader and several replicas."""
    factor = len(standing.replicas)
    if rules.min_isr is None:
        return ReasonCode.MIN_ISR_UNKNOWN, "min.insync.replicas is not known"
    if factor > rules.min_isr:
        return _shortage(standing, stopped, rules.min_isr, rules.margin)
    if rules.allows_rf_le_min_isr:
        # Every replica is needed for acks=all; it was accepted that one is away, never a second.
        return _shortage(standing, stopped, factor - 1, rules.margin)
    needs = f"RF {factor} is not above min.insync.replicas {rules.min_isr}"
    return ReasonCode.RF_LE_MIN_ISR, f"{needs}: acks=all stops whichever replica goes"


def _shortage(
    standing: _Standing, stopped: frozenset[int], minimum: int, margin: int
) -> Verdict | None:
    """The blocker when too few replicas are or would be left in sync."""
    now, factor = len(standing.isr), len(standing.replicas)
    if now < minimum:
        return (
            ReasonCode.UNDER_MIN_ISR,
            f"{now} of {factor} replicas are in sync, at least {minimum} must be: let it recover",
        )
    left = len(standing.isr - stopped)
    if left == now:
        return None
    if left < minimum:
        return (
            ReasonCode.WOULD_GO_UNDER_MIN_ISR,
            f"{left} of {factor} replicas would be left in sync, at least {minimum} must be",
        )
    if left < minimum + margin < factor:
        wanted = f"the minimum is {minimum} and the margin {margin}"
        return (
            ReasonCode.WOULD_BREAK_MARGIN,
            f"{left} of {factor} replicas would be left in sync, {wanted}",
        )
    return None
