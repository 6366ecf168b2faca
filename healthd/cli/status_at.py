"""`healthd status --at`: the fleet, or one cluster, as it was."""

from typing import Any, Final

from healthd.cli.history import long_time
from healthd.cli.terminal import console, plain, rows_of, score, table, word

_WORST_FIRST: Final = ("CRIT", "UNKNOWN", "WARN", "OK")


def print_fleet_at(found: dict[str, Any]) -> None:
    """One row a cluster, the worst first; those that nobody looked at are last."""
    out = console()
    out.print(plain(f"As it was at {long_time(found['at'])}"))
    rows = sorted(found["clusters"], key=_urgency)
    out.print(
        rows_of(
            table("CLUSTER", "CLASS", "INDEX", "HELD DOWN BY", "CHECKS", "ROUTING"),
            [_row(each) for each in rows],
        )
    )
    for each in rows:
        if not each["seen"]:
            out.print(plain(f"{each['cluster']}: {_unseen(each)}"))


def print_cluster_at(found: dict[str, Any]) -> None:
    """One cluster with its checks and since when it was so."""
    out = console()
    (each,) = found["clusters"]
    row = each["row"]
    out.print(plain(f"{each['cluster']} as it was at {long_time(found['at'])}"))
    if not each["seen"]:
        out.print(plain(f"  {_unseen(each)}"))
    if row is None:
        return
    bounds = f" ({score(row['lower'])} to {score(row['upper'])})"
    held = f", held down by {row['bindingCap']}" if row["bindingCap"] else ""
    is_sure = row["lower"] == row["upper"]
    out.print(
        plain("  "), word(row["class"]),
        plain(f"  Health Index {score(row['healthIndex'])}{'' if is_sure else bounds}{held}"),
        sep="",
    )  # fmt: skip
    for check in row["checks"]:
        out.print(plain(f"  {check['severity']:<4}  {check['code']}, {check['count']} concerned"))
    if row["verdict"]:
        out.print(plain(f"  routing {row['verdict']} ({row['state']})"))
    out.print(plain(f"  so since {long_time(row['from'])}; what came before and after:"))
    out.print(plain(f"  healthd history {each['cluster']} --from {row['from']}"))


def _urgency(each: dict[str, Any]) -> tuple[bool, int, float, str]:
    row = each["row"]
    if row is None or row["class"] not in _WORST_FIRST:
        return True, len(_WORST_FIRST), 0.0, each["cluster"]
    index = row["healthIndex"]
    rank = _WORST_FIRST.index(row["class"])
    return not each["seen"], rank, -1.0 if index is None else index, each["cluster"]


def _row(each: dict[str, Any]) -> tuple[Any, ...]:
    row = each["row"]
    if row is None:
        return each["cluster"], "-", "-", "-", "-", "-"
    mark = "" if each["seen"] else " ?"
    return (
        each["cluster"],
        row["class"] + mark if mark else word(row["class"]),
        score(row["healthIndex"]) + mark,
        row["bindingCap"] or "-",
        ", ".join(f"{check['code']} {check['count']}" for check in row["checks"][:3]) or "-",
        row["verdict"] or "-",
    )


def _unseen(each: dict[str, Any]) -> str:
    if each["lastSeenAt"] is None:
        return "nothing is recorded of it by then"
    return f"nobody looked then; shown is what was known at {long_time(each['lastSeenAt'])}"
