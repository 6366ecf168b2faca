"""Values for variables in a rehearsal: what is given is judged, and nothing has to be."""

from pathlib import Path
from typing import Any

from healthd.model.json_reader import load_json
from healthd.model.parse import snapshot_of
from healthd.rehearsal.document import parse_rehearsal
from healthd.rehearsal.rehearsal import Rehearsal
from healthd.waves.playbook import Playbook
from healthd.waves.playbook_parse import parse_playbook

FIVE = Path(__file__).parents[2] / "rehearsals" / "clusters" / "five.json"
PLAYBOOK = {
    "apiVersion": "healthd/v1",
    "kind": "Playbook",
    "name": "p",
    "variables": {"version": {"pattern": "[0-9.]+"}, "password": {"type": "secret"}},
    "steps": [
        {
            "name": "fetch",
            "command": {"argv": ["fetch", "${version}"], "stdin": "password"},
            "repeatable": True,
            "timeoutSeconds": 60,
        }
    ],
}


def read(variables: Any) -> Rehearsal | list[str]:
    playbook = parse_playbook(PLAYBOOK)
    assert isinstance(playbook, Playbook)
    document = {
        "apiVersion": "healthd/v1",
        "kind": "Rehearsal",
        "snapshot": load_json(FIVE.read_bytes()),
        "wave": {"playbook": "p", "variables": variables},
    }
    found = parse_rehearsal(
        document, read_snapshot=lambda _: snapshot_of({}), find_playbook=lambda _: playbook
    )
    if isinstance(found, Rehearsal):
        return found
    return [f"{each.path}: {each.message} -> {each.action}" for each in found]


def test_none_has_to_be_given() -> None:
    assert isinstance(read({}), Rehearsal)


def test_what_is_given_belongs_to_the_wave() -> None:
    found = read({"version": "4.1", "password": {"file": "/x"}})
    assert isinstance(found, Rehearsal)
    wave = found.wave()
    assert wave.variables == (("version", "4.1"),)
    assert [name for name, _ in wave.secrets] == ["password"]


def test_a_typo_and_a_wrong_value_are_told() -> None:
    assert read({"verison": "4.1", "version": "x y", "password": "hunter2"}) == [
        (
            "wave.variables.verison: is given in the rehearsal, but the playbook has no such"
            " variable -> it has password, version"
        ),
        (
            "wave.variables.version: 'x y' does not match the pattern [0-9.]+ (the rehearsal)"
            " -> write a value of that form"
        ),
        (
            "wave.variables.password: a secret is never written down; its value is not shown here"
            " (the rehearsal) -> write {file: PATH}, {env: NAME} or {command: [PROGRAM, ...]}"
        ),
    ]
