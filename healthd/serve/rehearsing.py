"""Rehearsing a wave on the live snapshots before it is started.

Every cluster of every stage is rehearsed by `healthd rehearse` in a process of its own: it costs
the daemon nothing but memory, it is killed when it takes too long, and it is the very thing that a
person would run. Without faults: what is asked is whether this wave could be done as things are.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from healthd.engine.subprocesses import let_go
from healthd.engine.view import ClusterView, Daemon
from healthd.model.render import render_snapshot
from healthd.model.snapshot import ClusterSnapshot
from healthd.serve.problems import ProblemError
from healthd.waves.ensemble import SECTION
from healthd.waves.policy import policy_document
from healthd.waves.spec import WAVE_KEYS, StageSpec, WaveSpec, parse_wave
from healthd.waves.variable_values import plain_values

REHEARSE: Final = "rehearse"
EVEN_SO: Final = "evenSo"
"""Beside the keys of a wave file, in the request that starts a wave."""
LIMIT_SECONDS: Final = 600.0
"""For all clusters of a wave together."""
_UNTIL_SECONDS: Final = 14 * 86_400
"""A wave may wait for the window of next week; hours in which it only holds cost nothing."""
_REASONS: Final = 5

Rehearse = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
"""From a `kind: Rehearsal` document to its answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """That a wave is to be rehearsed before it is started."""

    even_so: bool = False
    """It is started whatever comes of it."""


def taken_out(document: Mapping[str, Any]) -> tuple[dict[str, Any], Wanted | None]:
    """The wave that a request asks for, and whether it is to be rehearsed first.

    Raises:
        ProblemError: something else than true or false stands there.
    """
    rest = {key: value for key, value in document.items() if key not in {REHEARSE, EVEN_SO}}
    for key in (REHEARSE, EVEN_SO):
        if not isinstance(document.get(key, False), bool):
            raise _invalid(key, "must be true or false")
    if not document.get(REHEARSE, False):
        if document.get(EVEN_SO, False):
            raise _invalid(EVEN_SO, f"says something only beside {REHEARSE}: true")
        return rest, None
    return rest, Wanted(even_so=document.get(EVEN_SO, False))


async def rehearsed(
    document: Mapping[str, Any],
    wanted: Wanted,
    daemon: Daemon,
    *,
    rehearse: Rehearse,
    limit_seconds: float = LIMIT_SECONDS,
) -> dict[str, Any]:
    """What came of rehearsing a wave on every cluster, as it is attached to it.

    Raises:
        ProblemError: it would not succeed, or could not be rehearsed in time; nothing is started.
        OrderRefused: the wave could not be started at all.
    """
    wave = {key: value for key, value in document.items() if key in WAVE_KEYS}
    plan = await daemon.plan_wave(wave)
    spec = parse_wave({"reason": "-", **wave})
    assert isinstance(spec, WaveSpec), "plan_wave refuses what is no wave"
    parts: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(limit_seconds):
            for stage, planned in zip(spec.stages, plan["stages"], strict=True):
                for each in planned["plans"]:
                    view = daemon.clusters()[each["cluster"]]
                    answer = await rehearse(_document(spec, stage, view, each))
                    parts.append(_summary(stage.name, view.config.name, answer))
    except TimeoutError:
        if not wanted.even_so:
            message = f"the rehearsal was not done within {limit_seconds:g} s; nothing was started"
            raise ProblemError(409, "rehearsal-failed", message, rehearsal=parts) from None
    bad = [_sentence(part) for part in parts if not part["isGood"]]
    if bad and not wanted.even_so:
        message = f"rehearsed, and nothing was started: {'; '.join(bad)}"
        raise ProblemError(409, "rehearsal-failed", message, rehearsal=parts)
    return {"evenSo": wanted.even_so, "clusters": parts}


