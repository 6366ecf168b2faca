"""Accepting a wave: everything about it is checked before the cluster is leased."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, Protocol

from healthd.config.fleet import ClusterConfig
from healthd.config.wave_variables import given_in
from healthd.engine.acting import NoHost, target_of
from healthd.engine.collecting import ClusterLoop
from healthd.engine.pinning import pins_of
from healthd.engine.plans import Asked
from healthd.engine.view import OrderRefused, Refusal
from healthd.model.snapshot import ClusterSnapshot
from healthd.waves.alert_gate import unasked
from healthd.waves.naming import NODE_WORDS
from healthd.waves.playbook import Playbook, PlaybookTarget
from healthd.waves.policy import WavePolicy, unmeetable
from healthd.waves.spec import WaveSpec, parse_wave
from healthd.waves.state import NodeRun, WaveState
from healthd.waves.variable_values import Values, split


class Accepted(Protocol):
    """One cluster of one stage, which was checked (`healthd.engine.selecting`)."""

    @property
    def stage(self) -> int:
        """The stage's place in the file."""

    @property
    def loop(self) -> ClusterLoop:
        """Its cluster."""

    @property
    def nodes(self) -> tuple[int, ...]:
        """The nodes that are taken."""

    @property
    def policy(self) -> WavePolicy:
        """The wave's policy over the cluster's own."""


_NOTHING: Final[Values] = MappingProxyType({})
Playbooks = Callable[[str], Playbook]
"""Finds a playbook by name; raises OrderRefused when there is none, or it is not valid."""


def spec_of(request: Mapping[str, Any]) -> WaveSpec:
    """What a `kind: Wave` document asks for.

    Raises:
        OrderRefused: it is not valid, or gives no reason.
    """
    spec = parse_wave(request)
    if not isinstance(spec, WaveSpec):
        problems = [{"path": each.path, "message": each.message} for each in spec]
        first = problems[0]
        message = f"the wave is not valid: {first['path']}: {first['message']}"
        raise OrderRefused(Refusal.INVALID, message, problems=problems)
    if not spec.reason:
        raise OrderRefused(Refusal.INVALID, "a wave needs a reason: say why it is done")
    return spec


def asked_of(spec: WaveSpec, loop: ClusterLoop) -> Asked:
    """What a wave asks for on its cluster, to be held against a plan that was made before."""
    return Asked(
        nodes=spec.stages[0].brokers,
        concurrency=spec.stages[0].concurrency,
        policy=spec.policy_over(loop.config.wave_policy),
    )


def wave_id(name: str, now: float) -> str:
    """The id of a new wave of that name; no two are the same."""
    return f"{name}-{datetime.fromtimestamp(now, UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def planned(spec: WaveSpec, part: Accepted, playbook: Playbook, *, wave: str, by: str) -> WaveState:
    """The wave on one cluster as it stands before anything is done.

    Args:
        spec: what is asked for.
        part: its cluster and nodes, which were checked.
        playbook: what is done to each node.
        wave: its id.
        by: who asks.
    """
    return new_wave(
        wave,
        part,
        playbook,
        by=by,
        reason=spec.reason or "",
        concurrency=spec.stages[part.stage].concurrency,
        given=given_in(spec, part.stage),
    )


def new_wave(
    wave: str,
    part: Accepted,
    playbook: Playbook,
    *,
    by: str,
    reason: str,
    concurrency: int | None,
    given: Values = _NOTHING,
) -> WaveState:
    """A wave on one cluster that nobody has begun, pinned to what its cluster is now."""
    config = part.loop.config
    texts, hidden = split(given)
    if playbook.target is PlaybookTarget.ZOOKEEPER:
        concurrency = 1  # Whatever was asked for: the ensemble is a quorum.
    return WaveState(
        wave=wave,
        cluster=config.name,
        reason=reason,
        requested_by=by,
        playbook=playbook,
        policy=part.policy,
        nodes=tuple(NodeRun(node=node, history=(("pending", 0.0),)) for node in part.nodes),
        concurrency=concurrency,
        variables=texts,
        secrets=hidden,
        pins=pins_of(config, playbook, part.loop.view.snapshot),
    )


def policy_of(spec: WaveSpec, config: ClusterConfig) -> WavePolicy:
    """The wave's policy over that of a cluster.

    Raises:
        OrderRefused: it can never be met, or asks servers that nobody has named.
    """
    policy = spec.policy_over(config.wave_policy)
    never = unmeetable(policy)
    if never:
        problems = [{"path": each.path, "message": each.message} for each in never]
        message = f"the policy can never be met: {never[0].path}: {never[0].message}"
        raise OrderRefused(Refusal.INVALID, message, problems=problems)
    _require_servers(config, policy)
    return policy


def _require_servers(config: ClusterConfig, policy: WavePolicy) -> None:
    """Refuse a policy that asks, or silences, where the fleet file names nobody to ask."""
    alerts = config.alerts
    found = unasked(
        policy,
        has_server=alerts is not None and alerts.has_server,
        has_alertmanager=alerts is not None and alerts.alertmanager is not None,
        cluster=config.name,
    )
    if found:
        problems = [{"path": each.path, "message": each.message} for each in found]
        message = f"policy.{found[0].path}: {found[0].message}"
        raise OrderRefused(Refusal.INVALID, message, problems=problems)


def known_nodes(
    wanted: tuple[int, ...] | None, config: ClusterConfig, snapshot: ClusterSnapshot | None
) -> tuple[int, ...]:
    """The nodes that a stage names, or all that are configured or seen.

    Raises:
        OrderRefused: one of them is neither.
    """
    seen = set() if snapshot is None else set(snapshot.brokers_by_id)
    configured = {host.broker for host in config.hosts}
    if wanted is None:
        return tuple(sorted(seen | configured))
    unknown = sorted(set(wanted) - seen - configured)
    if unknown:
        known = ", ".join(map(str, sorted(seen | configured))) or "none that is known yet"
        named = ", ".join(map(str, unknown))
        raise OrderRefused(
            Refusal.INVALID,
            f"cluster {config.name} has no {config.node_word} {named}; it has {known}",
        )
    return tuple(sorted(set(wanted)))


def require_hosts(config: ClusterConfig, nodes: Sequence[int]) -> None:
    """Refuse what cannot be reached.

    Raises:
        OrderRefused: the cluster has no commands, a node no host, or there is no node at all.
    """
    if config.service is None:
        what = f"cluster {config.name} has no service commands in the fleet file"
        if config.node_word == NODE_WORDS[PlaybookTarget.ZOOKEEPER]:
            what = (
                f"cluster {config.name} has no zookeeper.hosts and zookeeper.service in the fleet"
                " file: nobody knows how its ZooKeeper servers are restarted"
            )
        raise OrderRefused(Refusal.INVALID, what)
    for node in nodes:
        try:
            target_of(config, node)
        except NoHost as error:
            raise OrderRefused(Refusal.INVALID, str(error)) from error
    if not nodes:
        raise OrderRefused(Refusal.INVALID, "the wave names no broker")
