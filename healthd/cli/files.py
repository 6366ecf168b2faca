"""Commands that answer for FILE...: reading, the line of each file, and the exit code.

The rules are those of contract.md section 1: one object a line and a ``file`` in each when several
files were given; a file that cannot be read has its error on its line and the others are still
answered; the exit code is the answer's own for one file, and 0 or 2 for several.
"""

import io
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import click

from healthd.model.json_reader import InputError, printable

STDIN: Final = "-"
EXIT_OK: Final = 0
EXIT_UNUSABLE: Final = 2
"""Exit code for unreadable input, and for a named broker that the input lacks."""

Answer = Callable[[bytes], tuple[dict[str, Any], int]]
"""From a file's bytes to the JSON object and the exit code; raises `InputError`."""
NamedAnswer = Callable[[str, bytes], tuple[dict[str, Any], int]]
"""As `Answer`, given the file's name as well."""
Table = Callable[[dict[str, Any]], None]
"""Prints the JSON object for a person."""

files_argument = click.argument("files", metavar="FILE...", nargs=-1, required=True)
"""The decorator for the FILE... argument; nothing is opened while the command line is read."""

output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="For people, or for programs.",
)
"""The decorator for ``-o table|json``."""


def answer_files(files: Sequence[str], output: str, answer: Answer, table: Table) -> int:
    """As `answer_named_files`, where the answer asks for no name."""
    return answer_named_files(files, output, lambda _name, data: answer(data), table)


def answer_named_files(files: Sequence[str], output: str, answer: NamedAnswer, table: Table) -> int:
    """The exit code, after the answer for each file was printed in the order given.

    Args:
        files: paths; ``-`` is standard input, which is read once however often it is named.
        output: ``table`` or ``json``.
        answer: makes the JSON object of one file and its exit code.
        table: prints that object as text.
    """
    _print_anything()
    several = len(files) > 1
    read = _Reader()
    worst = EXIT_OK
    for name in files:
        try:
            found, code = answer(name, read(name))
        except InputError as error:
            _show_error(name, error, output, several=several)
            worst = EXIT_UNUSABLE
            continue
        if output == "json":
            _print_json({"file": encodable(name), **found} if several else found)
        else:
            if several:
                click.echo(f"{printable(name)}:")
            table(found)
            if several:
                click.echo()
        if not several:
            worst = code
    return worst


def print_answer(found: dict[str, Any], output: str, table: Table) -> None:
    """Print the answer about a cluster that was not read from a file."""
    _print_anything()
    if output == "json":
        _print_json(found)
    else:
        table(found)


def _print_anything() -> None:
    # A topic's name may hold what the terminal's encoding does not; that must not end in a trace.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def read_input(name: str) -> bytes:
    """The bytes of a file, or of standard input.

    Raises:
        InputError: it cannot be read; the message says why.
    """
    return _Reader()(name)


class _Reader:
    """Reads files, and standard input at most once."""

    def __init__(self) -> None:
        self._stdin: bytes | None = None

    def __call__(self, name: str) -> bytes:
        """The bytes of a file.

        Raises:
            InputError: it cannot be read; the message says why.
        """
        try:
            if name != STDIN:
                return Path(name).read_bytes()
            if self._stdin is None:
                self._stdin = _read_stdin()
        except (OSError, ValueError) as error:
            # Besides what the system refuses: a path with a NUL, a standard input that is closed.
            reason = getattr(error, "strerror", None) or str(error)
            raise InputError("", f"cannot be read: {reason}") from None
        return self._stdin


def _read_stdin() -> bytes:
    if sys.stdin is None:  # Python's own sign for a process that was started without one.
        raise ValueError("there is no standard input")
    return sys.stdin.buffer.read()


def _show_error(name: str, error: InputError, output: str, *, several: bool) -> None:
    if output == "json":
        _print_json({"file": encodable(name), "error": str(error)})
    # On the terminal too when there is one file: its JSON line often goes into a pipe.
    if output != "json" or not several:
        click.echo(f"healthd: {printable(name)}: {error}", err=True)


def _print_json(found: dict[str, Any]) -> None:
    # One line for one file as well: what reads many can read one. ASCII survives every locale.
    click.echo(json.dumps(found, separators=(", ", ": "), allow_nan=False))


def encodable(name: str) -> str:
    """A file's name as it was given, with bytes that are no UTF-8 as escapes."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


class Finding(Protocol):
    """Something that is wrong with a file, as ``str`` for people."""

    def document(self) -> dict[str, Any]:
        """The same for programs."""
        ...


def print_findings(
    file: str, found: Sequence[Finding], output: str, unchecked: Sequence[Finding] = ()
) -> None:
    """What is wrong with one file, or that nothing is; and what could not be looked at."""
    if output == "json":
        line: dict[str, Any] = {
            "file": encodable(file),
            "problems": [each.document() for each in found],
        }
        if unchecked:
            line["unchecked"] = [each.document() for each in unchecked]
        click.echo(json.dumps(line))
        return
    for each in unchecked:
        click.echo(printable(str(each)), err=True)
    for each in found:
        click.echo(printable(str(each)))
    if not found:
        click.echo(f"{printable(file)}: ok")


def print_unopened(file: str, reason: str, output: str) -> None:
    """Why a file cannot be opened."""
    message = f"cannot be opened: {reason}"
    if output == "json":
        click.echo(json.dumps({"file": encodable(file), "error": message}))
    else:
        click.echo(f"{printable(file)}: {message} -> check the path and its permissions", err=True)
