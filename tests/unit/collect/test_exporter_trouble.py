"""Fifteen exporters in fifteen kinds of trouble beside a good one: real HTTP, one round."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.daemon import cluster_view

from healthd.cli.status import print_cluster
from healthd.collect.exporter import ExporterPages
from healthd.collect.observation import FailureReason, Origin, SourceFailure
from healthd.collect.page import Pages
from healthd.serve.cluster_json import cluster_document

PAGE = (Path(__file__).parents[2] / "data" / "broker_page.txt").read_bytes()
STATE = b"kafka_server_kafkaserver_brokerstate"
IDLE = b"kafka_server_kafkarequesthandlerpool_requesthandleravgidle_nanoseconds_total"
MAX_BYTES = 1_000_000
LIMIT_SECONDS = 2.0

Talk = Callable[[asyncio.StreamWriter], Awaitable[None]]


def answer(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    """An HTTP answer as it goes over the wire."""
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Length: {len(body) if length is None else length}",
        "Connection: close",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def says(content: bytes) -> Talk:
    async def talk(writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()

    return talk


def goes_on(first: bytes, then: bytes, pause: float) -> Talk:
    """Begins, and adds a little more for ever."""

    async def talk(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + first)
        while True:
            writer.write(then)
            await writer.drain()
            await asyncio.sleep(pause)

    return talk


async def resets(writer: asyncio.StreamWriter) -> None:
    writer.write(answer(PAGE)[:5_000])
    await writer.drain()
    writer.transport.abort()


def line(name: bytes, value: bytes) -> bytes:
    """The page with one value changed."""
    return b"\n".join(
        name + b" " + value if row.startswith(name + b" ") else row for row in PAGE.split(b"\n")
    )


TROUBLE: dict[str, tuple[Talk, FailureReason]] = {
    "404": (says(answer(b"", status="404 Not Found")), FailureReason.HTTP_STATUS),
    "500": (says(answer(b"oops", status="500 Oops")), FailureReason.HTTP_STATUS),
    "html": (
        says(answer(b"<html>Log in</html>", "Content-Type: text/html")),
        FailureReason.NOT_METRICS,
    ),
    "gzip rubbish": (
        says(answer(b"\x1f\x8b" + PAGE, "Content-Encoding: gzip")),
        FailureReason.BAD_ENCODING,
    ),
    "gzip cut off": (
        says(answer(gzip.compress(PAGE)[:-100], "Content-Encoding: gzip")),
        FailureReason.INCOMPLETE,
    ),
    "packed as nobody asked": (
        says(answer(PAGE, "Content-Encoding: br")),
        FailureReason.BAD_ENCODING,
    ),
    "half a page, length too long": (
        says(answer(PAGE[:9_000], length=len(PAGE))),
        FailureReason.INCOMPLETE,
    ),
    "half a page, connection cut": (resets, FailureReason.INCOMPLETE),
    "half a page, no length": (
        says(b"HTTP/1.0 200 OK\r\n\r\n" + PAGE[: PAGE.index(b"\n", 9_000) - 2]),
        FailureReason.INCOMPLETE,
    ),
    "not a number": (says(answer(line(IDLE, b"NaN"))), FailureReason.NOT_FINITE),
    "infinite": (says(answer(line(IDLE, b"+Inf"))), FailureReason.NOT_FINITE),
    "not a number, beside Kafka": (
        says(answer(line(b"process_start_time_seconds", b"NaN"))),
        FailureReason.NOT_FINITE,
    ),
    "duplicate series": (says(answer(PAGE + STATE + b" 1\n")), FailureReason.CONTRADICTION),
    "a byte a second": (goes_on(PAGE[:100], b"#", 1.0), FailureReason.TIMEOUT),
    "redirect loop": (
        says(answer(b"", "Location: /metrics", status="302 Found")),
        FailureReason.REDIRECT,
    ),
    "200 MB": (
        says(answer(b"a_b_c 1\n" * (200_000_000 // 8 // 100), length=200_000_000)),
        FailureReason.TOO_LARGE,
    ),
    "never ends": (goes_on(PAGE, b"a_b_c 1\n" * 20_000, 0.0), FailureReason.TOO_LARGE),
    "a gzip bomb": (
        says(answer(gzip.compress(b"\n" * 50_000_000, 1), "Content-Encoding: gzip")),
        FailureReason.TOO_LARGE,
    ),
    "one line without end": (
        says(answer(STATE + b"9" * 900_000)),
        FailureReason.INCOMPLETE,
    ),
    "binary": (says(answer(bytes(range(256)) * 10)), FailureReason.NOT_METRICS),
    "empty": (says(answer(b"")), FailureReason.NO_KAFKA_METRICS),
    "start delay": (says(answer(b"jvm_threads_current 9.0\n")), FailureReason.NO_KAFKA_METRICS),
    "scrape error": (
        says(answer(line(b"jmx_scrape_error", b"1.0"))),
        FailureReason.SCRAPE_ERROR,
    ),
    "wrong character set": (
        says(
            answer(PAGE.decode().encode("utf-16"), "Content-Type: text/plain; charset=utf-16"),
        ),
        FailureReason.BAD_ENCODING,
    ),
    "wrong character set, unsaid": (
        says(answer(PAGE.decode().encode("utf-16-le"))),
        FailureReason.NOT_METRICS,
    ),
    "no HTTP": (says(b"220 smtp.example.net ESMTP\r\n"), FailureReason.PROTOCOL),
    "hangs up": (says(b""), FailureReason.NETWORK),
}
NODES = {name: number for number, name in enumerate(TROUBLE, start=1)}
GOOD = (100, 101)
COUNTS_ALL_THE_SAME = {"not a number, beside Kafka"}


@contextlib.asynccontextmanager
async def exporter(talk: Talk) -> AsyncIterator[str]:
    """The address of a server that answers every request in one way."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.readuntil(b"\r\n\r\n")
            await talk(writer)
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/metrics"
    finally:
        server.close()


