"""Who we are to a REST service: read beside the event loop, kept while it fits, never shown."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web
from support.encrypted_key import encrypted_key
from support.http_server import serving

from healthd.collect.observation import FailureReason, Origin
from healthd.collect.rest import RestClient, RestError
from healthd.collect.rest_access import LateAccess, RestAccess
from healthd.collect.secret_threads import THREADS, in_secret_thread
from healthd.config.problems import ConfigError, Problem
from healthd.config.secret_fields import runs_program
from healthd.config.secrets import SecretRef
from healthd.config.source_rest import RestConfig
from healthd.config.source_server import ServerConfig


def login(reference: SecretRef) -> partial[RestAccess]:
    config = RestConfig(urls=("http://c1:1",), username="healthd", password=reference)
    return partial(RestAccess.of, config)


async def test_the_event_loop_goes_on_while_a_secret_is_read() -> None:
    goes_on = threading.Event()

    def read() -> RestAccess:
        assert goes_on.wait(20)
        return RestAccess(username="u")

    late = LateAccess(read)
    reading = asyncio.create_task(late.known())
    await asyncio.sleep(0)
    goes_on.set()
    assert (await reading).username == "u"


async def test_what_is_read_after_somebody_gave_up_serves_the_next() -> None:
    may_end, reads = threading.Event(), []

    def read() -> RestAccess:
        reads.append("read")
        assert may_end.wait(20)
        return RestAccess(username="u")

    late = LateAccess(read)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await late.known()
    may_end.set()
    assert (await late.known()).username == "u"
    assert await late.known() is await late.known()
    assert reads == ["read"]


async def test_after_a_failure_it_is_read_again() -> None:
    problem = Problem(file="cluster a: connect[0].passwordCommand", message="m", action="a")
    answers: list[RestAccess | ConfigError] = [ConfigError([problem]), RestAccess(username="u")]

    def read() -> RestAccess:
        answer = answers.pop(0)
        if isinstance(answer, ConfigError):
            raise answer
        return answer

    client = RestClient(read, timeout_seconds=5)
    with pytest.raises(RestError, match="cannot be asked: cluster a") as caught:
        await client.json("http://127.0.0.1:1")
    assert (caught.value.reason, caught.value.origin) == (
        FailureReason.AUTHENTICATION,
        Origin.OURS,
    )
    with pytest.raises(RestError, match="refused the connection"):
        await client.json("http://127.0.0.1:1")
    assert not answers


async def test_a_password_is_kept_while_it_fits_and_read_again_when_it_is_refused(
    tmp_path: Path,
) -> None:
    file = tmp_path / "password"
    file.write_text("old")
    file.chmod(0o600)
    sent: list[str] = []
    refuses = False

    async def answer(request: web.Request) -> web.Response:
        sent.append(request.headers["Authorization"])
        return web.json_response({}, status=401 if refuses else 200)

    client = RestClient(login(SecretRef(file=file)), timeout_seconds=5)
    async with serving(answer) as url:
        await client.json(url)
        file.write_text("new")
        await client.json(url)
        refuses = True
        with pytest.raises(RestError):
            await client.json(url)
        refuses = False
        await client.json(url)
        await client.aclose()
    old, new = (RestAccess(username="healthd", password=each).headers() for each in ("old", "new"))
    assert sent == [*[old["Authorization"]] * 3, new["Authorization"]]


async def test_a_program_that_fails_is_told_and_not_what_it_printed(tmp_path: Path) -> None:
    file = tmp_path / "program"
    file.write_text("#!/bin/sh\necho s3cr3t; echo s3cr3t >&2; exit 6\n")
    file.chmod(0o700)
    reference = SecretRef(command=(str(file),), place="cluster a: schemaRegistry.passwordCommand")
    client = RestClient(login(reference), timeout_seconds=5)
    with pytest.raises(RestError) as caught:
        await client.json("http://127.0.0.1:1")
    assert "cluster a: schemaRegistry.passwordCommand: the program" in caught.value.detail
    assert "ended with 6" in caught.value.detail
    assert "s3cr3t" not in repr(caught.value) + caught.value.detail


async def test_a_key_password_that_openssl_does_not_take_is_our_own_fault(tmp_path: Path) -> None:
    cert_file, key_file = await asyncio.to_thread(encrypted_key, tmp_path)
    access = RestAccess(
        cert_file=cert_file, key_file=key_file, key_password="x" * 2000, uses_tls=True
    )
    client = RestClient(access, timeout_seconds=5)
    with pytest.raises(RestError, match="cannot be longer than 1024 bytes") as caught:
        await client.json("https://127.0.0.1:1")
    assert (caught.value.reason, caught.value.origin) == (FailureReason.TLS, Origin.OURS)


async def test_programs_that_hang_delay_nobody_who_runs_none() -> None:
    may_end = threading.Event()
    hanging = [
        asyncio.ensure_future(in_secret_thread(may_end.wait, runs_program=True))
        for _ in range(2 * THREADS)
    ]
    late = LateAccess(lambda: RestAccess(username="u"))
    assert (await asyncio.wait_for(late.known(), 20)).username == "u"
    assert not any(each.done() for each in hanging)
    may_end.set()
    await asyncio.gather(*hanging)


def test_what_runs_a_program_is_found_anywhere_in_its_part() -> None:
    by_file = RestConfig(urls=("http://c1:1",), username="u", password=SecretRef(file=Path("p")))
    by_program = replace(by_file, key_password=SecretRef(command=("vault",), place="here"))
    assert not runs_program(by_file)
    assert runs_program(by_program)
    assert runs_program(ServerConfig(rest=by_file, bearer_token=SecretRef(command=("vault",))))


async def test_a_program_that_is_slower_than_a_request_may_be_is_waited_for(
    tmp_path: Path,
) -> None:
    may_end = threading.Event()

    def read() -> RestAccess:
        assert may_end.wait(20)
        return RestAccess()

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response("well")

    client = RestClient(read, timeout_seconds=1)
    async with serving(answer) as url:
        asking = asyncio.create_task(client.json(url))
        done, _ = await asyncio.wait({asking}, timeout=1.3)
        assert not done
        may_end.set()
        assert await asking == "well"
        await client.aclose()
