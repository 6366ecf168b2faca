"""The engine over a cluster, hosts and a store in memory, on one clock."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.wave_model import rolling_restart

from healthd.collect.memory import MemoryCluster, MemorySource
from healthd.collect.protocol import ClusterSource
from healthd.config.fleet import ClusterConfig, HostConfig, ServiceCommands
from healthd.config.ssh_access import SshConfig
from healthd.engine.clock import Clock
from healthd.engine.collecting import ClusterLoop, Published
from healthd.engine.guards import Guards
from healthd.engine.journal import StoreThread
from healthd.engine.keeping import Tools
from healthd.engine.pace import Pace
from healthd.engine.totals import Totals
from healthd.engine.view import OrderRefused, Refusal, WaveView
from healthd.engine.waves import Waves
from healthd.execute.leaders import LeaderElector
from healthd.execute.memory import MemoryElector, MemoryExecutor, MemoryHost, Verb
from healthd.execute.protocol import Command, Outcome, Target
from healthd.store.memory import MemoryStore
from healthd.store.records import JournalStep
from healthd.waves.playbook import Playbook

NOW = 1_767_268_800.0
"""When tests begin, on the wall clock."""
INTERVAL = 5.0
POLICY = {"soakSeconds": 20, "cleanSnapshots": 2, "cleanSeconds": 5}


class Killed(BaseException):
    """The daemon is gone: nothing after this line of it was carried out."""


class FaultyStore(MemoryStore):
    """A store that can kill the daemon around a write, and remembers every state it held."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.kill_before: int | None = None
        self.kill_after: int | None = None
        self.is_dead = False
        self.died = asyncio.Event()
        self.before_append: Callable[[JournalStep], None] = lambda _step: None
        self.when_restored: float | None = None

    def append(self, step: JournalStep) -> int:
        if self.is_dead:
            raise Killed
        self.before_append(step)
        self.writes += 1
        if self.writes == self.kill_before:
            self._die()
        written = super().append(step)
        if self.writes == self.kill_after:
            self._die()
        return written

    def restored_at(self) -> float | None:
        return self.when_restored

    def _die(self) -> None:
        self.is_dead = True
        self.died.set()
        raise Killed

    def effects_on_disk(self) -> set[str]:
        return {row.effect_id for row in self._journal if row.effect_id}

    def notes(self) -> list[str]:
        return [row.body for row in self._journal if row.kind == "event"]


@dataclass
class Plant:
    """What outlives the daemon: the cluster, its hosts, and the state file."""

    name: str = "payments"
    brokers: tuple[int, ...] = (1, 2, 3)
    seconds: Mapping[Verb, float] = field(default_factory=lambda: {Verb.STOP: 4.0, Verb.START: 2.0})

    def __post_init__(self) -> None:
        self.cluster = MemoryCluster(
            self.name, brokers=self.brokers, racks={node: f"az{node}" for node in self.brokers}
        )
        replicas = [(1, 2, 3), (2, 3, 1), (3, 1, 2)]
        self.cluster.create_topic("orders", replicas, min_insync_replicas=2)
        self.hosts = {f"b{node}": MemoryHost(outputs={"tail": "last words\n"})
                      for node in self.brokers}  # fmt: skip
        self.store = FaultyStore()
        self.most_down = 0
        """Of the brokers so many were down at a time."""

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def host(self, node: int) -> MemoryHost:
        return self.hosts[f"b{node}"]

    @property
    def starts(self) -> dict[int, int]:
        return {node: self.host(node).starts for node in self.brokers}

    def follow_hosts(self) -> None:
        """The cluster sees the processes that the hosts run."""
        for node in self.brokers:
            is_up = self.host(node).is_running
            if is_up and node in self.cluster.dead:
                self.cluster.start(node)
            elif not is_up and node not in self.cluster.dead:
                self.cluster.kill(node)
        self.most_down = max(self.most_down, len(self.cluster.dead))

    def config(self, **changes: Any) -> ClusterConfig:
        values: dict[str, Any] = {
            "name": self.name,
            "bootstrap_servers": ("b1:9092",),
            "ssh": SshConfig(user="ops", key_file=Path("id"), known_hosts_file=Path("known")),
            "service": ServiceCommands(
                stop=("sv", "stop", "kafka"),
                start=("sv", "start", "kafka"),
                status=("sv", "status", "kafka"),
                logs=("tail", "kafka.log"),
            ),
            "hosts": tuple(
                HostConfig(broker=node, address=f"b{node}", exporter=f"b{node}:7071")
                for node in self.brokers
            ),
        }
        return ClusterConfig(**(values | changes))


