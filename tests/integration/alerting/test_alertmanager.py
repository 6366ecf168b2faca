"""The shipped routes and inhibitions, in amtool and in a real Alertmanager."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from support.alert_cases import CASES
from support.alertmanager import CONFIG, RealAlertmanager, WebhookReceiver, alertmanager

from healthd.demo.provision import find_program
from healthd.demo.service import wait_until

FIRING = {case.alert: {"alertname": case.alert, **case.labels} for case in CASES if case.fires}
"""The labels of one alert of each name, on the cluster payments where it is about one."""
ALL = frozenset(FIRING)
OF_CLUSTER = frozenset(name for name, labels in FIRING.items() if "kafka_cluster" in labels)
MISSING = frozenset(name for name, labels in FIRING.items() if "evidence" in labels)
TOLD_BEFORE = {
    "HealthdIndexBelow50": {"HealthdIndexBelow70", "HealthdIndexBelow90", "HealthdClassCritical"},
    "HealthdIndexBelow70": {"HealthdIndexBelow90", "HealthdClassCritical"},
    "HealthdClusterUnknownAndLow": {"HealthdClusterUnknown", "HealthdCompletenessLow"},
    "HealthdClusterUnknown": {"HealthdCompletenessLow"},
    "HealthdCertificateExpired": {"HealthdCertificateExpiring"},
    "HealthdDown": {"HealthdAbsent"},
    "HealthdMonitorSuspect": set(MISSING),
    "HealthdClusterUnreachable": OF_CLUSTER
    - {
        "HealthdClusterUnreachable",
        "HealthdCertificateExpired",
        "HealthdRoutingOut",
        "HealthdFleetPanic",
        "HealthdLoopStuck",
    },
}
"""Which alerts each one silences on its own cluster, MonitorSuspect everywhere; others: none."""


def amtool(*words: str) -> str:
    """What amtool says; it has to be content."""
    ran = subprocess.run(
        [str(find_program("amtool")), *words], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_the_configuration_is_valid() -> None:
    assert "SUCCESS" in amtool("check-config", str(CONFIG))


def test_there_are_no_secrets_and_every_receiver_is_an_example() -> None:
    receivers = YAML(typ="safe").load(CONFIG.read_text("utf-8"))["receivers"]
    for receiver in receivers:
        ((kind, hooks),) = [(key, value) for key, value in receiver.items() if key != "name"]
        assert kind == "webhook_configs"
        assert all(".example.net/" in hook["url"] and "@" not in hook["url"] for hook in hooks)


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("alertname=HealthdIndexBelow50 severity=critical env=prod team=orders", "orders-pager"),
        ("alertname=HealthdIndexBelow50 severity=critical env=dev team=orders", "orders-tickets"),
        ("alertname=HealthdIndexBelow90 severity=warning env=prod team=orders", "orders-tickets"),
        ("alertname=HealthdIndexBelow50 severity=critical env=prod team=nobody", "pager"),
        ("alertname=HealthdIndexBelow50 severity=critical env=prod", "pager"),
        ("alertname=HealthdIndexBelow50 severity=critical", "pager"),
        ("alertname=HealthdIndexBelow50 severity=critical env=dev", "tickets"),
        ("alertname=HealthdIndexBelow90 severity=warning env=prod", "tickets"),
        ("alertname=HealthdMonitorSuspect severity=critical", "pager"),
        ("alertname=HealthdDown severity=critical job=healthd", "pager"),
        ("alertname=HealthdAbsent severity=critical", "pager"),
        ("alertname=HealthdLoopStuck severity=critical kafka_cluster=a team=orders", "pager"),
        ("alertname=HealthdConfigReloadFailed severity=warning", "tickets"),
        ("alertname=HealthdHeartbeat severity=none", "dead-man"),
        ("alertname=SomebodyElses", "tickets"),
    ],
)
def test_an_alert_goes_to_who_has_to_act(labels: str, receiver: str) -> None:
    words = ("config", "routes", "test", f"--config.file={CONFIG}")
    amtool(*words, f"--verify.receivers={receiver}", *labels.split())


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealAlertmanager]:
    folder = tmp_path_factory.mktemp("alertmanager") / "server"
    with WebhookReceiver().serving() as receiver, alertmanager(folder, receiver.address) as server:
        yield server


def of_world(name: str, world: str) -> dict[str, str]:
    """An alert of that name on a cluster of this world."""
    labels = dict(FIRING[name])
    if "kafka_cluster" in labels:
        labels["kafka_cluster"] = world
    return labels


def silenced_in(running: RealAlertmanager, world: str) -> set[str]:
    return {
        str(alert["labels"]["alertname"])
        for alert in running.alerts()
        if alert["labels"].get("kafka_cluster") == world and alert["status"]["inhibitedBy"]
    }


def test_each_alert_silences_just_what_follows_from_it(running: RealAlertmanager) -> None:
    # A cluster for each alert that silences; those about no cluster come in the tests below.
    expected = {}
    for source in sorted(OF_CLUSTER):
        followers = TOLD_BEFORE.get(source, set())
        # Whatever silences the source's followers besides it is not there.
        others = OF_CLUSTER - (TOLD_BEFORE.keys() - {source})
        running.post([of_world(name, source) for name in sorted(others | {source})])
        # A critical check silences the warning of the same code.
        same_code = {
            name
            for name in others
            for worse in others
            if FIRING[worse].get("code") == FIRING[name].get("code") is not None
            and (FIRING[worse]["severity"], FIRING[name]["severity"]) == ("critical", "warning")
        }
        expected[source] = (set(followers) & others) | same_code
    # What an Alertmanager inhibits is known as soon as it is asked.
    wait_until(
        lambda: all(silenced_in(running, world) == names for world, names in expected.items()),
        "every inhibition is as the table says",
        10,
    )


def test_monitor_suspect_silences_what_is_not_seen_on_every_cluster_and_nothing_else(
    tmp_path: Path,
) -> None:
    with (
        WebhookReceiver().serving() as receiver,
        alertmanager(tmp_path / "server", receiver.address) as server,
    ):
        clusters = ("one", "two")
        independent = OF_CLUSTER - TOLD_BEFORE.keys()
        seen = independent | MISSING
        server.post([of_world(name, cluster) for name in sorted(seen) for cluster in clusters])
        server.post([FIRING["HealthdMonitorSuspect"], FIRING["HealthdDown"]])
        server.post([FIRING["HealthdAbsent"]])

        def silenced() -> set[tuple[Any, Any]]:
            return {
                (alert["labels"].get("kafka_cluster"), alert["labels"]["alertname"])
                for alert in server.alerts()
                if alert["status"]["inhibitedBy"]
            }

        expected: set[tuple[Any, Any]] = {
            (cluster, name) for cluster in clusters for name in MISSING
        }
        expected.add((None, "HealthdAbsent"))
        wait_until(lambda: silenced() == expected, "only what is not seen is silent", 10)
        wait_until(lambda: bool(receiver.alerts("HealthdMonitorSuspect", "firing")), "it pages", 20)
        ((path, _),) = receiver.alerts("HealthdMonitorSuspect", "firing")[:1]
        assert path == "/healthd"
        (message,) = [
            message
            for _, message in receiver.messages
            if message["alerts"][0]["labels"]["alertname"] == "HealthdMonitorSuspect"
        ]
        assert len(message["alerts"]) == 1, "it pages by itself"
