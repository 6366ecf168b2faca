"""A rehearsal is possible on any snapshot, begins with what that shows, and is always the same."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.safety_snapshots import clusters
from support.snapshots import snapshots

from healthd.config.playbooks import load_playbook
from healthd.health.index import evaluate
from healthd.model.snapshot import ClusterSnapshot
from healthd.rehearsal.faults import SHAPES, Fault, FaultKind, Need, When
from healthd.rehearsal.nodes import Timing
from healthd.rehearsal.rehearsal import Rehearsal
from healthd.rehearsal.running import rehearse
from healthd.rehearsal.world import World
from healthd.waves.policy import WavePolicy
from healthd.waves.state import NodeStatus

PLAYBOOK = load_playbook("rolling-restart")
POLICY = WavePolicy(
    soak_seconds=20,
    clean_seconds=15,
    clean_snapshots=2,
    start_timeout_seconds=60,
    stop_timeout_seconds=60,
    recovery_timeout_seconds=200,
    min_health_index=0,
    allow_rf_one=("*",),
    allow_rf_le_min_isr=("*",),
    allow_quorum_without_spare=True,
)
NO_DETAILS = sorted(kind for kind, shape in SHAPES.items() if not shape.required)

any_snapshot = (snapshots() | clusters()).filter(lambda snapshot: bool(snapshot.brokers))
settled = settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@st.composite
def rehearsals(draw: st.DrawFn) -> Rehearsal:
    snapshot = draw(any_snapshot)
    nodes = sorted(snapshot.brokers_by_id)
    faults = []
    for _ in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from(NO_DETAILS))
        known = nodes
        if kind is FaultKind.VOTER_BEHIND:
            known = [] if snapshot.quorum is None else [v.id for v in snapshot.quorum.voters]
        if not known:
            continue
        shape = SHAPES[kind]
        at = draw(st.none() | st.integers(0, 300).map(float))
        when = When(broker=draw(st.sampled_from(nodes)), state=draw(st.sampled_from(NodeStatus)))
        faults.append(
            Fault(
                kind=kind,
                at=at,
                when=when if at is None else None,
                lasts=draw(st.none() | st.sampled_from([10.0, 100.0])),
                broker=None if shape.broker is Need.NONE else draw(st.sampled_from(known)),
            )
        )
    return Rehearsal(
        snapshot=snapshot,
        playbook=PLAYBOOK,
        policy=POLICY,
        concurrency=draw(st.sampled_from([1, 2, None])),
        faults=tuple(faults),
        until=1500.0,
    )


@settled
@given(any_snapshot)
def test_the_first_collection_has_the_index_of_the_snapshot(snapshot: ClusterSnapshot) -> None:
    world = World.of(snapshot, timing=Timing(collect=snapshot.interval_seconds))
    world.agenda.run_until(0.0)
    seen = world.collector.snapshot()
    assert evaluate(seen).health_index == pytest.approx(evaluate(snapshot).health_index)
    assert [topic.name for topic in seen.topics] == [topic.name for topic in snapshot.topics]
    assert {b.id: b.is_down for b in seen.brokers} == {b.id: b.is_down for b in snapshot.brokers}


@settled
@given(rehearsals())
def test_any_rehearsal_ends_and_is_the_same_when_it_is_done_again(rehearsal: Rehearsal) -> None:
    first: dict[str, Any] = rehearse(rehearsal).as_json()
    assert first == rehearse(replace(rehearsal)).as_json()
    assert first["outcome"] in {
        "succeeded",
        "failed",
        "aborted",
        "paused",
        "holding",
        "running",
    }
    assert not first["violations"], first["violations"]
