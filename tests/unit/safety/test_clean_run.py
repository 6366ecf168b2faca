"""How long a cluster has been clean, and what the Health Index has against the next broker."""

import pytest

from healthd.model.codes import ReasonCode
from healthd.safety.clean_run import CleanRun, clean_enough, index_holds, observe


def run_of(*steps: tuple[str, float, bool, float | None]) -> CleanRun:
    """The run after judging snapshots: key, time, clean, index."""
    run = CleanRun()
    for key, at, is_clean, index in steps:
        run = observe(run, key=key, at=at, is_clean=is_clean, index=index)
    return run


def lacking(run: CleanRun, at: float, snapshots: int = 3, seconds: float = 60) -> str | None:
    found = clean_enough(run, at=at, snapshots=snapshots, seconds=seconds, cluster="payments")
    if not found:
        return None
    (reason,) = found
    assert reason.code is ReasonCode.NOT_CLEAN_LONG_ENOUGH
    assert reason.object == "cluster:payments"
    return reason.detail


CLEAN = [("a", 100.0, True, 99.0), ("b", 115.0, True, 98.0), ("c", 131.0, True, 100.0)]


def test_both_numbers_must_be_reached() -> None:
    assert lacking(run_of(*CLEAN[:2]), 131.9) == "clean on 2 of 3 snapshots and for 31 of 60 s"
    assert lacking(run_of(*CLEAN[:2]), 500) == "clean on 2 of 3 snapshots and for 400 of 60 s"
    assert lacking(run_of(*CLEAN), 159.9) == "clean on 3 of 3 snapshots and for 59 of 60 s"
    assert lacking(run_of(*CLEAN), 160) is None


def test_without_a_snapshot_nothing_is_clean() -> None:
    assert lacking(CleanRun(), 1000) == "clean on 0 of 3 snapshots and for 0 of 60 s"
    assert lacking(CleanRun(), 1000, snapshots=0, seconds=0) is None


def test_the_same_snapshot_counts_once() -> None:
    again = ("c", 150.0, True, 97.0)
    run = run_of(*CLEAN, again, again)
    assert run.snapshots == 3
    assert run.seconds == 50
    assert run.since == 100


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(("d", 140.0, False, 100.0), id="a new one that is not clean"),
        pytest.param(("c", 140.0, False, 100.0), id="the same one, something else came up"),
        pytest.param(("d", 140.0, True, None), id="an index that is not known"),
        pytest.param(("d", 99.0, True, 100.0), id="time went back"),
    ],
)
def test_a_single_bad_one_starts_the_count_again(bad: tuple[str, float, bool, float]) -> None:
    run = run_of(*CLEAN, bad)
    assert (run.snapshots, run.since, run.highest_index) == (0, None, None)
    after = observe(run, key="z", at=200, is_clean=True, index=90)
    assert (after.snapshots, after.since, after.highest_index) == (1, 200, 90)


def test_a_snapshot_that_was_bad_is_not_clean_when_judged_again() -> None:
    run = run_of(("a", 1.0, False, 100.0), ("a", 2.0, True, 100.0))
    assert run.snapshots == 0


def test_the_highest_index_is_that_of_the_run() -> None:
    assert run_of(*CLEAN).highest_index == 100
    assert run_of(("x", 1.0, False, 100.0), *CLEAN[:2]).highest_index == 99


@pytest.mark.parametrize(
    ("highest", "index", "expected"),
    [
        pytest.param(None, 85.0, None, id="at the threshold"),
        pytest.param(None, 85.0 - 1e-10, None, id="within rounding of the threshold"),
        pytest.param(
            None, 84.99, "the Health Index is 84.99, the wave asks for 85", id="below it"
        ),
        pytest.param(98.0, 96.0, None, id="two points below the highest"),
        pytest.param(
            98.0, 95.9,
            "the Health Index fell to 95.90 from 98.00 in this clean run, 2 points are allowed",
            id="more than two points below the highest",
        ),
        pytest.param(90.0, 100.0, None, id="above the highest"),
        pytest.param(None, None, "the Health Index is not known", id="unknown"),
    ],
)  # fmt: skip
def test_the_index_is_high_enough_and_does_not_fall(
    highest: float | None, index: float | None, expected: str | None
) -> None:
    run = CleanRun(snapshots=2, since=0.0, highest_index=highest)
    found = index_holds(run, index=index, minimum=85, cluster="payments")
    assert [reason.detail for reason in found] == ([expected] if expected else [])
    assert all(reason.code is ReasonCode.HEALTH_INDEX_LOW for reason in found)
    assert all(reason.object == "cluster:payments" for reason in found)
