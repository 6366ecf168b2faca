"""Keeping one wave driven: its lease, its driver, and taking it up again whatever went wrong.

To go on after trouble is what a restarted daemon does: read the wave, lease its cluster, observe
what is in flight. That path is proven for every kill point, so there is no other one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from healthd.collect.cluster_admin import ClusterAdmin
from healthd.config.fleet import ClusterConfig
from healthd.engine.acting import Actor
from healthd.engine.clock import Clock
from healthd.engine.collecting import ClusterLoop, Published
from healthd.engine.deploying import deployment_of
from healthd.engine.driver import WaveDriver, audit_of
from healthd.engine.dry_running import executor_of, lease_of
from healthd.engine.guards import Guards
from healthd.engine.halfway import is_halfway
from healthd.engine.journal import StoreThread, WaveJournal
from healthd.engine.pace import Pace
from healthd.engine.printed import PrintedByNode
from healthd.engine.step_kafka import moves_leaders
from healthd.engine.totals import Totals
from healthd.execute.dry_run import DryRunElector
from healthd.execute.leaders import LeaderElector
from healthd.execute.protocol import Executor
from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.store.errors import StoreError
from healthd.store.records import Fence, LeaseHeld, WaveRecord
from healthd.waves.events import Event, Ordered, PinsSeen, Resumed, Verb
from healthd.waves.reducer import reduce
from healthd.waves.state import Hold, Pause, WaveState, WaveStatus
from healthd.waves.stored import read_stored

log = structlog.get_logger(__name__)

RESTORED = "the state was restored from a backup; look at the brokers before it goes on"
BROKE = "healthd broke while it drove the wave"

ElectorFactory = Callable[[ClusterConfig], LeaderElector]
AdminFactory = Callable[[ClusterConfig], ClusterAdmin | None]
Show = Callable[[WaveState, WaveRecord], None]
"""Publishes a wave as it is now."""
Look = Callable[[WaveState, ClusterConfig], Awaitable[PinsSeen]]
"""Looks again at what a wave was accepted with."""


def nobodys_admin(_config: ClusterConfig) -> None:
    """None: playbooks change nothing in the cluster itself."""


def nothing_stands(_wave: str) -> tuple[Reason, ...]:
    """Nothing: the wave has no parent."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What every wave of a daemon is driven with."""

    store: StoreThread
    executor: Executor
    elector_of: ElectorFactory
    clusters: Mapping[str, ClusterLoop]
    instance: str
    holder: str
    clock: Clock
    totals: Totals
    pace: Pace
    guards: Guards | None = None
    """What closes a gate from outside; None: nothing does."""
    standing: Callable[[str], tuple[Reason, ...]] = nothing_stands
    """What the parent of a wave has against its next node."""
    admin_of: AdminFactory = nobodys_admin
    wave_secret_dir: Path | None = None
    """The folder of the secrets that a wave file may name; None: none."""

    async def acquire(self, cluster: str, wave: str) -> Fence | LeaseHeld:
        """Lease a cluster for a wave, or learn who has it."""
        now = self.clock.wall()
        lease = await self.store.call(
            lambda store: store.acquire(
                cluster,
                wave_id=wave,
                instance=self.instance,
                holder=self.holder,
                now=now,
                ttl_seconds=self.pace.lease_seconds,
            )
        )
        return lease if isinstance(lease, LeaseHeld) else lease.fence


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A wave whose cluster is leased for it."""

    state: WaveState
    record: WaveRecord
    fence: Fence
    first: Event


class WaveKeeper:
    """Drives one wave until it has ended; it is never given up while the daemon runs."""

    def __init__(
        self,
        state: WaveState,
        record: WaveRecord,
        tools: Tools,
        show: Show,
        look: Look | None = None,
    ) -> None:
        self.wave = record.id
        self.cluster = record.cluster
        self.driver: WaveDriver | None = None
        self.fence: Fence | None = None
        self.settled = asyncio.Event()
        """Set once it is driven, or shows why not."""
        self.printed: PrintedByNode = {}
        """What the commands of its steps print while they run."""
        self._tools = tools
        self._show = show
        self._look = look
        self._state = state
        self._record = record
        self._why: str | None = None
        self._broke: str | None = None
        self._is_draining = False
        self._is_ours = True

    @property
    def is_busy(self) -> bool:
        """Whether the daemon has to wait for it before it goes away."""
        if self.driver is not None:
            return not self.driver.is_drained
        # A driver that broke half-way is taken up again; what another daemon holds is its own.
        return self._is_ours and is_halfway(self._state)

    def publish(self, published: Published) -> None:
        """Hand a snapshot on."""
        if self.driver is not None:
            self.driver.publish(published)

    async def look_again(self) -> None:
        """Look at what the wave was accepted with: a difference pauses it."""
        driver, loop = self.driver, self._tools.clusters.get(self.cluster)
        if driver is not None and loop is not None and self._look is not None:
            driver.see(await self._look(driver.state, loop.config))

    def drain(self) -> None:
        """Take nothing new; what is half-way is brought back."""
        self._is_draining = True
        if self.driver is not None:
            self.driver.drain()

    async def run(self, begun: Held | None = None) -> None:
        """Drive the wave until it has ended; trouble is logged, shown, and tried again."""
        while True:
            try:
                held = begun or await self._take_up()
                begun = None
                if held is not None and await self._drive(held):
                    self._ended()
                    return
            except StoreError as error:
                self._undriven(ReasonCode.STORE_UNSAFE, f"wave:{self.wave}", str(error))
            except Exception as error:
                self._broke = f"{BROKE}: {type(error).__name__}: {error}"
                log.exception("wave_driver_broke", wave=self.wave)
                self.settled.set()
                self._state = _paused(self._state, self._broke)
                self._show(self._state, self._record)
            await asyncio.sleep(self._tools.pace.again_seconds)

    async def _take_up(self) -> Held | None:
        """Lease the cluster again and read the wave; None when that cannot be done now."""
        tools, cluster = self._tools, (await self._read()).cluster
        if cluster not in tools.clusters:
            self._is_ours = False
            detail = "the fleet file has no such cluster any more; put it back to go on"
            self._undriven(ReasonCode.IDENTITY, f"cluster:{cluster}", detail)
            return None
        fence = await tools.acquire(lease_of(self._state), self.wave)
        self._is_ours = not isinstance(fence, LeaseHeld)
        if isinstance(fence, LeaseHeld):
            detail = f"{fence.holder} has it for wave {fence.wave_id}"
            self._undriven(ReasonCode.LEASE_HELD, f"cluster:{cluster}", detail)
            return None
        self.fence, self._why = fence, None
        # Whoever had the lease meanwhile may have brought the wave on.
        record = await self._read()
        state = read_stored(record.state, record.parts)
        restored_at = await tools.store.call(lambda store: store.restored_at())
        if restored_at and record.updated_at < restored_at:
            state = _paused(state, RESTORED)
        if self._broke is not None:
            state = _paused(state, self._broke)
        return Held(state=state, record=record, fence=fence, first=Resumed(at=state.clock))

    async def _read(self) -> WaveRecord:
        record = await self._tools.store.call(lambda store: store.wave(self.wave))
        if record is None:
            raise LookupError(f"wave {self.wave} is not in the store any more")
        return record

    async def _drive(self, held: Held) -> bool:
        """Drive until the wave has ended; false when its lease was lost before."""
        tools, record = self._tools, held.record
        self.fence, self._state, self._record = held.fence, held.state, record
        if self._is_draining and not is_halfway(held.state):
            await asyncio.Event().wait()  # It waits for the next daemon; this one is going away.
        loop = tools.clusters[held.state.cluster]
        journal = WaveJournal(
            tools.store, self.wave, version=record.version, fence=held.fence, clock=tools.clock
        )
        await journal.load()
        # Nobody knows what was changed while no daemon ran.
        pins = None if self._look is None else await self._look(held.state, loop.config)
        actor = self._actor(held.state, loop)
        guards = None if tools.guards is None else tools.guards.of(held.state, actor.config)
        driver = WaveDriver(
            held.state,
            actor=actor,
            journal=journal,
            store=tools.store,
            clock=tools.clock,
            # Nothing that a dry run does is counted.
            totals=Totals() if held.state.is_dry_run else tools.totals,
            on_change=lambda state: self._changed(state, record),
            pace=tools.pace,
            guards=guards,
            standing=lambda: tools.standing(self.wave),
        )
        self.driver = driver
        self.settled.set()
        try:
            if pins is not None:
                driver.see(pins)
            if self._is_draining:
                driver.drain()
            if guards is not None:
                guards.begin(held.state)
            await driver.run(held.first)
        finally:
            self.driver = None
            if guards is not None:
                await guards.close()
            await actor.aclose()
        self._broke = None
        if driver.lease_lost is None or driver.is_through:
            return True
        self._is_ours = False
        self._undriven(ReasonCode.LEASE_LOST, f"cluster:{held.state.cluster}", driver.lease_lost)
        return False

    def _ended(self) -> None:
        tools = self._tools
        tools.totals.forget_wave(self.wave)
        tools.totals.add_deployment(deployment_of(self._state, self._record, tools.clock.wall()))

    def _actor(self, state: WaveState, loop: ClusterLoop) -> Actor:
        """The hands of the wave; those of a dry run touch nothing."""
        target = state.playbook.target
        if state.is_dry_run:
            executor = executor_of(state, loop.config, loop.view.snapshot)
            return Actor(
                loop=loop,
                executor=executor,
                elector=DryRunElector(),
                is_dry_run=True,
                target=target,
            )
        elector = self._tools.elector_of(loop.config)
        return Actor(
            loop=loop,
            executor=self._tools.executor,
            elector=elector,
            admin=self._tools.admin_of(loop.config),
            moves_leaders_in=state.wave if moves_leaders(state.playbook) else "",
            target=target,
            printed=self.printed,
        )

    def _changed(self, state: WaveState, record: WaveRecord) -> None:
        self._state, self._record = state, record
        self._show(state, record)

    def _undriven(self, code: ReasonCode, what: str, detail: str) -> None:
        """Say once, and show all the time, why nobody here drives the wave."""
        self.settled.set()
        if detail != self._why:
            self._why = detail
            log.warning("wave_not_driven", wave=self.wave, code=code.value, detail=detail)
        reason = Reason(code=code, object=what, detail=f"this daemon does not drive it: {detail}")
        status = self._state.status
        is_plain = status in {WaveStatus.PLANNED, WaveStatus.RUNNING}
        self._state = replace(
            self._state,
            holds=(Hold(reason=reason, since=self._state.clock),),
            status=WaveStatus.HOLDING if is_plain else status,
        )
        self._show(self._state, self._record)

    async def pause(self, *, by: str, reason: str) -> None:
        """Pause a wave that nobody here drives: whoever takes it up finds it paused.

        Raises:
            StoreError: it could not be written, or somebody changed the wave meanwhile.
        """
        tools, record = self._tools, await self._read()
        state = read_stored(record.state, record.parts)
        event = Ordered(
            at=state.clock,
            wall=tools.clock.wall(),
            verb=Verb.PAUSE,
            by=by,
            reason=reason,
        )
        journal = WaveJournal(
            tools.store, self.wave, version=record.version, fence=None, clock=tools.clock
        )
        await journal.load()
        step = reduce(state, event)
        audit = audit_of(event, state, tools.clock.wall())
        await journal.write(event, step, audit=(audit,))
        self._state = replace(step.state, holds=self._state.holds)
        self._show(self._state, self._record)


def _paused(state: WaveState, reason: str) -> WaveState:
    """The state with a pause that only a person lifts; what is in flight is still finished."""
    if any(pause.reason == reason for pause in state.pauses):
        return state
    pause = Pause(by="healthd", reason=reason, since=state.clock)
    return replace(state, pauses=(*state.pauses, pause), candidates=())
