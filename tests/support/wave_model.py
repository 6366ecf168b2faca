"""A wave over a model cluster in virtual time, driven as `engine.driver` drives a real one.

Events go in one at a time; a step is written before anything of it is carried out; a daemon that
is killed loses everything but what was written. What must never happen is collected in
`violations`.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from support.cluster_model import Agenda, ClusterModel, Node, PartitionNow, Phase, Timing
from support.cluster_view import Collector

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
    BETWEEN_STOP_AND_START,
    IN_FLIGHT,
    NodeRun,
    NodeStatus,
    WaveState,
)

ROUND_TRIP = 0.2
"""Seconds for a question to a host, or for one collection."""
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
        self.violations: list[str] = []
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
        self._born = 0.0
        self._previous: ClusterSnapshot | None = None
        self._observing: set[int] = set()
        self._last_seen: ClusterSnapshot | None = None
        self._changed_at = 0.0
        """When the wave last changed a broker, or began its soak."""
        self._trouble_at = 0.0
        """When a snapshot last showed something that is not the wave's own doing."""
        self._seen_times: list[float] = []
        self._previous_change = 0.0
        """The same before the event that is handled now."""
        self._may_stop: object = True
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
        return self._base + self.agenda.now - self._born

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
        self._base, self._born = self.state.clock, self.agenda.now
        self._previous = None
        self._observing = set()
        self._live()
        self.handle(events.Resumed(at=self.state.clock))

    def _live(self) -> None:
        self.is_alive = True
        self._born = self.agenda.now
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
            self._last_seen = snapshot
            self._watch(snapshot)
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
        self._previous_change = self._changed_at
        self._may_stop = not before.is_paused or before.having({NodeStatus.STOPPING})
        step = reduce(before, event)
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
                    self._changed_at = self.agenda.now
                self.on_status(run.node, run.status)
                if run.node not in self.order and run.node in after.in_flight:
                    self.order.append(run.node)
        self.max_in_flight = max(self.max_in_flight, len(after.in_flight))
        taken = [run.node for run in after.having(BETWEEN_STOP_AND_START) if not run.repair]
        if len(taken) > after.concurrency:
            self.violations.append(f"{taken} are between stop and start at one time")
        for hold in after.holds:
            if not hold.reason.object:
                self.violations.append(f"{hold.reason} names no object")

    def _carry_out(self, effect: effects.Effect) -> None:
        node = effect.node
        match effect:
            case effects.Command():
                self._command(effect)
            case effects.Observe():
                if node not in self._observing:
                    self._observing.add(node)
                    self._ask(node, lambda host: self._observed(node, host))
            case effects.Confirm():
                self._collect(
                    lambda seen: self._ask(
                        node,
                        lambda host: self.handle(
                            events.Confirmed(
                                at=self.wave_clock, node=node, snapshot=seen, host=host
                            )
                        ),
                    )
                )
            case effects.FetchLogs():
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
            self._check_stop(command)
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
        run = self.state.node(node)
        others = self.state.having({NodeStatus.STOPPING}) if run is not None else ()
        if run is not None and run.repair and others:
            self._violated(f"{node} is repaired while {others[0].node} is being stopped")
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

    # --- What must never happen --------------------------------------------------------------

    def _check_stop(self, command: effects.StopService) -> None:
        node, run = command.node, self.state.node(command.node)
        for effect_id in (command.effect_id, command.start_effect_id):
            if effect_id not in self.journal.intents:
                self._violated(f"{effect_id} is carried out, and is not on disk")
        it, seen = self.cluster.nodes[node], self._last_seen
        if run is None or seen is None:
            self._violated(f"a stop of {node} out of nothing")
            return
        if it.runs and str(it.starts) != run.started_before:
            self._violated(
                f"process {it.starts} of {node} is stopped, meant was {run.started_before}"
            )
        self._check_evidence(node, seen)
        self._check_time(node, seen)
        if run.attempt == 1:
            self._check_turn(node, seen)

    def _watch(self, seen: ClusterSnapshot) -> None:
        """Note when a snapshot shows trouble that is not this wave's own."""
        self._seen_times.append(self.agenda.now)
        away = self._own(seen)
        is_quiet = seen.quorum is not None and seen.quorum.leader_id != -1
        is_quiet = is_quiet and all(
            age <= 2 * self.interval for age in seen.effective_ages.values()
        )
        is_quiet = is_quiet and all(each.alive or each.id in away for each in seen.brokers)
        is_quiet = is_quiet and all(
            set(partition.replicas) - set(partition.isr) <= away
            for topic in seen.topics
            for partition in topic
        )
        if not is_quiet:
            self._trouble_at = self.agenda.now

    def _own(self, seen: ClusterSnapshot) -> frozenset[int]:
        """What is in flight, and the nodes of this wave that wait for repair."""
        brokers = seen.brokers_by_id
        repairs = {
            run.node
            for run in self.state.nodes
            if run.status is NodeStatus.PENDING and not brokers[run.node].alive
        }
        return self.state.in_flight | repairs

    def _check_time(self, node: int, seen: ClusterSnapshot) -> None:
        """Clean time since the last change, the last trouble and the daemon's start."""
        policy, now = self.state.policy, self.agenda.now
        since = max(self._previous_change, self._trouble_at, self._born)
        many = len([at for at in self._seen_times if at > since])
        if now - since < policy.clean_seconds or many < policy.clean_snapshots:
            self._violated(f"{node} is stopped after {now - since:.1f} s and {many} snapshots")
        oldest = now - max(seen.effective_ages.values())
        if oldest < self._previous_change:
            self._violated(f"{node} is stopped on evidence from before the last change")
        if not self._may_stop:
            self._violated(f"{node} is stopped while the wave is paused")

    def _check_turn(self, node: int, seen: ClusterSnapshot) -> None:
        """Controllers before brokers, and the active one is their last."""
        brokers = seen.brokers_by_id
        waiting = [
            run.node
            for run in self.state.having({NodeStatus.PENDING})
            if self.cluster.nodes[run.node].is_voter and brokers[run.node].alive
        ]
        is_last = seen.quorum is not None and seen.quorum.leader_id == node
        is_late = is_last or not self.cluster.nodes[node].is_voter
        if waiting and is_late and brokers[node].alive:
            self._violated(f"{node} is stopped before the controllers {waiting}")

    def _check_evidence(self, node: int, seen: ClusterSnapshot) -> None:
        """An oracle of its own: what the last snapshot says of partitions, ages and presence."""
        age = max(age for age in seen.effective_ages.values())
        if age > 2 * self.interval:
            self._violated(f"{node} is stopped on evidence {age} s old")
        brokers = seen.brokers_by_id
        away = self._own(seen)
        for broker in seen.brokers:
            if broker.id not in away and not broker.alive:
                self._violated(f"{node} is stopped while {broker.id} is down")
        if not brokers[node].alive:
            return  # A repair.
        for topic in seen.topics:
            for partition in topic:
                left = set(partition.isr) - self.state.in_flight - {node}
                if node in partition.replicas and len(left) < (topic.min_insync_replicas or 99):
                    self._violated(f"{partition} goes under min ISR by the stop of {node}")

    def _violated(self, what: str) -> None:
        self.violations.append(f"{self.agenda.now:.1f}: {what}")

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
