"""What the probe's last attempts add up to."""

from collections.abc import Mapping

from healthd.collect.probe_stats import SLOW_FLOOR_MS, Attempt, ProbeHistory
from healthd.model.snapshot import Probe


def attempts(latencies: Mapping[int, float | None], at: float = 0.0) -> list[Attempt]:
    return [
        Attempt(
            partition=node - 1,
            broker=node,
            at=at,
            latency_ms=ms,
            error=None if ms is not None else "not written within 2.5 s",
        )
        for node, ms in latencies.items()
    ]


def five(**other: float | None) -> dict[int, float | None]:
    return {node: other.get(f"b{node}", 10.0) for node in range(1, 6)}


def slow_rounds(history: ProbeHistory) -> dict[int, int]:
    return {one["broker"]: one["slowRounds"] for one in history.section(0.0)["brokers"]}


def test_the_last_twenty_attempts_count() -> None:
    history = ProbeHistory()
    history.record(attempts(five(b4=None)))
    assert history.probe() == Probe(attempts=5, succeeded=4)
    for _ in range(3):
        history.record(attempts(five()))
    assert history.probe() == Probe(attempts=20, succeeded=19)
    history.record(attempts(five()))
    assert history.probe() == Probe(attempts=20, succeeded=20)


def test_with_many_brokers_every_one_of_them_counts_once() -> None:
    history = ProbeHistory()
    many: dict[int, float | None] = {**dict.fromkeys(range(1, 101), 10.0), 7: None}
    for _ in range(2):
        history.record(attempts(many))
        assert history.probe() == Probe(attempts=100, succeeded=99)


def test_a_restarted_daemon_goes_on_with_what_was_seen_and_its_failures_go_last() -> None:
    history = ProbeHistory()
    assert history.is_empty
    history.resume(Probe(attempts=20, succeeded=12))
    assert history.probe() == Probe(attempts=20, succeeded=12)
    for succeeded in (12, 12, 15, 20):
        history.record(attempts(five()))
        assert history.probe().succeeded == succeeded
    assert not history.is_empty


def test_each_broker_has_its_share_its_latencies_and_its_last_error_with_its_age() -> None:
    history = ProbeHistory()
    history.record(attempts(five(b4=None), at=1.0))
    history.record(attempts(five(b4=30.0), at=16.0))
    four = history.section(21.0)["brokers"][3]
    assert four == {
        "broker": 4,
        "attempts": 2,
        "succeeded": 1,
        "slowRounds": 0,
        "p50Ms": 30.0,
        "maxMs": 30.0,
        "lastError": {"text": "not written within 2.5 s", "secondsAgo": 20.0},
    }


def test_a_broker_is_slow_for_as_many_rounds_as_it_lags_far_behind_the_others() -> None:
    history = ProbeHistory()
    for _ in range(5):
        history.record(attempts(five(b3=SLOW_FLOOR_MS)))
    assert slow_rounds(history) == {1: 0, 2: 0, 3: 1, 4: 0, 5: 0}
    history.record(attempts(five(b3=SLOW_FLOOR_MS)))
    assert slow_rounds(history)[3] == 2
    for _ in range(3):
        history.record(attempts(five()))
    assert slow_rounds(history)[3] == 0


def test_nobody_is_slow_where_all_are_nor_where_all_are_quick() -> None:
    for usual, own in ((200.0, 900.0), (2.0, 40.0)):
        history = ProbeHistory()
        for _ in range(8):
            history.record(attempts({**dict.fromkeys(range(1, 6), usual), 3: own}))
        assert set(slow_rounds(history).values()) == {0}


def test_of_two_brokers_the_faster_one_is_the_measure() -> None:
    history = ProbeHistory()
    for _ in range(6):
        history.record(attempts({1: 10.0, 2: 400.0}))
    assert slow_rounds(history) == {1: 0, 2: 2}


def test_a_failing_broker_is_not_called_slow() -> None:
    history = ProbeHistory()
    for _ in range(8):
        history.record(attempts(five(b3=None)))
    assert slow_rounds(history)[3] == 0


def test_one_that_left_the_cluster_leaves_the_section() -> None:
    history = ProbeHistory()
    history.record(attempts(five()))
    history.forget_all_but({1, 2})
    assert [one["broker"] for one in history.section(0.0)["brokers"]] == [1, 2]
