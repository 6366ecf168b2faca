"""Answers about alerts that must not be believed; good ones come from real servers elsewhere."""

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from support.http_server import says, serving

from healthd.collect.alerts import Alertmanager, AlertReader, PrometheusAlerts
from healthd.collect.rest import RestError
from healthd.config.secrets import SecretRef
from healthd.config.source_rest import RestConfig
from healthd.config.source_server import ServerConfig
from healthd.model.moments import moment_text
from healthd.waves.alert_gate import FiringAlert
from healthd.waves.matchers import parse_matchers

SECRET = "not-to-be-seen"
MATCHERS = parse_matchers(['severity="critical"'])


def server(url: str, **more: Any) -> ServerConfig:
    """A server at that address."""
    return ServerConfig(rest=RestConfig(urls=(url,)), timeout_seconds=2, **more)


async def firing(reader: AlertReader) -> tuple[FiringAlert, ...]:
    """What a reader says, which is closed then."""
    try:
        return await reader.firing(MATCHERS)
    finally:
        await reader.aclose()


def alert(**changes: Any) -> dict[str, Any]:
    """One alert of Alertmanager's."""
    return {
        "labels": {"alertname": "A", "severity": "critical"},
        "startsAt": "2026-01-01T00:00:00Z",
        "status": {"state": "active", "silencedBy": [], "inhibitedBy": []},
    } | changes


@pytest.mark.parametrize(
    "answer",
    [
        "{}",
        "null",
        "[1]",
        '["a"]',
        json.dumps([alert(labels=None)]),
        json.dumps([alert(labels={"a": 1})]),
        json.dumps([alert(status=None)]),
        json.dumps([alert(status={"state": "active"})]),
        "[",
    ],
)
async def test_an_answer_of_alertmanager_that_cannot_be_read_whole_is_a_failure(
    answer: str,
) -> None:
    async with serving(says(answer)) as url:
        with pytest.raises(RestError):
            await firing(Alertmanager(server(url)))


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"alerts": None},
        {"alerts": [1]},
        {"alerts": [{"state": "firing"}]},
        {"alerts": [{"labels": {}}]},
        {"alerts": [{"labels": {"a": "b"}, "state": "on fire"}]},
    ],
)
async def test_an_answer_of_prometheus_that_cannot_be_read_whole_is_a_failure(data: Any) -> None:
    async with serving(says(json.dumps({"status": "success", "data": data}))) as url:
        with pytest.raises(RestError):
            await firing(PrometheusAlerts(server(url)))


def rule(**changes: Any) -> dict[str, Any]:
    """One alerting rule of Prometheus's."""
    return {
        "type": "alerting",
        "name": "DiskFull",
        "labels": {"severity": "critical", "team": "{{ $labels.team }}"},
        "health": "ok",
    } | changes


@pytest.mark.parametrize(
    ("changes", "trouble"),
    [
        ({}, None),
        ({"health": "err"}, "cannot evaluate the rule DiskFull"),
        ({"health": "unknown"}, "has not evaluated yet the rule DiskFull"),
        ({"health": "err", "labels": {"severity": "warning"}}, None),
        ({"health": "err", "labels": {"severity": "{{ $value }}"}}, "cannot evaluate"),
        ({"health": "err", "labels": {}}, "cannot evaluate"),
        ({"health": "err", "type": "recording"}, None),
    ],
)
async def test_a_rule_that_is_not_evaluated_is_a_failure_where_its_alert_could_match(
    changes: dict[str, Any], trouble: str | None
) -> None:
    async def answer(request: web.Request) -> web.Response:
        rules = {"groups": [{"name": "g", "rules": [rule(**changes)]}]}
        data = rules if request.path == "/api/v1/rules" else {"alerts": []}
        return web.json_response({"status": "success", "data": data})

    async with serving(answer) as url:
        if trouble is None:
            assert await firing(PrometheusAlerts(server(url))) == ()
            return
        with pytest.raises(RestError, match=trouble):
            await firing(PrometheusAlerts(server(url)))


async def test_what_tells_no_rules_is_believed_by_its_alerts() -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.path != "/api/v1/alerts":
            raise web.HTTPNotFound
        return web.json_response({"status": "success", "data": {"alerts": []}})

    async with serving(answer) as url:
        assert await firing(PrometheusAlerts(server(url))) == ()


