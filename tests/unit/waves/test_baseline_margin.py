"""Baseline and margin from a policy to the gate and to ok-to-stop; never for min ISR."""

from typing import Any

import pytest
from support.snapshots import a_partition, a_topic
from support.waves import QUICK, a_wave, brokers, clean, confirmed, seen

from healthd.model.codes import ReasonCode
from healthd.model.snapshot import Topic
from healthd.waves.effects import Confirm, StopService
from healthd.waves.policy import WavePolicy, parse_policy
from healthd.waves.state import WaveState


def policy(**keys: Any) -> WavePolicy:
    found = parse_policy(keys, QUICK)
    assert isinstance(found, WavePolicy), found
    return found


def orders(*isr: int, replicas: tuple[int, ...] = (1, 2, 3, 4), minimum: int = 2) -> Topic:
    """One partition, `orders-0`."""
    row = a_partition(0, replicas=replicas, isr=isr, leader=isr[0] if isr else -1)
    return a_topic("orders", [row], min_insync_replicas=minimum)


def holds(state: WaveState) -> set[tuple[str, str]]:
    return {(hold.reason.code.value, hold.reason.object) for hold in state.holds}


def looks(state: WaveState, *topics: Topic, **changes: Any) -> bool:
    """Whether a clean run over these topics leads to the last look at a broker."""
    step = clean(state, topics=topics, **changes)
    return any(isinstance(effect, Confirm) for effect in step.effects)


BASELINE = policy(baseline=["orders-0"])
UNDER = ("PARTITION_UNDER_REPLICATED", "orders-0")


def test_a_partition_of_the_baseline_may_be_under_replicated() -> None:
    topic = orders(1, 2, 3)
    without = clean(a_wave(1), topics=(topic,)).state
    assert UNDER in holds(without)
    assert looks(a_wave(1, policy=BASELINE), topic)


def test_it_counts_as_whole_in_the_index_that_the_gate_asks_for() -> None:
    many = [a_partition(at, replicas=(1, 2, 3, 4), isr=(1, 2), leader=1) for at in range(20)]
    topic = a_topic("orders", many, min_insync_replicas=2)
    names = [f"orders-{at}" for at in range(20)]
    strict = policy(minHealthIndex=99.0, baseline=names)
    assert "HEALTH_INDEX_LOW" not in {
        code for code, _ in holds(seen(a_wave(1, policy=strict), 15.0, topics=(topic,)).state)
    }
    bare = policy(minHealthIndex=99.0)
    assert "HEALTH_INDEX_LOW" in {
        code for code, _ in holds(seen(a_wave(1, policy=bare), 15.0, topics=(topic,)).state)
    }


@pytest.mark.parametrize(
    ("topic", "code"),
    [
        (orders(1), "PARTITION_UNDER_MIN_ISR"),
        (orders(), "PARTITION_OFFLINE"),
    ],
    ids=["under min ISR", "offline"],
)
def test_the_baseline_never_hides_what_costs_data(topic: Topic, code: str) -> None:
    after = clean(a_wave(1, policy=BASELINE), topics=(topic,)).state
    assert (code, "orders-0") in holds(after)
    assert after.clean.snapshots == 0


def test_another_partition_than_the_baselines_closes_the_gate() -> None:
    other = a_topic("orders", [a_partition(1, replicas=(1, 2, 3, 4), isr=(1, 2, 3))])
    after = clean(a_wave(1, policy=BASELINE), topics=(other,)).state
    assert ("PARTITION_UNDER_REPLICATED", "orders-1") in holds(after)


def test_the_baseline_says_nothing_for_ok_to_stop() -> None:
    """In sync on 1 and 2 only, with two needed: the gate lets it be, and 1 may not go."""
    topic = orders(1, 2)
    after = clean(a_wave(1, policy=BASELINE), topics=(topic,)).state
    assert ("WOULD_GO_UNDER_MIN_ISR", "orders-0") in holds(after)
    assert looks(a_wave(4, policy=BASELINE), topic)


def test_a_margin_keeps_a_broker_that_ok_to_stop_alone_would_let_go() -> None:
    whole = orders(1, 2, 3, 4)
    assert looks(a_wave(1), whole)
    assert looks(a_wave(1, policy=policy(margin=1)), whole)
    held = clean(a_wave(1, policy=policy(margin=1)), topics=(orders(1, 2, 3, 4, minimum=3),)).state
    # With RF 4 and min ISR 3 there is no room for a margin: it is not asked for.
    assert ReasonCode.WOULD_BREAK_MARGIN not in {code for code, _ in holds(held)}
    one_away = policy(margin=1, baseline=["orders-0"])
    after = clean(a_wave(1, policy=one_away), topics=(orders(1, 2, 3),)).state
    assert ("WOULD_BREAK_MARGIN", "orders-0") in holds(after)


def test_the_margin_is_asked_again_right_before_the_stop() -> None:
    state = a_wave(1, policy=policy(margin=1, baseline=["orders-0"]))
    looking = clean(state, topics=(orders(1, 2, 3, 4),)).state
    assert looking.candidates == (1,)
    step = confirmed(looking, 1, 201.0, topics=(orders(1, 2, 3),))
    assert not any(isinstance(effect, StopService) for effect in step.effects)
    assert ("WOULD_BREAK_MARGIN", "orders-0") in holds(step.state)


def test_the_gate_tells_every_reason_at_once() -> None:
    many = policy(
        minHealthIndex=100.0, windows=[{"start": "01:00", "end": "02:00", "timezone": "UTC"}]
    )
    lag = {"lag": {"brokers": [{"broker": 3, "messages": 1e6, "ageSeconds": 1.0}]}}
    after = seen(
        a_wave(1, 2, policy=many),
        15.0,
        topics=(orders(1, 2, 3), a_topic("dead", [a_partition(0, leader=-1, isr=())])),
        brokers=brokers(b4={"alive": False}),
        reassignments=3,
        extra=lag,
    )
    assert {code for code, _ in holds(after.state)} >= {
        "WINDOW_CLOSED",
        "PARTITION_UNDER_REPLICATED",
        "PARTITION_OFFLINE",
        "BROKER_DOWN",
        "REASSIGNMENT",
        "REPLICA_LAG",
        "HEALTH_INDEX_LOW",
        "NOT_CLEAN_LONG_ENOUGH",
    }
