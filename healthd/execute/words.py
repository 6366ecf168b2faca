"""Why a host did not begin a command, read from its exit code and its words."""

import re
import shlex
from dataclasses import replace
from typing import Final

from healthd.execute.protocol import Command, ExecKind, Outcome, Target, Trouble
from healthd.execute.redact import redact

_ASKS: Final = re.compile(
    r"^sudo: (?:a password is required"
    r"|a terminal is required to read the password"
    r"|no tty present and no askpass program specified"
    r"|(?:sorry, )?you must have a tty to run sudo"
    r"|interactive authentication is required)",
    re.MULTILINE | re.IGNORECASE,
)
_REFUSES: Final = re.compile(
    r"is not in the sudoers file|is not allowed to (?:execute|run)"
    r"|^Sorry, user .* may not run sudo|^sudo: account validation failure"
    r"|^sudo: .*(?:no valid sudoers sources|must be owned by uid 0)",
    re.MULTILINE | re.IGNORECASE,
)
_SUDO_NOT_FOUND: Final = re.compile(r"^sudo: .*: command not found", re.MULTILINE)
_SUDO: Final = frozenset({"sudo", "/usr/bin/sudo", "/usr/local/bin/sudo"})
_NOT_FOUND: Final = 127
_NOT_EXECUTABLE: Final = 126
_MAX_WORDS: Final = 200


def explained(outcome: Outcome, command: Command, target: Target) -> Outcome:
    """The outcome, with its trouble and what to do where the command was not begun."""
    if outcome.kind is not ExecKind.EXITED or not outcome.exit_code:
        return outcome
    found = trouble_of(command.words, outcome.exit_code, outcome.stderr, host=target.address)
    if found is None:
        return outcome
    trouble, detail = found
    return replace(outcome, trouble=trouble, detail=redact(detail, command.secrets))


def trouble_of(
    words: tuple[str, ...], code: int, stderr: str, *, host: str
) -> tuple[Trouble, str] | None:
    """What kept these words from being begun, and what to do; None when they have run.

    sudo says these things in English when the locale is C, which is what a session that asks for
    no other has; what it says in another language is shown as it is.
    """
    is_sudo = words[0] in _SUDO
    wanted = _wanted(words)
    said = shlex.join(wanted)[:_MAX_WORDS]
    if is_sudo and _ASKS.search(stderr):
        return Trouble.SUDO_ASKS, (
            f"sudo asks for a password on {host} for: {said}; healthd types none: allow it with "
            "NOPASSWD, see healthd playbook sudoers"
        )
    if is_sudo and _REFUSES.search(stderr):
        return Trouble.SUDO_REFUSES, (
            f"sudo on {host} does not allow this user: {said}; see healthd playbook sudoers"
        )
    if code == _NOT_FOUND or (is_sudo and _SUDO_NOT_FOUND.search(stderr)):
        # It is the shell that ends so; a script that calls something else may do so as well.
        name = words[0] if code == _NOT_FOUND else wanted[0]
        return Trouble.NOT_FOUND, f"{name} was not found on {host}{_last(stderr)}"
    if code == _NOT_EXECUTABLE:
        return Trouble.NOT_EXECUTABLE, f"{wanted[0]} cannot be executed on {host}{_last(stderr)}"
    return None


def _wanted(words: tuple[str, ...]) -> tuple[str, ...]:
    """The words behind sudo and its options."""
    if words[0] not in _SUDO:
        return words
    rest = list(words[1:])
    while rest and rest[0].startswith("-"):
        if rest.pop(0) == "--":
            break
    return tuple(rest) or words


def _last(stderr: str) -> str:
    lines = [line for line in stderr.splitlines() if line.strip()]
    return f": {lines[-1].strip()[:_MAX_WORDS]}" if lines else ""
