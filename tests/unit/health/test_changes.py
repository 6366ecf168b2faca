"""What changed between two moments, in plain words."""

from dataclasses import replace
from typing import Any

import pytest
from support.history_rows import DOWN, WELL, row

from healthd.health.changes import MOST_CHANGES, Changes, Happened, changes
from healthd.health.timeline import Gap, HistoryRow, Story

HELD = replace(WELL, verdict="HOLD", health_class="UNKNOWN")


def told(*rows: HistoryRow, since: float = 0.0, until: float = 100.0, **more: Any) -> Changes:
    return changes("payments", rows, more.get("events", ()), since=since, until=until)


def lines(found: Changes) -> list[tuple[float, str]]:
    return [(change.at, change.text) for change in found.story]


INCIDENT = (
    row(0, 10),
    row(10, 20, 40.0, story=DOWN, counts=(1, 12)),
    row(20, 40, 30.0, story=DOWN, counts=(2, 24), lowest=21.5, lowest_at=33.0),
    row(40, 60, 90.0, story=replace(DOWN, health_class="WARN", binding_cap=None,
                                    checks=DOWN.checks[1:]), counts=(3,)),
    row(60, 100),
)  # fmt: skip


def test_an_incident_is_told_from_its_first_sign_to_its_end() -> None:
    assert lines(told(*INCIDENT)) == [
        (10, "class OK -> CRIT, index 40"),
        (10, "BROKER_DOWN raised (CRIT, 2 at most)"),
        (10, "PARTITION_UNDER_REPLICATED raised (WARN, 24 at most)"),
        (10, "BROKER_DOWN holds the index down"),
        (40, "class CRIT -> WARN, index 90"),
        (40, "BROKER_DOWN no longer holds the index down"),
        (40, "BROKER_DOWN ended"),
        (60, "class WARN -> OK, index 100"),
        (60, "PARTITION_UNDER_REPLICATED ended"),
    ]


def test_it_says_how_it_was_before_and_after_and_how_low_it_went() -> None:
    found = told(*INCIDENT)
    assert found.first is not None
    assert found.last is not None
    assert (found.first.index, found.last.index) == (100.0, 100.0)
    assert found.lowest == (21.5, 33.0)
    assert found.gaps == ()


def test_each_check_is_told_once_with_how_often_and_how_long() -> None:
    again = (*INCIDENT[:-1], row(60, 70), row(70, 75, 40.0, story=DOWN, counts=(5, 1)))
    found = told(*again, row(75, 100))
    assert [(c.code, c.severity, c.highest, c.times, c.seconds, c.first, c.ended)
            for c in found.checks] == [
        ("BROKER_DOWN", "CRIT", 5, 2, 35.0, 10, 75),
        ("PARTITION_UNDER_REPLICATED", "WARN", 24, 2, 55.0, 10, 75),
    ]  # fmt: skip


def test_what_was_so_before_and_is_so_afterwards_is_no_change() -> None:
    found = told(row(-50, 150, 40.0, story=DOWN), since=0, until=100)
    assert found.story == ()
    assert [(check.times, check.ended, check.seconds) for check in found.checks] == [
        (1, None, 100.0),
        (1, None, 100.0),
    ]


def test_the_lowest_index_is_one_of_the_time_that_was_asked_for() -> None:
    long_ago = row(-100, 50, 80.0, lowest=5.0, lowest_at=-60.0)
    assert told(long_ago).lowest == (80.0, 0.0)


def test_a_time_in_which_nobody_looked_is_told_and_ends_no_check() -> None:
    found = told(row(0, 10, 40.0, story=DOWN), row(70, 100, 40.0, story=DOWN))
    assert lines(found) == [(10, "nobody looked")]
    assert found.story[0].seconds == 60
    assert found.gaps == (Gap(at=10, until=70),)
    assert [check.seconds for check in found.checks] == [40.0, 40.0]


def test_nobody_looked_at_all() -> None:
    found = told()
    assert lines(found) == [(0, "nobody looked from here on")]
    assert (found.first, found.last, found.lowest, found.checks) == (None, None, None, ())


def test_a_cluster_that_was_never_seen_has_no_lowest_index() -> None:
    dark = Story(health_class="UNKNOWN")
    assert told(row(0, 50, None, story=dark), row(50, 100, 0.0)).lowest == (0.0, 50)
    assert told(row(0, 100, None, story=dark)).lowest is None


