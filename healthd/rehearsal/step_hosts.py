"""The hosts of the model, as steps of playbooks see them: markers, boots, and what can go wrong.

Each step that begins leaves a marker under the id of its effect, as the real runner's does: under
the same id nothing begins twice, and after a crash the marker says what became of it.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from healthd.waves import effects
from healthd.waves.events import Outcome, StepState
from healthd.waves.phases import is_repeatable
from healthd.waves.playbook import Playbook, StepKind

if TYPE_CHECKING:
    from healthd.rehearsal.hosts import Answer, Hosts

SECONDS: Final = 1.0
"""How long a step takes."""
REBOOT_SECONDS: Final = 30.0
_ANSWER_SECONDS: Final = 10.0
"""After so long without an answer its connection counts as lost."""
_NO_MARKER: Final = frozenset({StepKind.KAFKA, StepKind.HTTP, StepKind.ANSIBLE})
"""No host knows of these, also while they are under way: sent again, they are done again."""


class StepFault(StrEnum):
    """What befalls a step at one node."""

    FAILS = "fails"
    HANGS = "hangs"
    """It never ends by itself; its host ends it at its deadline."""
    ANSWER_LOST = "answer lost"
    """It is done, and nobody hears of it."""
    UNREACHABLE = "host unreachable"
    """Its host is gone for a while, right when it is to begin."""
    CUT = "connection cut"
    """Its host is gone for a while, right after it began; it goes on."""
    INTERRUPTED = "interrupted"
    """Its host goes down in the middle of it, and comes back."""
    SAME_BOOT = "same boot id"
    """The reboot comes to nothing: it is the same boot afterwards."""
    STARTS_BROKER = "service starts with the host"
    """After a reboot the broker is up before anybody has started it."""
    NOT_VERIFIED = "not verified"
    """It ends well, and nothing has come of it."""


@dataclass(slots=True, kw_only=True)
class _Marker:
    """What a host knows of one effect."""

    state: StepState
    boot: int
    """Of which boot of the host it is."""
    answer: "Answer | None" = None
    """Who waits for its end."""


class StepHosts:
    """Performs the steps of one playbook on the model's hosts."""

    def __init__(self, hosts: "Hosts") -> None:
        """Nothing has begun.

        Args:
            hosts: the hosts of the brokers.
        """
        self._hosts = hosts
        self._agenda = hosts.agenda
        self._markers: dict[str, _Marker] = {}
        self._boots: Counter[int] = Counter()
        self.faults: dict[tuple[int, int], StepFault] = {}
        """By node and step; each strikes once."""
        self.fault_seconds = 20.0
        self.begun: Counter[tuple[int, int]] = Counter()
        """How often a step began at a node."""
        self.finished: Counter[tuple[int, int]] = Counter()
        """How often it was done to its end."""
        self.violations: list[tuple[int, str]] = []
        """What must never happen, by node."""
        self.before: Callable[[effects.RunStep], bool] = lambda _effect: True
        """Called before a step is done; false when it does not get here."""
        self.seconds_of: Callable[[int], float] = lambda _step: SECONDS

    def run(self, effect: effects.RunStep, playbook: Playbook, answer: "Answer") -> None:
        """Do a step; the answer comes when it has ended, if it can."""
        if not self.before(effect):
            return
        if self._faulty(effect, StepFault.UNREACHABLE):
            self._gone(effect.node, self.fault_seconds)
        if self._hosts.faults.unreachable[effect.node]:
            self._agenda.after(_ANSWER_SECONDS, lambda: answer(Outcome.NOT_SENT, "no route"))
            return
        if self._hosts.faults.strikes(self._hosts.faults.hangs, effect.node):
            seconds = effect.timeout_seconds
            self._agenda.after(seconds, lambda: answer(Outcome.UNKNOWN, "no answer"))
            return
        self._agenda.after(self._hosts.latency, lambda: self._begin(effect, playbook, answer))

    def observe(self, effect: effects.ObserveStep, playbook: Playbook) -> tuple[StepState, str]:
        """What a host says of a step now."""
        step = playbook.steps[effect.step]
        if self._hosts.faults.unreachable[effect.node]:
            return StepState.UNKNOWN, "no route to host"
        if effect.is_verify:
            if self._faulty(effect, StepFault.NOT_VERIFIED, keep=True):
                return StepState.NOT_DONE, "it is not so"
            return StepState.DONE, ""
        is_so = bool(self.finished[effect.node, effect.step])
        if step.observe and is_so:
            return StepState.DONE, "what it brings about is so"
        if step.kind is StepKind.KAFKA:
            return (StepState.DONE if is_so else StepState.NOT_DONE), "the cluster says it"
        if step.kind in _NO_MARKER:
            return StepState.INTERRUPTED, "nobody can be asked"
        marker = self._markers.get(effect.effect_id)
        if marker is None:
            return StepState.NOT_DONE, "it never began"
        if marker.state is StepState.RUNNING and marker.boot != self._boots[effect.node]:
            is_reboot = step.kind is StepKind.REBOOT
            return (StepState.DONE if is_reboot else StepState.INTERRUPTED), ""
        if step.kind is StepKind.REBOOT and marker.state is StepState.FAILED:
            return StepState.RUNNING, "it is the same boot"  # Of a deadline its host knows nothing.
        return marker.state, ""

    # What happens on the host ----------------------------------------------------------------

    def _begin(self, effect: effects.RunStep, playbook: Playbook, answer: "Answer") -> None:
        node, kind = effect.node, playbook.steps[effect.step].kind
        known = self._markers.get(effect.effect_id)
        if known is not None and kind not in _NO_MARKER:
            self._told_again(effect, known, kind, answer)
            return
        self._judge(effect, playbook)
        marker = _Marker(state=StepState.RUNNING, boot=self._boots[node], answer=answer)
        self._markers[effect.effect_id] = marker
        self.begun[node, effect.step] += 1
        limit = effect.timeout_seconds
        self._agenda.after(limit, lambda: self._end(effect, marker, StepState.FAILED))
        if self._faulty(effect, StepFault.HANGS):
            return
        if self._faulty(effect, StepFault.INTERRUPTED):
            marker.answer = None
            self._agenda.after(SECONDS / 2, lambda: self._power_lost(node))
            self._agenda.after(_ANSWER_SECONDS, lambda: answer(Outcome.UNKNOWN, "cut"))
            return
        if self._faulty(effect, StepFault.FAILS):
            self._agenda.after(SECONDS, lambda: self._end(effect, marker, StepState.FAILED))
            return
        if self._faulty(effect, StepFault.CUT):
            marker.answer = None
            self._gone(node, self.fault_seconds)
            self._agenda.after(_ANSWER_SECONDS, lambda: answer(Outcome.UNKNOWN, "cut"))
        elif self._faulty(effect, StepFault.ANSWER_LOST):
            marker.answer = None
            self._agenda.after(_ANSWER_SECONDS, lambda: answer(Outcome.UNKNOWN, "no answer"))
        if kind is StepKind.REBOOT:
            self._reboot_for(effect, marker)
            return
        seconds = self.seconds_of(effect.step)
        self._agenda.after(seconds, lambda: self._end(effect, marker, StepState.DONE))

    def _told_again(
        self, effect: effects.RunStep, known: _Marker, kind: StepKind, answer: "Answer"
    ) -> None:
        """It had begun: its end is told when it comes, and begun is nothing."""
        if known.state is StepState.RUNNING and known.boot == self._boots[effect.node]:
            known.answer = answer
        elif known.state is StepState.RUNNING:
            is_done = kind is StepKind.REBOOT
            answer(Outcome.OK if is_done else Outcome.UNKNOWN, "another boot")
        else:
            answer(Outcome.OK if known.state is StepState.DONE else Outcome.FAILED, "")

    def _end(self, effect: effects.RunStep, marker: _Marker, state: StepState) -> None:
        if marker.state is not StepState.RUNNING or marker.boot != self._boots[effect.node]:
            return  # It has ended, or its boot has.
        marker.state = state
        if state is StepState.DONE:
            self.finished[effect.node, effect.step] += 1
        self._tell(effect.node, marker, state)

    def _tell(self, node: int, marker: _Marker, state: StepState) -> None:
        answer, marker.answer = marker.answer, None
        if answer is None:
            return
        if self._hosts.faults.unreachable[node] or self._hosts.faults.strikes(
            self._hosts.faults.loses_answer, node
        ):
            self._agenda.after(_ANSWER_SECONDS, lambda: answer(Outcome.UNKNOWN, "no answer"))
            return
        outcome = Outcome.OK if state is StepState.DONE else Outcome.FAILED
        detail = "" if state is StepState.DONE else "exit code 1"
        self._agenda.after(self._hosts.latency, lambda: answer(outcome, detail))

    def _reboot_for(self, effect: effects.RunStep, marker: _Marker) -> None:
        if self._faulty(effect, StepFault.SAME_BOOT):
            return  # It is the same boot, and stays so until the deadline.
        node = effect.node
        starts_broker = self._faulty(effect, StepFault.STARTS_BROKER)

        def is_back() -> None:
            marker.state = StepState.DONE
            self.finished[node, effect.step] += 1
            if starts_broker:
                self._hosts.cluster.start(node)
            self._tell(node, marker, StepState.DONE)

        self._reboot(node, is_back)

    def _reboot(self, node: int, then: Callable[[], object] | None = None) -> None:
        """End everything on a host; a while later it is there again, with nothing running."""
        cluster = self._hosts.cluster
        if cluster.nodes[node].runs:
            cluster.crash(node)
        self._boots[node] += 1
        self._gone(node, REBOOT_SECONDS)
        if then is not None:
            self._agenda.after(REBOOT_SECONDS + SECONDS, then)

    def _power_lost(self, node: int) -> None:
        """A host goes down and comes back; the broker that ran on it starts with it."""
        ran = self._hosts.cluster.nodes[node].runs
        self._reboot(node, lambda: ran and self._hosts.cluster.start(node))

    def _gone(self, node: int, seconds: float) -> None:
        unreachable = self._hosts.faults.unreachable
        unreachable[node] += 1

        def back() -> None:
            unreachable[node] -= 1

        self._agenda.after(seconds, back)

    def _faulty(
        self, effect: effects.RunStep | effects.ObserveStep, kind: StepFault, *, keep: bool = False
    ) -> bool:
        """Whether a fault strikes here; it does so once, unless it is to stay."""
        key = effect.node, effect.step
        if self.faults.get(key) is not kind:
            return False
        if not keep:
            del self.faults[key]
        return True

    def _judge(self, effect: effects.RunStep, playbook: Playbook) -> None:
        """What begins now must not have been done before, unless it may be done twice.

        A cluster is told what shall be so: told again, it changes nothing.
        """
        step, key = playbook.steps[effect.step], (effect.node, effect.step)
        may_be_repeated = is_repeatable(step) or step.kind is StepKind.KAFKA
        if self.finished[key] and not may_be_repeated:
            self.violations.append((effect.node, f"step '{step.name}' is done a second time"))
