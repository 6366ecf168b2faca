"""Steps of playbooks on the model's hosts: what begins, what is remembered, and what goes wrong."""

from typing import Any

import pytest
from support.cluster_model import healthy, ring
from support.step_playbooks import a_reboot, a_restart, a_step

from healthd.rehearsal.step_hosts import StepFault, StepHosts
from healthd.rehearsal.world import World
from healthd.waves.effects import ObserveStep, RunStep
from healthd.waves.events import Outcome, StepState
from healthd.waves.playbook import StepKind

PLAYBOOK = a_restart(
    between=(
        a_step("patch"),
        a_reboot(),
        a_step("ask", kind=StepKind.HTTP),
        a_step("configure", kind=StepKind.KAFKA),
    )
)
PATCH, REBOOT, HTTP, KAFKA = 2, 3, 4, 5


class Asked:
    """One host, and what it answered."""

    def __init__(self) -> None:
        nodes, rows = ring(nodes=3, factor=3, min_isr=2)
        self.world = World.of(healthy(nodes, rows, interval=5.0))
        self.steps: StepHosts = self.world.hosts.steps
        self.answers: list[Outcome] = []

    def run(self, step: int, effect_id: str = "1.1.x", *, until: float = 100.0) -> None:
        effect = RunStep(node=1, effect_id=effect_id, timeout_seconds=50.0, step=step)
        self.steps.run(effect, PLAYBOOK, lambda outcome, _detail: self.answers.append(outcome))
        agenda = self.world.agenda
        agenda.run_until(agenda.now + until)

    def state(self, step: int, effect_id: str = "1.1.x", **more: Any) -> StepState:
        effect = ObserveStep(node=1, effect_id=effect_id, step=step, **more)
        return self.steps.observe(effect, PLAYBOOK)[0]


def test_under_the_same_id_nothing_begins_twice() -> None:
    asked = Asked()
    assert asked.state(PATCH) is StepState.NOT_DONE
    asked.run(PATCH)
    asked.run(PATCH)
    assert asked.answers == [Outcome.OK, Outcome.OK]
    assert asked.steps.begun[1, PATCH] == 1
    assert asked.state(PATCH) is StepState.DONE


def test_what_is_done_a_second_time_under_another_id_is_told() -> None:
    asked = Asked()
    asked.run(PATCH)
    asked.run(PATCH, "1.2.x")
    assert asked.steps.begun[1, PATCH] == 2
    assert asked.steps.violations == [(1, "step 'patch' is done a second time")]


@pytest.mark.parametrize(
    ("fault", "answers", "state"),
    [
        (StepFault.FAILS, [Outcome.FAILED], StepState.FAILED),
        (StepFault.HANGS, [Outcome.FAILED], StepState.FAILED),
        (StepFault.ANSWER_LOST, [Outcome.UNKNOWN], StepState.DONE),
        (StepFault.CUT, [Outcome.UNKNOWN], StepState.DONE),
        (StepFault.UNREACHABLE, [Outcome.NOT_SENT], StepState.NOT_DONE),
        (StepFault.INTERRUPTED, [Outcome.UNKNOWN], StepState.INTERRUPTED),
    ],
)
def test_each_fault_leaves_its_own_trace(
    fault: StepFault, answers: list[Outcome], state: StepState
) -> None:
    asked = Asked()
    asked.steps.faults[1, PATCH] = fault
    asked.run(PATCH)
    assert asked.answers == answers
    assert asked.state(PATCH) is state


def test_a_reboot_is_proven_by_the_next_boot_and_ends_the_broker() -> None:
    asked = Asked()
    asked.run(REBOOT, until=5.0)
    assert not asked.world.cluster.nodes[1].runs
    assert asked.state(REBOOT) is StepState.UNKNOWN
    asked.run(PATCH, "1.2.x", until=5.0)
    asked.world.agenda.run_until(60.0)
    assert asked.state(REBOOT) is StepState.DONE
    assert Outcome.OK in asked.answers


def test_a_reboot_that_comes_to_nothing_fails_at_its_deadline() -> None:
    asked = Asked()
    asked.steps.faults[1, REBOOT] = StepFault.SAME_BOOT
    asked.run(REBOOT)
    assert asked.answers == [Outcome.FAILED]
    # Its host knows of no deadline: what it can say is that it is the same boot.
    assert asked.state(REBOOT) is StepState.RUNNING


def test_nobody_can_be_asked_what_became_of_a_request() -> None:
    asked = Asked()
    asked.run(HTTP)
    assert asked.state(HTTP) is StepState.INTERRUPTED
    assert asked.state(HTTP, is_verify=True) is StepState.DONE


def test_a_request_that_is_told_again_is_made_again_and_that_is_a_violation() -> None:
    asked = Asked()
    asked.run(HTTP, until=0.5)
    assert asked.state(HTTP) is StepState.INTERRUPTED
    asked.run(HTTP)
    assert asked.steps.begun[1, HTTP] == 2
    asked.run(HTTP)
    assert asked.steps.violations == [(1, "step 'ask' is done a second time")]


def test_of_what_the_cluster_was_told_it_says_itself_whether_it_is_so() -> None:
    asked = Asked()
    asked.steps.faults[1, KAFKA] = StepFault.FAILS
    asked.run(KAFKA)
    assert asked.state(KAFKA) is StepState.NOT_DONE
    asked.run(KAFKA)
    assert asked.answers == [Outcome.FAILED, Outcome.OK]
    assert asked.state(KAFKA) is StepState.DONE
