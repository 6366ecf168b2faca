"""The verdicts of all clusters and what profiles resolve to, kept in memory and on disk.

Answers come from memory and keep coming while Kafka, the store or a collector is down. What moves
is written in the background: a store that is full or gone costs the record, never the route.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import structlog

from healthd.config.fleet import Fleet
from healthd.engine.clock import Clock
from healthd.engine.collecting import Published
from healthd.engine.journal import StoreThread
from healthd.engine.route_table import Answer, RouteTable
from healthd.engine.tasks import Background
from healthd.health.checks import Finding, Objects
from healthd.health.scoring import RoutingScoring
from healthd.health.words import HealthClass
from healthd.model.codes import CheckCode, Severity
from healthd.routing.codec import parse_routing, routing_json, transition_json
from healthd.routing.fleet import (
    FleetReading,
    FleetRouting,
    new_fleet,
    step,
    with_clusters,
    with_force,
)
from healthd.routing.verdict import Forced, Reading, Routing, Transition
from healthd.store.errors import StoreError
from healthd.store.ledger import LedgerEvent, LedgerWrite
from healthd.store.records import AuditRecord

log = structlog.get_logger(__name__)

KIND: Final = "routing"
EVENT: Final = "verdict"
SAVED_AT: Final = "savedAt"
SAVE_SECONDS: Final = 30.0
"""How often dwell and health that go on are written; a transition is written at once."""
EVENTS_KEPT: Final = 10_000
"""Events that wait for a store that does not write; older ones are counted as lost."""


class Router:
    """Reads every judged snapshot, and answers what each profile resolves to."""

    def __init__(
        self, fleet: Fleet, store: StoreThread, clock: Clock, *, interval_seconds: float
    ) -> None:
        self._config = fleet
        self._store = store
        self._clock = clock
        self._interval = interval_seconds
        self._fleet: FleetRouting = new_fleet([cluster.name for cluster in fleet.clusters])
        self._read_at: dict[str, float] = {}
        self._table = RouteTable(fleet)
        self._changed = asyncio.Event()
        self._is_closing = False
        self._tasks = Background("routing_not_saved")
        self._waiting: deque[LedgerEvent] = deque()
        self._unsaved: set[str] = set()
        self._saved_at = float("-inf")
        self._saving = asyncio.Lock()
        self.lost_events = 0
        self.transitions: dict[tuple[str, str], int] = {}
        self._resolve()

    @property
    def fleet(self) -> FleetRouting:
        """The verdicts as they stand."""
        return self._fleet

    @property
    def is_dry_run(self) -> bool:
        """Whether verdicts take nobody out."""
        return self._config.is_routing_dry_run

    @property
    def answers(self) -> Mapping[str, Answer]:
        """What every profile resolves to now, by its name."""
        return self._table.answers

    def numbers(self, cluster: str) -> RoutingScoring:
        """The routing numbers of a cluster."""
        config = self._config.cluster(cluster)
        return (self._config.scoring if config is None else config.scoring).routing

    async def load(self) -> None:
        """Take up the verdicts that were held before a restart."""
        try:
            kept = await self._store.call(lambda store: store.ledger.documents(KIND))
        except StoreError as error:
            log.error("routing_unreadable", detail=str(error))
            return
        now = self._clock.wall()
        known: dict[str, Routing] = {}
        for cluster, body in kept.items():
            try:
                saved_at = float(body.get(SAVED_AT, now))
                known[cluster] = parse_routing(body, away_seconds=now - saved_at)
            except ValueError as error:
                log.error("routing_unreadable", cluster=cluster, detail=str(error))
        self._fleet = new_fleet([cluster.name for cluster in self._config.clusters], known)
        self._resolve()

    def read(self, cluster: str, published: Published) -> None:
        """Take one judged snapshot into account."""
        seen = _reading(published)
        if cluster not in self._fleet.clusters or (not published.is_news and seen.reading.is_known):
            # Old values that are still believed are no new evidence, for or against.
            return
        now = self._clock.monotonic()
        last = self._read_at.get(cluster)
        seconds = 0.0 if last is None else max(0.0, now - last)
        self._read_at[cluster] = now
        stale_seconds = 5 * self._interval
        before = self._fleet
        stepped = step(
            before,
            cluster,
            seen,
            at=now,
            # However long nothing was read, it proves no more than evidence stays believable.
            step_seconds=min(seconds, stale_seconds),
            groups=self._table.groups_of(cluster),
            numbers=self.numbers(cluster),
            guards=self._config.scoring.routing,
            is_break=seconds > 2 * self._interval,
        )
        self._fleet = stepped.fleet
        self._unsaved.add(cluster)
        if stepped.transition is not None:
            self._record(cluster, stepped.transition)
        self._log_guards(before)
        self._resolve(cluster)
        if stepped.transition is not None or now - self._saved_at >= SAVE_SECONDS:
            self._tasks.spawn(self.save(), name="save routing")

    def reload(self, fleet: Fleet) -> None:
        """Use another fleet file: new clusters are IN, those that are gone are forgotten."""
        gone = self._fleet.clusters.keys() - {cluster.name for cluster in fleet.clusters}
        self._config, self._table = fleet, RouteTable(fleet)
        self._fleet = with_clusters(self._fleet, [cluster.name for cluster in fleet.clusters])
        self._unsaved |= gone
        for cluster in gone:
            self._read_at.pop(cluster, None)
        self.transitions = {
            key: many for key, many in self.transitions.items() if key[0] not in gone
        }
        self._resolve()
        self._tasks.spawn(self.save(), name="save routing")

    async def force(self, cluster: str, forced: Forced | None, *, by: str, reason: str) -> None:
        """Set or take back an operator's word; it is on disk when this returns.

        Raises:
            StoreError: it could not be written; nothing has changed.
        """
        routing = replace(self._fleet.routing(cluster), forced=forced)
        what = "route_unforce" if forced is None else "route_force"
        now = self._clock.wall()
        body: dict[str, Any] = {"forced": None if forced is None else forced.state.value, "by": by}
        body |= {"reason": reason, "seconds": None if forced is None else forced.seconds_left}
        write = LedgerWrite(
            kind=KIND,
            documents={cluster: routing_json(routing) | {SAVED_AT: now}},
            events=(LedgerEvent(at=now, kind="force", subject=cluster, body=body),),
            audit=(AuditRecord(at=now, who=by, what=what, why=reason, target=cluster),),
        )
        await self._store.call(lambda store: store.ledger.write(write))
        self._fleet = with_force(self._fleet, cluster, forced)
        self._resolve(cluster)

    async def wait(self, profile: str, etag: str, seconds: float) -> Answer | None:
        """The profile's answer once it is no longer the one of that tag, or when time is up."""
        limit = self._clock.monotonic() + seconds
        while True:
            answer = self.answers.get(profile)
            left = limit - self._clock.monotonic()
            if answer is None or answer.etag != etag or left <= 0 or self._is_closing:
                return answer
            changed = self._changed
            try:
                async with asyncio.timeout(left):
                    await changed.wait()
            except TimeoutError:
                return self.answers.get(profile)

    def findings(self, cluster: str) -> Iterator[Finding]:
        """What the guards tell of a cluster: it is needed though it is bad, or we are in doubt."""
        objects = Objects(count=1, shown=(f"cluster:{cluster}",))
        if cluster in self._fleet.panics:
            profiles = self._table.without_others(cluster, self._fleet)
            yield Finding(
                code=CheckCode.FLEET_PANIC,
                severity=Severity.WARN,
                objects=objects,
                detail=", ".join(profiles[:5]),
            )
        if cluster in self._fleet.suspects:
            yield Finding(
                code=CheckCode.MONITOR_SUSPECT,
                severity=Severity.WARN,
                objects=objects,
                detail=f"{len(self._fleet.suspects)} of {len(self._fleet.clusters)}",
            )

    async def save(self) -> None:
        """Write what is not on disk yet; trouble is logged, and tried again with the next."""
        async with self._saving:
            names, events = set(self._unsaved), tuple(self._waiting)
            if not names and not events:
                return
            now = self._clock.wall()
            write = LedgerWrite(
                kind=KIND,
                documents={
                    name: routing_json(self._fleet.routing(name)) | {SAVED_AT: now}
                    if name in self._fleet.clusters
                    else None
                    for name in names
                },
                events=events,
            )
            self._saved_at = self._clock.monotonic()
            self._unsaved -= names
            try:
                await self._store.call(lambda store: store.ledger.write(write))
            except StoreError as error:
                self._unsaved |= names
                log.warning("routing_not_saved", detail=str(error))
                return
            # Events that came meanwhile stand behind these.
            for _ in range(min(len(events), len(self._waiting))):
                self._waiting.popleft()

    async def close(self) -> None:
        """Save what is not on disk yet, and let nobody wait any longer."""
        self._is_closing = True
        self._changed.set()
        await self._tasks.join()
        await self.save()

    def _record(self, cluster: str, transition: Transition) -> None:
        key = cluster, transition.after.value
        self.transitions[key] = self.transitions.get(key, 0) + 1
        body = transition_json(transition) | {"dryRun": self.is_dry_run}
        log.warning("routing_transition", cluster=cluster, **body)
        self._waiting.append(
            LedgerEvent(at=self._clock.wall(), kind=EVENT, subject=cluster, body=body)
        )
        while len(self._waiting) > EVENTS_KEPT:
            self._waiting.popleft()
            self.lost_events += 1

    def _log_guards(self, before: FleetRouting) -> None:
        for cluster in sorted(self._fleet.panics - before.panics):
            log.error("fleet_panic", cluster=cluster)
        if self._fleet.is_suspect and not before.is_suspect:
            log.error("monitor_suspect", clusters=sorted(self._fleet.suspects))
        if before.is_suspect and not self._fleet.is_suspect:
            log.warning("monitor_trusted_again")

    def _resolve(self, cluster: str | None = None) -> None:
        """Resolve the profiles of one cluster anew, or all of them."""
        is_changed = self._table.resolve(
            self._fleet, self.numbers, cluster, is_dry_run=self.is_dry_run
        )
        if is_changed:
            self._changed.set()
            self._changed = asyncio.Event()


def _reading(published: Published) -> FleetReading:
    report, snapshot = published.report, published.snapshot
    is_unreachable = snapshot.unreachable is True
    # UNKNOWN says that too little is fresh; a class beside it rests on fresh evidence.
    is_known = report.is_metadata_seen and report.health_class is not HealthClass.UNKNOWN
    return FleetReading(
        reading=Reading(
            index=report.health_index if report.is_metadata_seen or is_unreachable else None,
            # Unreachable counts as fresh: it was seen now that nobody answers.
            is_known=is_unreachable or is_known,
            binding_cap=None if report.binding_cap is None else report.binding_cap.value,
        ),
        is_unreachable=is_unreachable,
    )
