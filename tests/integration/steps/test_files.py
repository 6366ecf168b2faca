"""Files that steps put on a host, and what they leave when it goes wrong."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.steps import HERE, NODE, Stage

from healthd.execute.local import LocalExecutor
from healthd.execute.protocol import Command, ExecKind, Target
from healthd.execute.protocol import Outcome as Ended
from healthd.waves.events import Outcome, StepState
from healthd.waves.playbook_steps import (
    FilePlace,
    TemplateAction,
    UploadAction,
    Variable,
    VariableType,
)
from healthd.waves.variable_values import SecretSource


def upload(stage: Stage, path: Path, content: bytes, **place: object) -> UploadAction:
    """An upload of a file that lies beside the playbook."""
    folder = path.parent / "book"
    folder.mkdir(exist_ok=True)
    (folder / "source").write_bytes(content)
    stage.playbook = replace(stage.playbook, folder=str(folder))
    return UploadAction(place=FilePlace(path=str(path), **place), source="source")  # type: ignore[arg-type]


def left_over(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir() if ".healthd-new" in each.name)


async def test_a_file_is_put_in_place_with_its_mode_and_what_was_there_is_kept(
    here: Stage, tmp_path: Path
) -> None:
    path = tmp_path / "server properties"
    path.write_text("old\n")
    content = bytes(range(256)) * 1000
    action = upload(here, path, content, mode="0640")
    outcome, detail = await here.run(action)
    assert outcome is Outcome.OK, detail
    assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "server properties.healthd-bak").read_text() == "old\n"
    assert left_over(tmp_path) == []
    assert (await here.seen(0))[0] is StepState.DONE


async def test_a_file_that_is_as_it_should_be_is_not_touched(here: Stage, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    action = upload(here, path, b"new")
    await here.run(action)
    before = path.stat()
    outcome, detail = await here.run(at=0)
    assert (outcome, detail) == (Outcome.OK, f"{path} is unchanged")
    assert path.stat() == before
    # The backup is of what was there before, not of what was put there.
    assert (tmp_path / "file.healthd-bak").read_text() == "old"


async def test_a_mode_alone_is_put_right_without_a_backup(here: Stage, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("same")
    path.chmod(0o666)
    outcome, _ = await here.run(upload(here, path, b"same", mode="0600"))
    assert outcome is Outcome.OK
    assert path.stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "file.healthd-bak").exists()


async def test_no_backup_is_made_where_none_is_wanted(here: Stage, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    await here.run(upload(here, path, b"", backup=False))
    assert path.read_bytes() == b""
    assert not (tmp_path / "file.healthd-bak").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
async def test_owner_and_group_are_set_before_the_file_is_there(
    here: Stage, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    outcome, detail = await here.run(upload(here, path, b"x", owner="nobody", group="65534"))
    assert outcome is Outcome.OK, detail
    assert path.owner() == "nobody"
    again = await here.run(at=0)
    assert "unchanged" in again[1]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
async def test_a_file_of_somebody_else_does_not_silently_become_ours(
    here: Stage, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_text("theirs")
    os.chown(path, 65534, 65534)
    outcome, detail = await here.run(upload(here, path, b"ours"))
    assert outcome is Outcome.FAILED
    assert "say owner and group" in detail
    assert path.read_text() == "theirs"
    assert left_over(tmp_path) == []


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("sudo") is None, reason="it takes root, and a sudo"
)
async def test_root_puts_a_file_in_place_through_sudo(here: Stage, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    action = upload(here, path, b"new", owner="nobody", mode="0440", become=True)
    outcome, detail = await here.run(action)
    assert outcome is Outcome.OK, detail
    assert (path.read_text(), path.owner()) == ("new", "nobody")
    assert (await here.seen(0))[0] is StepState.DONE
    assert (await here.run(at=0))[1] == f"{path} is unchanged"


async def test_a_link_is_not_replaced_by_a_file(here: Stage, tmp_path: Path) -> None:
    (tmp_path / "real").write_text("x")
    path = tmp_path / "link"
    path.symlink_to("real")
    outcome, detail = await here.run(upload(here, path, b"y"))
    assert outcome is Outcome.FAILED
    assert "is a link: name the file itself" in detail
    assert path.is_symlink()


async def test_a_folder_that_is_not_there_is_told(here: Stage, tmp_path: Path) -> None:
    here.playbook = replace(here.playbook, folder=str(tmp_path))
    (tmp_path / "source").write_text("x")
    path = tmp_path / "nowhere" / "file"
    outcome, detail = await here.run(UploadAction(place=FilePlace(path=str(path)), source="source"))
    assert outcome is Outcome.FAILED
    assert f"{path}: install ended with exit code 1 on 127.0.0.1" in detail


async def test_what_another_source_would_send_is_refused(here: Stage, tmp_path: Path) -> None:
    path = tmp_path / "file"
    action = upload(here, path, b"new")
    pinned = (("source", hashlib.sha256(b"accepted").hexdigest()),)
    here.playbook = replace(here.playbook, files=pinned)
    outcome, detail = await here.run(action)
    assert outcome is Outcome.FAILED
    assert "was changed since the wave was accepted" in detail
    here.playbook = replace(here.playbook, files=())
    outcome, detail = await here.run(replace(action, sha256="0" * 64))
    assert outcome is Outcome.FAILED
    assert "nothing was sent" in detail
    assert not path.exists()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("no disk may be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


async def test_a_full_disk_is_one_clear_line_and_leaves_nothing_half_written(
    here: Stage, tmp_path: Path, tiny_disk: Path
) -> None:
    path = tiny_disk / "file"
    path.write_text("old")
    source = upload(here, tmp_path / "x", os.urandom(100_000))
    action = replace(source, place=FilePlace(path=str(path)))
    outcome, detail = await here.run(action)
    assert outcome is Outcome.FAILED
    assert detail == (
        f"no space left on 127.0.0.1 for {path}: nothing was changed; make room there"
    )
    assert path.read_text() == "old"
    assert left_over(tiny_disk) == []
    assert (await here.seen(0))[0] is StepState.NOT_DONE


async def test_a_disk_too_full_for_the_backup_changes_nothing_either(
    here: Stage, tmp_path: Path, tiny_disk: Path
) -> None:
    path = tiny_disk / "file"
    old = os.urandom(40_000)
    path.write_bytes(old)
    source = upload(here, tmp_path / "x", b"small")
    outcome, detail = await here.run(replace(source, place=FilePlace(path=str(path))))
    assert outcome is Outcome.FAILED
    assert "no space left on 127.0.0.1" in detail
    assert path.read_bytes() == old
    assert left_over(tiny_disk) == []
    assert not (tiny_disk / "file.healthd-bak").exists()


class Cut(LocalExecutor):
    """An executor that loses the answer to the n-th command that has a word in it."""

    def __init__(self, word: str) -> None:
        super().__init__()
        self.word: str | None = word

    async def run(self, target: Target, command: Command) -> Ended:
        outcome = await super().run(target, command)
        if self.word is not None and self.word in command.argv:
            self.word = None
            return Ended(kind=ExecKind.CONNECTION_LOST, detail="the connection ended")
        return outcome


@pytest.mark.parametrize(
    ("word", "outcome", "seen"),
    [
        ("stat", Outcome.NOT_SENT, StepState.NOT_DONE),
        ("cp", Outcome.UNKNOWN, StepState.NOT_DONE),
        ("install", Outcome.UNKNOWN, StepState.NOT_DONE),
        ("mv", Outcome.UNKNOWN, StepState.NOT_DONE),
    ],
)
async def test_a_lost_answer_is_observed_by_the_content(
    tmp_path: Path, word: str, outcome: Outcome, seen: StepState
) -> None:
    stage = Stage(executor=Cut(word), folder=tmp_path)
    path = tmp_path / "file"
    path.write_text("old")
    found, detail = await stage.run(upload(stage, path, b"new"))
    assert found is outcome
    assert detail == "the connection ended"
    assert (await stage.seen(0))[0] is seen
    # Repeated, it comes out as if nothing had happened.
    assert (await stage.run(at=0))[0] is Outcome.OK
    assert path.read_bytes() == b"new"
    assert (tmp_path / "file.healthd-bak").read_text() == "old"
    assert left_over(tmp_path) == []
    assert (await stage.seen(0))[0] is StepState.DONE


# Templates ------------------------------------------------------------------------------------


def template(path: Path, text: str, **place: object) -> TemplateAction:
    return TemplateAction(
        place=FilePlace(path=str(path), **place),  # type: ignore[arg-type]
        template=text,
        is_inline=True,
    )


async def test_a_template_takes_variables_as_what_they_are(here: Stage, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2\n")
    secret.chmod(0o600)
    here.declare(
        Variable(name="heap", type=VariableType.INTEGER, default="4"),
        Variable(name="tls", type=VariableType.BOOLEAN, default="false"),
        Variable(name="password", type=VariableType.SECRET),
    )
    here.config = replace(here.config, variables={"password": SecretSource(file=str(secret))})
    path = tmp_path / "file"
    text = (
        "node.id={{ broker_id }}\nheap={{ heap * 2 }}g\n{% if tls %}tls{% endif %}"
        "rack={{ rack }} {{ wave }} {{ cluster }} {{ host }}\npassword={{ password }}\n${kept}\n"
    )
    outcome, detail = await here.run(template(path, text, mode="0600"))
    assert outcome is Outcome.OK, detail
    assert path.read_text() == (
        "node.id=1\nheap=8g\nrack=az1 os-patch-1 payments 127.0.0.1\npassword=hunter2\n${kept}\n"
    )
    assert "hunter2" not in detail
    assert (await here.seen(0))[0] is StepState.DONE


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{{ jdk }}", "the template: 'jdk' is undefined"),
        ("a\n{% if %}", "the template, line 2: "),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ rack + 1 }}", "TypeError in the template"),
        ("{% for x in range(90000) %}{{ 'x' * 9000 }}{% endfor %}", "makes more than"),
    ],
)
async def test_what_no_template_may_do_is_one_line_and_sends_nothing(
    here: Stage, tmp_path: Path, text: str, told: str
) -> None:
    path = tmp_path / "file"
    outcome, detail = await here.run(template(path, text))
    assert outcome is Outcome.FAILED
    assert detail.startswith(f"playbook os-patch, step 'do it', broker {NODE}: ")
    assert told in detail
    assert "\n" not in detail
    assert not path.exists()


async def test_a_secret_that_cannot_be_read_sends_nothing(here: Stage, tmp_path: Path) -> None:
    here.declare(Variable(name="password", type=VariableType.SECRET))
    here.config = replace(
        here.config, variables={"password": SecretSource(file=str(tmp_path / "not there"))}
    )
    path = tmp_path / "file"
    outcome, detail = await here.run(template(path, "{{ password }}"))
    assert outcome is Outcome.NOT_SENT
    assert "the secret password: " in detail
    assert not path.exists()


async def test_a_host_that_the_fleet_does_not_have_is_sent_nothing(tmp_path: Path) -> None:
    stage = Stage(folder=tmp_path, target=HERE)
    stage.run_of_node = replace(stage.run_of_node, node=2)
    outcome, detail = await stage.run(template(tmp_path / "file", "x"))
    assert (outcome, detail) == (Outcome.FAILED, "there is no step 0 for broker 1")
