"""A night with an incident, as it would have been recorded: what docs/history.md shows."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from healthd.health.timeline import HistoryRow, Story
from healthd.store.ledger import LedgerEvent, LedgerWrite
from healthd.store.protocol import Store

NIGHT: Final = datetime(2026, 1, 1, 2, 0, tzinfo=UTC).timestamp()
WELL: Final = Story(health_class="OK", verdict="IN", state="IN")
DOWN: Final = Story(
    health_class="WARN",
    binding_cap="PARTITION_AT_MIN_ISR",
    checks=(("BROKER_DOWN", "WARN"), ("PARTITION_AT_MIN_ISR", "WARN")),
    verdict="IN",
    state="IN",
)
WORSE: Final = Story(
    health_class="CRIT",
    binding_cap="PARTITION_OFFLINE",
    checks=(("BROKER_DOWN", "CRIT"), ("PARTITION_OFFLINE", "CRIT")),
    verdict="IN",
    state="IN",
)


def minutes(count: float) -> float:
    """So long after two o'clock in the night, as Unix seconds."""
    return NIGHT + 60 * count


def a_row(first: float, last: float, index: float, story: Story, *counts: int) -> HistoryRow:
    """From minute to minute."""
    return HistoryRow(
        cluster="payments",
        at=minutes(first),
        until=minutes(last),
        index=index,
        lowest=index,
        lowest_at=minutes(first),
        lower=index,
        upper=index,
        completeness=1.0,
        story=story,
        counts=counts,
    )


ROWS: Final = (
    a_row(-60, 0, 100.0, WELL),
    a_row(0, 13.25, 100.0, WELL),
    a_row(13.25, 21, 79.2, DOWN, 1, 14),
    a_row(21, 21.75, 31.4, WORSE, 2, 3),
    replace(a_row(21.75, 34, 38.9, replace(WORSE, verdict="OUT", state="OUT"), 2, 3),
            lowest=24.6, lowest_at=minutes(25.5)),
    a_row(38.5, 52, 81.0, replace(DOWN, verdict="OUT", state="OUT"), 1, 9),
    a_row(52, 61.5, 100.0, replace(WELL, verdict="OUT", state="OUT")),
    a_row(61.5, 64.5, 100.0, replace(WELL, verdict="PROBATION", state="PROBATION")),
    a_row(64.5, 180, 100.0, WELL),
)  # fmt: skip

EVENTS: Final = (
    (17.0, "mute", {"check": "BROKER_DOWN", "objects": ["broker:4"], "by": "ann",
                    "reason": "INC-4711 disk of broker 4 is exchanged"}),
    (21.0, "unmute", {"check": "BROKER_DOWN", "objects": ["broker:4"], "by": "healthd",
                      "reason": "more objects are concerned than were muted"}),
    (21.75, "verdict", {"from": "IN", "to": "OUT", "index": 38.9,
                        "bindingCap": "PARTITION_OFFLINE", "dryRun": False}),
    (40.0, "force", {"forced": "OUT", "by": "ann", "seconds": 1200,
                     "reason": "INC-4711 stay out until both brokers are back"}),
    (56.5, "force", {"forced": None, "by": "ann", "reason": "both are back"}),
    (61.5, "verdict", {"from": "OUT", "to": "PROBATION", "index": 100.0, "bindingCap": None,
                       "dryRun": False}),
    (64.5, "verdict", {"from": "PROBATION", "to": "IN", "index": 100.0, "bindingCap": None,
                       "dryRun": False}),
)  # fmt: skip


def record(store: Store) -> None:
    """Write the night into a store, with a second cluster that had nothing."""
    calm = replace(a_row(-60, 180, 100.0, WELL), cluster="clickstream")
    store.timeline.write([*ROWS, calm], [])
    events = tuple(
        LedgerEvent(at=minutes(at), kind=kind, subject="payments", body=body)
        for at, kind, body in EVENTS
    )
    store.ledger.write(LedgerWrite(kind="routing", documents={}, events=events))
