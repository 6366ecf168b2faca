"""The REST API of Kafka Connect: any worker answers, and nothing of a configuration is kept."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from support.http_server import Handler, says, serving
from support.snapshots import a_snapshot

from healthd.collect.connect import ConnectSource
from healthd.collect.connect_rest import ConnectRest, connectors_of
from healthd.collect.connect_words import LISTED
from healthd.collect.observation import Origin
from healthd.collect.rest import RestError
from healthd.collect.side import SideContext, SideSeen
from healthd.config.source_connect import ConnectConfig
from healthd.config.source_rest import RestConfig
from healthd.health.side import section_findings

CARD = {"version": "4.1.0", "commit": "abc", "kafka_cluster_id": "x"}
NOT_FRESH = SideContext(now=0.0, wall=datetime.now(UTC))
FRESH = SideContext(now=0.0, wall=datetime.now(UTC), snapshot=a_snapshot())


def status(state: str = "RUNNING", *tasks: str, trace: str = "boom\n\tat x") -> dict[str, Any]:
    return {
        "status": {
            "name": "c",
            "connector": {"state": state, "worker_id": "w1:8083"},
            "tasks": [
                {
                    "id": number,
                    "state": task,
                    "worker_id": "w1:8083",
                    **({"trace": trace} if task == "FAILED" else {}),
                }
                for number, task in enumerate(tasks)
            ],
            "type": "sink",
        }
    }


def worker(connectors: object, asked: list[str] | None = None) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        if asked is not None:
            asked.append(request.path_qs)
        return web.json_response(CARD if request.path == "/" else connectors)

    return handler


def source_of(*urls: str, attempt_seconds: float = 5.0) -> ConnectSource:
    config = ConnectConfig(name="etl", rest=RestConfig(urls=urls))
    return ConnectSource([config], attempt_seconds=attempt_seconds)


async def read(source: ConnectSource, context: SideContext = FRESH) -> SideSeen:
    try:
        return await source.read(context)
    finally:
        await source.aclose()


def cluster_of(seen: SideSeen) -> dict[str, Any]:
    assert seen.section is not None
    json.dumps(seen.section)
    (cluster,) = seen.section["clusters"]
    assert isinstance(cluster, dict)
    return cluster


def failed_objects(seen: SideSeen) -> tuple[int, tuple[str, ...]]:
    assert seen.section is not None
    found = [finding.objects for finding in section_findings({"connectors": seen.section}, 20)]
    return (found[0].count, found[0].shown) if found else (0, ())


async def test_states_are_counted_and_failures_named_with_their_error() -> None:
    connectors = {
        "b": status("RUNNING", "RUNNING", "FAILED"),
        "a": status("PAUSED", "PAUSED"),
        "c": status("FAILED"),
    }
    async with serving(worker(connectors)) as url:
        seen = await read(source_of(url))
    cluster = cluster_of(seen)
    assert seen.failures == ()
    assert cluster["down"] is False
    assert cluster["connectorStates"] == {"FAILED": 1, "PAUSED": 1, "RUNNING": 1}
    assert cluster["taskStates"] == {"FAILED": 1, "PAUSED": 1, "RUNNING": 1}
    assert cluster["failed"][0] == {
        "connector": "b", "task": 1, "worker": "w1:8083", "error": "boom",
    }  # fmt: skip
    assert failed_objects(seen) == (2, ("connector:etl/b/1", "connector:etl/c"))


async def test_configurations_are_not_asked_for() -> None:
    asked: list[str] = []
    async with serving(worker({}, asked)) as url:
        await read(source_of(url))
    assert asked == ["/", "/connectors?expand=status"]


async def test_aliases_are_all_that_is_kept_of_a_configuration() -> None:
    config = {
        "source.cluster.alias": "east",
        "target.cluster.alias": "west",
        "source.cluster.sasl.jaas.config": "password=hunter2",
    }
    answer = {"mm": {**status("RUNNING"), "info": {"config": config}}, "x": status("RUNNING")}
    asked: list[str] = []
    now = 0.0
    async with serving(worker(answer, asked)) as url:
        rest = ConnectRest(
            ConnectConfig(name="etl", rest=RestConfig(urls=(url,))),
            timeout_seconds=5,
            clock=lambda: now,
        )
        seen = [await rest.read(with_aliases=True), await rest.read(with_aliases=True)]
        # Large as they may be, configurations are asked for again only now and then.
        assert asked.count("/connectors?expand=info") == 1
        now = 600.0
        seen.append(await rest.read(with_aliases=True))
        answer["new"] = status("RUNNING")
        seen.append(await rest.read(with_aliases=True))
        assert asked.count("/connectors?expand=info") == 3
        await rest.aclose()
    for one in seen:
        assert one.connectors is not None
        aliases = {each.name: (each.source_alias, each.target_alias) for each in one.connectors}
        assert (aliases["mm"], aliases["x"]) == (("east", "west"), (None, None))
    assert "hunter2" not in repr(seen)
    assert "hunter2" not in repr(vars(rest))


async def test_any_worker_answers_for_all(unused_tcp_port: int) -> None:
    gone = f"http://127.0.0.1:{unused_tcp_port}"
    async with serving(worker({"a": status("RUNNING")})) as url:
        seen = await read(source_of(gone, url))
    cluster = cluster_of(seen)
    assert cluster["down"] is False
    assert [one["up"] for one in cluster["workers"]] == [False, True]
    assert cluster["connectorCount"] == 1
    assert [failure.reason.value for failure in seen.failures] == ["refused"]
    assert failed_objects(seen) == (0, ())


async def test_a_connect_cluster_that_refuses_is_down(unused_tcp_port: int) -> None:
    seen = await read(source_of(f"http://127.0.0.1:{unused_tcp_port}"))
    assert cluster_of(seen)["down"] is True
    assert failed_objects(seen) == (1, ("connect:etl",))


@pytest.mark.parametrize(
    ("handler", "down"),
    [
        pytest.param(says("{}", status=500), True, id="its-own-error"),
        pytest.param(says("{}", status=401), None, id="our-credentials"),
        pytest.param(says("<html>", kind="text/html"), None, id="another-server"),
        pytest.param(says("[]"), None, id="another-api"),
        pytest.param(says('{"version": 3}'), None, id="no-name-card"),
    ],
)
async def test_what_is_our_own_fault_is_not_known(handler: Handler, down: bool | None) -> None:  # noqa: FBT001  # A table's column.
    async with serving(handler) as url:
        seen = await read(source_of(url))
    assert cluster_of(seen)["down"] is down
    assert len(seen.failures) == 1


async def test_silence_is_theirs_only_while_kafka_itself_answers() -> None:
    never = asyncio.Event()

    async def handler(_request: web.Request) -> web.Response:
        await never.wait()
        return web.Response()

    async with serving(handler) as url:
        beside_kafka = await read(source_of(url, attempt_seconds=0.05), FRESH)
        alone = await read(source_of(url, attempt_seconds=0.05), NOT_FRESH)
        never.set()
    assert cluster_of(beside_kafka)["down"] is True
    assert beside_kafka.failures[0].origin is Origin.THEIRS
    assert cluster_of(alone)["down"] is None
    assert alone.failures[0].origin is Origin.OURS


async def test_the_last_states_stay_while_nobody_tells() -> None:
    is_well = True

    async def handler(request: web.Request) -> web.Response:
        if not is_well:
            return web.Response(status=500)
        return web.json_response(CARD if request.path == "/" else {"a": status("FAILED")})

    async with serving(handler) as url:
        source = source_of(url)
        await source.read(FRESH)
        is_well = False
        later = SideContext(now=30.0, wall=FRESH.wall, snapshot=FRESH.snapshot)
        seen = await read(source, later)
    cluster = cluster_of(seen)
    assert (cluster["down"], cluster["connectorCount"], cluster["statesAgeSeconds"]) == (
        True,
        1,
        30,
    )
    assert failed_objects(seen) == (2, ("connect:etl", "connector:etl/a"))


async def test_thousands_of_connectors_are_counted_and_only_some_named() -> None:
    connectors = {f"c{number}": status("RUNNING", "FAILED") for number in range(300)}
    async with serving(worker(connectors)) as url:
        seen = await read(source_of(url))
    cluster = cluster_of(seen)
    assert (cluster["connectorCount"], cluster["failedCount"]) == (300, 300)
    assert (len(cluster["connectors"]), len(cluster["failed"])) == (LISTED, LISTED)
    assert cluster["truncated"] is True
    count, shown = failed_objects(seen)
    assert (count, len(shown), shown[0]) == (300, 20, "connector:etl/c0/0")


ODD: dict[str, Callable[[], object]] = {
    "no-status": lambda: {"a": {}},
    "status-is-text": lambda: {"a": {"status": "x"}},
    "nothing-inside": lambda: {"a": {"status": {}}},
    "tasks-are-text": lambda: {"a": {"status": {"tasks": "x", "connector": 3}}},
    "task-without-id": lambda: {"a": {"status": {"tasks": [{}, 3, {"id": True}]}}},
    "trace-is-a-number": lambda: {"a": {"status": {"connector": {"state": "FAILED", "trace": 3}}}},
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
def test_an_odd_entry_is_passed_over_or_unknown_and_never_breaks(
    odd: Callable[[], object],
) -> None:
    for connector in connectors_of(odd()):
        assert connector.state in {"UNKNOWN", "FAILED"}
        assert connector.tasks == ()


def test_an_answer_that_is_no_object_is_refused() -> None:
    with pytest.raises(RestError):
        list(connectors_of(["a"]))
