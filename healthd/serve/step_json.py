"""Where a node is in the steps of its playbook, as JSON."""

from collections.abc import Mapping
from typing import Any, Final

from healthd.engine.printed import Printed
from healthd.waves.questions import question_of
from healthd.waves.state import NodeRun, WaveState
from healthd.waves.step_run import StepPhase
from healthd.waves.steps import step_of

_LINES: Final = 20


def step_json(
    state: WaveState, run: NodeRun, span: Mapping[str, Any], printed: Printed | None
) -> dict[str, Any]:
    """The step whose turn it is at a node, as its `step`; nothing when it is at none.

    Args:
        state: its wave.
        run: the node.
        span: since when it is that step's turn.
        printed: what its command has printed so far, while it runs.
    """
    step, steps = step_of(state, run), run.steps
    if step is None or steps.at is None:
        return {}
    document = {
        "number": steps.at + 1,
        "of": len(state.playbook.steps),
        "name": step.name,
        "kind": step.kind.value,
        "phase": steps.phase.value,
        **span,
        "timeoutSeconds": step.timeout_seconds(state.policy),
        "failedTries": steps.failures,
        "question": question_of(state, run, step) if steps.phase is StepPhase.ASKING else None,
        "said": list(printed.lines) if printed else steps.said.splitlines()[-_LINES:],
        "printedLines": printed.count if printed else 0,
    }
    return {"step": document}
