"""Rows of a history for tests."""

from typing import Any

from healthd.health.timeline import HistoryRow, Story

WELL = Story(health_class="OK", verdict="IN", state="IN")
DOWN = Story(
    health_class="CRIT",
    binding_cap="BROKER_DOWN",
    checks=(("BROKER_DOWN", "CRIT"), ("PARTITION_UNDER_REPLICATED", "WARN")),
    verdict="IN",
    state="IN",
)


def row(at: float, until: float, index: float | None = 100.0, **changes: Any) -> HistoryRow:
    """A row of payments; well unless it is told otherwise."""
    story: Story = changes.get("story", WELL)
    values: dict[str, Any] = {
        "cluster": "payments",
        "at": at,
        "until": until,
        "index": index,
        "lowest": index,
        "lowest_at": at,
        "lower": index,
        "upper": index,
        "completeness": 1.0,
        "story": story,
        "counts": (1,) * len(story.checks),
    }
    return HistoryRow(**(values | changes))
