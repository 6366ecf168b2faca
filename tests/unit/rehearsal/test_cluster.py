"""The model of a cluster: what follows from what, and when."""

from collections.abc import Callable
from typing import Any

import pytest
from support.rehearsals import cluster_document

from healthd.model.parse import snapshot_of
from healthd.rehearsal.nodes import Phase
from healthd.rehearsal.topics import PartitionNow
from healthd.rehearsal.world import World


def world_of(**changes: Any) -> World:
    document = cluster_document()
    for path, value in changes.items():
        document[path] = value
    return World.of(snapshot_of(document))


def at(world: World, time: float) -> World:
    world.agenda.run_until(time)
    return world


def partition(world: World, number: int = 0) -> PartitionNow:
    found = world.cluster.replication.partition("orders", number)
    assert found is not None
    return found


def lists(world: World, node: int) -> bool:
    return world.collector.snapshot().brokers_by_id[node].alive


def test_a_stop_hands_leaders_over_at_once_and_ends_after_its_time() -> None:
    world = at(world_of(), 10)
    world.cluster.stop(1)
    assert partition(world).leader == 2
    assert partition(world).isr == {2, 3}
    assert world.cluster.nodes[1].phase is Phase.STOPPING
    assert world.cluster.nodes[at(world, 15).cluster.nodes[1].id].phase is Phase.DOWN


def test_a_start_registers_and_then_catches_up() -> None:
    world = at(world_of(), 10)
    world.cluster.stop(1)
    at(world, 15).cluster.start(1)
    assert (lists(at(world, 29.9), 1), lists(at(world, 30), 1)) == (False, True)
    assert 1 not in partition(at(world, 49.9)).isr
    assert 1 in partition(at(world, 50)).isr
    assert world.cluster.is_whole


@pytest.mark.parametrize("fault", ["crash", "freeze"])
def test_a_dead_or_frozen_broker_is_listed_for_nine_seconds_more(fault: str) -> None:
    world = at(world_of(), 10)
    getattr(world.cluster, fault)(1)
    assert lists(at(world, 18.9), 1)
    assert 1 in partition(world).isr
    assert not lists(at(world, 19), 1)
    assert (partition(world).leader, partition(world).isr) == (2, {2, 3})


def test_a_broker_that_runs_on_before_its_session_is_over_was_never_away() -> None:
    world = at(world_of(), 10)
    world.cluster.freeze(1)
    at(world, 15).cluster.thaw(1)
    at(world, 16).cluster.freeze(1)
    assert lists(at(world, 24), 1), "the first freeze must not end the second session"
    assert not lists(at(world, 25), 1)


def test_a_broker_that_only_lags_leaves_after_thirty_seconds_and_leads_on() -> None:
    world = at(world_of(), 10)
    world.cluster.lag(2)
    assert 2 in partition(at(world, 39.9)).isr
    assert 2 not in partition(at(world, 40)).isr
    assert partition(world, 1).leader == 2
    world.cluster.keep_up(2)
    assert 2 in partition(at(world, 60)).isr


def test_the_last_of_an_isr_stays_in_it_and_nobody_is_elected_uncleanly() -> None:
    world = at(world_of(), 10)
    for node in (3, 4, 5):
        world.cluster.crash(node)
        at(world, world.agenda.now + 10)
    assert (partition(world, 2).leader, partition(world, 2).isr) == (-1, {5})
    world.cluster.start(4)
    assert partition(at(world, world.agenda.now + 60), 2).leader == -1
    world.cluster.start(5)
    assert partition(at(world, world.agenda.now + 16), 2).leader == 5
    assert partition(at(world, world.agenda.now + 60), 2).isr == {4, 5}


def test_an_eligible_replica_leads_a_partition_whose_isr_is_empty() -> None:
    document = cluster_document()
    row = document["topics"][0]["partitions"][0]
    row.update(leader=-1, isr=[], elr=[2])
    document["brokers"][1].update(alive=False, state="not_running")
    world = World.of(snapshot_of(document))
    assert partition(at(world, 100)).leader == -1
    world.cluster.start(2)
    assert partition(at(world, 116)).leader == 2
    assert partition(at(world, 200)).isr == {1, 2, 3}


