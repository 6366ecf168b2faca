"""Parts of `healthd status`: since when, what the cluster can lose, and its tenants."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from healthd.cli.terminal import duration, first_of, score

_NAMED: Final = 5
"""Objects of one kind that a person is shown; `-o json` has all."""
_KINDS: Final = {"broker": "broker", "rack": "rack", "controller": "controller"}
_WHY: Final = {
    "RF_ONE": "a partition has no second replica",
    "RF_LE_MIN_ISR": "a topic needs every replica",
    "WOULD_GO_UNDER_MIN_ISR": "a partition would go under min.insync.replicas",
    "WOULD_LOSE_QUORUM": "the quorum would be lost",
    "QUORUM_WITHOUT_SPARE": "the quorum has no spare voter",
    "MIN_ISR_UNKNOWN": "min.insync.replicas is not known",
    "EVIDENCE_STALE": "what was seen is no longer fresh",
    "QUORUM_UNKNOWN": "who is caught up in the quorum is not known",
}


def since(check: dict[str, Any], observed_at: str | None) -> str:
    """``since 14:02:31 UTC (3m05s)``; empty when nobody knows."""
    began = check.get("since")
    if began is None or observed_at is None:
        return ""
    first, now = datetime.fromisoformat(began), datetime.fromisoformat(observed_at)
    seconds = max(0.0, (now - first).total_seconds())
    form = "%H:%M:%S UTC" if first.date() == now.date() else "%Y-%m-%d %H:%M UTC"
    return f"since {first:{form}} ({duration(seconds)})"


def can_lose(found: list[dict[str, Any]]) -> Iterator[str]:
    """What could go without taking anything under min ISR, and what could not and why."""
    if not found:
        return
    yield "CAN LOSE  without taking anything under min ISR, one at a time"
    for kind in _KINDS:
        ours = [loss for loss in found if loss["kind"] == kind]
        if not ours:
            continue
        yes = [loss["name"] for loss in ours if loss["tolerated"] is True]
        if len(yes) == len(ours):
            yield f"  any {kind} of {len(ours)}"
            continue
        names, rest = first_of(yes, f"{kind}s")
        more = f", {rest}" if rest else ""
        yield f"  {kind}s: {', '.join(names) or 'none'}{more}"
        yield from _not(kind, ours)


def _not(kind: str, ours: list[dict[str, Any]]) -> Iterator[str]:
    by_reason: dict[tuple[bool | None, tuple[str, ...]], list[str]] = {}
    for loss in ours:
        if loss["tolerated"] is not True:
            key = loss["tolerated"], tuple(loss["breaks"])
            by_reason.setdefault(key, []).append(loss["name"])
    for (tolerated, codes), names in by_reason.items():
        shown, rest = first_of(names, f"{kind}s")
        why = "; ".join(_WHY.get(code, code) for code in codes)
        head = "not" if tolerated is False else "not known:"
        yield f"    {head} {', '.join(shown)}: {why}" + (f" ({rest})" if rest else "")


def gate(found: dict[str, Any]) -> Iterator[str]:
    """What holds, alike holds in one line: a broker that is down holds with all its partitions."""
    if found["clear"]:
        yield "GATE  clear on this snapshot (a wave also asks for a clean run over time)"
        return
    yield "GATE  closed"
    alike: dict[tuple[str, str], list[str]] = {}
    for hold in found["holds"]:
        alike.setdefault((hold["code"], hold["detail"]), []).append(hold["object"])
    lines, rest = first_of(list(alike.items()), "kinds of holds")
    for (code, detail), objects in lines:
        more = len(objects) - _NAMED
        tail = f" and {more} more" if more > 0 else ""
        yield f"  {code} {', '.join(objects[:_NAMED])}{tail}: {detail}"
    if rest:
        yield f"  {rest}"


def tenants(found: list[dict[str, Any]]) -> Iterator[str]:
    """The index of every tenant, the worst first."""
    if not found:
        return
    yield "TENANTS"
    rows = sorted(found, key=lambda row: (row["healthIndex"], row["tenant"]))
    shown, rest = first_of(rows, "tenants")
    width = max(len(row["tenant"]) for row in shown)
    for row in shown:
        held = f", held down by {row['bindingCap']}" if row["bindingCap"] else ""
        yield (
            f"  {row['tenant']:<{width}}  {row['class']:<7}  {score(row['healthIndex']):>5}  "
            f"{row['partitions']} partitions{held}"
        )
    if rest:
        yield f"  {rest}"
