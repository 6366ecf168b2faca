"""Whatever history a cluster has: thinning it loses neither the lowest index nor what was told."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from support.history_rows import histories

from healthd.health.timeline import (
    MOST_IN_BUCKET,
    HistoryRow,
    collapsed,
    gaps,
    is_continued,
    severity_rank,
    thinned,
)

BUCKET = 300.0
RANKS = {"OK": 0, "WARN": 1, "UNKNOWN": 2, "CRIT": 3}


def lowest(rows: list[HistoryRow]) -> tuple[float, float] | None:
    found = [(each.lowest, each.lowest_at) for each in rows if each.lowest is not None]
    return min(found, default=None)


def told(rows: list[HistoryRow]) -> dict[str, tuple[int, int]]:
    """Of every check the worst severity and the highest count."""
    found: dict[str, tuple[int, int]] = {}
    for each in rows:
        for (code, severity), count in zip(each.story.checks, each.counts, strict=True):
            rank, most = found.get(code, (0, 0))
            found[code] = max(rank, severity_rank(severity)), max(most, count)
    return found


def buckets(rows: list[HistoryRow]) -> dict[float, list[HistoryRow]]:
    found: dict[float, list[HistoryRow]] = {}
    for each in rows:
        found.setdefault(each.at // BUCKET, []).append(each)
    return found


@given(histories())
def test_each_bucket_keeps_its_lowest_index_its_worst_class_and_its_checks(
    rows: list[HistoryRow],
) -> None:
    before, after = buckets(rows), buckets(thinned(rows, seconds=BUCKET))
    assert before.keys() == after.keys()
    for key, kept in after.items():
        assert len(kept) <= MOST_IN_BUCKET
        assert lowest(kept) == lowest(before[key])
        assert told(kept) == told(before[key])
        worst = [max(RANKS[r.story.health_class] for r in side) for side in (kept, before[key])]
        assert worst[0] == worst[1]
        assert (kept[0].at, kept[-1].until) == (before[key][0].at, before[key][-1].until)


@given(histories())
def test_what_changed_seldom_keeps_every_transition(rows: list[HistoryRow]) -> None:
    """Up to three different rows in a bucket stay apart, however long they were."""
    for bucket in buckets(rows).values():
        distinct = list(collapsed(bucket))
        if len(distinct) <= MOST_IN_BUCKET:
            assert thinned(bucket, seconds=BUCKET) == distinct


@given(histories())
def test_thinning_twice_is_thinning_once(rows: list[HistoryRow]) -> None:
    once = thinned(rows, seconds=BUCKET)
    assert thinned(once, seconds=BUCKET) == once


@given(histories(), st.integers(0, 30))
def test_thinning_bucket_by_bucket_is_thinning_at_once(rows: list[HistoryRow], cut: int) -> None:
    """The thinner takes a few buckets at a time, and never half of one."""
    edge = rows[cut].at // BUCKET if cut < len(rows) else 0.0
    parts = [
        [r for r in rows if r.at // BUCKET < edge],
        [r for r in rows if r.at // BUCKET >= edge],
    ]
    assert [r for part in parts for r in thinned(part, seconds=BUCKET)] == thinned(
        rows, seconds=BUCKET
    )


@given(histories())
def test_rows_stay_in_order_and_do_not_overlap(rows: list[HistoryRow]) -> None:
    for before, after in pairwise(thinned(rows, seconds=BUCKET)):
        assert before.until <= after.at


@given(histories())
def test_merging_what_tells_the_same_hides_no_gap(rows: list[HistoryRow]) -> None:
    found = list(collapsed(rows))
    edges = {"since": 0.0, "until": 100_000.0}
    assert gaps(found, **edges) == gaps(rows, **edges)
    for before, after in pairwise(found):
        assert before.story != after.story or not is_continued(before, after)
