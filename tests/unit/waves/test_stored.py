"""What a write of the journal holds of a wave's state, and the state read back from it."""

import json
from dataclasses import replace

import pytest
from support.waves import a_wave

from healthd.waves.codec import StateUnreadable
from healthd.waves.state import NodeStatus, WaveState, WaveStatus
from healthd.waves.stored import StateParts, read_stored, whole


class Disk:
    """What a store would hold of one wave."""

    def __init__(self) -> None:
        self.parts = StateParts()
        self.head = ""
        self.kept: dict[str, str] = {}
        self.written: list[str] = []

    def write(self, state: WaveState) -> None:
        stored = self.parts.changed_in(state)
        self.head = stored.head
        self.kept = {} if stored.parts is None else {**self.kept, **stored.parts}
        self.written = sorted(stored.parts or {})
        self.parts.written(state)

    def read(self) -> WaveState:
        return read_stored(self.head, self.kept)


def moved(state: WaveState, node: int, status: NodeStatus) -> WaveState:
    run = state.node(node)
    assert run is not None
    return state.with_node(run.moved(status, state.clock))


def test_the_first_write_holds_all_of_it_and_it_reads_back() -> None:
    disk, state = Disk(), replace(a_wave(3, 1, 2), seen_up=frozenset({1, 2}))
    disk.write(state)
    assert disk.written == [
        "forecast", "node:0", "node:1", "node:2", "pins", "playbook", "policy", "seen_up",
    ]  # fmt: skip
    assert disk.read() == state


def test_a_later_write_holds_only_what_has_changed() -> None:
    disk, state = Disk(), a_wave(3, 1, 2)
    disk.write(state)
    state = replace(moved(state, 1, NodeStatus.STOPPING), clock=12.5)
    disk.write(state)
    assert disk.written == ["node:1"]
    assert disk.read() == state
    state = replace(state, clock=13.0, seen_up=frozenset({7}))
    disk.write(state)
    assert disk.written == ["seen_up"]
    assert disk.read() == state


def test_what_was_not_written_goes_with_the_next_write() -> None:
    disk, state = Disk(), a_wave(1, 2)
    disk.write(state)
    state = moved(state, 1, NodeStatus.STOPPING)
    disk.parts.changed_in(state)  # The disk was full.
    state = moved(state, 2, NodeStatus.SKIPPED)
    disk.write(state)
    assert disk.written == ["node:0", "node:1"]
    assert disk.read() == state


def test_a_wave_that_has_ended_is_written_whole() -> None:
    disk, state = Disk(), a_wave(1, 2)
    disk.write(state)
    state = replace(state, status=WaveStatus.SUCCEEDED)
    disk.write(state)
    assert disk.kept == {}
    assert disk.read() == state


def test_a_state_of_before_there_were_parts_is_read() -> None:
    state = a_wave(1, 2)
    assert read_stored(whole(state), {}) == state


def test_a_wave_of_before_there_was_a_part_is_read_without_it() -> None:
    disk, state = Disk(), a_wave(1, 2)
    disk.write(state)
    del disk.kept["forecast"], disk.kept["pins"]
    assert disk.read() == state


@pytest.mark.parametrize("lost", ["node:1", "playbook", "seen_up"])
def test_a_part_that_is_missing_or_no_json_is_named(lost: str) -> None:
    disk = Disk()
    disk.write(a_wave(1, 2))
    text = disk.kept.pop(lost)
    with pytest.raises(StateUnreadable, match=f"{lost}: is missing"):
        disk.read()
    disk.kept[lost] = text[:-1]
    with pytest.raises(StateUnreadable, match=f"{lost}: is no JSON"):
        disk.read()


@pytest.mark.parametrize("head", ["", "[]", "{", '{"nodes": 1}', '{"nodes": -1}'])
def test_a_head_that_is_damaged_is_unreadable(head: str) -> None:
    with pytest.raises(StateUnreadable):
        read_stored(head, {})


def test_a_field_of_a_newer_version_is_named() -> None:
    disk = Disk()
    disk.write(a_wave(1, 2))
    disk.head = json.dumps({**json.loads(disk.head), "fromTheFuture": 1})
    with pytest.raises(StateUnreadable, match="fromTheFuture: is not known"):
        disk.read()
