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
) -> PageSeen:
    return PageSeen(
        at=at,
        signals=BrokerSignals(
            state=state,
            idle_nanoseconds=nanoseconds,
            idle_ratio=gauge,
            is_broker_pool=own_pool,
            version=version,
            start_time_seconds=started,
        ),
    )


def test_two_pages_give_the_rate_of_the_counter() -> None:
    found = idle_ratio(page(20, 12e9, 0.1), page(10, 4e9), combined=False)
    assert found == pytest.approx(0.8)


def test_one_page_gives_the_gauge() -> None:
    assert idle_ratio(page(20, 12e9, 0.7), None, combined=False) == 0.7


def test_a_gauge_that_has_not_ticked_tells_nothing() -> None:
    assert idle_ratio(page(20, 12e9, 0.0), None, combined=False) is None


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
