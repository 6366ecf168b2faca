"""One step of a playbook for one node, with everything in it filled in."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from healthd.config.fleet import ClusterConfig
from healthd.engine.step_commands import mark_of
from healthd.engine.step_host import StepEnds
from healthd.engine.step_values import StepValues, values_of
from healthd.waves.events import Outcome
from healthd.waves.filling import Unfilled, filled
from healthd.waves.playbook import Playbook, Step
from healthd.waves.state import NodeRun, WaveState


@dataclass(frozen=True, slots=True, kw_only=True)
class StepJob:
    """What is to be done, for whom, and until when."""

    step: Step
    """Its texts are filled in."""
    at: int
    """Its place in the playbook."""
    playbook: Playbook
    wave: str
    run: NodeRun
    effect_id: str
    values: StepValues
    seconds_left: Callable[[], float]

    @property
    def mark(self) -> str:
        """Names the effect on the host; the waves of a host never share one."""
        return mark_of(self.wave, self.effect_id)

    def what(self) -> str:
        """Which step of which playbook for whom, for people."""
        return f"playbook {self.playbook.name}, step '{self.step.name}', broker {self.run.node}"


def job_of(
    state: WaveState, config: ClusterConfig, *, node: int, at: int, effect_id: str, seconds: float
) -> StepJob:
    """The job of a step; its time runs from now.

    Raises:
        StepEnds: it cannot be filled in, or there is no such step.
    """
    run = state.node(node)
    if run is None or not 0 <= at < len(state.playbook.steps):
        raise StepEnds(Outcome.FAILED, f"there is no step {at} for broker {node}")
    clock = asyncio.get_running_loop().time
    deadline = clock() + seconds
    job = StepJob(
        step=state.playbook.steps[at],
        at=at,
        playbook=state.playbook,
        wave=state.wave,
        run=run,
        effect_id=effect_id,
        values=values_of(state, config, node),
        seconds_left=lambda: deadline - clock(),
    )
    try:
        return replace(job, step=filled_step(job.step, job.values))
    except Unfilled as error:
        raise StepEnds(Outcome.FAILED, f"{job.what()}: {error}") from None


def filled_step(step: Step, values: StepValues) -> Step:
    """The step with its texts filled in.

    Raises:
        Unfilled: a variable has no value.
    """
    texts = values.texts
    return replace(
        step,
        action=None if step.action is None else filled(step.action, texts),
        only_if=filled(step.only_if, texts),
        observe=filled(step.observe, texts),
        verify=filled(step.verify, texts),
    )
