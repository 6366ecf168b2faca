"""A playbook tried on the model: once as it should go, and once with each fault at every step."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from healthd.engine.pace import Pace
from healthd.model.snapshot import Broker, ClusterSnapshot, Partition, Topic
from healthd.model.words import BrokerState, Role
from healthd.rehearsal.daemon import Daemon
from healthd.rehearsal.rehearsal import Rehearsal
from healthd.rehearsal.step_hosts import StepFault
from healthd.rehearsal.story import seconds
from healthd.rehearsal.wellness import all_well
from healthd.rehearsal.world import World
from healthd.waves.effects import RunStep
from healthd.waves.events import Verb
from healthd.waves.playbook import Playbook, PlaybookTarget, StepKind
from healthd.waves.policy import WavePolicy
from healthd.waves.state import NodeStatus
from healthd.waves.steps import waits_for_person

NODE: Final = 2
"""The node of the model that the wave is about."""
CONFIRM_SECONDS: Final = 5.0
"""How long the model's person takes to answer a question."""
FAULT_SECONDS: Final = 20.0
DOWN_SECONDS: Final = 30.0
_UNTIL: Final = 86_400.0
_AFTERWARDS: Final = 900.0
"""What was stopped late has to be started within that."""
_POLICY: Final = WavePolicy(soak_seconds=30, clean_seconds=30, clean_snapshots=3)


class TrialFault(StrEnum):
    """What goes wrong in one try; it does so once."""

    NONE = "none"
    FAILS = "fails"
    HANGS = "hangs"
    ANSWER_LOST = "answer lost"
    UNREACHABLE = "host unreachable"
    INTERRUPTED = "host goes down in it"
    NOT_VERIFIED = "comes to nothing"
    SAME_BOOT = "same boot id"
    STARTS_BROKER = "service starts with the host"
    KILLED_BEFORE = "daemon killed before it was sent"
    KILLED_AFTER = "daemon killed while it ran"