@pytest.fixture(scope="module")
def round_of_all() -> tuple[Pages, float]:
    """One round over all of them, and when its last good page was there, in seconds."""

    async def read() -> tuple[Pages, float]:
        async with contextlib.AsyncExitStack() as stack:
            urls = {
                NODES[name]: await stack.enter_async_context(exporter(talk))
                for name, (talk, _) in TROUBLE.items()
            }
            for node in GOOD:
                urls[node] = await stack.enter_async_context(exporter(says(answer(PAGE))))
            pages = ExporterPages(
                urls, timeout_seconds=LIMIT_SECONDS, clock=time.monotonic, max_bytes=MAX_BYTES
            )
            began = time.monotonic()
            found = await pages.read()
            await pages.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return found, max(found.seen[node].at for node in GOOD) - began

    return asyncio.run(read())


def failure_of(pages: Pages, name: str) -> SourceFailure:
    (found,) = (failure for failure in pages.failures if failure.node == NODES[name])
    return found


@pytest.mark.parametrize("name", TROUBLE)
def test_each_trouble_is_told_apart_and_shown_by_status(
    round_of_all: tuple[Pages, float], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pages, _ = round_of_all
    failure = failure_of(pages, name)
    assert (failure.reason, failure.origin) == (TROUBLE[name][1], Origin.THEIRS)
    assert (failure.node in pages.seen) == (name in COUNTS_ALL_THE_SAME)
    assert failure.check is None, "an exporter says nothing of our way to the cluster"
    told = {key: str(value) for key, value in failure.as_json().items()}
    view = replace(cluster_view(), failures=(told,))
    print_cluster(cluster_document(view, ()))
    shown = " ".join(capsys.readouterr().out.split())
    assert f"The exporter of node {NODES[name]} at http://127.0.0.1:" in shown
    assert "(the cluster's side)" in shown


def test_the_good_pages_are_read_while_others_hang(round_of_all: tuple[Pages, float]) -> None:
    pages, seconds = round_of_all
    assert {*GOOD} <= set(pages.seen)
    assert not any(failure.node in GOOD for failure in pages.failures)
    assert seconds < LIMIT_SECONDS, "they waited for a page that hung"


def test_only_what_is_no_number_is_unknown_where_it_is_not_of_kafka(
    round_of_all: tuple[Pages, float],
) -> None:
    pages, _ = round_of_all
    (name,) = COUNTS_ALL_THE_SAME
    signals = pages.seen[NODES[name]].signals
    assert signals.start_time_seconds is None
    assert signals.version == "4.1.0"
    assert "process_start_time_seconds" in failure_of(pages, name).detail


def test_whoever_answers_at_all_is_up(round_of_all: tuple[Pages, float]) -> None:
    pages, _ = round_of_all
    silent = {name for name, node in NODES.items() if not pages.up[node]}
    assert silent == {"a byte a second", "hangs up"}
    assert all(pages.up[node] for node in GOOD)


async def test_one_that_refuses_is_not_up_and_one_without_a_name_says_nothing(
    unused_tcp_port: int,
) -> None:
    urls = {1: f"http://127.0.0.1:{unused_tcp_port}/", 2: "http://nowhere.invalid:9404/"}
    pages = ExporterPages(urls, timeout_seconds=5, clock=time.monotonic)
    assert (await pages.read()).up == {1: False}
    await pages.close()


async def test_more_that_hang_than_are_read_at_once_end_within_two_limits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("healthd.collect.exporter.PAGES_AT_ONCE", 1)
    async with exporter(goes_on(b"", b"#", 1.0)) as url:
        pages = ExporterPages(
            dict.fromkeys(range(5), url), timeout_seconds=0.05, clock=time.monotonic
        )
        found = await pages.read()
        await pages.close()
    assert {failure.reason for failure in found.failures} == {FailureReason.TIMEOUT}
    assert len(found.failures) == 5
