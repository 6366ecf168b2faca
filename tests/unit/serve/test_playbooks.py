"""`GET /api/v1/playbooks`: what a wave can name, and which of it may be run."""

from pathlib import Path
from typing import Any

import httpx2
from support.daemon import InMemoryDaemon, wave_state

from healthd.serve.playbook_json import playbooks_json
from healthd.waves.variable_values import SecretSource

HEAD = "apiVersion: healthd/v1\nkind: Playbook\nname: p\n"
PLAYBOOK = f"""{HEAD}variables:
  version: {{pattern: '[0-9.]+', description: which}}
steps:
  - {{name: fetch, command: [fetch, "${{version}}"], repeatable: true, timeoutSeconds: 60}}
"""


def named(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in found["playbooks"]}


def test_our_own_and_those_that_are_shipped_are_listed_with_what_they_want(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(PLAYBOOK, "utf-8")
    (tmp_path / "wrong.yaml").write_text(HEAD, "utf-8")
    found = playbooks_json(tmp_path)
    assert {"p", "rolling-restart"} <= named(found).keys()
    own = named(found)["p"]
    assert own["isAllowed"] is True
    assert own["restarts"] is False
    assert own["variables"][0]["name"] == "version"
    assert own["variables"][0]["default"] is None
    assert own["steps"] == [{"name": "fetch", "kind": "command", "timeoutSeconds": 60.0}]
    (problem,) = found["problems"]
    assert problem["file"] == str(tmp_path / "wrong.yaml")
    assert problem["message"] == "steps is missing"


def test_what_is_not_in_the_list_of_digests_is_not_allowed(tmp_path: Path) -> None:
    listed = tmp_path / "digests"
    digest = named(playbooks_json())["rolling-restart"]["digest"]
    listed.write_text(f"{digest}  rolling-restart\n", "utf-8")
    allowed = {
        name for name, each in named(playbooks_json(None, listed)).items() if each["isAllowed"]
    }
    assert allowed == {"rolling-restart"}
    found = playbooks_json(None, tmp_path / "none")
    assert not any(each["isAllowed"] for each in found["playbooks"])
    assert "cannot be read" in found["problems"][0]["message"]


async def test_they_are_read_like_everything_else(
    anybody: httpx2.AsyncClient, closed: httpx2.AsyncClient
) -> None:
    answer = await anybody.get("/api/v1/playbooks")
    assert answer.status_code == 200
    assert "rolling-restart" in named(answer.json())
    assert (await closed.get("/api/v1/playbooks")).status_code == 401


async def test_a_wave_shows_what_it_was_given_and_of_a_secret_the_place(
    anybody: httpx2.AsyncClient, daemon: InMemoryDaemon
) -> None:
    given = SecretSource(file="/etc/healthd/password")
    secrets = (("password", given),)
    daemon.put(wave_state(variables=(("version", "4.1"),), secrets=secrets))
    answer = (await anybody.get("/api/v1/waves/w1")).json()
    assert answer["variables"] == {
        "password": {"file": "/etc/healthd/password"},
        "version": "4.1",
    }
