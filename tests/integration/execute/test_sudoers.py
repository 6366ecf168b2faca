"""`healthd playbook sudoers` against sudo itself, which reads its file in its own namespace."""

import os
import re
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from healthd.cli.exits import Exit
from healthd.cli.playbook_sudoers import sudoers
from healthd.config.playbooks import load_playbook
from healthd.demo import provision
from healthd.demo.provision import ProvisionError
from healthd.execute.sudo import as_root, asked_of, wants_password
from healthd.waves.host_commands import argv_of
from healthd.waves.playbook_steps import CommandAction
from healthd.waves.sudoers import Place, RootCommand, sudoers_file

USER = "nobody"
PLAYBOOK = """
apiVersion: healthd/v1
kind: Playbook
name: new-file
description: A file, and a program that reads it.
variables:
  limit: {type: integer, default: 7}
  file: {}
steps:
  - name: put the file there
    upload: {source: limits.conf, path: "${file}", owner: kafka, mode: "0640", become: true}
    timeoutSeconds: 30
    repeatable: true
  - name: read it
    command:
      argv: [/usr/local/bin/apply, "--limit=${limit}", "broker ${broker_id}"]
      become: true
    repeatable: true
    timeoutSeconds: 30
  - name: look at it without sudo
    command: [cat, "${file}"]
    repeatable: true
    timeoutSeconds: 30
"""
ODD = [
    ("/usr/bin/echo", "a*b?c[d]e!f"),
    ("/usr/bin/echo", "back\\slash"),
    ("/usr/bin/echo", "x=1,y:2", "# hash", '"quoted"', "^start$"),
    ("/usr/bin/echo", "one; [ $# -gt 0 ] && x\t|| exit"),
    ("/usr/bin/whoami",),
]


@pytest.fixture(scope="module")
def sudo() -> None:
    if os.geteuid():
        pytest.skip("only root may give sudo another file to read")
    try:
        provision.ensure(("sudo",))
    except ProvisionError as error:
        pytest.skip(str(error))


