"""How long restarts really took on a cluster, from the waves that the store keeps."""

from collections.abc import Iterator
from itertools import islice
from typing import Final

import structlog

from healthd.engine.dry_running import is_id_of_dry_run
from healthd.engine.journal import StoreThread
from healthd.store.errors import StoreError
from healthd.store.protocol import Store
from healthd.waves.codec import StateUnreadable
from healthd.waves.phases import has_steps
from healthd.waves.planner_duration import MeasuredRestarts
from healthd.waves.playbook import PlaybookTarget
from healthd.waves.state import WaveState
from healthd.waves.stored import read_stored

log = structlog.get_logger(__name__)

_WAVES: Final = 5
"""So many waves tell how a cluster is now; older ones tell how it was."""


async def measured_on(
    store: StoreThread, cluster: str, target: PlaybookTarget = PlaybookTarget.BROKER
) -> MeasuredRestarts | None:
    """What the last waves on a cluster, over nodes of that kind, have measured; None for nothing.

    It is a courtesy: a store that cannot be read leaves it to the model.
    """
    try:
        return await store.call(lambda inner: _measured(inner, cluster, target))
    except StoreError as error:
        log.warning("measured_restarts_unreadable", cluster=cluster, detail=str(error))
        return None


def _measured(store: Store, cluster: str, target: PlaybookTarget) -> MeasuredRestarts | None:
    """Runs on the store's own thread."""
    alike = (wave for wave in _ended_on(store, cluster) if wave.playbook.target is target)
    waves = islice(alike, _WAVES)
    return MeasuredRestarts.of(run.history for wave in waves for run in wave.nodes)


def _ended_on(store: Store, cluster: str) -> Iterator[WaveState]:
    """Waves that have ended, the newest first; dry runs have restarted nothing."""
    records = sorted(store.waves(), key=lambda record: record.updated_at, reverse=True)
    for record in records:
        if record.cluster != cluster or not record.has_ended or is_id_of_dry_run(record.id):
            continue
        try:
            state = read_stored(record.state, record.parts)
        except StateUnreadable:
            continue  # Written by another version, which counted otherwise.
        if not has_steps(state.playbook):  # Their nodes were away for more than a restart.
            yield state
