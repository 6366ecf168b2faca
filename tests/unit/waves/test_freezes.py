"""Freezes: which clusters they cover, when they hold, and what a local time stands for."""

from datetime import UTC, datetime
from typing import Any

import pytest

from healthd.model.codes import ReasonCode
from healthd.model.moments import NoMoment
from healthd.waves.freezes import Freeze, freeze_holds, freeze_moment

NOON = datetime(2026, 12, 24, 12, tzinfo=UTC).timestamp()


def freeze(**changes: Any) -> Freeze:
    """A freeze of cluster payments that is on."""
    return Freeze(
        **{"name": "xmas", "reason": "sales", "by": "ann", "clusters": ("payments",)} | changes
    )


@pytest.mark.parametrize(
    ("selection", "is_covered"),
    [
        ({"clusters": ("payments",)}, True),
        ({"clusters": ("other", "payments")}, True),
        ({"clusters": ("other",)}, False),
        ({"clusters": (), "match": {"env": "prod"}}, True),
        ({"clusters": (), "match": {"env": "prod", "team": "x"}}, False),
        ({"clusters": (), "match": {"env": "dev"}}, False),
        ({"clusters": (), "is_for_all": True}, True),
        ({"clusters": ()}, False),
    ],
)
def test_a_freeze_covers_clusters_by_name_by_all_labels_or_every_one(
    selection: dict[str, Any], *, is_covered: bool
) -> None:
    assert freeze(**selection).covers("payments", {"env": "prod"}) is is_covered


@pytest.mark.parametrize(
    ("begins", "ends", "is_on"),
    [
        (None, None, True),
        (NOON, None, True),
        (NOON + 1, None, False),
        (None, NOON, False),
        (None, NOON + 1, True),
        (NOON - 10, NOON + 10, True),
    ],
)
def test_a_freeze_is_on_from_its_beginning_until_before_its_end(
    begins: float | None, ends: float | None, *, is_on: bool
) -> None:
    assert freeze(begins=begins, ends=ends).is_on(NOON) is is_on


def test_the_hold_names_the_cluster_who_froze_it_until_when_and_why() -> None:
    (hold,) = freeze_holds("payments", {}, [freeze(ends=NOON + 3600)], NOON)
    assert hold.code is ReasonCode.FREEZE
    assert hold.object == "cluster:payments"
    assert hold.detail == "xmas, by ann, until 2026-12-24T13:00:00Z: sales"


def test_several_freezes_are_one_hold_that_names_them_all() -> None:
    other = freeze(name="audit", is_for_all=True, by="bob", reason="audit week")
    (hold,) = freeze_holds("payments", {}, [freeze(), other], NOON)
    assert hold.detail == (
        "xmas, by ann, until it is removed: sales; audit, by bob, until it is removed: audit week"
    )


def test_a_freeze_of_another_cluster_or_time_holds_nothing() -> None:
    freezes = [freeze(clusters=("other",)), freeze(ends=NOON - 1)]
    assert freeze_holds("payments", {}, freezes, NOON) == ()


@pytest.mark.parametrize(
    ("text", "zone", "is_end", "utc"),
    [
        ("2026-12-20T08:00:00Z", None, False, "2026-12-20T08:00:00"),
        ("2026-12-20T08:00+01:00", None, False, "2026-12-20T07:00:00"),
        ("2026-12-20T08:00", "Europe/Berlin", False, "2026-12-20T07:00:00"),
        ("2026-12-20 08:00", "Europe/Berlin", True, "2026-12-20T07:00:00"),
        ("2026-07-01T08:00", "Europe/Berlin", False, "2026-07-01T06:00:00"),
        ("2026-12-20", "UTC", False, "2026-12-20T00:00:00"),
        ("2026-12-20", "UTC", True, "2026-12-21T00:00:00"),
        ("2026-12-31", "America/New_York", True, "2027-01-01T05:00:00"),
        # 25 October 2026, 02:30 comes twice in Berlin: at 00:30 and at 01:30 UTC.
        ("2026-10-25T02:30", "Europe/Berlin", False, "2026-10-25T00:30:00"),
        ("2026-10-25T02:30", "Europe/Berlin", True, "2026-10-25T01:30:00"),
        # 29 March 2026, 02:30 does not come at all: the clock goes from 01:00 UTC on as 03:00.
        ("2026-03-29T02:30", "Europe/Berlin", False, "2026-03-29T00:30:00"),
        ("2026-03-29T02:30", "Europe/Berlin", True, "2026-03-29T01:30:00"),
    ],
)
def test_a_moment_is_read_in_its_zone_and_a_doubtful_one_makes_the_freeze_longer(
    text: str, zone: str | None, utc: str, *, is_end: bool
) -> None:
    found = datetime.fromtimestamp(freeze_moment(text, zone, is_end=is_end), UTC)
    assert found.isoformat().removesuffix("+00:00") == utc


@pytest.mark.parametrize(
    ("text", "zone", "message"),
    [
        ("2026-12-20T08:00", None, "needs its zone"),
        ("2026-12-20", None, "needs its zone"),
        ("2026-02-30", "UTC", "no day"),
        ("2026-02-20T25:00", "UTC", "no day"),
        ("tomorrow", "UTC", "must be a time"),
        ("2h", None, "must be a time"),
    ],
)
def test_what_is_no_moment_is_refused(text: str, zone: str | None, message: str) -> None:
    with pytest.raises(NoMoment, match=message):
        freeze_moment(text, zone, is_end=False)
