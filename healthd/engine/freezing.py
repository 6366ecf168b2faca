"""The freezes of the daemon: those of the fleet file, and those made by command, kept on disk."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

import structlog

from healthd.config.fleet import Fleet
from healthd.engine.clock import Clock
from healthd.engine.journal import StoreThread
from healthd.engine.tasks import Background
from healthd.engine.view import OrderRefused, Refusal
from healthd.model.moments import NoMoment, moment_text, parse_moment
from healthd.model.reason import Reason
from healthd.store.errors import StoreError
from healthd.store.ledger import LedgerEvent, LedgerWrite
from healthd.store.records import AuditRecord
from healthd.waves.freezes import Freeze, freeze_hold, freeze_holds
from healthd.waves.spec import NAME

log = structlog.get_logger(__name__)

KIND: Final = "freeze"
MAX_FREEZES: Final = 1_000
FORGET_SECONDS: Final = 7 * 86_400.0
"""A freeze that is over stays in the list so long."""
LONGEST_SECONDS: Final = 366 * 86_400.0
"""A length is a number of seconds at most so long; a freeze without an end has none."""
AGAIN_SECONDS: Final = 10.0
"""Freezes that could not be read are read again."""


class Freezer:
    """Makes, removes and knows freezes; waves ask it what holds."""

    def __init__(self, store: StoreThread, clock: Clock, fleet: Callable[[], Fleet]) -> None:
        self._store = store
        self._clock = clock
        self._fleet = fleet
        self._made: dict[str, Freeze] = {}
        self._unreadable: dict[str, str] = {}
        self._trouble: str | None = None
        self._tasks = Background("freezes_not_read")

    async def load(self) -> None:
        """Take up the freezes that were there before a restart; read again when that fails."""
        if not await self._read():
            self._tasks.spawn(self._read_again(), name="read freezes")

    @property
    def now(self) -> float:
        """The wall clock."""
        return self._clock.wall()

    def all(self) -> tuple[Freeze, ...]:
        """Every freeze, the fleet file's first, then the one that was made first in front."""
        made = sorted(self._made.values(), key=lambda each: (each.created_at or 0.0, each.name))
        return (*self._fleet().freezes, *made)

    def holds(self, cluster: str, labels: Mapping[str, str]) -> tuple[Reason, ...]:
        """What freezes put in the way of a cluster now; closed when they cannot be read."""
        if self._trouble is not None:
            return (freeze_hold(cluster, f"the freezes cannot be read: {self._trouble}"),)
        if self._unreadable:
            # Nobody knows which clusters it is for.
            name, detail = next(iter(self._unreadable.items()))
            return (freeze_hold(cluster, f"freeze {name} cannot be read: {detail}"),)
        return freeze_holds(cluster, labels, self.all(), self._clock.wall())

    async def add(self, request: Mapping[str, Any], *, by: str) -> Freeze:
        """The new freeze, on disk.

        Args:
            request: `name`, `reason`; one of `clusters`, `match`, `all`; `from`; `until` or
                `seconds`.
            by: who makes it.

        Raises:
            OrderRefused: it freezes nothing, is over already, or its name is taken.
        """
        freeze = self._asked_for(request, by)
        self._require_new(freeze.name)
        await self._write(freeze, freeze_json(freeze), "freeze", by=by, why=freeze.reason)
        self._made[freeze.name] = freeze
        return freeze

    async def remove(self, name: str, *, by: str, reason: str) -> Freeze:
        """The freeze that was removed, gone from disk.

        Raises:
            OrderRefused: there is no such freeze, or it is the fleet file's.
        """
        if any(each.name == name for each in self._fleet().freezes):
            raise OrderRefused(
                Refusal.CONFLICT,
                f"freeze {name} is from the fleet file: remove it there and reload",
            )
        freeze = self._made.get(name)
        if freeze is None and name in self._unreadable:
            freeze = Freeze(name=name, reason="unreadable", by="unknown")
        if freeze is None:
            known = ", ".join(sorted(self._made)[:10]) or "none"
            raise OrderRefused(Refusal.UNKNOWN, f"there is no freeze {name}; there are: {known}")
        await self._write(freeze, None, "unfreeze", by=by, why=reason)
        self._made.pop(name, None)
        self._unreadable.pop(name, None)
        return freeze

    async def close(self) -> None:
        """Stop reading again."""
        await self._tasks.cancel()

    async def _read(self) -> bool:
        try:
            kept = await self._store.call(lambda store: store.ledger.documents(KIND))
        except StoreError as error:
            log.error("freezes_unreadable", detail=str(error))
            self._trouble = str(error)
            return False
        self._trouble = None
        oldest = self._clock.wall() - FORGET_SECONDS
        for name, body in kept.items():
            try:
                freeze = parse_freeze(name, body)
            except (KeyError, TypeError, ValueError) as error:
                log.error("freeze_unreadable", freeze=name, detail=str(error))
                self._unreadable[name] = f"{type(error).__name__}: {error}"
                continue
            if not freeze.has_ended(oldest):
                self._made[name] = freeze
        return True

    async def _read_again(self) -> None:
        while True:
            await asyncio.sleep(AGAIN_SECONDS)
            if await self._read():
                return

    def _asked_for(self, request: Mapping[str, Any], by: str) -> Freeze:
        now = self._clock.wall()
        name = str(request["name"])
        if not NAME.fullmatch(name):
            raise OrderRefused(
                Refusal.INVALID,
                f"{name!r} is no name: letters, digits, dots, dashes and underscores, 128 at most",
            )
        freeze = Freeze(
            name=name,
            reason=str(request["reason"]),
            by=by,
            clusters=tuple(dict.fromkeys(request.get("clusters") or ())),
            match=MappingProxyType(dict(request.get("match") or {})),
            is_for_all=bool(request.get("all")),
            begins=_moment(request.get("from"), "from"),
            ends=_moment(request.get("until"), "until"),
            created_at=now,
        )
        if request.get("seconds") is not None:
            if freeze.ends is not None:
                raise OrderRefused(Refusal.INVALID, "give until or seconds, not both")
            length = float(request["seconds"])
            freeze = replace(freeze, ends=(freeze.begins or now) + length)
        if sum((bool(freeze.clusters), bool(freeze.match), freeze.is_for_all)) != 1:
            raise OrderRefused(
                Refusal.INVALID, "a freeze needs exactly one of clusters, match and all"
            )
        if freeze.ends is not None and freeze.ends <= max(now, freeze.begins or now):
            raise OrderRefused(Refusal.INVALID, "until: the freeze would end before it begins")
        self._require_clusters(freeze)
        return freeze

    def _require_clusters(self, freeze: Freeze) -> None:
        fleet = self._fleet()
        unknown = [name for name in freeze.clusters if fleet.cluster(name) is None]
        known = ", ".join(each.name for each in fleet.clusters)
        if unknown:
            raise OrderRefused(
                Refusal.UNKNOWN, f"there is no cluster {', '.join(unknown)}; there are: {known}"
            )
        if not _named(freeze, fleet):
            wanted = ", ".join(f"{label}={value}" for label, value in freeze.match.items())
            raise OrderRefused(Refusal.INVALID, f"no cluster has the labels {wanted}: {known}")

    def _require_new(self, name: str) -> None:
        if self._trouble is not None:
            raise OrderRefused(Refusal.STORE, f"the freezes cannot be read: {self._trouble}")
        taken = next((each for each in self.all() if each.name == name), None)
        if taken is not None and not taken.has_ended(self._clock.wall()):
            raise OrderRefused(Refusal.CONFLICT, f"there is a freeze of that name already: {taken}")
        if taken is not None and taken.is_from_file:
            raise OrderRefused(
                Refusal.CONFLICT, f"the fleet file has a freeze {name}; choose another name"
            )
        if name in self._unreadable:
            raise OrderRefused(
                Refusal.CONFLICT, f"freeze {name} cannot be read; remove it before you make another"
            )
        if len(self._made) >= MAX_FREEZES:
            raise OrderRefused(Refusal.CONFLICT, f"there are {MAX_FREEZES} freezes already")

    async def _write(
        self, freeze: Freeze, body: dict[str, Any] | None, what: str, *, by: str, why: str
    ) -> None:
        """Write that a freeze was made or removed, or refuse the order."""
        now, name = self._clock.wall(), freeze.name
        clusters = _named(freeze, self._fleet())
        event = (body or {}) | {"name": name, "by": by, "reason": why}
        write = LedgerWrite(
            kind=KIND,
            documents={name: body},
            # One for each cluster, so that its history shows it.
            events=tuple(
                LedgerEvent(at=now, kind=what, subject=cluster, body=event) for cluster in clusters
            ),
            audit=(AuditRecord(at=now, who=by, what=what, why=why, target=f"freeze:{name}"),),
        )
        try:
            await asyncio.shield(self._store.call(lambda store: store.ledger.write(write)))
        except StoreError as error:
            raise OrderRefused(Refusal.STORE, f"nothing was changed: {error}") from error


