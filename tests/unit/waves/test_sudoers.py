"""A sudoers file allows what it lists, word by word."""

import pytest

from healthd.waves.sudoers import NotListable, Place, RootCommand, command_line, sudoers_file

STOP = RootCommand(argv=("systemctl", "stop", "kafka@1"), why="service stop")
APT = RootCommand(argv=("/usr/bin/apt-get", "update"), why="step: read the package lists")


def places(*commands: tuple[RootCommand, ...]) -> list[Place]:
    return [Place(name=f"b{at}", commands=each) for at, each in enumerate(commands, 1)]


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (("systemctl", "stop", "kafka"), "/usr/bin/systemctl stop kafka"),
        (("reboot",), '/usr/sbin/reboot ""'),
        (("/opt/x", "a=b", "c,d:e"), r"/opt/x a\=b c\,d\:e"),
        (("/x", "*", "[a]?", "!b", "^c$", "#d"), r"/x \* \[a\]\? \!b \^c$ \#d"),
        (("/x", "two words"), r"/x two\ words"),
        (("/x", "\\"), "/x \\\\\\\\"),
    ],
)
def test_every_character_stands_for_itself(argv: tuple[str, ...], line: str) -> None:
    assert command_line(argv) == line


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("bin/x",), "relative path"),
        (("/x", ""), "empty argument"),
        (("/x", "a\x1bb"), "control characters"),
        (("sh", "-c", "check || exit\nact"), "several lines, which sudo cannot tell from others"),
    ],
)
def test_what_cannot_be_said_exactly_is_refused(argv: tuple[str, ...], words: str) -> None:
    with pytest.raises(NotListable, match=words):
        command_line(argv)


def test_what_cannot_be_listed_names_its_step() -> None:
    odd = RootCommand(argv=("sh", "-c", "a\nb"), why="step: write it")
    with pytest.raises(NotListable, match="step: write it: /usr/bin/sh has an argument of several"):
        sudoers_file("ops", places((odd,)), title="x")


def test_what_every_host_needs_comes_first_and_once() -> None:
    other = RootCommand(argv=("systemctl", "stop", "kafka@2"), why="service stop")
    text = sudoers_file("ops", places((STOP, APT, APT), (other, APT)), title="A title.")
    lines = [line for line in text.splitlines() if not line.startswith("#") and line]
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert lines == [
        f'Defaults:ops env_reset, secure_path="{path}"',
        "ops ALL=(root) NOPASSWD: /usr/bin/apt-get update",
        "ops ALL=(root) NOPASSWD: /usr/bin/systemctl stop kafka@1",
        "ops ALL=(root) NOPASSWD: /usr/bin/systemctl stop kafka@2",
    ]
    assert text.index("# on every host") < text.index("# on b1") < text.index("# on b2")


def test_without_any_command_nothing_is_allowed() -> None:
    text = sudoers_file("ops", places(()), title="A title.")
    assert text.endswith("No command needs sudo.\n")
    assert "No command needs sudo." in text
    assert all(line.startswith("#") for line in text.splitlines())


def test_a_name_or_a_comment_adds_no_line() -> None:
    with pytest.raises(NotListable, match="no plain name"):
        sudoers_file("ops ALL=(ALL) ALL\n#", places((STOP,)), title="x")
    with pytest.raises(NotListable, match="no plain name"):
        sudoers_file("%wheel", places((STOP,)), title="x")
    evil = RootCommand(argv=("/x",), why="a\nops ALL=(ALL) NOPASSWD: ALL \\")
    text = sudoers_file("ops", places((evil,)), title="x\nops ALL=(ALL) ALL")
    assert [line for line in text.splitlines() if line and line[0] != "#"][1:] == [
        'ops ALL=(root) NOPASSWD: /x ""'
    ]
    assert "\\" not in text
