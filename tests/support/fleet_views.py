"""The in-memory twin of the daemon's waves over several clusters."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from support.fleet_waves import fleet_state

from healthd.engine.dry_running import fleet_of_kind, id_of
from healthd.engine.view import FleetView, OrderRefused, Refusal, WaveView
from healthd.waves.events import Event, Verb
from healthd.waves.fleet_events import ApprovalGiven, Began, FleetOrdered, Looked
from healthd.waves.fleet_orders import approval_refusal, awaited, fleet_refusal
from healthd.waves.fleet_reducer import reduce_fleet
from healthd.waves.fleet_state import FleetState, StageRun
from healthd.waves.spec import WaveSpec
from healthd.waves.spec_stage import Approval

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def waiting_fleet(approval: Approval | None = Approval.REQUIRED) -> FleetState:
    """A wave of two stages; the first waits for its approval, if it wants one."""
    state = fleet_state(
        StageRun(name="canary", approval=approval, soak_seconds=60.0),
        StageRun(name="prod", clusters_at_once=2, concurrency=None),
        clusters={"payments": 0, "orders": 1},
    )
    return _told(_told(state, Began(at=0.0)), Looked(at=1.0))


def dry_fleet() -> FleetState:
    """A dry run of the same wave, whose first cluster may begin."""
    state = fleet_state(
        StageRun(name="canary", approval=Approval.TWO_PERSON, soak_seconds=3600.0),
        StageRun(name="prod", clusters_at_once=2),
        clusters={"payments": 0, "orders": 1},
        wave=id_of("june", is_dry_run=True),
    )
    return _told(_told(fleet_of_kind(state, is_dry_run=True), Began(at=0.0)), Looked(at=1.0))


def accepted_fleet(spec: WaveSpec, *, is_dry_run: bool) -> FleetState:
    """The wave that a file asks for, which names its clusters; nothing is checked."""
    state = fleet_state(
        *(
            StageRun(name=stage.name, approval=stage.approval, soak_seconds=stage.soak_seconds)
            for stage in spec.stages
        ),
        clusters={name: at for at, stage in enumerate(spec.stages) for name in stage.clusters},
        wave=id_of(f"{spec.name}-1", is_dry_run=is_dry_run),
    )
    return fleet_of_kind(state, is_dry_run=is_dry_run)


def _told(state: FleetState, event: Event) -> FleetState:
    return reduce_fleet(state, event).state


class InMemoryFleetWaves:
    """Does what it is told, at once; its children are those that a test puts there."""

    def __init__(self) -> None:
        self.states: dict[str, FleetState] = {}
        self.children: Mapping[str, WaveView] = {}
        self.discarded: list[tuple[str, str, str]] = []
        self.node_orders: list[tuple[str, str | None, int]] = []

    def put(self, state: FleetState) -> FleetView:
        self.states[state.wave] = state
        return self._view(state)

    def _view(self, state: FleetState) -> FleetView:
        names = {member.child for member in state.members}
        found = {name: view for name, view in self.children.items() if name in names}
        return FleetView(state=state, created_at=NOW, updated_at=NOW, children=found)

    def views(self) -> Sequence[FleetView]:
        return [self._view(state) for state in self.states.values()]

    def view(self, wave: str) -> FleetView | None:
        state = self.states.get(wave)
        return None if state is None else self._view(state)

    def parent_of(self, child: str) -> str | None:
        return next(
            (
                state.wave
                for state in self.states.values()
                if any(member.child == child for member in state.members)
            ),
            None,
        )

    async def approve(self, wave: str, *, stage: str | None, by: str, reason: str) -> FleetView:
        state = self.states[wave]
        name = stage or awaited(state) or ""
        refused = approval_refusal(state, name, by)
        if refused is not None:
            raise OrderRefused(Refusal.CONFLICT, f"wave {wave}: {refused}")
        return self.put(_told(state, ApprovalGiven(at=2.0, stage=name, by=by, reason=reason)))

    async def discard(self, wave: str, *, by: str, reason: str) -> None:
        self.discarded.append((wave, by, reason))

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
        state = self.states[wave]
        if node is not None:
            self.node_orders.append((verb, cluster, node))
            return self._view(state)
        event = FleetOrdered(at=2.0, verb=Verb(verb), by=by, reason=reason, cluster=cluster)
        refused = fleet_refusal(state, event)
        if refused is not None:
            raise OrderRefused(Refusal.CONFLICT, f"wave {wave}: {refused}")
        return self.put(_told(state, event))
