"""What holds for every wave over a fleet, whatever its children and people do."""

from collections import Counter
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.fleet_waves import FleetRig, fleet_state, in_domains

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.waves.events import Verb
from healthd.waves.fleet_codec import decode_fleet, encode_fleet
from healthd.waves.fleet_events import FleetDraining, FleetOrdered, StartRefused
from healthd.waves.fleet_holding import holds_of_children
from healthd.waves.fleet_orders import approval_refusal, awaited, fleet_refusal
from healthd.waves.fleet_state import Member, MemberStatus, StageRun, StageStatus, failed_clusters
from healthd.waves.policy import WavePolicy
from healthd.waves.spec_stage import Approval
from healthd.waves.state import WaveStatus

CLUSTERS = ("a", "b", "c", "d", "e", "f")
SOAK_SECONDS = 60.0
GOING = [WaveStatus.RUNNING, WaveStatus.HOLDING, WaveStatus.PAUSED]
ENDS = [WaveStatus.SUCCEEDED, WaveStatus.FAILED, WaveStatus.ABORTED]
DOWN = Reason(code=ReasonCode.BROKER_DOWN, object="broker:3", detail="it is not alive")
PATIENCE = 60

stages = st.lists(
    st.builds(
        lambda at_once, approval, soaks: StageRun(
            name="x",
            clusters_at_once=at_once,
            approval=approval,
            soak_seconds=SOAK_SECONDS if soaks else 0.0,
        ),
        st.integers(1, 3),
        st.sampled_from([None, Approval.REQUIRED, Approval.TWO_PERSON]),
        st.booleans(),
    ),
    min_size=1,
    max_size=3,
)


