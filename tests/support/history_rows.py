"""Rows of a history for tests."""

from typing import Any, Final

from hypothesis import strategies as st

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


CHECKS: Final = (
    ("BROKER_DOWN", "CRIT"),
    ("DISK_HIGH", "WARN"),
    ("RF_ONE", "INFO"),
    ("RF_ONE", "WARN"),
)
stories = st.builds(
    Story,
    health_class=st.sampled_from(["CRIT", "OK", "UNKNOWN", "WARN"]),
    binding_cap=st.sampled_from([None, "BROKER_DOWN"]),
    checks=st.sets(st.sampled_from(CHECKS), max_size=3).map(
        lambda found: tuple(sorted({code: (code, severity) for code, severity in found}.values()))
    ),
    verdict=st.sampled_from(["IN", "OUT"]),
)


@st.composite
def histories(draw: st.DrawFn) -> list[HistoryRow]:
    """The rows of one cluster, in order, with gaps here and there."""
    at, rows = float(draw(st.integers(0, 1000))), []
    few = draw(st.lists(stories, min_size=1, max_size=3))
    for _ in range(draw(st.integers(0, 30))):
        length = draw(st.sampled_from([1.0, 15.0, 60.0, 700.0]))
        story = draw(st.sampled_from(few))
        index = draw(st.sampled_from([None, 0.0, 40.0, 69.9, 100.0]))
        counts = tuple(draw(st.integers(1, 9)) for _ in story.checks)
        rows.append(row(at, at + length, index, story=story, counts=counts))
        at += length + draw(st.sampled_from([0.0, 0.0, 0.0, 90.0]))
    return rows
