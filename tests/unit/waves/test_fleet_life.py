"""The life of a wave over a fleet: stages in order, approvals, soaks, limits and budgets."""

import json
from dataclasses import replace

import pytest
from support.fleet_waves import FleetRig, fleet_state, in_domains

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.waves.codec import StateUnreadable
from healthd.waves.events import Verb
from healthd.waves.fleet_codec import decode_fleet, encode_fleet, is_fleet
from healthd.waves.fleet_events import FleetDraining, FleetOrdered, StartRefused
from healthd.waves.fleet_holding import holds_of_children
from healthd.waves.fleet_orders import approval_refusal, awaited, fleet_refusal
from healthd.waves.fleet_state import LeftOut, MemberStatus, StageRun, StageStatus, child_id
from healthd.waves.policy import WavePolicy
from healthd.waves.spec_stage import Approval
from healthd.waves.state import WaveStatus

CANARY = StageRun(name="canary")
PROD = StageRun(name="prod", clusters_at_once=2)
DOWN = Reason(code=ReasonCode.BROKER_DOWN, object="broker:3", detail="it is not alive")
LEASED = Reason(code=ReasonCode.LEASE_HELD, object="cluster:a", detail="ann has it")


def rig(*stages: StageRun, clusters: dict[str, int], **changes: object) -> FleetRig:
    return FleetRig(fleet_state(*stages, clusters=clusters, **changes))


def two_stages(prod: StageRun = PROD, canary: StageRun = CANARY) -> FleetRig:
    return rig(canary, prod, clusters={"dev": 0, "a": 1, "b": 1, "c": 1}).begin()


def test_stages_run_one_after_the_other_and_the_wave_succeeds() -> None:
    wave = two_stages()
    assert wave.started == ["dev"]
    wave.becomes("dev", WaveStatus.SUCCEEDED)
    assert wave.started == ["dev", "a", "b"]
    wave.becomes("a", WaveStatus.SUCCEEDED)
    assert wave.started == ["dev", "a", "b", "c"]
    wave.becomes("b", WaveStatus.SUCCEEDED).becomes("c", WaveStatus.SUCCEEDED)
    assert wave.status() is WaveStatus.SUCCEEDED
    assert [stage.status for stage in wave.state.stages] == [StageStatus.DONE, StageStatus.DONE]


def test_a_child_has_the_same_id_whenever_it_is_asked_for() -> None:
    assert child_id("june", 0, "b.c") == "june.1.b.c"
    wave = rig(CANARY, clusters={"dev": 0})
    wave.loses_starts = True
    wave.begin()
    assert wave.state.members[0].status is MemberStatus.STARTING
    wave.loses_starts = False
    wave.crash()
    assert wave.children.keys() == {"june.1.dev"}
    assert wave.started == ["dev"]


def test_a_child_that_was_made_before_the_crash_is_not_made_again() -> None:
    wave = rig(CANARY, clusters={"dev": 0}).begin().crash().crash()
    assert wave.started == ["dev"]
    assert wave.state.members[0].status is MemberStatus.RUNNING


def test_nothing_begins_before_the_approval_of_the_first_stage() -> None:
    wave = two_stages(canary=replace(CANARY, approval=Approval.REQUIRED))
    assert wave.status() is WaveStatus.AWAITING_APPROVAL
    assert wave.holds() == [("APPROVAL_MISSING", "stage:canary")]
    assert wave.started == []
    wave.approve("canary", by="ann")
    assert wave.status() is WaveStatus.RUNNING
    assert wave.started == ["dev"]
    approved = wave.state.stages[0].approved
    assert approved is not None
    assert (approved.by, approved.reason, approved.wall) == ("ann", "seen", 7.0)


def test_in_mid_wave_a_missing_approval_is_a_hold() -> None:
    wave = two_stages(replace(PROD, approval=Approval.REQUIRED))
    wave.becomes("dev", WaveStatus.SUCCEEDED).look()
    assert wave.status() is WaveStatus.HOLDING
    assert wave.holds() == [("APPROVAL_MISSING", "stage:prod")]
    assert wave.started == ["dev"]
    wave.approve("prod")
    assert wave.started == ["dev", "a", "b"]


def test_a_stage_can_be_approved_while_the_one_before_soaks_but_begins_only_after() -> None:
    wave = two_stages(replace(PROD, approval=Approval.REQUIRED), replace(CANARY, soak_seconds=100))
    assert "not reached" in str(approval_refusal(wave.state, "prod", "ben"))
    assert awaited(wave.state) is None
    wave.becomes("dev", WaveStatus.SUCCEEDED)
    assert awaited(wave.state) == "prod"
    wave.approve("prod").look(98)
    assert wave.started == ["dev"]
    wave.look(5)
    assert wave.started == ["dev", "a", "b"]


