"""What a wave adds up for its report: only its own doing is laid at its door."""

import pytest
from support.snapshots import a_broker, a_partition, a_snapshot, a_topic

from healthd.model.snapshot import ClusterSnapshot
from healthd.waves.tally import Tally

OWN = frozenset({1})


def seen(*isr: int, down: int | None = None, min_isr: int | None = 2) -> ClusterSnapshot:
    """One partition on brokers 1, 2 and 3 with this ISR."""
    return a_snapshot(
        brokers=tuple(a_broker(node, alive=node != down) for node in (1, 2, 3)),
        topics=(a_topic(partitions=[a_partition(isr=isr)], min_insync_replicas=min_isr),),
    )


def look(
    tally: Tally,
    snapshot: ClusterSnapshot,
    previous: ClusterSnapshot | None,
    at: float,
    own: frozenset[int] = OWN,
) -> Tally:
    return tally.looked(snapshot, previous, own=own, at=at)


def test_a_wave_without_a_node_in_flight_adds_nothing_up() -> None:
    assert look(Tally(), seen(2, 3), None, 10.0, frozenset()) == Tally()


def test_partitions_that_lack_a_replica_in_flight_count_until_they_have_it_again() -> None:
    whole, lacking = seen(1, 2, 3), seen(2, 3)
    tally = look(Tally(), whole, None, 10.0)
    assert (tally.under_replicated, tally.under_replicated_seconds) == (0, 0.0)
    tally = look(tally, lacking, whole, 15.0)
    tally = look(tally, lacking, lacking, 20.0)
    tally = look(tally, whole, lacking, 30.0)
    tally = look(tally, whole, whole, 45.0, frozenset())
    assert tally.under_replicated_seconds == 15.0
    assert (tally.most_under_replicated, tally.looks, tally.longest_gap_seconds) == (1, 4, 15.0)
    assert tally.looked_at is None


def test_what_lacks_only_the_replicas_of_others_is_not_counted() -> None:
    tally = look(Tally(), seen(1, 2), seen(1, 2, 3), 10.0)
    assert (tally.under_replicated, tally.under_min_isr) == (0, ())


def test_a_broker_that_is_down_is_in_no_isr_though_metadata_still_names_it() -> None:
    assert look(Tally(), seen(1, 2, 3, down=1), None, 10.0).under_replicated == 1


@pytest.mark.parametrize(
    ("before", "now", "is_ours"),
    [
        pytest.param((1, 2), (2,), True, id="the stop took it under"),
        pytest.param((1, 2, 3), (2,), False, id="another was lost at the same time"),
        pytest.param((2, 3), (2,), False, id="a fault took it under while ours was away"),
        pytest.param((2,), (2,), False, id="it was under before by another's doing"),
        pytest.param(None, (2,), False, id="nobody saw what was before"),
        pytest.param(None, (), False, id="nobody saw that all were lost"),
        pytest.param((1, 2, 3), (1,), False, id="only others were lost"),
    ],
)
def test_a_partition_under_min_isr_counts_only_when_the_waves_stop_took_it_there(
    before: tuple[int, ...] | None,
    now: tuple[int, ...],
    is_ours: bool,  # noqa: FBT001  # A row of the table.
) -> None:
    previous = None if before is None else seen(*before)
    tally = look(Tally(), seen(*now), previous, 10.0)
    assert bool(tally.under_min_isr) is is_ours
    assert tally.went_under == int(is_ours)


def test_it_counts_until_it_is_back_also_when_the_node_is_through() -> None:
    tally = look(Tally(), seen(2), seen(1, 2), 10.0)
    tally = look(tally, seen(2), seen(2), 15.0)
    tally = look(tally, seen(2), seen(2), 25.0, frozenset())
    tally = look(tally, seen(1, 2), seen(2), 30.0, frozenset())
    tally = look(tally, seen(1, 2, 3), seen(1, 2), 60.0, frozenset())
    assert tally.under_min_isr_seconds == 20.0
    assert (tally.went_under, tally.went_under_names) == (1, ("orders-0",))
    assert tally.under_min_isr == ()


def test_without_a_known_min_isr_nothing_is_under_it() -> None:
    assert look(Tally(), seen(2, min_isr=None), seen(1, 2), 10.0).went_under == 0


def test_the_time_for_which_each_reason_held_is_added_up() -> None:
    tally = Tally().held({"FREEZE", "BROKER_DOWN"}, 10.0).held({"FREEZE"}, 5.0).held(set(), 9.0)
    assert tally.closed_seconds == (("BROKER_DOWN", 10.0), ("FREEZE", 15.0))


def test_a_trouble_lasts_from_its_first_node_until_all_of_them_are_back() -> None:
    tally = Tally().with_troubled([2], 100.0).with_troubled([1, 2], 120.0)
    tally = tally.restored(seen(1, 3), collected_since=125.0, at=130.0)
    assert tally.restores == ()
    # Retried, and not yet back.
    tally = tally.with_troubled([], 140.0)
    tally = tally.restored(seen(1, 2, 3), collected_since=99.0, at=150.0)
    assert tally.away == (1, 2), "it may have seen the time before the trouble"
    tally = tally.restored(seen(1, 2, 3), collected_since=155.0, at=160.0)
    assert (tally.restores, tally.away, tally.away_since) == ((60.0,), (), None)


def test_a_node_that_stays_failed_is_one_trouble_and_one_that_fails_again_another() -> None:
    tally = Tally().with_troubled([2], 100.0)
    tally = tally.restored(seen(1, 2, 3), collected_since=110.0, at=110.0)
    tally = tally.with_troubled([2], 120.0)
    assert tally.away == ()
    tally = tally.with_troubled([], 130.0).with_troubled([2], 140.0)
    assert (tally.away, tally.away_since) == ((2,), 140.0)
