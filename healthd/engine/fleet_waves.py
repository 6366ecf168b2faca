"""All waves over a fleet: accepting them, taking them up again, approvals, orders, and views."""

import asyncio
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from healthd.engine.discarding import discard
from healthd.engine.fleet_accepting import (
    child_with,
    planned_fleet,
    require_one_free,
    require_reason,
)
from healthd.engine.fleet_keeping import Children, FleetKeeper, dumped
from healthd.engine.fleet_looking import Onlooker
from healthd.engine.gallery import SHOWN_AFTER_END_SECONDS
from healthd.engine.keeping import Tools
from healthd.engine.selecting import Part
from healthd.engine.tasks import Background
from healthd.engine.view import FleetView, OrderRefused, Refusal, WaveView
from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.store.errors import StoreError
from healthd.store.records import AuditRecord, WaveRecord
from healthd.waves.codec import StateUnreadable
from healthd.waves.events import Verb
from healthd.waves.fleet_codec import decode_fleet
from healthd.waves.fleet_events import ApprovalGiven, Began, FleetOrdered, Resumed
from healthd.waves.fleet_orders import approval_refusal, awaited, fleet_refusal
from healthd.waves.fleet_state import FleetState
from healthd.waves.playbook import Playbook
from healthd.waves.spec import WaveSpec
from healthd.waves.state import WaveStatus

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Packed:
    """A wave that ended long ago."""

    created_at: datetime
    updated_at: datetime
    state: bytes


