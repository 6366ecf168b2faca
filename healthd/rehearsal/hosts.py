"""The hosts of the model: what becomes of a command, and what a host says of its process."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.rehearsal.agenda import Agenda
from healthd.rehearsal.cluster import ClusterModel
from healthd.rehearsal.step_hosts import StepHosts
from healthd.waves import effects
from healthd.waves.events import HostState, Outcome

DEADLINE = 10.0
"""After so long a host that does not answer counts as unreachable."""

Answer = Callable[[Outcome, str], None]


@dataclass(slots=True)
class HostFaults:
    """What is wrong with the way to one host, by node, and for how many reasons."""

    unreachable: Counter[int] = field(default_factory=Counter)
    hangs: Counter[int] = field(default_factory=Counter)
    """A command is never carried out, and its answer never comes."""
    loses_answer: Counter[int] = field(default_factory=Counter)
    """A command is carried out, and its answer never comes."""
    lies: Counter[int] = field(default_factory=Counter)
    """A command says ok, and does nothing."""
    start_fails: Counter[int] = field(default_factory=Counter)
    strike_once: bool = False
    """What befalls commands befalls the next one only, not all of them."""

    def strikes(self, kind: Counter[int], node: int) -> bool:
        """Whether a fault befalls a command to a node."""
        if not kind[node]:
            return False
        kind[node] -= self.strike_once
        return True


@dataclass(slots=True, kw_only=True)
class _StopWaiting:
    """A stop that answers when the process has ended."""

    command: effects.Command
    answer: Answer
    is_answered: bool = False


class Hosts:
    """Carries commands out, whatever becomes of whoever sent them."""

    def __init__(self, agenda: Agenda, cluster: ClusterModel, *, latency: float = 0.0) -> None:
        """Carry nothing out yet.

        Args:
            agenda: virtual time.
            cluster: what the commands change.
            latency: seconds for a question to a host, or for one collection.
        """
        self.agenda = agenda
        self.cluster = cluster
        self.latency = latency
        self.faults = HostFaults()
        self.restarts: dict[int, int] = dict.fromkeys(cluster.nodes, 0)
        """Process starts that commands brought about."""
        self.steps = StepHosts(self)
        """Performs the steps of playbooks."""
        self._stops: dict[int, list[_StopWaiting]] = {}
        cluster.on_end.append(self._ended)

    def state(self, node: int) -> HostState:
        """What the host says of the process, when it can be asked."""
        it = self.cluster.nodes.get(node)
        if it is None or self.faults.unreachable[node]:
            detail = "no route to host"
            reason = Reason(
                code=ReasonCode.HOST_UNREACHABLE, object=f"broker:{node}", detail=detail
            )
            return HostState(is_running=None, detail=detail, reason=reason)
        return HostState(is_running=it.runs, start=str(it.starts) if it.runs else None)

    def seconds_to_ask(self, *nodes: int) -> float:
        """How long it takes to ask these hosts at once."""
        is_slow = any(self.faults.unreachable[node] for node in nodes)
        return DEADLINE if is_slow else self.latency

    def stop(self, command: effects.Command, answer: Answer) -> None:
        """Stop a process in an orderly way; the answer comes when it has ended."""
        if self._is_in_the_way(command, answer):
            return
        waiting = _StopWaiting(command=command, answer=answer)

        def send() -> None:
            if not self.cluster.nodes[command.node].runs:
                self._answered(waiting, Outcome.OK)
                return
            self._stops.setdefault(command.node, []).append(waiting)
            self.cluster.stop(command.node, by_wave=True)

        self.agenda.after(self.latency, send)
        self.agenda.after(command.timeout_seconds, lambda: self._answered(waiting, Outcome.UNKNOWN))

    def start(self, command: effects.Command, answer: Answer) -> None:
        """Start a process when there is none; the answer says that it was begun."""
        if self._is_in_the_way(command, answer):
            return
        node = command.node
        if self.faults.start_fails[node]:
            self._say(answer, Outcome.FAILED, self.latency)
            return

        def send() -> None:
            if self.cluster.start(node):
                self.restarts[node] += 1

        self.agenda.after(self.latency, send)
        if self.faults.strikes(self.faults.loses_answer, node):
            self._say(answer, Outcome.UNKNOWN, command.timeout_seconds)
        else:
            self._say(answer, Outcome.OK, 2 * self.latency)

    def elect(self, command: effects.Command, answer: Answer) -> None:
        """Have Kafka elect the leaders that a node should have; that asks no host."""

        def send() -> None:
            is_done = self.cluster.elect_preferred(command.node)
            answer(Outcome.OK if is_done else Outcome.FAILED, "")

        self.agenda.after(self.latency, send)

    def _is_in_the_way(self, command: effects.Command, answer: Answer) -> bool:
        node = command.node
        if node not in self.cluster.nodes or self.faults.unreachable[node]:
            self._say(answer, Outcome.NOT_SENT, DEADLINE)
        elif self.faults.strikes(self.faults.hangs, node):
            self._say(answer, Outcome.UNKNOWN, command.timeout_seconds)
        elif self.faults.strikes(self.faults.lies, node):
            self._say(answer, Outcome.OK, self.latency)
        else:
            return False
        return True

    def _say(self, answer: Answer, outcome: Outcome, seconds: float) -> None:
        self.agenda.after(seconds, lambda: answer(outcome, _WORDS[outcome]))

    def _ended(self, node: int) -> None:
        """A process has ended: whoever stopped it hears of it, when the answer is not lost."""
        for waiting in self._stops.pop(node, ()):
            if self.faults.unreachable[node]:
                continue  # Its connection is gone.
            if not self.faults.strikes(self.faults.loses_answer, node):
                self.agenda.after(0.0, partial(self._answered, waiting, Outcome.OK))

    def _answered(self, waiting: _StopWaiting, outcome: Outcome) -> None:
        if not waiting.is_answered:
            waiting.is_answered = True
            waiting.answer(outcome, _WORDS[outcome])


_WORDS = {
    Outcome.OK: "",
    Outcome.FAILED: "the command failed",
    Outcome.NOT_SENT: "no route to host",
    Outcome.UNKNOWN: "no answer until the deadline",
}
