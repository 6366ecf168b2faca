"""What history outlives a restart: it is stored in the snapshot's `extra`, and taken out again.

Durations and repetitions go on where they stood; the time that nobody looked proves nothing.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from healthd.health.history import NO_HISTORY, History
from healthd.health.tracks import Tracks
from healthd.model.codes import CheckCode
from healthd.model.snapshot import ClusterSnapshot

SECTION: Final = "history"


def put_in(snapshot: ClusterSnapshot, history: History) -> ClusterSnapshot:
    """The snapshot with its history, as it is stored."""
    return replace(snapshot, extra={**(snapshot.extra or {}), SECTION: history_json(history)})


def taken_out(snapshot: ClusterSnapshot) -> tuple[ClusterSnapshot, History]:
    """A stored snapshot without its history, and that history."""
    extra = dict(snapshot.extra or {})
    history = parse_history(extra.pop(SECTION, {}))
    return replace(snapshot, extra=extra or None), history


def history_json(history: History) -> dict[str, Any]:
    """The history as JSON."""
    tracks = history.tracks
    return {
        "underMinIsr": sorted([topic, partition] for topic, partition in history.under_min_isr),
        "since": {code.value: at.isoformat() for code, at in history.since.items()},
        "at": None if tracks.at is None else tracks.at.isoformat(),
        "elapsed": tracks.elapsed,
        "saturatedSeconds": tracks.saturated_seconds,
        "mixedVersionsSeconds": tracks.mixed_versions_seconds,
        "controller": tracks.controller,
        "controllerChanges": list(tracks.controller_changes),
        "imbalancedSeconds": {
            str(node): seconds for node, seconds in tracks.imbalanced_seconds.items()
        },
        "balanceAt": tracks.balance_at,
    }


def parse_history(value: Mapping[str, Any]) -> History:
    """The history in JSON; none when another version wrote what cannot be read here."""
    try:
        return _parsed(value) if value else NO_HISTORY
    except (AttributeError, KeyError, TypeError, ValueError):
        return NO_HISTORY


def _parsed(value: Mapping[str, Any]) -> History:
    at, balance_at = value["at"], value["balanceAt"]
    return History(
        under_min_isr=frozenset(
            (str(topic), int(partition)) for topic, partition in value["underMinIsr"]
        ),
        # A check that another version raised and this one does not know is no check here.
        since={
            CheckCode(code): datetime.fromisoformat(since)
            for code, since in value["since"].items()
            if code in CheckCode.__members__
        },
        tracks=Tracks(
            at=None if at is None else datetime.fromisoformat(at),
            elapsed=float(value["elapsed"]),
            saturated_seconds=float(value["saturatedSeconds"]),
            mixed_versions_seconds=float(value["mixedVersionsSeconds"]),
            controller=None if value["controller"] is None else int(value["controller"]),
            controller_changes=tuple(map(float, value["controllerChanges"])),
            imbalanced_seconds={
                int(node): float(seconds) for node, seconds in value["imbalancedSeconds"].items()
            },
            balance_at=None if balance_at is None else float(balance_at),
        ),
    )
