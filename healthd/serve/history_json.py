"""History as JSON, for the API and through it for the command line."""

from typing import Any

from healthd.health.changes import Change, Changes, CheckTold
from healthd.health.timeline import Gap, HistoryRow
from healthd.model.moments import moment_text


def row_document(row: HistoryRow) -> dict[str, Any]:
    """One row: how a cluster was from one moment to another."""
    return {
        "from": moment_text(row.at),
        "to": moment_text(row.until),
        "healthIndex": row.index,
        "lowest": row.lowest,
        "lowestAt": None if row.lowest is None else moment_text(row.lowest_at),
        "lower": row.lower,
        "upper": row.upper,
        "completeness": row.completeness,
        "class": row.story.health_class,
        "bindingCap": row.story.binding_cap,
        "checks": [
            {"code": code, "severity": severity, "count": count}
            for (code, severity), count in zip(row.story.checks, row.counts, strict=True)
        ],
        "verdict": row.story.verdict or None,
        "state": row.story.state or None,
    }


def moment_document(cluster: str, row: HistoryRow | None, moment: float) -> dict[str, Any]:
    """How a cluster was at a moment; `seen` is false when nobody looked then."""
    return {
        "cluster": cluster,
        "seen": row is not None and row.until >= moment,
        "lastSeenAt": None if row is None else moment_text(min(row.until, moment)),
        "row": None if row is None else row_document(row),
    }


def changes_document(found: Changes) -> dict[str, Any]:
    """What changed between two moments."""
    return {
        "cluster": found.cluster,
        "from": moment_text(found.since),
        "to": moment_text(found.until),
        "first": None if found.first is None else row_document(found.first),
        "last": None if found.last is None else row_document(found.last),
        "lowest": None
        if found.lowest is None
        else {"healthIndex": found.lowest[0], "at": moment_text(found.lowest[1])},
        "unseenSeconds": round(sum(gap.seconds for gap in found.gaps), 3),
        "gaps": [_gap(gap) for gap in found.gaps],
        "checks": [_check(check) for check in found.checks],
        "changes": [_change(change) for change in found.story],
        "more": found.more,
    }


def _gap(gap: Gap) -> dict[str, Any]:
    return {
        "from": moment_text(gap.at),
        "to": moment_text(gap.until),
        "seconds": round(gap.seconds, 3),
    }


def _check(check: CheckTold) -> dict[str, Any]:
    return {
        "code": check.code,
        "severity": check.severity,
        "highestCount": check.highest,
        "times": check.times,
        "seconds": round(check.seconds, 3),
        "firstRaisedAt": moment_text(check.first),
        "endedAt": None if check.ended is None else moment_text(check.ended),
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "at": moment_text(change.at),
        "kind": change.kind.value,
        "text": change.text,
        "seconds": None if change.seconds is None else round(change.seconds, 3),
    }
