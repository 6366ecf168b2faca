"""The daemon killed around every write of a dry run over two clusters: no command is ever sent."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import pytest
from support.engine import FaultyStore, Killed
from support.fleet_life import FleetLife, Site, fleet_request
from support.virtual_time import in_virtual_time

from healthd.store.records import AuditRecord, Lease, LeaseHeld, WaveRecord
from healthd.waves.stored import read_stored

T = TypeVar("T")
WRITES = 37
"""So many it makes when nothing goes wrong; the first test counts them."""
STAGES = (
    {"name": "canary", "clusters": ["dev"], "brokers": [1], "approval": "required"},
    {"name": "prod", "clusters": ["a"], "brokers": [11, 12], "concurrency": "safe"},
)


class EveryWrite(FaultyStore):
    """Counts a new wave and a lease that is taken as writes, too."""

    def create_wave(self, record: WaveRecord, *, audit: tuple[AuditRecord, ...] = ()) -> None:
        self._counted(lambda: FaultyStore.create_wave(self, record, audit=audit))

    def acquire(self, cluster: str, **given: Any) -> Lease | LeaseHeld:
        return self._counted(lambda: FaultyStore.acquire(self, cluster, **given))

    def _counted(self, write: Callable[[], T]) -> T:
        if self.is_dead:
            raise Killed
        self.writes += 1
        if self.writes == self.kill_before:
            self._die()
        done = write()
        if self.writes == self.kill_after:
            self._die()
        return done


def sites() -> list[Site]:
    return [Site("dev", 1), Site("a", 11)]


def request() -> Mapping[str, Any]:
    return fleet_request(*STAGES, cleanSeconds=0, cleanSnapshots=1) | {"dryRun": True}


def is_all_dry(disk: FaultyStore) -> bool:
    """Whether every wave and every lease there is belongs to a dry run."""
    records = disk.waves()
    children = [read_stored(each.state, each.parts) for each in records if each.cluster]
    parents = [json.loads(each.state) for each in records if not each.cluster]
    return (
        all(each.id.startswith("dry-run-june-") for each in records)
        and all(child.is_dry_run for child in children)
        and all(parent["is_dry_run"] for parent in parents)
        and all(lease.cluster.endswith(" (dry run)") for lease in disk.leases())
    )


def touched(life: FleetLife) -> list[Any]:
    """What was asked of any host, and brokers that were started."""
    asked = [each for executor in life.executor.of.values() for each in executor.asked]
    return [*asked, *(count for site in life.starts.values() for count in site if count)]


@in_virtual_time
async def test_the_kill_points_are_all_the_writes_of_the_dry_run() -> None:
    disk = EveryWrite()
    life = await FleetLife(*sites(), store=disk).begin()
    wave = (await life.waves.start(request(), by="ann")).state.wave
    assert await life.until_ended(wave) == "succeeded"
    assert disk.writes == WRITES
    assert is_all_dry(disk)
    await life.die()


@pytest.mark.parametrize("number", range(1, WRITES + 1))
@pytest.mark.parametrize("when", ["before", "after"])
@in_virtual_time
async def test_a_daemon_killed_at_any_write_sends_nothing_and_makes_no_real_wave(
    when: str, number: int
) -> None:
    disk = EveryWrite()
    life = await FleetLife(*sites(), store=disk).begin()
    setattr(disk, f"kill_{when}", number)
    try:
        await life.waves.start(request(), by="ann")
        await asyncio.wait_for(disk.died.wait(), 2000)
    except Killed:
        assert number == 1
    await life.die()
    disk.kill_before = disk.kill_after = None
    assert is_all_dry(disk)
    assert touched(life) == []
    risen = await FleetLife(*life.sites, store=disk).begin()
    for view in risen.waves.fleet.views():
        assert await risen.until_ended(view.state.wave) == "succeeded"
        assert len(view.state.members) == len(risen.view(view.state.wave).children) == 2
    assert bool(disk.waves()) is (number > 1 or when == "after")
    assert is_all_dry(disk)
    assert (touched(risen), disk.leases()) == ([], ())
    await risen.die()
