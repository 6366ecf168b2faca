"""A rehearsal over a ZooKeeper ensemble: its servers are played as the voters of a quorum.

The model knows clusters, not ensembles. It is given the projection in which servers are nodes
(`healthd.waves.ensemble`), and plays them as pure controllers: processes that stop and start,
voters that catch up, elections. What a Kafka cluster makes of it is not part of the rehearsal.
"""

from dataclasses import replace

from healthd.model.snapshot import ClusterSnapshot
from healthd.rehearsal.quorum import FETCH_TIMEOUT_MS
from healthd.waves.ensemble import SECTION, projected
from healthd.waves.playbook import Playbook, PlaybookTarget


def has_ensemble(snapshot: ClusterSnapshot) -> bool:
    """Whether the snapshot says how the servers of an ensemble are."""
    return bool((snapshot.extra or {}).get(SECTION, {}).get("servers"))


def as_quorum(snapshot: ClusterSnapshot, playbook: Playbook) -> tuple[ClusterSnapshot, Playbook]:
    """The ensemble as a cluster of controllers, and the playbook as one for its nodes."""
    servers = projected(snapshot)
    quorum = servers.quorum
    if quorum is not None:
        quorum = replace(quorum, fetch_timeout_ms=FETCH_TIMEOUT_MS, absent_seconds=0.0)
    played = replace(servers, quorum=quorum, extra=None)
    return played, replace(playbook, target=PlaybookTarget.BROKER)
