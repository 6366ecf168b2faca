"""What happens to the steps of a node, as events of a wave."""

from typing import Any

from support.waves import (
    IS_DOWN,
    a_run,
    a_wave,
    ended,
    observed,
    run_of,
    taken,
)

from healthd.waves import events
from healthd.waves.effects import Step
from healthd.waves.events import Outcome, StepState
from healthd.waves.playbook import Playbook
from healthd.waves.playbook_steps import CommandCheck
from healthd.waves.reducer import reduce
from healthd.waves.state import NodeStatus, WaveState

VERIFY = (CommandCheck(command=("true",)),)


def answered(
    step: Step | WaveState, at: float, state: StepState, *, detail: str = "", verify: bool = False
) -> Step:
    """What it leads to when somebody says what became of node 2's step."""
    wave = step.state if isinstance(step, Step) else step
    run = run_of(wave, 2)
    assert run.steps.at is not None
    event = events.StepObserved(
        at=at,
        node=2,
        effect_id=run.steps.effect,
        step=run.steps.at,
        state=state,
        detail=detail,
        is_verify=verify,
    )
    return reduce(wave, event)


def done(step: Step, at: float, outcome: Outcome = Outcome.OK) -> Step:
    """What the end of the step's command leads to."""
    return ended(step.state, run_of(step, 2).steps.effect, at, outcome)


def stopped(playbook: Playbook, **changes: Any) -> Step:
    """Node 2 when its process has left."""
    state = a_wave(
        1, a_run(2, NodeStatus.STOPPING, is_stop_due=False), 3, playbook=playbook, **changes
    )
    return observed(state, 2, 110.0, IS_DOWN)


def prepared(playbook: Playbook, node: int = 2) -> Step:
    """The node in its steps before the stop, after a clean run and the last look."""
    return taken(a_wave(node, playbook=playbook), node)


def detail_of(step: Step) -> str:
    return run_of(step, 2).detail
