"""A name server that gives no answer: told as ours, and nothing else waits for it."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from healthd.collect import resolving
from healthd.collect.exporter import ExporterPages
from healthd.collect.observation import FailureReason, Origin
from healthd.collect.reach import knock


@pytest.fixture
def no_name_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever asks for a name waits until the test is over."""
    over = threading.Event()
    real = socket.getaddrinfo

    def hangs(host: Any, *args: Any, **options: Any) -> Any:
        if str(host).endswith(".example.net"):
            over.wait(30)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return real(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    yield
    over.set()


async def test_pages_whose_names_hang_are_our_fault(no_name_server: None) -> None:
    urls = {node: f"http://b{node}.example.net:9404/" for node in range(3 * resolving.THREADS)}
    pages = ExporterPages(urls, timeout_seconds=0.2, clock=time.monotonic)
    found = await pages.read()
    await pages.close()
    assert {(one.reason, one.origin) for one in found.failures} == {
        (FailureReason.DNS, Origin.OURS)
    }
    assert len(found.failures) == len(urls)
    assert found.up == {}, "it says nothing of any host"


def test_the_threads_of_the_loop_are_free_for_judging(no_name_server: None) -> None:
    async def knock_and_judge() -> str:
        knocks = [
            asyncio.create_task(knock(f"b{node}.example.net", 9092, timeout_seconds=5))
            for node in range(40)
        ]
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            judged = await asyncio.to_thread(lambda: "judged")
        for task in knocks:
            task.cancel()
        await asyncio.gather(*knocks, return_exceptions=True)
        return judged

    with asyncio.Runner(loop_factory=resolving.PatientLoop) as runner:
        assert runner.run(knock_and_judge()) == "judged"
