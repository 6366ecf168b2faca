"""Pure: a sudoers file with exactly the commands that are needed, and nothing that resembles them.

No wildcard is ever written: every character that sudo would take for one is escaped, and a command
without arguments is written so that it may have none. A line end inside an argument could only be
written as "one control character": in a text for a shell another one there changes what it does, so
that a check is passed over or two commands are one. Such an argument is not listed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_ESCAPES: Final[Mapping[str, str]] = {
    # Twice for sudo's reader, and once more for the pattern that it makes of the words.
    "\\": "\\" * 4,
    **{character: "\\" + character for character in ",:= \t#*?[]!^"},
}
BIN: Final = "/usr/bin"
SBIN: Final = "/usr/sbin"
_IN_SBIN: Final = frozenset(
    {"reboot", "shutdown", "poweroff", "halt", "service", "ip", "sysctl", "dpkg-reconfigure",
     "update-ca-certificates", "needrestart", "useradd", "usermod", "groupadd", "chroot"}
)  # fmt: skip
_WIDTH: Final = 96
_COMMENTS: Final = 2
"""Parts of a file before its first line."""
_SURROUNDINGS: Final = (
    'env_reset, secure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"'
)
"""With a PATH of the user's own, any program that a command runs by its name could be another."""


class NotListable(ValueError):  # noqa: N818  # It says what is the matter.
    """A command that no line of a sudoers file can allow exactly; says why."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class RootCommand:
    """A command that sudo has to run, and for what."""

    argv: tuple[str, ...]
    runas: str = "root"
    why: str = ""
    """`service stop`, or the name of a step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A host and what is needed on it."""

    name: str
    """For people; empty for any host."""
    commands: tuple[RootCommand, ...]


def file_for(playbook: str) -> str:
    """Where the lines of a playbook go: a file of its own, beside those of others.

    sudo passes over names with a dot.
    """
    return f"/etc/sudoers.d/healthd-{playbook.replace('.', '-')}"


def sudoers_file(
    user: str, places: Sequence[Place], *, title: str, path: str = "/etc/sudoers.d/healthd"
) -> str:
    """The file; what every host needs comes first, and then what only one does.

    Args:
        user: who runs the commands over SSH.
        places: the hosts.
        title: what the file is for, in one line.
        path: where it belongs on the hosts.

    Raises:
        NotListable: a command, or the user's name, cannot be written exactly.
    """
    shared = _shared(places)
    parts = [
        _comment(title),
        _comment(
            "Exactly these commands, word by word. Check it with: visudo -c -f FILE; then install "
            f"it on the hosts as {path}, owner root, mode 0440."
        ),
    ]
    name = _user(user)
    if shared:
        parts.append(_block(name, shared, "on every host" if len(places) > 1 else ""))
    for place in places:
        own = [each for each in _unique(place.commands) if _key(each) not in map(_key, shared)]
        if own:
            parts.append(_block(name, own, f"on {place.name}" if place.name else ""))
    if len(parts) == _COMMENTS:
        parts.append(_comment("No command needs sudo.") + "\n")
    else:
        parts.insert(_COMMENTS, f"\nDefaults:{name} {_SURROUNDINGS}")
    return "\n".join(parts)


def command_line(argv: Sequence[str]) -> str:
    """One command as a sudoers file has it.

    Raises:
        NotListable: it cannot be written exactly.
    """
    program, arguments = argv[0], argv[1:]
    if not program.startswith("/"):
        if "/" in program:
            raise NotListable(f"{program} is a relative path: write it from the root on")
        program = f"{SBIN if program in _IN_SBIN else BIN}/{program}"
    for argument in arguments:
        if not argument:
            raise NotListable(f"{program} has an empty argument, which sudo cannot tell apart")
        if "\n" in argument:
            raise NotListable(
                f"{program} has an argument of several lines, which sudo cannot tell from others: "
                "write it as one line, in YAML with >- and ; between its commands"
            )
        if not all(c.isprintable() or c == "\t" for c in argument):
            raise NotListable(f"{program} has an argument with control characters")
    words = " ".join(map(_escaped, arguments)) if arguments else '""'
    return f"{_escaped(program)} {words}"


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in text)


def _user(user: str) -> str:
    plain = user.replace("-", "").replace("_", "").replace(".", "")
    if not plain.isalnum() or not user.isascii() or user[0] in "-.":
        raise NotListable(f"{user!r} is no plain name of a user")
    return user


def _shared(places: Sequence[Place]) -> list[RootCommand]:
    first, *others = places
    sets = [{_key(each) for each in place.commands} for place in others]
    return [each for each in _unique(first.commands) if all(_key(each) in one for one in sets)]


def _unique(commands: Iterable[RootCommand]) -> list[RootCommand]:
    found: dict[tuple[str, tuple[str, ...]], RootCommand] = {}
    for each in commands:
        found.setdefault(_key(each), each)
    return list(found.values())


def _key(command: RootCommand) -> tuple[str, tuple[str, ...]]:
    return command.runas, command.argv


def _block(user: str, commands: Sequence[RootCommand], where: str) -> str:
    lines = [f"\n# {where}"] if where else [""]
    for each in commands:
        lines.append(f"# {_plain(each.why)}")
        try:
            line = command_line(each.argv)
        except NotListable as error:
            raise NotListable(f"{_plain(each.why)}: {error}") from None
        lines.append(f"{user} ALL=({_user(each.runas)}) NOPASSWD: {line}")
    return "\n".join(lines) + "\n"


def _comment(text: str) -> str:
    lines, line = [], "#"
    for word in _plain(text).split():
        if len(line) + len(word) >= _WIDTH:
            lines.append(line)
            line = "#"
        line += f" {word}"
    return "\n".join([*lines, line])


def _plain(text: str) -> str:
    # A comment must not end, and a backslash at its end would take the next line into it.
    return "".join(c for c in text if c.isprintable() and c != "\\")
