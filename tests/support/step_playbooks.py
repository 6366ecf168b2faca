"""Playbooks with steps of their own, as tests of waves use them."""

from dataclasses import replace
from typing import Any, Final

from support.wave_model import rolling_restart

from healthd.waves.playbook import GateNeeded, Playbook, Step, StepKind
from healthd.waves.playbook_steps import CommandAction, PromptAction, RebootAction, WaitAction

SECONDS: Final = 60.0


def a_step(name: str, **changes: Any) -> Step:
    """A command with that name; other keys of a step as they are given."""
    plain = Step(
        name=name, kind=StepKind.COMMAND, timeout=SECONDS, action=CommandAction(argv=(name,))
    )
    return replace(plain, **changes)


def a_prompt(question: str = "go on?", **changes: Any) -> Step:
    """A question to a person."""
    action = PromptAction(question=question)
    return a_step("ask", kind=StepKind.PROMPT, action=action, **changes)


def a_reboot(**changes: Any) -> Step:
    """A reboot of the host."""
    return a_step("reboot", kind=StepKind.REBOOT, action=RebootAction(), **changes)


def a_wait(name: str = "wait", **changes: Any) -> Step:
    """A step that only waits."""
    return a_step(name, kind=StepKind.WAIT, action=WaitAction(until=()), **changes)


def a_restart(
    before: tuple[Step, ...] = (),
    between: tuple[Step, ...] = (),
    after: tuple[Step, ...] = (),
    **changes: Any,
) -> Playbook:
    """The shipped restart with steps before its stop, before its start, and at its end."""
    steps = rolling_restart().steps
    place = [step.kind for step in steps]
    start, back = place.index(StepKind.START), place.index(StepKind.BACK)
    return replace(
        rolling_restart(),
        name="steps",
        steps=(*before, *steps[:start], *between, *steps[start : back + 1], *after),
        **changes,
    )


def beside(*steps: Step, gate: GateNeeded = GateNeeded.FULL) -> Playbook:
    """A playbook that stops nothing."""
    return Playbook(name="beside", description="", steps=steps, gate=gate)
