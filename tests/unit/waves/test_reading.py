"""What one snapshot says to a wave: holds with their words, the index, and of when it all is."""

import math
from dataclasses import replace
from typing import Any

import pytest
from support.snapshots import NOON, a_partition, a_topic
from support.step_playbooks import beside
from support.waves import QUICK, RUNS, a_run, a_wave, brokers, snapshot_at

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.model.words import EvidenceGroup
from healthd.safety.acknowledgements import Acknowledgements
from healthd.waves.events import Confirmed, SnapshotSeen
from healthd.waves.gate import Reading, acknowledged, read_gate, seen_key, waiting_repairs
from healthd.waves.playbook import GateNeeded
from healthd.waves.policy import WavePolicy, parse_policy
from healthd.waves.state import NodeStatus, WaveState

FREEZE = Reason(code=ReasonCode.FREEZE, object="cluster:payments", detail="year end, by ben")
MOVING = Reason(code=ReasonCode.CRUISE_CONTROL, object="cluster:payments", detail="it moves")
FRESH = dict.fromkeys(snapshot_at(0).effective_ages, 0.0)


def aged(**ages: float | None) -> dict[str, Any]:
    return {"ages": {**FRESH, **{EvidenceGroup(group): age for group, age in ages.items()}}}


def read(
    state: WaveState, at: float = 200.0, *, previous: Any = None, holds: Any = (), **changes: Any
) -> Reading:
    """What a snapshot of that time says."""
    beside_it = changes.pop("index_beside", None)
    event = SnapshotSeen(
        at=at,
        snapshot=snapshot_at(at, **changes),
        previous=previous,
        collected_since=at,
        holds=holds,
        index_beside=beside_it,
    )
    return read_gate(state, event)


def looked(state: WaveState, asked_at: float, at: float = 200.0, **changes: Any) -> Reading:
    """What the last look says that was asked for at a time."""
    event = Confirmed(at=at, nodes=(2,), snapshot=snapshot_at(at, **changes), hosts={2: RUNS})
    return read_gate(state, event, asked_at=asked_at)


def words(reading: Reading) -> list[str]:
    return [f"{each.code.value} {each.object}: {each.detail}" for each in reading.holds]


def test_without_a_snapshot_there_is_no_gate_to_read() -> None:
    event = Confirmed(at=1.0, nodes=(2,), snapshot=None, hosts={})
    with pytest.raises(ValueError, match=r"^a gate is read from a snapshot$"):
        read_gate(a_wave(), event)


def test_a_calm_cluster_says_nothing_and_its_index_is_full() -> None:
    reading = read(a_wave())
    assert (reading.holds, reading.repairs, reading.outdated) == ((), frozenset(), frozenset())
    assert (reading.index, reading.oldest) == (100.0, 200.0)


def test_what_the_policy_accepts_is_what_ok_to_stop_is_told() -> None:
    policy = replace(
        QUICK,
        margin=2,
        allow_rf_one=("lone-*",),
        allow_rf_le_min_isr=("narrow",),
        allow_quorum_without_spare=True,
    )
    assert acknowledged(a_wave(policy=policy)) == Acknowledgements(
        margin=2,
        allow_rf_one=("lone-*",),
        allow_rf_le_min_isr=("narrow",),
        allow_quorum_without_spare=True,
    )


# --- Of when the evidence is ---------------------------------------------------------------------


@pytest.mark.parametrize("group", ["metadata", "quorum", "metrics"])
def test_evidence_from_before_the_last_change_is_told_with_its_age(group: str) -> None:
    state = a_wave(last_change=190.0)
    reading = read(state, **aged(**{group: 11.0}))
    said = f"EVIDENCE_STALE source:{group}: last seen 11 s ago, before the last change to a broker"
    assert words(reading) == [said]
    assert reading.outdated == frozenset(reading.holds)
    assert not read(state, **aged(**{group: 10.0})).holds


def test_configs_from_before_the_last_change_are_no_hold() -> None:
    assert not read(a_wave(last_change=190.0), **aged(configs=60.0)).holds


def test_evidence_that_is_stale_anyway_is_told_once_and_not_as_outdated() -> None:
    reading = read(a_wave(last_change=190.0), **aged(quorum=31.0))
    assert [f"{each.code.value} {each.object}" for each in reading.holds] == [
        "EVIDENCE_STALE source:quorum"
    ]
    assert not reading.outdated
    at_its_limit = read(a_wave(last_change=190.0), **aged(quorum=30.0))
    assert len(at_its_limit.outdated) == 1


def test_the_oldest_fresh_evidence_that_a_restart_changes_dates_the_reading() -> None:
    assert read(a_wave(), **aged(quorum=5.0, metrics=8.0, configs=25.0)).oldest == 192.0
    assert read(a_wave(), **aged(quorum=5.0, metrics=31.0)).oldest == 195.0
    old = aged(metadata=40.0, quorum=40.0, metrics=40.0)
    assert read(a_wave(), **old).oldest == 200.0


