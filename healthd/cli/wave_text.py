"""A wave as lines and tables for a person; `wave_text` reads the API's JSON and nothing else."""

from collections.abc import Iterator
from typing import Any, Final

from rich.console import Console, Group
from rich.text import Text

from healthd.cli.terminal import duration, first_of, plain, rows_of, table, word

ENDED: Final = frozenset({"succeeded", "failed", "aborted"})


def print_waves(out: Console, waves: list[dict[str, Any]]) -> None:
    """One row a wave."""
    if not waves:
        out.print("No wave runs, and none has ended in the last 24 hours.")
        return
    rows = [
        (
            wave["wave"],
            _status(wave),
            wave["cluster"],
            wave["playbook"],
            _progress(wave),
            wave["requestedBy"],
            wave["createdAt"],
            wave["reason"],
        )
        for wave in waves
    ]
    columns = ("WAVE", "STATUS", "CLUSTER", "PLAYBOOK", "DONE", "BY", "CREATED", "REASON")
    out.print(rows_of(table(*columns), rows))


def _status(wave: dict[str, Any]) -> Text:
    """Where it stands; a dry run is never taken for a wave."""
    status = word(wave["status"])
    return Text.assemble(("dry run, ", "bold"), status) if wave.get("dryRun") else status


def wave_view(found: dict[str, Any]) -> Group:
    """One wave: where it stands, every node since when, and what it waits for."""
    nodes = [
        (
            node["node"],
            word(node["status"]),
            "-" if node["status"] == "pending" else duration(node["seconds"]),
            _remarks(node),
        )
        for node in found["nodes"]
    ]
    return Group(
        Text.assemble(
            (found["wave"], "bold"),
            "  ",
            _status(found),
            f"  {_progress(found)} done on {found['cluster']} with {found['playbook']}",
        ),
        plain(f"{found['requestedBy']}: {found['reason']}"),
        Text(),
        rows_of(table("NODE", "STATUS", "FOR", ""), nodes),
        Text(),
        *(plain(line) for line in waiting(found)),
    )


def waiting(found: dict[str, Any]) -> Iterator[str]:
    """What the wave waits for, by name and number, and how long it has."""
    for pause in found["pauses"]:
        yield (
            f"PAUSED for {duration(pause['seconds'])} by {pause['by']}: {pause['reason']}"
            f" -> {_way_out(found['wave'], pause)}"
        )
    if found["abort"] is not None:
        yield f"ABORT wanted by {found['abort']['by']}: {found['abort']['reason']}"
    if found["status"] in ENDED:
        yield f"It is over: {found['status']}. healthd wave report {found['wave']}"
        return
    if found["gate"]["open"]:
        yield "GATE  open"
    else:
        yield "GATE  closed" if found["gate"]["holds"] else "GATE  not looked at yet"
    holds, rest = first_of(found["gate"]["holds"], "holds")
    for hold in holds:
        yield f"  {duration(hold['seconds']):>6}  {hold['code']} {hold['object']}: {hold['detail']}"
    if rest:
        yield f"          {rest}"
    clean, soak = found["clean"], found["soak"]
    yield (
        f"CLEAN {clean['snapshots']} of {clean['ofSnapshots']} snapshots,"
        f" {duration(clean['seconds'])} of {duration(clean['ofSeconds'])}"
    )
    if any(node["status"] == "soaking" for node in found["nodes"]):
        yield f"SOAK  {duration(soak['seconds'])} of {duration(soak['ofSeconds'])}"


def changes(before: dict[str, Any] | None, now: dict[str, Any]) -> Iterator[str]:
    """What is different between two looks at a wave, a line each; all of it when there is one."""
    at = now["updatedAt"]
    if before is None or before["status"] != now["status"]:
        yield f"{at} wave {now['wave']} {now['status']}"
    seen = {node["node"]: node for node in (before or {"nodes": ()})["nodes"]}
    for node in now["nodes"]:
        former = seen.get(node["node"])
        if former is None or (former["status"], former["detail"]) != (
            node["status"],
            node["detail"],
        ):
            detail = f": {node['detail']}" if node["detail"] else ""
            yield f"{at} node {node['node']} {node['status']}{detail}"
    known = [pause["reason"] for pause in before["pauses"]] if before else []
    for pause in now["pauses"]:
        if pause["reason"] not in known:
            way_out = _way_out(now["wave"], pause)
            yield f"{at} paused by {pause['by']}: {pause['reason']} -> {way_out}"
    if before is None or _gate_key(before) != _gate_key(now):
        yield from _gate_lines(at, now)


def _gate_key(found: dict[str, Any]) -> tuple[bool, frozenset[tuple[str, str]]]:
    # Details count up (clean for 12 of 60 s): only what holds is news.
    holds = frozenset((hold["code"], hold["object"]) for hold in found["gate"]["holds"])
    return found["gate"]["open"], holds


def _gate_lines(at: str, found: dict[str, Any]) -> Iterator[str]:
    if found["status"] in ENDED:
        return
    if found["gate"]["open"]:
        yield f"{at} gate open"
    holds, rest = first_of(found["gate"]["holds"], "holds")
    for hold in holds:
        yield f"{at} gate closed: {hold['code']} {hold['object']}: {hold['detail']}"
    if rest:
        yield f"{at} gate closed: {rest}"


def _progress(found: dict[str, Any]) -> str:
    counts = found["nodeCounts"]
    return f"{counts['done'] + counts['skipped']}/{sum(counts.values())}"


def _remarks(node: dict[str, Any]) -> str:
    remarks = [
        "repair" if node["repair"] else "",
        "overdue" if node["overdue"] else "",
        node["detail"],
    ]
    return ", ".join(remark for remark in remarks if remark)


def _way_out(wave: str, pause: dict[str, Any]) -> str:
    if pause["node"] is None:
        return f"healthd wave resume {wave} --reason ..."
    return f"healthd wave retry|skip {wave} --broker {pause['node']} --reason ..."
