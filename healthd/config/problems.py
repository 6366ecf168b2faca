"""What is wrong with a configuration: where, what, and what to do about it."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake, at a place an editor can jump to.

    A value that may be a secret is never part of the message.
    """

    file: str
    """The file as it was named, or where else the value came from (`environment`, `flags`)."""
    message: str
    action: str
    line: int | None = None
    """From 1; None when the place is not in a text file."""
    column: int | None = None
    """From 1."""
    path: str = ""
    """The place in the document, such as `clusters[0].bootstrapServers`."""

    @property
    def words(self) -> str:
        """What is wrong and where, without what to do."""
        place = self.file if self.line is None else f"{self.file}:{self.line}:{self.column}"
        what = f"{self.path}: {self.message}" if self.path else self.message
        return f"{place}: {what}"

    def __str__(self) -> str:
        return f"{self.words} -> {self.action}"

    def document(self) -> dict[str, str | int | None]:
        """The problem as `check-config -o json` prints it."""
        return {
            "line": self.line,
            "column": self.column,
            "path": self.path,
            "message": self.message,
            "action": self.action,
        }


class ConfigError(Exception):
    """A configuration that cannot be used; `problems` says why, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = in_order(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class FileUnopened(ConfigError):  # noqa: N818 - it says what happened.
    """A file that cannot be opened: another matter than one with mistakes (exit 2 against 3)."""

    def __init__(self, name: str, error: OSError) -> None:
        self.reason = f"cannot be opened: {error.strerror or error}"
        action = "check the path and its permissions"
        super().__init__([Problem(file=name, message=self.reason, action=action)])


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """The problems by place, each one once."""
    unique = dict.fromkeys(problems)
    return tuple(
        sorted(unique, key=lambda p: (p.line or 0, p.column or 0, p.path, p.message)),
    )
