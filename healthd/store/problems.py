"""The errors that every store raises, worded once."""

from healthd.store.errors import AlreadyRecorded, NotRecorded, VersionConflict


def no_wave(wave_id: str) -> NotRecorded:
    """The wave was never stored."""
    return NotRecorded(
        f"there is no wave {wave_id}", where=f"wave {wave_id}", todo="see healthd wave list"
    )


def wave_exists(wave_id: str) -> AlreadyRecorded:
    """The wave's id is taken."""
    return AlreadyRecorded(
        f"there is a wave {wave_id} already", where=f"wave {wave_id}", todo="use a new id"
    )


def version_conflict(wave_id: str, *, expected: int, found: int) -> VersionConflict:
    """The wave was changed since it was read."""
    return VersionConflict(
        f"wave {wave_id} is at version {found}, the change was made for version {expected}",
        where=f"wave {wave_id}",
        todo="read the wave again and decide anew",
    )


def no_effect(wave_id: str, effect_id: str) -> NotRecorded:
    """The effect was never intended."""
    return NotRecorded(
        f"wave {wave_id} never intended the effect {effect_id}",
        where=f"wave {wave_id}",
        todo="write the intent before the effect is carried out",
    )


def effect_exists(wave_id: str, effect_id: str) -> AlreadyRecorded:
    """The effect's id was used before."""
    return AlreadyRecorded(
        f"wave {wave_id} has intended the effect {effect_id} before",
        where=f"wave {wave_id}",
        todo="give every effect an id of its own",
    )
