"""Whose fault it is that nobody answers: one row for each thing that can be so."""

import pytest

from healthd.collect.observation import (
    FailureReason,
    ListenerState,
    Origin,
    Source,
    SourceFailure,
)
from healthd.collect.reachability import Knocks, Reach, judged, reach_of
from healthd.model.codes import CheckCode

ANSWERED = ListenerState.ANSWERED
REFUSED = ListenerState.REFUSED
TIMED_OUT = ListenerState.TIMED_OUT
UNRESOLVED = ListenerState.UNRESOLVED
FAILED = ListenerState.FAILED
BOTH_FAIL = {1: False, 2: False}


def failure(reason: FailureReason, source: Source = Source.METADATA) -> SourceFailure:
    return SourceFailure(source=source, origin=Origin.OURS, reason=reason, detail="Nothing.")


@pytest.mark.parametrize(
    ("knocks", "expected"),
    [
        pytest.param(
            Knocks(bootstrap=(REFUSED,), brokers={1: REFUSED, 2: REFUSED}),
            Reach.REFUSED,
            id="everybody refuses",
        ),
        pytest.param(
            Knocks(bootstrap=(), brokers={1: REFUSED, 2: ANSWERED}),
            Reach.ANSWERED,
            id="one answers",
        ),
        pytest.param(
            Knocks(
                bootstrap=(TIMED_OUT,),
                brokers={1: TIMED_OUT, 2: TIMED_OUT},
                second_paths=BOTH_FAIL,
                others_answer=True,
            ),
            Reach.GONE,
            id="time-outs, second paths fail, others answer",
        ),
        pytest.param(
            Knocks(
                bootstrap=(),
                brokers={1: TIMED_OUT, 2: REFUSED},
                second_paths={1: False},
                others_answer=True,
            ),
            Reach.GONE,
            id="one refuses, the silent one's host is gone",
        ),
        pytest.param(
            Knocks(bootstrap=(TIMED_OUT,), second_paths=BOTH_FAIL, others_answer=True),
            Reach.GONE,
            id="no broker known yet, all configured hosts are gone",
        ),
        pytest.param(
            Knocks(
                bootstrap=(TIMED_OUT,),
                brokers={1: TIMED_OUT, 2: TIMED_OUT},
                second_paths=BOTH_FAIL,
            ),
            Reach.UNCLEAR,
            id="nobody else answers either: our network",
        ),
        pytest.param(
            Knocks(bootstrap=(TIMED_OUT,), brokers={1: TIMED_OUT}, others_answer=True),
            Reach.UNCLEAR,
            id="no second path is known",
        ),
        pytest.param(
            Knocks(
                bootstrap=(),
                brokers={1: TIMED_OUT, 2: TIMED_OUT},
                second_paths={1: False},
                others_answer=True,
            ),
            Reach.UNCLEAR,
            id="one silent host has no second path",
        ),
        pytest.param(
            Knocks(
                bootstrap=(),
                brokers={1: TIMED_OUT, 2: TIMED_OUT},
                second_paths={1: False, 2: True},
                others_answer=True,
            ),
            Reach.UNCLEAR,
            id="a second path answers: the host is there",
        ),
        pytest.param(
            Knocks(
                bootstrap=(),
                brokers={1: TIMED_OUT},
                second_paths={1: False, 9: True},
                others_answer=True,
            ),
            Reach.GONE,
            id="a host that is no silent broker's says nothing",
        ),
        pytest.param(
            Knocks(
                bootstrap=(UNRESOLVED,),
                brokers={1: TIMED_OUT},
                second_paths={1: False},
                others_answer=True,
            ),
            Reach.UNRESOLVED,
            id="DNS gone",
        ),
        pytest.param(
            Knocks(bootstrap=(UNRESOLVED,), brokers={1: REFUSED}),
            Reach.UNRESOLVED,
            id="DNS gone, brokers refuse: not every address did",
        ),
        pytest.param(
            Knocks(
                bootstrap=(),
                brokers={1: FAILED},
                second_paths={1: False},
                others_answer=True,
            ),
            Reach.UNCLEAR,
            id="neither refused nor timed out",
        ),
        pytest.param(Knocks(bootstrap=()), Reach.UNCLEAR, id="no door at all"),
    ],
)
def test_the_verdict_of_a_round(knocks: Knocks, expected: Reach) -> None:
    assert reach_of(knocks) is expected


@pytest.mark.parametrize(
    ("reach", "origin", "reason", "check"),
    [
        (Reach.REFUSED, Origin.THEIRS, FailureReason.REFUSED, None),
        (Reach.GONE, Origin.THEIRS, FailureReason.TIMEOUT, None),
        (Reach.UNCLEAR, Origin.OURS, FailureReason.TIMEOUT, CheckCode.COLLECTOR_NETWORK),
        (Reach.UNRESOLVED, Origin.OURS, FailureReason.DNS, CheckCode.COLLECTOR_NETWORK),
    ],
)
def test_failures_get_the_origin_that_knocking_proved(
    reach: Reach, origin: Origin, reason: FailureReason, check: CheckCode | None
) -> None:
    for word in (FailureReason.TIMEOUT, FailureReason.REFUSED, FailureReason.NETWORK):
        [found] = judged([failure(word)], reach)
        assert (found.origin, found.reason, found.check) == (origin, reason, check)


def test_an_answer_leaves_failures_as_they_are() -> None:
    failures = [failure(FailureReason.TIMEOUT)]
    assert judged(failures, Reach.ANSWERED) == failures


@pytest.mark.parametrize(
    "other",
    [failure(FailureReason.AUTHENTICATION), failure(FailureReason.TIMEOUT, Source.METRICS)],
    ids=["credentials", "an exporter"],
)
def test_what_knocking_says_nothing_about_stays(other: SourceFailure) -> None:
    assert judged([other], Reach.UNCLEAR) == [other]