def may(file: Path, *argv: str) -> bool:
    """Whether sudo, with this file and no other, would let the user run this without a password."""
    script = 'mount --bind "$0" /etc/sudoers && exec sudo -n -l -U nobody -- "$@"'
    words = ["unshare", "-m", "sh", "-c", script, str(file), *argv]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o440)
    checked = subprocess.run(
        ["visudo", "-c", "-f", str(path)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, f"{checked.stdout}{checked.stderr}\n{text}"
    return path


@pytest.mark.usefixtures("sudo")
def test_sudo_allows_what_is_listed_and_nothing_that_resembles_it(tmp_path: Path) -> None:
    commands = tuple(RootCommand(argv=argv, why="test") for argv in ODD)
    text = sudoers_file(USER, [Place(name="", commands=commands)], title="A test.")
    file = written(tmp_path / "odd", text)
    for argv in ODD:
        assert may(file, *argv), argv
        assert not may(file, *argv, "more"), argv
        assert not may(file, *argv[:-1], f"{argv[-1]}x"), argv
    assert not may(file, "/usr/bin/echo", "aXXbXcde!f")
    assert not may(file, "/usr/bin/echo", "backXslash")
    assert not may(file, "/usr/bin/echo")
    assert not may(file, "/bin/cat", "/etc/shadow")


@pytest.mark.usefixtures("sudo")
def test_the_path_of_the_user_says_nothing_of_what_runs_as_root(tmp_path: Path) -> None:
    # Under /tmp itself, where the user may read.
    with tempfile.TemporaryDirectory(prefix="healthd-sudo-", dir="/tmp") as made:
        folder = Path(made)
        folder.chmod(0o755)
        (folder / "true").write_text("#!/bin/sh\necho not the one\n")
        (folder / "true").chmod(0o755)
        command = ("/bin/sh", "-c", "exec env true")
        text = sudoers_file(
            USER, [Place(name="", commands=(RootCommand(argv=command),))], title="A test."
        )
        script = (
            'mount --bind "$0" /etc/sudoers && path=$1 && shift && '
            'exec setpriv --reuid 65534 --clear-groups env PATH="$path:$PATH" sudo -n -- "$@"'
        )
        words = ["unshare", "-m", "sh", "-c", script, str(written(tmp_path / "path", text)), made]
        done = subprocess.run([*words, *command], capture_output=True, text=True, check=True)
    assert done.stdout == ""


@pytest.fixture
def asked(tmp_path: Path) -> Callable[..., Result]:
    (tmp_path / "new-file.yaml").write_text(PLAYBOOK)
    (tmp_path / "limits.conf").write_text("x\n")
    (tmp_path / "id").write_text("k")
    (tmp_path / "id").chmod(0o600)
    (tmp_path / "fleet.yaml").write_text(
        "apiVersion: healthd/v1\nkind: Fleet\nclusters:\n  - name: payments\n"
        f"    bootstrapServers: ['b1:9092']\n    ssh: {{user: {USER}, keyFile: id, "
        "knownHostsFile: known}\n"
        "    service:\n      stop: [sudo, -n, systemctl, stop, 'kafka@{broker_id}']\n"
        "      start: [sudo, -n, -u, kafka, /opt/start]\n      status: [/opt/status]\n"
        "    variables: {file: /etc/kafka/limits.conf}\n"
        "    hosts:\n      - {broker: 1, address: b1}\n      - {broker: 2, address: b2}\n"
    )

    def ask(*words: str) -> Result:
        book = str(tmp_path / "new-file.yaml")
        return CliRunner().invoke(sudoers, [book, *words])

    return ask


@pytest.mark.usefixtures("sudo")
def test_a_playbook_on_a_cluster_is_allowed_to_do_what_it_does(
    asked: Callable[..., Result], tmp_path: Path
) -> None:
    result = asked("--cluster", "payments", "--fleet", str(tmp_path / "fleet.yaml"))
    assert result.exit_code == Exit.OK, result.stderr
    file = written(tmp_path / "sudoers", result.stdout)
    assert may(file, "systemctl", "stop", "kafka@1")
    assert may(file, "systemctl", "stop", "kafka@2")
    assert not may(file, "systemctl", "stop", "kafka@3")
    new = "/etc/kafka/.limits.conf.healthd-new"
    assert may(file, "install", "-o", "kafka", "-m", "0640", "-T", "--", "/dev/stdin", new)
    assert may(file, "mv", "-f", "-T", "--", new, "/etc/kafka/limits.conf")
    assert not may(file, "mv", "-f", "-T", "--", "/etc/passwd", "/etc/kafka/limits.conf")
    assert not may(file, "cat", "/etc/kafka/limits.conf")
    assert "(kafka) NOPASSWD: /opt/start" in result.stdout
    one = asked("--cluster", "payments", "--fleet", str(tmp_path / "fleet.yaml"), "--broker", "2")
    assert "kafka@1" not in one.stdout
    assert "kafka@2" in one.stdout


def test_what_is_not_known_word_by_word_is_not_listed(asked: Callable[..., Result]) -> None:
    result = asked("--user", "ops")
    assert result.exit_code == Exit.PROBLEMS
    assert "step 'put the file there'" in result.stderr
    assert "NOPASSWD" not in result.stdout
    result = asked("--user", "ops", "--var", "file=/etc/*", "--var", "broker_id=3")
    assert result.exit_code == Exit.OK, result.stderr
    assert r"/etc/\*" in result.stdout
    assert "--limit\\=7" in result.stdout


@pytest.mark.parametrize(
    "words",
    [("--broker", "1"), ("--var", "x"), ("--cluster", "nowhere"), ("--fleet", "nowhere.yaml")],
)
def test_what_is_asked_wrongly_is_a_usage_error(
    words: tuple[str, ...], asked: Callable[..., Result], tmp_path: Path
) -> None:
    cluster = () if words[0] in {"--broker", "--cluster"} else ("--cluster", "payments")
    fleet = () if words[0] == "--fleet" else ("--fleet", str(tmp_path / "fleet.yaml"))
    result = asked(*cluster, *fleet, *words)
    assert result.exit_code == Exit.USAGE
    assert "Traceback" not in result.stderr


def test_a_command_tells_as_whom_it_runs() -> None:
    assert as_root(("sudo", "-n", "systemctl", "stop", "x")) == ("root", ("systemctl", "stop", "x"))
    assert as_root(("/usr/bin/sudo", "-u", "kafka", "--", "-x")) == ("kafka", ("-x",))
    assert as_root(("systemctl", "stop")) is None
    assert asked_of(("sudo", "-n", "-u", "kafka", "x", "-n")) == (
        *("sudo", "-n", "-l", "-u", "kafka", "--", "x", "-n"),
    )


@pytest.mark.usefixtures("sudo")
def test_sudo_s_own_list_says_who_is_asked_for_a_password(tmp_path: Path) -> None:
    text = (
        f"{USER} ALL=(root) NOPASSWD: /usr/bin/systemctl stop kafka, /usr/bin/whoami\n"
        f"{USER} ALL=(root) PASSWD: /usr/bin/systemctl start kafka\n"
    )
    file = written(tmp_path / "mixed", text)
    script = 'mount --bind "$0" /etc/sudoers && exec sudo -n -l -U nobody'
    listed = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, str(file)], capture_output=True, text=True, check=True
    ).stdout
    assert not wants_password("/usr/bin/systemctl stop kafka", listed)
    assert not wants_password("/usr/bin/whoami --help", listed)
    assert wants_password("/usr/bin/systemctl start kafka", listed)


@pytest.mark.usefixtures("sudo")
@pytest.mark.parametrize("name", ["os-patch", "os-patch-dnf"])
def test_sudo_takes_the_texts_of_the_shipped_playbooks_as_they_are(
    name: str, tmp_path: Path
) -> None:
    result = CliRunner().invoke(sudoers, [name, "--user", USER])
    assert result.exit_code == Exit.OK, result.stderr
    file = written(tmp_path / "sudoers", result.stdout)
    actions = [step.action for step in load_playbook(name).steps]
    commands = [each for each in actions if isinstance(each, CommandAction) and each.become]
    assert len(commands) == 3
    for each in commands:
        argv = argv_of(each)
        assert may(file, *argv), argv
        assert not may(file, *argv[:-1], f"{argv[-1]}id"), argv
        # With another character there the check would pass over what is no name of a package.
        for other in "\n\t\r":
            odd = re.sub(r"(>&2;?)\s", rf"\1{other}", argv[-1])
            assert not may(file, *argv[:-1], odd) or odd == argv[-1], odd
