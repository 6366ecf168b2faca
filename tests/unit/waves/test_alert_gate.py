"""Which of the alerts that fire close a wave's gate."""

from dataclasses import replace
from typing import Any

import pytest
from support.daemon import broker_down, snapshot_of_cluster
from support.waves import a_run, a_wave

from healthd.model.codes import ReasonCode
from healthd.model.snapshot import ClusterSnapshot
from healthd.waves.alert_gate import (
    FiringAlert,
    OwnEffect,
    alert_holds,
    before_soak,
    closing,
    unasked,
)
from healthd.waves.playbook import PlaybookTarget
from healthd.waves.policy import WavePolicy
from healthd.waves.silences import Silence, SilenceMark
from healthd.waves.state import NodeStatus, WaveState

WELL = snapshot_of_cluster()
WITHOUT_3 = snapshot_of_cluster(**broker_down(3))
WITHOUT_2_AND_3 = snapshot_of_cluster(
    brokers=[{"id": n, "alive": n == 1, "roles": ["broker"]} for n in (1, 2, 3)],
    topics=[
        {
            "name": "orders",
            "minInsyncReplicas": 1,
            "partitions": [{"id": 0, "leader": 1, "replicas": [1, 2, 3], "isr": [1]}],
        }
    ],
)
WAVE = a_wave(1, 2, a_run(3, NodeStatus.RECOVERING))
AT_REST = a_wave(1, 2, 3)


def alert(name: str = "DiskFull", source: str = "alertmanager", **labels: str) -> FiringAlert:
    """An alert that fires."""
    return FiringAlert(source=source, labels={"alertname": name, **labels}, since="12:00")


def silenced(silence: Silence, **labels: str) -> FiringAlert:
    """An alert that something silences."""
    found = alert(**labels)
    return FiringAlert(source=found.source, labels=found.labels, silences=(silence,))


def own(name: str, **labels: str) -> FiringAlert:
    """One of healthd's own alerts about the wave's cluster."""
    return alert(name, kafka_cluster="payments", **labels)


def closed_by(
    *alerts: FiringAlert,
    state: WaveState = WAVE,
    snapshot: ClusterSnapshot | None = WITHOUT_3,
    **more: Any,
) -> list[str]:
    """The names of those that close the gate."""
    effect = OwnEffect(state, snapshot, **more)
    found = closing(alerts, is_in_work=before_soak(state), effect=effect)
    return [each.name for each in found]


def test_an_alert_that_fires_closes_the_gate() -> None:
    assert closed_by(alert()) == ["DiskFull"]


def test_one_that_a_person_has_silenced_does_not() -> None:
    assert closed_by(silenced(Silence(id="a", mark=None))) == []


@pytest.mark.parametrize(
    ("wave", "node", "closes"),
    [("w", 3, False), ("w", 2, True), ("other", 3, True)],
    ids=["its own host, in work", "a host not in work", "another wave"],
)
def test_healthds_own_silence_hides_only_hosts_of_this_wave_that_are_in_work(
    wave: str, node: int, *, closes: bool
) -> None:
    mark = SilenceMark(wave=wave, node=node)
    assert bool(closed_by(silenced(Silence(id="a", mark=mark)))) is closes


@pytest.mark.parametrize(
    ("status", "closes"),
    [
        (NodeStatus.STOPPING, False),
        (NodeStatus.STOPPED, False),
        (NodeStatus.STARTING, False),
        (NodeStatus.RECOVERING, False),
        (NodeStatus.SOAKING, True),
        (NodeStatus.DONE, True),
        (NodeStatus.FAILED, True),
    ],
)
def test_from_the_soak_on_the_alerts_of_a_silenced_host_count_again(
    status: NodeStatus, *, closes: bool
) -> None:
    state = a_wave(1, 2, a_run(3, status))
    mark = SilenceMark(wave="w", node=3)
    assert bool(closed_by(silenced(Silence(id="a", mark=mark)), state=state)) is closes


def test_what_alertmanager_has_silenced_does_not_count_in_prometheus_either() -> None:
    there = silenced(Silence(id="a", mark=None), instance="b1", region="eu")
    assert closed_by(there, alert(source="prometheus", instance="b1")) == []


def test_another_host_of_the_same_alert_is_not_silenced_by_it() -> None:
    there = silenced(Silence(id="a", mark=None), instance="b1")
    assert closed_by(there, alert(source="prometheus", instance="b2")) == ["DiskFull"]


OWN_WORK = [
    own("HealthdCheckWarning", code="BROKER_DOWN"),
    own("HealthdCheckWarning", code="PARTITION_UNDER_REPLICATED"),
    own("HealthdCheckCritical", code="PARTITION_AT_MIN_ISR"),
    own("HealthdIndexCapped", code="BROKER_DOWN"),
]


@pytest.mark.parametrize("raised", OWN_WORK[:1] + OWN_WORK[2:], ids=str)
def test_healthds_own_alert_that_only_nodes_in_flight_cause_does_not_close_it(
    raised: FiringAlert,
) -> None:
    assert closed_by(raised) == []


@pytest.mark.parametrize("raised", OWN_WORK, ids=str)
def test_a_server_of_an_ensemble_in_flight_explains_nothing_of_the_broker_with_its_id(
    raised: FiringAlert,
) -> None:
    over_servers = replace(WAVE, playbook=replace(WAVE.playbook, target=PlaybookTarget.ZOOKEEPER))
    assert closed_by(raised, state=over_servers) == [raised.name]


@pytest.mark.parametrize("raised", OWN_WORK, ids=str)
def test_without_nodes_in_flight_the_same_alert_closes_it(raised: FiringAlert) -> None:
    assert closed_by(raised, state=AT_REST) == [raised.name]


