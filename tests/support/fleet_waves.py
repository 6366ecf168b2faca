"""A wave over a fleet without any cluster: its state, and children that do as a test says."""

from dataclasses import dataclass, field, replace
from typing import Any

from healthd.model.reason import Reason
from healthd.waves.events import Event, Verb
from healthd.waves.fleet_events import (
    ApprovalGiven,
    Began,
    ChildSeen,
    FleetEffect,
    FleetOrdered,
    Looked,
    OrderChild,
    Resumed,
    StartChild,
)
from healthd.waves.fleet_reducer import reduce_fleet
from healthd.waves.fleet_state import FleetState, Member, MemberStatus, StageRun, child_id
from healthd.waves.playbook import Playbook, Step, StepKind
from healthd.waves.policy import WavePolicy
from healthd.waves.state import WaveStatus

WAVE = "june"
PLAYBOOK = Playbook(
    name="rolling-restart",
    description="",
    steps=tuple(
        Step(name=kind.value, kind=kind, timeout=60.0)
        for kind in (StepKind.STOP, StepKind.LEFT, StepKind.START, StepKind.BACK)
    ),
)


def fleet_state(*stages: StageRun, clusters: dict[str, int], **changes: Any) -> FleetState:
    """A wave that is planned: `clusters` names the stage of each, by its place."""
    wave = changes.get("wave", WAVE)
    state = FleetState(
        wave=wave,
        reason="CHG-1",
        requested_by="ann",
        playbook=PLAYBOOK,
        policies=(WavePolicy(),),
        stages=stages,
        members=tuple(
            Member(cluster=name, stage=at, child=child_id(wave, at, name), nodes=(1, 2, 3))
            for name, at in clusters.items()
        ),
    )
    return replace(state, **changes)


def in_domains(state: FleetState, **domains: str) -> FleetState:
    """The state with clusters put into failure domains: `a="region=x"`."""
    return replace(
        state,
        members=tuple(
            replace(member, domains=(domains[member.cluster],))
            if member.cluster in domains
            else member
            for member in state.members
        ),
    )


@dataclass
class FleetRig:
    """Drives the reducer, and keeps the children that it asks for."""

    state: FleetState
    children: dict[str, ChildSeen] = field(default_factory=dict)
    blocked: dict[str, Reason] = field(default_factory=dict)
    troubles: dict[str, tuple[Reason, ...]] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    orders: list[OrderChild] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    at: float = 0.0
    loses_starts: bool = False
    """Children that are wanted are never made, as when the daemon dies right before."""

    def begin(self) -> "FleetRig":
        self.tell(Began(at=0.0))
        return self.look()

    def look(self, after: float = 1.0) -> "FleetRig":
        """Time passes, and the parent looks; again until nothing begins any more."""
        self.at += after
        seen = -1
        while seen != len(self.started):
            seen = len(self.started)
            looked = dict.fromkeys(self.clusters, ()) | self.troubles
            self.tell(
                Looked(
                    at=self.at,
                    wall=1e9 + self.at,
                    children=dict(self.children),
                    blocked=dict(self.blocked),
                    troubles=looked,
                )
            )
        return self

    @property
    def clusters(self) -> list[str]:
        return [member.cluster for member in self.state.members]

    def tell(self, event: Event) -> "FleetRig":
        step = reduce_fleet(self.state, event)
        self.state = step.state
        self.told += [note.event for note in step.notes]
        for effect in step.effects:
            self._carry_out(effect)
        return self

    def _carry_out(self, effect: FleetEffect) -> None:
        if isinstance(effect, StartChild):
            if not self.loses_starts and effect.member.child not in self.children:
                self.started.append(effect.member.cluster)
                self.children[effect.member.child] = ChildSeen(status=WaveStatus.RUNNING)
            return
        self.orders.append(effect)
        child = self.children.get(effect.child)
        if child is None:
            return
        if effect.verb is Verb.ABORT and not child.status.has_ended:
            aborting = replace(child, is_aborting=True)
            if not child.has_nodes_in_flight:
                aborting = replace(aborting, status=WaveStatus.ABORTED)
            self.children[effect.child] = aborting
        elif effect.verb is Verb.RESUME and not child.failed:
            self.children[effect.child] = replace(child, status=WaveStatus.RUNNING)

    def child(self, cluster: str) -> str:
        """The newest child of a cluster."""
        return [m.child for m in self.state.members if m.cluster == cluster][-1]

    def becomes(self, cluster: str, status: WaveStatus, **changes: Any) -> "FleetRig":
        """A child changes, and the parent looks."""
        name = next(
            member.child
            for member in self.state.members
            if member.cluster == cluster and member.status.is_active
        )
        self.children[name] = replace(self.children[name], status=status, **changes)
        return self.look()

    def order(self, verb: Verb, cluster: str | None = None, by: str = "ben") -> "FleetRig":
        event = FleetOrdered(at=self.at, verb=verb, by=by, reason="CHG-2", cluster=cluster)
        self.tell(event)
        return self.look()

    def approve(self, stage: str, by: str = "ben") -> "FleetRig":
        self.tell(ApprovalGiven(at=self.at, wall=7.0, stage=stage, by=by, reason="seen"))
        return self.look()

    def crash(self) -> "FleetRig":
        """The daemon dies and another takes the wave up."""
        self.tell(Resumed(at=self.at))
        return self.look()

    def holds(self) -> list[tuple[str, str]]:
        return [(hold.reason.code.value, hold.reason.object) for hold in self.state.holds]

    def status(self) -> WaveStatus:
        return self.state.status

    def at_work(self) -> list[str]:
        return [m.cluster for m in self.state.members if m.status is MemberStatus.RUNNING]
