"""Finding playbooks: the operator's own folder first, then those that healthd ships."""

from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Final

from healthd.config.playbook_digests import DigestList, playbook_file_digest
from healthd.config.playbook_sources import source_digests
from healthd.config.problems import ConfigError, FileUnopened, Problem
from healthd.config.yaml_source import Document, parse_document, read_bytes, too_large
from healthd.waves.playbook import Playbook
from healthd.waves.playbook_parse import parse_playbook
from healthd.waves.spec_findings import PLAYBOOK

MAX_BYTES: Final = 1_000_000
"""Of a playbook's file; the longest that we know takes 10 kB."""
_PACKAGE: Final = Path(__file__).resolve().parent.parent


def shipped(kind: str) -> Path:
    """The folder of what healthd ships (``playbooks``, ``config``), installed or in a checkout."""
    installed = _PACKAGE / "_shipped" / kind
    return installed if installed.is_dir() else _PACKAGE.parent / kind


class PlaybookNotFound(LookupError):  # noqa: N818  # It says what happened.
    """No folder has a playbook of that name; says which were looked in and what there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybookFile:
    """A playbook as it was read from its file."""

    path: Path
    playbook: Playbook
    digest: str
    """SHA-256 of the file, and of the files that its steps send (`playbook_file_digest`)."""


def load_playbook(
    name: str, own_folder: Path | None = None, allowed: Path | None = None
) -> Playbook:
    """The playbook of a name.

    Args:
        name: the playbook's; with ``@sha256:DIGEST`` behind it only exactly that one is meant.
        own_folder: looked in before what healthd ships.
        allowed: the file of digests that has to have its own; None: every playbook is allowed.

    Raises:
        PlaybookNotFound: there is none.
        FileUnopened: its file cannot be opened, or a folder not be looked into.
        ConfigError: the file is not a valid playbook, or not one that is allowed.
    """
    folders = [folder for folder in (own_folder, shipped("playbooks")) if folder is not None]
    reference = PLAYBOOK.fullmatch(name)
    if reference is not None:
        plain, digest = reference.groups()
        for folder in folders:
            path = folder / f"{plain}.yaml"
            if _is_file(path):
                file = read_playbook_file(path)
                _require_meant(file, plain, digest)
                return replace(_allowed(file, plain, allowed), asked_digest=digest)
    known = sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})
    raise PlaybookNotFound(f"there is no playbook {name}; there are: {', '.join(known) or 'none'}")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        raise FileUnopened(str(path), error) from error


def _require_meant(file: PlaybookFile, name: str, digest: str | None) -> None:
    if digest is None or digest == file.digest:
        return
    message = f"the playbook {name} is not the one that is asked for: it has the digest"
    action = f"look at what has changed, then ask for {name}@sha256:{file.digest}"
    raise ConfigError(
        [
            Problem(
                file=str(file.path), message=f"{message} {file.digest}, not {digest}", action=action
            )
        ]
    )


def _allowed(file: PlaybookFile, name: str, allowed: Path | None) -> Playbook:
    if file.playbook.name != name:
        message = f"the playbook in {name}.yaml has the name {file.playbook.name}"
        action = f"write name: {name}, or rename the file: a wave finds it by both"
        raise ConfigError([Problem(file=str(file.path), message=message, action=action)])
    if allowed is not None:
        DigestList.read(allowed).require(file.digest, name, str(file.path))
    return file.playbook


def playbook_files(own_folder: Path | None) -> list[PlaybookFile | ConfigError]:
    """Every playbook that a wave can name, by name, or what is wrong with its file."""
    found: dict[str, Path] = {}
    for folder in (shipped("playbooks"), own_folder):
        if folder is not None:
            found |= {path.stem: path for path in folder.glob("*.yaml") if path.is_file()}
    files: list[PlaybookFile | ConfigError] = []
    for _, path in sorted(found.items()):
        try:
            files.append(read_playbook_file(path))
        except ConfigError as error:
            files.append(error)
    return files


def read_playbook(path: Path) -> Playbook:
    """The playbook in a file.

    Raises:
        FileUnopened: it cannot be opened.
        ConfigError: it is not a valid playbook.
    """
    return read_playbook_file(path).playbook


def read_playbook_file(path: Path) -> PlaybookFile:
    """The playbook in a file, and its digest: both of the same bytes.

    Raises:
        FileUnopened: it cannot be opened.
        ConfigError: it is not a valid playbook.
    """
    try:
        content = read_bytes(path, MAX_BYTES)
    except OSError as error:
        raise FileUnopened(str(path), error) from error
    if content is None:
        raise ConfigError([too_large(str(path), MAX_BYTES)])
    document, problems = parse_document(content, str(path))
    if document is None or problems:
        raise ConfigError(problems)
    playbook, problems = playbook_of(document, path.parent)
    if playbook is None:
        raise ConfigError(problems)
    digest = playbook_file_digest(sha256(content).hexdigest(), playbook.files)
    return PlaybookFile(path=path, playbook=playbook, digest=digest)


def playbook_of(document: Document, folder: Path | None) -> tuple[Playbook | None, list[Problem]]:
    """The playbook in a document, with the digests of the files that its steps send.

    Args:
        document: the file's content.
        folder: where these files are; None: they are not looked at.
    """
    parsed = parse_playbook(document.data)
    if not isinstance(parsed, Playbook):
        return None, [document.located(problem) for problem in parsed]
    if folder is None or not parsed.sources:
        return parsed, []
    digests, problems = source_digests(parsed, folder)
    if problems:
        return None, [document.located(problem) for problem in problems]
    return replace(parsed, folder=str(folder.absolute()), files=digests), []


def check_playbook(document: Document, folder: Path) -> list[Problem]:
    """What is wrong with a playbook file."""
    return playbook_of(document, folder)[1]
