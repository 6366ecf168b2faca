"""A wave over a fleet as it is accepted, and what is said when it, or an order to it, is not."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from healthd.config.wave_variables import given_in
from healthd.engine.accepting import new_wave, require_hosts
from healthd.engine.collecting import ClusterLoop
from healthd.engine.dry_running import fleet_of_kind, lease_on, of_kind
from healthd.engine.selecting import Part
from healthd.engine.variables import require_variables
from healthd.engine.view import OrderRefused, Refusal
from healthd.store.records import Lease
from healthd.waves.fleet_state import FleetState, Member, StageRun, child_id
from healthd.waves.playbook import Playbook
from healthd.waves.policy import WavePolicy
from healthd.waves.spec import WaveSpec
from healthd.waves.state import WaveState
from healthd.waves.variable_values import joined, split


def planned_fleet(
    wave: str,
    spec: WaveSpec,
    parts: Sequence[Part],
    playbook: Playbook,
    *,
    by: str,
    is_dry_run: bool = False,
) -> FleetState:
    """The wave as it stands before anything is done."""
    policies: dict[WavePolicy, int] = {}
    members: list[Member] = []
    own = spec.policy
    for part in parts:
        labels = part.loop.config.labels
        domains = tuple(
            f"{label}={labels[label]}" for label, _ in own.clusters_at_once_per if label in labels
        )
        members.append(
            Member(
                cluster=part.cluster,
                stage=part.stage,
                child=child_id(wave, part.stage, part.cluster),
                nodes=part.nodes,
                policy=policies.setdefault(part.policy, len(policies)),
                domains=domains,
            )
        )
    planned = FleetState(
        wave=wave,
        reason=spec.reason or "",
        requested_by=by,
        playbook=playbook,
        policies=tuple(policies),
        stages=tuple(
            StageRun(
                name=stage.name,
                concurrency=stage.concurrency,
                clusters_at_once=stage.clusters_at_once,
                approval=stage.approval,
                soak_seconds=stage.soak_seconds,
                variables=split(given_in(spec, at))[0],
                secrets=split(given_in(spec, at))[1],
            )
            for at, stage in enumerate(spec.stages)
        ),
        members=tuple(members),
        limits=own.clusters_at_once_per,
        max_failed_clusters=own.max_failed_clusters,
    )
    return fleet_of_kind(planned, is_dry_run=is_dry_run)


def require_one_free(state: FleetState, leases: Iterable[Lease], now: float) -> None:
    """Refuse a wave of which every cluster is leased: it could only wait.

    Raises:
        OrderRefused: it is so; who has them, since when, and for which wave.
    """
    leased = {lease.cluster: lease for lease in leases if lease.expires_at > now}
    wanted = dict.fromkeys(
        lease_on(member.cluster, is_dry_run=state.is_dry_run) for member in state.members
    )
    if all(name in leased for name in wanted):
        raise all_leased([leased[name] for name in wanted])


def all_leased(leases: Sequence[Lease]) -> OrderRefused:
    """The refusal of a wave of which every cluster is somebody's."""

    def since(lease: Lease) -> str:
        moment = datetime.fromtimestamp(lease.since, UTC)
        return moment.isoformat(timespec="seconds").replace("+00:00", "Z")

    words = "; ".join(
        f"cluster {lease.cluster} is leased: {lease.holder} has it since {since(lease)}"
        f" for wave {lease.wave_id}"
        for lease in leases[:5]
    )
    first = leases[0]
    return OrderRefused(
        Refusal.LEASED, words, holder=first.holder, since=since(first), wave=first.wave_id
    )


def child_with(state: FleetState, cluster: str | None, node: int) -> str:
    """The child that an order about a broker is for.

    Raises:
        OrderRefused: there is none, or it is not clear which.
    """
    found = [
        member
        for member in state.members
        if node in member.nodes and cluster in {None, member.cluster}
    ]
    active = [member for member in found if member.status.is_active]
    if len(active) == 1:
        return active[0].child
    if active:
        names = ", ".join(member.cluster for member in active)
        message = f"wave {state.wave}: several clusters have a broker {node}, say which: {names}"
        raise OrderRefused(Refusal.INVALID, message)
    if not found:
        where = "" if cluster is None else f" of cluster {cluster}"
        raise OrderRefused(Refusal.CONFLICT, f"wave {state.wave}: it has no broker {node}{where}")
    first = found[0]
    raise OrderRefused(
        Refusal.CONFLICT,
        f"wave {state.wave}: cluster {first.cluster} is {first.status.value}, not at work",
    )


def require_reason(what: str, reason: str) -> None:
    """Refuse what nobody says why of.

    Raises:
        OrderRefused: the reason is empty.
    """
    if not reason.strip():
        raise OrderRefused(Refusal.INVALID, f"{what} needs a reason: say why")


def child_of(
    parent: FleetState, member: Member, stage: StageRun, loop: ClusterLoop | None
) -> WaveState:
    """The wave on one cluster as its parent wants it: of a dry run always a dry run.

    Raises:
        OrderRefused: the cluster, or a host of it, has left the fleet file.
    """
    if loop is None:
        message = f"the fleet file has no cluster {member.cluster} any more"
        raise OrderRefused(Refusal.INVALID, message)
    given = joined(stage.variables, stage.secrets)
    require_variables(parent.playbook, loop.config, member.nodes, given)
    policy = parent.policies[member.policy]
    target = parent.playbook.target
    part = Part(stage=member.stage, loop=loop, nodes=member.nodes, policy=policy, target=target)
    require_hosts(part.config, member.nodes)
    child = new_wave(
        member.child,
        part,
        parent.playbook,
        by=parent.requested_by,
        reason=parent.reason,
        concurrency=stage.concurrency,
        given=given,
    )
    return of_kind(child, is_dry_run=parent.is_dry_run)
