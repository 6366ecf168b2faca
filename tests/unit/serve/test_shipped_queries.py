"""The shipped rules and dashboard ask for series that there are, and name checks that there are."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from support.dashboard import FILE, panel_queries

from healthd.model.codes import CheckCode
from healthd.serve.metric_names import METRICS

ROOT = Path(__file__).resolve().parents[3]
RULES = ROOT / "config/prometheus/healthd.rules.yml"
NAMES = {spec.name for spec in METRICS}
LABELS = {label for spec in METRICS for label in spec.labels} | {"instance", "job"}
OF_ALERTS = {"alertname", "alertstate"}


def rule_expressions() -> dict[str, str]:
    groups = YAML(typ="safe").load(RULES.read_text("utf-8"))["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    return {rule.get("alert") or rule["record"]: rule["expr"] for rule in rules}


EXPRESSIONS = rule_expressions() | {
    f"{query.panel}: {query.expression}": query.expression for query in panel_queries()
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_a_query_names_metrics_labels_and_codes_that_there_are(name: str) -> None:
    expression = EXPRESSIONS[name]
    recorded = re.findall(r"\w+:\w+:\w+", expression)
    assert set(recorded) <= EXPRESSIONS.keys()
    plain = re.sub(r'\w+:\w+:\w+|"[^"]*"', "", expression)
    metrics = {re.sub("_bucket$", "", it) for it in re.findall(r"\bhealthd_\w+", plain)}
    assert metrics <= NAMES
    matched = re.findall(
        r"(\w+)\s*(?:=~|!~|!=|=)\s*$", "\n".join(expression.split('"')[::2]), re.MULTILINE
    )
    grouped = re.findall(r"\b(?:by|on|group_left)\s*\(([^)]*)\)", plain)
    labels = {*matched, *(label.strip() for it in grouped for label in it.split(","))} - {"", "le"}
    assert labels <= LABELS | OF_ALERTS
    for codes in re.findall(r'\bcode[=!]~?"([^"]*)"', expression):
        for code in codes.split("|"):
            assert any(re.fullmatch(code, each) for each in CheckCode), code


def test_each_panel_of_the_dashboard_says_what_it_is_and_covers_no_other() -> None:
    document: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
    panels = document["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells: dict[str, set[tuple[int, int]]] = {}
    for panel in panels:
        assert panel["title"]
        at = panel["gridPos"]
        cells[f"{panel['id']} {panel['title']}"] = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        for target in panel.get("targets", ()):
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert [(a, b) for a, b in combinations(cells, 2) if cells[a] & cells[b]] == []


def test_the_dashboard_asks_which_clusters_there_are() -> None:
    variables = json.loads(FILE.read_text("utf-8"))["templating"]["list"]
    assert [variable["name"] for variable in variables] == ["datasource", "env", "cluster"]
    for variable in variables[1:]:
        assert "label_values(healthd_cluster_info" in variable["query"]["query"]
