"""The JSON form of a report is the contract's."""

import json

import pytest
from support.snapshots import a_snapshot, ages, topic_of_states

from healthd.health.index import evaluate
from healthd.health.report_json import as_json
from healthd.health.scoring import DEFAULT

KEYS = [
    "cluster", "healthIndex", "lower", "upper", "completeness", "notObserved", "class",
    "contributions", "capPenalty", "bindingCap", "caps", "checks", "profile",
]  # fmt: skip


def test_a_report_has_the_fields_of_the_contract() -> None:
    found = as_json(evaluate(a_snapshot(topic_of_states(ok=99, offline=1), ages=ages(probe="-"))))
    assert list(found) == KEYS
    assert [row["term"] for row in found["contributions"]] == [
        "partitions", "brokers", "controller", "saturation", "probe", "storage",
    ]  # fmt: skip
    assert found["bindingCap"] == "PARTITION_OFFLINE"
    assert found["caps"] == [{"code": "PARTITION_OFFLINE", "cap": pytest.approx(48)}]
    assert found["notObserved"] == ["probe"]
    assert found["class"] == "CRIT"
    (check,) = found["checks"]
    assert list(check) == [
        "code", "severity", "count", "objects", "truncated", "summary", "impact", "action",
    ]  # fmt: skip
    assert (check["count"], check["objects"], check["truncated"]) == (1, ["orders-99"], False)
    assert found["profile"] == {"name": "default", "version": "1", "hash": DEFAULT.hash}
    taken = sum(row["points"] for row in found["contributions"]) + found["capPenalty"]
    assert taken == pytest.approx(100 - found["healthIndex"], abs=1e-9)


def test_a_report_survives_json_and_no_number_is_rounded() -> None:
    found = as_json(evaluate(a_snapshot(topic_of_states(ok=6, at_min_isr=1))))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["healthIndex"] != round(found["healthIndex"], 6)


def test_without_a_binding_cap_it_is_null() -> None:
    found = as_json(evaluate(a_snapshot()))
    assert (found["bindingCap"], found["capPenalty"], found["caps"]) == (None, 0, [])
