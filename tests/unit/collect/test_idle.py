"""The idle ratio, from each form that exporters give it."""

import pytest

from healthd.collect.idle import idle_ratio, major_minor
from healthd.collect.observation import BrokerSignals, PageSeen
from healthd.model.words import BrokerState


def page(  # One field each.
    at: float,
    nanoseconds: float | None = None,
    gauge: float | None = None,
    *,
    version: str | None = "4.1.0",
    own_pool: bool = False,
    state: BrokerState | None = BrokerState.RUNNING,
    started: float = 1.0,
    mean: float | None = None,
) -> PageSeen:
    return PageSeen(
        at=at,
        signals=BrokerSignals(
            state=state,
            idle_nanoseconds=nanoseconds,
            idle_ratio=gauge,
            idle_mean=mean,
            is_broker_pool=own_pool,
            version=version,
            start_time_seconds=started,
        ),
    )


def test_two_pages_give_the_rate_of_the_counter() -> None:
    found = idle_ratio(page(20, 12e9, 0.1), page(10, 4e9), combined=False)
    assert found == pytest.approx(0.8)


def test_one_page_without_a_counter_gives_the_gauge() -> None:
    assert idle_ratio(page(20, None, 0.7), None, combined=False) == 0.7


def test_a_first_page_with_a_counter_gives_nothing_whatever_else_it_has() -> None:
    # A dialect with the counter alone has to say the same.
    assert idle_ratio(page(20, 12e9, 0.7), None, combined=False) is None
    assert idle_ratio(page(20, 12e9), None, combined=False) is None


def test_a_gauge_that_has_not_ticked_tells_nothing() -> None:
    assert idle_ratio(page(20, None, 0.0), None, combined=False) is None


def test_a_page_without_the_counter_gives_its_gauge() -> None:
    assert idle_ratio(page(20, None, 0.7), page(10, 4e9, 0.6), combined=False) == 0.7


def test_a_mean_since_the_start_is_not_taken_for_now() -> None:
    assert idle_ratio(page(20, 12e9, mean=0.7), None, combined=False) is None
    assert idle_ratio(page(20, 12e9, mean=0.7), page(10, 4e9), combined=False) == pytest.approx(0.8)


def test_a_counter_that_stands_still_tells_nothing_whatever_else_the_page_has() -> None:
    before = page(10, 4e9, 0.7, mean=0.7)
    for gauge, mean in ((0.7, 0.7), (0.6, 0.69), (None, None)):
        assert idle_ratio(page(20, 4e9, gauge, mean=mean), before, combined=False) is None


def test_handlers_that_are_hardly_ever_idle_are_told() -> None:
    busy = idle_ratio(page(20, 4e9 + 1e6, 0.0), page(10, 4e9, 0.0), combined=False)
    assert busy == pytest.approx(0.0001)


def test_the_same_look_again_tells_nothing() -> None:
    # A Prometheus server that is asked more often than it scrapes.
    seen_before = page(10, 4e9, 0.7)
    assert idle_ratio(seen_before, seen_before, combined=False) is None


def test_a_counter_that_was_reset_tells_nothing() -> None:
    assert idle_ratio(page(20, 1e9, 0.9), page(10, 4e9), combined=False) is None


def test_pages_of_two_processes_give_no_rate() -> None:
    before = page(10, 4e9, started=1.0)
    assert idle_ratio(page(20, 12e9, started=15.0), before, combined=False) is None


@pytest.mark.parametrize("state", [BrokerState.STARTING, BrokerState.RECOVERY])
def test_a_starting_broker_tells_nothing(state: BrokerState) -> None:
    assert idle_ratio(page(20, 12e9, 0.1, state=state), None, combined=False) is None
    assert idle_ratio(page(20, 12e9), page(10, 4e9, state=state), combined=False) is None


@pytest.mark.parametrize(
    ("raw", "version", "expected"),
    [
        pytest.param(1.9, "4.1.0", 0.9, id="sum-of-two-pools"),
        pytest.param(0.8, "4.1.0", 0.0, id="sum-below-one-is-a-busy-broker"),
        pytest.param(1.9, None, 0.9, id="above-one-can-only-be-a-sum"),
        pytest.param(0.9, None, None, id="below-one-may-be-a-mean"),
        pytest.param(0.9, "4.2.0", None, id="mean-of-two-pools"),
    ],
)
def test_combined_node_is_corrected(
    raw: float, version: str | None, expected: float | None
) -> None:
    found = idle_ratio(page(20, None, raw, version=version), None, combined=True)
    assert found == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("gauge", "mean", "expected"),
    [
        pytest.param(None, 1.7, 0.0, id="mean-is-a-sum"),
        pytest.param(1.2, None, 0.0, id="gauge-is-a-sum"),
        pytest.param(0.8, 0.9, None, id="nothing-above-one"),
        pytest.param(None, 1.01, None, id="overshoot-of-one-pool"),
    ],
)
def test_without_a_version_another_form_shows_whether_it_is_a_sum(
    gauge: float | None, mean: float | None, expected: float | None
) -> None:
    plain = page(10, 4e9, version=None)
    telling = page(20, 12e9, gauge, mean=mean, version=None)
    assert idle_ratio(telling, plain, combined=True) == expected
    # It may also have been on the page before, which is of the same process.
    after = page(30, 20e9, version=None)
    assert idle_ratio(after, telling, combined=True) == expected


def test_the_brokers_own_pool_needs_no_correction() -> None:
    own = page(20, None, 0.6, version="4.2.0", own_pool=True)
    assert idle_ratio(own, None, combined=True) == 0.6


def test_a_ratio_is_clamped() -> None:
    assert idle_ratio(page(20, None, 1.2), None, combined=False) == 1.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [("4.1.0", (4, 1)), ("3.9.1-SNAPSHOT", (3, 9)), ("unknown", None), (None, None), ("4", None)],
)
def test_version_is_its_first_two_numbers(
    text: str | None, expected: tuple[int, int] | None
) -> None:
    assert major_minor(text) == expected
