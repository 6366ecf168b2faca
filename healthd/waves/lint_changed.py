"""Checks that wait for another boot, or another start of the process, that nothing brings about."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from healthd.waves.lint_steps import SAFE_METHODS
from healthd.waves.playbook import Step, StepKind
from healthd.waves.playbook_parse import Reading
from healthd.waves.playbook_steps import Changed, ChangedCheck, Check, HttpAction, WaitAction
from healthd.waves.problems import Location, SpecProblem

_MAY_DO_ANYTHING: Final = frozenset(
    {StepKind.COMMAND, StepKind.ANSIBLE, StepKind.HTTP, StepKind.PROMPT}
)
"""A program, a server or a person may boot a host, and no playbook tells whether they do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Never:
    """A change that is waited for in vain unless a step of these kinds was done."""

    unless: frozenset[StepKind]
    message: str
    action: str


_NEVER: Final = {
    Changed.BOOT_ID: _Never(
        unless=frozenset({StepKind.REBOOT}),
        message="waits for another boot id in vain: no step up to here boots the host anew",
        action="add a step reboot: {become: true} before it, or remove the check",
    ),
    Changed.PROCESS_START: _Never(
        unless=frozenset({StepKind.START, StepKind.REBOOT}),
        message="waits for another process in vain: no step up to here starts the service anew",
        action="add service: stop, waitFor: left, service: start and waitFor: back before it,"
        " or remove the check",
    ),
}


def changed_findings(reading: Reading) -> Iterator[SpecProblem]:
    """What a step waits for in vain, told only where that is certain.

    `onlyIf` and `observe` wait for nothing: that they are false is an answer.
    """
    done: set[StepKind] = set()
    for at, step in enumerate(reading.steps):
        if step is None or _may_do_anything(step):
            return
        done.add(step.kind)
        waits = step.action.until if isinstance(step.action, WaitAction) else ()
        for key, checks in (("waitFor", waits), ("verify", step.verify)):
            for where, changed in _waited_for(("steps", at, key), checks):
                never = _NEVER[changed]
                if not never.unless & done:
                    yield SpecProblem(
                        location=where,
                        message=never.message,
                        action=never.action,
                        code="never-true",
                    )


def _may_do_anything(step: Step) -> bool:
    is_reading = isinstance(step.action, HttpAction) and step.action.method in SAFE_METHODS
    return step.kind in _MAY_DO_ANYTHING and not is_reading


def _waited_for(at: Location, checks: tuple[Check, ...]) -> Iterator[tuple[Location, Changed]]:
    """Each change that is waited for, and where it stands: a check alone need not be in a list."""
    for place, check in enumerate(checks):
        if isinstance(check, ChangedCheck):
            yield (at if len(checks) == 1 else (*at, place)), check.changed
