"""Carrying out a wave's effects beside its driver, which hears of each how it ended."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from healthd.engine.acting import Actor
from healthd.engine.clock import Clock
from healthd.engine.deadman import LastLook, Moment
from healthd.engine.guards import WaveGuards
from healthd.engine.journal import StoreThread
from healthd.engine.tasks import Background
from healthd.model.reason import Reason
from healthd.store.errors import StoreError
from healthd.waves import effects, events
from healthd.waves.state import WaveState

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """The answer of a last look, and when it was had."""

    event: events.Confirmed
    look: LastLook


PREPARE_SECONDS = 2.0
"""A stop waits so long for its silence; what takes longer is finished beside it."""
NO_SPACE = "there is no space for the records of a stop and its start"


class Carrier:
    """The effects of one wave that are under way."""

    def __init__(
        self,
        wave: str,
        *,
        actor: Actor,
        store: StoreThread,
        now: Callable[[], float],
        clock: Clock,
        tell: Callable[["events.Event | Looked"], None],
        state: Callable[[], WaveState],
        guards: WaveGuards | None = None,
        standing: Callable[[], tuple[Reason, ...]] = tuple,
    ) -> None:
        """Carry nothing out yet.

        Args:
            wave: its id, for the log.
            actor: the hands.
            store: asked for space before a stop.
            now: the wave clock.
            clock: by which a last look grows old.
            tell: takes the event in which an effect ended.
            state: the wave as it is now.
            guards: asked anew before a stop; None: nothing guards the wave from outside.
            standing: what the wave's parent has against a node now.
        """
        self._wave = wave
        self._actor = actor
        self._store = store
        self._now = now
        self._clock = clock
        self._tell = tell
        self._state = state
        self._guards = guards
        self._standing = standing
        self._tasks = Background("wave_effect_broke", wave=wave)
        self._observing: set[int] = set()
        self._asking: set[effects.ObserveStep] = set()

    async def cancel(self) -> None:
        """Let go of everything; what was sent may have been carried out."""
        await self._tasks.cancel()

    def carry_out(self, effect: effects.Effect, look: LastLook | None = None) -> None:
        """Begin one effect; a question that is under way already is not asked twice.

        Args:
            effect: what is to be done.
            look: what a stop rests on; one that is too old by then is not sent.
        """
        match effect:
            case effects.Command():
                self._tasks.spawn(self._command(effect, look), name=_name(effect, effect.node))
            case effects.Observe():
                if effect.node not in self._observing:
                    self._observing.add(effect.node)
                    self._tasks.spawn(self._observe(effect.node), name=_name(effect, effect.node))
            case effects.ObserveStep():
                if effect not in self._asking:
                    self._asking.add(effect)
                    name = _name(effect, effect.node)
                    self._tasks.spawn(self._observe_step(effect), name=name)
            case effects.Confirm():
                self._tasks.spawn(self._confirm(effect.nodes), name=_name(effect, *effect.nodes))
            case effects.FetchLogs():
                self._tasks.spawn(self._logs(effect.node), name=_name(effect, effect.node))

    async def _command(self, command: effects.Command, look: LastLook | None) -> None:
        is_stop = isinstance(command, effects.StopService)
        if is_stop:
            await self._prepared(command.node, look)
        old, wait_seconds = None, None
        if is_stop and look is not None:
            now = Moment.of(self._clock)
            old, wait_seconds = look.too_old(now), look.seconds_left(now)
        try:
            if isinstance(command, effects.RunStep):
                outcome, detail = await self._actor.run_step(command, self._state())
            elif old is None:
                outcome, detail = await self._actor.command(command, wait_seconds=wait_seconds)
            else:
                outcome, detail = events.Outcome.NOT_SENT, f"DAEMON_STALLED: {old}"
        except Exception as error:  # noqa: BLE001  # Whatever broke, its end must be observed.
            outcome, detail = events.Outcome.UNKNOWN, f"{type(error).__name__}: {error}"
        self._tell(
            events.CommandEnded(
                at=self._now(),
                node=command.node,
                effect_id=command.effect_id,
                outcome=outcome,
                detail=detail,
            )
        )

    async def _prepared(self, node: int, look: LastLook | None) -> None:
        """Wait for what is done right before a stop, as long as its last look stays new."""
        if self._guards is None:
            return
        task = self._tasks.spawn(self._prepare(self._guards, node), name=f"prepare broker {node}")
        limit = PREPARE_SECONDS
        if look is not None and look.interval_seconds > 0:
            limit = min(limit, look.interval_seconds / 4)
        await asyncio.wait({task}, timeout=limit)

    async def _prepare(self, guards: WaveGuards, node: int) -> None:
        """What is done right before a stop; it does not keep it."""
        try:
            trouble = await guards.before_stop(self._state(), node)
        except Exception as error:  # noqa: BLE001  # The stop is wanted, silenced or not.
            trouble = f"{type(error).__name__}: {error}"
        if trouble is not None:
            log.warning("silence_not_made", wave=self._wave, broker=node, detail=trouble)
            self._tell(
                events.Noted(at=self._now(), what="silence_not_made", node=node, detail=trouble)
            )

    async def _observe(self, node: int) -> None:
        try:
            host = await self._actor.observe(node)
        finally:
            self._observing.discard(node)
        self._tell(events.Observed(at=self._now(), node=node, host=host))

    async def _observe_step(self, effect: effects.ObserveStep) -> None:
        """Ask what became of a step; a question that breaks has no answer, and is asked again."""
        try:
            state, detail = await self._actor.observe_step(effect, self._state())
        except Exception as error:  # noqa: BLE001  # Whatever broke, nothing is known.
            state, detail = events.StepState.UNKNOWN, f"{type(error).__name__}: {error}"
        finally:
            self._asking.discard(effect)
        self._tell(
            events.StepObserved(
                at=self._now(),
                node=effect.node,
                effect_id=effect.effect_id,
                step=effect.step,
                state=state,
                detail=detail,
                is_verify=effect.is_verify,
            )
        )

    async def _confirm(self, nodes: tuple[int, ...]) -> None:
        # A host may take long to answer; what is seen of the cluster must not grow old meanwhile.
        hosts = await self._actor.ask(nodes)
        began = Moment.of(self._clock)
        holds: tuple[Reason, ...] = ()
        if self._guards is None:
            snapshot = await self._actor.look()
        else:
            snapshot, _ = await asyncio.gather(self._actor.look(), self._guards.ask_anew())
            holds = await self._guards.holds(self._state(), snapshot)
        trouble = await self._trouble_with_store()
        if trouble is not None:
            self._tell(events.StoreFailed(at=self._now(), detail=trouble))
        confirmed = events.Confirmed(
            at=self._now(),
            nodes=nodes,
            snapshot=snapshot,
            hosts=hosts,
            holds=(*self._standing(), *holds),
        )
        look = LastLook.of(began, Moment.of(self._clock), snapshot)
        self._tell(Looked(event=confirmed, look=look))

    async def _trouble_with_store(self) -> str | None:
        """Why a stop could not be written together with its start; None when it can."""
        try:
            has_space = await self._store.call(lambda store: store.space_ok())
        except StoreError as error:
            return str(error)
        return None if has_space else NO_SPACE

    async def _logs(self, node: int) -> None:
        text = await self._actor.logs(node)
        self._tell(events.LogsSeen(at=self._now(), node=node, text=text))


def _name(effect: effects.Effect, *nodes: int) -> str:
    return f"{type(effect).__name__} of broker {', '.join(map(str, nodes))}"
