"""What a person is asked by a step of a playbook, with what the wave was given filled in.

The wave's own file stands above every other layer of values: what it gives is certain here. What
only the fleet file or a default says is not known to a wave's state, and keeps its name.
"""

from healthd.waves.filling import fill, names_of
from healthd.waves.playbook import Step
from healthd.waves.playbook_steps import PromptAction
from healthd.waves.state import NodeRun, WaveState


def question_of(state: WaveState, run: NodeRun, step: Step) -> str:
    """The question of a step; empty when it asks nobody."""
    if not isinstance(step.action, PromptAction):
        return ""
    text = step.action.question
    known = {
        **dict(state.variables),
        "broker_id": str(run.node),
        "cluster": state.cluster,
        "wave": state.wave,
    }
    return fill(text, {name: known.get(name, f"${{{name}}}") for name in names_of(text)})
