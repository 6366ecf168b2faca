"""The words that steps send to a host."""

import subprocess
from pathlib import Path

import pytest

from healthd.execute.protocol import BECOME
from healthd.waves.host_commands import (
    SUDO,
    HostCommand,
    PlacingCommands,
    argv_of,
    host_commands_of,
    piped,
)
from healthd.waves.patterns import pattern
from healthd.waves.playbook_steps import (
    CommandAction,
    CommandCheck,
    FileCheck,
    FilePlace,
    RebootAction,
    WaitAction,
)


def test_root_is_asked_for_in_one_way() -> None:
    assert SUDO == BECOME
    assert HostCommand(argv=("id",), become=True).words == ("sudo", "-n", "--", "id")
    assert HostCommand(argv=("id",)).words == ("id",)


def test_a_pipe_is_between_the_connection_and_the_program() -> None:
    words = piped(HostCommand(argv=("install", "-T", "/dev/stdin", "/x"), become=True))
    assert words[:4] == ("sh", "-c", 'cat | "$@"', "healthd")
    assert words[4:] == ("sudo", "-n", "--", "install", "-T", "/dev/stdin", "/x")


def test_only_what_asks_for_a_shell_by_its_name_gets_one() -> None:
    assert argv_of(CommandAction(argv=("a b", "c"))) == ("a b", "c")
    assert argv_of(CommandAction(argv=("a | b",), shell=True)) == ("/bin/sh", "-c", "a | b")


def test_every_command_of_a_file_is_known_beforehand() -> None:
    place = FilePlace(path="/etc/kafka/s.properties", owner="kafka", mode="0600", become=True)
    commands = PlacingCommands(place=place)
    assert commands.new == "/etc/kafka/.s.properties.healthd-new"
    assert commands.backup == "/etc/kafka/s.properties.healthd-bak"
    assert commands.write().argv == (
        *("install", "-o", "kafka", "-m", "0600", "-T", "--"),
        *("/dev/stdin", "/etc/kafka/.s.properties.healthd-new"),
    )
    found = commands.all()
    assert all(command.become for command in found)
    assert {command.argv[0] for command in found} == {
        *("stat", "sha256sum", "cp", "mv", "install", "sync", "rm")
    }
    bare = PlacingCommands(place=FilePlace(path="/x", backup=False))
    assert not any(command.argv[0] == "cp" for command in bare.all())
    assert bare.flush_folder().argv == ("sync", "--", "/")


def test_a_step_lists_what_it_does_and_what_it_asks_once() -> None:
    checks = (
        CommandCheck(command=("test", "-e", "/x"), become=True),
        CommandCheck(command=("test", "-e", "/x"), become=True),
        FileCheck(file="/y", sha256="0" * 64),
    )
    found = host_commands_of(CommandAction(argv=("apt-get", "upgrade"), become=True), checks)
    assert [(command.argv[0], command.become) for command in found] == [
        *(("apt-get", True), ("test", True), ("stat", False), ("sha256sum", False))
    ]
    assert host_commands_of(WaitAction(until=()), ()) == ()
    reboot = host_commands_of(RebootAction(become=True))
    assert [command.argv[0] for command in reboot] == ["cat", "systemctl"]


@pytest.mark.parametrize(
    ("wanted", "text", "is_in"),
    [
        ("b+", "abbc", True),
        ("^b", "ab", False),
        ("b$", "ab", True),
        ("", "", True),
        ("x", "", False),
        ("a.c|z", "xabcx", True),
        ("^$", "a", False),
    ],
)
def test_a_pattern_is_found_in_some_part_of_a_text(wanted: str, text: str, *, is_in: bool) -> None:
    assert pattern(wanted).is_in(text) is is_in


@pytest.mark.parametrize("name", ["cp", "install"])
def test_a_link_that_stands_in_the_way_is_replaced_and_not_written_through(
    name: str, tmp_path: Path
) -> None:
    # sudo allows the command whoever sends it, and a link there may lead anywhere.
    (tmp_path / "s.properties").write_text("from outside")
    (tmp_path / "elsewhere").write_text("root's")
    commands = PlacingCommands(place=FilePlace(path=str(tmp_path / "s.properties")))
    Path(commands.new).symlink_to(tmp_path / "elsewhere")
    (command,) = (each for each in commands.all() if each.argv[0] == name)
    subprocess.run(piped(command), input=b"from outside", check=True)
    assert (tmp_path / "elsewhere").read_text() == "root's"
    assert not Path(commands.new).is_symlink()
    assert Path(commands.new).read_text() == "from outside"
