"""healthd beside naive policies: the same cluster, the same faults, another question between stops.

What counts is what the orchestrator itself did to partitions (contract.md: *caused*), and how long
it took. The faults are those of brokers, hosts and sources; nobody helps.
"""

import multiprocessing
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, cast

from support.naive import POLICIES, NaiveWave, Question
from support.rehearsing import rehearsal_of
from support.schedules import racked_cluster

from healthd.rehearsal.daemon import Daemon
from healthd.rehearsal.rehearsal import Rehearsal
from healthd.rehearsal.striking import Schedule
from healthd.rehearsal.topics import PartitionNow
from healthd.rehearsal.world import World

Document = dict[str, Any]

BROKERS = 6
LAST_FAULT_AT = 1200
UNTIL = 6 * 3600
AFTERWARDS = 900.0
"""So much longer is looked at what was left behind."""
LONG = (30, 120, 300, 600)
OURS = "healthd"
OURS_SAFE = "healthd, concurrency safe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one orchestrator did under one schedule of faults."""

    is_finished: bool
    seconds: float
    under: float
    """Partition-seconds under min ISR by its own stops."""
    offline: float
    shared: float
    """Partition-seconds under min ISR that its restarts had a part in, whoever came second."""


class Blame:
    """Partition-seconds under min ISR that there would not be without a restart.

    The contract's *caused* asks which change took a partition under its minimum. Here a broker that
    the orchestrator has stopped counts until it is in the ISR again, also when a fault comes
    second: nobody can foresee that, but who restarts with more care has less of it.
    """

    def __init__(self, world: World) -> None:
        self._agenda = world.agenda
        self._seconds = 0.0
        self._since: dict[PartitionNow, float] = {}
        self._isr = {row: frozenset(row.isr) for row in world.cluster.replication.partitions()}
        self._missing: dict[PartitionNow, frozenset[int]] = {}
        harm = world.cluster.replication.harm
        told = harm.changed

        def changed(partition: PartitionNow, *, by_wave: bool, **flags: bool) -> None:
            told(partition, by_wave=by_wave, **flags)
            self._changed(partition, by_wave=by_wave)

        harm.changed = changed  # type: ignore[method-assign]

    def _changed(self, partition: PartitionNow, *, by_wave: bool) -> None:
        isr = frozenset(partition.isr)
        left = self._isr.get(partition, isr) - isr
        missing = self._missing.get(partition, frozenset()) - isr
        missing |= left if by_wave else frozenset()
        self._isr[partition], self._missing[partition] = isr, missing
        is_blamed = partition.is_under_min_isr and (
            len(isr) + len(missing) >= (partition.topic.min_isr or 0)
        )
        if is_blamed and missing:
            self._since.setdefault(partition, self._agenda.now)
        elif partition in self._since:
            self._seconds += self._agenda.now - self._since.pop(partition)

    @property
    def seconds(self) -> float:
        """So many until now."""
        return self._seconds + sum(self._agenda.now - at for at in self._since.values())


@dataclass(slots=True)
class _Nobody:
    """What faults strike when no daemon is there: nothing of a wave."""

    on_status: list[Any] = field(default_factory=list)
    state: Any = None


def _fault(chance: Random) -> Document:
    """One fault of a broker, a host or a source."""
    kind = chance.choice(
        (
            "broker_crash", "broker_crash", "broker_frozen", "broker_fenced", "slow_catch_up",
            "slow_catch_up", "slow_start", "log_recovery", "exporter_lost", "exporters_lost",
            "metadata_lost", "start_fails", "not_restarted", "controller_moves",
        )
    )  # fmt: skip
    row: Document = {
        "fault": kind,
        "at": chance.randrange(LAST_FAULT_AT),
        "for": chance.choice(LONG),
    }
    if kind == "controller_moves":
        del row["for"]
        return row | {"to": chance.choice((101, 102, 103))}
    if kind == "exporters_lost":
        return row | {"fault": "exporter_lost"}
    if kind != "metadata_lost":
        row["broker"] = chance.randint(1, BROKERS)
    if kind in {"slow_start", "slow_catch_up"}:
        row["factor"] = chance.choice((5, 20, 60))
        row["for"] = LAST_FAULT_AT
    if kind == "log_recovery":
        row["seconds"] = chance.choice((60, 400))
    return row


