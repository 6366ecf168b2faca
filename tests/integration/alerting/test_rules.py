"""The shipped rules in promtool: each alert fires when it should, and not when it should not."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from support.alert_cases import (
    CASES,
    ROUTE,
    WELL_CLUSTER,
    WELL_DAEMON,
    AlertCase,
    check_is,
    every_check,
)

from healthd.demo.provision import find_program

ROOT = Path(__file__).resolve().parents[3]
RULES = ROOT / "config/prometheus/healthd.rules.yml"
DOCS_BASE = "{{ $externalLabels.healthd_docs }}/"
SHORT = 20
ALWAYS = "HealthdHeartbeat"
"""Fires as long as all is well."""


def rules() -> list[dict[str, Any]]:
    groups = YAML(typ="safe").load(RULES.read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}


def promtool(*words: str) -> str:
    """What promtool says; it has to be content."""
    ran = subprocess.run(
        [str(find_program("promtool")), *words], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def firing(minute: int, query: str, expected: Iterable[Mapping[str, str]]) -> dict[str, Any]:
    """One expectation: these series of ALERTS are there at that minute, and no others."""
    return {
        "expr": query,
        "eval_time": f"{minute}m",
        "exp_samples": [{"labels": f"{{{labels_of(labels)}}}", "value": 1} for labels in expected],
    }


def labels_of(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{value}"' for name, value in labels.items())


def expectation(case: AlertCase) -> dict[str, Any]:
    """Exactly that alert of its name with exactly these labels, or none."""
    full = {"__name__": "ALERTS", "alertname": case.alert, "alertstate": "firing", **case.labels}
    query = f'ALERTS{{alertname="{case.alert}",alertstate="firing"}}'
    if case.cluster:
        query = query.replace("}", f',kafka_cluster="{case.cluster}"}}')
    return firing(case.minute, query, [full] if case.fires else [])


def world(name: str, series: Mapping[str, str], *checked: dict[str, Any]) -> dict[str, Any]:
    """One test of promtool's: these series, a sample a minute."""
    return {
        "name": name,
        "interval": "1m",
        "input_series": [{"series": one, "values": row} for one, row in series.items() if row],
        "promql_expr_test": list(checked),
    }


def run_tests(tests: list[dict[str, Any]], folder: Path) -> None:
    file = folder / "rules.test.yml"
    document = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        # Recorded series first, alerts about waves and routing after them.
        "group_eval_order": ["healthd_clusters", "healthd_routing", "healthd_waves"],
        "tests": tests,
    }
    # JSON is YAML.
    file.write_text(json.dumps(document), "utf-8")
    promtool("test", "rules", str(file))


def test_the_rules_are_valid_and_named_by_the_example_configuration() -> None:
    promtool("check", "rules", str(RULES))
    assert "healthd.rules.yml" in promtool(
        "check", "config", str(ROOT / "config/prometheus/prometheus.yml")
    )


def test_each_alert_fires_when_it_should_and_not_when_it_should_not(tmp_path: Path) -> None:
    shared: dict[str, str] = dict(WELL_DAEMON)
    checked, worlds = [], []
    for case in CASES:
        # Who needs hours has them alone: a world costs its clusters times its minutes.
        if case.is_of_cluster and case.minute <= SHORT:
            own = case.on_its_own()
            shared |= own.series
            checked.append(expectation(own))
        else:
            series = {**WELL_DAEMON, **WELL_CLUSTER, **case.series}
            worlds.append(world(case.name, series, expectation(case)))
    run_tests([world("a cluster for each case", shared, *checked), *worlds], tmp_path)


@pytest.mark.parametrize("fires", [True, False])
def test_no_alert_lacks_a_case(fires: bool) -> None:  # noqa: FBT001  # By its name in the table.
    assert {case.alert for case in CASES if case.fires is fires} == set(ALERTS)


def test_each_check_that_is_warn_or_crit_is_in_just_one_alert(tmp_path: Path) -> None:
    series: dict[str, str] = {}
    expected = []
    words = {"warn": "warning", "crit": "critical"}
    for cluster, (active, alert) in every_check().items():
        series |= {**active, f'healthd_completeness_ratio{{kafka_cluster="{cluster}"}}': "1x20"}
        severity = words[cluster.rpartition("-")[2]]
        if alert == "HealthdMonitorSuspect":
            continue  # It is one for the whole fleet.
        if alert == "HealthdFleetPanic":
            severity = "critical"
        expected.append({"kafka_cluster": cluster, "alertname": alert, "severity": severity})
    query = (
        "count by (kafka_cluster, alertname, severity) "
        '(ALERTS{alertstate="firing",kafka_cluster!=""})'
    )
    fleet = {"alertname": "HealthdMonitorSuspect", "alertstate": "firing", "severity": "critical"}
    suspected = firing(
        15, 'ALERTS{alertname="HealthdMonitorSuspect"}', [{"__name__": "ALERTS", **fleet}]
    )
    run_tests([world("every check", series, firing(15, query, expected), suspected)], tmp_path)


