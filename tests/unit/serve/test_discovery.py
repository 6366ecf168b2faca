"""/sd/v1/brokers: what Prometheus's HTTP service discovery reads."""

from dataclasses import replace

import httpx2
from support.daemon import InMemoryDaemon, config_of, unseen_view

from healthd.config.fleet import ExporterConfig, HostConfig
from healthd.config.source_prometheus import PrometheusServer, PrometheusUse
from healthd.config.source_rest import RestConfig
from healthd.serve.target_json import target_groups


async def test_every_exporter_of_every_cluster_is_a_target(
    daemon: InMemoryDaemon, anybody: httpx2.AsyncClient
) -> None:
    # What healthd has seen of a cluster does not matter: its exporters are to be scraped.
    daemon.views["dark"] = unseen_view("dark")
    response = await anybody.get("/sd/v1/brokers")
    assert response.headers["content-type"] == "application/json"
    assert [
        (group["targets"], group["labels"]["kafka_cluster"], group["labels"]["broker"])
        for group in response.json()
    ] == [
        ([f"b{node}:7071"], cluster, str(node))
        for cluster in ("payments", "dark")
        for node in (1, 2, 3)
    ]


def test_a_target_has_the_labels_of_its_cluster_and_its_host() -> None:
    host = HostConfig(
        broker=7,
        address="b7",
        rack="az1",
        exporter="[2001:db8::7]:7071",
        labels={"disk.type": "ssd"},
    )
    config = replace(
        config_of("payments"),
        labels={"env": "prod", "team": "orders", "cost-centre": "12"},
        exporter=ExporterConfig(path="/jmx"),
        hosts=(host,),
    )
    assert list(target_groups(config)) == [
        {
            "targets": ["[2001:db8::7]:7071"],
            "labels": {
                "__meta_healthd_label_env": "prod",
                "__meta_healthd_label_team": "orders",
                "__meta_healthd_label_cost_centre": "12",
                "__meta_healthd_host_label_disk_type": "ssd",
                "__meta_healthd_address": "b7",
                "__metrics_path__": "/jmx",
                "kafka_cluster": "payments",
                "broker": "7",
                "rack": "az1",
                "env": "prod",
                "team": "orders",
            },
        }
    ]


def test_what_the_fleet_file_does_not_tell_is_left_out() -> None:
    hosts = (
        HostConfig(broker=1, address="b1", exporter="b1:7071"),
        HostConfig(broker=2, address="b2"),
    )
    config = replace(config_of("payments"), labels={}, hosts=hosts)
    (group,) = target_groups(config)
    assert group["labels"] == {
        "__meta_healthd_address": "b1",
        "__metrics_path__": "/metrics",
        "kafka_cluster": "payments",
        "broker": "1",
    }


def test_exporters_that_prometheus_scrapes_for_healthd_are_targets_too() -> None:
    rest = RestConfig(urls=("http://prometheus:9090",))
    use = PrometheusUse(server=PrometheusServer(name="eu", rest=rest))
    assert len(list(target_groups(replace(config_of("payments"), prometheus=use)))) == 3