def test_two_persons_are_two() -> None:
    wave = two_stages(canary=replace(CANARY, approval=Approval.TWO_PERSON))
    for name in ("ann", "ANN", " ann "):
        assert "two people" in str(approval_refusal(wave.state, "canary", name))
        assert not wave.approve("canary", by=name).started
    assert wave.approve("canary", by="ben").started == ["dev"]


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        pytest.param("nope", "no stage nope; its stages are: canary, prod", id="unknown"),
        pytest.param("canary", "needs no approval", id="none needed"),
        pytest.param("prod", "not reached yet: stage canary is not over", id="not reached"),
    ],
)
def test_an_approval_that_does_not_fit_is_refused_in_words(stage: str, words: str) -> None:
    wave = two_stages(replace(PROD, approval=Approval.REQUIRED))
    assert words in str(approval_refusal(wave.state, stage, "ben"))
    before = wave.state
    assert wave.approve(stage).state.stages == before.stages


def test_an_approval_counts_once_and_not_after_the_end() -> None:
    wave = two_stages(canary=replace(CANARY, approval=Approval.REQUIRED)).approve("canary")
    assert "approved already, by ben" in str(approval_refusal(wave.state, "canary", "eve"))
    wave.order(Verb.ABORT)
    assert "has ended: aborted" in str(approval_refusal(wave.state, "canary", "eve"))


def test_the_next_stage_waits_for_the_soak() -> None:
    wave = two_stages(canary=replace(CANARY, soak_seconds=60))
    wave.becomes("dev", WaveStatus.SUCCEEDED)
    assert wave.state.stages[0].status is StageStatus.SOAKING
    assert wave.status() is WaveStatus.RUNNING
    assert wave.holds() == [("SOAKING", "stage:canary")]
    assert wave.look(59).started == ["dev"]
    assert wave.look(2).started == ["dev", "a", "b"]


def test_the_soak_is_clean_time() -> None:
    wave = two_stages(canary=replace(CANARY, soak_seconds=60))
    wave.becomes("dev", WaveStatus.SUCCEEDED).look(50)
    wave.troubles["dev"] = (DOWN, DOWN)
    wave.look(20)
    assert wave.status() is WaveStatus.HOLDING
    assert wave.holds() == [("BROKER_DOWN", "cluster:dev"), ("SOAKING", "stage:canary")]
    assert wave.state.holds[0].reason.detail == "broker:3: it is not alive, and 1 more"
    del wave.troubles["dev"]
    assert wave.look().look(59).started == ["dev"]
    assert wave.look().started == ["dev", "a", "b"]


def test_a_daemon_that_was_away_lets_the_soak_begin_again() -> None:
    wave = two_stages(canary=replace(CANARY, soak_seconds=60))
    wave.becomes("dev", WaveStatus.SUCCEEDED).look(50).crash()
    assert wave.look(50).started == ["dev"]
    assert wave.look(15).started == ["dev", "a", "b"]


def test_the_wave_ends_after_the_soak_of_its_last_stage() -> None:
    wave = rig(replace(CANARY, soak_seconds=30), clusters={"dev": 0}).begin()
    wave.becomes("dev", WaveStatus.SUCCEEDED)
    assert wave.status() is WaveStatus.RUNNING
    assert wave.look(31).status() is WaveStatus.SUCCEEDED


def test_a_leased_cluster_is_held_and_the_free_ones_begin() -> None:
    wave = rig(PROD, clusters={"a": 0, "b": 0, "c": 0})
    wave.blocked["a"] = LEASED
    wave.begin()
    assert wave.started == ["b", "c"]
    assert wave.holds() == [("LEASE_HELD", "cluster:a")]
    assert wave.status() is WaveStatus.RUNNING
    wave.becomes("b", WaveStatus.SUCCEEDED).becomes("c", WaveStatus.SUCCEEDED)
    assert wave.status() is WaveStatus.HOLDING
    wave.blocked.clear()
    assert wave.look().started == ["b", "c", "a"]


def test_a_child_that_could_not_be_made_is_tried_again() -> None:
    wave = rig(CANARY, clusters={"dev": 0})
    wave.loses_starts = True
    wave.begin()
    wave.tell(StartRefused(at=1.0, child="june.1.dev", reason=LEASED))
    assert wave.state.members[0].status is MemberStatus.PENDING
    wave.loses_starts = False
    assert wave.look().started == ["dev"]


