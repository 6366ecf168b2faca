"""healthd in a rehearsal: it drives a wave as `engine.driver` and `engine.keeping` do.

Events go through the real reducer one at a time, every step through the real journal before
anything of it is carried out, and a daemon that is killed loses all but what was written.
"""

from collections.abc import Callable
from dataclasses import replace

from healthd.engine.clock import Clock
from healthd.engine.pace import Pace
from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.model.snapshot import ClusterSnapshot
from healthd.rehearsal.keeping import Keeping
from healthd.rehearsal.oracle import Oracle
from healthd.rehearsal.outside import holds_from_outside
from healthd.rehearsal.stillness import Stillness
from healthd.rehearsal.world import World
from healthd.store.errors import FencedOut, StoreError, VersionConflict
from healthd.store.records import LeaseHeld
from healthd.waves import effects, events
from healthd.waves.effects import Step
from healthd.waves.events import HostState
from healthd.waves.orders import refusal_of
from healthd.waves.reducer import reduce
from healthd.waves.state import AT_WORK, Hold, NodeStatus, WaveState, WaveStatus

OPERATOR = "operator"


class Daemon:
    """The daemon of one wave."""

    def __init__(self, world: World, state: WaveState, *, pace: Pace | None = None) -> None:
        self.world = world
        self.agenda = world.agenda
        self.state = state
        self.snapshot: ClusterSnapshot | None = None
        """The last one that it saw."""
        clock = Clock(monotonic=lambda: self.agenda.now, wall=lambda: self.world.collector.wall)
        self.keeping = Keeping(state, clock=clock)
        self.oracle = Oracle(self)
        self.is_alive = False
        self.born = 0.0
        self.on_status: list[Callable[[int, NodeStatus], None]] = []
        """Called with a node and a status that it has entered, before what follows from it."""
        self._pace = pace or Pace()
        self._life = 0
        """Counts the daemon's lives: what an earlier one had under way, nobody hears of."""
        self._is_driving = False
        self._base = 0.0
        self._driven_since = 0.0
        self._written = 0.0
        self._previous: ClusterSnapshot | None = None
        self._observing: set[int] = set()
        self._asking: set[effects.ObserveStep] = set()
        self._is_tick_planned = False
        self._stillness = Stillness()

    # --- Its life ----------------------------------------------------------------------------

    @property
    def is_driving(self) -> bool:
        """Whether it has the lease and goes on with the wave."""
        return self._is_driving

    @property
    def again_seconds(self) -> float:
        """How often it tries to get the lease that somebody else has."""
        return self._pace.again_seconds

    @property
    def wave_clock(self) -> float:
        """Seconds of the wave, without those in which nobody drove it."""
        return self._base + self.agenda.now - self._driven_since

    def begin(self) -> None:
        """Start the daemon and the wave."""
        self._live()
        self._drive(lambda _state: events.Began(at=0.0))

    def kill(self, down_for: float | None = None) -> bool:
        """Kill the daemon (-9); it comes back after a while, if ever, and reads its journal."""
        if not self.is_alive:
            return False
        self.is_alive = self._is_driving = False
        self._life += 1
        self.world.story.daemon("killed")
        if down_for is not None:
            self.agenda.after(down_for, self.rise)
        return True

    def rise(self) -> None:
        """Start the daemon again."""
        if self.is_alive:
            return
        self.world.story.daemon("started")
        self._previous = None
        self._live()
        self._take_up()

    def _live(self) -> None:
        self.is_alive = True
        self.born = self.agenda.now
        self._sweep()

    def _take_up(self) -> None:
        self._drive(lambda state: events.Resumed(at=state.clock))

    def _drive(self, first: Callable[[WaveState], events.Event]) -> None:
        """Lease the cluster, read the wave and go on with it; try again when it is leased."""
        taken = self.keeping.take_up()
        if isinstance(taken, LeaseHeld):
            detail = f"{taken.holder} has it for wave {taken.wave_id}"
            self._undriven(ReasonCode.LEASE_HELD, detail)
            return
        self.state = taken
        self._base, self._driven_since = taken.clock, self.agenda.now
        self._observing = set()
        self._asking = set()
        self._is_driving = True
        self._written = self.agenda.now
        self._is_tick_planned = False
        self._mine(self._pace.renew_seconds, self._renew, is_recurring=True)
        self.handle(first(taken))

    def _undriven(self, code: ReasonCode, detail: str) -> None:
        """Show why nobody drives the wave, and try again."""
        self._is_driving = False
        what = f"this daemon does not drive it: {detail}"
        reason = Reason(code=code, object=f"cluster:{self.state.cluster}", detail=what)
        is_plain = self.state.status in {WaveStatus.PLANNED, WaveStatus.RUNNING}
        self.state = replace(
            self.state,
            holds=(Hold(reason=reason, since=self.state.clock),),
            status=WaveStatus.HOLDING if is_plain else self.state.status,
        )
        self.world.story.show(self.state)
        again = self._pace.again_seconds
        self._mine(again, self._take_up, needs_drive=False, is_recurring=True)

    def _lose_lease(self, error: StoreError) -> None:
        self._life += 1  # What is under way is let go of, as a driver does that is cancelled.
        self._undriven(ReasonCode.LEASE_LOST, str(error))
        self._sweep_on()

    def _renew(self) -> None:
        try:
            self.keeping.renew()
        except FencedOut as error:
            self._lose_lease(error)
            return
        self._mine(self._pace.renew_seconds, self._renew, is_recurring=True)

    def _mine(
        self,
        after: float,
        act: Callable[[], None],
        *,
        needs_drive: bool = True,
        is_recurring: bool = False,
    ) -> None:
        """Plan something that this life of the daemon does, unless it is killed first."""
        life = self._life

        def act_if_alive() -> None:
            is_wanted = self._is_driving or not needs_drive
            if self._life == life and self.is_alive and is_wanted:
                act()

        self.agenda.after(after, act_if_alive, is_recurring=is_recurring, is_look=True)

    # --- Looking -----------------------------------------------------------------------------

    def _sweep(self) -> None:
        leap = self._stillness.seconds_to_leap(self)
        if leap > 0:
            self.agenda.leap(leap)
        self._collect(lambda _snapshot: None)
        if self._is_driving and not self._is_tick_planned:
            self.handle(events.Ticked(at=self.wave_clock))
        self._sweep_on()

    def _sweep_on(self) -> None:
        interval = self.world.collector.interval_seconds
        self._mine(interval, self._sweep, needs_drive=False, is_recurring=True)

    def _collect(self, then: Callable[[ClusterSnapshot], None]) -> None:
        began = self.agenda.now

        def publish() -> None:
            snapshot = self.world.collector.snapshot()
            previous, self._previous = self._previous, snapshot
            self.snapshot = snapshot
            self.oracle.saw(snapshot)
            if self._is_driving:
                self.handle(
                    events.SnapshotSeen(
                        at=self.wave_clock,
                        snapshot=snapshot,
                        previous=previous,
                        collected_since=self._base + began - self._driven_since,
                        holds=self._holds(),
                    )
                )
            if self.is_alive:
                then(snapshot)

        self._mine(self.world.hosts.latency, publish, needs_drive=False)

    def _holds(self) -> tuple[Reason, ...]:
        return holds_from_outside(self.world.outside, self.state.cluster)

    def _tick(self) -> None:
        self._is_tick_planned = False
        self.handle(events.Ticked(at=self.wave_clock))

    def _plan_tick(self) -> None:
        """Let time pass for the wave where it matters: while something is on its way."""
        is_busy = any(run.status in AT_WORK or run.is_watched for run in self.state.nodes)
        if is_busy and not self._is_tick_planned:
            self._is_tick_planned = True
            self._mine(self._pace.tick_seconds, self._tick, is_recurring=True)

    # --- Events in, effects out --------------------------------------------------------------

    def handle(self, event: events.Event) -> None:
        """One event, as the driver handles it."""
        if not self._is_driving or self.state.status.has_ended:
            return
        is_seen = isinstance(event, events.SnapshotSeen)
        at = event.at if is_seen else max(event.at, self.state.clock)
        event = replace(event, at=at, wall=self.world.collector.wall)
        self.oracle.before_event()
        step = reduce(self.state, event)
        life = self._life
        if self._is_to_be_written(event, step):
            try:
                self.keeping.write(event, step)
            except (FencedOut, VersionConflict) as error:
                self._lose_lease(error)
                return
            self._written = self.agenda.now
            if self._life != life:
                return  # Killed between the write and the act.
        self._accept(step)

    def order(self, verb: events.Verb, node: int | None = None) -> str | None:
        """A person's order; the refusal when it was not taken."""
        if not self._is_driving:
            return "no daemon drives the wave"
        order = events.Ordered(
            at=self.wave_clock, verb=verb, by=OPERATOR, reason="as rehearsed", node=node
        )
        refusal = refusal_of(self.state, order)
        if refusal is None:
            self.handle(order)
        return refusal

    def _is_to_be_written(self, event: events.Event, step: Step) -> bool:
        if step.must_be_written or isinstance(event, events.CommandEnded | events.Ordered):
            return True
        return self.agenda.now - self._written >= self._pace.checkpoint_seconds

    def _accept(self, step: Step) -> None:
        before, self.state = self.state, step.state
        life = self._life
        self.oracle.changed(before, step.state)
        standing = self.oracle.standing
        for node, status in self.world.story.show(step.state):
            for strike in self.on_status:
                strike(node, status)
        # What strikes here may be an order, and that is not what led to the effects of this step.
        self.oracle.standing = standing
        self.oracle.after_event()
        self._plan_tick()
        if self.state.status.has_ended:
            self._is_driving = False
            return
        for effect in step.effects:
            if self._life == life:
                self._carry_out(effect)

    def _carry_out(self, effect: effects.Effect) -> None:
        match effect:
            case effects.Command():
                self._command(effect)
            case effects.Observe(node=node):
                if node not in self._observing:
                    self._observing.add(node)
                    self._ask((node,), lambda hosts: self._observed(node, hosts[node]))
            case effects.ObserveStep():
                if effect not in self._asking:
                    self._asking.add(effect)
                    seconds = self.world.hosts.seconds_to_ask(effect.node)
                    self._mine(seconds, lambda: self._step_observed(effect))
            case effects.Confirm(nodes=nodes):
                # What is seen of the cluster must not grow old while a host takes long to answer.
                self._ask(
                    nodes,
                    lambda hosts: self._collect(lambda seen: self._confirmed(nodes, seen, hosts)),
                )
            case effects.FetchLogs(node=node):
                at = self.wave_clock
                text = "(a rehearsal has no logs)"
                self._mine(0.0, lambda: self.handle(events.LogsSeen(at=at, node=node, text=text)))

    def _ask(self, nodes: tuple[int, ...], then: Callable[[dict[int, HostState]], None]) -> None:
        """Ask hosts at once; the slowest answer is waited for."""
        hosts = self.world.hosts
        self._mine(
            hosts.seconds_to_ask(*nodes),
            lambda: then({node: hosts.state(node) for node in nodes}),
        )

    def _observed(self, node: int, host: HostState) -> None:
        self._observing.discard(node)
        self.handle(events.Observed(at=self.wave_clock, node=node, host=host))

    def _step_observed(self, effect: effects.ObserveStep) -> None:
        self._asking.discard(effect)
        state, detail = self.world.hosts.steps.observe(effect, self.state.playbook)
        self.handle(
            events.StepObserved(
                at=self.wave_clock,
                node=effect.node,
                effect_id=effect.effect_id,
                step=effect.step,
                state=state,
                detail=detail,
                is_verify=effect.is_verify,
            )
        )

    def _confirmed(
        self, nodes: tuple[int, ...], seen: ClusterSnapshot, hosts: dict[int, HostState]
    ) -> None:
        self.handle(
            events.Confirmed(
                at=self.wave_clock, nodes=nodes, snapshot=seen, hosts=hosts, holds=self._holds()
            )
        )

    def _command(self, command: effects.Command) -> None:
        life, hosts = self._life, self.world.hosts

        def answered(outcome: events.Outcome, detail: str) -> None:
            if self._life == life and self._is_driving:
                self.handle(
                    events.CommandEnded(
                        at=self.wave_clock,
                        node=command.node,
                        effect_id=command.effect_id,
                        outcome=outcome,
                        detail=detail,
                    )
                )

        match command:
            case effects.StopService():
                self.oracle.check_stop(command)
                hosts.stop(command, answered)
            case effects.StartService():
                self.oracle.check_start(command)
                hosts.start(command, answered)
            case effects.ElectLeaders():
                hosts.elect(command, answered)
            case effects.RunStep():
                self.oracle.check_step(command)
                hosts.steps.run(command, self.state.playbook, answered)
            case _:
                raise TypeError(f"no command of a wave: {command!r}")
