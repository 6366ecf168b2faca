"""What a person accepts, by shell patterns over the whole topic name."""

import pytest
from support.snapshots import a_topic

from healthd.safety.acknowledgements import NONE, Acknowledgements


@pytest.mark.parametrize(
    ("patterns", "name", "expected"),
    [
        pytest.param((), "orders", False, id="none"),
        pytest.param(("orders",), "orders", True, id="the name"),
        pytest.param(("order",), "orders", False, id="a part of the name"),
        pytest.param(("Orders",), "orders", False, id="another case"),
        pytest.param(("ord*",), "orders", True, id="star"),
        pytest.param(("*",), "", True, id="star matches the empty name"),
        pytest.param(("order?",), "orders", True, id="question mark"),
        pytest.param(("[a-p]rders",), "orders", True, id="a class"),
        pytest.param(("[!a-p]rders",), "orders", False, id="a negated class"),
        pytest.param(("x", "orders"), "orders", True, id="the second pattern"),
        pytest.param(("a.b",), "axb", False, id="a dot is a dot"),
        pytest.param(("or/*",), "or/ders/x", True, id="a slash is nothing special"),
    ],
)
def test_patterns_match_the_whole_name_in_its_case(
    patterns: tuple[str, ...], name: str, *, expected: bool
) -> None:
    topic = a_topic(name)
    assert Acknowledgements(allow_rf_one=patterns).allows_rf_one(topic) is expected
    assert Acknowledgements(allow_rf_le_min_isr=patterns).allows_rf_le_min_isr(topic) is expected


def test_the_two_lists_are_apart() -> None:
    topic = a_topic("orders")
    assert not Acknowledgements(allow_rf_one=("*",)).allows_rf_le_min_isr(topic)
    assert not Acknowledgements(allow_rf_le_min_isr=("*",)).allows_rf_one(topic)


@pytest.mark.parametrize(
    ("known", "assumed", "expected"),
    [(None, None, None), (None, 2, 2), (3, 2, 3), (3, None, 3)],
    ids=["unknown", "assumed", "known over assumed", "known"],
)
def test_an_assumed_minimum_fills_in_only_what_is_unknown(
    known: int | None, assumed: int | None, expected: int | None
) -> None:
    topic = a_topic(min_insync_replicas=known)
    assert Acknowledgements(assume_min_isr=assumed).min_isr(topic) == expected


def test_nothing_is_accepted_by_default() -> None:
    assert Acknowledgements() == NONE
    assert NONE.margin == 0
    assert not NONE.allow_quorum_without_spare
