"""The engine over several clusters in memory, one state file and one clock."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from support.engine import INTERVAL, NOW, POLICY, FaultyStore, Plant, PlantExecutor, a_playbook
from support.engine import request as request_of_one

from healthd.collect.memory import MemoryCluster, MemorySource
from healthd.engine.accepting import Playbooks
from healthd.engine.clock import Clock
from healthd.engine.collecting import ClusterLoop, Published
from healthd.engine.journal import StoreThread
from healthd.engine.keeping import Tools
from healthd.engine.pace import Pace
from healthd.engine.totals import Totals
from healthd.engine.view import FleetView
from healthd.engine.waves import Waves
from healthd.execute.memory import MemoryElector, MemoryHost, Verb
from healthd.execute.protocol import Command, Outcome, Target


class Site(Plant):
    """One cluster of a fleet; its brokers have ids that no other cluster has."""

    labels: Mapping[str, str]

    def __init__(self, name: str, first: int, labels: Mapping[str, str] | None = None) -> None:
        self.labels = labels or {}
        super().__init__(name=name, brokers=(first, first + 1, first + 2))

    def __post_init__(self) -> None:
        self.cluster = MemoryCluster(
            self.name, brokers=self.brokers, racks={node: f"az{node}" for node in self.brokers}
        )
        one, two, three = self.brokers
        replicas = [(one, two, three), (two, three, one), (three, one, two)]
        self.cluster.create_topic("orders", replicas, min_insync_replicas=2)
        self.hosts = {f"b{node}": MemoryHost(outputs={"tail": "x\n"}) for node in self.brokers}
        self.store = FaultyStore()
        self.most_down = 0


class FleetExecutor:
    """Commands on the hosts of every site."""

    def __init__(self, sites: Sequence[Site]) -> None:
        self.of = {
            address: executor
            for executor, site in ((PlantExecutor(site), site) for site in sites)
            for address in site.hosts
        }

    async def run(self, target: Target, command: Command) -> Outcome:
        return await self.of[target.address].run(target, command)

    async def aclose(self) -> None:
        """Nothing to close."""


class FleetLife:
    """One life of the daemon over several sites."""

    def __init__(
        self, *sites: Site, store: FaultyStore | None = None, playbooks: Playbooks = a_playbook
    ) -> None:
        self.sites = sites
        self.disk = store or FaultyStore()
        self.clock = Clock(monotonic=lambda: self.now, wall=lambda: NOW + self.now)
        self.totals = Totals()
        self.loops: dict[str, ClusterLoop] = {}
        self.loops |= {site.name: self._loop(site) for site in sites}
        self.store = StoreThread(self.disk)
        self.executor = FleetExecutor(sites)
        self.waves = Waves(
            Tools(
                store=self.store,
                executor=self.executor,
                elector_of=lambda _config: MemoryElector(),
                clusters=self.loops,
                instance="here",
                holder="healthd here",
                clock=self.clock,
                totals=self.totals,
                pace=Pace(),
            ),
            playbooks=playbooks,
            interval_seconds=INTERVAL,
        )
        self._tasks: list[asyncio.Task[None]] = []
        self.most_at_once = 0

    def _loop(self, site: Site) -> ClusterLoop:
        return ClusterLoop(
            site.config(labels=site.labels),
            MemorySource(site.cluster, interval_seconds=INTERVAL, clock=lambda: self.now),
            deadline_seconds=4.0,
            clock=self.clock,
            totals=self.totals,
            listener=self._listen,
        )

    def _listen(self, cluster: str, published: Published) -> None:
        self.waves.published(cluster, published)

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def begin(self) -> "FleetLife":
        await self.waves.load()
        for loop in self.loops.values():
            self._tasks.append(asyncio.create_task(self._sweep(loop)))
        await self.until(lambda: all(loop.has_been_looked_at for loop in self.loops.values()))
        return self

    async def _sweep(self, loop: ClusterLoop) -> None:
        while True:
            await loop.sweep()
            await asyncio.sleep(INTERVAL)

    async def until(self, is_it: Callable[[], bool], *, seconds: float = 2_000) -> None:
        end = self.now + seconds
        while not is_it():
            assert self.now < end, [
                (v.state.status, v.state.holds, v.trouble, v.state.members)
                for v in self.waves.fleet.views()
            ]
            self.most_at_once = max(self.most_at_once, len(self.waves.active()))
            await asyncio.sleep(0.25)

    async def start(self, *stages: Mapping[str, Any], **policy: Any) -> str:
        view = await self.waves.start(fleet_request(*stages, **policy), by="ann")
        assert isinstance(view, FleetView)
        return view.state.wave

    def view(self, wave: str) -> FleetView:
        view = self.waves.fleet.view(wave)
        assert view is not None
        return view

    def status(self, wave: str) -> str:
        return self.view(wave).state.status.value

    def members(self, wave: str) -> dict[str, str]:
        return {m.cluster: m.status.value for m in self.view(wave).state.members}

    def holds(self, wave: str) -> set[tuple[str, str]]:
        holds = self.view(wave).state.holds
        return {(hold.reason.code.value, hold.reason.object) for hold in holds}

    async def until_status(self, wave: str, *statuses: str) -> str:
        await self.until(lambda: self.status(wave) in statuses)
        return self.status(wave)

    async def until_ended(self, wave: str) -> str:
        return await self.until_status(wave, "succeeded", "failed", "aborted")

    @property
    def starts(self) -> dict[str, list[int]]:
        return {site.name: list(site.starts.values()) for site in self.sites}

    async def die(self) -> None:
        """End at once, as kill -9 does."""
        self.disk.is_dead = True
        await self.waves.fleet._tasks.cancel()
        await self.waves._tasks.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.disk.is_dead = False
        self.disk.died.clear()


def fleet_request(*stages: Mapping[str, Any], **policy: Any) -> dict[str, Any]:
    """A wave file."""
    body = request_of_one(**policy)
    return {**body, "name": "june", "stages": [dict(stage) for stage in stages]}


def slow(seconds: float) -> Mapping[Verb, float]:
    """How long commands take."""
    return {Verb.STOP: seconds, Verb.START: seconds}


__all__ = ["POLICY", "FleetLife", "Site", "fleet_request", "slow"]
