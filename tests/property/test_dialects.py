"""One state of a cluster, told in any dialect, gives the same signals and the same index."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from support.exporter_pages import (
    DIALECTS,
    VERSION_KNOWN,
    WITHOUT_GAUGE,
    WITHOUT_LOG_MANAGER,
    NodeState,
    page,
)

from healthd.collect.assemble import Assembled, assemble
from healthd.collect.dialects import FAMILIES
from healthd.collect.observation import (
    Address,
    BrokerSignals,
    ClusterNode,
    MetadataSeen,
    Observations,
    PageSeen,
    QuorumSeen,
)
from healthd.collect.page import PageProblem, signals_of_page
from healthd.collect.scan import Scanner, samples_of
from healthd.collect.state import LastValues, Moment
from healthd.collect.target import ClusterTarget, NodeTarget
from healthd.health.index import HealthReport, evaluate
from healthd.model.snapshot import Partition, Topic, Voter

NODES = (1, 2, 3)
ROUNDS = 3
INTERVAL = 15.0
SCANNER = Scanner(FAMILIES)
WALL = datetime(2026, 1, 1, tzinfo=UTC)
LOG_MANAGER = ("offline_log_dirs", "remaining_logs")
# Not every dialect has the mean and the one-minute gauge; beside a counter they change nothing.
FORMS = ("idle_ratio", "idle_mean")

TARGET = ClusterTarget(
    name="payments",
    bootstrap_servers=("b1:9092",),
    nodes={n: NodeTarget(id=n, host=f"b{n}", exporter_url=f"http://b{n}/") for n in NODES},
)


hundredths = st.integers(1, 200)
few = st.integers(0, 3)


@st.composite
def lives(draw: st.DrawFn) -> list[NodeState]:
    """One node at some moments; its counters only grow, but for a restart."""
    version = draw(st.sampled_from(["3.9.1", "4.1.0", "4.2.0"]))
    is_controller = draw(st.booleans())
    idle = own = draw(st.integers(10**6, 10**12))
    shrinks = unclean = 0
    start = 1_795_279_274_025
    moments = []
    for number in range(ROUNDS):
        if draw(st.sampled_from([False, False, False, True])):
            idle = own = draw(st.integers(10**6, 10**9))
            shrinks, start = 0, start + 15_000
        # Up to the sum of two pools that are idle all the time.
        idle += draw(st.integers(0, int(2 * INTERVAL * 1e9)))
        own += draw(st.integers(0, int(INTERVAL * 1e9)))
        shrinks += draw(few)
        unclean += draw(st.sampled_from([0, 0, 0, 1]))
        moments.append(
            NodeState(
                state=draw(st.sampled_from([1, 2, 3, 3, 3, 3, 6, 7, 127])),
                idle_nanoseconds=idle,
                idle_one_minute=draw(hundredths) / 100 + number / 10_000,
                idle_mean=draw(hundredths) / 100 + number / 10_000,
                own_idle_nanoseconds=own if version == "4.2.0" else None,
                offline_log_dirs=draw(st.sampled_from([0, 0, 1])),
                remaining_logs=draw(st.none() | st.dictionaries(st.sampled_from("ab"), few)),
                unclean=unclean if is_controller else None,
                active=draw(st.integers(0, 1)),
                shrinks=shrinks,
                expands=draw(few),
                version=version,
                start_milliseconds=start,
            )
        )
    return moments


fleets = st.tuples(*(lives() for _ in NODES))


def signals(dialect: str, node: NodeState) -> BrokerSignals:
    return signals_of_page(SCANNER.scan(page(dialect, node).encode()))


def observed(dialect: str, nodes: Sequence[NodeState], at: float) -> Observations:
    """A round of a cluster with one partition behind; every node is a broker and a controller."""
    told = dict(zip(NODES, nodes, strict=True))
    return whole_round(
        {node: PageSeen(signals=signals(dialect, state), at=at) for node, state in told.items()},
        # What ReleaseReader adds where the page does not say.
        {
            node: ".".join(state.version.split(".")[:2])
            for node, state in told.items()
            if dialect not in VERSION_KNOWN
        },
    )


def whole_round(pages: Mapping[int, PageSeen], releases: Mapping[int, str]) -> Observations:
    """Everything but the pages is as it always is."""
    partitions = [
        Partition(id=0, leader=1, replicas=NODES, isr=NODES),
        Partition(id=1, leader=2, replicas=NODES, isr=(2, 3)),
    ]
    metadata = MetadataSeen(
        answered_by=1,
        brokers={node: Address(host=f"b{node}", port=9092) for node in NODES},
        topics=(Topic.of("orders", partitions),),
        partition_count=2,
    )
    return Observations(
        metadata=metadata,
        min_insync_replicas={"orders": 2},
        configs_complete=True,
        quorum=QuorumSeen(
            leader_id=1,
            voters=tuple(Voter(id=n, last_caught_up_ms=1000, log_end_offset=5) for n in NODES),
            fetch_timeout_ms=2000,
        ),
        reassigning={},
        any_answered=True,
        cluster_nodes={node: ClusterNode(id=node, host=f"b{node}") for node in NODES},
        pages=pages,
        releases=releases,
    )


def reports(dialect: str, fleet: tuple[list[NodeState], ...]) -> list[HealthReport]:
    """What is made of each round."""
    last = LastValues()
    found = []
    for number in range(ROUNDS):
        at = number * INTERVAL
        done = after(last, observed(dialect, [life[number] for life in fleet], at), at)
        last = done.last
        found.append(evaluate(done.snapshot))
    return found


def after(last: LastValues, seen: Observations, at: float) -> Assembled:
    moment = Moment(monotonic=at, wall=WALL)
    return assemble(TARGET, last, seen, began=at, now=moment)


@given(lives())
def test_the_same_node_gives_the_same_signals(life: list[NodeState]) -> None:
    for node in life:
        for dialect in DIALECTS:
            found, base = signals(dialect, node), signals("healthd", node)
            assert found.version == (node.version if dialect in VERSION_KNOWN else None)
            left_out = {"version", *FORMS}
            if dialect in WITHOUT_LOG_MANAGER:
                left_out.update(LOG_MANAGER)
            for field in fields(BrokerSignals):
                if field.name not in left_out:
                    assert getattr(found, field.name) == getattr(base, field.name), field.name
            if found.idle_ratio is not None:
                assert found.idle_ratio == base.idle_ratio
            else:
                has_none = node.own_idle_nanoseconds is not None and "confluent" in dialect
                assert has_none or dialect.startswith(WITHOUT_GAUGE)


@settings(max_examples=40)
@given(fleets)
def test_the_same_cluster_gives_the_same_index_to_the_last_digit(
    fleet: tuple[list[NodeState], ...],
) -> None:
    # The check of an offline directory is DescribeLogDirs' where a dialect leaves it out.
    without = tuple([replace(node, offline_log_dirs=0) for node in life] for life in fleet)
    expected = reports("healthd", without)
    for dialect in DIALECTS:
        for found, base in zip(reports(dialect, without), expected, strict=True):
            assert found.health_index == base.health_index, dialect
            assert found.checks == base.checks, dialect
            assert found == base, dialect


@given(lives())
def test_the_scan_agrees_with_the_oracle_in_every_dialect(life: list[NodeState]) -> None:
    for dialect in DIALECTS:
        text = page(dialect, life[0])
        oracle = samples_of(text_string_to_metric_families(text))
        expected = {key: value for key, value in oracle.items() if key[0] in SCANNER.families}
        assert SCANNER.scan(text.encode()) == expected


@st.composite
def steady(draw: st.DrawFn) -> list[NodeState]:
    """One node at two moments between which nothing changes but what always grows."""
    version = draw(st.sampled_from(["4.1.0", "4.2.0"]))
    own = draw(st.integers(1, 100)) / 100
    both = (1 + own) / (2 if version == "4.2.0" else 1)
    began = 10**10
    return [
        NodeState(
            idle_nanoseconds=began + round(both * number * INTERVAL * 1e9),
            idle_one_minute=both,
            idle_mean=both - number / 10_000,
            own_idle_nanoseconds=None
            if version == "4.1.0"
            else began + round(own * number * INTERVAL * 1e9),
            own_idle_one_minute=own,
            own_idle_mean=own - number / 10_000,
            version=version,
        )
        for number in range(3)
    ]


@given(
    dialect=st.sampled_from(sorted(DIALECTS)),
    fleet=st.tuples(*(steady() for _ in NODES)),
    lost=st.sets(st.tuples(st.sampled_from(NODES), st.integers(0, 25))),
)
def test_lines_that_are_lost_change_what_is_known_and_not_how_it_is(
    dialect: str, fleet: tuple[list[NodeState], ...], lost: set[tuple[int, int]]
) -> None:
    last = LastValues()
    for number in range(2):
        at = number * INTERVAL
        done = after(last, observed(dialect, [life[number] for life in fleet], at), at)
        last = done.last
    before = evaluate(done.snapshot)
    at = 2 * INTERVAL
    whole = observed(dialect, [life[2] for life in fleet], at)
    pages = {}
    for node, life in zip(NODES, fleet, strict=True):
        lines = page(dialect, life[2]).splitlines(keepends=True)
        left = [line for place, line in enumerate(lines) if (node, place) not in lost]
        with contextlib.suppress(PageProblem):
            found = signals_of_page(SCANNER.scan("".join(left).encode()))
            pages[node] = PageSeen(signals=found, at=at)
    report = evaluate(after(last, whole_round(pages, whole.releases), at).snapshot)
    assert report.health_index == pytest.approx(before.health_index, abs=1e-6)
    assert report.health_index <= report.upper + 1e-9
    assert report.completeness <= before.completeness
    assert {check.code for check in report.checks} >= {check.code for check in before.checks}
