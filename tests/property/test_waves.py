"""What holds for every wave, whatever fails meanwhile (restart-safety.md section 6)."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.cluster_model import Node, Rows, racked, ring, unconstrained
from support.wave_model import NodeSet, WaveModel

from healthd.model.words import EvidenceGroup
from healthd.waves.events import Verb
from healthd.waves.policy import WavePolicy
from healthd.waves.state import NodeStatus, WaveStatus

POLICY = WavePolicy(
    soak_seconds=5,
    clean_snapshots=3,
    clean_seconds=10,
    stop_timeout_seconds=60,
    start_timeout_seconds=400,
    recovery_timeout_seconds=300,
)
LAST_FAULT_AT = 150.0
LONGEST_FAULT = 40.0
CALM_AT = LAST_FAULT_AT + LONGEST_FAULT + 20.0
PATIENCE = 4000.0

MAY_FAIL_A_STOP = {"hangs", "lies", "loses_answer", "broker_frozen", "unreachable"}
MAY_KILL = {"broker_crash", "broker_frozen", "broker_fenced"}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong, from a time on and for so long."""

    at: float
    kind: str
    node: int
    seconds: float


def begin_and_end(model: WaveModel, fault: Fault) -> tuple[Callable[[], object], ...]:
    """How a fault begins and how it ends."""
    node, hosts, cluster = fault.node, model.faults, model.cluster
    lost, pages = NodeSet(model.collector.lost), NodeSet(model.collector.exporters_lost)

    def source(group: EvidenceGroup) -> tuple[Callable[[], object], ...]:
        return (lambda: lost.add(group), lambda: lost.discard(group))

    def host(nodes: NodeSet[int]) -> tuple[Callable[[], object], ...]:
        return (lambda: nodes.add(node), lambda: nodes.discard(node))

    made: dict[str, Callable[[], tuple[Callable[[], object], ...]]] = {
        "broker_crash": lambda: (lambda: cluster.crash(node), lambda: cluster.start(node)),
        "broker_frozen": lambda: (lambda: cluster.freeze(node), lambda: cluster.thaw(node)),
        "broker_fenced": lambda: (lambda: cluster.fence(node), lambda: cluster.unfence(node)),
        "log_recovery": lambda: (
            lambda: setattr(cluster.nodes[node], "log_recovery", fault.seconds),
            lambda: None,
        ),
        "controller_moves": lambda: (lambda: cluster.quorum.move(node % 3 + 1), lambda: None),
        "metadata_lost": lambda: source(EvidenceGroup.METADATA),
        "configs_lost": lambda: source(EvidenceGroup.CONFIGS),
        "quorum_lost": lambda: source(EvidenceGroup.QUORUM),
        "exporter_lost": lambda: host(pages),
        "unreachable": lambda: host(hosts.unreachable),
        "start_fails": lambda: host(hosts.start_fails),
        "hangs": lambda: host(hosts.hangs),
        "lies": lambda: host(hosts.lies),
        "loses_answer": lambda: host(hosts.loses_answer),
        "daemon_killed": lambda: (lambda: model.kill(fault.seconds), lambda: None),
        "pause": lambda: (
            lambda: model.order_(Verb.PAUSE),
            lambda: model.order_(Verb.RESUME),
        ),
    }
    return made[fault.kind]()


KINDS = (
    "broker_crash",
    "broker_frozen",
    "broker_fenced",
    "log_recovery",
    "controller_moves",
    "metadata_lost",
    "configs_lost",
    "quorum_lost",
    "exporter_lost",
    "unreachable",
    "start_fails",
    "hangs",
    "lies",
    "loses_answer",
    "daemon_killed",
    "pause",
)

faults = st.builds(
    Fault,
    at=st.integers(0, int(LAST_FAULT_AT * 4)).map(lambda quarter: quarter / 4),
    kind=st.sampled_from(KINDS),
    node=st.integers(1, 4),
    seconds=st.sampled_from([2.0, 10.0, 20.0, LONGEST_FAULT]),
)
kills = st.dictionaries(st.integers(1, 45), st.sampled_from([1.0, 10.0]), max_size=3)


@dataclass(frozen=True, slots=True)
class Shape:
    """A cluster, and how many of its nodes a wave may have in flight."""

    name: str
    built: Callable[[], tuple[list[Node], Rows]]
    concurrency: int | None = 1

    def __repr__(self) -> str:
        return f"{self.name} at {self.concurrency or 'safe'}"


FOUR = Shape("four combined", lambda: ring(nodes=4, factor=3, min_isr=2))
CLUSTERS: tuple[tuple[str, Callable[[], tuple[list[Node], Rows]]], ...] = (
    ("RF 4 in four racks", lambda: racked(racks=4, each=3, factor=4, min_isr=3, partitions=40)),
    ("RF 3 in three racks", lambda: racked(racks=3, each=3, factor=3, min_isr=2, partitions=30)),
    ("anywhere", lambda: unconstrained(nodes=8, factor=3, min_isr=2, partitions=12)),
    ("crowded", lambda: unconstrained(nodes=5, factor=3, min_isr=2, partitions=30)),
    ("two to spare", lambda: unconstrained(nodes=7, factor=4, min_isr=2, partitions=20)),
    ("six combined", lambda: ring(nodes=6, factor=3, min_isr=2, partitions=6)),
)
shapes = st.builds(
    lambda cluster, concurrency: Shape(cluster[0], cluster[1], concurrency),
    st.sampled_from(CLUSTERS),
    st.sampled_from([1, 2, 3, None]),
)