_STEP_FAULTS: Final = {
    TrialFault.FAILS: StepFault.FAILS,
    TrialFault.HANGS: StepFault.HANGS,
    TrialFault.ANSWER_LOST: StepFault.ANSWER_LOST,
    TrialFault.UNREACHABLE: StepFault.UNREACHABLE,
    TrialFault.INTERRUPTED: StepFault.INTERRUPTED,
    TrialFault.NOT_VERIFIED: StepFault.NOT_VERIFIED,
    TrialFault.SAME_BOOT: StepFault.SAME_BOOT,
    TrialFault.STARTS_BROKER: StepFault.STARTS_BROKER,
}
_OF_SERVICE: Final = (
    TrialFault.HANGS,
    TrialFault.ANSWER_LOST,
    TrialFault.UNREACHABLE,
    TrialFault.KILLED_BEFORE,
    TrialFault.KILLED_AFTER,
)
_SERVICE: Final = {StepKind.STOP: NodeStatus.STOPPING, StepKind.START: NodeStatus.STARTING}
_BY_WAVE: Final = frozenset({StepKind.LEFT, StepKind.BACK, StepKind.ELECT_LEADERS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of one try."""

    step: str
    """The step that the fault was at; empty without a fault."""
    fault: TrialFault
    broker: str
    """``running`` (the old process, or a new one), or ``stopped``."""
    node: str
    wave: str
    detail: str
    done: int
    """How often the step began."""
    restarts: int
    seconds: float
    problems: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The public form."""
        return {
            "step": self.step or None,
            "fault": self.fault.value,
            "broker": self.broker,
            "node": self.node,
            "wave": self.wave,
            "detail": self.detail,
            "done": self.done,
            "restarts": self.restarts,
            "seconds": seconds(self.seconds),
            "problems": list(self.problems),
        }


def try_out(playbook: Playbook) -> Iterator[Tried]:
    """The playbook without a fault, and then with each fault at every step, one after the other."""
    yield _Trial(playbook, None, TrialFault.NONE).outcome()
    for at, step in enumerate(playbook.steps):
        for fault in _faults_of(step.kind, has_verify=bool(step.verify)):
            yield _Trial(playbook, at, fault).outcome()


def _faults_of(kind: StepKind, *, has_verify: bool) -> tuple[TrialFault, ...]:
    if kind in _BY_WAVE:
        return ()
    if kind in _SERVICE:
        return _OF_SERVICE
    if kind is StepKind.PROMPT:
        return (TrialFault.KILLED_AFTER,)
    of_reboot = {TrialFault.SAME_BOOT, TrialFault.STARTS_BROKER}
    return tuple(
        fault
        for fault in TrialFault
        if fault is not TrialFault.NONE
        and (kind is StepKind.REBOOT or fault not in of_reboot)
        and (kind is not StepKind.REBOOT or fault is not TrialFault.INTERRUPTED)
        and (has_verify or fault is not TrialFault.NOT_VERIFIED)
    )


class _Trial:
    """One try."""

    def __init__(self, playbook: Playbook, step: int | None, fault: TrialFault) -> None:
        self._step, self._fault = step, fault
        self._playbook = replace(playbook, target=PlaybookTarget.BROKER)
        snapshot = _cluster(is_ensemble=playbook.target is PlaybookTarget.ZOOKEEPER)
        rehearsal = Rehearsal(
            snapshot=snapshot, playbook=self._playbook, brokers=(NODE,), policy=_POLICY
        )
        self._world = World.of(snapshot, timing=rehearsal.model, latency=0.2)
        self._daemon = Daemon(self._world, rehearsal.wave(), pace=Pace(tick_seconds=2.0))
        self._is_struck = False
        self._ended_at = 0.0
        self._first_process = self._world.cluster.nodes[NODE].starts
        if step is not None:
            self._strike(step, fault)

    def outcome(self) -> Tried:
        """Run it, and say what came of it."""
        agenda, daemon = self._world.agenda, self._daemon
        agenda.after(CONFIRM_SECONDS, self._confirm)
        daemon.begin()
        agenda.run_until(_UNTIL, is_over=self._is_over)
        self._ended_at = agenda.now
        is_over = self._is_over()
        agenda.run_until(agenda.now + _AFTERWARDS, is_over=self._runs)
        return self._tried(is_over=is_over)

    def _is_over(self) -> bool:
        state = self._daemon.state
        if state.status.has_ended:
            return True
        is_waiting = bool(state.having({NodeStatus.PENDING})) and not state.is_paused
        return state.is_paused and not state.at_work and not is_waiting

    def _runs(self) -> bool:
        return self._world.cluster.nodes[NODE].runs

    def _confirm(self) -> None:
        """Answer what is asked, as a person would."""
        run = self._daemon.state.node(NODE)
        if run is not None and waits_for_person(self._daemon.state, run) is not None:
            self._daemon.order(Verb.CONFIRM, NODE)
        self._world.agenda.after(CONFIRM_SECONDS, self._confirm, is_recurring=True)

    # The fault -------------------------------------------------------------------------------

    def _strike(self, step: int, fault: TrialFault) -> None:
        kind = self._playbook.steps[step].kind
        steps = self._world.hosts.steps
        steps.fault_seconds = FAULT_SECONDS
        if kind in _SERVICE:
            self._at_status(_SERVICE[kind], self._service_fault(fault))
        elif fault in _STEP_FAULTS:
            steps.faults[NODE, step] = _STEP_FAULTS[fault]
        elif kind is StepKind.PROMPT:
            self._world.agenda.after(1.0, self._kill_when_asked)
        else:
            steps.before = self._killing(step, fault)

    def _killing(self, step: int, fault: TrialFault) -> Callable[[RunStep], bool]:
        def before(effect: RunStep) -> bool:
            if self._is_struck or effect.step != step:
                return True
            self._is_struck = True
            if fault is TrialFault.KILLED_BEFORE:
                self._daemon.kill(DOWN_SECONDS)
                return False
            self._world.agenda.after(0.5, lambda: self._daemon.kill(DOWN_SECONDS))
            return True

        return before

    def _kill_when_asked(self) -> None:
        run = self._daemon.state.node(NODE)
        if run is not None and waits_for_person(self._daemon.state, run) is not None:
            self._daemon.kill(DOWN_SECONDS)
        elif not self._is_over():
            self._world.agenda.after(1.0, self._kill_when_asked, is_recurring=True)

    def _at_status(self, wanted: NodeStatus, act: Callable[[], object]) -> None:
        def entered(_node: int, status: NodeStatus) -> None:
            if status is wanted and not self._is_struck:
                self._is_struck = True
                act()

        self._daemon.on_status.append(entered)

    def _service_fault(self, fault: TrialFault) -> Callable[[], object]:
        faults, agenda = self._world.hosts.faults, self._world.agenda
        faults.strike_once = True

        def unreachable() -> None:
            faults.unreachable[NODE] += 1
            agenda.after(FAULT_SECONDS, lambda: faults.unreachable.subtract([NODE]))

        return {
            TrialFault.HANGS: lambda: faults.hangs.update([NODE]),
            TrialFault.ANSWER_LOST: lambda: faults.loses_answer.update([NODE]),
            TrialFault.UNREACHABLE: unreachable,
            TrialFault.KILLED_BEFORE: lambda: self._daemon.kill(DOWN_SECONDS),
            TrialFault.KILLED_AFTER: lambda: agenda.after(
                0.5, lambda: self._daemon.kill(DOWN_SECONDS)
            ),
        }[fault]

    # What came of it -------------------------------------------------------------------------

    def _tried(self, *, is_over: bool) -> Tried:
        state, hosts = self._daemon.state, self._world.hosts
        run, it = state.node(NODE), self._world.cluster.nodes[NODE]
        is_new = it.starts != self._first_process
        process = "running (a new process)" if is_new else "running (the old process)"
        restarts, step = hosts.restarts[NODE], self._step
        return Tried(
            step="" if step is None else self._playbook.steps[step].name,
            fault=self._fault,
            broker=process if it.runs else "stopped",
            node="" if run is None else run.status.value,
            wave=state.status.value,
            detail="" if run is None else run.detail,
            done=0 if step is None else hosts.steps.begun[NODE, step],
            restarts=restarts,
            seconds=self._ended_at,
            problems=tuple(self._problems(is_over=is_over)),
        )

    def _problems(self, *, is_over: bool) -> Iterator[str]:
        hosts = self._world.hosts
        if not self._runs():
            yield "the broker is left stopped"
        if hosts.restarts[NODE] > 1:
            yield f"the broker is started {hosts.restarts[NODE]} times"
        if hosts.restarts[NODE] and not self._playbook.restarts:
            yield "the broker is restarted by a playbook that stops nothing"
        if not is_over:
            yield "the wave comes to no end"
        for _, told in hosts.steps.violations:
            yield told
        for found in self._daemon.oracle.violations:
            yield f"{found['rule']}: {found['detail']}"
        if self._fault is TrialFault.NONE and self._daemon.state.status.value != "succeeded":
            yield "it does not succeed when nothing fails"


def _cluster(*, is_ensemble: bool) -> ClusterSnapshot:
    """Three nodes that are all well; those of an ensemble have votes and nothing else."""
    nodes = (1, 2, 3)
    roles = frozenset({Role.CONTROLLER}) if is_ensemble else frozenset(Role)
    partitions = [
        Partition(id=at, leader=first, replicas=replicas, isr=replicas)
        for at, (first, *_) in enumerate(((1, 2, 3), (2, 3, 1), (3, 1, 2)))
        for replicas in [(first, first % 3 + 1, (first + 1) % 3 + 1)]
    ]
    topics = () if is_ensemble else (Topic.of("orders", partitions, min_insync_replicas=2),)
    brokers = (
        Broker(id=node, alive=True, roles=roles, state=BrokerState.RUNNING, metrics_age_seconds=0.0)
        for node in nodes
    )
    return all_well(brokers, topics, voters=nodes, interval_seconds=10.0)
