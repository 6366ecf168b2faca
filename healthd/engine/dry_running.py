"""Dry runs: a whole wave through the real gate, and no command reaches a host.

A dry run has a lease of its own, so that it never keeps a real wave from its cluster; it is counted
nowhere as planned work, silences nothing and elects nothing. Its brokers go on as they are.

Of a dry run over several stages or clusters every child is one, whenever it is made: `child_of`
makes it by what the parent's state says, and nothing begins that `require_one_kind` refuses.
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
from healthd.store.records import WaveRecord
from healthd.waves.ensemble import for_target
from healthd.waves.fleet_state import FleetState, LeftOut
from healthd.waves.spec import DRY_RUN_PREFIX
from healthd.waves.state import NodeRun, NodeStatus, WaveState

DRY_RUN_KEY: Final = "dryRun"
"""Beside the keys of a wave file, in the request that starts a dry run."""
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


def id_of(wave: str, *, is_dry_run: bool) -> str:
    """The id of a wave, by which anybody sees whether it is a dry run; its children begin alike."""
    return f"{DRY_RUN_PREFIX}{wave}" if is_dry_run else wave


def is_id_of_dry_run(wave: str) -> bool:
    """Whether an id is that of a dry run: for records of which the state was not read."""
    return wave.startswith(DRY_RUN_PREFIX)


def of_kind(wave: WaveState, *, is_dry_run: bool) -> WaveState:
    """The wave itself, or a dry run of it without soaks: nothing is restarted, nothing watched."""
    if not is_dry_run:
        return wave
    policy = replace(wave.policy, soak_seconds=0.0, silence=False)
    return replace(wave, policy=policy, is_dry_run=True)


def fleet_of_kind(fleet: FleetState, *, is_dry_run: bool) -> FleetState:
    """The wave itself, or a dry run of it: its stages leave out approvals and soaks, and say so."""
    if not is_dry_run:
        return fleet
    stages = tuple(
        replace(
            stage,
            approval=None,
            soak_seconds=0.0,
            left_out=LeftOut(approval=stage.approval, soak_seconds=stage.soak_seconds),
        )
        for stage in fleet.stages
    )
    return replace(fleet, stages=stages, is_dry_run=True)


def require_one_kind(wave: WaveState) -> None:
    """Refuse a wave whose id says one thing and whose state another: a dry run sends nothing, ever.

    Raises:
        OrderRefused: it is so; the wave has to be ended, and started anew.
    """
    if wave.is_dry_run is not is_id_of_dry_run(wave.wave):
        what = "is not" if is_id_of_dry_run(wave.wave) else "is"
        message = f"wave {wave.wave} {what} a dry run, though its id says otherwise: abort it"
        raise OrderRefused(Refusal.INVALID, message)


def lease_of(wave: WaveState) -> str:
    """What is leased for a wave: its cluster, or for a dry run something that no wave asks for."""
    return lease_on(wave.cluster, is_dry_run=wave.is_dry_run)


def lease_of_record(record: WaveRecord) -> str:
    """The same for a wave whose state nobody has read."""
    return lease_on(record.cluster, is_dry_run=is_id_of_dry_run(record.id))


def lease_on(cluster: str, *, is_dry_run: bool) -> str:
    """What a wave on a cluster leases; dry runs exclude each other: two would only be confused."""
    # A cluster's name has no blank.
    return f"{cluster} (dry run)" if is_dry_run else cluster


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