def test_who_did_what_is_told_where_it_happened() -> None:
    events = [
        Happened(at=70, kind="unmute", body={"check": "BROKER_DOWN", "by": "healthd",
                                             "reason": "its time is over", "objects": []}),
        Happened(at=30, kind="mute", body={"check": "BROKER_DOWN", "by": "ann", "reason": "CHG-1",
                                           "objects": ["broker:4"]}),
        Happened(at=20, kind="force", body={"forced": "OUT", "by": "bob", "reason": "drill",
                                            "seconds": 7200}),
        Happened(at=50, kind="force", body={"forced": None, "by": "bob", "reason": "done"}),
        Happened(at=15, kind="verdict", body={"from": "IN", "to": "OUT", "index": 40.0,
                                              "bindingCap": "BROKER_DOWN", "dryRun": True}),
        Happened(at=500, kind="force", body={"forced": "IN"}),
        Happened(at=16, kind="something newer", body={}),
        Happened(at=80, kind="freeze", body={"name": "audit", "by": "ann", "reason": "audit week",
                                             "from": None, "until": "2026-01-02T00:00:00Z"}),
        Happened(at=90, kind="unfreeze", body={"name": "audit", "by": "bob", "reason": "over"}),
    ]  # fmt: skip
    assert lines(told(row(0, 100), events=events)) == [
        (15, "verdict IN -> OUT at index 40, held down by BROKER_DOWN (dry run: nobody was moved)"),
        (20, "bob forced it OUT for 2 h: drill"),
        (30, "ann muted BROKER_DOWN for broker:4: CHG-1"),
        (50, "bob took back what was forced: done"),
        (70, "healthd ended the mute of BROKER_DOWN: its time is over"),
        (80, "ann made the freeze audit until 2026-01-02T00:00:00Z: audit week"),
        (90, "bob removed the freeze audit: over"),
    ]


def test_a_verdict_is_told_once_by_what_moved_it_or_by_what_was_shown() -> None:
    moved = Happened(at=49, kind="verdict", body={"from": "IN", "to": "OUT", "index": 12})
    out = replace(WELL, verdict="OUT", state="OUT")
    rows = row(0, 50), row(50, 100, story=out)
    assert lines(told(*rows, events=[moved])) == [(49, "verdict IN -> OUT at index 12")]
    assert lines(told(*rows)) == [(50, "verdict IN -> OUT")]


def test_a_verdict_that_is_held_says_that_nothing_is_known() -> None:
    found = told(row(0, 50), row(50, 60, story=HELD), row(60, 100))
    assert "verdict HOLD: nothing is known, it stays IN" in [text for _, text in lines(found)]
    assert "verdict IN: it is known again" in [text for _, text in lines(found)]


def test_one_cap_after_another_is_one_line() -> None:
    disk = replace(DOWN, binding_cap="DISK_CRITICAL")
    found = told(row(0, 50, 40.0, story=DOWN), row(50, 100, 30.0, story=disk))
    assert lines(found) == [(50, "DISK_CRITICAL instead of BROKER_DOWN holds the index down")]


def test_a_check_that_grew_worse_is_told_with_both() -> None:
    rows = [
        row(at, at + 25, story=replace(WELL, checks=(("DISK_HIGH", severity),)))
        for at, severity in ((25, "WARN"), (50, "CRIT"), (75, "WARN"))
    ]
    assert lines(told(row(0, 25), *rows)) == [(25, "DISK_HIGH raised (WARN, later CRIT)")]


def test_a_story_without_end_is_cut_and_what_is_left_out_is_counted() -> None:
    rows = [
        row(at, at + 1, story=replace(WELL, health_class="OK" if at % 2 else "WARN"))
        for at in range(2 * MOST_CHANGES)
    ]
    found = told(*rows, until=10_000)
    assert len(found.story) == MOST_CHANGES
    assert found.more == len(rows) - MOST_CHANGES


@pytest.mark.parametrize("kind", ["verdict", "force", "mute", "unmute"])
@pytest.mark.parametrize(
    "body",
    [{}, {"objects": None, "index": "?", "seconds": "x"}, {"by": None, "to": 4}],
    ids=["empty", "strange", "other types"],
)
def test_an_event_of_another_version_is_told_as_well_as_can_be(kind: str, body: Any) -> None:
    found = told(row(0, 100), events=[Happened(at=5, kind=kind, body=body)])
    assert len(found.story) == 1
