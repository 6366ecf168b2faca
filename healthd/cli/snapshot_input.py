"""Snapshots as people hand them in: healthd's own JSON, or what ``kcat -L -J`` prints."""

from dataclasses import dataclass

from healthd.model.json_reader import load_json
from healthd.model.kcat import is_kcat, kcat_snapshot
from healthd.model.parse import snapshot_of
from healthd.model.snapshot import ClusterSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotInput:
    """A snapshot and where it came from."""

    snapshot: ClusterSnapshot
    is_kcat: bool
    """From kcat: nothing is known of controllers, and no wave accepts what is made from it."""


def read_snapshot(data: bytes, *, assume_min_isr: int | None = None) -> SnapshotInput:
    """The snapshot in a file's bytes.

    Args:
        data: the whole file.
        assume_min_isr: what a person says min.insync.replicas is where it is unknown.

    Raises:
        InputError: with the path of the first thing that is wrong.
    """
    value = load_json(data)
    if is_kcat(value):
        snapshot = kcat_snapshot(value, is_min_isr_assumed=assume_min_isr is not None)
        return SnapshotInput(snapshot=snapshot, is_kcat=True)
    return SnapshotInput(snapshot=snapshot_of(value), is_kcat=False)
