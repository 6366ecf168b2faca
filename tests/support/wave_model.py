"""A wave over a small cluster of `healthd.rehearsal`, as property and unit tests drive it."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from support.cluster_model import Node, Rows, healthy

from healthd.config.playbooks import load_playbook
from healthd.engine.journal import note_of
from healthd.rehearsal.daemon import Daemon
from healthd.rehearsal.nodes import Timing
from healthd.rehearsal.rehearsal import Rehearsal
from healthd.rehearsal.world import World
from healthd.waves import events
from healthd.waves.events import Verb
from healthd.waves.playbook import Playbook
from healthd.waves.policy import WavePolicy
from healthd.waves.state import NodeStatus, WaveState

ROUND_TRIP = 0.2
"""Seconds for a question to a host, or for one collection."""


def rolling_restart() -> Playbook:
    """The playbook that is shipped."""
    return load_playbook("rolling-restart")


KeyT = TypeVar("KeyT")


@dataclass(frozen=True, slots=True)
class NodeSet(Generic[KeyT]):
    """Nodes, or sources, that something is wrong with."""

    counter: Counter[KeyT]

    def add(self, key: KeyT) -> None:
        """Something is wrong with it."""
        self.counter[key] = 1

    def discard(self, key: KeyT) -> None:
        """Nothing is."""
        self.counter.pop(key, None)

    def clear(self) -> None:
        """Nothing is wrong with any."""
        self.counter.clear()


class Faults:
    """What is wrong with the way to hosts."""

    def __init__(self, world: World) -> None:
        world.hosts.faults.strike_once = True
        faults = world.hosts.faults
        self.unreachable = NodeSet(faults.unreachable)
        self.hangs = NodeSet(faults.hangs)
        self.loses_answer = NodeSet(faults.loses_answer)
        self.lies = NodeSet(faults.lies)
        self.start_fails = NodeSet(faults.start_fails)


class WaveModel:
    """The daemon, the hosts and the cluster of one wave."""

    def __init__(
        self,
        nodes: list[Node],
        rows: Rows,
        *,
        policy: WavePolicy,
        brokers: tuple[int, ...] | None = None,
        interval: float = 5.0,
        concurrency: int | None = 1,
        playbook: Playbook | None = None,
    ) -> None:
        timing = Timing(start=8.0, catch_up=6.0, collect=interval)
        rehearsal = Rehearsal(
            snapshot=healthy(nodes, rows, interval=interval),
            playbook=playbook or rolling_restart(),
            policy=policy,
            brokers=brokers,
            concurrency=concurrency,
            model=timing,
        )
        self.world = World.of(rehearsal.snapshot, timing=timing, latency=ROUND_TRIP)
        # SIGTERM does nothing to a process that stands still.
        self.world.cluster.can_stop_frozen = False
        self.daemon = Daemon(self.world, rehearsal.wave())
        self.agenda = self.world.agenda
        self.cluster = self.world.cluster
        self.collector = self.world.collector
        self.faults = Faults(self.world)
        self.kill_at_write: Mapping[int, float] = {}
        """The daemon dies right after the write of this number, for so many seconds."""
        self.on_status: Callable[[int, NodeStatus], object] = lambda _node, _status: None
        self.daemon.on_status.append(self._entered)
        self.daemon.keeping.after_write = self._wrote

    def _entered(self, node: int, status: NodeStatus) -> None:
        self.on_status(node, status)

    def _wrote(self, write: int) -> None:
        if write in self.kill_at_write:
            self.kill(self.kill_at_write[write])

    # --- The wave ----------------------------------------------------------------------------

    @property
    def state(self) -> WaveState:
        """The wave as the daemon knows it."""
        return self.daemon.state

    @property
    def is_alive(self) -> bool:
        """Whether the daemon runs."""
        return self.daemon.is_alive

    @property
    def wave_clock(self) -> float:
        """Seconds of the wave."""
        return self.daemon.wave_clock

    def begin(self) -> None:
        """Start the daemon and the wave."""
        self.daemon.begin()

    def kill(self, down_for: float = 5.0) -> None:
        """Kill the daemon (-9); it comes back after a while and reads its journal."""
        self.daemon.kill(down_for)

    def handle(self, event: events.Event) -> None:
        """Let something happen to the wave."""
        self.daemon.handle(event)

    def order_(self, verb: Verb, node: int | None = None) -> str | None:
        """A person's order; the refusal when it was not taken."""
        return self.daemon.order(verb, node)

    def run(self, until: float) -> None:
        """Let time pass until then, or until the wave has ended."""
        self.agenda.run_until(until, is_over=lambda: self.state.status.has_ended)

    def run_to(self, is_reached: Callable[[], bool], *, within: float = 3600.0) -> None:
        """Let time pass until something is so."""
        limit = self.agenda.now + within
        self.agenda.run_until(limit, is_over=is_reached)
        assert is_reached(), f"not reached within {within} s: {self.state}"

    # --- What came of it ---------------------------------------------------------------------

    @property
    def restarts(self) -> dict[int, int]:
        """Process starts that the wave's commands brought about."""
        return self.world.hosts.restarts

    @property
    def order(self) -> list[int]:
        """The nodes as they were first taken."""
        return self.world.story.order

    @property
    def statuses(self) -> list[str]:
        """The wave's own states."""
        return self.world.story.statuses

    @property
    def writes(self) -> int:
        """How often the journal was written."""
        return self.daemon.keeping.writes

    @property
    def intents(self) -> frozenset[str]:
        """The effects that are on disk."""
        return self.daemon.keeping.store.effects_intended(self.state.wave)

    @property
    def story(self) -> list[tuple[float, str, int | None, str]]:
        """The notes of the journal: time, event, node and detail."""
        rows = self.daemon.keeping.store.journal(self.state.wave)
        began = self.collector.given.observed_at.timestamp()
        notes = ((row.at - began, note_of(row)) for row in rows)
        return [
            (at, note["event"], note.get("node"), note.get("detail", ""))
            for at, note in notes
            if note is not None
        ]

    @property
    def violations(self) -> list[dict[str, Any]]:
        """What happened and must never happen."""
        return self.daemon.oracle.violations

    def down(self) -> list[int]:
        """The nodes that have no process."""
        return self.cluster.down()

    def told(self) -> str:
        """The story so far, for a failing test."""
        rows = [f"{at:8.1f} {event} {node} {detail}" for at, event, node, detail in self.story]
        return "\n".join([*rows, f"state: {self.state}", f"cluster: {self.cluster.nodes}"])

    def as_json(self) -> dict[str, Any]:
        """What was seen from outside."""
        return {
            "outcome": self.state.status.value,
            "restarts": self.restarts,
            "order": self.order,
            "maxInFlight": self.world.story.max_in_flight,
            "down": self.down(),
            "violations": self.violations,
        }
