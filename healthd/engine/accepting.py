"""Accepting a wave: everything about it is checked before the cluster is leased."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from healthd.config.fleet import ClusterConfig
from healthd.engine.acting import NoHost, target_of
from healthd.engine.collecting import ClusterLoop
from healthd.engine.pinning import pins_of
from healthd.engine.plans import Asked
from healthd.engine.view import OrderRefused, Refusal
from healthd.waves.alert_gate import unasked
from healthd.waves.playbook import Playbook
from healthd.waves.policy import WavePolicy, unmeetable
from healthd.waves.spec import WaveSpec, parse_wave
from healthd.waves.state import NodeRun, WaveState

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


def loop_of(spec: WaveSpec, clusters: Mapping[str, ClusterLoop]) -> ClusterLoop:
    """The cluster that a wave is for.

    Raises:
        OrderRefused: the fleet file has none of that name.
    """
    stage = spec.stages[0]
    if len(spec.stages) > 1 or len(stage.clusters) != 1 or not stage.is_plain:
        raise OrderRefused(Refusal.INVALID, "stages: not built yet: only one plain stage is")
    name = stage.clusters[0]
    loop = clusters.get(name)
    if loop is None:
        known = ", ".join(sorted(clusters)) or "none"
        raise OrderRefused(
            Refusal.INVALID,
            f"there is no cluster {name} in the fleet file, which has {known}",
        )
    return loop


def asked_of(spec: WaveSpec, loop: ClusterLoop) -> Asked:
    """What a wave asks for on its cluster, to be held against a plan that was made before."""
    return Asked(
        nodes=spec.stages[0].brokers,
        concurrency=spec.stages[0].concurrency,
        policy=spec.policy_over(loop.config.wave_policy),
    )


def planned(
    spec: WaveSpec,
    loop: ClusterLoop,
    playbook: Playbook,
    *,
    by: str,
    now: float,
    interval_seconds: float,
) -> WaveState:
    """The wave as it stands before anything is done.

    Args:
        spec: what is asked for.
        loop: its cluster.
        playbook: what is done to each node.
        by: who asks.
        now: seconds since the epoch, for the name.
        interval_seconds: between two snapshots.

    Raises:
        OrderRefused: a node or its host is not known, or the policy can never be met.
    """
    config = loop.config
    nodes = _nodes(spec, loop)
    _require_hosts(config, nodes)
    policy = spec.policy_over(config.wave_policy)
    never = unmeetable(policy, interval_seconds)
    if never:
        problems = [{"path": each.path, "message": each.message} for each in never]
        message = f"the policy can never be met: {never[0].path}: {never[0].message}"
        raise OrderRefused(Refusal.INVALID, message, problems=problems)
    _require_servers(config, policy)
    started = datetime.fromtimestamp(now, UTC)
    return WaveState(
        wave=f"{spec.name}-{started:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}",
        cluster=config.name,
        reason=spec.reason or "",
        requested_by=by,
        playbook=playbook,
        policy=policy,
        nodes=tuple(NodeRun(node=node, history=(("pending", 0.0),)) for node in nodes),
        concurrency=spec.stages[0].concurrency,
        pins=pins_of(config, playbook, loop.view.snapshot),
    )


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


def _nodes(spec: WaveSpec, loop: ClusterLoop) -> tuple[int, ...]:
    """The nodes that a wave names, or all that are configured or seen."""
    snapshot = loop.view.snapshot
    seen = set() if snapshot is None else set(snapshot.brokers_by_id)
    configured = {host.broker for host in loop.config.hosts}
    if spec.stages[0].brokers is None:
        return tuple(sorted(seen | configured))
    unknown = sorted(set(spec.stages[0].brokers) - seen - configured)
    if unknown:
        known = ", ".join(map(str, sorted(seen | configured))) or "none that is known yet"
        named = ", ".join(map(str, unknown))
        raise OrderRefused(
            Refusal.INVALID, f"cluster {loop.config.name} has no broker {named}; it has {known}"
        )
    return tuple(sorted(set(spec.stages[0].brokers)))


def _require_hosts(config: ClusterConfig, nodes: Sequence[int]) -> None:
    if config.service is None:
        raise OrderRefused(
            Refusal.INVALID, f"cluster {config.name} has no service commands in the fleet file"
        )
    for node in nodes:
        try:
            target_of(config, node)
        except NoHost as error:
            raise OrderRefused(Refusal.INVALID, str(error)) from error
    if not nodes:
        raise OrderRefused(Refusal.INVALID, "the wave names no broker")
