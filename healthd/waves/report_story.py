"""What a wave's journal tells a report: holds with their ends, people's doings, each broker's way.

The journal is its story in order: entries with ``at`` (RFC 3339), ``clock`` (seconds on the wave
clock), ``event``, ``node``, ``detail`` and ``data``.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

Entry = Mapping[str, Any]

_TAKEN: Final = frozenset({"node_preparing", "node_stopping", "node_starting"})
_STEP_ENDS: Final = frozenset({"step_done", "step_failed", "step_left_out"})
_OUTCOMES: Final = {"step_left_out": "left out"}
_ENDS: Final = frozenset({"node_done", "node_failed", "node_skipped", "node_pending"})


def order_taken(journal: Iterable[Entry]) -> list[int]:
    """The nodes in the order in which they were first taken."""
    taken: dict[int, None] = {}
    for entry in journal:
        if entry["event"] in _TAKEN and entry["node"] is not None:
            taken.setdefault(entry["node"])
    return list(taken)


def most_in_flight(journal: Iterable[Entry]) -> int:
    """How many nodes were in flight together at most."""
    most, now = 0, set()
    for entry in journal:
        if entry["event"] in _TAKEN:
            now.add(entry["node"])
        elif entry["event"] in _ENDS:
            now.discard(entry["node"])
        most = max(most, len(now))
    return most


def lines_by_node(journal: Iterable[Entry]) -> dict[int, list[Entry]]:
    """What was told of each node, in order."""
    found: dict[int, list[Entry]] = {}
    for entry in journal:
        if entry["node"] is not None:
            found.setdefault(entry["node"], []).append(entry)
    return found


def steps_done(lines: Iterable[Entry]) -> list[dict[str, Any]]:
    """The steps of the playbook that one node had, with how each ended and how long it took."""
    return [
        {
            "at": line["at"],
            "step": line["data"]["name"],
            "outcome": _OUTCOMES.get(line["event"]) or line["data"].get("outcome", "done"),
            "seconds": line["data"].get("seconds", 0.0),
            "said": line["detail"].partition(": ")[2],
        }
        for line in lines
        if line["event"] in _STEP_ENDS and "name" in line["data"]
    ]


def people(journal: Iterable[Entry]) -> list[dict[str, Any]]:
    """What persons did to the wave: orders, approvals, overrides, each with who and why."""
    return [
        {
            "at": entry["at"],
            "what": entry["event"].removeprefix("order_"),
            "by": entry["data"]["by"],
            "why": entry["detail"],
            "broker": entry["node"],
            "data": {key: value for key, value in entry["data"].items() if key != "by"},
        }
        for entry in journal
        if entry["data"].get("by")
    ]


def held_intervals(journal: Sequence[Entry], *, has_ended: bool) -> list[dict[str, Any]]:
    """Every hold with since when and until when it stood, in the order they began.

    `until` is None for one that still stands. A line of the journal names the first 50 reasons;
    the others of a wider outage are not told apart here.
    """
    found: list[dict[str, Any]] = []
    standing: dict[tuple[str, str], tuple[dict[str, Any], float]] = {}
    for entry in journal:
        if not entry["event"].startswith("gate_"):
            continue
        reasons = {
            (reason["code"], reason["object"]): reason
            for reason in entry["data"].get("reasons", ())
        }
        for key in [key for key in standing if key not in reasons]:
            _end(*standing.pop(key), entry)
        for key, reason in reasons.items():
            if key not in standing:
                held = {**reason, "since": entry["at"], "until": None, "seconds": None}
                found.append(held)
                standing[key] = held, entry["clock"]
    if journal:
        for held, since in standing.values():
            held["seconds"] = round(journal[-1]["clock"] - since, 1)
            held["until"] = journal[-1]["at"] if has_ended else None
    return found


def _end(held: dict[str, Any], since: float, entry: Entry) -> None:
    held["until"] = entry["at"]
    held["seconds"] = round(entry["clock"] - since, 1)
