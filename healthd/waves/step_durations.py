"""How long the steps of a playbook may take, and how long they will as far as one can say."""

import math
from typing import Final

from healthd.waves.phases import StepGroup, has_steps, steps_of
from healthd.waves.playbook import Playbook, StepKind
from healthd.waves.policy import WavePolicy

_SHARE: Final = 10
"""A deadline is for the worst night: an ordinary step takes a tenth of it, as a rule of thumb."""


def longest_seconds(playbook: Playbook, policy: WavePolicy) -> float:
    """The most that steps keep a node away, and at work once it is back; without people."""
    return _sum(playbook, policy, (StepGroup.BETWEEN, StepGroup.AFTER), with_tries=True)


def forecast_seconds(
    playbook: Playbook, policy: WavePolicy, *, restart_seconds: int, rounds: int
) -> int:
    """What a wave takes with its steps, rounded up.

    Args:
        playbook: what is done to each node.
        policy: how long the gate takes.
        restart_seconds: what the restarts and soaks alone take, when there are any.
        rounds: how many nodes, or groups of them, come one after the other.
    """
    if not has_steps(playbook):
        return restart_seconds
    each = _sum(playbook, policy, tuple(StepGroup), with_tries=False) / _SHARE
    if playbook.restarts:
        # After the steps before the stop the gate has to be clean once more.
        again = policy.clean_seconds if steps_of(playbook, StepGroup.BEFORE) else 0.0
        return math.ceil(restart_seconds + rounds * (each + again))
    soak = max(policy.soak_seconds, policy.clean_seconds)
    return math.ceil(policy.clean_seconds + rounds * (each + soak))


def _sum(
    playbook: Playbook, policy: WavePolicy, groups: tuple[StepGroup, ...], *, with_tries: bool
) -> float:
    steps = [playbook.steps[at] for group in groups for at in steps_of(playbook, group)]
    return math.fsum(
        step.timeout_seconds(policy) * (step.tries if with_tries else 1)
        for step in steps
        if step.kind not in {StepKind.PROMPT, StepKind.ELECT_LEADERS}
    )
