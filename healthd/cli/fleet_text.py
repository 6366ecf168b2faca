"""A wave over several stages or clusters as lines and tables; it reads the API's JSON only."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from rich.console import Group
from rich.text import Text

from healthd.cli.shown_holds import new_holds, shown_holds
from healthd.cli.terminal import duration, plain, rows_of, table, word

KIND: Final = "fleet"
ENDED: Final = frozenset({"succeeded", "failed", "aborted"})


def is_fleet(found: dict[str, Any]) -> bool:
    """Whether the JSON is that of such a wave."""
    return found.get("kind") == KIND


def place_of(wave: dict[str, Any]) -> str:
    """The cluster of a wave, or how many it has."""
    if not is_fleet(wave):
        return str(wave["cluster"])
    count = len(wave["clusters"])
    return str(wave["clusters"][0]) if count == 1 else f"{count} clusters"


def status_of(wave: dict[str, Any]) -> Text:
    """Where a wave stands; a dry run is never taken for a wave."""
    status = word(wave["status"])
    return Text.assemble(("dry run, ", "bold"), status) if wave.get("dryRun") else status


def changed_status(at: str, wave: dict[str, Any]) -> str:
    """The line that tells that a wave, or a dry run, is in another status now."""
    what = "dry run" if wave.get("dryRun") else "wave"
    return f"{at} {what} {wave['wave']} {wave['status']}"


def fleet_view(found: dict[str, Any]) -> Group:
    """Where it stands: every stage, every cluster, and what it waits for."""
    rows = [
        (stage["name"], cluster["cluster"], word(cluster["status"]), progress(cluster, ""),
         ", ".join(map(str, cluster["inFlight"])) or "-", _remark(cluster))
        for stage in found["stages"]
        for cluster in stage["clusters"]
    ]  # fmt: skip
    return Group(
        Text.assemble(
            (found["wave"], "bold"),
            "  ",
            status_of(found),
            f"  {progress(found)} on {place_of(found)} with {found['playbook']}",
        ),
        plain(f"{found['requestedBy']}: {found['reason']}"),
        Text(),
        *(plain(line) for line in _stages(found)),
        Text(),
        rows_of(table("STAGE", "CLUSTER", "STATUS", "DONE", "IN FLIGHT", ""), rows),
        Text(),
        *(plain(line) for line in fleet_waiting(found)),
    )


def _stages(found: dict[str, Any]) -> Iterator[str]:
    for stage in found["stages"]:
        text = f"STAGE {stage['name']}: {stage['status']}"
        if stage["approved"] is not None:
            text += f", approved by {stage['approved']['by']}: {stage['approved']['reason']}"
        elif stage["approval"] is not None:
            text += f", approval: {stage['approval']}"
        if stage["status"] == "soaking":
            soak = stage["soak"]
            text += f", {duration(soak['seconds'])} of {duration(soak['ofSeconds'])} of clean time"
        left_out = stage.get("leftOut") or {"approval": None, "soakSeconds": 0}
        if left_out["approval"] is not None:
            text += f", would have asked for approval: {left_out['approval']}"
        if left_out["soakSeconds"]:
            text += f", would have soaked for {duration(left_out['soakSeconds'])}"
        yield text


def fleet_waiting(found: dict[str, Any]) -> Iterator[str]:
    """What the wave waits for, and the way out."""
    name = found["wave"]
    if found["trouble"]:
        yield f"NOT DRIVEN: {found['trouble']}"
    for pause in found["pauses"]:
        yield (
            f"PAUSED for {duration(pause['seconds'])} by {pause['by']}: {pause['reason']}"
            f" -> healthd wave resume {name} --reason ..."
        )
    if found["abort"] is not None:
        yield f"ABORT wanted by {found['abort']['by']}: {found['abort']['reason']}"
    if found["status"] in ENDED:
        yield f"It is over: {found['status']}. healthd wave report {name}"
        return
    if found["awaits"]:
        yield (
            f"APPROVAL of stage {found['awaits']} is missing"
            f" -> healthd wave approve {name} --stage {found['awaits']} --reason ..."
        )
    for code, holds, rest in shown_holds(found["gate"]["holds"]):
        for hold in holds:
            yield f"  {duration(hold['seconds']):>6}  {code} {hold['object']}: {hold['detail']}"
        if rest:
            yield f"          and {rest} more {code}; -o json has all"


def fleet_changes(before: dict[str, Any] | None, now: dict[str, Any]) -> Iterator[str]:
    """What is different between two looks, a line each; all of it when there is one."""
    at = now["updatedAt"]
    if before is None or before["status"] != now["status"]:
        yield changed_status(at, now)
    former = _clusters(before)
    for stage in now["stages"]:
        was = next((s for s in (before or {"stages": ()})["stages"]
                    if s["name"] == stage["name"]), None)  # fmt: skip
        if was is None or was["status"] != stage["status"]:
            yield f"{at} stage {stage['name']} {stage['status']}"
        if stage["approved"] and (was is None or not was["approved"]):
            approved = stage["approved"]
            yield f"{at} stage {stage['name']} approved by {approved['by']}: {approved['reason']}"
        for cluster in stage["clusters"]:
            yield from _cluster_changes(at, stage["name"], former.get(cluster["wave"]), cluster)
    known = [pause["reason"] for pause in before["pauses"]] if before else []
    for pause in now["pauses"]:
        if pause["reason"] not in known:
            yield f"{at} paused by {pause['by']}: {pause['reason']}"
    yield from _new_holds(at, before["gate"]["holds"] if before else (), now["gate"]["holds"])


def _clusters(found: dict[str, Any] | None) -> dict[str, dict[str, Any]]:
    stages = () if found is None else found["stages"]
    return {cluster["wave"]: cluster for stage in stages for cluster in stage["clusters"]}


def _cluster_changes(
    at: str, stage: str, before: dict[str, Any] | None, now: dict[str, Any]
) -> Iterator[str]:
    what = f"{at} cluster {now['cluster']}"
    if before is None or before["status"] != now["status"]:
        yield f"{what} {now['status']} (stage {stage}, wave {now['wave']})"
    if before is None or before["inFlight"] != now["inFlight"]:
        in_flight = ", ".join(map(str, now["inFlight"]))
        if in_flight:
            yield f"{what} in flight: {in_flight}, {progress(now)}"
    yield from _new_holds(what, before["holds"] if before else (), now["holds"])


def _new_holds(
    what: str, before: Iterable[dict[str, Any]], now: Iterable[dict[str, Any]]
) -> Iterator[str]:
    for code, holds, rest in new_holds(before, now):
        for hold in holds:
            yield f"{what} held: {code} {hold['object']}: {hold['detail']}"
        if rest:
            yield f"{what} held: and {rest} more {code}"


def _remark(cluster: dict[str, Any]) -> str:
    if cluster["failed"]:
        return f"failed: {', '.join(map(str, cluster['failed']))}"
    if cluster["pauses"]:
        return str(cluster["pauses"][-1])
    if cluster["holds"]:
        first = cluster["holds"][0]
        return f"{first['code']} {first['object']}"
    return ""


def progress(found: dict[str, Any], word: str = " done") -> str:
    """How many nodes are done, and how many never will be: `2/4 done, 1 failed, 1 skipped`."""
    counts = found["nodeCounts"]
    others = (f", {counts[status]} {status}" for status in ("failed", "skipped") if counts[status])
    return f"{counts['done']}/{sum(counts.values())}{word}{''.join(others)}"


def scheduled_lines(scheduled: list[dict[str, Any]]) -> Iterator[str]:
    """When each recurring wave is due next, and why it was not started the last time."""
    for wave in scheduled:
        due = wave["nextRun"] or "never"
        line = f"{wave['name']} recurs: next {due} ({wave['cron']}, {wave['timezone']})"
        last = wave["last"]
        if last is not None and last["refused"]:
            line += f"; not started at {last['at']}: {last['refused']}"
        yield plain(line).plain
