"""Where secrets come from: a file, the environment or a command, never the configuration."""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from healthd.config.problems import ConfigError, Problem
from healthd.config.secret_programs import ProgramError, SecretPrograms, shown
from healthd.waves.policy import Location

ENVIRONMENT_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET_WORDS: Final = (
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "apikey",
    "privatekey",
    "jaas",
)
COMMAND_SECONDS: Final = 10.0
_PRIVATE_KEY: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_TOO_WIDE: Final = 0o077
"""Bits beyond 0600 that let others in, the group too."""
_PROGRAMS: Final = SecretPrograms()


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretRef:
    """Where a secret is; exactly one of the three. Holds no secret, so it may be printed."""

    file: Path | None = None
    env: str | None = None
    command: tuple[str, ...] = ()
    """A program, run where healthd runs, that prints it; white space around it is left out."""
    timeout_seconds: float = COMMAND_SECONDS
    """How long the program may take."""
    place: str = field(default="", compare=False)
    """What names it, for errors about its program: ``cluster a: security.passwordCommand``."""

    def read(self) -> str:
        """The secret itself, without the line end of a file. Never log it.

        It blocks while the program of a `command` runs. What that printed is given again for some
        seconds (see `SecretPrograms`).

        Raises:
            ConfigError: The file or variable is not there or is empty, or the program fails; names
                it, shows no value.
        """
        if self.command:
            return self._printed()
        if self.file is not None:
            try:
                value = _private_text(self.file).rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
                raise _unreadable(str(self.file), f"the secret cannot be read: {reason}") from None
            if not value:
                raise _unreadable(str(self.file), "the secret file is empty")
            return value
        value = os.environ.get(self.env or "", "")
        if not value:
            raise _unreadable("environment", f"{self.env} is not set")
        return value

    def expect(self) -> None:
        """Say at once what will never be there; neither opens a file nor runs a program.

        Raises:
            ConfigError: The variable is not set.
        """
        if self.env is not None:
            self.read()

    def _printed(self) -> str:
        try:
            return _PROGRAMS.printed(self.command, self.timeout_seconds)
        except ProgramError as error:
            name = shown(self.command)
            problem = Problem(
                file=self.place or f"command {name}",
                message=f"the program {name} {error}",
                action=error.action,
            )
        raise ConfigError([problem])


def _private_text(path: Path) -> str:
    """The text of a file that is for its owner alone at this moment.

    Raises:
        ConfigError: others may use it.
        OSError: it cannot be read.
        UnicodeDecodeError: it is no text.
    """
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        found = _too_wide(path, status)
        if found is not None:
            message, action = found
            raise ConfigError([Problem(file=str(path), message=message, action=action)])
        return file.read().decode("utf-8")


def _too_wide(path: Path, status: os.stat_result) -> tuple[str, str] | None:
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISREG(status.st_mode) and mode & _TOO_WIDE:
        return f"file {path} has mode {mode:04o}: others may use it", f"run chmod 600 {path}"
    return None


def _unreadable(file: str, message: str) -> ConfigError:
    return ConfigError([Problem(file=file, message=message, action="provide the secret there")])


def file_problem(path: Path, *, is_private: bool) -> tuple[str, str] | None:
    """Why a file that the configuration names cannot be used, and what to do; None when it can.

    Args:
        path: The file.
        is_private: Whether nobody but its owner may use it.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        return f"file {path} cannot be used: {reason}", "create it, or correct the path"
    if not stat.S_ISREG(status.st_mode):
        return f"{path} is not a file", "name a file"
    wide = _too_wide(path, status) if is_private else None
    if wide is not None:
        return wide
    if not os.access(path, os.R_OK):
        return f"file {path} may not be read by this user", "change its owner or group"
    return None


def is_secret_key(key: str) -> bool:
    """Whether a key of this name would hold a secret itself rather than say where one is."""
    plain = re.sub(r"[^a-z]", "", key.lower())
    # The address of a token endpoint is no token.
    says_where = ("file", "env", "command", "endpointurl")
    return any(word in plain for word in _SECRET_WORDS) and not plain.endswith(says_where)


def _reference_key(key: str) -> str:
    plain = re.sub(r"[^a-z]", "", key.lower())
    if "pass" not in plain:
        return key
    return "keyPassword" if "key" in plain else "password"


def secrets_in_clear(data: Any, location: Location = ()) -> Iterator[tuple[Location, str, str]]:
    """Every place that holds a secret as a literal: location, message and action, no value."""
    if isinstance(data, dict):
        for key, value in data.items():
            here = (*location, key)
            if is_secret_key(key) and isinstance(value, str | int | float) and value != "":
                message = f"{key} is a secret in clear; its value is not shown here"
                right = _reference_key(key)
                references = f"{right}File: PATH, or {right}Env: NAME"
                if location[-1:] == ("variables",):  # Of playbooks: their names are not ours.
                    references = f"{key}: {{file: PATH}}"
                yield here, message, f"put it in a file of mode 0600 and write {references}"
            else:
                yield from secrets_in_clear(value, here)
    elif isinstance(data, list):
        for at, item in enumerate(data):
            yield from secrets_in_clear(item, (*location, at))
    elif isinstance(data, str) and _PRIVATE_KEY.search(data):
        yield location, "holds a private key in clear", "put it in a file of mode 0600"
