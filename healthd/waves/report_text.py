"""The report of a wave as a page that one can read."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from healthd.waves.naming import NODE_WORDS
from healthd.waves.playbook import PlaybookTarget

Report = Mapping[str, Any]

_PHASES: Final = ("stopping", "starting", "recovering", "soaking")
_MOST_HOLDS: Final = 200
"""So many holds are listed; the sums by reason have all of them."""
_DASH: Final = "-"
_FRACTION: Final = re.compile(r"\.\d+(?=Z$)")


def report_markdown(report: Report) -> str:
    """The report as Markdown."""
    sections = (
        _head(report),
        _summary(report),
        _plan(report),
        _brokers(report),
        _playbook_steps(report),
        _holds(report),
        _people(report),
        _replication(report),
        _dora(report),
        _timeline(report),
        _logs(report),
    )
    return "\n".join(line for section in sections for line in section) + "\n"


def _head(report: Report) -> list[str]:
    what = "Dry run" if report["dryRun"] else "Wave"
    return [f"# {what} {report['wave']}: {report['status']}", ""]


def _summary(report: Report) -> list[str]:
    nodes = report["brokers"]
    done = sum(node["status"] == "done" for node in nodes)
    concurrency = report["concurrency"]
    together = "as many together as is safe" if concurrency == "safe" else f"{concurrency} together"
    requested = f", requested {moment(report['requestedAt'])}" if report["requestedAt"] else ""
    return [
        (
            f"- **What**: {report['playbook']} on cluster {report['cluster']}, "
            f"{done} of {len(nodes)} {_word(report)}s done, {together}"
        ),
        f"- **Who**: {report['requestedBy']}",
        f"- **Why**: {_flat(report['reason'])}",
        (
            f"- **When**: {moment(report['startedAt'])} to {moment(report['endedAt'])}, "
            f"{duration(report['seconds'])}{requested}"
        ),
        f"- **Health Index**: {_indices(report['healthIndex'])}",
        f"- **Order**: {', '.join(map(str, report['order'])) or 'none was taken'}",
        "",
    ]


def _plan(report: Report) -> list[str]:
    plan, happened = report["plan"], report["happened"]
    if plan is None:
        return []
    steps = plan["steps"]
    measured = plan["measuredRestarts"]
    source = f"from {measured} measured restarts" if measured else "from a model"
    lines = [
        "## Plan and what happened",
        "",
        "| | planned | happened |",
        "|---|---|---|",
        (
            f"| duration | {duration(plan['estimatedSeconds'])} ({source}) "
            f"| {duration(happened['seconds'])} |"
        ),
        f"| order | {cell(_steps(steps))} | {cell(', '.join(map(str, report['order'])))} |",
        f"| most together | {max(map(len, steps), default=0)} | {happened['mostInFlight']} |",
        f"| blocked | {', '.join(map(str, plan['blocked'])) or 'none'} | |",
        "",
    ]
    return [*lines, *_bullets(happened["differences"])]


def _steps(steps: Sequence[Sequence[int]]) -> str:
    return ", ".join(
        str(step[0]) if len(step) == 1 else f"({' '.join(map(str, step))})" for step in steps
    )


def _brokers(report: Report) -> list[str]:
    word = _word(report)
    return [
        f"## {word[0].upper()}{word[1:]}s",
        "",
        f"| {word} | status | stopping s | starting s | recovering s | soaking s | remark |",
        "|---|---|---|---|---|---|---|",
        *(_row(broker) for broker in report["brokers"]),
        "",
    ]


def _row(broker: Report) -> str:
    phases = broker["phaseSeconds"]
    cells = [str(broker["broker"]), broker["status"]]
    cells += [f"{phases[phase]:g}" if phase in phases else _DASH for phase in _PHASES]
    remark = ("repair; " if broker["repair"] else "") + cell(broker["detail"])
    return f"| {' | '.join([*cells, remark])} |"


def _playbook_steps(report: Report) -> list[str]:
    """The steps of the playbook, broker by broker; nothing for a mere restart."""
    rows = [
        f"| {broker['broker']} | {cell(step['step'])} | {step['outcome']} "
        f"| {duration(step['seconds'])} | {cell(_last_line(step['said']))} |"
        for broker in report["brokers"]
        for step in broker.get("steps", ())
    ]
    if not rows:
        return []
    head = ["## Steps", "", "| broker | step | outcome | took | it said |", "|---|---|---|---|---|"]
    return [*head, *rows, ""]


def _last_line(text: str) -> str:
    return next(reversed(text.splitlines()), "")


def _holds(report: Report) -> list[str]:
    holds = report["holds"]
    if not holds:
        return ["## Holds", "", "It was never held.", ""]
    sums = sorted(report["closedSeconds"].items(), key=lambda item: -item[1])
    more = len(holds) - _MOST_HOLDS
    return [
        "## Holds",
        "",
        "| reason | held for |",
        "|---|---|",
        *(f"| {code} | {duration(seconds)} |" for code, seconds in sums),
        "",
        "| reason | object | since | until | detail |",
        "|---|---|---|---|---|",
        *(_hold(hold) for hold in holds[:_MOST_HOLDS]),
        *([f"| ... | {more} more | | | |"] if more > 0 else []),
        "",
    ]


def _hold(hold: Report) -> str:
    since, until = moment(hold["since"]), moment(hold["until"])
    cells = [hold["code"], hold["object"], since, until, hold["detail"]]
    return f"| {' | '.join(map(cell, cells))} |"


def _people(report: Report) -> list[str]:
    if not report["people"]:
        return []
    return [
        "## What people did",
        "",
        f"| when | who | what | {_word(report)} | why |",
        "|---|---|---|---|---|",
        *(
            f"| {moment(each['at'])} | {cell(each['by'])} | {each['what'].replace('_', ' ')} "
            f"| {_DASH if each['broker'] is None else each['broker']} | {cell(each['why'])} |"
            for each in report["people"]
        ),
        "",
    ]


def _replication(report: Report) -> list[str]:
    found, word = report["replication"], _word(report)
    went = found["wentUnderMinIsr"]
    under = "none" if not went else f"{went}, for {found['underMinIsrPartitionSeconds']:g} s in all"
    if went:
        under += f": {_named(found['underMinIsrPartitions'], went)}"
    if found["acknowledged"]:
        under += f"; acknowledged by the policy: {', '.join(found['acknowledged'])}"
    return [
        "## What it cost the cluster",
        "",
        f"- **Partitions under min ISR by its doing**: {under}",
        (
            "- **Under-replicated by its doing**: "
            f"{found['underReplicatedPartitionSeconds']:g} partition-seconds, "
            f"{found['mostUnderReplicated']} partitions at most"
        ),
        (
            f"- **How it is known**: {found['snapshots']} snapshots while a {word} was in flight, "
            f"at most {found['longestGapSeconds']:g} s apart"
        ),
        "",
    ]


def _named(labels: Sequence[str], count: int) -> str:
    more = count - len(labels)
    return ", ".join(labels) + (f" and {more} more" if more > 0 else "")


def _dora(report: Report) -> list[str]:
    found = report["dora"]
    if found is None:
        return []
    lead, restore = found["leadTimeSeconds"], found["timeToRestoreSeconds"]
    fleet = found["fleet"]
    rate = fleet["changeFailureRate"]
    return [
        "## DORA",
        "",
        f"| | this wave | the fleet, last {fleet['days']} days |",
        "|---|---|---|",
        f"| deployments | 1 | {fleet['deployments']}, {fleet['deploymentsPerDay']:g} a day |",
        f"| lead time | {_or_dash(lead)} | {_or_dash(fleet['leadTimeSeconds'])} (median) |",
        f"| change failure rate | {_DASH} | {_DASH if rate is None else f'{rate:.1%}'} |",
        (
            f"| time to restore | {', '.join(map(duration, restore)) or 'no trouble'} "
            f"| {_or_dash(fleet['timeToRestoreSeconds'])} (median) |"
        ),
        "",
    ]


def _or_dash(seconds: float | None) -> str:
    return _DASH if seconds is None else duration(seconds)


def _timeline(report: Report) -> list[str]:
    word = _word(report)
    lines = markdown_timeline(report["timeline"], word)
    if report["commands"]:
        told = [_sentence(command, word) for command in report["commands"]]
        lines += ["", "## What would have been done", "", *told]
    return lines


def markdown_timeline(entries: Iterable[Report], word: str = "broker") -> list[str]:
    """The story of a wave, line by line."""
    return ["## Timeline", "", *(_sentence(entry, word) for entry in entries)]


def _word(report: Report) -> str:
    """What the nodes of the wave are called."""
    return NODE_WORDS[PlaybookTarget(report.get("target", PlaybookTarget.BROKER))]


def _logs(report: Report) -> Iterable[str]:
    for broker in report["brokers"]:
        if broker["logs"]:
            yield from ("", f"## Last log lines of {_word(report)} {broker['broker']}", "", "```")
            yield from (*broker["logs"], "```")


def _indices(index: Mapping[str, float | None]) -> str:
    return ", ".join(
        f"{word} {_DASH if index[word] is None else format(index[word], '.1f')}"
        for word in ("before", "lowest", "after")
    )


def _bullets(lines: Sequence[str]) -> list[str]:
    return [*(f"- {line}" for line in lines), ""] if lines else []


def _sentence(entry: Report, word: str) -> str:
    who = "" if entry["node"] is None else f" {word} {entry['node']}"
    event = entry["event"].replace("_", " ")
    detail = f": {_flat(entry['detail'])}" if entry["detail"] else ""
    return f"- {moment(entry['at'])}{who} {event}{detail}"


def moment(at: str | None) -> str:
    """A moment to the second, which is enough to read; now, when it has not come."""
    return "now" if at is None else _FRACTION.sub("", at)


def _flat(text: str) -> str:
    return " ".join(text.split())


def cell(text: str) -> str:
    """A text in one cell of a table."""
    return _flat(text).replace("|", "\\|")


def duration(seconds: float) -> str:
    """A time as a person says it: ``42.5 s``, ``12 min 5 s``, ``3 h 20 min``."""
    if seconds < 60:  # noqa: PLR2004  # A minute.
        return f"{seconds:g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:  # noqa: PLR2004  # An hour.
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"
