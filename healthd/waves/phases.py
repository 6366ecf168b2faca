"""Which steps of a playbook belong before the stop, between stop and start, and after it."""

from enum import StrEnum

from healthd.waves.playbook import Playbook, StepKind
from healthd.waves.playbook import Step as PlaybookStep
from healthd.waves.state import NodeRun, NodeStatus

_RESTART = frozenset({StepKind.STOP, StepKind.LEFT, StepKind.START, StepKind.BACK})


class StepGroup(StrEnum):
    """When a step is done."""

    BEFORE = "before"
    """While the node is `preparing`: it runs. All steps of a playbook that stops nothing."""
    BETWEEN = "between"
    """While the node is `stopped`."""
    AFTER = "after"
    """While the node is `recovering`, and back."""


def has_steps(playbook: Playbook) -> bool:
    """Whether it does more to a node than to restart it and to elect leaders."""
    plain = _RESTART | {StepKind.ELECT_LEADERS}
    return not playbook.restarts or any(step.kind not in plain for step in playbook.steps)


def steps_of(playbook: Playbook, group: StepGroup) -> tuple[int, ...]:
    """The places of the steps of a group, in their order."""
    places = {step.kind: at for at, step in enumerate(playbook.steps) if step.kind in _RESTART}
    if not places:
        return tuple(range(len(playbook.steps))) if group is StepGroup.BEFORE else ()
    first, last = places.get(StepKind.STOP, 0), places.get(StepKind.START, len(playbook.steps))
    return tuple(
        at
        for at, step in enumerate(playbook.steps)
        if step.kind not in _RESTART and _group_at(at, first, last) is group
    )


def _group_at(at: int, stop: int, start: int) -> StepGroup:
    if at < stop:
        return StepGroup.BEFORE
    return StepGroup.BETWEEN if at < start else StepGroup.AFTER


def group_of(run: NodeRun) -> StepGroup:
    """Which steps a node is at, by its status."""
    if run.status in {NodeStatus.PENDING, NodeStatus.PREPARING}:
        return StepGroup.BEFORE
    if run.status in {NodeStatus.STOPPING, NodeStatus.STOPPED}:
        return StepGroup.BETWEEN
    return StepGroup.AFTER


def left(playbook: Playbook, run: NodeRun, group: StepGroup) -> tuple[int, ...]:
    """The steps of a group that are not over for a node, in their order."""
    return tuple(at for at in steps_of(playbook, group) if at not in run.steps.over)


def is_repeatable(step: PlaybookStep) -> bool:
    """Whether doing it twice is as good as once; to wait, or to elect, always is."""
    return step.repeatable or step.kind in {StepKind.WAIT, StepKind.ELECT_LEADERS}


def has_to_prepare(playbook: Playbook, run: NodeRun) -> bool:
    """Whether a node has steps before its stop that are yet to be done."""
    return not run.steps.is_prepared and bool(left(playbook, run, StepGroup.BEFORE))


def has_to_be_taken_again(playbook: Playbook, run: NodeRun) -> bool:
    """Whether a node that was brought back has never had the steps that make up its turn.

    One that was down before it was taken, for example: it runs again, and is not patched.
    """
    return playbook.restarts and has_steps(playbook) and not run.steps.is_worked
