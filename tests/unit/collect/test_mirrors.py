"""The section `mirrors` when there is nobody on the target: pages and Connect still tell."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from support.http_server import serving
from support.snapshots import a_snapshot

from healthd.collect.mirrors import MirrorSource
from healthd.collect.side import SideContext, SideSeen
from healthd.collect.target import ClusterTarget
from healthd.config.source_connect import ConnectConfig
from healthd.config.source_mirrors import MirrorConfig
from healthd.config.source_rest import RestConfig

WALL = datetime(2026, 1, 1, tzinfo=UTC)
RECORDS = (
    "kafka_connect_mirror_mirrorsourceconnector_record_count"
    '{{partition="0",source="east",target="west",topic="east.a"}} {count}\n'
)
CONFIG = {"source.cluster.alias": "east", "target.cluster.alias": "west"}


class Worker:
    """A worker's REST API and its page, on one port."""

    def __init__(self) -> None:
        self.task = "RUNNING"
        self.page: str | None = RECORDS.format(count=1)

    async def answer(self, request: web.Request) -> web.Response:
        if request.path == "/metrics":
            return web.Response(text=self.page or "", status=200 if self.page else 503)
        if request.path == "/":
            return web.json_response({"version": "4.1.0"})
        status = {
            "connector": {"state": "RUNNING", "worker_id": "w"},
            "tasks": [{"id": 0, "state": self.task, "worker_id": "w"}],
            "type": "source",
        }
        return web.json_response({"mm": {"status": status, "info": {"config": CONFIG}}})


@pytest.fixture
def nobody(unused_tcp_port: int) -> ClusterTarget:
    return ClusterTarget(
        name="west",
        bootstrap_servers=(f"127.0.0.1:{unused_tcp_port}",),
        request_timeout_seconds=0.3,
    )


@asynccontextmanager
async def mirrored(worker: Worker, target: ClusterTarget) -> AsyncIterator[MirrorSource]:
    async with serving(worker.answer) as url:
        flow = MirrorConfig(
            source="east",
            target="west",
            connect="mm",
            exporters=(f"{url}/metrics",),
            heartbeats_topic="east.heartbeats",
        )
        connect = ConnectConfig(name="mm", rest=RestConfig(urls=(url,)))
        source = MirrorSource([flow], [connect], target)
        yield source
        await source.aclose()
        await source.aclose()


def flow_of(seen: SideSeen) -> dict[str, Any]:
    assert seen.section is not None
    json.dumps(seen.section)
    (flow,) = seen.section["flows"]
    assert isinstance(flow, dict)
    return flow


def context(**extra: dict[str, Any]) -> SideContext:
    return SideContext(now=0.0, wall=WALL, snapshot=a_snapshot(extra=extra or None))


async def test_records_that_go_through_make_a_flow_ready_without_heartbeats(
    nobody: ClusterTarget,
) -> None:
    worker = Worker()
    async with mirrored(worker, nobody) as source:
        first = flow_of(await source.read(context()))
        # One look cannot tell whether anything goes through.
        assert (first["ready"], first["lagging"]) == (None, None)
        worker.page = RECORDS.format(count=5)
        seen = await source.read(context())
    flow = flow_of(seen)
    assert (flow["ready"], flow["behindSeconds"], flow["connectorState"]) == (True, 0, "RUNNING")
    (failure,) = seen.failures
    assert failure.detail.startswith("The heartbeats in east.heartbeats cannot be read")


async def test_a_failed_task_of_its_own_keeps_a_flow_from_being_ready(
    nobody: ClusterTarget,
) -> None:
    worker = Worker()
    worker.task = "FAILED"
    async with mirrored(worker, nobody) as source:
        flow = flow_of(await source.read(context()))
    assert (flow["ready"], flow["tasksFailed"]) == (False, 1)
    assert "1 task failed" in flow["why"]


async def test_a_page_that_fails_is_told_and_takes_nothing_else(nobody: ClusterTarget) -> None:
    worker = Worker()
    worker.page = None
    async with mirrored(worker, nobody) as source:
        seen = await source.read(context())
    assert flow_of(seen)["connectorState"] == "RUNNING"
    assert [failure.reason.value for failure in seen.failures][1:] == ["http_status"]


async def test_a_flow_that_was_behind_before_a_restart_still_is(nobody: ClusterTarget) -> None:
    stored = {
        "flow": "east->west",
        "lagging": True,
        "lastSeenUnixSeconds": WALL.timestamp() - 500,
    }
    async with mirrored(Worker(), nobody) as source:
        flow = flow_of(await source.read(context(mirrors={"flows": [stored], "ageSeconds": 1.0})))
    assert (flow["lagging"], flow["ready"], flow["lastSeenSeconds"]) == (True, False, 500)
