"""The demo says so when clients did not follow their profile as they should."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from healthd.demo.failover import problems_of
from healthd.demo.profile_clients import ClientsResult

WENT = ("IN 100%", "OUT 0%", "PROBATION 10%", "PROBATION 50%", "PROBATION 100%", "IN 100%")
CROWDS = (10, 8, 0, 1, 5, 10)
RESULT = ClientsResult(
    acknowledged={"east": 500, "west": 400},
    lost=0,
    duplicates=7,
    refused=0,
    longest_pause_seconds=9.0,
)


def test_there_and_back_with_duplicates_and_a_moment_of_not_knowing_is_as_it_should_be() -> None:
    verdicts = (*WENT[:1], "HOLD 100%", *WENT[1:])
    assert problems_of(verdicts, CROWDS, RESULT, "west") == []


@pytest.mark.parametrize(
    ("verdicts", "crowds", "result", "words"),
    [
        pytest.param(WENT[:2], CROWDS, RESULT, "the verdict went IN 100%, OUT 0%", id="stayed-out"),
        pytest.param((*WENT, *WENT[1:]), CROWDS, RESULT, "the verdict went", id="twice"),
        pytest.param(WENT, (10, 0, 10), RESULT, "step by step", id="all-at-once"),
        pytest.param(WENT, (10, 5, 10), RESULT, "step by step", id="never-all-away"),
        pytest.param(WENT, CROWDS, replace(RESULT, lost=1), "1 messages lost", id="lost"),
        pytest.param(WENT, CROWDS, replace(RESULT, refused=2), "2 of their", id="refused"),
        pytest.param(
            WENT,
            CROWDS,
            replace(RESULT, acknowledged={"east": 900, "west": 0}),
            "nothing was written to west",
            id="west-unused",
        ),
    ],
)
def test_whatever_went_otherwise_is_told(
    verdicts: Sequence[str], crowds: Sequence[int], result: ClientsResult, words: str
) -> None:
    (problem,) = problems_of(verdicts, crowds, result, "west")
    assert words in problem
