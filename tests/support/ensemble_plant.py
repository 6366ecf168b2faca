"""A cluster in ZooKeeper mode with its ensemble, and hosts for both, in memory."""

from dataclasses import dataclass, field, replace
from typing import Any

from support.engine import INTERVAL, Life, Plant, request
from support.ensembles import SILENT, an_ensemble, ensemble_playbook

from healthd.collect.memory import MemorySource
from healthd.collect.observation import Observations, QuorumSeen, SectionSeen
from healthd.config.fleet import ClusterConfig
from healthd.config.source_zookeeper import EnsembleHost, EnsembleService, ZookeeperConfig
from healthd.engine.view import OrderRefused, Refusal
from healthd.execute.memory import MemoryHost
from healthd.model.words import QuorumMode
from healthd.waves.playbook import Playbook

SERVERS = (1, 2, 3)
CONTROLLER = 2
"""Of the Kafka cluster."""


@dataclass
class EnsemblePlant(Plant):
    """Three brokers, and three servers with the same ids on other hosts."""

    leader: int = 1
    order: list[int] = field(default_factory=list)
    """In which order servers went down."""
    fewest_up: int = len(SERVERS)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.hosts |= {f"zk{number}": MemoryHost() for number in SERVERS}

    def server(self, number: int) -> MemoryHost:
        return self.hosts[f"zk{number}"]

    @property
    def server_starts(self) -> dict[int, int]:
        return {number: self.server(number).starts for number in SERVERS}

    def follow_hosts(self) -> None:
        super().follow_hosts()
        up = [number for number in SERVERS if self.server(number).is_running]
        self.order += [n for n in SERVERS if n not in up and n not in self.order[-1:]]
        self.fewest_up = min(self.fewest_up, len(up))
        if self.leader not in up and len(up) > len(SERVERS) // 2:
            self.leader = up[-1]

    def section(self) -> dict[str, Any]:
        """What the servers say now."""
        down: dict[str, Any] = {
            f"s{number}": dict(SILENT) for number in SERVERS if not self.server(number).is_running
        }
        has_majority = len(down) <= len(SERVERS) // 2
        return an_ensemble(leader=self.leader if has_majority else None, **down)

    def config(self, **changes: Any) -> ClusterConfig:
        zookeeper = ZookeeperConfig(
            servers=tuple(f"zk{number}:2181" for number in SERVERS),
            hosts=tuple(EnsembleHost(server=n, address=f"zk{n}") for n in SERVERS),
            service=EnsembleService(
                stop=("sv", "stop", "zookeeper-{server_id}"),
                start=("sv", "start", "zookeeper-{server_id}"),
                status=("sv", "status", "zookeeper"),
            ),
        )
        return super().config(**({"zookeeper": zookeeper} | changes))


class EnsembleSource(MemorySource):
    """What is seen of such a cluster."""

    def __init__(self, plant: EnsemblePlant) -> None:
        super().__init__(plant.cluster, interval_seconds=INTERVAL, clock=lambda: plant.now)
        self._plant = plant

    def _observe(self, at: float, *, read_configs: bool) -> Observations:
        observed = super()._observe(at, read_configs=read_configs)
        section = {key: each for key, each in self._plant.section().items() if key != "ageSeconds"}
        return replace(
            observed,
            quorum=QuorumSeen(mode=QuorumMode.ZOOKEEPER, leader_id=CONTROLLER),
            sections={"zookeeper": SectionSeen(body=section, at=at)},
        )


_PLAYBOOK = ensemble_playbook()


def playbooks(name: str) -> Playbook:
    """The playbook for ensembles, and no other."""
    if name != _PLAYBOOK.name:
        raise OrderRefused(Refusal.INVALID, f"there is no playbook {name}")
    return _PLAYBOOK


async def begun(plant: EnsemblePlant, config: ClusterConfig | None = None) -> Life:
    """A daemon that has seen the cluster and its ensemble."""
    source = EnsembleSource(plant)
    return await Life(plant, source=source, playbooks=playbooks, config=config).begin()


def asked(servers: Any = "all", **more: Any) -> dict[str, Any]:
    """A wave over the ensemble."""
    return request(brokers=servers) | {"playbook": _PLAYBOOK.name} | more


async def start(life: Life, servers: Any = "all", **more: Any) -> str:
    """The id of a new wave over the ensemble."""
    return (await life.waves.start(asked(servers, **more), by="ada")).state.wave
