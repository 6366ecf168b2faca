"""Replica lag in a wave's gate: the policy's limit, and nothing of what is in flight."""

from support.waves import QUICK, a_run, a_wave, seen

from healthd.model.codes import ReasonCode
from healthd.waves.policy import WavePolicy, parse_policy
from healthd.waves.state import NodeStatus, WaveState

BEHIND = {
    "lag": {
        "brokers": [{"broker": 3, "messages": 20_000.0, "ageSeconds": 1.0}],
        "ageSeconds": 1.0,
    }
}


def lagging(state: WaveState) -> list[str]:
    after = seen(state, 115.0, extra=BEHIND).state
    return [hold.reason.object for hold in after.holds if hold.reason.code == "REPLICA_LAG"]


def test_a_broker_that_is_too_far_behind_holds_the_wave() -> None:
    assert lagging(a_wave()) == ["broker:3"]


def test_the_limit_is_the_policys() -> None:
    policy = parse_policy({"maxReplicaLagMessages": 20_000}, QUICK)
    assert isinstance(policy, WavePolicy)
    assert lagging(a_wave(policy=policy)) == []


def test_a_broker_that_catches_up_after_its_restart_does_not_count() -> None:
    assert lagging(a_wave(1, a_run(3, NodeStatus.SOAKING, at=90.0))) == []


def test_it_starts_the_soak_again_for_it_is_a_matter_of_health() -> None:
    state = a_wave(a_run(1, NodeStatus.SOAKING, at=90.0), 2)
    after = seen(state, 115.0, extra=BEHIND).state
    assert {hold.reason.code for hold in after.holds} >= {
        ReasonCode.REPLICA_LAG,
        ReasonCode.NOT_CLEAN_LONG_ENOUGH,
    }
    assert after.soak_since == 115.0
