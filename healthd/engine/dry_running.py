"""Dry runs: a whole wave through the real gate, and no command reaches a host.

A dry run has a lease of its own, so that it never keeps a real wave from its cluster; it is counted
nowhere as planned work, silences nothing and elects nothing. Its brokers go on as they are.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from healthd.config.fleet import ClusterConfig
from healthd.config.targets import driven
from healthd.engine.acting import target_of
from healthd.engine.view import OrderRefused, Refusal
from healthd.execute.dry_run import DryRunExecutor, Rehearsed, ServiceVerb
from healthd.model.snapshot import ClusterSnapshot
from healthd.model.words import BrokerState
from healthd.waves.ensemble import for_target
from healthd.waves.state import NodeRun, NodeStatus, WaveState

DRY_RUN_KEY: Final = "dryRun"
"""Beside the keys of a wave file, in the request that starts a dry run."""
PREFIX: Final = "dry-run-"
"""How the name of every dry run begins: nobody takes it for a wave."""
_NOT_RUNNING: Final = frozenset({NodeStatus.STOPPED, NodeStatus.STARTING})


def taken_out(request: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """The wave that a request asks for, and whether it shall be a dry run.

    Raises:
        OrderRefused: neither true nor false stands there.
    """
    if DRY_RUN_KEY not in request:
        return request, False
    wanted = request[DRY_RUN_KEY]
    if not isinstance(wanted, bool):
        message = "must be true or false"
        raise OrderRefused(
            Refusal.INVALID,
            f"{DRY_RUN_KEY}: {message}",
            problems=[{"path": DRY_RUN_KEY, "message": message}],
        )
    return {key: value for key, value in request.items() if key != DRY_RUN_KEY}, wanted


def as_dry_run(wave: WaveState) -> WaveState:
    """The wave as a dry run of it, without soaks: nothing is restarted that could be watched."""
    policy = replace(wave.policy, soak_seconds=0.0, silence=False)
    return replace(wave, wave=f"{PREFIX}{wave.wave}", policy=policy, is_dry_run=True)


def lease_of(wave: WaveState) -> str:
    """What is leased for a wave: its cluster, or for a dry run something that no wave asks for."""
    return dry_lease(wave.cluster) if wave.is_dry_run else wave.cluster


def dry_lease(cluster: str) -> str:
    """What the dry runs of a cluster lease: two at a time would only be confused."""
    # A cluster's name has no blank.
    return f"{cluster} (dry run)"


def executor_of(
    wave: WaveState, config: ClusterConfig, snapshot: ClusterSnapshot | None
) -> DryRunExecutor:
    """An executor that answers for the hosts of a wave as if its commands were carried out.

    A daemon that takes a dry run up again finds its hosts as the wave has left them.
    """
    scripts = {}
    config = driven(config, wave.playbook.target)
    if snapshot is not None:
        snapshot = for_target(wave.playbook.target, snapshot)
    for run in wave.nodes:
        host, service = config.host(run.node), config.service
        if host is None or service is None:
            continue
        rehearsed = Rehearsed(process=_process(run, snapshot))
        target = target_of(config, run.node)
        for verb in ServiceVerb:
            words = service.render(verb.value, broker_id=run.node, host=host.address)
            scripts[target.address, target.port, words] = (verb, rehearsed)
    return DryRunExecutor(scripts=scripts)


def _process(run: NodeRun, snapshot: ClusterSnapshot | None) -> str | None:
    if run.status in _NOT_RUNNING:
        return None
    if run.started_after or run.started_before:
        return run.started_after or run.started_before
    broker = None if snapshot is None else snapshot.brokers_by_id.get(run.node)
    if broker is not None and broker.state is BrokerState.NOT_RUNNING:
        return None
    return "as it is"
