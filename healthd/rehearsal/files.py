"""Rehearsals from files: YAML or JSON, with the line and column of what is wrong."""

from pathlib import Path
from typing import Final

from healthd.config.playbooks import load_playbook
from healthd.config.problems import ConfigError, Problem, in_order
from healthd.config.yaml_source import STDIN, Document, parse_document
from healthd.model.json_reader import InputError, load_json
from healthd.model.kcat import is_kcat
from healthd.model.parse import snapshot_of
from healthd.model.snapshot import ClusterSnapshot
from healthd.rehearsal.document import parse_rehearsal
from healthd.rehearsal.rehearsal import Rehearsal
from healthd.waves.playbook import Playbook
from healthd.waves.problems import SpecProblem

_MAX_NODES: Final = 20_000_000
"""A snapshot of 400,000 partitions may stand in the file itself."""


def read_rehearsal(content: bytes, name: str, *, playbooks: Path | None = None) -> Rehearsal:
    """The rehearsal in a file's bytes.

    Args:
        content: the whole file.
        name: its path; a snapshot's path is relative to it. `-` is standard input.
        playbooks: the operator's own folder of playbooks.

    Raises:
        ConfigError: with everything that is wrong with it, each at its line and column.
    """
    folder = Path() if name == STDIN else Path(name).parent
    value = _as_json(content)
    document: Document | None = None
    if value is None:
        document = _document(content, name)
        value = document.data
    parsed = parse_rehearsal(
        value,
        read_snapshot=lambda path: _read_snapshot(folder / path),
        find_playbook=lambda playbook: _find(playbook, playbooks),
    )
    if isinstance(parsed, Rehearsal):
        return parsed
    raise ConfigError(_located(parsed, document, content, name))


def _located(
    found: list[SpecProblem], document: Document | None, content: bytes, name: str
) -> list[Problem]:
    """The problems at their lines and columns, where YAML's reader can tell them."""
    try:
        document = document or _document(content, name)
    except ConfigError:
        # JSON that is no YAML, such as one that is indented with tabs.
        return [
            Problem(file=name, path=each.path, message=each.message, action=each.action)
            for each in found
        ]
    return [document.located(each) for each in found]


def _as_json(content: bytes) -> object | None:
    """The value of a JSON document, read fast; None when it is not JSON, or not quite."""
    if not content.lstrip().startswith(b"{"):
        return None
    try:
        value: object = load_json(content)
    except InputError:
        return None  # YAML's reader says where the mistake is.
    return value


def _document(content: bytes, name: str) -> Document:
    document, problems = parse_document(content, name, max_nodes=_MAX_NODES)
    if document is None or problems:
        raise ConfigError(problems)
    return document


def _read_snapshot(path: Path) -> ClusterSnapshot:
    try:
        value = load_json(path.read_bytes())
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError("", f"cannot be read: {reason}") from None
    if is_kcat(value):
        raise InputError("", "is a kcat listing, which shows too little to rehearse on")
    return snapshot_of(value)


def _find(name: str, folder: Path | None) -> Playbook:
    try:
        return load_playbook(name, folder)
    except ConfigError as error:
        raise ValueError(str(in_order(error.problems)[0])) from error


def problem_text(error: ConfigError) -> str:
    """Everything that is wrong, in one line."""
    return "; ".join(_without_file(problem) for problem in error.problems)


def _without_file(problem: Problem) -> str:
    return str(problem).removeprefix(f"{problem.file}:")
