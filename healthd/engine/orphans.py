"""Leases of waves that were never stored: the daemon died between the one and the other."""

import structlog

from healthd.store.errors import StoreError
from healthd.store.protocol import Store

log = structlog.get_logger(__name__)


def release_orphans(store: Store, instance: str) -> None:
    """Give back what this state folder leased for waves that are not there.

    To be called before any wave is started. Without it such a cluster would take no wave until the
    lease runs out. A store that cannot write now leaves it at that.
    """
    for lease in store.leases():
        if lease.instance != instance or store.wave(lease.wave_id) is not None:
            continue
        try:
            store.release(lease.fence)
        except StoreError as error:
            log.warning("lease_not_released", wave=lease.wave_id, detail=str(error))
        else:
            log.info("lease_released", wave=lease.wave_id, kafka_cluster=lease.cluster)
