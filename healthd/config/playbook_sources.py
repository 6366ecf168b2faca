"""The files beside a playbook that its steps send or run: where they are, and their digests."""

from hashlib import sha256
from pathlib import Path
from typing import Final

from healthd.waves.playbook import Playbook
from healthd.waves.playbook_steps import UploadAction
from healthd.waves.problems import Location, SpecProblem

MAX_SOURCE_BYTES: Final = 16 * 1024 * 1024
"""What is larger is no configuration; hosts fetch it from a package server."""
_BLOCK: Final = 1024 * 1024


def source_digests(
    playbook: Playbook, folder: Path
) -> tuple[tuple[tuple[str, str], ...], list[SpecProblem]]:
    """The SHA-256 of every file that a playbook names, by name, and what is wrong with them."""
    found: dict[str, str] = {}
    problems: list[SpecProblem] = []
    for at, key, name in playbook.sources:
        step = playbook.steps[at]
        where: Location = ("steps", at, step.kind.value, key)
        digest = _digest(folder, name)
        if isinstance(digest, tuple):
            message, action = digest
            problems.append(SpecProblem(location=where, message=message, action=action))
            continue
        found[name] = digest
        wanted = step.action.sha256 if isinstance(step.action, UploadAction) else None
        if wanted is not None and "${" not in wanted and wanted != digest:
            message = f"{name} has SHA-256 {digest}, which is not the step's sha256"
            action = "correct the file, or its sha256"
            problems.append(SpecProblem(location=where, message=message, action=action))
    return tuple(sorted(found.items())), problems


def _digest(folder: Path, name: str) -> str | tuple[str, str]:
    """The digest of a file, or message and action when it is none that may be sent."""
    path = folder / name
    try:
        real = path.resolve(strict=True)
        if not real.is_relative_to(folder.resolve()):
            message = f"{name} leads out of the playbook's folder"
            return message, "put the file itself beside the playbook"
        if not real.is_file():
            return f"{name} is no file", "name a file"
        sum_of, size = sha256(), 0
        with real.open("rb") as stream:
            while block := stream.read(_BLOCK):
                size += len(block)
                if size > MAX_SOURCE_BYTES:
                    message = f"{name} has more than {MAX_SOURCE_BYTES} bytes"
                    return message, "let the host fetch it by a command"
                sum_of.update(block)
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "no path"
        return f"{name} cannot be read: {reason}", "put it beside the playbook"
    return sum_of.hexdigest()
