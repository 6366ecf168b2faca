"""Every file under tests/rehearsals does what its header says.

`# expect:` says it in words, `# check:` in what can be checked (one key a line, as YAML):

- outcome, order, down, maxInFlight: as in the answer; `begins`: the order begins so;
- restarts: by node, or `once` for one each; blocked: the ids;
- waves: the wave's states; states: those of a broker; ends: the last one of a broker;
- holds: `CODE object` that closed the gate at some time (`*` for any object);
- codes: all codes that ever closed it; apart: nodes that were never in flight together;
- makespan, first (the time of the first stop): `above` and `below`;
- caused: partition-seconds under min ISR and offline; none unless it is said.

Whatever is said, nothing may be violated, and every fault with a time must have struck.
"""

import io
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from healthd.rehearsal.faults import FaultKind
from healthd.rehearsal.files import read_rehearsal
from healthd.rehearsal.running import rehearse

FOLDER = Path(__file__).parents[2] / "rehearsals"
FILES = sorted(FOLDER.glob("*.yaml"))
_IN_FLIGHT = {"stopping", "stopped", "starting", "recovering", "soaking"}


def checks_of(path: Path) -> dict[str, Any]:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# expect: "), f"{path.name} says nothing of what it expects"
    rows = [line.removeprefix("# check: ") for line in lines if line.startswith("# check: ")]
    checks: dict[str, Any] = YAML(typ="safe").load("\n".join(rows))
    return checks


@cache
def answer_of(path: Path) -> dict[str, Any]:
    rehearsal = read_rehearsal(path.read_bytes(), str(path))
    return json.loads(json.dumps(rehearse(rehearsal).as_json()))  # type: ignore[no-any-return]


def states_of(answer: dict[str, Any], broker: int) -> list[str]:
    return [
        event["state"]
        for event in answer["events"]
        if event["event"] == "broker" and event["broker"] == broker
    ]


def closed_by(answer: dict[str, Any]) -> set[tuple[str, str]]:
    return {
        (reason["code"], reason["object"])
        for event in answer["events"]
        for reason in event["reasons"]
    }


def together(answer: dict[str, Any]) -> list[set[int]]:
    """The sets of nodes that were in flight at one time."""
    now: set[int] = set()
    seen = []
    for event in answer["events"]:
        if event["event"] == "broker":
            now = (
                now | {event["broker"]} if event["state"] in _IN_FLIGHT else now - {event["broker"]}
            )
            seen.append(now)
    return seen


def is_within(value: float, limits: dict[str, float]) -> bool:
    return limits.get("above", -1) < value < limits.get("below", float("inf"))


def in_words(checks: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """What the answer says under the keys of the checks."""
    starts = answer["restarts"]
    is_once = checks.get("restarts") == "once" and set(starts.values()) == {1}
    return {
        **answer,
        "begins": answer["order"][: len(checks.get("begins", ()))],
        "restarts": "once" if is_once else {int(node): count for node, count in starts.items()},
        "blocked": [row["broker"] for row in answer["blocked"]],
        "waves": [event["state"] for event in answer["events"] if event["event"] == "wave"],
        "states": {node: states_of(answer, node) for node in checks.get("states", ())},
        "ends": {node: (states_of(answer, node) or [""])[-1] for node in checks.get("ends", ())},
        "codes": sorted({code for code, _ in closed_by(answer)}),
        "caused": [
            answer["causedUnderMinIsrPartitionSeconds"],
            answer["causedOfflinePartitionSeconds"],
        ],
        "first": next((e["t"] for e in answer["events"] if e["state"] == "stopping"), -1),
        "makespan": answer["makespanSeconds"],
    }


def differences(checks: dict[str, Any], answer: dict[str, Any]) -> list[str]:
    """What is not as it was expected."""
    found = in_words(checks, answer)
    held = closed_by(answer)
    shown = {f"{code} {what}" for code, what in held} | {f"{code} *" for code, _ in held}
    bad = [f"violation {row}" for row in answer["violations"]]
    for key, wanted in {"caused": [0, 0], **checks}.items():
        match key:
            case "holds":
                bad += [f"{hold} never closed the gate" for hold in wanted if hold not in shown]
            case "apart":
                bad += [f"{ids} together" for ids in together(answer) if set(wanted) <= ids]
            case "makespan" | "first":
                is_right = is_within(found[key], wanted)
                bad += [] if is_right else [f"{key}: {found[key]}, expected {wanted}"]
            case "codes":
                is_right = found[key] == sorted(wanted)
                bad += [] if is_right else [f"{key}: {found[key]}, expected {wanted}"]
            case _ if found[key] != wanted:
                bad.append(f"{key}: {found[key]}, expected {wanted}")
    return bad


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in FILES])
def test_a_rehearsal_does_what_its_header_says(path: Path) -> None:
    answer = answer_of(path)
    assert not differences(checks_of(path), answer)
    began = [e["fault"] for e in answer["events"] if e["event"] == "fault"]
    rehearsal = read_rehearsal(path.read_bytes(), str(path))
    assert {fault.kind.value for fault in rehearsal.faults} <= set(began)


def test_every_fault_is_rehearsed() -> None:
    rehearsed = {
        fault.kind
        for path in FILES
        for fault in read_rehearsal(path.read_bytes(), str(path)).faults
    }
    assert rehearsed == set(FaultKind)


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in FILES])
def test_the_events_of_a_rehearsal_tell_a_story_that_holds_together(path: Path) -> None:
    answer = answer_of(path)
    times = [event["t"] for event in answer["events"]]
    assert times == sorted(times)
    gate = None
    for event in answer["events"]:
        if event["event"] == "gate":
            key = (event["state"], {(r["code"], r["object"]) for r in event["reasons"]})
            assert key != gate, "the same was told twice"
            assert (event["state"] == "open") == (not event["reasons"])
            gate = key
        if event["event"] == "broker" and event["state"] == "stopping":
            assert gate == ("open", set()), f"a broker is taken at {event['t']} while {gate}"
    assert len(answer["order"]) == len(set(answer["order"]))


def test_two_processes_give_the_same_bytes() -> None:
    chosen = [path for path in FILES if "-" in path.stem][::14]
    outputs = [rehearsed_with_hash_seed(seed, chosen) for seed in ("1", "2")]
    assert outputs[0] == outputs[1]
    assert len(outputs[0].splitlines()) == len(chosen)


def rehearsed_with_hash_seed(seed: str, paths: list[Path]) -> bytes:
    ran = subprocess.run(
        [sys.executable, "-m", "healthd", "rehearse", *map(str, paths)],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        check=True,
        timeout=240,
    )
    return ran.stdout


def test_a_file_that_says_the_same_in_json_gives_the_same_answer(tmp_path: Path) -> None:
    path = FOLDER / "broker-crash-outside.yaml"
    document = YAML(typ="safe").load(io.StringIO(path.read_text(encoding="utf-8")))
    document["snapshot"] = json.loads((FOLDER / document["snapshot"]).read_text(encoding="utf-8"))
    copy = tmp_path / "copy.json"
    copy.write_text(json.dumps(document), encoding="utf-8")
    rehearsal = read_rehearsal(copy.read_bytes(), str(copy))
    assert json.loads(json.dumps(rehearse(rehearsal).as_json())) == answer_of(path)