def test_configs_count_in_the_last_look_when_they_were_read_since_it_was_asked_for() -> None:
    assert not looked(a_wave(), 195.0, **aged(configs=5.0)).holds
    assert words(looked(a_wave(), 195.0, **aged(configs=5.1))) == [
        "EVIDENCE_STALE source:configs: the configs could not be read again right before the stop"
    ]


def test_snapshots_are_told_apart_by_when_their_metadata_was_seen() -> None:
    noon = NOON.timestamp()
    assert seen_key(snapshot_at(7.25)) == f"{noon + 7.25:.2f}"
    assert seen_key(snapshot_at(17.25, **aged(metadata=10.0))) == f"{noon + 7.25:.2f}"
    assert seen_key(snapshot_at(7.25, **aged(metadata=math.inf))) == f"{noon + 7.25:.2f}"
    unknown = {group: age for group, age in FRESH.items() if group is not EvidenceGroup.METADATA}
    assert seen_key(snapshot_at(7.25, ages=unknown)) == f"{noon + 7.25:.2f}"


# --- What counts, and what is the wave's own effect ----------------------------------------------


def test_nodes_that_wait_and_are_down_are_repairs_and_those_on_their_way_are_not() -> None:
    down = snapshot_at(0, brokers=brokers(b2={"alive": False}, b4={"fenced": True}))
    state = a_wave(1, a_run(2, NodeStatus.STARTING), 4, 9)
    assert waiting_repairs(state, down) == {4}
    assert waiting_repairs(replace(state, playbook=beside()), down) == frozenset()
    assert read(state, brokers=down.brokers).repairs == {4}


def test_the_index_leaves_out_what_the_wave_itself_has_in_flight_and_is_to_repair() -> None:
    gone: dict[str, Any] = {
        "brokers": brokers(b2={"alive": False}),
        "topics": (a_topic(partitions=[a_partition(isr=(1, 3))]),),
    }
    for mine in (a_run(2, NodeStatus.STARTING), 2):
        assert read(a_wave(mine, 1, 3), **gone).index == 100.0
    assert read(a_wave(1, 3), **gone).index < 100.0


def test_the_index_of_the_cluster_that_rests_on_the_nodes_counts_where_it_is_given() -> None:
    assert read(a_wave(), index_beside=42.0).index == 42.0


def test_what_only_two_snapshots_show_is_found_and_not_where_a_node_in_flight_has_it() -> None:
    before = snapshot_at(185.0)
    shrunk: dict[str, Any] = {"topics": (a_topic(partitions=[a_partition(isr=(1, 2))]),)}
    named = {each.code.value for each in read(a_wave(2), previous=before, **shrunk).holds}
    assert "ISR_SHRINKING" in named
    own = a_wave(a_run(3, NodeStatus.STOPPING), 2)
    assert "ISR_SHRINKING" not in {
        each.code.value for each in read(own, previous=before, **shrunk).holds
    }


def window(end: str) -> WavePolicy:
    found = parse_policy({"windows": [{"start": "11:00", "end": end, "timezone": "UTC"}]}, QUICK)
    assert isinstance(found, WavePolicy)
    return found


def test_without_a_time_of_day_the_windows_are_asked_at_the_time_of_the_snapshot() -> None:
    assert not read(a_wave(policy=window("12:04"))).holds
    (hold,) = read(a_wave(policy=window("12:03"))).holds
    assert (hold.code, hold.object) == (ReasonCode.WINDOW_CLOSED, "cluster:payments")


# --- Where only leave to work is asked for -------------------------------------------------------


def permission(**changes: Any) -> WaveState:
    return a_wave(playbook=beside(gate=GateNeeded.PERMISSION), **changes)


def test_leave_to_work_asks_for_nothing_of_the_clusters_health() -> None:
    reading = read(permission(), brokers=brokers(b2={"alive": False}), reassignments=1)
    assert reading == Reading(holds=(), repairs=frozenset(), index=100.0, oldest=200.0)


def test_leave_to_work_waits_for_windows_and_freezes_and_not_for_cruise_control() -> None:
    reading = read(permission(policy=window("12:03")), holds=(MOVING, FREEZE))
    assert [each.code for each in reading.holds] == [ReasonCode.WINDOW_CLOSED, ReasonCode.FREEZE]
    assert {each.object for each in reading.holds} == {"cluster:payments"}
    asked = a_wave(policy=window("12:03"))
    assert {each.code for each in read(asked, holds=(MOVING, FREEZE)).holds} == {
        ReasonCode.WINDOW_CLOSED,
        ReasonCode.FREEZE,
        ReasonCode.CRUISE_CONTROL,
    }


def test_a_hold_that_is_told_twice_is_one() -> None:
    for state in (permission(), a_wave()):
        assert read(state, holds=(FREEZE, FREEZE)).holds == (FREEZE,)