def test_so_many_clusters_of_one_failure_domain_are_in_work() -> None:
    state = fleet_state(
        replace(PROD, clusters_at_once=3),
        clusters={"a": 0, "b": 0, "c": 0},
        limits=(("region", 1),),
    )
    wave = FleetRig(in_domains(state, a="region=x", b="region=x", c="region=y")).begin()
    assert wave.started == ["a", "c"]
    assert wave.holds() == [("BUDGET_USED_UP", "cluster:b")]
    assert wave.becomes("a", WaveStatus.SUCCEEDED).started == ["a", "c", "b"]


def failing(max_failed_clusters: int = 0, **changes: object) -> FleetRig:
    """A cluster of three has a failed broker; its child is paused for it."""
    wave = rig(
        PROD, clusters={"a": 0, "b": 0, "c": 0}, max_failed_clusters=max_failed_clusters
    ).begin()
    return wave.becomes("a", WaveStatus.PAUSED, failed=(3,), **changes)


def test_a_failed_cluster_beyond_the_budget_pauses_the_whole_wave() -> None:
    wave = failing()
    assert wave.status() is WaveStatus.PAUSED
    assert ("BUDGET_USED_UP", "cluster:a") in wave.holds()
    assert [reason.code for reason in holds_of_children(wave.state)] == [ReasonCode.BUDGET_USED_UP]
    wave.becomes("b", WaveStatus.SUCCEEDED)
    assert wave.started == ["a", "b"]


def test_a_retry_that_works_lifts_that_pause() -> None:
    wave = failing().becomes("a", WaveStatus.RUNNING, failed=())
    assert wave.status() is WaveStatus.RUNNING
    assert holds_of_children(wave.state) == ()


def test_a_resume_does_not_go_over_a_failed_broker() -> None:
    wave = failing()
    order = FleetOrdered(at=9.0, verb=Verb.RESUME, by="ben", reason="x")
    assert "cluster a failed (brokers 3)" in str(fleet_refusal(wave.state, order))
    assert wave.order(Verb.RESUME).status() is WaveStatus.PAUSED


def test_within_the_budget_others_go_on_and_the_failed_one_takes_no_place() -> None:
    wave = failing(max_failed_clusters=1)
    assert wave.started == ["a", "b", "c"]
    wave.becomes("b", WaveStatus.PAUSED, failed=(1,))
    assert wave.status() is WaveStatus.PAUSED


def test_a_failed_cluster_with_nodes_in_flight_keeps_its_place() -> None:
    assert failing(max_failed_clusters=1, has_nodes_in_flight=True).started == ["a", "b"]


def test_a_failed_broker_within_its_clusters_own_budget_is_no_failed_cluster() -> None:
    wave = rig(
        CANARY, PROD, clusters={"dev": 0, "a": 1}, policies=(WavePolicy(max_failed_brokers=1),)
    ).begin()
    wave.becomes("dev", WaveStatus.FAILED, failed=(2,))
    assert wave.started == ["dev", "a"]
    wave.becomes("a", WaveStatus.SUCCEEDED)
    assert wave.status() is WaveStatus.FAILED


@pytest.mark.parametrize("status", [WaveStatus.FAILED, WaveStatus.ABORTED])
def test_a_cluster_that_ended_badly_stops_the_wave_until_a_person_accepts_it(
    status: WaveStatus,
) -> None:
    wave = two_stages()
    wave.becomes("dev", status, failed=(1,) if status is WaveStatus.FAILED else ())
    assert wave.status() is WaveStatus.PAUSED
    assert wave.started == ["dev"]
    wave.order(Verb.RESUME)
    assert wave.started == ["dev", "a", "b"]
    for cluster in ("a", "b", "c"):
        wave.becomes(cluster, WaveStatus.SUCCEEDED)
    assert wave.status() is WaveStatus.FAILED


def test_a_paused_wave_begins_nothing_and_tells_its_children() -> None:
    wave = two_stages().order(Verb.PAUSE)
    assert wave.status() is WaveStatus.PAUSED
    (reason,) = holds_of_children(wave.state)
    assert (reason.code, reason.object) == (ReasonCode.WAVE_PAUSED, "wave:june")
    assert reason.detail == "paused by ben: CHG-2"
    wave.becomes("dev", WaveStatus.SUCCEEDED)
    assert wave.started == ["dev"]
    wave.order(Verb.RESUME)
    assert wave.started == ["dev", "a", "b"]
    assert holds_of_children(wave.state) == ()


