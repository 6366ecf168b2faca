"""What a wave writes, in which order, and what it may do unwritten."""

import json
from dataclasses import replace
from typing import Any

import pytest
from support.engine import NOW
from support.virtual_time import in_virtual_time
from support.waves import a_wave

from healthd.engine.clock import Clock
from healthd.engine.halfway import may_go_unwritten
from healthd.engine.journal import StoreThread, WaveJournal, note_of
from healthd.store.errors import StoreFull
from healthd.store.memory import MemoryStore
from healthd.store.records import EntryKind, JournalRow, LeaseHeld, WaveRecord
from healthd.waves import effects, events
from healthd.waves.effects import Note, Step
from healthd.waves.events import Outcome as CommandOutcome
from healthd.waves.state import NodeStatus, WaveStatus

FULL = StoreFull("the disk is full", where="/state", todo="make room")


class JournalBench:
    """A wave in a store in memory, with its lease."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.state = a_wave(1, 2)
        self.store.create_wave(
            WaveRecord(
                id="w", cluster="payments", name="w", reason="", requested_by="", created_at=NOW,
                updated_at=NOW, status="running", state="{}",
            )
        )  # fmt: skip
        lease = self.store.acquire(
            "payments", wave_id="w", instance="here", holder="here", now=NOW, ttl_seconds=60
        )
        assert not isinstance(lease, LeaseHeld)
        self.fence = lease.fence

    def journal(self, **changes: Any) -> WaveJournal:
        values: dict[str, Any] = {"version": 1, "fence": self.fence, "clock": Clock()}
        return WaveJournal(StoreThread(self.store), "w", **(values | changes))

    def stop(self, node: int = 1, attempt: int = 1) -> Step:
        stop = effects.StopService(
            node=node, effect_id=f"{node}.{attempt}.stop", timeout_seconds=600,
            start_effect_id=f"{node}.{attempt}.start",
        )  # fmt: skip
        return Step(
            state=self.state,
            effects=(stop,),
            notes=(Note(event="node_stopping", node=node, detail="why", data={"a": 1}),),
        )

    def told(self) -> list[tuple[str, str]]:
        return [
            (row.kind.value, row.effect_id or json.loads(row.body)["event"])
            for row in self.store.journal("w")
        ]


TICK = events.Ticked(at=0.0)


@in_virtual_time
async def test_a_stop_is_written_with_its_start_and_with_its_notes_before() -> None:
    bench = JournalBench()
    await bench.journal().write(TICK, bench.stop())
    assert bench.told() == [
        ("event", "node_stopping"), ("effect", "1.1.stop"), ("effect", "1.1.start"),
    ]  # fmt: skip
    row = bench.store.journal("w")[0]
    assert note_of(row) == {
        "event": "node_stopping", "clock": 0.0, "node": 1, "detail": "why", "data": {"a": 1},
    }  # fmt: skip
    assert note_of(bench.store.journal("w")[1]) is None


@pytest.mark.parametrize("body", ["[]", "3"])
def test_a_line_that_is_no_note_tells_nothing(body: str) -> None:
    row = JournalRow(seq=1, wave_id="w", at=NOW, kind=EntryKind.EVENT, body=body, effect_id=None)
    assert note_of(row) is None


@in_virtual_time
async def test_an_intent_is_written_once_also_after_a_restart() -> None:
    bench = JournalBench()
    first = bench.journal()
    await first.write(TICK, bench.stop())
    again = bench.journal(version=2)
    await again.load()
    start = effects.StartService(node=1, effect_id="1.1.start", timeout_seconds=600)
    await again.write(TICK, Step(state=bench.state, effects=(start,)))
    assert [told for told in bench.told() if told[0] == "effect"] == [
        ("effect", "1.1.stop"), ("effect", "1.1.start"),
    ]  # fmt: skip
    ended = events.CommandEnded(
        at=0.0, node=1, effect_id="1.1.start", outcome=CommandOutcome.OK, detail=""
    )
    await again.write(ended, Step(state=bench.state))
    assert [effect.effect_id for effect in bench.store.effects_open("w")] == ["1.1.stop"]


@in_virtual_time
async def test_what_could_not_be_written_comes_before_what_is_written_next() -> None:
    bench = JournalBench()
    journal = bench.journal()
    bench.store.fail_writes_with = FULL
    with pytest.raises(StoreFull):
        await journal.write(TICK, Step(state=bench.state, notes=(Note(event="first"),)))
    journal.keep(Step(state=bench.state, notes=(Note(event="second"),)))
    assert journal.is_behind
    bench.store.fail_writes_with = None
    await journal.write(TICK, Step(state=bench.state, notes=(Note(event="third"),)))
    assert [name for _, name in bench.told()] == ["first", "second", "third"]
    assert not journal.is_behind


@in_virtual_time
async def test_a_step_that_was_not_carried_out_is_never_written() -> None:
    bench = JournalBench()
    journal = bench.journal()
    bench.store.fail_writes_with = FULL
    with pytest.raises(StoreFull):
        await journal.write(TICK, Step(state=bench.state, notes=(Note(event="first"),)))
    with pytest.raises(StoreFull):
        await journal.write(TICK, bench.stop())
    journal.forget_last()
    bench.store.fail_writes_with = None
    await journal.write(TICK, bench.stop())
    assert [name for _, name in bench.told()] == [
        "first", "node_stopping", "1.1.stop", "1.1.start",
    ]  # fmt: skip


@in_virtual_time
async def test_the_last_write_finishes_every_effect_and_gives_the_lease_back() -> None:
    bench = JournalBench()
    journal = bench.journal()
    await journal.write(TICK, bench.stop())
    bench.store.fail_writes_with = FULL
    late = effects.StartService(node=1, effect_id="1.2.start", timeout_seconds=600)
    with pytest.raises(StoreFull):
        await journal.write(TICK, Step(state=bench.state, effects=(late,)))
    bench.store.fail_writes_with = None
    ended = Step(state=replace(bench.state, status=WaveStatus.SUCCEEDED))
    await journal.write(TICK, ended)
    assert journal.is_behind
    assert bench.store.leases()
    await journal.write(TICK, ended)
    assert bool(journal.is_behind) is False
    assert bench.store.effects_open("w") == ()
    assert bench.store.leases() == ()


@in_virtual_time
async def test_nothing_is_intended_without_a_lease() -> None:
    bench = JournalBench()
    with pytest.raises(RuntimeError, match="without a lease"):
        await bench.journal(fence=None).write(TICK, bench.stop())
    assert bench.told() == []


@pytest.mark.parametrize(
    ("status", "command", "may"),
    [
        (NodeStatus.STOPPED, "start", True),
        (NodeStatus.FAILED, "start", True),
        (NodeStatus.PENDING, "start", False),
        (NodeStatus.PENDING, "stop", False),
        (NodeStatus.STOPPING, "stop", False),
        (NodeStatus.RECOVERING, "elect", False),
        (NodeStatus.STOPPED, None, True),
    ],
)
def test_only_a_start_of_what_the_wave_has_stopped_goes_unwritten(
    status: NodeStatus,
    command: str | None,
    may: bool,  # noqa: FBT001  # A row of the table.
) -> None:
    made: dict[str | None, tuple[effects.Effect, ...]] = {
        None: (effects.Observe(node=1),),
        "start": (effects.StartService(node=1, effect_id="s", timeout_seconds=1),),
        "stop": (
            effects.StopService(node=1, effect_id="s", timeout_seconds=1, start_effect_id="t"),
        ),
        "elect": (effects.ElectLeaders(node=1, effect_id="e", timeout_seconds=1),),
    }
    state = a_wave(1)
    before = state.with_node(replace(state.nodes[0], status=status))
    assert may_go_unwritten(before, Step(state=before, effects=made[command])) is may
