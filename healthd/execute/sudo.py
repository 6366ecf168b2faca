"""Pure: commands that begin with `sudo`, and what sudo says of them when it is only asked."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Final

LIST: Final = ("sudo", "-n", "-l")
"""Lists what may be run, runs nothing, and never asks."""

_WITH_VALUE: Final = frozenset({"-u", "-g", "--user", "--group"})
_FLAGS: Final = frozenset({"-n", "--non-interactive", "-H", "--set-home", "-E"})
_ENTRY: Final = re.compile(r"^\s+\((?P<who>[^)]*)\)\s*(?P<rest>.*)$")
_TAG: Final = re.compile(r"(?P<tag>[A-Z_]+):\s*")
_COMMA: Final = re.compile(r"(?<!\\),\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One command that sudo's list allows (or, with `!`, forbids)."""

    pattern: str
    wants_password: bool


def asked_of(argv: tuple[str, ...]) -> tuple[str, ...] | None:
    """What asks whether sudo would run this; None when the command does not begin with sudo."""
    options, rest = _parted(argv)
    return (*LIST, *options, "--", *rest) if rest else None


def as_root(argv: tuple[str, ...]) -> tuple[str, tuple[str, ...]] | None:
    """As whom sudo runs this command, and what; None when the command does not begin with sudo."""
    options, rest = _parted(argv)
    if not rest:
        return None
    users = [value for word, value in pairwise(options) if word in {"-u", "--user"}]
    return (users[-1] if users else "root"), rest


def _parted(argv: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The options of sudo that matter, and the command; no command when it is none of sudo's."""
    if not argv or argv[0].rpartition("/")[2] != "sudo":
        return (), ()
    rest, options = list(argv[1:]), []
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        if word == "--":
            break
        if word in _WITH_VALUE and rest:
            options += [word, rest.pop(0)]
        elif word not in _FLAGS:
            options.append(word)
    return tuple(options), tuple(rest)


def wants_password(command: str, listed: str) -> bool:
    """Whether the list says that this very command is allowed only with a password.

    Args:
        command: The full path and its arguments, as `sudo -l COMMAND` prints it.
        listed: What `sudo -l` prints.
    """
    if re.search(r"!authenticate\b", listed):
        return False
    found = [entry for entry in _entries(listed.splitlines()) if _fits(entry.pattern, command)]
    # The last one that matches is the one that counts.
    return bool(found) and found[-1].wants_password


def _entries(lines: Iterable[str]) -> Iterator[Entry]:
    joined: list[str] = []
    for line in lines:
        if _ENTRY.match(line):
            joined.append(line)
        elif joined and line.startswith("        "):
            joined[-1] += " " + line.strip()
    for line in joined:
        found = _ENTRY.match(line)
        asks = True
        for part in _COMMA.split(found["rest"] if found else ""):
            while tag := _TAG.match(part):
                asks = {"NOPASSWD": False, "PASSWD": True}.get(tag["tag"], asks)
                part = part[tag.end() :]  # noqa: PLW2901  # What is left behind its tags.
            yield Entry(pattern=part.strip(), wants_password=asks)


def _fits(pattern: str, command: str) -> bool:
    if pattern == "ALL":
        return True
    plain = re.sub(r"\\(.)", r"\1", pattern)
    path, space, words = plain.partition(" ")
    program, _, arguments = command.partition(" ")
    if not fnmatchcase(program, path):
        return False
    return not space or (words == '""' and not arguments) or fnmatchcase(arguments, words)
