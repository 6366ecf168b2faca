"""YAML text to plain values plus the place of each; whatever is wrong with it becomes problems.

Nothing here raises for what a file contains. Opening it may raise OSError, for a file that cannot
be opened is another matter than one that is wrong (exit 2 against exit 3).
"""

import re
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import Reader, ReaderError

from healthd.config import yaml_nodes
from healthd.config.problems import Problem
from healthd.config.yaml_nodes import Finding, Node, Position, TreeBuilder, UnusableYamlError
from healthd.waves.policy import Location, SpecProblem, describe_type, render_path

MAX_BYTES: Final = 5_000_000
"""A fleet of 1,500 brokers takes 150 kB."""
MAX_NODES: Final = 200_000
"""Counted with every alias written out: a bomb of anchors ends here."""
STDIN: Final = "-"

_FIRST: Final = Position(line=1, column=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A file's content as plain values, and where each key and value stood."""

    file: str
    data: dict[str, Any]
    keys: Mapping[Location, Position]
    values: Mapping[Location, Position]

    def position(self, location: Location, *, of_key: bool = False) -> Position:
        """Where `location` is, or the nearest thing around it that the file has."""
        if of_key and location in self.keys:
            return self.keys[location]
        while location not in self.values and location:
            location = location[:-1]
        return self.values.get(location, _FIRST)

    def problem(
        self, location: Location, message: str, action: str, *, of_key: bool = False
    ) -> Problem:
        """A problem at that place of this file."""
        at = self.position(location, of_key=of_key)
        return Problem(
            file=self.file,
            line=at.line,
            column=at.column,
            path=render_path(location),
            message=message,
            action=action,
        )

    def located(self, problem: SpecProblem) -> Problem:
        """A wave's or policy's problem, with its line and column."""
        is_key = problem.is_key or any(
            words in problem.message for words in ("unknown key", "not built yet")
        )
        return self.problem(problem.location, problem.message, problem.action, of_key=is_key)


def read_document(
    file: str | Path, *, max_bytes: int = MAX_BYTES, max_nodes: int = MAX_NODES
) -> tuple[Document | None, list[Problem]]:
    """The document in a file (`-` is stdin) and what is wrong with its text.

    The document is None when nothing can be made of the text; it is there beside problems such
    as duplicate keys, so that one run can report more.

    Raises:
        OSError: The file cannot be opened or read.
    """
    content = read_bytes(file, max_bytes)
    if content is None:
        return None, [too_large(str(file), max_bytes)]
    return parse_document(content, str(file), max_nodes=max_nodes)


def read_bytes(file: str | Path, max_bytes: int) -> bytes | None:
    """The bytes of a file (`-` is stdin); None when there are more than `max_bytes`.

    Raises:
        OSError: The file cannot be opened or read.
    """
    try:
        if str(file) == STDIN:
            if sys.stdin is None:  # Python's own sign for a process that was started without one.
                raise OSError("there is no standard input")
            content = sys.stdin.buffer.read(max_bytes + 1)
        else:
            with Path(file).open("rb") as stream:
                content = stream.read(max_bytes + 1)
    except ValueError as error:
        raise OSError(f"{error}") from error
    return None if len(content) > max_bytes else content


def too_large(file: str, max_bytes: int) -> Problem:
    """What is wrong with a file that has more bytes than that."""
    message = f"is larger than {max_bytes} bytes"
    return _problem(file, _FIRST, message, "split it, or name the right file")


def parse_document(
    content: bytes, name: str, *, max_nodes: int = MAX_NODES
) -> tuple[Document | None, list[Problem]]:
    """As `read_document`, for bytes that are already at hand."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at = _position_in(content[: error.start].decode("utf-8-sig", "replace"))
        return None, [_problem(name, at, "is not UTF-8 text", "save the file as UTF-8")]
    builder: TreeBuilder | None = None
    try:
        # ruamel warns about odd directives and numbers; what matters of that is reported here.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            builder = TreeBuilder(text, max_nodes=max_nodes)
            root = builder.build()
    except UnusableYamlError as error:
        findings = [*(builder.findings if builder else ()), error.finding]
        return None, [_found(name, finding) for finding in findings]
    except YAMLError as error:
        return None, [_syntax_problem(name, text, error)]
    except Exception:  # noqa: BLE001 - a flaw of the YAML library must not become a traceback.
        return None, [_problem(name, _FIRST, "is not YAML", "correct the file's syntax")]
    return _document(name, root, builder.findings, max_nodes)


def _document(
    name: str, root: Node | None, findings: list[Finding], max_nodes: int
) -> tuple[Document | None, list[Problem]]:
    problems = [_found(name, finding) for finding in findings]
    is_nothing = root is None or (isinstance(root, yaml_nodes.Scalar) and root.value is None)
    if is_nothing and not problems:
        return None, [_problem(name, _FIRST, "the file is empty", "write its content")]
    if not isinstance(root, yaml_nodes.Mapping):
        if root is not None:
            plain: object = root.value if isinstance(root, yaml_nodes.Scalar) else []
            message = f"the top of the file must be a mapping, not {describe_type(plain)}"
            problems.append(_problem(name, root.position, message, "begin with key: value lines"))
        return None, problems
    flattener = _Flattener(max_nodes)
    try:
        data = flattener.plain(root, ())
    except UnusableYamlError as error:
        return None, [*problems, _found(name, error.finding)]
    document = Document(file=name, data=data, keys=flattener.keys, values=flattener.values)
    return document, problems


class _Flattener:
    """Turns the tree into plain values, writing aliases out and counting while it does."""

    def __init__(self, max_nodes: int) -> None:
        self.keys: dict[Location, Position] = {}
        self.values: dict[Location, Position] = {}
        self._max_nodes = max_nodes

    def plain(self, node: Node, location: Location) -> Any:
        self.values[location] = node.position
        if len(self.values) > self._max_nodes or len(location) > yaml_nodes.MAX_DEPTH:
            raise UnusableYamlError(
                Finding(
                    position=node.position,
                    message=f"more than {self._max_nodes} values once its aliases are written out",
                    action="remove the aliases",
                )
            )
        if isinstance(node, yaml_nodes.Scalar):
            return node.value
        if isinstance(node, yaml_nodes.Sequence):
            return [self.plain(item, (*location, at)) for at, item in enumerate(node.items)]
        mapping = {}
        for key, (position, value) in node.entries.items():
            self.keys[(*location, key)] = position
            mapping[key] = self.plain(value, (*location, key))
        return mapping


def _syntax_problem(name: str, text: str, error: YAMLError) -> Problem:
    # Only the short reason is kept: the library's snippet repeats a line of the file, and that
    # line may hold a password.
    if isinstance(error, ReaderError):
        before = Reader.NON_PRINTABLE.search(text) if hasattr(Reader, "NON_PRINTABLE") else None
        at = _position_in(text[: before.start()] if before else "")
        return _problem(name, at, "not YAML: a control character", "remove the character")
    reason, at = "", _FIRST
    if isinstance(error, MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        if mark is not None:
            at = Position(line=mark.line + 1, column=mark.column + 1)
        reason = re.sub(r"\s+", " ", error.problem or "")
    if _has_tab(text, at):
        return _problem(name, at, "not YAML: a tab", "indent with spaces")
    action = next((todo for sign, todo in _TO_DO if sign in reason), "correct the syntax here")
    return _problem(name, at, f"not YAML: {_safe_reason(reason)}", action)


_TO_DO: Final = (
    ("expected ',' or", "close the bracket, or put a text with { } [ ] : or # in it in quotes"),
    ("expected <block end>", "indent it as the lines that it belongs to"),
)
"""What a reason of the library comes from as a rule."""


_SECRET_LENGTH: Final = 4
"""What is shorter is punctuation."""


def _safe_reason(reason: str) -> str:
    """The library's reason without the words that it quotes from the file."""
    if not reason:
        return "the syntax is wrong here"
    return re.sub(r"""(['"])(.*?)\1""", _short_or_struck_out, reason)


def _short_or_struck_out(quoted: re.Match[str]) -> str:
    """Punctuation and the library's own words (``<stream end>``) stay; the file's do not."""
    word = quoted[2]
    return quoted[0] if len(word) < _SECRET_LENGTH or word.startswith("<") else "..."


def _has_tab(text: str, at: Position) -> bool:
    lines = text.splitlines()
    line = lines[at.line - 1] if at.line <= len(lines) else ""
    return line[at.column - 1 : at.column] == "\t" or "\t" in line[: len(line) - len(line.lstrip())]


def _position_in(before: str) -> Position:
    lines = re.split(r"\r\n|\r|\n", before)
    return Position(line=len(lines), column=len(lines[-1]) + 1)


def _found(name: str, finding: Finding) -> Problem:
    return _problem(name, finding.position, finding.message, finding.action)


def _problem(name: str, at: Position, message: str, action: str) -> Problem:
    return Problem(file=name, line=at.line, column=at.column, message=message, action=action)
