"""What a wave file selects in a fleet: clusters and nodes, each checked before anything is done."""

from collections.abc import Mapping
from dataclasses import dataclass

from healthd.config.fleet import ClusterConfig
from healthd.config.targets import driven
from healthd.engine.accepting import known_nodes, policy_of, require_hosts
from healthd.engine.collecting import ClusterLoop
from healthd.engine.view import OrderRefused, Refusal
from healthd.model.snapshot import ClusterSnapshot
from healthd.model.words import Role
from healthd.waves.ensemble import for_target
from healthd.waves.playbook import PlaybookTarget
from healthd.waves.policy import WavePolicy
from healthd.waves.spec import StageSpec, WaveSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One cluster of one stage."""

    stage: int
    loop: ClusterLoop
    nodes: tuple[int, ...]
    policy: WavePolicy
    target: PlaybookTarget = PlaybookTarget.BROKER
    """What its nodes are."""

    @property
    def cluster(self) -> str:
        """The cluster's name."""
        return self.loop.config.name

    @property
    def config(self) -> ClusterConfig:
        """The cluster, with the hosts of the nodes."""
        return driven(self.loop.config, self.target)

    @property
    def snapshot(self) -> ClusterSnapshot | None:
        """What was last seen of the nodes."""
        return _seen(self.loop, self.target)


def parts_of(
    spec: WaveSpec,
    clusters: Mapping[str, ClusterLoop],
    *,
    target: PlaybookTarget = PlaybookTarget.BROKER,
) -> tuple[Part, ...]:
    """Every cluster of every stage, with the nodes that no earlier stage has.

    `target` says what the nodes are: that of the playbook.

    Raises:
        OrderRefused: a cluster, a node or a host is not known, a stage selects nothing, or a
            policy can never be met; each is named.
    """
    parts: list[Part] = []
    taken: dict[str, dict[int, str]] = {}
    for at, stage in enumerate(spec.stages):
        selected = _selected(stage, clusters)
        of_stage = [
            part for loop in selected if (part := _part(spec, at, loop, taken, target)) is not None
        ]
        if not of_stage:
            names = ", ".join(loop.config.name for loop in selected)
            raise _refused(at, f"stage {stage.name} selects nothing: earlier stages have {names}")
        for part in of_stage:
            taken.setdefault(part.cluster, {}).update(dict.fromkeys(part.nodes, stage.name))
        parts += of_stage
    return tuple(parts)


def require_unscheduled(spec: WaveSpec) -> None:
    """Refuse a wave that wants to recur: started by hand it would run once and never again.

    Raises:
        OrderRefused: it has a schedule.
    """
    if spec.schedule is not None:
        message = (
            "schedule: counts only in files of the folder waveDir; remove it to run the wave once"
        )
        problem = {"path": "schedule", "message": message}
        raise OrderRefused(Refusal.INVALID, message, problems=[problem])


def only_loop(spec: WaveSpec, clusters: Mapping[str, ClusterLoop]) -> ClusterLoop | None:
    """The cluster of a wave on one cluster; None when it is over several stages or clusters.

    Raises:
        OrderRefused: it names a cluster that there is not, or selects none.
    """
    loops = [_selected(stage, clusters) for stage in spec.stages]
    is_one = len(loops) == 1 and len(loops[0]) == 1 and spec.stages[0].is_plain
    return loops[0][0] if is_one else None


def _selected(stage: StageSpec, clusters: Mapping[str, ClusterLoop]) -> list[ClusterLoop]:
    if stage.clusters:
        missing = [name for name in stage.clusters if name not in clusters]
        if missing:
            known = ", ".join(sorted(clusters)) or "none"
            raise OrderRefused(
                Refusal.INVALID,
                f"there is no cluster {missing[0]} in the fleet file, which has {known}",
            )
        return [clusters[name] for name in stage.clusters]
    found = [
        loop
        for _, loop in sorted(clusters.items())
        if stage.selects(loop.config.name, loop.config.labels)
    ]
    if not found:
        labels = ", ".join(f"{label}: {value}" for label, value in stage.match)
        raise OrderRefused(
            Refusal.INVALID,
            f"stage {stage.name} selects nothing: no cluster of the fleet file has {labels}",
        )
    return found


def _part(
    spec: WaveSpec,
    at: int,
    loop: ClusterLoop,
    taken: Mapping[str, Mapping[int, str]],
    target: PlaybookTarget,
) -> Part | None:
    """One cluster in one stage; None when an earlier stage has all that is selected of it."""
    stage, name = spec.stages[at], loop.config.name
    before = taken.get(name, {})
    config, snapshot = driven(loop.config, target), _seen(loop, target)
    nodes = known_nodes(stage.brokers, config, snapshot)
    twice = [node for node in nodes if node in before]
    if twice and stage.brokers is not None:
        word = config.node_word
        raise _refused(at, f"{word} {twice[0]} of {name} is in stage {before[twice[0]]} already")
    left = tuple(node for node in nodes if node not in before)
    if not left and before:
        return None
    require_hosts(config, left)
    _require_room(stage, name, snapshot, left)
    policy = policy_of(spec, loop.config)
    return Part(stage=at, loop=loop, nodes=left, policy=policy, target=target)


def _seen(loop: ClusterLoop, target: PlaybookTarget) -> ClusterSnapshot | None:
    snapshot = loop.view.snapshot
    return None if snapshot is None else for_target(target, snapshot)


def _require_room(
    stage: StageSpec, cluster: str, snapshot: ClusterSnapshot | None, nodes: tuple[int, ...]
) -> None:
    """Refuse a number that controllers never allow: they are stopped one at a time."""
    if stage.concurrency is None or stage.concurrency == 1 or snapshot is None:
        return
    known = snapshot.brokers_by_id
    controllers = [
        node for node in nodes if node in known and Role.CONTROLLER in (known[node].roles or ())
    ]
    if len(nodes) > 1 and len(controllers) == len(nodes):
        raise OrderRefused(
            Refusal.INVALID,
            f"concurrency {stage.concurrency} of stage {stage.name} can never be on cluster"
            f" {cluster}: its nodes {', '.join(map(str, controllers))} are controllers,"
            " which are stopped one at a time; write 1, or safe",
        )


def _refused(at: int, message: str) -> OrderRefused:
    problem = {"path": f"stages[{at}]", "message": message}
    return OrderRefused(Refusal.INVALID, message, problems=[problem])