def rehearse(
    schedule: list[Fault], killed_at: dict[int, float], shape: Shape = FOUR
) -> tuple[WaveModel, Counter[int]]:
    """A wave over a cluster with these faults, and a person who puts it right afterwards."""
    nodes, partitions = shape.built()
    model = WaveModel(nodes, partitions, policy=POLICY, concurrency=shape.concurrency)
    model.kill_at_write = killed_at
    for fault in schedule:
        begins, ends = begin_and_end(model, fault)
        model.agenda.after(fault.at, begins)
        model.agenda.after(fault.at + fault.seconds, ends)
    retried: Counter[int] = Counter()

    def help_it() -> None:
        for run in model.state.nodes:
            stuck = run.status is NodeStatus.FAILED or run.is_overdue
            if model.is_alive and stuck and model.order_(Verb.RETRY, run.node) is None:
                retried[run.node] += 1
        if model.is_alive and model.state.is_paused:
            model.order_(Verb.RESUME)
        model.agenda.after(60.0, help_it)

    model.agenda.after(CALM_AT, help_it)
    model.begin()
    model.run(PATIENCE)
    return model, retried


def check(schedule: list[Fault], killed_at: dict[int, float], shape: Shape = FOUR) -> None:
    """Every property of the section, for one schedule."""
    model, retried = rehearse(schedule, killed_at, shape)
    kinds = {fault.kind for fault in schedule}
    story = f"{shape} {schedule} {killed_at} {model.as_json()}\n{model.told()}"
    assert not model.violations, story
    if shape.concurrency is not None and not kinds & MAY_KILL:
        assert model.as_json()["maxInFlight"] <= shape.concurrency, story
    ended = {WaveStatus.SUCCEEDED}
    if kinds & MAY_FAIL_A_STOP:
        ended.add(WaveStatus.FAILED)
    assert model.state.status in ended, story
    model.agenda.run_until(model.agenda.now + 120.0)
    assert not model.down(), story
    hurt = Counter(fault.node for fault in schedule if fault.kind in MAY_KILL)
    for node, times in model.restarts.items():
        assert times <= 1 + hurt[node] + retried[node] * bool(hurt[node]), story
    if not kinds & (MAY_FAIL_A_STOP | MAY_KILL | {"start_fails", "log_recovery"}):
        # Nothing happened to a broker or on the way to it: nobody has to help.
        assert not retried, story
        assert model.restarts == dict.fromkeys(model.restarts, 1), story


def _settings(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


@_settings(40)
@given(st.lists(faults, max_size=6), kills)
def test_whatever_fails_a_wave_ends_with_every_broker_up_and_harms_nothing(
    schedule: list[Fault], killed_at: dict[int, float]
) -> None:
    check(schedule, killed_at)


@pytest.mark.prove
@pytest.mark.timeout(3600)
@_settings(2000)
@given(st.lists(faults, max_size=9), kills)
def test_two_thousand_schedules_of_faults_harm_nothing(
    schedule: list[Fault], killed_at: dict[int, float]
) -> None:
    check(schedule, killed_at)


@_settings(40)
@given(st.lists(faults, max_size=5), kills, shapes)
def test_whatever_fails_with_several_in_flight_ends_well_and_harms_nothing(
    schedule: list[Fault], killed_at: dict[int, float], shape: Shape
) -> None:
    check(schedule, killed_at, shape)


@pytest.mark.prove
@pytest.mark.timeout(3600)
@_settings(2000)
@given(st.lists(faults, max_size=9), kills, shapes)
def test_two_thousand_schedules_with_several_in_flight_harm_nothing(
    schedule: list[Fault], killed_at: dict[int, float], shape: Shape
) -> None:
    check(schedule, killed_at, shape)


RACKS = Shape(*CLUSTERS[1], None)


@pytest.mark.parametrize(("down_for", "every"), [(1.0, 5), (30.0, 13)])
def test_a_daemon_killed_at_a_write_with_a_rack_in_flight_restarts_nobody_twice(
    down_for: float, every: int
) -> None:
    for write in range(1, rehearse([], {}, RACKS)[0].writes + 1, every):
        check([], {write: down_for}, RACKS)


@pytest.mark.prove
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("cluster", CLUSTERS, ids=lambda cluster: cluster[0])
@pytest.mark.parametrize("concurrency", [2, None])
def test_a_daemon_killed_at_any_write_with_several_in_flight_restarts_nobody_twice(
    cluster: tuple[str, Callable[[], tuple[list[Node], Rows]]], concurrency: int | None
) -> None:
    shape = Shape(*cluster, concurrency)
    for write in range(1, rehearse([], {}, shape)[0].writes + 1):
        for down_for in (1.0, 30.0):
            check([], {write: down_for}, shape)


def writes_of_a_calm_wave() -> int:
    model, _ = rehearse([], {})
    return model.writes


@pytest.mark.parametrize("down_for", [1.0, 30.0])
def test_a_daemon_killed_at_any_journal_write_restarts_nobody_twice(down_for: float) -> None:
    for write in range(1, writes_of_a_calm_wave() + 1, 1 if down_for == 1.0 else 3):
        check([], {write: down_for})
