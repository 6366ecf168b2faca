"""Steps that run ansible-playbook: a stand-in that tells what it was given, and the real one."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from plugins.sshd import SshdHost
from support.steps import NODE, Stage

from healthd.waves.events import Outcome, StepState
from healthd.waves.playbook_steps import AnsibleAction, Variable, VariableType
from healthd.waves.variable_values import SecretSource

FAKE = """#!{python}
import json, os, pathlib, stat, subprocess, sys, time
words = sys.argv[1:]
file = next(word[1:] for word in words if word.startswith("@"))
told = json.load(open(file))
found = {{"words": words, "told": told, "mode": stat.S_IMODE(os.stat(file).st_mode),
          "env": dict(os.environ), "stdin": sys.stdin.read()}}
json.dump(found, open({record!r}, "w"))
print("TASK [say]", told.get("password"), flush=True)
print("x" * 300_000)
if told.get("leave"):
    left = subprocess.Popen(["sleep", "60"], start_new_session=True)
    pathlib.Path(told["leave"]).write_text(str(left.pid))
if told.get("hang"):
    time.sleep(600)
sys.exit(int(told.get("code", "0")))
"""


@pytest.fixture
def fake(here: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for ansible-playbook, and where it writes what it was given."""
    record = tmp_path / "record.json"
    program = tmp_path / "bin" / "ansible-playbook"
    program.parent.mkdir()
    program.write_text(FAKE.format(python=sys.executable, record=str(record)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    (tmp_path / "site.yml").write_text("[]\n")
    (tmp_path / "password").write_text("planted-hunter2\n")
    (tmp_path / "password").chmod(0o600)
    here.declare(Variable(name="password", type=VariableType.SECRET))
    secret = SecretSource(file=str(tmp_path / "password"))
    here.config = replace(here.config, variables={"password": secret})
    here.playbook = replace(here.playbook, folder=str(tmp_path))
    return record


def what(record: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(record.read_text())
    return found


def is_there(path: str | Path) -> bool:
    return Path(path).exists()


def open_pipes() -> set[str]:
    """The pipes that this process has open."""
    ends = Path("/proc/self/fd").iterdir()
    return {link for end in ends if end.is_symlink() and (link := _link(end)).startswith("pipe:")}


def _link(end: Path) -> str:
    try:
        return str(end.readlink())
    except FileNotFoundError:
        return ""  # It was that of the look itself.


def running(word: str) -> list[int]:
    """The processes with that word on their command line."""
    found = psutil.process_iter(["pid", "cmdline"])
    return [one.pid for one in found if word in (one.info["cmdline"] or ())]


def install(folder: Path) -> Path:
    """Ansible, from the package index into an environment of its own."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    words = [str(folder / "bin" / "pip"), "install", "-q", "ansible-core>=2.17,<2.20"]
    subprocess.run(words, check=True)
    return folder


def action(**extra: str) -> AnsibleAction:
    return AnsibleAction(ansible_playbook="site.yml", extra_vars=tuple(extra.items()), become=True)


@pytest.mark.usefixtures("fake")
async def test_what_it_prints_is_shown_while_it_runs(here: Stage) -> None:
    running = asyncio.create_task(here.run(action(hang="1"), timeout=20.0))
    while NODE not in here.printed:
        assert not running.done(), running.result()
        await asyncio.sleep(0.05)
    assert here.printed[NODE].lines[0] == "TASK [say] [redacted]"
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert here.printed == {}


async def test_it_is_told_of_one_host_and_reads_the_rest_from_a_private_file(
    here: Stage, fake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", "planted-in-the-environment")
    outcome, detail = await here.run(action(version="4.1.0"))
    assert outcome is Outcome.OK, detail
    assert detail.startswith("ansible-playbook ended with exit code 0\n")
    assert "planted" not in detail
    found = what(fake)
    words, told = found["words"], found["told"]
    assert words[:4] == ["--inventory", "127.0.0.1,", "--limit", "127.0.0.1"]
    assert words[-2:] == ["--become", str(fake.parent / "site.yml")]
    assert "planted" not in " ".join(words) + json.dumps(found["env"])
    assert (told["password"], told["version"]) == ("planted-hunter2", "4.1.0")
    assert told["ansible_port"] == 22
    assert "StrictHostKeyChecking=yes" in told["ansible_ssh_common_args"]
    assert found["mode"] == 0o600
    assert found["stdin"] == ""
    file = next(word[1:] for word in words if word.startswith("@"))
    assert not is_there(file)
    # What became of it nobody can say later on.
    assert (await here.seen(0))[0] is StepState.INTERRUPTED


async def test_what_a_killed_daemon_has_left_is_removed(
    here: Stage, fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead, alive = tmp_path / "healthd-ansible-99999999-x", tmp_path / "healthd-ansible-1-x"
    for folder in (dead, alive):
        folder.mkdir()
        (folder / "vars.json").write_text("{}")
    assert (await here.run(action()))[0] is Outcome.OK
    assert is_there(fake)
    assert not is_there(dead)
    assert is_there(alive)


async def test_a_failed_run_is_a_failed_step(here: Stage, fake: Path) -> None:
    outcome, detail = await here.run(action(code="4"))
    assert outcome is Outcome.FAILED
    assert "exit code 4" in detail
    assert is_there(fake)


async def test_a_run_that_takes_too_long_is_ended(here: Stage, fake: Path) -> None:
    outcome, detail = await here.run(action(hang="1"), timeout=2.0)
    assert outcome is Outcome.UNKNOWN
    assert "its time was up" in detail
    assert not running(str(fake.parent / "site.yml"))


async def test_what_a_run_that_is_ended_has_left_behind_keeps_nothing_open(
    here: Stage, fake: Path, tmp_path: Path
) -> None:
    """It has a session of its own, so it is not ended with the run, and it holds the output."""
    left = tmp_path / "left"
    before = open_pipes()
    run = asyncio.create_task(here.run(action(hang="1", leave=str(left)), timeout=60.0))
    while not (left.exists() and left.read_text()):
        assert not run.done(), run.result()
        await asyncio.sleep(0.02)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert not running(str(fake.parent / "site.yml"))
    # Closed in the loop's next turn.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    try:
        assert open_pipes() == before
    finally:
        psutil.Process(int(left.read_text())).kill()


async def test_a_playbook_of_ansible_that_was_changed_is_not_run(here: Stage, fake: Path) -> None:
    here.playbook = replace(here.playbook, files=(("site.yml", "0" * 64),))
    outcome, detail = await here.run(action())
    assert outcome is Outcome.FAILED
    assert "was changed since the wave was accepted" in detail
    assert not is_there(fake)


async def test_without_ansible_that_is_said(
    here: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site.yml").write_text("[]\n")
    here.playbook = replace(here.playbook, folder=str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    outcome, detail = await here.run(action())
    assert outcome is Outcome.FAILED
    assert detail == "ansible-playbook is not installed where healthd runs"


PLAIN = (("version", "4.1.0"), ("ansible_python_interpreter", "/usr/bin/python3"))


@pytest.mark.prove
async def test_the_real_one_reaches_its_host_over_ssh(
    shared_sshd: SshdHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = install(tmp_path / "venv")
    monkeypatch.setenv("PATH", f"{installed / 'bin'}:{os.environ['PATH']}")
    (tmp_path / "site.yml").write_text(
        "- hosts: all\n"
        "  gather_facts: false\n"
        "  tasks:\n"
        f"    - ansible.builtin.copy: {{content: '{{{{ version }}}}', dest: '{tmp_path}/made'}}\n"
    )
    stage = Stage(target=shared_sshd.target, folder=tmp_path)
    stage.playbook = replace(stage.playbook, folder=str(tmp_path))
    run = AnsibleAction(ansible_playbook="site.yml", extra_vars=PLAIN)
    outcome, detail = await stage.run(run, timeout=120.0)
    assert outcome is Outcome.OK, detail
    assert (tmp_path / "made").read_text() == "4.1.0"
