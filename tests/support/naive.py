"""Rolling restarts as common tools do them: one broker after another, and one question between.

They act on the same model as healthd's daemon does, through the same hosts; only the question
differs. A tool whose restart command fails, or gets no answer, stops there, as they do.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from healthd.model.snapshot import NO_LEADER
from healthd.model.words import EvidenceGroup
from healthd.rehearsal.nodes import Phase
from healthd.rehearsal.world import World
from healthd.waves.effects import StartService, StopService
from healthd.waves.events import Outcome

POLL_SECONDS = 15.0
"""Between two questions."""
TRIES = 15
FIXED_SECONDS = 300.0
COMMAND_SECONDS = 600.0

Question = Callable[["NaiveWave", int, int], bool | None]
"""(wave, broker, how often it was asked before): go on, ask again, or None to give up."""


def _led_and_short(world: World, node: int) -> int:
    """The gauge UnderReplicatedPartitions of one broker."""
    return sum(
        partition.leader == node and len(partition.isr) < len(partition.replicas)
        for partition in world.cluster.replication.partitions()
    )


def gauges_are_zero(wave: "NaiveWave", node: int, asked: int) -> bool:
    """The sum of UnderReplicatedPartitions over the exporters that answer is 0."""
    world = wave.world
    answering = [
        it.id
        for it in world.cluster.nodes.values()
        if it.runs and it.is_broker and not it.is_frozen
        and not world.collector.exporters_lost[it.id]
    ]  # fmt: skip
    return sum(_led_and_short(world, each) for each in answering) == 0


def process_is_ready(wave: "NaiveWave", node: int, asked: int) -> bool:
    """The restarted process has opened its port."""
    return wave.world.cluster.nodes[node].phase is Phase.RUNNING


def first_of_fifteen(wave: "NaiveWave", node: int, asked: int) -> bool | None:
    """The first reading in which metadata names no under-replicated partition, of 15 at most."""
    world = wave.world
    is_read = not world.collector.lost[EvidenceGroup.METADATA]
    rows = world.cluster.replication.partitions()
    is_good = is_read and all(
        len(row.isr) >= len(row.replicas) and row.leader != NO_LEADER for row in rows
    )
    return is_good or (None if asked + 1 >= TRIES else False)


def five_minutes_are_over(wave: "NaiveWave", node: int, asked: int) -> bool:
    """Five minutes have passed since the restart."""
    return wave.world.agenda.now - wave.restarted_at >= FIXED_SECONDS


POLICIES: Mapping[str, Question] = {
    "sum of gauges is 0": gauges_are_zero,
    "process is ready": process_is_ready,
    "first of 15 good readings": first_of_fifteen,
    "fixed 5-minute wait": five_minutes_are_over,
}


@dataclass(slots=True)
class NaiveWave:
    """One run of such a tool over the nodes, in the order of their ids."""

    world: World
    nodes: tuple[int, ...]
    question: Question
    outcome: str = "running"
    ended_at: float = 0.0
    restarted_at: float = -FIXED_SECONDS
    _at: int = 0

    def begin(self) -> None:
        """Ask, and take the first node when the answer is good."""
        self._ask(self.nodes[0], 0)

    def _take(self) -> None:
        if self._at >= len(self.nodes):
            self._end("succeeded")
            return
        node = self.nodes[self._at]
        self._at += 1
        command = StopService(
            node=node,
            effect_id=f"{node}.stop",
            start_effect_id=f"{node}.start",
            timeout_seconds=COMMAND_SECONDS,
        )
        self.world.hosts.stop(command, lambda outcome, _detail: self._stopped(node, outcome))

    def _stopped(self, node: int, outcome: Outcome) -> None:
        if outcome is not Outcome.OK:
            self._end("failed")
            return
        command = StartService(
            node=node, effect_id=f"{node}.start", timeout_seconds=COMMAND_SECONDS
        )
        self.world.hosts.start(command, lambda told, _detail: self._started(node, told))

    def _started(self, node: int, outcome: Outcome) -> None:
        if outcome is not Outcome.OK:
            self._end("failed")
            return
        self.restarted_at = self.world.agenda.now
        self._ask(node, 0)

    def _ask(self, node: int, asked: int) -> None:
        answer = self.question(self, node, asked)
        if answer is None:
            self._end("failed")
        elif answer:
            self._take()
        else:
            self.world.agenda.after(POLL_SECONDS, lambda: self._ask(node, asked + 1))

    def _end(self, outcome: str) -> None:
        self.outcome, self.ended_at = outcome, self.world.agenda.now
