"""The mutes of all clusters: kept on disk, ended by time or by growing trouble."""

import asyncio
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog

from healthd.engine.clock import Clock
from healthd.engine.journal import StoreThread
from healthd.engine.tasks import Background
from healthd.engine.view import ClusterView, OrderRefused, Refusal
from healthd.health.index import HealthReport
from healthd.health.mutes import Mute, ended, outgrown
from healthd.model.codes import CheckCode
from healthd.store.errors import StoreError
from healthd.store.ledger import LedgerEvent, LedgerWrite
from healthd.store.records import AuditRecord

log = structlog.get_logger(__name__)

KIND: Final = "mute"
LONGEST_SECONDS: Final = 30 * 86_400.0
MAX_MUTES: Final = 10_000
MAX_OBJECTS: Final = 20
"""A check names no more, so no more can be told apart."""


class Muter:
    """Takes, lifts and ends mutes; judging asks it which ones count."""

    def __init__(self, store: StoreThread, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._mutes: dict[str, Mute] = {}
        self._tasks = Background("mute_not_lifted")
        self._lifting: set[str] = set()

    async def load(self) -> None:
        """Take up the mutes that were there before a restart."""
        try:
            kept = await self._store.call(lambda store: store.ledger.documents(KIND))
        except StoreError as error:
            log.error("mutes_unreadable", detail=str(error))
            return
        for name, body in kept.items():
            try:
                self._mutes[name] = parse_mute(name, body)
            except (KeyError, TypeError, ValueError) as error:
                # A mute that nobody can read silences nothing.
                log.error("mute_unreadable", mute=name, detail=str(error))

    def all(self) -> tuple[Mute, ...]:
        """Every mute that counts, the one that ends first in front."""
        now = self._now()
        return tuple(
            sorted(
                (mute for mute in self._mutes.values() if mute.until > now),
                key=lambda mute: (mute.until, mute.id),
            )
        )

    def of(self, cluster: str) -> tuple[Mute, ...]:
        """The mutes of one cluster that count."""
        return tuple(mute for mute in self.all() if mute.cluster == cluster)

    def judged(self, cluster: str, report: HealthReport) -> None:
        """End what is over, and lift what the trouble has outgrown; in the background."""
        own = [mute for mute in self._mutes.values() if mute.cluster == cluster]
        if not own:
            return
        for mute in ended(own, self._now()):
            self._lift_soon(mute, "its time is over")
        for mute in outgrown(own, report.checks):
            self._lift_soon(mute, "more objects are concerned than were muted")

    async def add(self, request: Mapping[str, Any], view: ClusterView, *, by: str) -> Mute:
        """The new mute, on disk.

        Args:
            request: `check`, `objects`, `seconds`, `reason`, `owner`, `evenIfNotRaised`.
            view: The cluster that it is for.
            by: Who asks for it.

        Raises:
            OrderRefused: the check is not raised, or there are too many mutes.
        """
        code = CheckCode(request["check"])
        objects = tuple(request.get("objects") or ())
        raised = next(
            (c for c in (view.report.checks if view.report else ()) if c.code is code), None
        )
        if raised is None and not request.get("evenIfNotRaised"):
            raise OrderRefused(
                Refusal.CONFLICT,
                f"{code} is not raised for {view.config.name}: there is nothing to mute"
                " (--even-if-not-raised mutes it all the same)",
            )
        strangers = sorted(set(objects) - set(raised.objects)) if raised else []
        if strangers and not request.get("evenIfNotRaised"):
            raise OrderRefused(
                Refusal.CONFLICT,
                f"{code} does not concern {', '.join(strangers[:5])};"
                f" it names {', '.join(raised.objects[:5]) if raised else 'nothing'}",
            )
        if len(self._mutes) >= MAX_MUTES:
            raise OrderRefused(Refusal.CONFLICT, f"there are {MAX_MUTES} mutes already")
        now = self._now()
        mute = Mute(
            id=uuid.uuid4().hex[:8],
            cluster=view.config.name,
            check=code,
            objects=objects,
            reason=str(request["reason"]),
            owner=str(request.get("owner") or by),
            created_at=now,
            until=now + timedelta(seconds=float(request["seconds"])),
            count=None if raised is None or objects else raised.count,
        )
        await self._write(mute, mute_json(mute), "mute", by=by, why=mute.reason)
        self._mutes[mute.id] = mute
        return mute

    async def lift(self, name: str, *, by: str, reason: str) -> Mute:
        """The mute that was lifted, gone from disk.

        Raises:
            OrderRefused: there is no such mute.
        """
        mute = self._mutes.get(name)
        if mute is None:
            known = ", ".join(sorted(self._mutes)[:10]) or "none"
            raise OrderRefused(Refusal.UNKNOWN, f"there is no mute {name}; there are: {known}")
        await self._write(mute, None, "unmute", by=by, why=reason)
        self._mutes.pop(name, None)
        return mute

    def forget(self, known: Callable[[str], bool]) -> None:
        """Lift the mutes of clusters that have left the fleet."""
        for mute in tuple(self._mutes.values()):
            if not known(mute.cluster):
                self._lift_soon(mute, "the cluster has left the fleet")

    async def close(self) -> None:
        """Finish what is being written."""
        await self._tasks.join()

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.wall(), UTC)

    def _lift_soon(self, mute: Mute, why: str) -> None:
        if mute.id in self._lifting:
            return
        self._lifting.add(mute.id)
        self._tasks.spawn(self._lift(mute, why), name="lift mute")

    async def _lift(self, mute: Mute, why: str) -> None:
        try:
            await self._write(mute, None, "unmute", by="healthd", why=why)
        except OrderRefused as error:
            # It stays until it can be written that it ended; what is over silences nothing anyway.
            log.warning("mute_not_lifted", mute=mute.id, detail=str(error))
        else:
            self._mutes.pop(mute.id, None)
            log.warning(
                "mute_lifted", mute=mute.id, cluster=mute.cluster, check=mute.check, why=why
            )
        finally:
            self._lifting.discard(mute.id)

    async def _write(
        self, mute: Mute, body: dict[str, Any] | None, what: str, *, by: str, why: str
    ) -> None:
        now = self._clock.wall()
        event = {"id": mute.id, "check": mute.check.value, "objects": list(mute.objects)}
        event |= {"by": by, "reason": why, "until": mute.until.isoformat()}
        write = LedgerWrite(
            kind=KIND,
            documents={mute.id: body},
            events=(LedgerEvent(at=now, kind=what, subject=mute.cluster, body=event),),
            audit=(
                AuditRecord(
                    at=now, who=by, what=what, why=why, target=f"{mute.cluster} {mute.check.value}"
                ),
            ),
        )
        try:
            await asyncio.shield(self._store.call(lambda store: store.ledger.write(write)))
        except StoreError as error:
            raise OrderRefused(Refusal.STORE, f"nothing was changed: {error}") from error


def mute_json(mute: Mute) -> dict[str, Any]:
    """The mute as JSON, for the store and the API."""
    return {
        "id": mute.id,
        "cluster": mute.cluster,
        "check": mute.check.value,
        "objects": list(mute.objects),
        "reason": mute.reason,
        "owner": mute.owner,
        "createdAt": mute.created_at.isoformat(),
        "until": mute.until.isoformat(),
        "count": mute.count,
    }


def parse_mute(name: str, body: Mapping[str, Any]) -> Mute:
    """The mute in JSON.

    Raises:
        KeyError, TypeError, ValueError: it is not one.
    """
    count = body["count"]
    return Mute(
        id=name,
        cluster=str(body["cluster"]),
        check=CheckCode(body["check"]),
        objects=tuple(map(str, body["objects"])),
        reason=str(body["reason"]),
        owner=str(body["owner"]),
        created_at=datetime.fromisoformat(body["createdAt"]),
        until=datetime.fromisoformat(body["until"]),
        count=None if count is None else int(count),
    )
