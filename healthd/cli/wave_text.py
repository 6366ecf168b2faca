"""A wave as lines and tables for a person; `wave_text` reads the API's JSON and nothing else."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from rich.console import Console, Group
from rich.text import Text

from healthd.cli.fleet_text import (
    changed_status,
    fleet_changes,
    fleet_view,
    is_fleet,
    place_of,
    progress,
    status_of,
)
from healthd.cli.shown_holds import shown_holds
from healthd.cli.terminal import LINES_SHOWN, duration, plain, rows_of, table, word

_QUIET: Final = frozenset({"pending", "done", "skipped"})
_PHASES: Final = {
    "waiting": "waits",
    "running": "runs",
    "observing": "is being looked for",
    "verifying": "is being verified",
    "asking": "asks a person",
}
"""How far a step is, as one says it."""
ENDED: Final = frozenset({"succeeded", "failed", "aborted"})


def print_waves(out: Console, waves: list[dict[str, Any]]) -> None:
    """One row a wave."""
    if not waves:
        out.print("No wave runs, and none has ended in the last 24 hours.")
        return
    rows = [
        (
            wave["wave"],
            status_of(wave),
            place_of(wave),
            wave["playbook"],
            progress(wave, ""),
            wave["requestedBy"],
            wave["createdAt"],
            wave["reason"],
        )
        for wave in waves
    ]
    columns = ("WAVE", "STATUS", "CLUSTER", "PLAYBOOK", "DONE", "BY", "CREATED", "REASON")
    out.print(rows_of(table(*columns), rows))


def wave_view(found: dict[str, Any]) -> Group:
    """One wave: where it stands, every node since when, and what it waits for."""
    if is_fleet(found):
        return fleet_view(found)
    shown, rest = _nodes_to_show(found["nodes"])
    nodes = [
        (
            node["node"],
            word(node["status"]),
            "-" if node["status"] == "pending" else duration(node["seconds"]),
            _remarks(node),
        )
        for node in shown
    ]
    return Group(
        Text.assemble(
            (found["wave"], "bold"),
            "  ",
            status_of(found),
            f"  {progress(found)} on {found['cluster']} with {found['playbook']}",
        ),
        plain(f"{found['requestedBy']}: {found['reason']}"),
        Text(),
        rows_of(table("NODE", "STATUS", "FOR", ""), nodes),
        *([plain(rest)] if rest else []),
        Text(),
        *(plain(line) for line in waiting(found)),
    )


def _nodes_to_show(nodes: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str]:
    """All nodes of a small wave; of a large one those that are on their way or in trouble."""
    if len(nodes) <= LINES_SHOWN:
        return nodes, ""
    loud = [each for each in nodes if each["status"] not in _QUIET or each["overdue"]]
    shown = loud[:LINES_SHOWN]
    hidden = Counter(each["status"] for each in nodes)
    hidden.subtract(each["status"] for each in shown)
    counts = ", ".join(f"{number} {status}" for status, number in hidden.items() if number)
    return shown, f"and {counts}; -o json has all"


def waiting(found: dict[str, Any]) -> Iterator[str]:
    """What the wave waits for, by name and number, and how long it has."""
    for pause in found["pauses"]:
        yield (
            f"PAUSED for {duration(pause['seconds'])} by {pause['by']}: {pause['reason']}"
            f" -> {_way_out(found['wave'], pause)}"
        )
    for node in found["nodes"]:
        question = (node.get("step") or {}).get("question")
        if question is not None:
            yield (
                f"ASKED for {duration(node['step']['seconds'])}, node {node['node']}: {question}"
                f" -> healthd wave confirm {found['wave']} --broker {node['node']} --reason ..."
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
    yield from hold_lines(found["gate"]["holds"])
    for override in found["overrides"]:
        yield (
            f"OVERRIDDEN {override['code']} {override['object']} by {override['by']} for"
            f" {duration(override['secondsLeft'])} more, until {override['until']}:"
            f" {override['reason']}"
        )
    clean, soak = found["clean"], found["soak"]
    yield (
        f"CLEAN {clean['snapshots']} of {clean['ofSnapshots']} snapshots,"
        f" {duration(clean['seconds'])} of {duration(clean['ofSeconds'])}"
    )
    if any(node["status"] == "soaking" for node in found["nodes"]):
        yield f"SOAK  {duration(soak['seconds'])} of {duration(soak['ofSeconds'])}"


def changes(before: dict[str, Any] | None, now: dict[str, Any]) -> Iterator[str]:
    """What is different between two looks at a wave, a line each; all of it when there is one."""
    if is_fleet(now):
        yield from fleet_changes(before, now)
        return
    at = now["updatedAt"]
    if before is None or before["status"] != now["status"]:
        yield changed_status(at, now)
    seen = {node["node"]: node for node in (before or {"nodes": ()})["nodes"]}
    for node in now["nodes"]:
        former = seen.get(node["node"])
        if former is None or _node_key(former) != _node_key(node):
            said = ", ".join(text for text in (step_text(node), _detail(node)) if text)
            detail = f": {said}" if said else ""
            yield f"{at} node {node['node']} {node['status']}{detail}"
        yield from _printed_since(former or {}, node)
    yield from _override_lines(at, before, now)
    known = [pause["reason"] for pause in before["pauses"]] if before else []
    for pause in now["pauses"]:
        if pause["reason"] not in known:
            way_out = _way_out(now["wave"], pause)
            yield f"{at} paused by {pause['by']}: {pause['reason']} -> {way_out}"
    if before is None or _gate_key(before) != _gate_key(now):
        yield from _gate_lines(at, now)


def _printed_since(former: dict[str, Any], node: dict[str, Any]) -> Iterator[str]:
    """What the command of a node's step has printed since the last look, as far as it is kept."""
    step, before = node.get("step") or {}, former.get("step") or {}
    printed, known = step.get("printedLines", 0), before.get("printedLines", 0)
    is_same = all(step.get(key) == before.get(key) for key in ("number", "failedTries"))
    # A step that is tried again, or asked after by a new daemon, begins to count anew.
    new = printed - known if is_same and known <= printed else printed
    if new > 0:
        lines = step["said"][-new:]
        if new > len(lines):
            yield f"  node {node['node']} | [... {new - len(lines)} lines ...]"
        for line in lines:
            yield f"  node {node['node']} | {line}"