class PlantExecutor(MemoryExecutor):
    """Commands on the plant's hosts; what they do to a process, the cluster sees."""

    def __init__(self, plant: Plant) -> None:
        super().__init__(
            plant.hosts, clock=lambda: plant.now, sleep=asyncio.sleep, seconds=plant.seconds
        )
        self._plant = plant
        self.before_run: Callable[[Command], None] = lambda _command: None

    async def run(self, target: Target, command: Command) -> Outcome:
        self.before_run(command)
        try:
            return await super().run(target, command)
        finally:
            self._plant.follow_hosts()

    def changes(self) -> list[tuple[str, str]]:
        """Stops and starts that reached a host, in their order."""
        return [(each.address, each.argv[1]) for each in self.asked if each.effect_id]


class Life:
    """One life of the daemon over a plant: its collections and its waves."""

    def __init__(
        self,
        plant: Plant,
        *,
        source: ClusterSource | None = None,
        instance: str = "here",
        pace: Pace | None = None,
        playbooks: Callable[[str], Playbook] | None = None,
        config: ClusterConfig | None = None,
        guards: Guards | None = None,
        wave_secret_dir: Path | None = None,
    ) -> None:
        self.plant = plant
        self.totals = Totals()
        self.executor = PlantExecutor(plant)
        self.elector = MemoryElector()
        self.clock = Clock(monotonic=lambda: plant.now, wall=lambda: NOW + plant.now)
        self.published: list[Published] = []
        self.loops: dict[str, ClusterLoop] = {}
        self.store = StoreThread(plant.store)
        self.loop = ClusterLoop(
            config or plant.config(),
            source
            or MemorySource(plant.cluster, interval_seconds=INTERVAL, clock=lambda: plant.now),
            deadline_seconds=4.0,
            clock=self.clock,
            totals=self.totals,
            listener=self._listen,
        )
        self.loops[plant.name] = self.loop
        self.waves = Waves(
            Tools(
                store=self.store,
                executor=self.executor,
                elector_of=self._elector_of,
                clusters=self.loops,
                instance=instance,
                holder=f"healthd {instance}",
                clock=self.clock,
                totals=self.totals,
                pace=pace or Pace(),
                guards=guards,
                wave_secret_dir=wave_secret_dir,
            ),
            playbooks=playbooks or a_playbook,
            interval_seconds=INTERVAL,
        )
        self._sweeping: asyncio.Task[None] | None = None

    def _elector_of(self, config: ClusterConfig) -> LeaderElector:
        self.elector = MemoryElector()
        return self.elector

    def _listen(self, cluster: str, published: Published) -> None:
        self.published.append(published)
        self.waves.published(cluster, published)

    async def begin(self) -> "Life":
        """Read the store and collect from now on."""
        await self.waves.load()
        self.collect()
        await self.until(lambda: self.loop.has_been_looked_at)
        return self

    def collect(self) -> None:
        """Collect from now on."""
        self._sweeping = asyncio.create_task(self._sweep())

    async def _sweep(self) -> None:
        while True:
            await self.loop.sweep()
            await asyncio.sleep(INTERVAL)

    async def start_wave(self, brokers: Any = "all", **policy: Any) -> str:
        view = await self.waves.start(request(brokers=brokers, **policy), by="ada")
        return view.state.wave

    def view(self, wave: str) -> WaveView:
        view = self.waves.view(wave)
        assert view is not None
        return view

    def status(self, wave: str, node: int) -> str:
        run = self.view(wave).state.node(node)
        assert run is not None
        return run.status.value

    def codes(self, wave: str) -> set[str]:
        return {hold.reason.code.value for hold in self.view(wave).state.holds}

    async def until(self, is_it: Callable[[], bool], *, seconds: float = 3_000) -> None:
        """Let time pass until something is as wanted."""
        end = self.plant.now + seconds
        while not is_it():
            assert self.plant.now < end, [
                (view.state.status, view.state.nodes, view.state.holds, view.state.pauses)
                for view in self.waves.views()
            ]
            await asyncio.sleep(0.25)

    async def until_ended(self, wave: str) -> str:
        """The status in which the wave ended; its task has ended as well."""
        await self.until(lambda: self.view(wave).state.status.has_ended)
        await self.until(lambda: not self.waves._keepers)
        return self.view(wave).state.status.value

    async def die(self) -> None:
        """End at once, as kill -9 does: nothing is released or written."""
        self.plant.store.is_dead = True
        await self.waves._tasks.cancel()
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)
        self.plant.store.is_dead = False
        self.plant.store.died.clear()


_ROLLING_RESTART = rolling_restart()


def a_playbook(name: str) -> Playbook:
    if name != "rolling-restart":
        raise OrderRefused(Refusal.INVALID, f"there is no playbook {name}")
    return _ROLLING_RESTART


def request(
    cluster: str = "payments", brokers: Any = "all", reason: str | None = "CHG-1", **policy: Any
) -> dict[str, Any]:
    """A wave file."""
    body = {
        "apiVersion": "healthd/v1",
        "kind": "Wave",
        "name": "w",
        "playbook": "rolling-restart",
        "stages": [{"name": "all", "clusters": [cluster], "brokers": brokers}],
        "policy": POLICY | policy,
    }
    return body if reason is None else {**body, "reason": reason}
