"""Exporter pages over HTTP, from a real server in this process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from healthd.collect.exporter import ExporterPages
from healthd.collect.observation import FailureReason, Origin, SourceFailure
from healthd.model.words import BrokerState

PAGE = (Path(__file__).parents[2] / "data" / "broker_page.txt").read_text()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Handler], Awaitable[str]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    runners: list[web.AppRunner] = []

    async def start(handler: Handler) -> str:
        app = web.Application()
        app.router.add_get("/metrics", handler)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        runners.append(runner)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}/metrics"

    yield start
    for runner in runners:
        await runner.cleanup()


def says(text: str, **options: object) -> Handler:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response(text=text, **options)  # type: ignore[arg-type]  # Passed through.

    return handler


async def failure_of(url: str, *, timeout_seconds: float = 5.0) -> SourceFailure:
    pages = ExporterPages(
        {7: url}, timeout_seconds=timeout_seconds, clock=lambda: 1.0, max_bytes=100_000
    )
    try:
        (failure,) = (await pages.read()).failures
    finally:
        await pages.close()
    assert failure.node == 7
    assert "node 7" in failure.detail
    return failure


async def test_a_real_page_gives_the_signals_of_its_node(serve: Serve) -> None:
    pages = ExporterPages({7: await serve(says(PAGE))}, timeout_seconds=5, clock=lambda: 42.0)
    found = await pages.read()
    await pages.close()
    assert found.failures == ()
    page = found.seen[7]
    assert page.at == 42.0
    assert page.signals.state is BrokerState.RUNNING
    assert page.signals.version == "4.1.0"
    assert page.signals.offline_log_dirs == 0
    assert page.signals.unclean_elections == 0
    assert page.signals.active_controllers == 1
    assert page.signals.idle_nanoseconds is not None
    assert page.signals.global_partitions is not None
    assert page.signals.start_time_seconds is not None


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        pytest.param(says("no", status=503), FailureReason.HTTP_STATUS, id="status"),
        pytest.param(
            says("<html>", content_type="text/html"), FailureReason.NOT_METRICS, id="html"
        ),
        pytest.param(
            says("kafka_server_kafkaserver_brokerstate x\n"), FailureReason.NOT_METRICS, id="odd"
        ),
        pytest.param(
            says("jvm_threads_current 9\n"), FailureReason.NO_KAFKA_METRICS, id="still-starting"
        ),
        pytest.param(says(""), FailureReason.NO_KAFKA_METRICS, id="empty"),
        pytest.param(
            says(PAGE.replace("jmx_scrape_error 0.0", "jmx_scrape_error 1.0")),
            FailureReason.SCRAPE_ERROR,
            id="scrape-error",
        ),
        pytest.param(says("x" * 200_000), FailureReason.TOO_LARGE, id="too-large"),
    ],
)
async def test_a_page_that_may_not_be_believed_is_a_failure_of_theirs(
    serve: Serve, handler: Handler, reason: FailureReason
) -> None:
    failure = await failure_of(await serve(handler))
    assert (failure.reason, failure.origin) == (reason, Origin.THEIRS)


async def test_a_redirect_is_not_followed(serve: Serve) -> None:
    failure = await failure_of(
        await serve(says("", status=302, headers={"Location": "http://127.0.0.1:1/"}))
    )
    assert failure.reason is FailureReason.REDIRECT


async def test_a_page_that_never_ends_runs_into_its_deadline(serve: Serve) -> None:
    never = asyncio.Event()

    async def handler(_request: web.Request) -> web.Response:
        await never.wait()
        return web.Response()

    failure = await failure_of(await serve(handler), timeout_seconds=0.05)
    assert failure.reason is FailureReason.TIMEOUT
    never.set()


async def test_a_refused_connection_is_theirs(unused_tcp_port: int) -> None:
    failure = await failure_of(f"http://127.0.0.1:{unused_tcp_port}/metrics")
    assert (failure.reason, failure.origin) == (FailureReason.REFUSED, Origin.THEIRS)


async def test_a_name_that_does_not_resolve_is_ours() -> None:
    failure = await failure_of("http://nowhere.invalid:9404/metrics")
    assert (failure.reason, failure.origin) == (FailureReason.DNS, Origin.OURS)


async def test_one_bad_page_spoils_no_other(serve: Serve, unused_tcp_port: int) -> None:
    urls = {1: await serve(says(PAGE)), 2: f"http://127.0.0.1:{unused_tcp_port}/metrics"}
    pages = ExporterPages(urls, timeout_seconds=5, clock=lambda: 0.0)
    found = await pages.read()
    await pages.close()
    assert list(found.seen) == [1]
    assert [failure.node for failure in found.failures] == [2]


async def test_a_page_is_as_old_as_its_first_byte(serve: Serve) -> None:
    looked = asyncio.Event()

    def clock() -> float:
        looked.set()
        return 42.0

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        # However long the rest takes, it says how things were before.
        await looked.wait()
        await response.write(PAGE.encode())
        return response

    pages = ExporterPages({7: await serve(handler)}, timeout_seconds=5, clock=clock)
    found = await pages.read()
    await pages.close()
    assert found.seen[7].at == 42.0