async def test_an_alertmanager_that_was_restarted_is_not_believed_until_it_has_been_told() -> None:
    now = 10_000.0
    started = [0.0]

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/api/v2/status":
            return web.json_response({"uptime": moment_text(started[0])})
        return web.json_response([])

    async with serving(answer) as url:
        reader = Alertmanager(server(url), clock=lambda: now)
        assert await reader.firing(MATCHERS) == ()
        # Another one behind the same address, which has been there for long.
        started[0] = 5_000.0
        assert await reader.firing(MATCHERS) == ()
        started[0] = 9_990.0
        with pytest.raises(RestError, match="was restarted 10 s ago"):
            await reader.firing(MATCHERS)
        now += 90
        assert await reader.firing(MATCHERS) == ()
        await reader.aclose()


async def test_an_alertmanager_that_is_found_just_started_is_taken_as_it_is() -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.path == "/api/v2/status":
            return web.json_response({"uptime": moment_text(9_999.0)})
        return web.json_response([])

    async with serving(answer) as url:
        reader = Alertmanager(server(url), clock=lambda: 10_000.0)
        assert await reader.firing(MATCHERS) == ()
        assert await reader.firing(MATCHERS) == ()
        await reader.aclose()


async def test_an_error_of_prometheus_is_a_failure() -> None:
    async with serving(says('{"status":"error","error":"busy"}')) as url:
        with pytest.raises(RestError):
            await firing(PrometheusAlerts(server(url)))


async def test_of_prometheus_only_what_fires_and_matches_counts() -> None:
    rows = [
        {"labels": {"alertname": "A", "severity": "critical"}, "state": "firing"},
        {"labels": {"alertname": "B", "severity": "critical"}, "state": "pending"},
        {"labels": {"alertname": "C", "severity": "warning"}, "state": "firing"},
    ]
    async with serving(says(json.dumps({"status": "success", "data": {"alerts": rows}}))) as url:
        found = await firing(PrometheusAlerts(server(url)))
    assert [each.name for each in found] == ["A"]


async def test_a_token_is_sent_and_never_shown_and_read_again_when_it_changes(
    tmp_path: Path,
) -> None:
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.Response(status=401)

    token = tmp_path / "token"
    token.write_text(SECRET + "\n")
    token.chmod(0o600)
    async with serving(answer) as url:
        config = server(url, bearer_token=SecretRef(file=token))
        reader = Alertmanager(config)
        with pytest.raises(RestError) as refused:
            await reader.firing(MATCHERS)
        token.write_text("another")
        with pytest.raises(RestError):
            await reader.firing(MATCHERS)
        await reader.aclose()
    assert seen == [f"Bearer {SECRET}", "Bearer another"]
    assert SECRET not in str(refused.value) + repr(config)


async def test_a_secret_that_is_not_there_is_a_failure_that_names_where_it_should_be(
    tmp_path: Path,
) -> None:
    config = server("http://127.0.0.1:1", bearer_token=SecretRef(file=tmp_path / "token"))
    with pytest.raises(RestError, match="cannot be read") as refused:
        await firing(PrometheusAlerts(config))
    assert str(tmp_path / "token") in refused.value.detail


async def test_a_token_of_two_lines_is_a_failure_that_does_not_show_it(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(f"{SECRET}\n{SECRET}\n")
    token.chmod(0o600)
    config = server("http://127.0.0.1:1", bearer_token=SecretRef(file=token))
    with pytest.raises(RestError, match="no header may hold") as refused:
        await firing(Alertmanager(config))
    assert SECRET not in refused.value.detail


async def test_nobody_there_is_a_failure() -> None:
    with pytest.raises(RestError, match="refused the connection"):
        await firing(Alertmanager(server("http://127.0.0.1:1")))


async def test_a_silence_that_ended_between_two_questions_silences_nothing() -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.path == "/api/v2/status":
            raise web.HTTPNotFound
        if request.path == "/api/v2/alerts":
            status = {"state": "suppressed", "silencedBy": ["gone"], "inhibitedBy": []}
            return web.json_response([alert(status=status)])
        return web.json_response([])

    async with serving(answer) as url:
        (found,) = await firing(Alertmanager(server(url)))
    assert found.silences == ()


async def test_a_silence_that_is_made_without_an_id_is_a_failure() -> None:
    async with serving(says("{}")) as url:
        keeper = Alertmanager(server(url))
        with pytest.raises(RestError, match="no id"):
            await keeper.make({})
        await keeper.aclose()


async def test_a_silence_that_is_not_there_any_more_is_removed_all_the_same() -> None:
    async with serving(says('"not found"', status=404)) as url:
        keeper = Alertmanager(server(url))
        await keeper.remove("a/../b")
        await keeper.aclose()
