"""What `healthd status CLUSTER` says of mirrors, connectors and the Schema Registry."""

from typing import Any

import pytest

from healthd.cli.status_sources import sources


def flow(**changes: Any) -> dict[str, Any]:
    return {
        "flow": "east->west",
        "ready": True,
        "why": [],
        "behindSeconds": 2.4,
        "maxBehindSeconds": 60,
        "behindRecords": 12,
        "lastSeenSeconds": 2.4,
        "connectorState": "RUNNING",
        **changes,
    }


def mirrors(*flows: dict[str, Any], **section: Any) -> list[str]:
    return list(sources({"mirrors": {"flows": list(flows), "ageSeconds": 1.0, **section}}))


def test_a_flow_is_one_line_that_says_whether_one_could_fail_over() -> None:
    assert mirrors(flow()) == [
        "MIRRORS  into this cluster",
        (
            "  east->west: ready, 2s behind of 1m00s allowed, 12 records at most, "
            "last seen 2s ago, connectors RUNNING"
        ),
    ]


def test_what_keeps_a_flow_from_being_ready_stands_below_it() -> None:
    why = "80 s behind, more than 60 s"
    lines = mirrors(flow(ready=False, why=[why], behindSeconds=80.0))
    assert lines[1].startswith("  east->west: NOT READY, 1m20s behind")
    assert lines[2] == f"    {why}"


def test_unknown_is_said_to_be_unknown() -> None:
    (_, line) = mirrors(
        flow(ready=None, behindSeconds=None, lastSeenSeconds=None, behindRecords=None)
    )
    assert line == (
        "  east->west: not known to be ready, behind: unknown, never seen, connectors RUNNING"
    )


def test_an_old_section_says_how_old_it_is() -> None:
    assert mirrors(flow(), ageSeconds=300.0)[0] == "MIRRORS  into this cluster  (as of 5m00s ago)"


def test_failed_tasks_are_named_with_their_error() -> None:
    cluster = {
        "name": "etl",
        "workers": [{"up": True}, {"up": False}],
        "connectorStates": {"RUNNING": 2},
        "taskStates": {"FAILED": 1, "RUNNING": 3},
        "failed": [{"connector": "to-file", "task": 0, "error": "no such folder"}],
    }
    assert list(sources({"connectors": {"clusters": [cluster]}})) == [
        "CONNECTORS",
        "  etl: 1 of 2 workers answer; connectors 2 RUNNING; tasks 1 FAILED, 3 RUNNING",
        "    to-file/0 FAILED: no such folder",
    ]


def test_registries_that_do_not_serve_are_named() -> None:
    instances = [
        {"instance": "r1:8081", "up": True},
        {"instance": "r2:8081", "up": False, "reason": "refused"},
        {"instance": "r3:8081", "up": None, "reason": "authentication"},
    ]
    assert list(sources({"schemaRegistry": {"instances": instances}})) == [
        "SCHEMA REGISTRY  1 of 3 instances serve",
        "  r2:8081: down (refused)",
        "  r3:8081: unknown (authentication)",
    ]


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"mirrors": None, "connectors": [], "schemaRegistry": "x"},
        {"mirrors": {"flows": "x"}, "connectors": {"clusters": [3]}, "schemaRegistry": {}},
    ],
)
def test_nothing_configured_or_an_odd_section_is_no_line(extra: dict[str, Any]) -> None:
    assert list(sources(extra)) == []
