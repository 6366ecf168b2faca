"""What holds for waves whose playbooks have steps, whatever fails and whenever healthd dies."""

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.cluster_model import ring
from support.step_playbooks import a_prompt, a_reboot, a_restart, a_step, a_wait, beside
from support.wave_model import WaveModel

from healthd.rehearsal.step_hosts import StepFault
from healthd.waves.events import Verb
from healthd.waves.phases import is_repeatable
from healthd.waves.playbook import GateNeeded, Playbook, StepKind
from healthd.waves.playbook_steps import CommandCheck
from healthd.waves.policy import WavePolicy
from healthd.waves.state import WaveStatus

POLICY = WavePolicy(
    soak_seconds=5,
    clean_snapshots=3,
    clean_seconds=10,
    stop_timeout_seconds=60,
    start_timeout_seconds=400,
    recovery_timeout_seconds=300,
)
PATIENCE = 6000.0
VERIFY = (CommandCheck(command=("true",)),)

PLAYBOOKS: dict[str, Playbook] = {
    "os-patch": a_restart(
        before=(a_step("download", repeatable=True, tries=2),),
        between=(a_step("install", verify=VERIFY), a_reboot()),
        after=(a_step("smoke", repeatable=True, tries=2), a_step("last", once=True)),
    ),
    "upgrade": a_restart(
        between=(a_step("link", observe=VERIFY),),
        after=(a_prompt(once=True), a_step("finalize", kind=StepKind.KAFKA, once=True)),
    ),
    "asked first": a_restart(before=(a_prompt(), a_step("drain")), after=(a_wait(),)),
    "beside": beside(a_step("agent", verify=VERIFY), a_prompt(), a_step("told", once=True)),
    "requests": a_restart(
        before=(a_step("tell", kind=StepKind.HTTP),),
        between=(a_step("mend", kind=StepKind.ANSIBLE), a_step("configure", kind=StepKind.KAFKA)),
        after=(a_step("tell again", kind=StepKind.HTTP, repeatable=True, tries=2),),
    ),
    "permission": beside(
        a_step("agent", repeatable=True, tries=3), a_wait(), gate=GateNeeded.PERMISSION
    ),
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """One fault of a step at a node."""

    node: int
    step: int
    kind: StepFault


troubles = st.builds(
    Trouble, st.integers(1, 4), st.integers(0, 8), st.sampled_from(list(StepFault))
)
kills = st.dictionaries(st.integers(1, 90), st.sampled_from([1.0, 15.0, 60.0]), max_size=3)
orders = st.lists(
    st.tuples(
        st.floats(1, 400).map(round),
        st.sampled_from([Verb.PAUSE, Verb.RESUME, Verb.ABORT, Verb.SKIP, Verb.CONFIRM]),
        st.integers(1, 4),
    ),
    max_size=3,
)


def rehearse(  # noqa: PLR0917 - what goes wrong, kind by kind.
    playbook: Playbook,
    found: list[Trouble],
    killed_at: dict[int, float],
    ordered: list[tuple[int, Verb, int]] | None = None,
    concurrency: int | None = 1,
    crashes: list[tuple[int, int]] | None = None,
) -> tuple[WaveModel, Counter[int]]:
    """A wave with these faults; a person confirms, and mends what has failed."""
    nodes, partitions = ring(nodes=4, factor=3, min_isr=2)
    model = WaveModel(nodes, partitions, policy=POLICY, concurrency=concurrency, playbook=playbook)
    model.kill_at_write = killed_at
    steps = model.world.hosts.steps
    steps.faults = {(each.node, each.step): each.kind for each in found}
    retried: Counter[int] = Counter()

    def help_it() -> None:
        if model.is_alive:
            for run in model.state.nodes:
                model.order_(Verb.CONFIRM, run.node)
                if model.agenda.now > 900 and model.order_(Verb.RETRY, run.node) is None:
                    steps.faults = {}
                    retried[run.node] += 1
            if model.agenda.now > 900 and model.state.is_paused:
                model.order_(Verb.RESUME)
        model.agenda.after(30.0, help_it)

    model.agenda.after(30.0, help_it)
    for at, verb, node in ordered or []:
        of = node if verb in {Verb.SKIP, Verb.CONFIRM} else None
        model.agenda.after(at, partial(model.order_, verb, of))
    for at, node in crashes or []:
        model.agenda.after(at, partial(model.cluster.crash, node))
        model.agenda.after(at + 60, partial(model.cluster.start, node))
    model.begin()
    model.run(PATIENCE)
    return model, retried


def check(playbook: Playbook, *how: Any, **more: Any) -> None:
    """Every property, for one schedule."""
    model, retried = rehearse(playbook, *how, **more)
    steps = model.world.hosts.steps
    story = f"{how} {more} {model.as_json()} {steps.begun}\n{model.told()}"
    assert not model.violations, story
    assert model.state.status.has_ended, story
    model.agenda.run_until(model.agenda.now + 700.0)
    crashed = {node for _, node in more.get("crashes") or ()}
    # A host that goes down takes its broker with it: that one is brought back besides.
    crashed |= {each.node for each in how[0] if each.kind is StepFault.INTERRUPTED}
    if playbook.restarts:
        assert not model.down(), story
    for node, times in model.restarts.items():
        allowed = int(playbook.restarts) + retried[node] + (node in crashed) * 2
        assert times <= allowed, story
    if not retried and not crashed:
        assert not steps.violations, story
        for (_, step), times in steps.begun.items():
            it = playbook.steps[step]
            # Of what it was told to be, the cluster says itself whether it is so.
            assert times == 1 or is_repeatable(it) or it.kind is StepKind.KAFKA, story


def _settings(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


@pytest.mark.parametrize("playbook", PLAYBOOKS.values(), ids=PLAYBOOKS.keys())
@pytest.mark.parametrize("concurrency", [1, 2])
def test_without_trouble_every_step_is_done_at_every_node(
    playbook: Playbook, concurrency: int
) -> None:
    model, retried = rehearse(playbook, [], {}, concurrency=concurrency)
    assert model.state.status is WaveStatus.SUCCEEDED, model.told()
    assert not model.violations, model.violations
    assert not retried
    done = model.world.hosts.steps.finished
    for at, step in enumerate(playbook.steps):
        if step.action is not None and step.kind is not StepKind.PROMPT:
            assert sum(done[node, at] for node in range(1, 5)) == (1 if step.once else 4)
    assert set(model.restarts.values()) == {int(playbook.restarts)}


@_settings(40)
@given(
    st.sampled_from(list(PLAYBOOKS.values())),
    st.lists(troubles, max_size=4),
    kills,
    orders,
    st.sampled_from([1, 2, None]),
)
def test_whatever_fails_no_broker_stays_stopped_and_nothing_is_done_twice(
    playbook: Playbook,
    found: list[Trouble],
    killed_at: dict[int, float],
    ordered: list[tuple[int, Verb, int]],
    concurrency: int | None,
) -> None:
    check(playbook, found, killed_at, ordered, concurrency)


def writes_of(playbook: Playbook) -> int:
    """How often the journal is written in a wave without trouble."""
    return rehearse(playbook, [], {})[0].writes


@pytest.mark.parametrize("name", ["os-patch", "beside"])
def test_a_daemon_killed_at_a_write_does_no_step_twice(name: str) -> None:
    playbook = PLAYBOOKS[name]
    for write in range(1, writes_of(playbook) + 1, 6):
        check(playbook, [], {write: 10.0 if write % 2 else 90.0})


@pytest.mark.prove
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("playbook", PLAYBOOKS.values(), ids=PLAYBOOKS.keys())
@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_daemon_killed_at_any_write_does_no_step_twice(
    playbook: Playbook, concurrency: int
) -> None:
    for write in range(1, rehearse(playbook, [], {}, concurrency=concurrency)[0].writes + 1):
        for down_for in (1.0, 90.0):
            check(playbook, [], {write: down_for}, concurrency=concurrency)


@pytest.mark.prove
@pytest.mark.timeout(3600)
@_settings(2000)
@given(
    st.sampled_from(list(PLAYBOOKS.values())),
    st.lists(troubles, max_size=5),
    kills,
    orders,
    st.sampled_from([1, 2, None]),
    st.lists(st.tuples(st.integers(1, 400), st.integers(1, 4)), max_size=2),
)
def test_two_thousand_schedules_of_faults_of_steps_and_brokers_harm_nothing(  # noqa: PLR0917
    playbook: Playbook,
    found: list[Trouble],
    killed_at: dict[int, float],
    ordered: list[tuple[int, Verb, int]],
    concurrency: int | None,
    crashes: list[tuple[int, int]],
) -> None:
    check(playbook, found, killed_at, ordered, concurrency, crashes=crashes)