def _document(
    spec: WaveSpec, stage: StageSpec, view: ClusterView, planned: Mapping[str, Any]
) -> dict[str, Any]:
    """The rehearsal of one cluster of one stage, as its file would be."""
    snapshot = view.snapshot
    if snapshot is None:
        message = f"{view.config.name} has not been observed yet: it cannot be rehearsed"
        raise ProblemError(409, "rehearsal-failed", message)
    nodes = [node for step in planned.get("steps", ()) for node in step["brokers"]]
    nodes += [row["broker"] for row in planned.get("blocked", ())]
    policy = spec.policy_over(view.config.wave_policy)
    return {
        "apiVersion": "healthd/v1",
        "kind": "Rehearsal",
        "snapshot": {
            key: value for key, value in render_snapshot(snapshot).items() if key != "extra"
        }
        | _ensemble_of(snapshot),
        "wave": {
            "playbook": spec.playbook_reference,
            "brokers": sorted(nodes),
            "concurrency": "safe" if stage.concurrency is None else stage.concurrency,
            "policy": policy_document(policy),
            "variables": plain_values({**spec.variables, **stage.variables}),
        },
        "model": {"collectSeconds": snapshot.interval_seconds},
        "until": _UNTIL_SECONDS,
    }


def _ensemble_of(snapshot: ClusterSnapshot) -> dict[str, Any]:
    """What a wave over the servers of its ensemble is rehearsed on."""
    found = (snapshot.extra or {}).get(SECTION)
    return {} if found is None else {"extra": {SECTION: found}}


def _summary(stage: str, cluster: str, answer: Mapping[str, Any]) -> dict[str, Any]:
    """What of an answer is kept: all but the events, of which the last reasons to hold."""
    closed = [event for event in answer["events"] if event["event"] == "gate"]
    reasons = closed[-1]["reasons"] if closed and answer["outcome"] != "succeeded" else []
    is_good = answer["outcome"] == "succeeded" and not answer["violations"]
    return {
        "stage": stage,
        "cluster": cluster,
        "isGood": is_good,
        **{key: value for key, value in answer.items() if key != "events"},
        "reasons": reasons,
    }


def _sentence(part: Mapping[str, Any]) -> str:
    named = [f"{row['code']} {row['object']}" for row in part["reasons"][:_REASONS]]
    why = f" ({', '.join(named)})" if named else ""
    words = f"{part['cluster']} would be {part['outcome']}{why}"
    if part["violations"]:
        words += f", with {len(part['violations'])} violations"
    return words


def rehearsal_markdown(found: Mapping[str, Any] | None) -> str:
    """What was rehearsed before a wave was started, as a section of its report; empty without."""
    if found is None:
        return ""
    lines = ["", "## Rehearsed before the start", ""]
    for part in found["clusters"]:
        minutes = part["makespanSeconds"] / 60
        words = (
            f"{_sentence(part)} after {minutes:.0f} min"
            if not part["isGood"]
            else (
                f"{part['cluster']} would be done after {minutes:.0f} min,"
                f" {part['maxInFlight']} in flight at most"
            )
        )
        lines.append(f"- {words}")
    if found["evenSo"]:
        lines.append("- It was started whatever came of that.")
    return "\n".join(lines) + "\n"


def in_a_process(arguments: Sequence[str] = ()) -> Rehearse:
    """Rehearsing by `healthd rehearse` in a process of its own, which a cancellation kills.

    Args:
        arguments: what the command gets beside its file, such as the folder of playbooks.
    """

    async def rehearse(document: Mapping[str, Any]) -> Mapping[str, Any]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "healthd",
            "rehearse",
            "-",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            output, _ = await process.communicate(json.dumps(document).encode())
        finally:
            try:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            finally:
                let_go(process)
        answer: dict[str, Any] = json.loads(output) if output else {}
        if process.returncode or "outcome" not in answer:
            detail = answer.get("error") or f"exit code {process.returncode}"
            message = f"the wave could not be rehearsed: {detail}; nothing was started"
            raise ProblemError(409, "rehearsal-failed", message)
        return answer

    return rehearse


def _invalid(key: str, message: str) -> ProblemError:
    problems = [{"path": key, "message": message}]
    return ProblemError(422, "invalid-request", f"{key}: {message}", problems=problems)
