"""What is shown of every wave there ever was, without keeping all of it at hand."""

import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from healthd.engine.view import WaveView
from healthd.store.records import WaveRecord
from healthd.waves.codec import StateUnreadable, decode_state, encode_state

log = structlog.get_logger(__name__)

SHOWN_AFTER_END_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class _Packed:
    """A wave that ended long ago: about a kilobyte instead of fifty."""

    wave: str
    created_at: datetime
    updated_at: datetime
    state: bytes


class Gallery:
    """Waves that run and those that ended not long ago as they are; older ones packed."""

    def __init__(self) -> None:
        self._shown: dict[str, WaveView] = {}
        self._packed: dict[str, _Packed] = {}

    def show(self, view: WaveView) -> None:
        """The wave as it is now."""
        self._shown[view.state.wave] = view

    def add_old(self, record: WaveRecord) -> None:
        """Keep a wave of long ago without reading its state."""
        self._packed[record.id] = _Packed(
            record.id,
            datetime.fromtimestamp(record.created_at, UTC),
            datetime.fromtimestamp(record.updated_at, UTC),
            zlib.compress(record.state.encode()),
        )

    def view(self, wave: str) -> WaveView | None:
        """One wave, however old; None when there is none, or its state cannot be read."""
        shown = self._shown.get(wave)
        if shown is not None:
            return shown
        packed = self._packed.get(wave)
        if packed is None:
            return None
        try:
            state = decode_state(json.loads(zlib.decompress(packed.state)))
        except (StateUnreadable, ValueError) as error:
            log.error("wave_unreadable", wave=wave, detail=str(error))
            return None
        return WaveView(state=state, created_at=packed.created_at, updated_at=packed.updated_at)

    def recent(self, now: float) -> Sequence[WaveView]:
        """Waves that run or ended in the last 24 hours, newest first; older ones are packed."""
        oldest = now - SHOWN_AFTER_END_SECONDS
        old = [
            view
            for view in self._shown.values()
            if view.state.status.has_ended and view.updated_at.timestamp() <= oldest
        ]
        for view in old:
            self._pack(view)
        return sorted(self._shown.values(), key=lambda view: view.created_at, reverse=True)

    def active(self) -> Iterable[WaveView]:
        """Waves that have not ended."""
        return [view for view in self._shown.values() if not view.state.status.has_ended]

    def _pack(self, view: WaveView) -> None:
        wave = view.state.wave
        text = json.dumps(encode_state(view.state), separators=(",", ":"))
        self._packed[wave] = _Packed(
            wave, view.created_at, view.updated_at, zlib.compress(text.encode())
        )
        del self._shown[wave]
