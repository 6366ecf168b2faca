"""The answers of `healthd ok-to-stop` and of the gate beside those of the oracle."""

import json
from dataclasses import replace
from typing import Any

from click.testing import CliRunner
from support.gate_oracle import Wave, holds
from support.safety_cases import Case
from support.safety_oracle import answer
from support.safety_reading import Asked, Found, Row

from healthd.cli.ok_to_stop import ok_to_stop_command
from healthd.cli.snapshot_input import read_snapshot
from healthd.model.snapshot import ClusterSnapshot, Topics
from healthd.safety import gate
from healthd.safety.acknowledgements import Acknowledgements


def options(brokers: tuple[int, ...] | None, asked: Asked) -> list[str]:
    """The words of the command line behind its FILEs."""
    words = ["--output", "json", "--margin", str(asked.margin)]
    if brokers is not None:
        words += ["--brokers", ",".join(map(str, brokers))]
    for pattern in asked.allow_rf_one:
        words += ["--allow-rf-one", pattern]
    for pattern in asked.allow_rf_le_min_isr:
        words += ["--allow-rf-le-min-isr", pattern]
    if asked.allow_quorum_without_spare:
        words += ["--allow-quorum-without-spare"]
    if asked.assume_min_isr is not None:
        words += ["--assume-min-isr", str(asked.assume_min_isr)]
    return words


def healthd_says(data: bytes, brokers: tuple[int, ...] | None, asked: Asked) -> tuple[Row, int]:
    """What the command prints for one FILE with this text, and its exit code."""
    words = ["-", *options(brokers, asked)]
    result = CliRunner().invoke(ok_to_stop_command, words, input=data, catch_exceptions=False)
    assert result.exit_code in {0, 4}, result.output
    printed: Row = json.loads(result.stdout)
    return printed, result.exit_code


def found(rows: list[dict[str, str]]) -> Found:
    """The reasons as (code, object); none is there twice."""
    pairs = [(row["code"], row["object"]) for row in rows]
    assert len(set(pairs)) == len(pairs), f"twice: {pairs}"
    return set(pairs)


def as_sets(printed: Row) -> Row:
    """What the command printed, in the form of the oracle."""
    if "each" in printed:
        each = {row["broker"]: (row["ok"], found(row["blockers"])) for row in printed["each"]}
        racks = {row["rack"]: (row["ok"], found(row["blockers"])) for row in printed["racks"]}
        return {"cluster": printed["cluster"], "each": each, "racks": racks}
    closed = printed["gate"]
    return {
        "cluster": printed["cluster"],
        "brokers": set(printed["brokers"]),
        "ok": printed["ok"],
        "blockers": found(printed["blockers"]),
        "gate": {"clear": closed["clear"], "holds": found(closed["holds"])},
    }


def gate_says(snapshot: ClusterSnapshot, wave: Wave, asked: Asked) -> Found:
    """The holds of a wave from this snapshot."""
    reasons = gate.snapshot_holds(
        snapshot,
        in_flight=wave.in_flight,
        repairs=wave.repairs,
        baseline=wave.baseline,
        acknowledged=Acknowledgements(assume_min_isr=asked.assume_min_isr),
    )
    return found([reason.as_json() for reason in reasons])


def differences(case: Case) -> list[dict[str, Any]]:
    """Where healthd and the oracle do not say the same, with all that is needed to see why."""
    told: list[dict[str, Any]] = []
    data = json.dumps(case.document).encode()
    for brokers, asked in case.questions:
        printed, code = healthd_says(data, brokers, asked)
        ours, other = as_sets(printed), answer(case.document, brokers, asked)
        if ours != other or code != (0 if other.get("ok", True) else 4):
            told.append({"brokers": brokers, "asked": asked, "healthd": ours, "oracle": other})
    # As the collector does: topics that have not changed remember what was made of them.
    topics = Topics(read_snapshot(data).snapshot.topics)
    for document, wave, asked in case.waves:
        read = read_snapshot(json.dumps(document).encode()).snapshot
        closed = gate_says(replace(read, topics=topics), wave, asked)
        expected = holds(document, wave, asked)
        if closed != expected:
            told.append({"wave": wave, "asked": asked, "healthd": closed, "oracle": expected})
    return told
