"""A plain rehearsal, from the file to the answer."""

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from support.cluster_model import healthy, ring
from support.rehearsals import cluster_document
from support.step_playbooks import a_prompt, a_reboot, a_restart, a_step

from healthd.cli.app import cli
from healthd.rehearsal.rehearsal import Rehearsal
from healthd.rehearsal.running import rehearse


def rehearsed(folder: Path, **more: Any) -> dict[str, Any]:
    """The answer to a rehearsal of five brokers, with something more in its file."""
    document = {
        "apiVersion": "healthd/v1",
        "kind": "Rehearsal",
        "snapshot": cluster_document(),
        "wave": {"playbook": "rolling-restart", "policy": {"soakSeconds": 60}},
        **more,
    }
    path = folder / "rehearsal.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    ran = CliRunner().invoke(cli, ["rehearse", str(path)])
    assert ran.exit_code == 0, ran.output
    answer: dict[str, Any] = json.loads(ran.stdout)
    return answer


def test_a_calm_wave_restarts_everybody_once_and_harms_nothing(tmp_path: Path) -> None:
    answer = rehearsed(tmp_path)
    assert answer["outcome"] == "succeeded"
    assert answer["restarts"] == {"1": 1, "2": 1, "3": 1, "4": 1, "5": 1}
    assert answer["order"] == [2, 3, 1, 4, 5]
    assert answer["maxInFlight"] == 1
    assert (answer["down"], answer["blocked"], answer["violations"]) == ([], [], [])
    assert answer["causedUnderMinIsrPartitionSeconds"] == 0
    assert answer["causedOfflinePartitionSeconds"] == 0


def test_the_wave_of_a_crash_next_door_holds_until_that_broker_is_back(tmp_path: Path) -> None:
    answer = rehearsed(
        tmp_path,
        wave={"playbook": "rolling-restart", "brokers": [1, 2, 3]},
        faults=[{"at": 70, "fault": "broker_crash", "broker": 5, "for": 300}],
    )
    waves = [event["state"] for event in answer["events"] if event["event"] == "wave"]
    assert waves == ["running", "holding", "running", "succeeded"]
    reasons = {
        (reason["code"], reason["object"])
        for event in answer["events"]
        for reason in event["reasons"]
    }
    assert ("BROKER_DOWN", "broker:5") in reasons
    assert answer["restarts"] == {"1": 1, "2": 1, "3": 1}
    assert answer["violations"] == []


def test_steps_of_a_playbook_are_done_and_its_questions_are_answered() -> None:
    nodes, rows = ring(nodes=4, factor=3, min_isr=2)
    playbook = a_restart(before=(a_prompt(),), between=(a_reboot(),), after=(a_step("smoke"),))
    found = rehearse(Rehearsal(snapshot=healthy(nodes, rows), playbook=playbook))
    assert found.outcome == "succeeded"
    assert set(found.restarts.values()) == {1}
    assert not found.violations
