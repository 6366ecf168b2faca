"""Giving up a wave whose state nobody can read: only when no broker of it can be stopped.

It is the way out when the healthd that wrote it is gone. Until then its cluster takes no wave.
"""

import json
from collections.abc import Iterable

import structlog

from healthd.config.fleet import ClusterConfig
from healthd.engine.acting import Actor, NoHost, target_of
from healthd.engine.dry_running import lease_of_record
from healthd.engine.keeping import Tools
from healthd.engine.view import OrderRefused, Refusal
from healthd.execute.dry_run import DryRunElector
from healthd.store.errors import StoreError
from healthd.store.protocol import Store
from healthd.store.records import (
    AuditRecord,
    EntryKind,
    Fence,
    JournalEntry,
    JournalStep,
    LeaseHeld,
    WaveRecord,
)
from healthd.waves.naming import NODE_WORDS
from healthd.waves.playbook import PlaybookTarget
from healthd.waves.state import WaveStatus

log = structlog.get_logger(__name__)


async def discard(record: WaveRecord, tools: Tools, *, by: str, reason: str) -> None:
    """End a wave on record without knowing what it is about.

    Every node that it has ever commanded has to run now, as its host says.

    Raises:
        OrderRefused: a broker may be stopped, somebody else has the cluster, or it could not be
            written; nothing was done.
    """
    if not reason.strip():
        raise OrderRefused(Refusal.INVALID, "to discard a wave needs a reason: say why")
    try:
        nodes = await tools.store.call(lambda store: _commanded(store, record.id))
        await _require_running(record, tools, nodes)
        fence = await _leased(record, tools)
        await tools.store.call(
            lambda store: store.append(_last_step(record, fence, tools.clock.wall(), by, reason))
        )
    except StoreError as error:
        raise OrderRefused(Refusal.STORE, f"it could not be written: {error}") from error
    log.warning("wave_discarded", wave=record.id, by=by, detail=reason)


async def _require_running(record: WaveRecord, tools: Tools, nodes: Iterable[int]) -> None:
    for node in nodes:
        loop = tools.clusters.get(record.cluster)
        if loop is None:
            why = f"the fleet file has no cluster {record.cluster}"
            raise _unsafe(record, PlaybookTarget.BROKER, node, why)
        for target in _targets_of(record, loop.config):
            # It only asks; there is nothing to elect.
            elector = DryRunElector()
            actor = Actor(loop=loop, executor=tools.executor, elector=elector, target=target)
            await _require_up(record, actor, node)


async def _require_up(record: WaveRecord, actor: Actor, node: int) -> None:
    try:
        target_of(actor.config, node)
    except NoHost as error:
        raise _unsafe(record, actor.target, node, str(error)) from error
    host = await actor.observe(node)
    if not host.is_running:
        state = "its process does not run" if host.is_running is False else host.detail
        raise _unsafe(record, actor.target, node, state)


def _targets_of(record: WaveRecord, config: ClusterConfig) -> tuple[PlaybookTarget, ...]:
    """What the nodes of a wave are; all that they can be, where its state does not tell it."""
    part = record.parts.get("playbook")
    try:
        playbook = json.loads(record.state)["playbook"] if part is None else json.loads(part)
        return (PlaybookTarget(playbook.get("target", PlaybookTarget.BROKER)),)
    except (ValueError, LookupError, TypeError, AttributeError):
        has_ensemble = config.zookeeper is not None and config.zookeeper.hosts
        return tuple(PlaybookTarget) if has_ensemble else (PlaybookTarget.BROKER,)


def _unsafe(record: WaveRecord, target: PlaybookTarget, node: int, why: str) -> OrderRefused:
    return OrderRefused(
        Refusal.CONFLICT,
        f"wave {record.id}: {NODE_WORDS[target]} {node} of {record.cluster} may be stopped"
        f" ({why}): start it, or let its host be reached, and then discard the wave",
    )


async def _leased(record: WaveRecord, tools: Tools) -> Fence | None:
    """The lease of its cluster; a wave over a fleet has none."""
    if not record.cluster:
        return None
    fence = await tools.acquire(lease_of_record(record), record.id)
    if isinstance(fence, LeaseHeld):
        message = f"cluster {record.cluster} is leased: {fence.holder} has it for {fence.wave_id}"
        raise OrderRefused(Refusal.LEASED, message, holder=fence.holder, wave=fence.wave_id)
    return fence


def _commanded(store: Store, wave: str) -> list[int]:
    """Every node that the wave has ever intended to command, as its journal tells."""
    nodes: set[int] = set()
    for row in store.journal(wave):
        if row.kind is EntryKind.EFFECT:
            body = json.loads(row.body)
            nodes.add(int(body["node"]))
    return sorted(nodes)


def _last_step(
    record: WaveRecord, fence: Fence | None, now: float, by: str, reason: str
) -> JournalStep:
    note = json.dumps({"event": "wave_discarded", "detail": reason, "data": {"by": by}})
    audit = AuditRecord(at=now, who=by, what="wave_discard", why=reason, target=f"wave:{record.id}")
    return JournalStep(
        wave_id=record.id,
        expected_version=record.version,
        at=now,
        status=WaveStatus.ABORTED.value,
        state=record.state,
        parts={},  # What is on disk stays as it is, for whoever can read it.
        entries=(JournalEntry(kind=EntryKind.EVENT, body=note),),
        fence=fence,
        audit=(audit,),
        releases_lease=fence is not None,
    )