class FleetMachine(RuleBasedStateMachine):
    """Children that fail, people that order, and a daemon that dies, in any order."""

    @initialize(
        given=stages,
        placed=st.lists(st.integers(0, 2), min_size=len(CLUSTERS), max_size=len(CLUSTERS)),
        regions=st.lists(st.sampled_from("xy"), min_size=6, max_size=6),
        per_region=st.integers(1, 3),
        max_failed_clusters=st.integers(0, 2),
        max_failed_brokers=st.integers(0, 1),
    )
    def plan(
        self,
        *,
        given: list[StageRun],
        placed: list[int],
        regions: list[str],
        per_region: int,
        max_failed_clusters: int,
        max_failed_brokers: int,
    ) -> None:
        """A wave over six clusters; every stage has at least one."""
        named = [replace(stage, name=f"s{at}") for at, stage in enumerate(given)]
        at_stage = {
            name: at if at < len(named) else placed[at] % len(named)
            for at, name in enumerate(CLUSTERS)
        }
        state = fleet_state(
            *named,
            clusters=at_stage,
            limits=(("region", per_region),),
            max_failed_clusters=max_failed_clusters,
            policies=(WavePolicy(max_failed_brokers=max_failed_brokers),),
        )
        domains = {name: f"region={region}" for name, region in zip(CLUSTERS, regions, strict=True)}
        self.per_region = per_region
        self.once_failed: set[str] = set()
        """One that has failed gives its place away; a retry brings it back beside the others."""
        self.rig = FleetRig(in_domains(state, **domains)).begin()

    def _child(self, at: int) -> Member | None:
        active = [m for m in self.rig.state.active if m.child in self.rig.children]
        return active[at % len(active)] if active else None

    @rule(
        at=st.integers(0, 5),
        status=st.sampled_from(GOING + ENDS),
        failed=st.sets(st.integers(1, 3), max_size=2),
        in_flight=st.booleans(),
    )
    def child_changes(
        self, *, at: int, status: WaveStatus, failed: set[int], in_flight: bool
    ) -> None:
        """A child holds, pauses, fails or ends."""
        member = self._child(at)
        if member is None:
            return
        if status in {WaveStatus.SUCCEEDED, WaveStatus.ABORTED}:
            failed = set()
        if status is WaveStatus.FAILED:
            failed = failed or {1}
        self.rig.becomes(
            member.cluster,
            status,
            failed=tuple(sorted(failed)),
            has_nodes_in_flight=in_flight and not status.has_ended,
        )

    @rule(seconds=st.sampled_from([1.0, 30.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        """Nothing happens."""
        self.rig.look(seconds)

    @rule(cluster=st.sampled_from(CLUSTERS), is_leased=st.booleans())
    def lease_changes(self, *, cluster: str, is_leased: bool) -> None:
        """Somebody takes a cluster, or gives it back."""
        reason = Reason(code=ReasonCode.LEASE_HELD, object=f"cluster:{cluster}", detail="ann")
        if is_leased:
            self.rig.blocked[cluster] = reason
        else:
            self.rig.blocked.pop(cluster, None)
        self.rig.look()

    @rule(cluster=st.sampled_from(CLUSTERS), is_sick=st.booleans())
    def health_changes(self, *, cluster: str, is_sick: bool) -> None:
        """A cluster is in trouble, or well again."""
        if is_sick:
            self.rig.troubles[cluster] = (DOWN,)
        else:
            self.rig.troubles.pop(cluster, None)
        self.rig.look()

    @rule(loses=st.booleans())
    def daemon_dies(self, *, loses: bool) -> None:
        """It comes back; what it wanted to begin last may never have been made."""
        self.rig.loses_starts = loses
        self.rig.look()
        self.rig.loses_starts = False
        state = decode_fleet(encode_fleet(self.rig.state))
        assert state == self.rig.state
        if not state.status.has_ended:
            self.rig.crash()

    @rule()
    def daemon_stops(self) -> None:
        """Orderly, with some time in between."""
        begun = len(self.rig.started)
        self.rig.tell(FleetDraining(at=self.rig.at))
        self.rig.look(100)
        assert len(self.rig.started) == begun
        if not self.rig.status().has_ended:
            self.rig.crash()

    @rule(cluster=st.sampled_from(CLUSTERS))
    def start_is_refused(self, cluster: str) -> None:
        """A child could not be made."""
        child = self.rig.child(cluster)
        reason = Reason(code=ReasonCode.LEASE_HELD, object=f"cluster:{cluster}", detail="x")
        if child not in self.rig.children:
            self.rig.tell(StartRefused(at=self.rig.at, child=child, reason=reason)).look()

    @rule(stage=st.integers(0, 3), by=st.sampled_from(["ann", "ben"]))
    def somebody_approves(self, stage: int, by: str) -> None:
        """It counts exactly when it is not refused."""
        name = f"s{stage}"
        refused = approval_refusal(self.rig.state, name, by)
        self.rig.approve(name, by=by)
        at = self.rig.state.named(name)
        if at is not None and refused is None and not self.rig.status().has_ended:
            assert self.rig.state.stages[at].is_approved

    @rule(
        verb=st.sampled_from([Verb.PAUSE, Verb.RESUME, Verb.RESUME, Verb.SKIP]),
        cluster=st.sampled_from(CLUSTERS),
    )
    def somebody_orders(self, verb: Verb, cluster: str) -> None:
        """Pause, resume, or leave a cluster out."""
        self.rig.order(verb, cluster if verb is Verb.SKIP else None)

    @precondition(lambda self: len(self.rig.started) > 3)
    @rule()
    def somebody_aborts(self) -> None:
        """Nothing begins any more."""
        begun = len(self.rig.started)
        self.rig.order(Verb.ABORT).look(200)
        assert len(self.rig.started) == begun

    @invariant()
    def limits_are_kept(self) -> None:
        """Clusters at once, in a stage and in a failure domain."""
        state = self.rig.state
        self.once_failed |= {member.child for member in failed_clusters(state)}
        for at, stage in enumerate(state.stages):
            working = [
                m
                for m in state.of_stage(at)
                if m.status.is_active and m.child not in self.once_failed
            ]
            assert len(working) <= stage.clusters_at_once
        regions = Counter(domain for m in state.active for domain in m.domains)
        assert all(count <= self.per_region for count in regions.values())

    @invariant()
    def stages_are_in_order(self) -> None:
        """No stage has begun before its approval, and before the ones in front are over."""
        state = self.rig.state
        for at, stage in enumerate(state.stages):
            begun = [
                m
                for m in state.of_stage(at)
                if m.status not in {MemberStatus.PENDING, MemberStatus.SKIPPED}
            ]
            if not begun:
                continue
            assert stage.is_approved
            assert all(before.status is StageStatus.DONE for before in state.stages[:at])
            if stage.approval is Approval.TWO_PERSON:
                assert stage.approved is not None
                assert stage.approved.by != state.requested_by

    @invariant()
    def a_used_up_budget_is_told_to_every_child(self) -> None:
        """Its children take nothing new, and nothing begins."""
        state = self.rig.state
        if state.status.has_ended:
            assert state.holds == ()
            return
        if len(failed_clusters(state)) > state.max_failed_clusters:
            assert state.is_over_budget
            assert state.status is WaveStatus.PAUSED or state.status is WaveStatus.PLANNED
            assert holds_of_children(state)

    @invariant()
    def holds_name_things(self) -> None:
        """And what waits for a person says so."""
        state = self.rig.state
        assert all(":" in hold.reason.object and hold.reason.detail for hold in state.holds)
        if state.status is WaveStatus.AWAITING_APPROVAL:
            assert not state.active
            assert awaited(state) is not None

    def teardown(self) -> None:
        """When all is well and people do their part, the wave ends."""
        if not hasattr(self, "rig"):
            return
        rig = self.rig
        rig.blocked.clear()
        rig.troubles.clear()
        for _ in range(PATIENCE):
            rig.look(SOAK_SECONDS + 1)
            if rig.status().has_ended:
                break
            for member in rig.state.active:
                if member.child in rig.children:
                    rig.becomes(member.cluster, WaveStatus.SUCCEEDED, failed=())
            waiting = awaited(rig.state)
            if waiting is not None:
                rig.approve(waiting, by="eve")
            order = FleetOrdered(at=rig.at, verb=Verb.RESUME, by="eve", reason="all is well")
            if fleet_refusal(rig.state, order) is None:
                rig.order(Verb.RESUME)
        assert rig.status().has_ended, (rig.status(), rig.holds())
        if rig.status() is WaveStatus.SUCCEEDED:
            ended = {MemberStatus.SUCCEEDED, MemberStatus.SKIPPED}
            assert {member.status for member in rig.state.members} <= ended


TestFleet = FleetMachine.TestCase
TestFleet.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
