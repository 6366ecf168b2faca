"""What `check-config` can check: a checker for each kind of file."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from healthd.config.fleet_file import parse_fleet
from healthd.config.playbooks import check_playbook
from healthd.config.problems import Problem, in_order
from healthd.config.scoring_file import check_scoring
from healthd.config.secrets import secrets_in_clear
from healthd.config.settings import SETTING_KEYS, settings_problems
from healthd.config.tokens_file import check_tokens
from healthd.config.wave_check import WaveContext, check_variables
from healthd.config.yaml_source import Document, read_document
from healthd.waves.policy import unknown_key, unmeetable
from healthd.waves.spec import WaveSpec, parse_wave

Checker = Callable[[Document, Path], list[Problem]]
"""From a document, and the folder that relative paths start from, to its problems."""

SETTINGS: Final = "Settings"
WAVE: Final = "Wave"


def _check_fleet(document: Document, folder: Path) -> list[Problem]:
    return parse_fleet(document, folder)[1]


def _check_settings(document: Document, _folder: Path) -> list[Problem]:
    return settings_problems(document)


def _check_wave(document: Document, _folder: Path) -> list[Problem]:
    problems = [document.problem(*found, of_key=True) for found in secrets_in_clear(document.data)]
    in_clear = {problem.path for problem in problems}
    parsed = parse_wave(document.data)
    if isinstance(parsed, WaveSpec):
        found = [problem.under("policy") for problem in unmeetable(parsed.policy)]
    else:
        found = [problem for problem in parsed if problem.path not in in_clear]
    return [*problems, *(document.located(problem) for problem in found)]


CHECKERS: Final[dict[str, Checker]] = {
    "Fleet": _check_fleet,
    WAVE: _check_wave,
    "Playbook": check_playbook,
    "ScoringProfile": check_scoring,
    "Tokens": check_tokens,
    SETTINGS: _check_settings,
}
"""By the file's `kind`; a room that reads another kind adds its checker here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What came of a check, in the order of the file's lines."""

    problems: tuple[Problem, ...]
    unchecked: tuple[Problem, ...] = ()
    """What could not be looked at, and what that takes; no mistakes."""


def check_file(
    file: str | Path, kind: str | None = None, context: WaveContext | None = None
) -> Checked:
    """What is wrong with a file (`-` is stdin).

    Args:
        file: The file.
        kind: What it is meant to be; by its own `kind` when None.
        context: What a wave file is held against; None: it is only looked at by itself.

    Raises:
        OSError: The file cannot be opened.
    """
    document, problems = read_document(file)
    if document is None:
        return Checked(problems=in_order(problems))
    folder = Path() if str(file) == "-" else Path(file).parent
    if kind is None:
        kind, problem = _kind_of(document)
        if problem is not None:
            return Checked(problems=in_order([*problems, problem]))
    problems = [*problems, *CHECKERS[kind](document, folder)]
    if kind != WAVE or context is None:
        return Checked(problems=in_order(problems))
    more, unchecked = _held_against(document, context)
    told = {problem.path for problem in problems}  # A secret in clear is one mistake, not two.
    problems += [problem for problem in more if problem.path not in told]
    return Checked(problems=in_order(problems), unchecked=in_order(unchecked))


def _held_against(document: Document, context: WaveContext) -> tuple[list[Problem], list[Problem]]:
    spec = parse_wave(document.data)
    if not isinstance(spec, WaveSpec):
        return [], []
    found = check_variables(spec, context)
    problems = [document.located(problem) for problem in found.problems]
    return problems, [document.located(problem) for problem in found.unchecked]


def _kind_of(document: Document) -> tuple[str, Problem | None]:
    """The file's kind, or the problem that it has none that can be checked."""
    if "kind" not in document.data:
        if any(key in SETTING_KEYS for key in document.data):
            return SETTINGS, None
        kinds = ", ".join(CHECKERS)
        return "", document.problem((), "kind is missing", f"add kind: one of {kinds}")
    kind = document.data["kind"]
    if isinstance(kind, str) and kind in CHECKERS:
        return kind, None
    # The text of an unknown kind is a word of the contract or a typing error, never a secret.
    message, action = unknown_key(str(kind), CHECKERS)
    message = message.replace("unknown key", "no kind that check-config knows")
    action = action.replace("remove it, or use one of", "use one of").replace(
        "rename it to", "write kind:"
    )
    return "", document.problem(("kind",), message, action)