def _node_key(node: dict[str, Any]) -> tuple[Any, ...]:
    step = node.get("step") or {}
    return node["status"], node["detail"], step.get("number"), step.get("phase")


def _override_lines(at: str, before: dict[str, Any] | None, now: dict[str, Any]) -> Iterator[str]:
    former = {(each["code"], each["object"]): each for each in (before or {}).get("overrides", ())}
    current = {(each["code"], each["object"]): each for each in now["overrides"]}
    for key, each in current.items():
        if key not in former or former[key]["until"] != each["until"]:
            yield (
                f"{at} {each['code']} {each['object']} overridden by {each['by']}"
                f" until {each['until']}: {each['reason']}"
            )
    for key, each in former.items():
        if key not in current:
            yield f"{at} {each['code']} {each['object']} no longer overridden by {each['by']}"


def hold_lines(holds: list[dict[str, Any]]) -> Iterator[str]:
    """Every reason for which the gate is closed, and how far each is from opening."""
    for code, shown, rest in shown_holds(holds):
        counts = len({_outlook(hold) for hold in shown}) == 1
        for hold in shown:
            yield f"  {duration(hold['seconds']):>6}  {code} {hold['object']}: {hold['detail']}"
            if not counts and _outlook(hold):
                yield f"          -> {_outlook(hold)}"
        if rest:
            yield f"          and {rest} more {code}; -o json has all"
        if counts and _outlook(shown[0]):
            yield f"          -> {_outlook(shown[0])}"


def _outlook(hold: dict[str, Any]) -> str:
    found = hold.get("outlook")
    return "" if found is None else str(found["text"])


def _gate_key(found: dict[str, Any]) -> tuple[bool, frozenset[tuple[str, str]]]:
    # Details count up (clean for 12 of 60 s): only what holds is news.
    holds = frozenset((hold["code"], hold["object"]) for hold in found["gate"]["holds"])
    return found["gate"]["open"], holds


def _gate_lines(at: str, found: dict[str, Any]) -> Iterator[str]:
    if found["status"] in ENDED:
        return
    if found["gate"]["open"]:
        yield f"{at} gate open"
    for code, holds, rest in shown_holds(found["gate"]["holds"]):
        for hold in holds:
            yield f"{at} gate closed: {code} {hold['object']}: {hold['detail']}"
        if rest:
            yield f"{at} gate closed: and {rest} more {code}"
        # What the clock alone says is in the detail already.
        measured = [hold for hold in holds if (hold.get("outlook") or {}).get("perSecond")]
        is_shared = len(set(map(_outlook, measured))) == 1 < len(measured)
        for hold in measured[:1] if is_shared else measured:
            subject = "" if is_shared else f" {hold['object']}"
            yield f"{at} gate closed: {code}{subject}: {_outlook(hold)}"


def _remarks(node: dict[str, Any]) -> str:
    remarks = [
        "repair" if node["repair"] else "",
        "overdue" if node["overdue"] else "",
        step_text(node),
        _detail(node),
    ]
    return ", ".join(remark for remark in remarks if remark)


def _detail(node: dict[str, Any]) -> str:
    """What was last said of a node, unless a step has begun since then: that is news, this not."""
    step = node.get("step")
    is_old = step is not None and step["seconds"] < node["seconds"]
    return "" if is_old else str(node["detail"])


def step_text(node: dict[str, Any]) -> str:
    """The step of its playbook that a node is at, in words; empty when it is at none."""
    step = node.get("step")
    if step is None:
        return ""
    phase = _PHASES.get(step["phase"], step["phase"])
    words = f"step {step['number']} of {step['of']} '{step['name']}' {phase}"
    words += f" for {duration(step['seconds'])}"
    return f"{words}: {step['said'][-1]}" if step["said"] else words


def _way_out(wave: str, pause: dict[str, Any]) -> str:
    if pause["node"] is None:
        return f"healthd wave resume {wave} --reason ..."
    return f"healthd wave retry|skip {wave} --broker {pause['node']} --reason ..."


def rehearsal_line(row: dict[str, Any]) -> str:
    """What came of one cluster's rehearsal, in a line."""
    minutes = row["makespanSeconds"] / 60
    words = f"{row['cluster']}: {row['outcome']} after {minutes:.0f} min"
    named = [f"{found['code']} {found['object']}" for found in row["reasons"][:3]]
    return plain(words + (f" ({', '.join(named)})" if named else "")).plain