@pytest.mark.parametrize("raised", OWN_WORK[:1] + OWN_WORK[3:], ids=str)
def test_it_closes_when_another_broker_is_down_too(raised: FiringAlert) -> None:
    assert closed_by(raised, snapshot=WITHOUT_2_AND_3) == [raised.name]


@pytest.mark.parametrize("raised", OWN_WORK, ids=str)
def test_it_closes_while_no_snapshot_can_tell(raised: FiringAlert) -> None:
    assert closed_by(raised, snapshot=None) == [raised.name]


@pytest.mark.parametrize("raised", OWN_WORK, ids=str)
def test_it_closes_when_the_snapshot_does_not_show_what_it_tells_of(raised: FiringAlert) -> None:
    assert closed_by(raised, snapshot=WELL) == [raised.name]


@pytest.mark.parametrize(
    "raised",
    [
        own("HealthdCheckCritical", code="PARTITION_UNDER_MIN_ISR"),
        own("HealthdCheckWarning", code="CONTROLLER_FLAPPING"),
        own("HealthdCheckWarning"),
        own("HealthdClusterUnknown"),
        own("HealthdRoutingOut"),
        alert("HealthdCheckWarning", kafka_cluster="other", code="BROKER_DOWN"),
        alert("KafkaBrokerDown", kafka_cluster="payments", code="BROKER_DOWN"),
    ],
    ids=str,
)
def test_what_cannot_be_shown_to_be_the_waves_work_closes(raised: FiringAlert) -> None:
    assert closed_by(raised) == [raised.name]


def test_an_index_that_is_low_without_the_wave_closes_and_its_own_dip_does_not() -> None:
    low = own("HealthdIndexBelow90")
    seen = snapshot_of_cluster(
        topics=[
            {
                "name": "orders",
                "minInsyncReplicas": 2,
                "partitions": [{"id": 0, "leader": 1, "replicas": [1, 2, 3], "isr": [1, 2]}],
            }
        ]
    )
    assert closed_by(low, snapshot=seen) == []
    other = a_wave(1, 3, a_run(2, NodeStatus.RECOVERING))
    assert closed_by(low, snapshot=seen, state=other) == ["HealthdIndexBelow90"]


def test_an_alert_that_outlives_its_cause_stays_the_waves_work_while_it_fires() -> None:
    raised = own("HealthdCheckWarning", code="BROKER_DOWN")
    during = OwnEffect(WAVE, WITHOUT_3)
    assert during.explains(raised)
    done = a_wave(1, 2, a_run(3, NodeStatus.DONE))
    assert closed_by(raised, state=done, snapshot=WELL, explained=during.explained) == []
    # The same check, and this time it is not the wave's.
    assert closed_by(raised, state=done, snapshot=WITHOUT_3, explained=during.explained) == [
        "HealthdCheckWarning"
    ]


def test_an_alert_that_began_anew_is_not_taken_for_the_one_before() -> None:
    raised = own("HealthdCheckWarning", code="BROKER_DOWN")
    during = OwnEffect(WAVE, WITHOUT_3)
    assert during.explains(raised)
    later = FiringAlert(source=raised.source, labels=raised.labels, since="13:00")
    assert closed_by(later, state=AT_REST, snapshot=WELL, explained=during.explained) == [
        "HealthdCheckWarning"
    ]


@pytest.mark.parametrize("name", ["HealthdWaveHeld", "HealthdWavePaused"])
def test_the_alert_that_this_wave_is_held_does_not_hold_it_for_ever(name: str) -> None:
    assert closed_by(own(name, wave="w"), state=AT_REST) == []
    assert closed_by(own(name, wave="another"), state=AT_REST) == [name]


def test_the_heartbeat_closes_nothing() -> None:
    assert closed_by(alert("HealthdHeartbeat"), state=AT_REST) == []


def test_a_hold_names_the_alert_with_its_labels_since_when_and_who_says_so() -> None:
    (hold,) = alert_holds([alert(severity="critical", instance="b1:9100")])
    assert hold.code is ReasonCode.ALERT_FIRING
    assert hold.object == "alert:DiskFull"
    assert hold.detail == '{instance="b1:9100", severity="critical"} since 12:00 in alertmanager'


def test_alerts_of_one_name_are_one_hold_and_others_have_their_own() -> None:
    many = [alert(instance=f"b{n}") for n in range(1, 6)]
    holds = alert_holds([*many, alert("AnotherAlert")])
    assert [hold.object for hold in holds] == ["alert:AnotherAlert", "alert:DiskFull"]
    assert holds[1].detail.count("instance=") == 3
    assert holds[1].detail.endswith("; and 2 more")


@pytest.mark.parametrize(
    ("policy", "has_server", "has_alertmanager", "paths"),
    [
        (WavePolicy(), False, False, []),
        (WavePolicy(alerts=('a="b"',)), False, False, ["alerts"]),
        (WavePolicy(alerts=('a="b"',)), True, False, []),
        (WavePolicy(silence=True), True, False, ["silence"]),
        (WavePolicy(silence=True), True, True, []),
        (WavePolicy(silence=True, alerts=('a="b"',)), False, False, ["alerts", "silence"]),
    ],
)
def test_a_policy_that_nobody_can_act_on_is_a_problem_by_name(
    policy: WavePolicy, paths: list[str], *, has_server: bool, has_alertmanager: bool
) -> None:
    found = unasked(
        policy, has_server=has_server, has_alertmanager=has_alertmanager, cluster="payments"
    )
    assert [each.path for each in found] == paths
    assert all("payments" in each.message for each in found)
