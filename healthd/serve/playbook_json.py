"""The playbooks that a wave can name, as the API shows them."""

from pathlib import Path
from typing import Any

from healthd.config.playbook_digests import DigestList
from healthd.config.playbooks import PlaybookFile, playbook_files
from healthd.config.problems import ConfigError
from healthd.waves.playbook_steps import Variable


def playbooks_json(own_folder: Path | None = None, allowed: Path | None = None) -> dict[str, Any]:
    """Every playbook by name, and what is wrong with files that are none.

    Args:
        own_folder: the operator's playbooks.
        allowed: the file of digests; None: every playbook is allowed.
    """
    digests, problems = _digests(allowed)
    found: list[dict[str, Any]] = []
    for file in playbook_files(own_folder):
        if isinstance(file, ConfigError):
            problems += [{"file": each.file, **each.document()} for each in file.problems]
        else:
            found.append(_playbook(file, is_allowed=_is_allowed(file, allowed, digests)))
    return {"playbooks": found, "problems": problems}


def _digests(allowed: Path | None) -> tuple[DigestList | None, list[dict[str, Any]]]:
    if allowed is None:
        return None, []
    try:
        return DigestList.read(allowed), []
    except ConfigError as error:
        return None, [{"file": each.file, **each.document()} for each in error.problems]


def _is_allowed(file: PlaybookFile, allowed: Path | None, digests: DigestList | None) -> bool:
    if allowed is None:
        return True
    return digests is not None and digests.allows(file.digest, file.playbook.name)


def _playbook(file: PlaybookFile, *, is_allowed: bool) -> dict[str, Any]:
    playbook = file.playbook
    return {
        "name": playbook.name,
        "description": playbook.description,
        "digest": file.digest,
        "isAllowed": is_allowed,
        "target": playbook.target.value,
        "gate": playbook.gate.value,
        "restarts": playbook.restarts,
        "variables": [_variable(each) for each in playbook.variables],
        "steps": [
            {"name": step.name, "kind": step.kind.value, "timeoutSeconds": step.timeout}
            for step in playbook.steps
        ],
    }


def _variable(variable: Variable) -> dict[str, Any]:
    return {
        "name": variable.name,
        "type": variable.type.value,
        "default": variable.default,
        "description": variable.description,
        "pattern": variable.pattern,
        "oneOf": list(variable.one_of),
        "minimum": variable.minimum,
        "maximum": variable.maximum,
    }
