"""The wave files of a folder: those that recur are started by their schedule."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from healthd.config.problems import Problem
from healthd.config.wave_check import WaveContext, check_variables
from healthd.config.yaml_source import read_document
from healthd.waves.cron import Recurrence
from healthd.waves.spec import WaveSpec, parse_wave

_SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurringWave:
    """A wave file that is started by itself."""

    file: str
    name: str
    recurrence: Recurrence
    document: Mapping[str, Any]
    """What is started: the file without its schedule."""


def read_wave_files(
    folder: Path | None, context: WaveContext
) -> tuple[tuple[RecurringWave, ...], list[Problem]]:
    """The waves of a folder that recur, by name, and what is wrong with its files.

    A wave file without a schedule is nobody's business here; one with a mistake is left out.

    Args:
        folder: where they are; None: there are none.
        context: what their variables are held against.
    """
    if folder is None:
        return (), []
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES)
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
        action = "correct waveDir, or let healthd's user read it"
        return (), [Problem(file=str(folder), message=message, action=action)]
    found: dict[str, RecurringWave] = {}
    problems: list[Problem] = []
    for path in paths:
        wave, wrong = _read(path, context)
        problems += wrong
        if wave is None:
            continue
        if wave.name in found:
            message = f"wave {wave.name} is in {found[wave.name].file}, too"
            action = "give each recurring wave another name"
            problems.append(Problem(file=str(path), message=message, action=action))
            continue
        found[wave.name] = wave
    return tuple(found[name] for name in sorted(found)), problems


def _read(path: Path, context: WaveContext) -> tuple[RecurringWave | None, list[Problem]]:
    try:
        document, problems = read_document(path)
    except OSError as error:
        message = f"cannot be opened: {error.strerror or error}"
        action = "let healthd's user read it"
        return None, [Problem(file=str(path), message=message, action=action)]
    if document is None:
        return None, list(problems)
    if document.data.get("kind") != "Wave":
        return None, []
    spec = parse_wave(document.data)
    if not isinstance(spec, WaveSpec):
        return None, [document.located(problem) for problem in spec]
    if spec.schedule is None:
        return None, []
    if not spec.reason:
        message = "is missing: nobody is there to say why when it starts by itself"
        return None, [document.problem(("reason",), message, "add reason")]
    wrong = check_variables(spec, context).problems
    if wrong:
        return None, [document.located(problem) for problem in wrong]
    given = {key: value for key, value in document.data.items() if key != "schedule"}
    wave = RecurringWave(file=str(path), name=spec.name, recurrence=spec.schedule, document=given)
    return wave, []
