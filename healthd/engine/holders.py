"""Which wave of this daemon has a lease: it runs, is being started, or nobody understands it."""

from datetime import UTC, datetime

from healthd.engine.dry_running import lease_of, lease_of_record
from healthd.engine.gallery import Gallery
from healthd.engine.reading import held_by, held_unread
from healthd.engine.view import WaveView
from healthd.store.records import WaveRecord


class Holders:
    """The waves that keep a lease from others, whatever the store says.

    Args:
        gallery: the waves that are understood.
        holder: how this daemon is called in refusals.
    """

    def __init__(self, gallery: Gallery, holder: str) -> None:
        self._gallery = gallery
        self._holder = holder
        self.starting: dict[str, tuple[str, float]] = {}
        """By lease: a wave that is not shown yet, and since when."""
        self._unreadable: dict[str, tuple[str, str]] = {}
        """By lease: a wave that has not ended and that nobody understands, and why."""

    def add_unreadable(self, record: WaveRecord, detail: str) -> None:
        """Keep the lease of a wave that nobody understands."""
        self._unreadable[lease_of_record(record)] = (record.id, detail)

    def forget_unreadable(self, wave: str) -> None:
        """It was given up."""
        self._unreadable = {at: it for at, it in self._unreadable.items() if it[0] != wave}

    @property
    def unreadable(self) -> dict[str, str]:
        """The waves that nobody understands, and why."""
        return dict(self._unreadable.values())

    def active_on(self, lease: str) -> WaveView | None:
        """The wave that has not ended and has a lease."""
        return next(
            (each for each in self._gallery.active() if lease_of(each.state) == lease), None
        )

    def holder_of(self, lease: str) -> str | None:
        """The wave that has a lease: running, being started, or not understood."""
        active = self.active_on(lease)
        if active is not None:
            return active.state.wave
        found = self.starting.get(lease) or self._unreadable.get(lease)
        return None if found is None else found[0]

    def require_free(self, lease: str) -> None:
        """Refuse a wave whose lease another one has.

        Raises:
            OrderRefused: who has it, since when, and for which wave.
        """
        active = self.active_on(lease)
        if active is not None:
            raise held_by(lease, self._holder, active.created_at, active.state.wave)
        if lease in self.starting:
            wave, since = self.starting[lease]
            raise held_by(lease, self._holder, datetime.fromtimestamp(since, UTC), wave)
        if lease in self._unreadable:
            wave, detail = self._unreadable[lease]
            raise held_unread(lease, wave, detail)