def test_a_cluster_that_is_well_has_no_alert_but_the_heartbeat(tmp_path: Path) -> None:
    query = f'ALERTS{{alertname!="{ALWAYS}"}}'
    checked = [firing(minute, query, []) for minute in (1, 20, 60)]
    run_tests([world("well", {**WELL_DAEMON, **WELL_CLUSTER}, *checked)], tmp_path)


OFFLINE = {
    "__name__": "ALERTS",
    "alertname": "HealthdCheckCritical",
    "alertstate": "firing",
    "code": "PARTITION_OFFLINE",
    "severity": "critical",
}
OFFLINE_FIRES = 'ALERTS{alertname="HealthdCheckCritical",alertstate="firing"}'


def test_a_cluster_without_labels_has_its_alerts(tmp_path: Path) -> None:
    series = {
        name: values
        for name, values in {**WELL_CLUSTER, **check_is("PARTITION_OFFLINE", "CRIT")}.items()
        if "healthd_cluster_info" not in name
    }
    expected = {**OFFLINE, "kafka_cluster": "payments"}
    run_tests([world("no labels", series, firing(5, OFFLINE_FIRES, [expected]))], tmp_path)


def test_two_daemons_that_look_at_one_cluster_raise_one_alert(tmp_path: Path) -> None:
    series = {
        f'{name[:-1]},instance="{instance}"}}': values
        for name, values in {**WELL_CLUSTER, **check_is("PARTITION_OFFLINE", "CRIT")}.items()
        for instance in ("a", "b")
    }
    expected = {**OFFLINE, **ROUTE}
    run_tests([world("two daemons", series, firing(5, OFFLINE_FIRES, [expected]))], tmp_path)


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_says_what_it_is_and_where_to_read_on(name: str) -> None:
    rule = ALERTS[name]
    annotations = rule["annotations"]
    assert set(annotations) == {"summary", "description", "runbook_url"}
    assert annotations["summary"]
    assert annotations["description"].endswith(".")
    # Of these the severity is that of the check.
    is_of_check = "healthd_check_active:alerting" in rule["expr"]
    severity = rule.get("labels", {}).get("severity")
    assert severity in ({"critical", "warning", "none"} | ({None} if is_of_check else set()))
    page = ROOT / "docs/alerts" / f"{name}.md"
    assert page.exists(), f"write {page.relative_to(ROOT)}"
    text = page.read_text("utf-8")
    assert text.startswith(f"# {name}\n")
    assert re.findall("^## (.*)", text, re.MULTILINE) == ["What it means", "Impact", "What to do"]
    link = annotations["runbook_url"]
    assert link.startswith(DOCS_BASE)
    own = f"alerts/{name}.md"
    assert link.removeprefix(DOCS_BASE) in {own, "codes/checks/{{ $labels.code }}.md"}


def test_there_is_no_page_of_an_alert_that_is_gone() -> None:
    pages = {path.stem for path in (ROOT / "docs/alerts").glob("*.md")} - {"README"}
    assert pages == set(ALERTS)


def test_only_alerts_that_say_not_seen_are_marked_as_missing_evidence() -> None:
    marked = {name for name, rule in ALERTS.items() if "evidence" in rule.get("labels", {})}
    assert marked == {
        "HealthdClusterUnknown",
        "HealthdClusterUnknownAndLow",
        "HealthdCompletenessLow",
        "HealthdSnapshotStale",
        "HealthdCollectorTrouble",
    }


@pytest.mark.parametrize("case", [case for case in CASES if case.fires], ids=lambda it: it.name)
def test_the_words_of_an_alert_use_labels_that_it_has(case: AlertCase) -> None:
    words = "".join(ALERTS[case.alert]["annotations"].values())
    # "with" asks whether the label is there.
    assert set(re.findall(r"(?<!with )\$labels\.(\w+)", words)) <= case.labels.keys()
