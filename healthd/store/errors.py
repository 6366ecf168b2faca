"""What can go wrong with the durable state: each error says what, where and what to do."""
# ruff: noqa: N818 - the names say what is wrong; "StoreFullError" would say it twice.


class StoreError(Exception):
    """The durable state could not be read or written."""

    def __init__(self, what: str, *, where: str, todo: str) -> None:
        super().__init__(f"{what} ({where}); {todo}")
        self.what = what
        self.where = where
        self.todo = todo


class StoreFull(StoreError):
    """There is no space left to write to, and the reserve is gone or not meant for this write."""


class StoreLocked(StoreError):
    """Another process held the state file for longer than the busy time-out."""


class StoreDamaged(StoreError):
    """The state file is not what healthd wrote; nothing was changed in it."""


class StoreUnusable(StoreError):
    """The state folder or file cannot be opened, read or written for another reason."""


class SchemaTooNew(StoreError):
    """A newer healthd wrote the state file; this one would damage it."""


class VersionConflict(StoreError):
    """Somebody else has changed the wave since it was read; read it again and decide anew."""


class FencedOut(StoreError):
    """The cluster's lease has gone to somebody else; this holder may not write any more."""


class NotRecorded(StoreError):
    """The wave or effect that was named is not in the store."""


class AlreadyRecorded(StoreError):
    """The wave id or effect id is there already; ids are never used twice."""


class StateHeld(StoreError):
    """Another daemon runs on the same state folder (exit code 6)."""
