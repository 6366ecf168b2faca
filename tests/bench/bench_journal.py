"""What a wave over 1,500 brokers pays for its journal, and how fast a restart takes it up again.

The state file is a real one, with a sync to the disk at every commit. Beside each figure stands
what a bare SQLite transaction of one small row costs on the same disk at the same moment: that
part is the disk's, the rest is healthd's.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from support.wave_model import rolling_restart

from healthd.engine.clock import Clock
from healthd.engine.journal import StoreThread, WaveJournal
from healthd.store.records import (
    EntryKind,
    Fence,
    JournalEntry,
    JournalStep,
    Lease,
    LeaseHeld,
    WaveRecord,
)
from healthd.store.sqlite import SqliteStore
from healthd.waves import events, nodes, returning
from healthd.waves.effects import Step
from healthd.waves.events import Outcome
from healthd.waves.policy import WavePolicy
from healthd.waves.reducer import reduce
from healthd.waves.state import NodeRun, NodeStatus, WaveState, WaveStatus
from healthd.waves.stored import read_stored, whole

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]

BROKERS: Final = 1_500
TAKEN: Final = 40
LIFE: Final = (
    "pending", "stopping", "stopped", "starting", "recovering", "soaking", "done",
)  # fmt: skip


def half_done() -> WaveState:
    """A wave over 1,500 brokers of which every second is done, with all that it leaves behind."""
    runs = tuple(_done(node) if node % 2 else _pending(node) for node in range(BROKERS))
    return WaveState(
        wave="w",
        cluster="payments",
        reason="CHG-1234 kernel update",
        requested_by="ada",
        playbook=rolling_restart(),
        policy=WavePolicy(),
        nodes=runs,
        status=WaveStatus.RUNNING,
        clock=100_000.0,
        seen_up=frozenset(range(BROKERS)),
        index_before=100.0,
        index_lowest=93.25,
        index_last=99.5,
    )


def _pending(node: int) -> NodeRun:
    return NodeRun(node=node, history=(("pending", 0.0),))


def _done(node: int) -> NodeRun:
    return NodeRun(
        node=node,
        status=NodeStatus.DONE,
        since=node * 60.0,
        attempt=2,
        started_before=f"2026-01-01T00:00:{node % 60:02}.123456+00:00",
        started_after=f"2026-01-02T00:00:{node % 60:02}.123456+00:00",
        starting_since=node * 60.0,
        observed_at=node * 60.0,
        history=tuple((status, node * 60.0 + at) for at, status in enumerate(LIFE)),
    )


def story(state: WaveState) -> Iterator[tuple[events.Event, Callable[[], Step]]]:
    """Every write of the restarts of some brokers, and how the reducer makes each of them."""
    steps = _Steps(state)
    at = state.clock
    for node in range(0, 2 * TAKEN, 2):
        at += 10
        host = events.HostState(is_running=True, start="2026-01-01T00:00:00.1+00:00")
        confirmed = events.Confirmed(at=at, nodes=(node,), snapshot=None, hosts={node: host})
        yield steps.made(confirmed, partial(nodes.stop, event=confirmed), node)
        for is_running, start in ((False, None), (True, "2026-01-03T00:00:00.1+00:00")):
            effect = f"{_run(steps.state, node).command}"
            yield steps.reduced(
                events.CommandEnded(at=at, node=node, effect_id=effect, outcome=Outcome.OK)
            )
            host = events.HostState(is_running=is_running, start=start)
            yield steps.reduced(events.Observed(at=at, node=node, host=host))
        for move in (returning.back, returning.soak, returning.done):
            yield steps.made(events.Ticked(at=at), partial(move, at=at), node)


class _Steps:
    """The wave as it goes on."""

    def __init__(self, state: WaveState) -> None:
        self.state = state

    def made(
        self, event: events.Event, move: Callable[[WaveState, NodeRun], Step], node: int
    ) -> tuple[events.Event, Callable[[], Step]]:
        """A step of one node."""

        def make() -> Step:
            step = move(self.state, replace(_run(self.state, node), command=None))
            self.state = step.state
            return step

        return event, make

    def reduced(self, event: events.Event) -> tuple[events.Event, Callable[[], Step]]:
        """A step of the whole reducer."""

        def make() -> Step:
            step = reduce(self.state, event)
            self.state = step.state
            return step

        return event, make


def _run(state: WaveState, node: int) -> NodeRun:
    run = state.node(node)
    assert run is not None
    return run


@dataclass(slots=True)
class Figures:
    """What each event took, in seconds."""

    decided: list[float] = field(default_factory=list)
    written: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    ticks: list[float] = field(default_factory=list)


def milliseconds(values: list[float]) -> str:
    ordered = sorted(values)
    p99 = ordered[int(len(ordered) * 0.99)]
    return f"median {statistics.median(ordered) * 1000:.2f} ms, p99 {p99 * 1000:.2f} ms"


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def bare_insert(folder: Path) -> Callable[[], None]:
    """One small row and its sync, with nothing else around it."""
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE bare (id INTEGER PRIMARY KEY, body TEXT)")

    def insert() -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO bare (body) VALUES (?)", ("x" * 200,))
        connection.execute("COMMIT")

    return insert


def test_a_write_of_a_wave_over_1500_brokers(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "state")
    state = half_done()
    store.create_wave(
        WaveRecord(
            id="w", cluster="payments", name="w", reason="CHG", requested_by="ada",
            created_at=1.0, updated_at=1.0, status="running", state=whole(state),
        )
    )  # fmt: skip
    lease = _leased(store)
    thread = StoreThread(store)
    figures = asyncio.run(_write_all(thread, state, lease.fence, bare_insert(tmp_path)))
    times = statistics.median(figures.written) / statistics.median(figures.bare)
    print(  # A benchmark's figures are what it is for.
        f"\njournal of a wave over {BROKERS} brokers, {len(figures.written)} events:"
        f"\n  write: {milliseconds(figures.written)}; {times:.1f} times a bare insert and sync, "
        f"which is {milliseconds(figures.bare)}"
        f"\n  decide: {milliseconds(figures.decided)}; tick: {milliseconds(figures.ticks)}"
    )
    assert store.wave("w") is not None
    thread.close()


async def _write_all(
    thread: StoreThread, state: WaveState, fence: Fence, bare: Callable[[], None]
) -> Figures:
    journal = WaveJournal(thread, "w", version=1, fence=fence, clock=Clock())
    # The first write after a start holds every broker; it is part of taking a wave up.
    await journal.write(events.Resumed(at=state.clock), Step(state=state))
    figures = Figures()
    for event, make in story(state):
        began = time.perf_counter()
        step = make()
        decided = time.perf_counter()
        await journal.write(event, step)
        written = time.perf_counter()
        figures.decided.append(decided - began)
        figures.written.append(written - decided)
        tick = partial(reduce, step.state, events.Ticked(at=state.clock))
        figures.ticks.append(timed(tick))
        # On the store's own thread: two threads that sync in turns wait for each other (jbd2).
        figures.bare.append(await thread.call(lambda _store: timed(bare)))
    return figures


def test_a_restart_takes_a_wave_over_1500_brokers_up_again(tmp_path: Path) -> None:
    """From opening the state file to the first write that its daemon makes of the wave."""
    before = half_done()
    folder = tmp_path / "state"
    asyncio.run(_leave_behind(folder, before))
    began = time.perf_counter()
    status = asyncio.run(_take_up(folder))
    seconds = time.perf_counter() - began
    assert status is WaveStatus.RUNNING
    print(f"\nwave over {BROKERS} brokers taken up again in {seconds:.2f} s")  # As above.


async def _leave_behind(folder: Path, state: WaveState) -> None:
    """A state file with the wave in it, and the journal of all that it has done."""
    store = SqliteStore.open(folder)
    store.create_wave(
        WaveRecord(
            id="w", cluster="payments", name="w", reason="CHG", requested_by="ada",
            created_at=1.0, updated_at=1.0, status="running", state=whole(state),
        )
    )  # fmt: skip
    lease = _leased(store)
    lines = tuple(
        JournalEntry(kind=EntryKind.EVENT, body=f'{{"event":"node_{status}","node":{node}}}')
        for node in range(0, BROKERS, 2)
        for status in LIFE
    )
    intents = tuple(
        JournalEntry(kind=EntryKind.EFFECT, body="{}", effect_id=f"{node}.1.{verb}")
        for node in range(1, BROKERS, 2)
        for verb in ("stop", "start")
    )
    store.append(
        JournalStep(
            wave_id="w", expected_version=1, at=2.0, status="running", state=whole(state),
            entries=(*lines, *intents), fence=lease.fence,
        )
    )  # fmt: skip
    thread = StoreThread(store)
    journal = WaveJournal(thread, "w", version=2, fence=lease.fence, clock=Clock())
    await journal.load()
    await journal.write(events.Ticked(at=state.clock), Step(state=state))
    thread.close()


async def _take_up(folder: Path) -> WaveStatus:
    store = SqliteStore.open(folder)
    (record,) = store.waves()
    lease = _leased(store)
    state = read_stored(record.state, record.parts)
    thread = StoreThread(store)
    journal = WaveJournal(thread, "w", version=record.version, fence=lease.fence, clock=Clock())
    await journal.load()
    event = events.Resumed(at=state.clock)
    step = reduce(state, event)
    await journal.write(event, step)
    thread.close()
    return step.state.status


def _leased(store: SqliteStore) -> Lease:
    lease = store.acquire(
        "payments", wave_id="w", instance="i", holder="h", now=1.0, ttl_seconds=60.0
    )
    assert not isinstance(lease, LeaseHeld)
    return lease
