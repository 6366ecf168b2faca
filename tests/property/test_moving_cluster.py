"""What holds for the index while a cluster moves and sources come and go.

Truth is a small cluster; each round shows as much of it as the sources that answer, and goes
through the daemon's own collecting and judging (health-index.md section 7).
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from healthd.collect.assemble import assemble
from healthd.collect.observation import (
    Address,
    BrokerSignals,
    LogDirsSeen,
    MetadataSeen,
    Observations,
    PageSeen,
    ProbeSeen,
    QuorumSeen,
    SectionSeen,
)
from healthd.collect.state import LastValues, Moment
from healthd.collect.target import ClusterTarget, NodeTarget
from healthd.config.fleet import ClusterConfig
from healthd.engine.aging import aged
from healthd.engine.judging import Judge, Judged
from healthd.health.history import NO_HISTORY, History
from healthd.health.history_json import put_in, taken_out
from healthd.model.parse import snapshot_of
from healthd.model.render import render_snapshot
from healthd.model.snapshot import NO_LEADER, ClusterSnapshot, Partition, Probe, Topic, Voter
from healthd.model.words import BrokerState, EvidenceGroup

NODES = (1, 2, 3, 4)
VOTERS = (1, 2, 3)
INTERVAL = 15.0
NOISE = 1e-9
MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)
SOURCES = ("metadata", "configs", "quorum", "pages", "log_dirs", "probe")
ASSIGNED = ((1, 2, 3), (2, 3, 4), (3, 4, 1), (4, 1, 2))
TARGET = ClusterTarget(
    name="moving",
    bootstrap_servers=("b1:9092",),
    nodes={
        node: NodeTarget(id=node, host=f"b{node}", exporter_url=f"http://b{node}/")
        for node in NODES
    },
    interval_seconds=INTERVAL,
    is_probed=True,
)
CONFIG = ClusterConfig(name="moving", bootstrap_servers=("b1:9092",))


@dataclass(frozen=True)
class Truth:
    """What is so, whatever anybody sees of it."""

    down: frozenset[int] = frozenset()
    lagging: frozenset[int] = frozenset()
    """Alive and out of every ISR."""
    topics: frozenset[str] = frozenset({"orders", "__consumer_offsets"})
    idle: float = 0.9
    disk: float = 0.4
    probes_lost: int = 0
    has_controller: bool = True

    def topic(self, name: str) -> Topic:
        return Topic.of(name, list(self._partitions()))

    def _partitions(self) -> Iterator[Partition]:
        for number, replicas in enumerate(ASSIGNED):
            isr = tuple(n for n in replicas if n not in self.down | self.lagging)
            leader = isr[0] if isr else NO_LEADER
            yield Partition(id=number, leader=leader, replicas=replicas, isr=isr)


CHANGES = st.one_of(
    st.tuples(st.just("down"), st.frozensets(st.sampled_from(NODES), max_size=3)),
    st.tuples(st.just("lagging"), st.frozensets(st.sampled_from(NODES), max_size=2)),
    st.tuples(
        st.just("topics"),
        st.frozensets(st.sampled_from(["orders", "__consumer_offsets", "new", "a-1"]), max_size=4),
    ),
    st.tuples(st.just("idle"), st.sampled_from([0.0, 0.05, 0.2, 0.9])),
    st.tuples(st.just("disk"), st.sampled_from([0.1, 0.75, 0.9, 0.99])),
    st.tuples(st.just("probes_lost"), st.integers(0, 20)),
    st.tuples(st.just("has_controller"), st.booleans()),
)
SEEN = st.one_of(st.just(frozenset(SOURCES)), st.frozensets(st.sampled_from(SOURCES)))
ROUNDS = st.lists(
    st.tuples(st.lists(CHANGES, max_size=2), SEEN, st.sampled_from([5.0, 15.0, 40.0, 200.0])),
    min_size=1,
    max_size=8,
)


def observed(truth: Truth, sources: frozenset[str], now: float) -> Observations:
    """What the sources that answer show of the truth."""
    up = [node for node in NODES if node not in truth.down]
    voting = [node for node in VOTERS if node in up]
    leader = voting[0] if truth.has_controller and len(voting) > 1 else NO_LEADER
    names = sorted(truth.topics)
    return Observations(
        metadata=MetadataSeen(
            answered_by=up[0],
            brokers={node: Address(host=f"b{node}", port=9092) for node in up},
            topics=tuple(truth.topic(name) for name in names),
            partition_count=len(ASSIGNED) * len(names),
        )
        if "metadata" in sources
        else None,
        min_insync_replicas=dict.fromkeys(names, 2) if "configs" in sources else None,
        configs_complete="configs" in sources,
        quorum=QuorumSeen(
            leader_id=leader,
            voters=tuple(
                Voter(id=node, last_caught_up_ms=9000 if node in voting else 0) for node in VOTERS
            )
            if leader != NO_LEADER
            else (),
            observers=dict.fromkeys(up, 9000),
            fetch_timeout_ms=2000,
        )
        if "quorum" in sources
        else None,
        reassigning={} if "quorum" in sources else None,
        pages={
            node: PageSeen(
                signals=BrokerSignals(
                    state=BrokerState.RUNNING,
                    idle_ratio=max(1e-6, truth.idle),
                    is_broker_pool=True,
                    version="4.2.0",
                ),
                at=now,
            )
            for node in up
        }
        if "pages" in sources
        else {},
        log_dirs={node: LogDirsSeen(used_ratio=truth.disk, offline=0, at=now) for node in up}
        if "log_dirs" in sources
        else {},
        probe=ProbeSeen(probe=Probe(attempts=20, succeeded=20 - truth.probes_lost), at=now)
        if "probe" in sources
        else None,
        sections={"probe": SectionSeen(body={"topic": "x"}, at=now)},
        any_answered=bool(sources & {"metadata", "quorum"}),
    )


@dataclass
class Daemon:
    """Collecting and judging as the daemon does, without its loops."""

    now: float = 1000.0
    last: LastValues = field(default_factory=LastValues)
    history: History = NO_HISTORY
    snapshot: ClusterSnapshot | None = None
    judge: Judge = field(default_factory=lambda: Judge(CONFIG))

    def round(self, truth: Truth, sources: frozenset[str], step: float = INTERVAL) -> Judged:
        self.now += step
        done = assemble(
            TARGET,
            self.last,
            observed(truth, sources, self.now),
            began=self.now,
            now=Moment(monotonic=self.now, wall=MIDNIGHT + timedelta(seconds=self.now)),
        )
        self.last, self.snapshot = done.last, done.snapshot
        judged = self.judge.judge(done.snapshot, self.history, frozenset(), done.failures)
        self.history = judged.history
        return judged

    def restarted(self, away_seconds: float) -> tuple["Daemon", Judged]:
        """Another process after a stop, with what the first one had stored, and what it shows."""
        assert self.snapshot is not None
        body = json.dumps(render_snapshot(put_in(self.snapshot, self.history)))
        known, history = taken_out(aged(snapshot_of(json.loads(body)), away_seconds))
        new = Daemon(now=50.0, history=history, snapshot=known)
        new.last = LastValues.from_snapshot(known, 0.0, new.now)
        judged = new.judge.judge(known, history, frozenset())
        new.history = judged.history
        return new, judged


def moved(truth: Truth, changes: list[tuple[str, object]]) -> Truth:
    return replace(truth, **dict(changes))  # type: ignore[arg-type]


def index(judged: Judged) -> float:
    return judged.report.health_index


@given(ROUNDS)
def test_every_snapshot_is_valid_bounded_and_decomposes(
    rounds: list[tuple[list[tuple[str, object]], frozenset[str], float]],
) -> None:
    daemon, truth = Daemon(), Truth()
    for changes, sources, step in rounds:
        truth = moved(truth, changes)
        report = daemon.round(truth, sources, step).report
        assert daemon.snapshot is not None
        assert snapshot_of(render_snapshot(daemon.snapshot)) == daemon.snapshot
        assert 0 <= report.lower <= report.health_index <= report.upper <= 100
        points = math.fsum(row.points for row in report.contributions) + report.cap_penalty
        assert math.isclose(points, 100 - report.health_index, abs_tol=1e-6)


@given(ROUNDS, st.lists(st.sampled_from([5.0, 15.0, 60.0]), min_size=1, max_size=6))
def test_without_news_it_never_rises(
    rounds: list[tuple[list[tuple[str, object]], frozenset[str], float]], silence: list[float]
) -> None:
    daemon, truth = Daemon(), Truth()
    before = 100.0
    for changes, sources, step in rounds:
        truth = moved(truth, changes)
        before = index(daemon.round(truth, sources, step))
    for step in silence:
        after = index(daemon.round(truth, frozenset(), step))
        assert after <= before + NOISE
        before = after


@given(ROUNDS, st.frozensets(st.sampled_from(SOURCES)))
def test_losing_a_source_never_raises_it(
    rounds: list[tuple[list[tuple[str, object]], frozenset[str], float]], lost: frozenset[str]
) -> None:
    """Nothing changes any more but what is seen: from then on it is never better."""
    daemon, truth, every = Daemon(), Truth(), frozenset(SOURCES)
    for changes, _, step in rounds:
        truth = moved(truth, changes)
        daemon.round(truth, every, step)
    for _ in range(2):  # A topic that is gone is believed to be when it is missing twice.
        before = index(daemon.round(truth, every))
    for _ in range(7):
        assert index(daemon.round(truth, every - lost)) <= before + NOISE


@given(ROUNDS, st.sampled_from([0.0, 3.0, 100.0, 10_000.0]))
def test_after_a_restart_the_first_index_is_not_higher_than_the_last(
    rounds: list[tuple[list[tuple[str, object]], frozenset[str], float]], away: float
) -> None:
    daemon, truth, last = Daemon(), Truth(), 100.0
    for changes, sources, step in rounds:
        truth = moved(truth, changes)
        last = index(daemon.round(truth, sources, step))
    restarted, shown = daemon.restarted(away)
    assert index(shown) <= last + NOISE
    assert index(restarted.round(truth, frozenset())) <= last + NOISE
    seen = set(daemon.last.seen_at)
    assert restarted.snapshot is not None
    ages = restarted.snapshot.ages or {}
    assert {group for group in seen if ages.get(group) is None} == set(), "never null again"


@given(ROUNDS)
def test_once_all_is_well_and_seen_it_is_exactly_100(
    rounds: list[tuple[list[tuple[str, object]], frozenset[str], float]],
) -> None:
    daemon, truth = Daemon(), Truth()
    for changes, sources, step in rounds:
        truth = moved(truth, changes)
        daemon.round(truth, sources, step)
    for _ in range(2):  # A topic that is gone is believed to be when it is missing twice.
        judged = daemon.round(Truth(), frozenset(SOURCES))
    assert judged.report.health_index == 100.0
    assert judged.report.completeness == 1.0
    assert EvidenceGroup.PROBE in (daemon.snapshot.ages or {})  # type: ignore[union-attr]
