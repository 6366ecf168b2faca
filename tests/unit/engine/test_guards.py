"""What closes the gate of one wave from outside."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from support.daemon import NOW, config_of, snapshot_of_cluster
from support.outside import ALERTS, SERVER, OutsideWorld
from support.virtual_time import in_virtual_time
from support.waves import a_run, a_wave

from healthd.config.fleet import ClusterConfig, Fleet, HostConfig
from healthd.config.source_alerts import AlertsConfig
from healthd.engine.clock import Clock
from healthd.engine.guards import WaveGuards
from healthd.waves.policy import WavePolicy
from healthd.waves.state import NodeStatus, WaveState, WaveStatus

CRITICAL = {"alertname": "DiskFull", "severity": "critical"}
LISTENS = WavePolicy(alerts=('severity="critical"',))
SILENCES = WavePolicy(silence=True, recovery_timeout_seconds=100)
CONFIG = replace(config_of("payments"), alerts=ALERTS)
SNAPSHOT = snapshot_of_cluster()


def world(config: ClusterConfig = CONFIG) -> OutsideWorld:
    """The outside of one cluster, in virtual time."""
    now = asyncio.get_running_loop().time
    clock = Clock(monotonic=now, wall=lambda: NOW.timestamp() + now())
    return OutsideWorld(clock=clock, fleet=Fleet(clusters=(config,)))


@asynccontextmanager
async def guarded(
    outside: OutsideWorld, state: WaveState, config: ClusterConfig = CONFIG
) -> AsyncIterator[WaveGuards]:
    """The guards of a wave that asks already."""
    guards = outside.guards.of(state, config)
    guards.begin(state)
    await asyncio.sleep(0.1)
    try:
        yield guards
    finally:
        await guards.close()
        await outside.guards.close()


async def held(guards: WaveGuards, state: WaveState) -> list[tuple[str, str]]:
    """Code and object of everything that is in the way."""
    return [(hold.code.value, hold.object) for hold in await guards.holds(state, SNAPSHOT)]


@in_virtual_time
async def test_an_alert_holds_from_the_next_question_on_and_no_longer_than_it_fires() -> None:
    outside, state = world(), a_wave(policy=LISTENS)
    async with guarded(outside, state) as guards:
        assert await held(guards, state) == []
        outside.alertmanager.alerts = [CRITICAL, {"alertname": "X", "severity": "info"}]
        assert await held(guards, state) == []
        await asyncio.sleep(5)
        assert await held(guards, state) == [("ALERT_FIRING", "alert:DiskFull")]
        outside.alertmanager.alerts = []
        await asyncio.sleep(5)
        assert await held(guards, state) == []


@in_virtual_time
async def test_right_before_a_stop_it_is_asked_anew() -> None:
    outside, state = world(), a_wave(policy=LISTENS)
    async with guarded(outside, state) as guards:
        outside.alertmanager.alerts = [CRITICAL]
        await guards.ask_anew()
        assert await held(guards, state) == [("ALERT_FIRING", "alert:DiskFull")]


@in_virtual_time
async def test_before_the_first_answer_the_gate_is_closed() -> None:
    state = a_wave(policy=LISTENS)
    guards = world().guards.of(state, CONFIG)
    assert await held(guards, state) == [("ALERT_QUERY_FAILED", "source:alertmanager")]


@in_virtual_time
async def test_a_server_that_cannot_be_asked_closes_the_gate_at_once() -> None:
    outside, state = world(), a_wave(policy=LISTENS)
    async with guarded(outside, state) as guards:
        outside.alertmanager.trouble = True
        await asyncio.sleep(5)
        (hold,) = await guards.holds(state, SNAPSHOT)
        assert (hold.code.value, hold.object) == ("ALERT_QUERY_FAILED", "source:alertmanager")
        assert hold.detail == "refused the connection"


@in_virtual_time
async def test_a_last_look_waits_for_nobody_longer_than_what_it_saw_stays_new() -> None:
    patient = replace(CONFIG, alerts=AlertsConfig(alertmanager=replace(SERVER, timeout_seconds=90)))
    outside, state = world(patient), a_wave(policy=LISTENS)
    async with guarded(outside, state, patient) as guards:
        outside.alertmanager.hangs = True
        began = asyncio.get_running_loop().time()
        await guards.ask_anew()
        assert asyncio.get_running_loop().time() - began < 2 * outside.interval_seconds
        assert await held(guards, state) == [("ALERT_QUERY_FAILED", "source:alertmanager")]


@in_virtual_time
async def test_both_servers_are_asked_where_both_are_configured() -> None:
    config = replace(
        CONFIG,
        alerts=AlertsConfig(alertmanager=SERVER, prometheus=replace(SERVER, timeout_seconds=3)),
    )
    outside, state = world(config), a_wave(policy=LISTENS)
    outside.prometheus.alerts = [CRITICAL]
    outside.alertmanager.trouble = True
    async with guarded(outside, state, config) as guards:
        assert await held(guards, state) == [
            ("ALERT_FIRING", "alert:DiskFull"),
            ("ALERT_QUERY_FAILED", "source:alertmanager"),
        ]


@in_virtual_time
async def test_a_policy_without_alerts_asks_nobody() -> None:
    outside, state = world(), a_wave()
    outside.alertmanager.alerts = [CRITICAL]
    async with guarded(outside, state) as guards:
        await guards.ask_anew()
        assert await held(guards, state) == []
    assert outside.alertmanager.asked == 0


@in_virtual_time
async def test_alerts_that_nobody_can_be_asked_for_any_more_close_the_gate() -> None:
    state, config = a_wave(policy=LISTENS), config_of("payments")
    guards = world(config).guards.of(state, config)
    (hold,) = await guards.holds(state, SNAPSHOT)
    assert hold.code.value == "ALERT_QUERY_FAILED"
    assert "no alerts in the fleet file" in hold.detail


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({}, None),
        ({"executor": "STARTING_EXECUTION"}, "Cruise Control: STARTING_EXECUTION"),
        ({"trouble": True}, "Cruise Control gave no answer within 5 s"),
    ],
)
@in_virtual_time
async def test_cruise_control_closes_the_gate_unless_it_says_that_it_is_idle(
    changes: dict[str, Any], detail: str | None
) -> None:
    config = replace(config_of("payments"), cruise_control=SERVER)
    outside, state = world(config), a_wave()
    for name, value in changes.items():
        setattr(outside.cruise_control, name, value)
    async with guarded(outside, state, config) as guards:
        holds = await guards.holds(state, SNAPSHOT)
    assert [(hold.code.value, hold.object, hold.detail) for hold in holds] == (
        [] if detail is None else [("CRUISE_CONTROL", "cluster:payments", detail)]
    )


@in_virtual_time
async def test_a_freeze_closes_the_gate_at_once() -> None:
    outside, state = world(), a_wave()
    async with guarded(outside, state) as guards:
        request = {"name": "f", "reason": "r", "clusters": ["payments"], "seconds": 60}
        await outside.freezer.add(request, by="ann")
        assert await held(guards, state) == [("FREEZE", "cluster:payments")]
        await asyncio.sleep(60)
        assert await held(guards, state) == []


def in_work(status: NodeStatus) -> WaveState:
    """A wave that silences, with node 3 in a status."""
    return a_wave(1, 2, a_run(3, status), policy=SILENCES)


@in_virtual_time
async def test_a_host_is_silenced_before_its_stop_and_heard_again_when_it_is_done() -> None:
    outside, state = world(), in_work(NodeStatus.STOPPING)
    async with guarded(outside, state) as guards:
        assert await guards.before_stop(state, 3) is None
        (silence,) = outside.alertmanager.silences.values()
        assert silence["matchers"][0]["name"] == "instance"
        assert silence["matchers"][0]["value"] == "b3:7071|b3(:[0-9]+)?"
        # As long as the rolling restart of the tests gives stop and start, and the recovery.
        assert silence["endsAt"] > silence["startsAt"]
        for status in (NodeStatus.STARTING, NodeStatus.RECOVERING, NodeStatus.SOAKING):
            guards.moved(in_work(status))
            await asyncio.sleep(1)
            assert len(outside.alertmanager.silences) == 1
        guards.moved(in_work(NodeStatus.DONE))
        await asyncio.sleep(1)
        assert outside.alertmanager.silences == {}


@pytest.mark.parametrize("status", [NodeStatus.FAILED, NodeStatus.SKIPPED, NodeStatus.PENDING])
@in_virtual_time
async def test_a_node_that_the_wave_has_given_up_is_heard_again(status: NodeStatus) -> None:
    outside, state = world(), in_work(NodeStatus.STOPPING)
    async with guarded(outside, state) as guards:
        await guards.before_stop(state, 3)
        guards.moved(in_work(status))
    assert outside.alertmanager.silences == {}


@in_virtual_time
async def test_an_aborted_wave_leaves_nobody_silenced_who_was_still_recovering() -> None:
    outside, state = world(), in_work(NodeStatus.RECOVERING)
    async with guarded(outside, state) as guards:
        await guards.before_stop(state, 3)
        guards.moved(replace(state, status=WaveStatus.ABORTED))
    assert outside.alertmanager.silences == {}


@in_virtual_time
async def test_a_killed_daemons_silence_is_found_again_and_not_made_twice() -> None:
    outside, state = world(), in_work(NodeStatus.STOPPING)
    async with guarded(outside, state) as guards:
        await guards.before_stop(state, 3)
    async with guarded(outside, state) as again:
        assert await again.before_stop(state, 3) is None
        assert outside.alertmanager.posts == 1
        again.moved(in_work(NodeStatus.DONE))
    assert outside.alertmanager.silences == {}


@in_virtual_time
async def test_what_an_earlier_daemon_left_silenced_is_removed() -> None:
    outside, state = world(), in_work(NodeStatus.STOPPING)
    async with guarded(outside, state) as guards:
        await guards.before_stop(state, 3)
    async with guarded(outside, in_work(NodeStatus.DONE)):
        await asyncio.sleep(1)
        assert outside.alertmanager.silences == {}


@in_virtual_time
async def test_the_silences_of_others_are_left_alone() -> None:
    outside, state = world(), in_work(NodeStatus.STOPPING)
    other = replace(state, wave="another")
    async with guarded(outside, state) as guards, guarded(outside, other) as others:
        await guards.before_stop(state, 3)
        await others.before_stop(other, 3)
        outside.alertmanager.silences["mine"] = {
            "createdBy": "ann", "comment": "mine", "endsAt": "2030-01-01T00:00:00Z"
        }  # fmt: skip
        guards.moved(in_work(NodeStatus.DONE))
        await asyncio.sleep(1)
        comments = [body["comment"] for body in outside.alertmanager.silences.values()]
    assert len(comments) == 2
    assert any("[wave another, node 3]" in each for each in comments)


@in_virtual_time
async def test_a_silence_that_is_nearly_over_is_made_longer_and_not_twice() -> None:
    outside, state = world(), in_work(NodeStatus.STOPPING)
    async with guarded(outside, state) as guards:
        await guards.before_stop(state, 3)
        (first,) = outside.alertmanager.silences.values()
        await asyncio.sleep(10_000)
        await guards.before_stop(state, 3)
        (second,) = outside.alertmanager.silences.values()
    assert second["endsAt"] > first["endsAt"]


@in_virtual_time
async def test_a_silence_that_cannot_be_made_says_why_and_keeps_nothing() -> None:
    outside, state = world(), in_work(NodeStatus.STOPPING)
    outside.alertmanager.trouble = True
    async with guarded(outside, state) as guards:
        assert await guards.before_stop(state, 3) == "Alertmanager refused the connection"
        assert await held(guards, state) == []


@in_virtual_time
async def test_nodes_that_share_an_address_and_have_no_exporter_are_not_silenced() -> None:
    config = replace(
        CONFIG, hosts=tuple(HostConfig(broker=node, address="one") for node in (1, 2, 3))
    )
    outside, state = world(config), in_work(NodeStatus.STOPPING)
    async with guarded(outside, state, config) as guards:
        found = await guards.before_stop(state, 3)
    assert found == "other nodes share the address one, and it has no exporter"
    assert outside.alertmanager.silences == {}


@in_virtual_time
async def test_a_removal_that_fails_is_tried_again() -> None:
    outside, state = world(), in_work(NodeStatus.STOPPING)
    async with guarded(outside, state) as guards:
        await guards.before_stop(state, 3)
        outside.alertmanager.trouble = True
        guards.moved(in_work(NodeStatus.DONE))
        await asyncio.sleep(1)
        outside.alertmanager.trouble = False
        assert len(outside.alertmanager.silences) == 1
        await asyncio.sleep(5)
    assert outside.alertmanager.silences == {}


@in_virtual_time
async def test_a_dry_run_looks_at_alerts_and_silences_nothing() -> None:
    policy = replace(LISTENS, silence=True)
    outside = world()
    state = a_wave(1, 2, a_run(3, NodeStatus.STOPPING), policy=policy, is_dry_run=True)
    outside.alertmanager.alerts = [CRITICAL]
    async with guarded(outside, state) as guards:
        assert await guards.before_stop(state, 3) is None
        assert await held(guards, state) == [("ALERT_FIRING", "alert:DiskFull")]
    assert outside.alertmanager.silences == {}


@in_virtual_time
async def test_without_silence_nothing_is_silenced() -> None:
    outside, state = world(), a_wave()
    async with guarded(outside, state) as guards:
        assert await guards.before_stop(state, 3) is None
    assert outside.alertmanager.silences == {}
