"""Finding playbooks: the operator's own folder first, then those that healthd ships."""

import re
from pathlib import Path
from typing import Final

from healthd.config.problems import ConfigError, Problem
from healthd.config.yaml_source import Document, read_document
from healthd.waves.playbook import Playbook
from healthd.waves.playbook_parse import parse_playbook

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PACKAGE: Final = Path(__file__).resolve().parent.parent


def shipped(kind: str) -> Path:
    """The folder of what healthd ships (``playbooks``, ``config``), installed or in a checkout."""
    installed = _PACKAGE / "_shipped" / kind
    return installed if installed.is_dir() else _PACKAGE.parent / kind


class PlaybookNotFound(LookupError):  # noqa: N818  # It says what happened.
    """No folder has a playbook of that name; says which were looked in and what there is."""


def load_playbook(name: str, own_folder: Path | None = None) -> Playbook:
    """The playbook of a name.

    Raises:
        PlaybookNotFound: there is none.
        ConfigError: the file is not a valid playbook.
    """
    folders = [folder for folder in (own_folder, shipped("playbooks")) if folder is not None]
    if _NAME.fullmatch(name):
        for folder in folders:
            path = folder / f"{name}.yaml"
            if path.is_file():
                return read_playbook(path)
    known = sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})
    raise PlaybookNotFound(f"there is no playbook {name}; there are: {', '.join(known) or 'none'}")


def read_playbook(path: Path) -> Playbook:
    """The playbook in a file.

    Raises:
        ConfigError: it cannot be read or is not a valid playbook.
    """
    try:
        document, problems = read_document(path)
    except OSError as error:
        message = f"cannot be opened: {error.strerror or error}"
        action = "let healthd's user read it"
        raise ConfigError([Problem(file=str(path), message=message, action=action)]) from error
    if document is None:
        raise ConfigError(problems)
    parsed = parse_playbook(document.data)
    if isinstance(parsed, Playbook):
        return parsed
    raise ConfigError(document.located(problem) for problem in parsed)


def check_playbook(document: Document, _folder: Path) -> list[Problem]:
    """What is wrong with a playbook file."""
    parsed = parse_playbook(document.data)
    if isinstance(parsed, Playbook):
        return []
    return [document.located(problem) for problem in parsed]
