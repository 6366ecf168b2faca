"""Servers that take no part in their ZooKeeper ensemble."""

from typing import Any

import pytest

from healthd.health.checks import Finding, check_of
from healthd.health.scoring import DEFAULT
from healthd.health.side.ensemble import findings
from healthd.model.codes import CheckCode, Severity


def server(number: int, *, serving: bool | None) -> dict[str, Any]:
    one: dict[str, Any] = {"address": f"zk{number}:2181", "id": number}
    return one if serving is None else {**one, "isServing": serving}


def found(*servers: Any, **more: Any) -> list[Finding]:
    return list(findings({"servers": list(servers), **more}, 20))


def test_an_ensemble_of_which_all_serve_finds_nothing() -> None:
    assert found(*(server(n, serving=True) for n in (1, 2, 3)), hasMajority=True) == []


def test_a_server_of_which_nobody_can_tell_finds_nothing() -> None:
    assert found(server(1, serving=None)) == []


def test_a_server_that_is_out_is_named() -> None:
    (finding,) = found(
        server(1, serving=True), server(2, serving=False), server(3, serving=True), hasMajority=True
    )
    assert (finding.code, finding.severity) == (CheckCode.ENSEMBLE_DEGRADED, Severity.WARN)
    assert finding.objects.shown == ("zookeeper:zk2:2181",)
    summary = check_of(finding, DEFAULT.bands).summary
    assert summary == "1 server takes no part in the ZooKeeper ensemble of 3"


def test_a_lost_majority_is_critical() -> None:
    (finding,) = found(
        server(1, serving=False), server(2, serving=None), server(3, serving=False),
        hasMajority=False,
    )  # fmt: skip
    assert (finding.severity, finding.objects.count) == (Severity.CRIT, 2)
    assert "no majority" in check_of(finding, DEFAULT.bands).summary


@pytest.mark.parametrize(
    "section",
    [{}, {"servers": None}, {"servers": "x"}, {"servers": [None, 1, "zk"]}, {"hasMajority": False}],
)
def test_a_section_of_another_version_is_passed_over(section: dict[str, Any]) -> None:
    assert list(findings(section, 20)) == []