def test_without_a_majority_nobody_is_active_and_no_isr_changes() -> None:
    world = at(world_of(), 10)
    world.cluster.crash(2)
    world.cluster.crash(3)
    assert world.cluster.controller == -1
    assert partition(at(world, 100)).isr == {1, 2, 3}
    world.cluster.start(2)
    at(world, 120)
    assert world.cluster.controller in {1, 2}
    assert 3 not in partition(world).isr


def test_a_stop_without_a_controller_hangs_for_five_minutes_and_ends_with_its_leaders() -> None:
    world = at(world_of(), 10)
    world.cluster.crash(2)
    world.cluster.crash(3)
    world.cluster.stop(5)
    assert world.cluster.nodes[5].phase is Phase.STOPPING
    assert world.cluster.nodes[at(world, 309).cluster.nodes[5].id].runs
    assert not at(world, 311).cluster.nodes[5].runs


def test_another_controller_is_active_a_second_after_the_last_one_has_ended() -> None:
    world = at(world_of(), 10)
    world.cluster.stop(1)
    assert at(world, 14.9).cluster.controller == 1
    assert at(world, 15.5).cluster.controller == -1
    seen = world.collector.snapshot().quorum
    assert seen is not None
    assert (seen.leader_id, seen.absent_seconds) == (-1, 0.5)
    assert at(world, 16).cluster.controller in {2, 3}


def test_what_the_wave_stops_is_counted_and_what_a_fault_takes_is_not() -> None:
    world = at(world_of(), 10)
    world.cluster.stop(4, by_wave=True)
    world.cluster.crash(5)
    at(world, 100)
    assert partition(world, 3).is_under_min_isr
    assert world.cluster.replication.harm.under_min_isr_seconds == 0
    world = at(world_of(), 10)
    world.cluster.crash(5)
    at(world, 20).cluster.stop(4, by_wave=True)
    assert partition(at(world, 30), 3).is_under_min_isr
    under = world.cluster.under_min_isr()
    assert sorted(each.number for each in under) == [2, 3, 7, 8]
    assert world.cluster.replication.harm.under_min_isr_seconds == 10 * len(under)


@pytest.mark.parametrize(
    ("change", "is_still_so"),
    [
        pytest.param(
            lambda d: d["topics"][0]["partitions"][0].update(isr=[1, 2]),
            lambda w: partition(w).isr == {1, 2},
            id="a partition that lacks a broker that serves",
        ),
        pytest.param(
            lambda d: d["quorum"].update(leaderId=-1, absentSeconds=40),
            lambda w: w.collector.snapshot().quorum.controller_absent_seconds == 1040,
            id="an absent controller",
        ),
        pytest.param(
            lambda d: d["ages"].update(metrics=500.0),
            lambda w: w.collector.snapshot().ages["metrics"] == 1500,
            id="a source that was too old",
        ),
        pytest.param(
            lambda d: d["ages"].update(probe=None),
            lambda w: w.collector.snapshot().ages["probe"] is None,
            id="a source that was never seen",
        ),
        pytest.param(
            lambda d: d["quorum"]["voters"][2].update(lastCaughtUpMs=1000),
            lambda w: w.collector.snapshot().quorum.voters[2].last_caught_up_ms < 10_000,
            id="a voter that is behind",
        ),
    ],
)
def test_what_a_snapshot_shows_to_be_wrong_does_not_get_better_by_itself(
    change: Callable[[dict[str, Any]], object], is_still_so: Callable[[World], bool]
) -> None:
    document = cluster_document()
    change(document)
    assert is_still_so(at(World.of(snapshot_of(document)), 1000))


def test_a_process_that_is_half_way_goes_on() -> None:
    document = cluster_document()
    document["brokers"][3].update(alive=False, state="starting")
    document["brokers"][4].update(state="pending_controlled_shutdown")
    world = at(World.of(snapshot_of(document)), 30)
    assert lists(world, 4)
    assert not world.cluster.nodes[5].runs


def test_a_topic_in_which_nothing_changed_is_the_very_same_object() -> None:
    world = world_of()
    before = world.collector.snapshot().topics
    assert at(world, 15).collector.snapshot().topics is before
    world.cluster.stop(1)
    assert world.collector.snapshot().topics is not before
