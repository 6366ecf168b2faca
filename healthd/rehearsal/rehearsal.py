"""A rehearsal as it is to be run."""

from dataclasses import dataclass, field
from types import MappingProxyType

from healthd.model.snapshot import ClusterSnapshot
from healthd.rehearsal.faults import Fault
from healthd.rehearsal.nodes import Timing
from healthd.waves.playbook import Playbook
from healthd.waves.policy import WavePolicy
from healthd.waves.state import NodeRun, WaveState
from healthd.waves.variable_values import Values, split

UNTIL = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """A wave on a cluster, and what goes wrong meanwhile."""

    snapshot: ClusterSnapshot
    playbook: Playbook
    brokers: tuple[int, ...] | None = None
    """None: every node, pure controllers included."""
    concurrency: int | None = 1
    """None: as many as is safe."""
    policy: WavePolicy = field(default_factory=WavePolicy)
    variables: Values = field(default_factory=lambda: MappingProxyType({}))
    """What is given to the playbook's variables."""
    model: Timing = field(default_factory=Timing)
    faults: tuple[Fault, ...] = ()
    seed: int = 0
    until: float = UNTIL

    @property
    def nodes(self) -> tuple[int, ...]:
        """The nodes that the wave is about, by id."""
        chosen = self.brokers
        return tuple(sorted(self.snapshot.brokers_by_id if chosen is None else set(chosen)))

    def wave(self) -> WaveState:
        """The wave as it stands before anything is done."""
        texts, secrets = split(self.variables)
        return WaveState(
            wave="rehearsal",
            cluster=self.snapshot.cluster,
            reason="a rehearsal",
            requested_by="rehearse",
            playbook=self.playbook,
            policy=self.policy,
            nodes=tuple(NodeRun(node=node, history=(("pending", 0.0),)) for node in self.nodes),
            concurrency=self.concurrency,
            variables=texts,
            secrets=secrets,
        )
