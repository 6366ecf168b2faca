"""How every cluster was, for a year: rows in which nothing changed that counts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Protocol

from healthd.health.timeline import HistoryRow, Story


class Timeline(Protocol):
    """The history of all clusters. It raises what the `Store` raises.

    Rows come back as `healthd.health.timeline.as_kept` leaves them. A cluster's rows are known by
    the moment at which they began: one that began at the same moment takes the other's place.
    """

    def write(self, rows: Sequence[HistoryRow], running: Sequence[HistoryRow]) -> None:
        """Add rows that have ended, and replace all that were still running, as one transaction."""
        ...

    def running(self) -> tuple[HistoryRow, ...]:
        """The rows that were still running at the last write, by cluster."""
        ...

    def clusters(self) -> tuple[str, ...]:
        """Every cluster that has rows, by name."""
        ...

    def rows(
        self, cluster: str, *, since: float, until: float, limit: int
    ) -> tuple[HistoryRow, ...]:
        """The newest rows that touch the time from `since` to before `until`, the oldest first."""
        ...

    def outline(self, cluster: str, *, since: float, until: float) -> tuple[HistoryRow, ...]:
        """The same rows, with neighbours as one that touch and tell the same; the first is kept.

        Cheap over months: it is made while the rows are read.
        """
        ...

    def at(self, moment: float) -> tuple[HistoryRow, ...]:
        """The last row of every cluster that began at or before a moment, by cluster.

        It may have ended long before: then nobody has looked since.
        """
        ...

    def began(
        self, cluster: str, *, since: float, until: float, limit: int
    ) -> tuple[HistoryRow, ...]:
        """The oldest rows that began from `since` to before `until`, the oldest first."""
        ...

    def replace(
        self, cluster: str, *, since: float, until: float, rows: Sequence[HistoryRow]
    ) -> None:
        """Put rows in the place of those that began from `since` to before `until`."""
        ...

    def marks(self) -> Mapping[tuple[str, int], float]:
        """Until when each cluster's rows are thinned to buckets of so many seconds."""
        ...

    def mark(self, cluster: str, *, grain: int, until: float) -> None:
        """Remember that rows which began before `until` are thinned."""
        ...

    def forget(self, cluster: str, *, before: float, limit: int) -> int:
        """Drop the oldest rows that began before then, `limit` at most, and say how many."""
        ...


@lru_cache(maxsize=4096)
def story_text(story: Story) -> str:
    """A story as the one text that stands for it."""
    return json.dumps(asdict(story), separators=(",", ":"), sort_keys=True)


def parse_story(text: str) -> Story:
    """The story that a text stands for."""
    value = json.loads(text)
    return Story(
        health_class=value["health_class"],
        binding_cap=value["binding_cap"],
        checks=tuple((code, severity) for code, severity in value["checks"]),
        verdict=value["verdict"],
        state=value["state"],
    )
