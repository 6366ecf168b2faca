"""Everything that is wrong, or looks wrong, in a playbook's file: with line, column and a code."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from healthd.config.playbook_sources import source_digests
from healthd.config.playbook_templates import template_findings
from healthd.config.playbooks import MAX_BYTES
from healthd.config.problems import Problem
from healthd.config.yaml_source import Document, parse_document, read_bytes, too_large
from healthd.waves.lint_changed import changed_findings
from healthd.waves.lint_commands import command_findings
from healthd.waves.lint_steps import step_findings, unused_findings
from healthd.waves.playbook import Playbook
from healthd.waves.playbook_parse import Reading, parse_playbook, read_data
from healthd.waves.problems import SpecProblem

NO_YAML: Final = "no-yaml"
"""The code of what keeps a text from being YAML."""
INVALID: Final = "invalid"
"""The code of a mistake that has none of its own."""
_IGNORE: Final = re.compile(r"#\s*lint:\s*ignore\s+([a-z, -]+)")


class Severity(StrEnum):
    """How bad a finding is; both are problems."""

    ERROR = "error"
    """healthd refuses the playbook."""
    WARNING = "warning"
    """healthd would run it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LintFinding:
    """One thing to look at."""

    problem: Problem
    code: str
    severity: Severity

    def __str__(self) -> str:
        found = self.problem
        place = found.file if found.line is None else f"{found.file}:{found.line}:{found.column}"
        what = f"{found.path}: {found.message}" if found.path else found.message
        return f"{place}: {self.severity}[{self.code}]: {what} -> {found.action}"

    def document(self) -> dict[str, str | int | None]:
        """The finding as `playbook lint -o json` prints it."""
        return {"severity": self.severity.value, "code": self.code, **self.problem.document()}


def lint_file(file: str) -> list[LintFinding]:
    """The findings in a file (`-` is stdin), in the order of its lines.

    Raises:
        OSError: it cannot be opened.
    """
    content = read_bytes(file, MAX_BYTES)
    if content is None:
        return [_error(too_large(file, MAX_BYTES), NO_YAML)]
    return lint_text(content, file, None if file == "-" else Path(file).parent)


def lint_text(content: bytes, name: str, folder: Path | None) -> list[LintFinding]:
    """The findings in a text.

    Args:
        content: what the file has.
        name: the file's.
        folder: where the files are that its steps send; None: they are not looked at.
    """
    document, problems = parse_document(content, name)
    found = [_error(problem, NO_YAML) for problem in problems]
    if document is not None:
        found += _kept(_lint(document, folder), content)
    return sorted(dict.fromkeys(found), key=_order)


def _lint(document: Document, folder: Path | None) -> list[LintFinding]:
    reading = read_data(document.data)
    if not reading.is_playbook:
        return [_located(document, problem, Severity.ERROR) for problem in reading.problems]
    errors = list(reading.problems)
    parsed = parse_playbook(document.data)
    if isinstance(parsed, Playbook) and folder is not None:
        errors += source_digests(parsed, folder)[1]
    templates, named = template_findings(reading, folder)
    warnings = [
        *step_findings(reading),
        *changed_findings(reading),
        *command_findings(document.data.get("steps"), reading.variables),
        *_unused(reading, document, named),
        *templates,
        *(_misnamed(reading, Path(document.file)) if folder is not None else ()),
    ]
    return [
        _located(document, problem, severity)
        for problems, severity in ((errors, Severity.ERROR), (warnings, Severity.WARNING))
        for problem in problems
    ]


def _misnamed(reading: Reading, file: Path) -> Iterable[SpecProblem]:
    """A wave finds a playbook by its file's name, and refuses one that has another itself."""
    if reading.name is not None and file.name != f"{reading.name}.yaml":
        message = f"no wave would find it: its file is not {reading.name}.yaml"
        action = "rename the one or the other"
        yield SpecProblem(location=("name",), message=message, action=action, code="misnamed")


def _unused(reading: Reading, document: Document, named: frozenset[str]) -> Iterable[SpecProblem]:
    """Variables that nothing uses, but for those that have a mistake of their own."""
    wrong = {problem.location[:2] for problem in reading.problems}
    for problem in unused_findings(reading, document.data, named):
        if problem.location not in wrong:
            yield problem


def _located(document: Document, problem: SpecProblem, severity: Severity) -> LintFinding:
    code = problem.code or INVALID
    return LintFinding(problem=document.located(problem), code=code, severity=severity)


def _kept(found: Iterable[LintFinding], content: bytes) -> list[LintFinding]:
    """Without the warnings that a comment on their line, or on the one before, has answered."""
    lines = content.decode("utf-8", "replace").splitlines()
    answered: dict[int, set[str]] = {}
    for number, line in enumerate(lines, start=1):
        match = _IGNORE.search(line)
        if match is not None:
            codes = set(re.split(r"[\s,]+", match[1].strip()))
            is_alone = line.lstrip().startswith("#")
            answered.setdefault(number + 1 if is_alone else number, set()).update(codes)
    return [
        each
        for each in found
        if each.severity is Severity.ERROR
        or each.code not in answered.get(each.problem.line or 0, ())
    ]


def _error(problem: Problem, code: str) -> LintFinding:
    return LintFinding(problem=problem, code=code, severity=Severity.ERROR)


def _order(found: LintFinding) -> tuple[int, int, str, str]:
    problem = found.problem
    return problem.line or 0, problem.column or 0, problem.path, problem.message