def _named(freeze: Freeze, fleet: Fleet) -> tuple[str, ...]:
    return tuple(each.name for each in fleet.clusters if freeze.covers(each.name, each.labels))


def _moment(text: Any, key: str) -> float | None:
    if text is None:
        return None
    try:
        return parse_moment(str(text), now=0.0)
    except NoMoment as error:
        raise OrderRefused(Refusal.INVALID, f"{key}: {error}") from None


def freeze_json(freeze: Freeze) -> dict[str, Any]:
    """The freeze as JSON, for the store and the API."""
    return {
        "name": freeze.name,
        "reason": freeze.reason,
        "by": freeze.by,
        "clusters": list(freeze.clusters),
        "match": dict(freeze.match),
        "all": freeze.is_for_all,
        "from": _text(freeze.begins),
        "until": _text(freeze.ends),
        "createdAt": _text(freeze.created_at),
        "fromFile": freeze.is_from_file,
    }


def freeze_view(freeze: Freeze, now: float) -> dict[str, Any]:
    """The freeze as the API shows it: whether it is on, over, or still to come."""
    state = "over" if freeze.has_ended(now) else "on" if freeze.is_on(now) else "to come"
    return {**freeze_json(freeze), "state": state}


def _text(seconds: float | None) -> str | None:
    return None if seconds is None else moment_text(seconds)


def parse_freeze(name: str, body: Mapping[str, Any]) -> Freeze:
    """The freeze in JSON.

    Raises:
        KeyError, TypeError, ValueError: it is not one.
    """
    begins, ends, created = (
        None if body[key] is None else parse_moment(str(body[key]), now=0.0)
        for key in ("from", "until", "createdAt")
    )
    match = {str(label): str(value) for label, value in body["match"].items()}
    return Freeze(
        name=name,
        reason=str(body["reason"]),
        by=str(body["by"]),
        clusters=tuple(map(str, body["clusters"])),
        match=MappingProxyType(match),
        is_for_all=bool(body["all"]),
        begins=begins,
        ends=ends,
        created_at=created,
    )
