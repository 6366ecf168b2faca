"""The lag of every broker's replicas from round to round: what was told last, and how old it is."""

from collections.abc import Collection, Mapping
from typing import Any

from healthd.collect.observation import PageSeen, SectionSeen
from healthd.safety.replica_lag import LAG_SECTION


def lag_now(
    last: Mapping[str, SectionSeen],
    pages: Mapping[int, PageSeen],
    *,
    brokers: Collection[int],
    now: float,
) -> dict[str, SectionSeen]:
    """The section `lag` of the snapshot's `extra`; nothing when no exporter has ever told it.

    A broker whose page no longer says it keeps its last value, which grows older: what was known
    and is not any more must not look as if there were no lag.

    Args:
        last: The sections of the round before.
        pages: The pages of this round.
        brokers: Those that are expected now.
        now: Monotonic seconds.
    """
    rows: dict[int, dict[str, Any]] = {}
    before = last.get(LAG_SECTION)
    if before is not None:
        passed = max(0.0, now - before.at)
        for row in before.body.get("brokers", ()):
            aged = round(row["ageSeconds"] + passed, 3)
            rows[row["broker"]] = {**row, "ageSeconds": aged}
    for node, page in pages.items():
        messages = page.signals.max_lag
        if messages is not None:
            age = max(0.0, round(now - page.at, 3))
            rows[node] = {"broker": node, "messages": messages, "ageSeconds": age}
    found = [rows[node] for node in sorted(rows) if node in brokers]
    return {LAG_SECTION: SectionSeen(body={"brokers": found}, at=now)} if found else {}
