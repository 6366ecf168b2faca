"""The Schema Registry, by a fake of its public documentation."""

from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import pytest
from support.fake_schema_registry import FakeSchemaRegistry
from support.http_server import Handler, says, serving
from support.snapshots import a_snapshot

from healthd.collect.registry import RegistrySource
from healthd.collect.side import SideContext, SideSeen
from healthd.config.source_rest import RestConfig
from healthd.health.checks import Finding
from healthd.health.side import section_findings

CONTEXT = SideContext(now=0.0, wall=datetime.now(UTC), snapshot=a_snapshot())


async def seen_of(*handlers: Handler, more_urls: tuple[str, ...] = ()) -> SideSeen:
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(serving(handler)) for handler in handlers]
        source = RegistrySource(RestConfig(urls=(*urls, *more_urls)), attempt_seconds=5)
        seen = await source.read(CONTEXT)
        await source.aclose()
    return seen


def instances(seen: SideSeen) -> list[dict[str, Any]]:
    assert seen.section is not None
    found = seen.section["instances"]
    assert isinstance(found, list)
    return found


def finding(seen: SideSeen) -> Finding | None:
    assert seen.section is not None
    return next(section_findings({"schemaRegistry": seen.section}, 20), None)


async def test_instances_that_serve_tell_their_mode_and_how_long_they_took() -> None:
    seen = await seen_of(FakeSchemaRegistry().answer, FakeSchemaRegistry(mode="READONLY").answer)
    assert [(one["up"], one["mode"]) for one in instances(seen)] == [
        (True, "READWRITE"),
        (True, "READONLY"),
    ]
    assert all(one["latencySeconds"] >= 0 for one in instances(seen))
    assert (seen.failures, finding(seen)) == ((), None)


async def test_one_without_modes_is_asked_for_a_subject() -> None:
    fake = FakeSchemaRegistry(knows_modes=False, subjects=["a", "b"])
    seen = await seen_of(fake.answer)
    assert (instances(seen)[0]["up"], instances(seen)[0]["mode"]) == (True, None)
    assert fake.asked == ["/mode", "/subjects?limit=1"]


async def test_an_instance_that_is_down_is_named_and_the_others_are_said_to_be_left(
    unused_tcp_port: int,
) -> None:
    gone = f"http://127.0.0.1:{unused_tcp_port}"
    seen = await seen_of(FakeSchemaRegistry().answer, more_urls=(gone,))
    found = finding(seen)
    assert found is not None
    assert (found.severity, found.detail) == ("WARN", " of 2")
    assert found.objects.shown == (f"registry:127.0.0.1:{unused_tcp_port}",)


async def test_a_broken_store_is_an_instance_that_is_down() -> None:
    seen = await seen_of(FakeSchemaRegistry(is_store_broken=True).answer)
    found = finding(seen)
    assert found is not None
    assert found.detail == ", and no other is left"
    assert seen.failures[0].reason.value == "http_status"


@pytest.mark.parametrize(
    "handler",
    [
        pytest.param(says("{}", status=401), id="credentials"),
        pytest.param(says("<html>", kind="text/html"), id="html"),
        pytest.param(says("{}"), id="no-mode"),
        pytest.param(says("{}", status=404), id="another-server"),
    ],
)
async def test_what_is_our_own_fault_is_unknown_and_not_down(handler: Handler) -> None:
    seen = await seen_of(handler)
    assert instances(seen)[0]["up"] is None
    assert finding(seen) is None
    assert len(seen.failures) == 1
