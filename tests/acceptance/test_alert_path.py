"""From a broker that dies to the person on call and back, through the real three.

Prometheus and Alertmanager run with the shipped files. A copy of the rules has its `for` and
`keep_firing_for` divided by 60, and a copy of the routes waits a second where they wait for more;
expressions, labels, routes and inhibitions are as shipped.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from support.alert_path import shipped_prometheus, targets_of
from support.alertmanager import RealAlertmanager, WebhookReceiver, alertmanager
from support.dashboard import panel_queries
from support.prometheus_server import RealPrometheus

from healthd.demo.daemon import DaemonProcess
from healthd.demo.fleet import DemoFleet
from healthd.demo.provision import find_program
from healthd.demo.service import wait_until

PATIENCE = 90
"""Seconds for each step; a quiet machine needs some ten for the longest."""
VICTIM = 4
"""A broker that is no controller."""
ALERT = "HealthdIndexBelow90"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertPath:
    """Everything from the brokers to the receiver."""

    daemon: DaemonProcess
    prometheus: RealPrometheus
    alertmanager: RealAlertmanager
    receiver: WebhookReceiver


@pytest.fixture(scope="module")
def path(shared_fleet: DemoFleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AlertPath]:
    """A daemon on the fleet, which belongs to the team orders, and the three that follow it."""
    folder = tmp_path_factory.mktemp("alert-path")
    fleet_file = shared_fleet.write_fleet_file(folder / "fleet.yaml")
    text = fleet_file.read_text("utf-8")
    assert text.count("env: demo") == 1
    fleet_file.write_text(text.replace("env: demo", "env: demo\n      team: orders"), "utf-8")
    with (
        DaemonProcess(
            fleet_file, folder, interval_seconds=1, collect_deadline_seconds=8,
            kafka_timeout_seconds=2,
        ) as daemon,
        WebhookReceiver().serving() as receiver,
        alertmanager(folder / "alertmanager", receiver.address) as alerts,
    ):  # fmt: skip
        daemon.start()
        with shipped_prometheus(
            folder / "prometheus",
            healthd=daemon.url.removeprefix("http://"),
            alertmanager=alerts.address,
        ) as prometheus:
            prometheus.wait_for(
                f'healthd_health_index{{kafka_cluster="{shared_fleet.cluster}"}} == 100', PATIENCE
            )
            yield AlertPath(
                daemon=daemon, prometheus=prometheus, alertmanager=alerts, receiver=receiver
            )


def test_promtool_has_nothing_to_say_against_the_metrics_of_a_running_daemon(
    path: AlertPath,
) -> None:
    checked = subprocess.run(
        [str(find_program("promtool")), "check", "metrics"],
        input=path.daemon.get("/metrics"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_a_real_prometheus_answers_for_the_health_index(fleet: DemoFleet, path: AlertPath) -> None:
    (result,) = path.prometheus.query("healthd_health_index")
    assert result["metric"]["kafka_cluster"] == fleet.cluster
    assert float(result["value"][1]) == 100
    assert len(path.prometheus.query("healthd_health_class")) == 4
    assert path.prometheus.query('up{job="healthd"} == 1')


def test_prometheus_finds_every_exporter_by_service_discovery(
    fleet: DemoFleet, path: AlertPath
) -> None:
    def scraped() -> dict[str, str]:
        return {
            target["labels"]["broker"]: target["health"]
            for target in targets_of(path.prometheus, "kafka")
        }

    wait_until(
        lambda: scraped() == {str(node.id): "up" for node in fleet.nodes},
        "every exporter is scraped",
        PATIENCE,
    )
    (target,) = [
        target
        for target in targets_of(path.prometheus, "kafka")
        if target["labels"]["broker"] == str(VICTIM)
    ]
    assert target["labels"] == {
        "job": "kafka",
        "instance": fleet.node(VICTIM).exporter_address,
        "kafka_cluster": fleet.cluster,
        "broker": str(VICTIM),
        "rack": fleet.node(VICTIM).rack,
        "env": "demo",
        "team": "orders",
        "region": "local",
    }


def test_every_query_of_the_dashboard_returns_data(fleet: DemoFleet, path: AlertPath) -> None:
    queries = {(query.panel, query.on(fleet.cluster)) for query in panel_queries()}
    assert len(queries) > 30

    # A rate needs two scrapes.
    path.prometheus.wait_for("count_over_time(healthd_collections_total[1m]) > 2", PATIENCE)
    empty = {(panel, text) for panel, text in queries if not path.prometheus.query(text)}
    assert empty == set()


def test_a_killed_broker_reaches_the_receiver_and_so_does_its_return(
    fleet: DemoFleet, path: AlertPath
) -> None:
    fleet.wait_until_healthy()
    # Whatever was told of the time before is over.
    fires = f'ALERTS{{alertname="{ALERT}"}}'
    wait_until(lambda: not path.prometheus.query(fires), "nothing is wrong", PATIENCE)
    told, ended = (len(path.receiver.alerts(ALERT, word)) for word in ("firing", "resolved"))
    fleet.kill(VICTIM)

    path.prometheus.wait_for(
        f'healthd_health_index{{kafka_cluster="{fleet.cluster}"}} < 90', PATIENCE
    )
    wait_until(lambda: len(path.receiver.alerts(ALERT, "firing")) > told, "it is told", PATIENCE)
    where, alert = path.receiver.alerts(ALERT, "firing")[told]
    # A team's warning goes to its tickets.
    assert where == "/orders"
    assert alert["labels"] == {
        "alertname": ALERT,
        "kafka_cluster": fleet.cluster,
        "severity": "warning",
        "env": "demo",
        "team": "orders",
    }
    annotations = alert["annotations"]
    assert re.fullmatch(
        rf"Health Index of {fleet.cluster} is [78]\d\.\d, below 90", annotations["summary"]
    )
    assert annotations["runbook_url"] == f"https://healthd.example.net/docs/alerts/{ALERT}.md"
    assert "<" not in "".join(annotations.values()), "every template was filled in"

    fleet.heal()
    wait_until(
        lambda: len(path.receiver.alerts(ALERT, "resolved")) > ended, "its end is told", PATIENCE
    )
    where, resolved = path.receiver.alerts(ALERT, "resolved")[ended]
    assert (where, resolved["labels"]) == ("/orders", alert["labels"])


def test_the_heartbeat_is_heard_by_the_dead_mans_switch(path: AlertPath) -> None:
    wait_until(
        lambda: bool(path.receiver.alerts("HealthdHeartbeat", "firing")), "it is heard", PATIENCE
    )
    ((where, _), *_) = path.receiver.alerts("HealthdHeartbeat", "firing")
    assert where == "/healthd"
