"""What a wave did to partitions by its own stops (contract.md: *caused*).

A partition counts from the moment a stop by the wave takes it under min ISR, or offline, until it
is back. One that a fault takes there counts for nobody, whatever the wave has down meanwhile.
"""

from collections.abc import Iterable

from healthd.rehearsal.agenda import Agenda
from healthd.rehearsal.topics import PartitionNow


class Harm:
    """Partition-seconds that the wave has caused."""

    def __init__(self, agenda: Agenda) -> None:
        self._agenda = agenda
        self._under = 0.0
        self._offline = 0.0
        self._open: dict[PartitionNow, None] = {}
        self.names: dict[str, float] = {}
        """The partitions that the wave took under min ISR, with the time of the first time."""

    def changed(
        self, partition: PartitionNow, *, was_under: bool, was_offline: bool, by_wave: bool
    ) -> None:
        """Judge a change of a partition's ISR or leader."""
        now = self._agenda.now
        is_under, is_offline = partition.is_under_min_isr, partition.is_offline
        if is_under and not was_under and by_wave:
            partition.caused_under_since = now
            self.names.setdefault(partition.name, now)
        if is_offline and not was_offline and by_wave:
            partition.caused_offline_since = now
        if not is_under and partition.caused_under_since is not None:
            self._under += now - partition.caused_under_since
            partition.caused_under_since = None
        if not is_offline and partition.caused_offline_since is not None:
            self._offline += now - partition.caused_offline_since
            partition.caused_offline_since = None
        if partition.caused_under_since is None and partition.caused_offline_since is None:
            self._open.pop(partition, None)
        else:
            self._open[partition] = None

    def forget(self, partitions: Iterable[PartitionNow]) -> None:
        """Count what was caused to partitions that are deleted now, and no further."""
        now = self._agenda.now
        for partition in partitions:
            if partition not in self._open:
                continue
            del self._open[partition]
            for since, column in (
                (partition.caused_under_since, "_under"),
                (partition.caused_offline_since, "_offline"),
            ):
                if since is not None:
                    setattr(self, column, getattr(self, column) + now - since)

    @property
    def under_min_isr_seconds(self) -> float:
        """Partition-seconds under min ISR by the wave's doing, until now."""
        return self._under + self._lasting("caused_under_since")

    @property
    def offline_seconds(self) -> float:
        """Partition-seconds without a leader by the wave's doing, until now."""
        return self._offline + self._lasting("caused_offline_since")

    def _lasting(self, column: str) -> float:
        now = self._agenda.now
        since: list[float | None] = [getattr(partition, column) for partition in self._open]
        return sum((now - at for at in since if at is not None), 0.0)