def test_a_resume_goes_to_paused_children_too() -> None:
    wave = two_stages().becomes("dev", WaveStatus.PAUSED)
    assert wave.status() is WaveStatus.PAUSED
    wave.order(Verb.RESUME)
    assert [(order.child, order.verb) for order in wave.orders] == [("june.1.dev", Verb.RESUME)]
    assert wave.status() is WaveStatus.RUNNING


def test_an_abort_reaches_every_child_and_ends_when_they_have() -> None:
    wave = rig(PROD, clusters={"a": 0, "b": 0, "c": 0}).begin()
    wave.children[wave.child("a")] = replace(
        wave.children[wave.child("a")], has_nodes_in_flight=True
    )
    wave.order(Verb.ABORT)
    assert {order.child for order in wave.orders} == {"june.1.a", "june.1.b"}
    assert not wave.state.status.has_ended
    wave.becomes("a", WaveStatus.ABORTED)
    assert wave.status() is WaveStatus.ABORTED
    assert wave.state.stages[0].status is StageStatus.RUNNING
    assert wave.started == ["a", "b"]
    assert wave.state.members[2].status is MemberStatus.PENDING


def test_an_abort_does_not_wait_for_a_child_that_was_never_made() -> None:
    wave = rig(CANARY, clusters={"dev": 0})
    wave.loses_starts = True
    wave.begin().order(Verb.ABORT)
    assert wave.status() is WaveStatus.ABORTED


def test_a_cluster_that_waits_can_be_left_out() -> None:
    wave = rig(CANARY, clusters={"a": 0, "b": 0})
    wave.blocked["a"] = LEASED
    wave.begin().becomes("b", WaveStatus.SUCCEEDED)
    order = FleetOrdered(at=9.0, verb=Verb.SKIP, by="ben", reason="x", cluster="b")
    assert "is succeeded" in str(fleet_refusal(wave.state, order))
    wave.order(Verb.SKIP, cluster="a")
    assert wave.status() is WaveStatus.SUCCEEDED


def test_a_daemon_that_stops_begins_nothing_and_the_next_goes_on() -> None:
    wave = two_stages()
    wave.tell(FleetDraining(at=1.0)).becomes("dev", WaveStatus.SUCCEEDED)
    assert wave.started == ["dev"]
    assert wave.crash().started == ["dev", "a", "b"]


def test_every_hold_names_an_object() -> None:
    wave = failing()
    assert all(":" in hold.reason.object and hold.reason.detail for hold in wave.state.holds)


def test_the_state_comes_back_from_its_json_unchanged() -> None:
    wave = two_stages(canary=replace(CANARY, approval=Approval.TWO_PERSON)).approve("canary")
    wave.order(Verb.PAUSE)
    data = json.loads(json.dumps(encode_fleet(wave.state)))
    assert is_fleet(data)
    assert decode_fleet(data) == wave.state


def test_the_state_of_a_dry_run_comes_back_from_its_json_unchanged() -> None:
    left_out = LeftOut(approval=Approval.REQUIRED, soak_seconds=60.0)
    canary = replace(CANARY, left_out=left_out)
    wave = rig(canary, PROD, clusters={"dev": 0, "a": 1}, is_dry_run=True).begin()
    after = decode_fleet(json.loads(json.dumps(encode_fleet(wave.state))))
    assert after == wave.state
    assert after.is_dry_run
    assert after.stages[0].left_out == left_out


def test_a_state_from_before_there_were_dry_runs_of_fleets_is_that_of_a_wave() -> None:
    wave = two_stages(canary=replace(CANARY, approval=Approval.REQUIRED))
    data = json.loads(json.dumps(encode_fleet(wave.state)))
    del data["is_dry_run"]
    for stage in data["stages"]:
        del stage["left_out"]
    after = decode_fleet(data)
    assert after == wave.state
    assert not after.is_dry_run
    assert not after.stages[0].is_approved


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 99}, "99 is newer"),
        ({"is_dry_run": 1}, "state.is_dry_run"),
        ({"wave": 3}, "state.wave"),
        ({"stages": []}, "no such stage"),
        ({"policies": []}, "no such policy"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_state_of_another_shape_is_refused(change: dict[str, object], words: str) -> None:
    data = encode_fleet(two_stages().state) | change
    with pytest.raises(StateUnreadable, match=words):
        decode_fleet(data)
