"""What changed between two moments: when it began, what was first, how low it went, who did what.

Made from rows of history and from what else happened (verdicts, operators' words, mutes). Pure: the
same rows and events always tell the same.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from typing import Any, Final

from healthd.health import happened
from healthd.health.timeline import Gap, HistoryRow, gaps, is_continued, severity_rank

MOST_CHANGES: Final = 500
"""Lines of one story; what comes after them is counted."""
NEAR_SECONDS: Final = 120.0
"""A verdict that is shown within this time after it moved was told by the move itself."""


class ChangeKind(StrEnum):
    """What kind of thing changed, in the order in which they are told of one moment."""

    GAP = "gap"
    CLASS = "class"
    CHECK_RAISED = "checkRaised"
    CAP = "cap"
    VERDICT = "verdict"
    FORCED = "forced"
    MUTED = "muted"
    UNMUTED = "unmuted"
    FROZEN = "frozen"
    UNFROZEN = "unfrozen"
    CHECK_ENDED = "checkEnded"


_ORDER: Final = {kind: place for place, kind in enumerate(ChangeKind)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """Something that was recorded when it happened."""

    at: float
    kind: str
    """``verdict``, ``force``, ``mute``, ``freeze``, ...; what is not known is passed over."""
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One line of the story."""

    at: float
    kind: ChangeKind
    text: str
    seconds: float | None = None
    """How long it was so, where that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckTold:
    """One check over the whole time."""

    code: str
    severity: str
    """The worst one."""
    highest: int
    """The highest count of objects."""
    times: int
    """How often it was raised, once for being raised from the beginning."""
    seconds: float
    """How long it was raised, all times together, as far as anybody looked."""
    first: float
    """When it was raised first; the beginning of the time when it was raised before."""
    ended: float | None
    """When it ended last; None: it was still raised at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What changed in a cluster between two moments."""

    cluster: str
    since: float
    until: float
    first: HistoryRow | None
    """How it was at the beginning; None when nobody looked at any time."""
    last: HistoryRow | None
    lowest: tuple[float, float] | None
    """The lowest index and when that was."""
    checks: tuple[CheckTold, ...]
    """The worst first, then by when they were raised."""
    story: tuple[Change, ...]
    more: int
    """So many lines of the story are left out at its end."""
    gaps: tuple[Gap, ...]


def changes(
    cluster: str,
    rows: Sequence[HistoryRow],
    events: Iterable[Happened],
    *,
    since: float,
    until: float,
) -> Changes:
    """What changed in a cluster from `since` to `until`.

    Args:
        cluster: Its name.
        rows: Those that touch that time, the oldest first; the first one as it was kept.
        events: What else happened to it, in any order.
        since: Unix seconds.
        until: Unix seconds.
    """
    rows = [row for row in rows if row.at < until and row.until > since]
    within = sorted(
        (event for event in events if since <= event.at < until), key=lambda event: event.at
    )
    spans = list(_spans(rows, since, until))
    holes = gaps(rows, since=since, until=until)
    story = sorted(
        [
            *_of_gaps(holes, until),
            *_of_rows(rows, within),
            *_of_spans(spans, since),
            *_of_events(within),
        ],
        key=lambda change: (change.at, _ORDER[change.kind], change.text),
    )
    return Changes(
        cluster=cluster,
        since=since,
        until=until,
        first=rows[0] if rows else None,
        last=rows[-1] if rows else None,
        lowest=_lowest(rows, since, until),
        checks=_checks(spans),
        story=tuple(story[:MOST_CHANGES]),
        more=max(0, len(story) - MOST_CHANGES),
        gaps=holes,
    )


def _lowest(rows: Iterable[HistoryRow], since: float, until: float) -> tuple[float, float] | None:
    """The lowest index inside the time: a row may have had it before or after."""
    found = []
    for row in rows:
        if row.lowest is not None and since <= row.lowest_at < until:
            found.append((row.lowest, row.lowest_at))
        elif row.index is not None:
            found.append((row.index, max(row.at, since)))
    return min(found, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    """A check from when it was raised until it ended."""

    code: str
    severity: str
    first_severity: str
    highest: int
    at: float
    until: float
    seconds: float
    is_over: bool = False


def _spans(rows: Iterable[HistoryRow], since: float, until: float) -> Iterator[_Span]:
    """Every time that a check was raised; a gap in which nobody looked ends none."""
    raised: dict[str, _Span] = {}
    for row in rows:
        began, ended = max(row.at, since), min(row.until, until)
        present = dict(row.story.checks)
        for code in [code for code in raised if code not in present]:
            yield replace(raised.pop(code), until=began, is_over=True)
        for (code, severity), count in zip(row.story.checks, row.counts, strict=True):
            known = raised.get(code)
            if known is None:
                raised[code] = _Span(
                    code=code,
                    severity=severity,
                    first_severity=severity,
                    highest=count,
                    at=began,
                    until=ended,
                    seconds=ended - began,
                )
            else:
                raised[code] = replace(
                    known,
                    severity=max(known.severity, severity, key=severity_rank),
                    highest=max(known.highest, count),
                    until=ended,
                    seconds=known.seconds + ended - began,
                )
    yield from raised.values()


def _checks(spans: Iterable[_Span]) -> tuple[CheckTold, ...]:
    by_code: dict[str, list[_Span]] = {}
    for span in spans:
        by_code.setdefault(span.code, []).append(span)
    found = [
        CheckTold(
            code=code,
            severity=max((span.severity for span in own), key=severity_rank),
            highest=max(span.highest for span in own),
            times=len(own),
            seconds=sum(span.seconds for span in own),
            first=min(span.at for span in own),
            ended=None if not all(span.is_over for span in own) else max(s.until for s in own),
        )
        for code, own in by_code.items()
    ]
    return tuple(sorted(found, key=lambda each: (-severity_rank(each.severity), each.first)))


def _of_gaps(holes: Iterable[Gap], until: float) -> Iterator[Change]:
    for gap in holes:
        is_open = gap.until >= until
        yield Change(
            at=gap.at,
            kind=ChangeKind.GAP,
            text="nobody looked from here on" if is_open else "nobody looked",
            seconds=gap.seconds,
        )


def _of_spans(spans: Iterable[_Span], since: float) -> Iterator[Change]:
    for span in spans:
        if span.at > since:
            objects = f", {span.highest} at most" if span.highest > 1 else ""
            worse = f", later {span.severity}" if span.severity != span.first_severity else ""
            yield Change(
                at=span.at,
                kind=ChangeKind.CHECK_RAISED,
                text=f"{span.code} raised ({span.first_severity}{worse}{objects})",
                seconds=span.until - span.at if span.is_over else None,
            )
        if span.is_over:
            yield Change(
                at=span.until,
                kind=ChangeKind.CHECK_ENDED,
                text=f"{span.code} ended",
                seconds=span.until - span.at,
            )


def _of_rows(rows: Iterable[HistoryRow], events: Sequence[Happened]) -> Iterator[Change]:
    for before, after in pairwise(rows):
        was, is_now = before.story, after.story
        if was.health_class != is_now.health_class:
            yield Change(
                at=after.at,
                kind=ChangeKind.CLASS,
                text=f"class {was.health_class} -> {is_now.health_class}, {_index(after)}",
            )
        if was.binding_cap != is_now.binding_cap:
            yield Change(at=after.at, kind=ChangeKind.CAP, text=_cap(before, after))
        if was.verdict != is_now.verdict and not _is_told(events, before, after):
            yield Change(
                at=after.at,
                kind=ChangeKind.VERDICT,
                text=happened.shown(was.verdict, is_now.verdict, is_now.state),
            )


def _index(row: HistoryRow) -> str:
    return "no index" if row.index is None else f"index {row.lowest or 0.0:g}"


def _cap(before: HistoryRow, after: HistoryRow) -> str:
    old, new = before.story.binding_cap, after.story.binding_cap
    if new is None:
        return f"{old} no longer holds the index down"
    if old is None:
        return f"{new} holds the index down"
    return f"{new} instead of {old} holds the index down"


def _is_told(events: Sequence[Happened], before: HistoryRow, after: HistoryRow) -> bool:
    """Whether a verdict that is shown anew was told by the event that moved it."""
    if not is_continued(before, after):
        return False
    return any(
        after.at - NEAR_SECONDS <= event.at <= after.at + 1
        and happened.verdict_after(event.kind, event.body) == after.story.verdict
        for event in events
    )


def _of_events(events: Iterable[Happened]) -> Iterator[Change]:
    kinds = {
        "verdict": ChangeKind.VERDICT,
        "force": ChangeKind.FORCED,
        "mute": ChangeKind.MUTED,
        "unmute": ChangeKind.UNMUTED,
        "freeze": ChangeKind.FROZEN,
        "unfreeze": ChangeKind.UNFROZEN,
    }
    for event in events:
        if event.kind in kinds:
            text = happened.words(event.kind, event.body)
            yield Change(at=event.at, kind=kinds[event.kind], text=text)
