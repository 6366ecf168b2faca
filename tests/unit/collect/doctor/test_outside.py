"""The doctor asks once who can close a wave's gate from outside."""

from dataclasses import replace
from typing import Any

import pytest
from support.daemon import config_of
from support.fake_cruise_control import FakeCruiseControl
from support.http_server import says, serving

from healthd.collect.doctor.findings import DoctorFinding
from healthd.collect.doctor.outside import outside_findings
from healthd.config.source_alerts import AlertsConfig
from healthd.config.source_rest import RestConfig
from healthd.config.source_server import ServerConfig

NOBODY = "http://127.0.0.1:1"


def server(url: str) -> ServerConfig:
    """A server at that address."""
    return ServerConfig(rest=RestConfig(urls=(url,)), timeout_seconds=2)


async def found(**changes: Any) -> list[DoctorFinding]:
    """What the doctor finds with these parts in the fleet file."""
    return list(await outside_findings(replace(config_of("payments"), **changes)))


def told(findings: list[DoctorFinding]) -> list[tuple[str, str]]:
    """Source and outcome of each."""
    return [(each.source, each.outcome.value) for each in findings]


async def test_nothing_is_said_of_what_is_not_configured() -> None:
    assert await found() == []
    assert await outside_findings(None) == ()


async def test_servers_that_answer_are_allowed_and_named() -> None:
    prometheus = '{"status":"success","data":{"alerts":[]}}'
    async with serving(says("[]")) as first, serving(says(prometheus)) as second:
        alerts = AlertsConfig(alertmanager=server(first), prometheus=server(second))
        findings = await found(alerts=alerts)
    assert told(findings) == [("alerts.alertmanager", "allowed"), ("alerts.prometheus", "allowed")]
    assert [each.subject for each in findings] == [first, second]


@pytest.mark.parametrize(
    ("status", "outcome", "detail"),
    [(401, "denied", "HTTP 401"), (500, "failed", "status 500"), (404, "failed", "check port")],
)
async def test_one_that_refuses_or_fails_says_why_and_what_it_costs(
    status: int, outcome: str, detail: str
) -> None:
    async with serving(says("{}", status=status)) as url:
        findings = await found(alerts=AlertsConfig(alertmanager=server(url)))
    assert told(findings) == [("alerts.alertmanager", outcome)]
    assert detail in findings[0].detail
    assert findings[0].detail.endswith("A wave that listens to alerts would hold.")


async def test_nobody_there_is_unreachable() -> None:
    findings = await found(
        alerts=AlertsConfig(prometheus=server(NOBODY)), cruise_control=server(NOBODY)
    )
    assert told(findings) == [
        ("alerts.prometheus", "unreachable"),
        ("cruiseControl", "unreachable"),
    ]


async def test_cruise_control_that_is_idle_and_heals_nothing_is_fine() -> None:
    fake = FakeCruiseControl(heals=("TOPIC_ANOMALY",))
    async with serving(fake.answer) as url:
        (finding,) = await found(cruise_control=server(url))
    assert told([finding]) == [("cruiseControl", "allowed")]
    assert finding.detail == ""


async def test_one_that_moves_says_that_a_wave_would_hold() -> None:
    fake = FakeCruiseControl(executor="LEADER_MOVEMENT_TASK_IN_PROGRESS", reason="rebalance")
    async with serving(fake.answer) as url:
        (finding,) = await found(cruise_control=server(url))
    assert "LEADER_MOVEMENT_TASK_IN_PROGRESS (rebalance). A wave holds" in finding.detail


async def test_self_healing_that_a_restart_may_set_off_is_a_problem_by_name() -> None:
    fake = FakeCruiseControl(heals=("TOPIC_ANOMALY", "GOAL_VIOLATION", "BROKER_FAILURE"))
    async with serving(fake.answer) as url:
        findings = await found(cruise_control=server(url))
    assert told(findings) == [("cruiseControl", "allowed"), ("cruiseControl", "failed")]
    assert "Heals BROKER_FAILURE, GOAL_VIOLATION by itself" in findings[1].detail
