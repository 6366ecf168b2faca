"""The command line as a whole: what there is, what it loads, and how a defect ends."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from healthd import __version__
from healthd.cli import app
from healthd.cli.exits import Exit

PAGE = (Path(__file__).parents[3] / "docs/reference/cli.md").read_text()
HEAVY = {
    "aiohttp", "alembic", "apscheduler", "confluent_kafka", "fastapi", "httpx2", "kafka",
    "paramiko", "pydantic", "rich", "sqlalchemy", "uvicorn",
}  # fmt: skip


def loaded_after(statement: str) -> set[str]:
    """The heavy libraries that a fresh interpreter has loaded after a statement."""
    script = f"import sys\n{statement}\nprint(*sorted(set(sys.modules)))"
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    return HEAVY & set(found.stdout.split())


def test_help_loads_no_command() -> None:
    run = "from click.testing import CliRunner; from healthd.cli.app import cli\n"
    run += "assert CliRunner().invoke(cli, ['--help']).exit_code == 0"
    assert loaded_after(run) == set()


@pytest.mark.parametrize("name", ["evaluate", "ok-to-stop", "plan"])
def test_what_reads_files_does_not_wait_for_what_only_the_daemon_needs(name: str) -> None:
    target = app.COMMANDS[name].target
    assert loaded_after(f"from healthd.cli.app import load; load({target!r})") == set()


@pytest.mark.parametrize("name", app.COMMANDS)
def test_every_command_that_is_listed_is_there(name: str) -> None:
    # In an interpreter of its own, as the console script does it: no other test has loaded a part.
    found = subprocess.run(
        [sys.executable, "-c", "from healthd.cli.app import cli; cli()", name, "--help"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.startswith("Usage: ")


def test_help_names_every_command() -> None:
    output = CliRunner().invoke(app.cli, ["--help"]).output
    listed = re.findall(r"^  ([a-z-]+) ", output.partition("Commands:")[2], re.MULTILINE)
    assert listed == list(app.COMMANDS)


@pytest.mark.parametrize(
    "words", [["rout"], ["status", "--nope"], ["wave", "show"], ["wave", "dance"], ["snapshot"]]
)
def test_a_wrong_command_line_is_exit_2_and_says_so_on_stderr(words: list[str]) -> None:
    result = CliRunner().invoke(app.cli, words)
    assert result.exit_code == Exit.USAGE
    assert result.stdout == ""
    assert "Error: " in result.stderr


def test_version_is_printed_for_people_and_programs() -> None:
    assert CliRunner().invoke(app.cli, ["version"]).output.startswith(f"healthd {__version__} ")
    output = CliRunner().invoke(app.cli, ["version", "-o", "json"]).output
    assert f'"version": "{__version__}"' in output


@pytest.fixture
def defective(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words of a command that has a defect."""

    @click.command("version")
    def version() -> None:
        raise RuntimeError("the wheel came off")

    monkeypatch.setattr("healthd.cli.version.version", version)
    return ["version"]


def test_a_defect_ends_in_two_lines_that_say_how_to_see_more(defective: list[str]) -> None:
    result = CliRunner().invoke(app.cli, defective)
    assert result.exit_code == Exit.FAILED
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "healthd: a defect: RuntimeError: the wheel came off",
        "Set HEALTHD_DEBUG=1 and run it again to see where.",
    ]


def test_a_defect_shows_its_traceback_to_whoever_asks_for_it(defective: list[str]) -> None:
    with pytest.raises(RuntimeError, match="wheel"):
        CliRunner().invoke(app.cli, defective, env={"HEALTHD_DEBUG": "1"}, catch_exceptions=False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is full")
def test_a_full_disk_under_the_answer_is_no_defect() -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "healthd", "version"],
            stdout=full, stderr=subprocess.PIPE, check=False, text=True,
        )  # fmt: skip
    assert result.returncode == Exit.FAILED
    assert result.stderr == (
        "healthd: cannot write: No space left on device; free some and run it again\n"
    )


def test_every_exit_code_is_in_the_reference() -> None:
    rows = re.findall(r"^\| ([0-9]) \| ", PAGE, re.MULTILINE)
    assert [int(row) for row in rows] == [code.value for code in Exit]


def test_every_command_is_in_the_reference_and_no_other() -> None:
    named = set(re.findall(r"^\| `healthd ([a-z-]+)", PAGE, re.MULTILINE))
    assert named == set(app.COMMANDS)


def test_every_subcommand_of_wave_is_in_the_reference_and_no_other() -> None:
    wave = app.load(app.COMMANDS["wave"].target)
    assert isinstance(wave, click.Group)
    assert set(re.findall(r"^\| `healthd wave ([a-z]+)", PAGE, re.MULTILINE)) == set(wave.commands)


@pytest.mark.parametrize("name", ["status", "snapshot", "wave"])
def test_no_option_takes_a_token(name: str) -> None:
    command = app.load(app.COMMANDS[name].target)
    commands = [command, *(command.commands.values() if isinstance(command, click.Group) else ())]
    options = {option for each in commands for param in each.params for option in param.opts}
    assert "--token" not in options
