"""A wave over a model cluster in virtual time, driven as `engine.driver` drives a real one.

Events go in one at a time; a step is written before anything of it is carried out; a daemon that
is killed loses everything but what was written. What must never happen is collected in
`violations`.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from support.cluster_model import Agenda, ClusterModel, Node, PartitionNow, Phase, Timing
from support.cluster_view import Collector
from support.wave_oracle import Oracle

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.model.snapshot import ClusterSnapshot
from healthd.waves import effects, events
from healthd.waves.codec import decode_state, encode_state
from healthd.waves.events import HostState, Outcome
from healthd.waves.orders import refusal_of
from healthd.waves.playbook import Playbook, parse_playbook
from healthd.waves.policy import WavePolicy
from healthd.waves.reducer import reduce
from healthd.waves.state import (
    IN_FLIGHT,
    NodeRun,
    NodeStatus,
    WaveState,
)

ROUND_TRIP = 0.2
"""Seconds for a question to a host, or for one collection."""
STARTED_AT = 1_800_000_000.0
"""Unix seconds at which the agenda begins."""
DEADLINE = 10.0
"""After so long a host that does not answer counts as unreachable."""


def rolling_restart() -> Playbook:
    """The playbook that is shipped."""
    path = Path(__file__).parents[2] / "playbooks" / "rolling-restart.yaml"
    parsed = parse_playbook(YAML(typ="safe").load(path.read_text(encoding="utf-8")))
    assert isinstance(parsed, Playbook), parsed
    return parsed


@dataclass(slots=True)
class HostFaults:
    """What is wrong with the way to one host, by node."""

    unreachable: set[int] = field(default_factory=set)
    hangs: set[int] = field(default_factory=set)
    """The next command is never carried out, and its answer never comes."""
    loses_answer: set[int] = field(default_factory=set)
    """The next command is carried out, and its answer never comes."""
    lies: set[int] = field(default_factory=set)
    """The next command says ok, and does nothing."""
    start_fails: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Journal:
    """What is on disk: the state, and the intents."""

    state: str = ""
    intents: set[str] = field(default_factory=set)
    story: list[tuple[float, str, int | None, str]] = field(default_factory=list)
    writes: int = 0


class WaveModel:
    """The daemon, the hosts and the cluster of one wave."""

    def __init__(
        self,
        nodes: list[Node],
        partitions: list[PartitionNow],
        *,
        policy: WavePolicy,
        brokers: tuple[int, ...] | None = None,
        interval: float = 5.0,
        timing: Timing | None = None,
    ) -> None:
        self.agenda = Agenda()
        self.cluster = ClusterModel(self.agenda, nodes=nodes, partitions=partitions, timing=timing)
        self.collector = Collector(self.cluster, interval_seconds=interval)
        self.interval = interval
        self.faults = HostFaults()
        self.journal = Journal()
        self.oracle = Oracle(self)
        self.restarts: dict[int, int] = dict.fromkeys(self.cluster.nodes, 0)
        """Process starts that the wave's commands brought about."""
        self.order: list[int] = []
        self.max_in_flight = 0
        self.statuses: list[str] = []
        self.kill_at_write: Mapping[int, float] = {}
        """The daemon dies right after the write of this number, for so many seconds."""
        self.on_status: Callable[[int, NodeStatus], None] = lambda _node, _status: None
        self._life = 0
        """Counts the daemon's lives: what an earlier one had under way, nobody hears of."""
        self._base = 0.0
        self.born = 0.0
        self._previous: ClusterSnapshot | None = None
        self._observing: set[int] = set()
        chosen = brokers or tuple(sorted(self.cluster.nodes))
        self.state = WaveState(
            wave="w",
            cluster="model",
            reason="a test",
            requested_by="ada",
            playbook=rolling_restart(),
            policy=policy,
            nodes=tuple(NodeRun(node=node, history=(("pending", 0.0),)) for node in chosen),
        )
        self.is_alive = False
        self._save()

    # --- The daemon's life -------------------------------------------------------------------

    @property
    def wave_clock(self) -> float:
        """Seconds of the wave, without those in which no daemon ran."""
        return self._base + self.agenda.now - self.born

    def begin(self) -> None:
        """Start the daemon and the wave."""
        self._live()
        self.handle(events.Began(at=0.0))

    def kill(self, down_for: float = 5.0) -> None:
        """Kill the daemon (-9); it comes back after a while and reads its journal."""
        if not self.is_alive:
            return
        self.is_alive = False
        self._life += 1
        self.agenda.after(down_for, self._rise)

    def _rise(self) -> None:
        self.state = decode_state(json.loads(self.journal.state))
        self._base, self.born = self.state.clock, self.agenda.now
        self._previous = None
        self._observing = set()
        self._live()
        self.handle(events.Resumed(at=self.state.clock))

    def _live(self) -> None:
        self.is_alive = True
        self.born = self.agenda.now
        self._mine(0.1, self._sweep)
        self._mine(1.0, self._tick)

    def run(self, until: float) -> None:
        """Let time pass until then, or until the wave has ended."""
        self.agenda.run_until(until, is_over=lambda: self.state.status.has_ended)

    def run_to(self, is_reached: Callable[[], bool], *, within: float = 3600.0) -> None:
        """Let time pass until something is so."""
        limit = self.agenda.now + within
        self.agenda.run_until(limit, is_over=is_reached)
        assert is_reached(), f"not reached within {within} s: {self.state}"

    def _mine(self, seconds: float, act: Callable[[], None]) -> None:
        """Plan something that this life of the daemon does, unless it is killed first."""
        life = self._life

        def act_if_alive() -> None:
            if self._life == life and self.is_alive and not self.state.status.has_ended:
                act()

        self.agenda.after(seconds, act_if_alive)

    def _tick(self) -> None:
        self.handle(events.Ticked(at=self.wave_clock))
        self._mine(1.0, self._tick)

    def _sweep(self) -> None:
        self._collect(lambda _snapshot: None)
        self._mine(self.interval, self._sweep)

    def _collect(self, then: Callable[[ClusterSnapshot], None]) -> None:
        began = self.wave_clock

        def publish() -> None:
            snapshot = self.collector.snapshot()
            previous, self._previous = self._previous, snapshot
            self.oracle.saw(snapshot)
            self.handle(
                events.SnapshotSeen(
                    at=self.wave_clock,
                    snapshot=snapshot,
                    previous=previous,
                    collected_since=began,
                )
            )
            if self.is_alive:
                then(snapshot)

        self._mine(ROUND_TRIP, publish)

    # --- Events in, effects out --------------------------------------------------------------

    def handle(self, event: events.Event) -> None:
        """One event, as the driver handles it."""
        if not self.is_alive or self.state.status.has_ended:
            return
        before, life = self.state, self._life
        self.oracle.before_event()
        step = reduce(before, replace(event, wall=STARTED_AT + self.agenda.now))
        self.state = step.state
        if step.must_be_written or isinstance(event, events.CommandEnded):
            self._write(step)
            if self._life != life:
                return  # Killed between the write and the act.
        self._notice(before, step)
        for effect in step.effects:
            if self._life == life:
                self._carry_out(effect)

    def order_(self, verb: events.Verb, node: int | None = None) -> str | None:
        """A person's order; the refusal when it was not taken."""
        order = events.Ordered(at=self.wave_clock, verb=verb, by="ada", reason="why", node=node)
        refusal = refusal_of(self.state, order)
        if refusal is None:
            self.handle(order)
        return refusal

    def _save(self) -> None:
        self.journal.state = json.dumps(encode_state(self.state))

    def _write(self, step: effects.Step) -> None:
        self._save()
        self.journal.writes += 1
        for note in step.notes:
            self.journal.story.append((self.agenda.now, note.event, note.node, note.detail))
        for command in step.commands:
            self.journal.intents.add(command.effect_id)
            if isinstance(command, effects.StopService):
                self.journal.intents.add(command.start_effect_id)
        if self.journal.writes in self.kill_at_write:
            self.kill(self.kill_at_write[self.journal.writes])

    def _notice(self, before: WaveState, step: effects.Step) -> None:
        after = step.state
        if after.status is not before.status:
            self.statuses.append(after.status.value)
        for run in after.nodes:
            old = before.node(run.node)
            if old is not None and old.status is not run.status:
                if run.status in IN_FLIGHT:
                    self.oracle.changed_at = self.agenda.now
                self.on_status(run.node, run.status)
                if run.node not in self.order and run.node in after.in_flight:
                    self.order.append(run.node)
        self.max_in_flight = max(self.max_in_flight, len(after.in_flight))
        self.oracle.after_event()

    def _carry_out(self, effect: effects.Effect) -> None:
        match effect:
            case effects.Command():
                self._command(effect)
            case effects.Observe(node=node):
                if node not in self._observing:
                    self._observing.add(node)
                    self._ask(node, lambda host: self._observed(node, host))
            case effects.Confirm(nodes=nodes):
                self._collect(lambda seen: self._ask_all(nodes, seen))
            case effects.FetchLogs(node=node):
                at = self.wave_clock
                self._mine(
                    1.0, lambda: self.handle(events.LogsSeen(at=at, node=node, text="last words"))
                )

    def _observed(self, node: int, host: HostState) -> None:
        self._observing.discard(node)
        self.handle(events.Observed(at=self.wave_clock, node=node, host=host))

    # --- Hosts -------------------------------------------------------------------------------

    def host_state(self, node: int) -> HostState:
        """What the host says of the process, when it can be asked."""
        if node in self.faults.unreachable:
            detail = "no route to host"
            reason = Reason(
                code=ReasonCode.HOST_UNREACHABLE, object=f"broker:{node}", detail=detail
            )
            return HostState(is_running=None, detail=detail, reason=reason)
        it = self.cluster.nodes[node]
        return HostState(is_running=it.runs, start=str(it.starts) if it.runs else None)

    def _ask_all(self, nodes: tuple[int, ...], seen: ClusterSnapshot) -> None:
        """Ask the hosts of all candidates at once; the slowest answer is waited for."""

        def answer() -> None:
            hosts = {node: self.host_state(node) for node in nodes}
            self.handle(
                events.Confirmed(at=self.wave_clock, nodes=nodes, snapshot=seen, hosts=hosts)
            )

        is_slow = bool(self.faults.unreachable.intersection(nodes))
        self._mine(DEADLINE if is_slow else ROUND_TRIP, answer)

    def _ask(self, node: int, then: Callable[[HostState], None]) -> None:
        seconds = DEADLINE if node in self.faults.unreachable else ROUND_TRIP
        self._mine(seconds, lambda: then(self.host_state(node)))

    def _command(self, command: effects.Command) -> None:
        node = command.node
        if isinstance(command, effects.ElectLeaders):
            self._mine(ROUND_TRIP, lambda: self.cluster.elect_preferred(node))
            self._answer(command, Outcome.OK, 2 * ROUND_TRIP)
            return
        if isinstance(command, effects.StopService):
            self.oracle.check_stop(command)
        if node in self.faults.unreachable:
            self._answer(command, Outcome.NOT_SENT, DEADLINE)
            return
        if node in self.faults.hangs:
            self.faults.hangs.discard(node)
            self._answer(command, Outcome.UNKNOWN, command.timeout_seconds)
            return
        if node in self.faults.lies:
            self.faults.lies.discard(node)
            self._answer(command, Outcome.OK, ROUND_TRIP)
            return
        # What reached the host happens there, whether its daemon lives or not.
        if isinstance(command, effects.StopService):
            self.agenda.after(ROUND_TRIP, lambda: self.cluster.stop(node))
            self._answer_when_stopped(command, self.agenda.now + command.timeout_seconds)
        else:
            self._start(command)

    def _answer_when_stopped(self, command: effects.Command, deadline: float) -> None:
        def look() -> None:
            if not self.cluster.nodes[command.node].runs:
                self._answer_or_lose(command, Outcome.OK)
            elif self.agenda.now >= deadline:
                self._answer(command, Outcome.UNKNOWN, 0.0)
            else:
                self._mine(0.5, look)

        self._mine(0.5, look)

    def _start(self, command: effects.Command) -> None:
        node = command.node
        self.oracle.check_start(command)
        if node in self.faults.start_fails:
            self._answer(command, Outcome.FAILED, ROUND_TRIP)
            return

        def start() -> None:
            if not self.cluster.nodes[node].runs:
                self.restarts[node] += 1
                self.cluster.start(node)

        self.agenda.after(ROUND_TRIP, start)
        self._mine(2 * ROUND_TRIP, lambda: self._answer_or_lose(command, Outcome.OK))

    def _answer_or_lose(self, command: effects.Command, outcome: Outcome) -> None:
        if command.node in self.faults.loses_answer:
            self.faults.loses_answer.discard(command.node)
            self._answer(command, Outcome.UNKNOWN, command.timeout_seconds)
        else:
            self._answer(command, outcome, 0.0)

    def _answer(self, command: effects.Command, outcome: Outcome, seconds: float) -> None:
        detail = "" if outcome is Outcome.OK else f"it was {outcome.value}"

        def answer() -> None:
            self.handle(
                events.CommandEnded(
                    at=self.wave_clock,
                    node=command.node,
                    effect_id=command.effect_id,
                    outcome=outcome,
                    detail=detail,
                )
            )

        self._mine(seconds, answer)

    # --- For messages ------------------------------------------------------------------------

    def down(self) -> list[int]:
        """The nodes that have no process."""
        return [node.id for node in self.cluster.nodes.values() if node.phase is Phase.DOWN]

    def told(self) -> str:
        """The story so far, for a failing test."""
        rows = [
            f"{at:8.1f} {event} {node} {detail}" for at, event, node, detail in self.journal.story
        ]
        return "\n".join([*rows, f"state: {self.state}", f"cluster: {self.cluster.nodes}"])

    @property
    def violations(self) -> list[str]:
        """What happened and must never happen."""
        return self.oracle.violations

    def as_json(self) -> dict[str, Any]:
        """What was seen from outside."""
        return {
            "outcome": self.state.status.value,
            "restarts": self.restarts,
            "order": self.order,
            "maxInFlight": self.max_in_flight,
            "down": self.down(),
            "violations": self.violations,
        }