def schedule(seed: int, concurrency: int | str = 1) -> Document:
    """A wave over six brokers in three racks with up to four faults; healthd's own defaults."""
    chance = Random(seed)
    faults = [_fault(chance) for _ in range(chance.choice((0, 1, 1, 2, 2, 3, 4)))]
    return {
        "apiVersion": "healthd/v1",
        "kind": "Rehearsal",
        "seed": seed,
        "snapshot": racked_cluster(racks=3, each=BROKERS // 3, interval=15),
        "wave": {
            "playbook": "rolling-restart",
            "brokers": list(range(1, BROKERS + 1)),
            "concurrency": concurrency,
        },
        "faults": faults,
        "until": UNTIL,
    }


def ours(rehearsal: Rehearsal) -> Run:
    """Healthd's run."""
    world = World.of(rehearsal.snapshot, timing=rehearsal.model, seed=rehearsal.seed)
    blame = Blame(world)
    daemon = Daemon(world, rehearsal.wave())
    faults = Schedule(world, daemon, rehearsal.faults)

    def is_over() -> bool:
        state = daemon.state
        is_stuck = state.is_paused and not state.in_flight and not faults.is_anything_to_come
        return state.status.has_ended or is_stuck

    faults.begin()
    daemon.begin()
    world.agenda.run_until(rehearsal.until, is_over=is_over)
    ended_at = world.story.changed_at
    world.agenda.run_until(world.agenda.now + AFTERWARDS)
    return _run(world, blame, is_finished=daemon.state.status == "succeeded", seconds=ended_at)


def naive(rehearsal: Rehearsal, question: Question) -> Run:
    """The run of a tool that asks a simple question."""
    world = World.of(rehearsal.snapshot, timing=rehearsal.model, seed=rehearsal.seed)
    blame = Blame(world)
    nobody = _Nobody(state=rehearsal.wave())
    Schedule(world, cast("Daemon", nobody), rehearsal.faults)
    wave = NaiveWave(world, rehearsal.nodes, question)
    wave.begin()
    world.agenda.run_until(rehearsal.until, is_over=lambda: wave.outcome != "running")
    world.agenda.run_until(world.agenda.now + AFTERWARDS)
    return _run(world, blame, is_finished=wave.outcome == "succeeded", seconds=wave.ended_at)


def _run(world: World, blame: Blame, *, is_finished: bool, seconds: float) -> Run:
    harm = world.cluster.replication.harm
    return Run(
        is_finished=is_finished,
        seconds=seconds,
        under=harm.under_min_isr_seconds,
        offline=harm.offline_seconds,
        shared=blame.seconds,
    )


def _asking(question: Question, seed: int) -> Run:
    return naive(rehearsal_of(schedule(seed)), question)


ORCHESTRATORS: Mapping[str, Callable[[int], Run]] = {
    OURS: lambda seed: ours(rehearsal_of(schedule(seed))),
    OURS_SAFE: lambda seed: ours(rehearsal_of(schedule(seed, "safe"))),
    **{name: partial(_asking, question) for name, question in POLICIES.items()},
}


def table(runs: Mapping[str, list[Run]]) -> Iterator[str]:
    """The lines of a Markdown table."""
    yield (
        "| what is asked between two brokers | schedules in which it took a partition under min ISR"
        " | partition-seconds under min ISR, caused | partition-seconds offline, caused"
        " | partition-seconds under min ISR that a restart had a part in"
        " | finished by itself | median makespan of those |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for name, rows in runs.items():
        finished = [row.seconds for row in rows if row.is_finished]
        median = f"{statistics.median(finished) / 60:.1f} min" if finished else "-"
        yield (
            f"| {name} | {sum(row.under > 0 for row in rows)} of {len(rows)}"
            f" | {sum(row.under for row in rows):,.0f} | {sum(row.offline for row in rows):,.0f}"
            f" | {sum(row.shared for row in rows):,.0f} | {len(finished)} | {median} |"
        )


def compared(seeds: Iterable[int], *, processes: int = 1) -> dict[str, list[Run]]:
    """Every orchestrator under the schedules of these seeds."""
    many = list(seeds)
    if processes == 1:
        return {name: [run(seed) for seed in many] for name, run in ORCHESTRATORS.items()}
    asked = [(name, seed) for name in ORCHESTRATORS for seed in many]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        runs = iter(pool.map(_run_of, asked, chunksize=10))
    return {name: [next(runs) for _ in many] for name in ORCHESTRATORS}


def _run_of(asked: tuple[str, int]) -> Run:
    name, seed = asked
    return ORCHESTRATORS[name](seed)


BEGIN, END = "<!-- made by make bench: begin -->", "<!-- made by make bench: end -->"


def with_table(page: str, lines: Iterable[str]) -> str:
    """The page with this table between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return "\n".join([f"{before}{BEGIN}", "", *lines, "", f"{END}{after}"])


def table_in(page: str) -> list[list[str]]:
    """The cells of the table between the marks, without its head."""
    rows = page.partition(BEGIN)[2].partition(END)[0].strip().splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
