"""/metrics: the series of contract.md section 4, when they are there and when they are not."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from support.daemon import (
    InMemoryDaemon,
    broker_down,
    cluster_view,
    snapshot_of_cluster,
    unseen_view,
    wave_state,
)

from healthd.config.source_rest import RestConfig
from healthd.serve.metric_names import METRICS
from healthd.serve.metrics import Exposition, FleetCollector, observe
from healthd.waves.dora import Deployment
from healthd.waves.state import WaveStatus

Labels = dict[str, str]


def page_of(daemon: InMemoryDaemon, accept: str = "") -> str:
    body, _ = Exposition().render(observe(daemon), accept)
    return body.decode()


def series(daemon: InMemoryDaemon, name: str) -> list[tuple[Labels, float]]:
    return [
        (sample.labels, sample.value)
        for family in text_string_to_metric_families(page_of(daemon))
        for sample in family.samples
        if sample.name == name
    ]


def names_of_cluster(daemon: InMemoryDaemon, cluster: str) -> set[str]:
    return {
        sample.name
        for family in text_string_to_metric_families(page_of(daemon))
        for sample in family.samples
        if sample.labels.get("kafka_cluster") == cluster
    }


DEPLOYED = Deployment(
    wave="w0",
    cluster="payments",
    requested_at=0.0,
    ended_at=3_000.0,
    outcome=WaveStatus.SUCCEEDED,
    restores=(45.0, 90.0),
)
SOURCES = {
    "mirrors": {
        "flows": [
            {
                "source": "east",
                "target": "west",
                "ready": True,
                "behindSeconds": 2.5,
                "behindRecords": 7,
                "lastSeenUnixSeconds": 5e8,
            },
            {"source": "south", "target": "west", "ready": None, "lastSeenUnixSeconds": None},
        ],
        "ageSeconds": 3.0,
    },
    "connectors": {
        "clusters": [
            {
                "name": "etl",
                "connectorStates": {"RUNNING": 1},
                "taskStates": {"RUNNING": 3, "FAILED": 2},
            }
        ]
    },
    "schemaRegistry": {
        "instances": [
            {"instance": "r1:8081", "up": True},
            {"instance": "r2:8081", "up": False},
            {"instance": "r3:8081", "up": None},
        ]
    },
}


@pytest.fixture
def full(daemon: InMemoryDaemon) -> InMemoryDaemon:
    """A daemon that has something for every metric."""
    daemon.views["ill"] = cluster_view("ill", snapshot_of_cluster("ill", **broker_down(3)))
    daemon.views["dark"] = unseen_view()
    beside = snapshot_of_cluster("beside", extra=SOURCES)
    daemon.views["beside"] = cluster_view("beside", beside)
    daemon.put(wave_state())
    counters = daemon.counters
    counters.collections = {"payments": {"metadata": 5}, "gone": {"metadata": 1}}
    counters.failures = {
        "ill": {("metrics", "theirs", "refused"): 2},
        "gone": {("metrics", "theirs", "refused"): 1},
    }
    counters.gate_closed_seconds = {"BROKER_DOWN": 12.5}
    counters.restart_seconds = {"stopping": [0.5, 3.0, 5000.0]}
    counters.loop_ticks = {"collect": 1767268800.0}
    counters.deployments = {"succeeded": 2}
    counters.deployed = {"w0": DEPLOYED}
    return daemon


def test_mirrors_connectors_and_registries_have_series(full: InMemoryDaemon) -> None:
    flow = {"kafka_cluster": "beside", "source": "east", "target": "west"}
    never = {"kafka_cluster": "beside", "source": "south", "target": "west"}
    assert series(full, "healthd_mirror_behind_seconds") == [(flow, 2.5)]
    assert series(full, "healthd_mirror_ready") == [(flow, 1), (never, 0)]
    assert series(full, "healthd_mirror_last_seen_timestamp_seconds") == [(flow, 5e8), (never, 0)]
    task = {"kafka_cluster": "beside", "connect": "etl", "state": "FAILED"}
    assert (task, 2) in series(full, "healthd_connector_tasks")
    # Of the third instance nothing is known.
    up = {labels["instance"]: value for labels, value in series(full, "healthd_schema_registry_up")}
    assert up == {"r1:8081": 1, "r2:8081": 0}
    seen = [labels["source"] for labels, _ in series(full, "healthd_snapshot_timestamp_seconds")]
    assert seen.count("mirrors") == 1


def test_a_source_that_never_told_anything_has_the_timestamp_0(daemon: InMemoryDaemon) -> None:
    view = cluster_view("payments")
    config = replace(view.config, schema_registry=RestConfig(urls=("http://r1:8081",)))
    daemon.views["payments"] = replace(view, config=config)
    labels = {"kafka_cluster": "payments", "source": "schemaRegistry"}
    assert (labels, 0.0) in series(daemon, "healthd_snapshot_timestamp_seconds")


def test_every_metric_of_the_table_has_a_series(full: InMemoryDaemon) -> None:
    seen = {family.name for family in FleetCollector(observe(full)).collect() if family.samples}
    assert seen == {family_name(spec.name, spec.kind) for spec in METRICS}


def family_name(name: str, kind: str) -> str:
    suffix = {"info": "_info", "counter": "_total"}.get(kind, "")
    return name.removesuffix(suffix)


def test_every_series_has_the_labels_of_the_table(full: InMemoryDaemon) -> None:
    labels = {spec.name: set(spec.labels) for spec in METRICS}
    for family in FleetCollector(observe(full)).collect():
        for sample in family.samples:
            name = re.sub("_(bucket|sum|count)$", "", sample.name)
            assert set(sample.labels) - {"le"} == labels[name], sample.name


def test_promtool_has_no_complaint(full: InMemoryDaemon) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed; make parts installs it")
    found = subprocess.run(
        [promtool, "check", "metrics"],
        input=page_of(full), capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


def test_openmetrics_is_there_for_whoever_asks_for_it(full: InMemoryDaemon) -> None:
    page = page_of(full, "application/openmetrics-text; version=1.0.0")
    assert page.endswith("# EOF\n")
    parse: Callable[[str], Iterable[Metric]] = openmetrics.text_string_to_metric_families
    families = parse(page)
    assert "healthd_build" in {family.name for family in families}


async def test_the_page_says_what_format_it_is_in(anybody: httpx2.AsyncClient) -> None:
    response = await anybody.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'healthd_health_index{kafka_cluster="payments"} 100.0' in response.text


def test_exactly_one_class_is_1(full: InMemoryDaemon) -> None:
    found = series(full, "healthd_health_class")
    classes = {"OK", "WARN", "CRIT", "UNKNOWN"}
    assert {labels["class"] for labels, _ in found} == classes
    assert {(labels["kafka_cluster"], labels["class"]) for labels, value in found if value} == {
        ("payments", "OK"), ("ill", "WARN"), ("dark", "UNKNOWN"), ("beside", "OK"),
    }  # fmt: skip


def test_an_active_check_has_its_severity_and_its_objects(full: InMemoryDaemon) -> None:
    ill = {"kafka_cluster": "ill", "code": "BROKER_DOWN"}
    active = series(full, "healthd_check_active")
    assert ({**ill, "severity": "WARN", "muted": "false"}, 1.0) in active
    assert (ill, 1.0) in series(full, "healthd_check_objects")
    assert (ill, 89.0) in series(full, "healthd_index_cap")
    assert not [labels for labels, _ in active if labels["kafka_cluster"] == "payments"]


def test_the_contributions_and_the_cap_explain_the_index(full: InMemoryDaemon) -> None:
    points = sum(
        value
        for labels, value in series(full, "healthd_index_contribution_points")
        if labels["kafka_cluster"] == "ill"
    )
    lowest = min(value for _, value in series(full, "healthd_index_cap"))
    (index,) = (
        value
        for labels, value in series(full, "healthd_health_index")
        if labels["kafka_cluster"] == "ill"
    )
    assert index == pytest.approx(min(100 - points, lowest))


def test_before_metadata_was_seen_there_is_no_number_but_what_is_known(
    daemon: InMemoryDaemon,
) -> None:
    unseen = snapshot_of_cluster("began", brokers=[], topics=[], ages={"metadata": None})
    daemon.views = {"dark": unseen_view(), "began": cluster_view("began", unseen)}
    for name in daemon.views:
        assert names_of_cluster(daemon, name) - {"healthd_collect_duration_seconds"} == {
            "healthd_cluster_info",
            "healthd_health_class",
            "healthd_completeness_ratio",
            "healthd_snapshot_timestamp_seconds",
            "healthd_routing_verdict",
            "healthd_routing_weight_percent",
            "healthd_routing_transitions_total",
        }
    assert (
        {"kafka_cluster": "dark", "source": "metadata"}, 0.0,
    ) in series(daemon, "healthd_snapshot_timestamp_seconds")  # fmt: skip


def test_the_index_stays_while_data_is_missing(daemon: InMemoryDaemon) -> None:
    old = snapshot_of_cluster(ages={"metadata": 9999, "configs": 9999, "quorum": 9999})
    daemon.views["payments"] = replace(cluster_view(snapshot=old), seen_at={"metadata": 5.0})
    assert len(series(daemon, "healthd_health_index")) == 1
    assert series(daemon, "healthd_completeness_ratio")[0][1] == 0.0


def test_a_source_that_is_not_configured_has_no_timestamp(daemon: InMemoryDaemon) -> None:
    view = unseen_view()
    daemon.views = {"dark": replace(view, config=replace(view.config, hosts=()))}
    found = series(daemon, "healthd_snapshot_timestamp_seconds")
    assert [labels["source"] for labels, _ in found] == ["metadata", "configs", "quorum"]


def test_a_cluster_that_leaves_the_fleet_loses_all_its_series(full: InMemoryDaemon) -> None:
    assert names_of_cluster(full, "ill")
    del full.views["ill"]
    assert not names_of_cluster(full, "ill")
    assert not names_of_cluster(full, "gone")


def test_brokers_that_run_and_serve_nobody_are_told_from_those_that_are_down(
    daemon: InMemoryDaemon,
) -> None:
    changes = broker_down(3)
    changes["brokers"][1]["fenced"] = True
    daemon.views = {"ill": cluster_view("ill", snapshot_of_cluster("ill", **changes))}
    found = {labels["state"]: value for labels, value in series(daemon, "healthd_brokers")}
    assert found == {"up": 1.0, "fenced": 1.0, "down": 1.0}


@pytest.mark.parametrize(
    ("tolerated", "expected"),
    [(("az1", "az2", "az3"), [1.0]), (("az1",), [0.0]), ((), [0.0])],
)
def test_rack_loss_is_tolerated_when_any_rack_may_go(
    daemon: InMemoryDaemon, tolerated: tuple[str, ...], expected: list[float]
) -> None:
    daemon.views["payments"] = replace(cluster_view(), tolerated_racks=tolerated)
    assert [value for _, value in series(daemon, "healthd_rack_loss_tolerated")] == expected


def test_without_racks_nothing_is_said_about_losing_one(daemon: InMemoryDaemon) -> None:
    brokers = [{"id": node, "alive": True} for node in (1, 2, 3)]
    daemon.views["payments"] = cluster_view(snapshot=snapshot_of_cluster(brokers=brokers))
    assert series(daemon, "healthd_rack_loss_tolerated") == []


def test_a_wave_is_in_one_state_and_its_nodes_are_counted(full: InMemoryDaemon) -> None:
    states = series(full, "healthd_wave_state")
    assert [labels["state"] for labels, value in states if value] == ["holding"]
    assert len(states) == len(WaveStatus)
    nodes = {labels["state"]: value for labels, value in series(full, "healthd_wave_brokers")}
    assert (nodes["done"], nodes["soaking"], nodes["pending"]) == (1.0, 1.0, 1.0)
    both = {"wave": "w1", "kafka_cluster": "payments"}
    assert series(full, "healthd_wave_in_flight") == [(both, 1.0)]
    assert series(full, "healthd_gate_open") == [(both, 0.0)]


def test_a_cluster_that_left_the_fleet_takes_its_part_in_an_ended_wave_with_it(
    daemon: InMemoryDaemon,
) -> None:
    daemon.put(wave_state(cluster="gone", status=WaveStatus.SUCCEEDED))
    page = Exposition().render(observe(daemon), "")[0].decode()
    assert 'kafka_cluster="gone"' not in page
    assert 'healthd_wave_state{state="succeeded",wave="w1"} 1.0' in page


def test_a_wave_that_was_aborted_in_a_soak_has_nothing_in_flight(daemon: InMemoryDaemon) -> None:
    daemon.put(wave_state(status=WaveStatus.ABORTED))
    assert [value for _, value in series(daemon, "healthd_wave_in_flight")] == [0.0]
    nodes = {labels["state"]: value for labels, value in series(daemon, "healthd_wave_brokers")}
    assert nodes["soaking"] == 1.0, "the story stays as it was"


def test_a_wave_that_nothing_holds_has_an_open_gate(daemon: InMemoryDaemon) -> None:
    daemon.put(wave_state(holds=(), status=WaveStatus.RUNNING))
    assert [value for _, value in series(daemon, "healthd_gate_open")] == [1.0]


def test_a_wave_that_has_ended_has_no_gate(daemon: InMemoryDaemon) -> None:
    daemon.put(wave_state(status=WaveStatus.SUCCEEDED))
    assert series(daemon, "healthd_gate_open") == []
    assert len(series(daemon, "healthd_wave_state")) == len(WaveStatus)


def test_lead_times_and_times_to_restore_are_histograms(full: InMemoryDaemon) -> None:
    def counts(name: str) -> dict[str, float]:
        return {labels["le"]: value for labels, value in series(full, f"{name}_bucket")}

    lead = counts("healthd_deployment_lead_time_seconds")
    assert (lead["1800.0"], lead["3600.0"], lead["+Inf"]) == (0, 1, 1)
    restore = counts("healthd_time_to_restore_seconds")
    assert (restore["30.0"], restore["60.0"], restore["120.0"]) == (0, 1, 2)
    assert series(full, "healthd_time_to_restore_seconds_sum") == [({}, 135.0)]


def test_a_wave_that_failed_has_no_lead_time(full: InMemoryDaemon) -> None:
    full.counters.deployed = {"w0": replace(DEPLOYED, outcome=WaveStatus.FAILED)}
    assert series(full, "healthd_deployment_lead_time_seconds_count") == [({}, 0)]


def test_restarts_are_a_histogram_by_phase(full: InMemoryDaemon) -> None:
    buckets = {
        labels["le"]: value
        for labels, value in series(full, "healthd_broker_restart_seconds_bucket")
    }
    assert (buckets["1.0"], buckets["5.0"], buckets["3600.0"], buckets["+Inf"]) == (1, 2, 2, 3)
    assert series(full, "healthd_broker_restart_seconds_sum") == [({"phase": "stopping"}, 5003.5)]


def test_every_outcome_is_counted_from_zero(full: InMemoryDaemon) -> None:
    found = {row["outcome"]: value for row, value in series(full, "healthd_deployments_total")}
    assert found == {"succeeded": 2.0, "failed": 0.0, "aborted": 0.0}


def test_a_bad_fleet_file_shows(full: InMemoryDaemon) -> None:
    full.last_reload = (False, 1767268111.0, "unknown key")
    assert series(full, "healthd_config_last_reload_successful") == [({}, 0.0)]
    assert series(full, "healthd_config_last_reload_timestamp_seconds") == [({}, 1767268111.0)]


def test_who_answers_is_who_looks_after_the_fleet(full: InMemoryDaemon) -> None:
    assert series(full, "healthd_leader") == [({}, 1.0)]


def test_the_profile_is_known_before_anything_was_scored(daemon: InMemoryDaemon) -> None:
    daemon.views = {"dark": unseen_view()}
    ((labels, value),) = series(daemon, "healthd_scoring_profile_info")
    assert (value, set(labels)) == (1.0, {"version", "hash"})


def test_no_series_is_kept_from_one_page_to_the_next(full: InMemoryDaemon) -> None:
    exposition = Exposition()
    exposition.render(observe(full), "")
    full.wave_views.clear()
    assert b"healthd_wave_state{" not in exposition.render(observe(full), "")[0]


def test_every_metric_is_in_the_reference_with_its_kind_and_labels() -> None:
    page = (Path(__file__).parents[3] / "docs/reference/metrics.md").read_text()
    for spec in METRICS:
        labels = ", ".join(f"`{label}`" for label in spec.labels) or "-"
        row = f"| `{spec.name}` | {spec.kind} | {labels} | {spec.help.rstrip('.')} |"
        assert row in page, f"docs/reference/metrics.md lacks: {row}"


def test_the_reference_names_no_metric_that_is_not_there() -> None:
    page = (Path(__file__).parents[3] / "docs/reference/metrics.md").read_text()
    assert set(re.findall(r"`(healthd_\w+)`", page)) == {spec.name for spec in METRICS}


def test_what_a_cluster_can_lose_is_counted_by_answer(full: InMemoryDaemon) -> None:
    found = {
        (labels["kind"], labels["answer"]): value
        for labels, value in series(full, "healthd_losable")
        if labels["kafka_cluster"] == "ill"
    }
    assert found["broker", "no"] == 2.0, "with one broker down the other two are needed"
    assert found["broker", "yes"] == 0.0
    assert {kind for kind, _ in found} == {"broker", "rack", "controller"}


def test_a_tenant_has_an_index_and_one_series_a_class(full: InMemoryDaemon) -> None:
    assert series(full, "healthd_tenant_health_index")
    classes = {
        labels["class"]: value
        for labels, value in series(full, "healthd_tenant_health_class")
        if labels["kafka_cluster"] == "payments"
    }
    assert classes == {"OK": 1.0, "WARN": 0.0, "CRIT": 0.0, "UNKNOWN": 0.0}


def test_a_cluster_tells_the_labels_that_alerts_are_routed_by(daemon: InMemoryDaemon) -> None:
    view = cluster_view()
    config = replace(view.config, labels={"env": "prod", "team": "orders", "tier": "1"})
    daemon.views = {"payments": replace(view, config=config), "dark": unseen_view()}
    assert series(daemon, "healthd_cluster_info") == [
        ({"kafka_cluster": "payments", "env": "prod", "team": "orders"}, 1.0),
        ({"kafka_cluster": "dark", "env": "test", "team": ""}, 1.0),
    ]
