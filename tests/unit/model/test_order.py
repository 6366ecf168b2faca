"""Natural order: runs of digits compare as numbers, over the whole name."""

import pytest

from healthd.model.codes import ReasonCode
from healthd.model.order import natural_key
from healthd.model.reason import Reason, in_order, joined


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["t-1", "t-2", "t-10", "t-100"], id="partitions"),
        pytest.param(["t9-10", "t10-2"], id="digits inside the name"),
        pytest.param(["a-1-0", "a-2"], id="the whole name, not topic by topic"),
        pytest.param(["broker:9", "broker:10"], id="brokers"),
        pytest.param(["", "0", "1", "a", "a0", "a1", "ab", "b"], id="short names"),
        pytest.param(["2026-1-9", "2026-01-10", "2026-2-1"], id="leading zeros"),
        pytest.param(["a01", "a1", "a01b", "a1b"], id="equal numbers, shorter names first"),
        pytest.param(["a", "á", "ж"], id="other scripts by code point"),
        pytest.param(["x²", "x²1"], id="a digit that is no number"),
        pytest.param(["t" + "9" * 5000, "t1" + "0" * 5000], id="numbers of any length"),
    ],
)
def test_names_in_natural_order(names: list[str]) -> None:
    backwards = list(reversed(names))
    assert sorted(backwards, key=natural_key) == names


def test_different_names_never_share_a_place() -> None:
    assert natural_key("a01") != natural_key("a1")


def reason(code: ReasonCode, subject: str) -> Reason:
    return Reason(code=code, object=subject, detail="why")


def test_reasons_are_ordered_by_code_and_then_by_object() -> None:
    ordered = [
        reason(ReasonCode.PARTITION_OFFLINE, "t-2"),
        reason(ReasonCode.PARTITION_OFFLINE, "t-10"),
        reason(ReasonCode.RF_ONE, "t-1"),
        reason(ReasonCode.WOULD_LOSE_QUORUM, "node:1"),
    ]
    assert in_order(reversed(ordered)) == tuple(ordered)


def test_reasons_of_one_place_stay_in_the_order_they_came_in() -> None:
    given = [
        Reason(code=ReasonCode.EVIDENCE_STALE, object="source:metrics", detail=detail)
        for detail in ("b", "a", "c")
    ]
    assert in_order(given) == tuple(given)


def test_reasons_are_joined_without_doubles_and_in_the_order_given() -> None:
    stale = reason(ReasonCode.EVIDENCE_STALE, "source:metrics")
    first = (reason(ReasonCode.PARTITION_OFFLINE, "t-2"), stale)
    other = Reason(code=stale.code, object=stale.object, detail="another")
    more = [other, stale, other, reason(ReasonCode.RF_ONE, "t-2")]
    assert joined(first, iter(more)) == (*first, other, more[-1])
    assert joined((), more) == (other, stale, more[-1])
    assert joined(first, ()) == first


def test_a_reason_in_json_has_its_keys_in_the_order_of_the_contract() -> None:
    found = reason(ReasonCode.RF_ONE, "t-1").as_json()
    assert list(found.items()) == [("code", "RF_ONE"), ("object", "t-1"), ("detail", "why")]
