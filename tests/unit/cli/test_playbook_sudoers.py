"""`healthd playbook sudoers`: values on its command line are those that a wave would take."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from healthd.cli.app import cli
from healthd.cli.exits import Exit

PLAYBOOK = """\
apiVersion: healthd/v1
kind: Playbook
name: p
variables:
  level: {oneOf: [INFO, DEBUG], default: INFO}
  many: {type: integer, default: 1}
  token: {type: secret}
steps:
  - name: set
    command: {argv: [tool, "${level}", "${many}", "${host}"], become: true, stdin: token}
    repeatable: true
    timeoutSeconds: 60
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "p.yaml"
    file.write_text(PLAYBOOK, "utf-8")
    return file


def test_what_is_given_stands_in_the_command(file: Path) -> None:
    options = ["--var", "level=DEBUG", "--var", "many=3", "--var", "host=b1"]
    done = CliRunner().invoke(cli, ["playbook", "sudoers", str(file), *options])
    assert done.exit_code == Exit.OK, done.output
    assert "NOPASSWD: /usr/bin/tool DEBUG 3 b1\n" in done.output


def test_each_playbook_has_a_file_of_its_own_that_sudo_reads(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "p.2.yaml"
    other.write_text(PLAYBOOK.replace("name: p\n", "name: p.2\n"), "utf-8")
    for playbook, path in ((file, "/etc/sudoers.d/healthd-p"), (other, "healthd-p-2")):
        done = CliRunner().invoke(cli, ["playbook", "sudoers", str(playbook), "--var", "host=b1"])
        assert f"{path}, owner root" in done.output.replace("\n#", "")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("levl=DEBUG", "the playbook has no variable levl; it has: level, many, token"),
        ("level=LOUD", "level 'LOUD' is none of INFO, DEBUG"),
        ("many=x", "many must be of type integer, not text"),
        ("token=hunter2", "token is a secret: its value belongs on no command line"),
        ("level", "is no NAME=VALUE"),
    ],
)
def test_what_a_wave_would_refuse_is_refused(file: Path, given: str, words: str) -> None:
    done = CliRunner().invoke(cli, ["playbook", "sudoers", str(file), "--var", given])
    assert done.exit_code == Exit.USAGE
    assert words in " ".join(done.output.split())
    assert "NOPASSWD" not in done.output
