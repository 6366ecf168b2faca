"""Overrides: by a second person, for a while, and never for what could cost data."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.snapshots import NOON, a_partition, a_topic
from support.waves import QUICK, a_wave, clean, seen

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.waves.codec import decode_state, encode_state
from healthd.waves.effects import Confirm, Step
from healthd.waves.events import Ordered, OverrideAsked, Verb
from healthd.waves.orders import refusal_of
from healthd.waves.overrides import (
    LONGEST_SECONDS,
    is_open_to_override,
    standing,
    why_protected,
)
from healthd.waves.reducer import reduce
from healthd.waves.state import Hold, Override, WaveState

START = NOON.timestamp()
FREEZE = Reason(code=ReasonCode.FREEZE, object="cluster:payments", detail="year end")
ALERT = Reason(code=ReasonCode.ALERT_FIRING, object="alert:DiskFull", detail="since 10:00")


def asked(
    code: ReasonCode = ReasonCode.FREEZE,
    subject: str = "cluster:payments",
    *,
    seconds: float = 1800.0,
    by: str = "ben",
    at: float = 20.0,
) -> Ordered:
    return Ordered(
        at=at,
        wall=START + at,
        verb=Verb.OVERRIDE,
        by=by,
        reason="INC-7 the fix is in the restart",
        override=OverrideAsked(code=code, object=subject, seconds=seconds),
    )


def frozen(*more: Reason) -> WaveState:
    return seen(a_wave(), 15.0, holds=(FREEZE, *more)).state


def overridden(**changes: object) -> WaveState:
    order = asked(**changes)  # type: ignore[arg-type]  # Whatever `asked` takes.
    before = frozen()
    assert refusal_of(before, order) is None
    return reduce(before, order).state


def test_a_hold_that_is_overridden_opens_the_gate_after_a_clean_run() -> None:
    state = overridden()
    for at in (30.0, 45.0):
        state = seen(state, at, holds=(FREEZE,)).state
    step = seen(state, 60.0, holds=(FREEZE,))
    assert [type(effect) for effect in step.effects] == [Confirm]


def test_another_hold_keeps_the_gate_closed() -> None:
    state = overridden()
    for at in (30.0, 45.0, 60.0):
        state = seen(state, at, holds=(FREEZE, ALERT)).state
    assert {hold.reason.code for hold in state.holds} >= {ReasonCode.ALERT_FIRING}
    assert state.clean.snapshots == 0


def test_when_its_time_is_over_the_gate_is_closed_again_and_the_report_says_so() -> None:
    state = overridden(seconds=60.0)
    state = seen(state, 79.0, holds=(FREEZE,)).state
    assert state.overrides
    step = seen(state, 80.0, holds=(FREEZE,))
    assert step.state.overrides == ()
    assert ReasonCode.FREEZE in {hold.reason.code for hold in step.state.holds}
    assert step.state.clean.snapshots == 0
    (note,) = (note for note in step.notes if note.event == "override_ended")
    assert note.detail == "FREEZE cluster:payments, overridden by ben: " + asked().reason


@pytest.mark.parametrize("jump", [-7200.0, 3600.0], ids=["back", "on"])
def test_a_clock_that_is_set_never_makes_it_last_longer(jump: float) -> None:
    state = overridden(seconds=600.0)
    state = replace(state, wall=START + jump)
    step = seen(state, 620.0, holds=(FREEZE,))
    assert step.state.overrides == ()


def test_its_order_says_what_for_how_long_who_and_why() -> None:
    step = reduce(frozen(), asked())
    note = step.notes[0]
    assert note.event == "order_override"
    assert note.detail == "FREEZE cluster:payments for 30 min: INC-7 the fix is in the restart"
    assert note.data == {"by": "ben"}
    (made,) = step.state.overrides
    assert (made.by, made.until, made.ends_at) == ("ben", START + 1820.0, 1820.0)


def test_a_second_one_for_the_same_hold_takes_its_place() -> None:
    state = overridden()
    later = asked(seconds=60.0, at=40.0)
    assert refusal_of(state, later) is None
    assert [each.ends_at for each in reduce(state, later).state.overrides] == [100.0]


def test_it_is_stored_and_read_back() -> None:
    state = overridden()
    assert decode_state(encode_state(state)) == state


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (asked(by="ada"), "ada started the wave; an override is for a second person"),
        (asked(seconds=LONGEST_SECONDS + 1), "at most 8 hours"),
        (asked(seconds=0), "at most 8 hours"),
        (asked(subject="cluster:other"), "has no hold FREEZE cluster:other; it has FREEZE cluster"),
        (asked(ReasonCode.ALERT_FIRING, "alert:X"), "no hold ALERT_FIRING alert:X"),
        (replace(asked(), override=None), "needs a code, an object and how long"),
        (asked(ReasonCode.PARTITION_UNDER_MIN_ISR, "orders-0"), "it protects data"),
        (asked(ReasonCode.QUORUM_UNKNOWN), "it protects the quorum"),
        (asked(ReasonCode.LEASE_HELD), "two that drive one cluster"),
        (asked(ReasonCode.IDENTITY, "broker:1"), "not certain which process"),
        (asked(ReasonCode.STORE_UNSAFE, "wave:w"), "cannot be written down"),
        (asked(ReasonCode.EVIDENCE_STALE, "source:metadata"), "without that evidence"),
        (asked(ReasonCode.APPROVAL_MISSING), "healthd wave approve"),
    ],
)
def test_an_override_that_may_not_be_is_refused_with_the_reason(order: Ordered, said: str) -> None:
    refused = refusal_of(frozen(), order)
    assert refused is not None
    assert said in refused
    assert reduce(frozen(), order).state.overrides == ()


def test_the_exporter_of_one_broker_may_be_what_the_restart_is_to_cure() -> None:
    assert is_open_to_override(ReasonCode.EVIDENCE_STALE, "broker:3")
    assert not is_open_to_override(ReasonCode.EVIDENCE_STALE, "source:metrics")


@pytest.mark.parametrize("code", ReasonCode)
def test_every_code_is_open_or_says_why_it_is_not(code: ReasonCode) -> None:
    if is_open_to_override(code, "cluster:x"):
        return
    assert why_protected(code) != "nobody has decided that it may be"


@pytest.mark.parametrize(
    "code",
    [
        ReasonCode.PARTITION_OFFLINE,
        ReasonCode.PARTITION_UNDER_MIN_ISR,
        ReasonCode.UNDER_MIN_ISR,
        ReasonCode.WOULD_GO_UNDER_MIN_ISR,
        ReasonCode.MIN_ISR_UNKNOWN,
        ReasonCode.CONTROLLER_ABSENT,
        ReasonCode.QUORUM_UNKNOWN,
        ReasonCode.QUORUM_WITHOUT_SPARE,
        ReasonCode.WOULD_LOSE_QUORUM,
        ReasonCode.VOTER_BEHIND,
        ReasonCode.LEASE_LOST,
        ReasonCode.LEASE_HELD,
        ReasonCode.IDENTITY,
        ReasonCode.HOST_UNREACHABLE,
        ReasonCode.HOST_STATE_UNKNOWN,
        ReasonCode.STORE_UNSAFE,
    ],
)
def test_what_protects_data_stands_whatever_the_state_says(code: ReasonCode) -> None:
    reason = Reason(code=code, object="x", detail="")
    forged = Override(
        code=code, object="x", by="eve", reason="r", since=0.0, ends_at=1e9, until=None
    )
    assert standing(a_wave(overrides=(forged,)), (reason,)) == (reason,)


PROTECTED = [code for code in ReasonCode if not is_open_to_override(code, "cluster:payments")]
OPEN = [code for code in ReasonCode if is_open_to_override(code, "cluster:payments")]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(PROTECTED) | st.sampled_from(OPEN),
            st.sampled_from(["ada", "ben"]),
            st.sampled_from([10.0, 60.0, LONGEST_SECONDS]),
            st.sets(st.sampled_from([*PROTECTED, *OPEN]), max_size=3),
        ),
        max_size=12,
    )
)
def test_whatever_is_ordered_no_protected_hold_ever_opens(
    steps: list[tuple[ReasonCode, str, float, set[ReasonCode]]],
) -> None:
    state, at = a_wave(), 0.0
    for code, by, seconds, present in steps:
        at += 15.0
        holds = tuple(
            Reason(code=each, object="cluster:payments", detail="d") for each in sorted(present)
        )
        step: Step = seen(state, at, holds=holds)
        state = step.state
        shown = {hold.reason.code for hold in state.holds}
        assert present & set(PROTECTED) <= shown
        if present - {each.code for each in state.overrides}:
            assert state.clean.snapshots == 0
            assert step.effects == ()
        order = asked(code, by=by, seconds=seconds, at=at + 1)
        took = refusal_of(state, order) is None
        state = reduce(state, order).state
        assert took is (code in {each.code for each in state.overrides if each.since == at + 1})
        assert not (took and (by == "ada" or code in PROTECTED))


def test_a_partition_under_min_isr_keeps_the_broker_beside_an_override() -> None:
    state = overridden(seconds=LONGEST_SECONDS)
    bad = a_topic("orders", [a_partition(0, replicas=(1, 2, 3), isr=(1,))])
    state = clean(state, topics=(bad,), holds=(FREEZE,)).state
    codes = {hold.reason.code for hold in state.holds}
    assert ReasonCode.PARTITION_UNDER_MIN_ISR in codes
    assert ReasonCode.FREEZE not in codes


def test_holds_are_named_in_the_refusal_up_to_a_few() -> None:
    many = tuple(
        Hold(reason=replace(ALERT, object=f"alert:A{number}"), since=0.0) for number in range(8)
    )
    refused = refusal_of(a_wave(holds=many, policy=QUICK), asked())
    assert refused is not None
    assert refused.endswith("ALERT_FIRING alert:A4 and 3 more")