class FleetWaves:
    """The waves over a fleet of one daemon."""

    def __init__(self, tools: Tools, children: Children, *, interval_seconds: float) -> None:
        self._tools = tools
        self._children = children
        self._interval_seconds = interval_seconds
        self._keepers: dict[str, FleetKeeper] = {}
        """Those that have not ended, and those that have not long ago."""
        self._updated: dict[str, float] = {}
        self._old: dict[str, _Packed] = {}
        self._unreadable: dict[str, str] = {}
        self._parents: dict[str, str] = {}
        """By child."""
        self._tasks = Background("fleet_wave_task_broke")

    # What is shown.

    def views(self) -> Sequence[FleetView]:
        """Those that run, and those that ended not long ago, newest first."""
        oldest = self._tools.clock.wall() - SHOWN_AFTER_END_SECONDS
        for name, keeper in tuple(self._keepers.items()):
            if keeper.state.status.has_ended and self._updated[name] <= oldest:
                self._pack(name, keeper)
        found = [self._view(keeper) for keeper in self._keepers.values()]
        return sorted(found, key=lambda view: view.created_at, reverse=True)

    def view(self, wave: str) -> FleetView | None:
        """One of them, however old."""
        keeper = self._keepers.get(wave)
        if keeper is not None:
            return self._view(keeper)
        packed = self._old.get(wave)
        if packed is None:
            return None
        try:
            state = decode_fleet(json.loads(zlib.decompress(packed.state)))
        except (StateUnreadable, ValueError) as error:
            log.error("wave_unreadable", wave=wave, detail=str(error))
            return None
        return FleetView(
            state=state,
            created_at=packed.created_at,
            updated_at=packed.updated_at,
            children=self._children_of(state),
        )

    def _view(self, keeper: FleetKeeper) -> FleetView:
        return FleetView(
            state=keeper.state,
            created_at=datetime.fromtimestamp(keeper.record.created_at, UTC),
            updated_at=datetime.fromtimestamp(self._updated[keeper.state.wave], UTC),
            children=self._children_of(keeper.state),
            trouble=keeper.trouble,
        )

    def _children_of(self, state: FleetState) -> Mapping[str, WaveView]:
        return {
            member.child: view
            for member in state.members
            if (view := self._children.view(member.child)) is not None
        }

    def _pack(self, name: str, keeper: FleetKeeper) -> None:
        view = self._view(keeper)
        text = zlib.compress(dumped(keeper.state).encode())
        self._old[name] = _Packed(view.created_at, view.updated_at, text)
        del self._keepers[name]

    def _show(self, keeper: FleetKeeper) -> None:
        self._updated[keeper.state.wave] = self._tools.clock.wall()

    def active(self) -> Sequence[FleetView]:
        """Those that have not ended."""
        return [view for view in self.views() if not view.state.status.has_ended]

    def parent_of(self, child: str) -> str | None:
        """The wave that a wave on one cluster belongs to."""
        return self._parents.get(child)

    def standing(self, child: str) -> tuple[Reason, ...]:
        """What the parent of a wave has against its next node; nothing when it has no parent."""
        parent = self._parents.get(child)
        if parent is not None:
            keeper = self._keepers.get(parent)
            return () if keeper is None else keeper.holds_of_children()
        for name, detail in self._unreadable.items():
            if child.startswith(f"{name}."):
                words = f"the wave that it belongs to cannot be read: {detail}"
                return (Reason(code=ReasonCode.STORE_UNSAFE, object=f"wave:{name}", detail=words),)
        return ()

    # Taking them up, and letting go of them.

    async def load(self, records: Sequence[WaveRecord]) -> None:
        """Take up those that have not ended; called after the waves on single clusters."""
        oldest = self._tools.clock.wall() - SHOWN_AFTER_END_SECONDS
        for record in records:
            if record.has_ended and record.updated_at <= oldest:
                self._old[record.id] = _Packed(
                    datetime.fromtimestamp(record.created_at, UTC),
                    datetime.fromtimestamp(record.updated_at, UTC),
                    zlib.compress(record.state.encode()),
                )
                continue
            try:
                state = decode_fleet(json.loads(record.state))
            except (StateUnreadable, ValueError) as error:
                log.error("wave_unreadable", wave=record.id, detail=str(error))
                if not record.has_ended:
                    self._unreadable[record.id] = str(error)
                continue
            self._keep(state, record)

    def _keep(self, state: FleetState, record: WaveRecord) -> FleetKeeper:
        tools = self._tools
        onlooker = Onlooker(
            tools.clusters,
            tools.clock,
            interval_seconds=self._interval_seconds,
            again_seconds=tools.pace.again_seconds,
        )
        keeper = FleetKeeper(
            state, record, tools, self._children, onlooker=onlooker, show=self._show
        )
        self._keepers[state.wave] = keeper
        self._updated[state.wave] = record.updated_at
        self._parents |= {member.child: state.wave for member in state.members}
        if not state.status.has_ended:
            is_new = state.status is WaveStatus.PLANNED
            first = Began(at=0.0) if is_new else Resumed(at=state.clock)
            self._tasks.spawn(keeper.run(first), name=f"wave {state.wave}")
        return keeper

    async def drain(self) -> None:
        """Begin nothing any more; children are brought back by whoever drives them."""
        for keeper in tuple(self._keepers.values()):
            if not keeper.state.status.has_ended:
                await keeper.drain()

    async def close(self) -> None:
        """Let go of all of them."""
        for keeper in self._keepers.values():
            await keeper.close()
        await self._tasks.cancel()

    # Accepting.

    async def start(
        self,
        wave: str,
        spec: WaveSpec,
        parts: Sequence[Part],
        playbook: Playbook,
        *,
        by: str,
        is_dry_run: bool = False,
    ) -> FleetView:
        """Accept a wave over several stages or clusters.

        Raises:
            OrderRefused: every cluster of it is leased, or it could not be written.
        """
        state = planned_fleet(wave, spec, parts, playbook, by=by, is_dry_run=is_dry_run)
        await self._require_one_free(state)
        now = self._tools.clock.wall()
        record = WaveRecord(
            id=wave,
            cluster="",
            name=spec.name,
            reason=state.reason,
            requested_by=by,
            created_at=now,
            updated_at=now,
            status=state.status.value,
            state=dumped(state),
        )
        what = "wave_dry_run" if is_dry_run else "wave_start"
        audit = AuditRecord(at=now, who=by, what=what, why=state.reason, target=f"wave:{wave}")
        try:
            await self._tools.store.call(lambda store: store.create_wave(record, audit=(audit,)))
        except StoreError as error:
            raise OrderRefused(Refusal.STORE, f"nothing was started: {error}") from error
        return self._view(self._keep(state, record))

    async def _require_one_free(self, state: FleetState) -> None:
        try:
            leases = await self._tools.store.call(lambda store: store.leases())
        except StoreError as error:
            raise OrderRefused(Refusal.STORE, f"nothing was started: {error}") from error
        require_one_free(state, leases, self._tools.clock.wall())

    # What people say.

    async def approve(self, wave: str, *, stage: str | None, by: str, reason: str) -> FleetView:
        """Take an approval.

        Raises:
            OrderRefused: it does not count, or could not be written.
        """
        keeper = self._keeper(wave)
        name = awaited(keeper.state) if stage is None else stage
        if name is None:
            message = f"wave {wave}: no stage waits for an approval"
            raise OrderRefused(Refusal.CONFLICT, message)
        require_reason("an approval", reason)
        refused = approval_refusal(keeper.state, name, by)
        if refused is not None:
            raise OrderRefused(Refusal.CONFLICT, f"wave {wave}: {refused}")
        target = f"wave:{wave}/stage:{name}"
        audit = self._audit(by, "wave_approve", reason, target)
        event = ApprovalGiven(at=keeper.now, stage=name, by=by, reason=reason)
        await self._tell(keeper, event, audit, "the approval")
        return self._view(keeper)

    async def discard(self, wave: str, *, by: str, reason: str) -> None:
        """Give up a wave whose state cannot be read; nothing of it may be under way.

        Raises:
            OrderRefused: it can be read, a wave of it has not ended, or see `discarding`.
        """
        if wave not in self._unreadable:
            await self._children.discard(wave, by=by, reason=reason)
            return
        left = [name for name in self._children.unended() if name.startswith(f"{wave}.")]
        if left:
            message = f"wave {wave}: abort its waves on single clusters first: {', '.join(left)}"
            raise OrderRefused(Refusal.CONFLICT, message)
        record = await self._tools.store.call(lambda store: store.wave(wave))
        if record is not None:
            await discard(record, self._tools, by=by, reason=reason)
        self._unreadable.pop(wave, None)

    async def order(
        self,
        wave: str,
        verb: str,
        *,
        by: str,
        reason: str,
        cluster: str | None = None,
        node: int | None = None,
    ) -> FleetView:
        """Have an order carried out: by the whole wave, or by the child that it is about.

        Raises:
            OrderRefused: it is not taken; nothing was done.
        """
        keeper = self._keeper(wave)
        try:
            known = Verb(verb)
        except ValueError:
            raise OrderRefused(Refusal.INVALID, f"there is no order {verb}") from None
        require_reason(verb, reason)
        if node is not None:
            child = child_with(keeper.state, cluster, node)
            await keeper.order_node(child, known, by=by, reason=reason, node=node)
            return self._view(keeper)
        event = FleetOrdered(at=keeper.now, verb=known, by=by, reason=reason, cluster=cluster)
        refused = fleet_refusal(keeper.state, event)
        if refused is not None:
            raise OrderRefused(Refusal.CONFLICT, f"wave {wave}: {refused}")
        target = f"wave:{wave}" + ("" if cluster is None else f"/cluster:{cluster}")
        audit = self._audit(by, f"wave_{verb}", reason, target)
        await self._tell(keeper, event, audit, verb)
        return self._view(keeper)

    async def _tell(
        self,
        keeper: FleetKeeper,
        event: ApprovalGiven | FleetOrdered,
        audit: AuditRecord,
        what: str,
    ) -> None:
        try:
            # Once begun it is carried through, whether or not the client still waits for it.
            await asyncio.shield(keeper.handle(event, audit=(audit,)))
        except StoreError as error:
            raise OrderRefused(Refusal.STORE, f"{what} could not be written: {error}") from error

    def _audit(self, by: str, what: str, why: str, target: str) -> AuditRecord:
        return AuditRecord(at=self._tools.clock.wall(), who=by, what=what, why=why, target=target)

    def _keeper(self, wave: str) -> FleetKeeper:
        keeper = self._keepers.get(wave)
        if keeper is not None:
            return keeper
        if wave in self._unreadable:
            message = f"the state of wave {wave} cannot be read: {self._unreadable[wave]}"
            raise OrderRefused(Refusal.CONFLICT, message)
        if wave in self._old:
            raise OrderRefused(Refusal.CONFLICT, f"wave {wave}: the wave has ended")
        raise OrderRefused(Refusal.UNKNOWN, f"there is no wave {wave}")
