"""JSON over HTTP: every bad answer is a failure of its own kind, and none is believed."""

import asyncio
import base64
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web
from support.http_server import Handler, says, serving

from healthd.collect.observation import FailureReason, Origin
from healthd.collect.rest import RestClient, RestError, first_line
from healthd.collect.rest_access import RestAccess
from healthd.config.secrets import SecretRef
from healthd.config.source_rest import RestConfig


async def asked(
    url: str, *, timeout_seconds: float = 5.0, access: RestAccess | None = None
) -> object:
    client = RestClient(access, timeout_seconds=timeout_seconds, max_bytes=100_000)
    try:
        return await client.json(f"{url}/x")
    finally:
        await client.aclose()


async def redirects(request: web.Request) -> web.Response:
    raise web.HTTPFound(request.path)


async def half(request: web.Request) -> web.StreamResponse:
    # Says that more will come, and hangs up.
    response = web.StreamResponse(headers={"Content-Length": "100"})
    await response.prepare(request)
    await response.write(b'{"a": ')
    assert request.transport is not None
    request.transport.close()
    return response


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" " * 65536)


async def bomb(_request: web.Request) -> web.Response:
    response = web.Response(body=b"[" + b" " * 1_000_000 + b"]", content_type="application/json")
    response.enable_compression(web.ContentCoding.gzip)
    return response


@pytest.mark.parametrize(
    ("handler", "reason", "origin"),
    [
        pytest.param(says("{", status=500), "http_status", "theirs", id="500"),
        pytest.param(says("{}", status=404), "http_status", "ours", id="404"),
        pytest.param(says("{}", status=401), "authentication", "ours", id="401"),
        pytest.param(says("{}", status=403), "authorization", "ours", id="403"),
        pytest.param(redirects, "http_status", "ours", id="redirect-loop"),
        pytest.param(says("<html>", kind="text/html"), "protocol", "ours", id="html"),
        pytest.param(says('{"a": '), "protocol", "theirs", id="half-json"),
        pytest.param(says("[" * 50_000), "protocol", "theirs", id="deep-json"),
        pytest.param(half, "protocol", "theirs", id="hangs-up"),
        pytest.param(endless, "too_large", "theirs", id="endless"),
        pytest.param(bomb, "too_large", "theirs", id="compressed"),
    ],
)
async def test_a_bad_answer_is_a_failure_with_its_reason(
    handler: Handler, reason: str, origin: str
) -> None:
    async with serving(handler) as url:
        with pytest.raises(RestError) as caught:
            await asked(url)
    assert (caught.value.reason.value, caught.value.origin.value) == (reason, origin)


async def test_an_answer_that_does_not_come_ends_at_its_limit() -> None:
    never = asyncio.Event()

    async def handler(_request: web.Request) -> web.Response:
        await never.wait()
        return web.Response()

    async with serving(handler) as url:
        with pytest.raises(RestError) as caught:
            await asked(url, timeout_seconds=0.05)
        never.set()
    assert caught.value.reason is FailureReason.TIMEOUT


@pytest.mark.parametrize(
    ("url", "reason", "origin"),
    [
        pytest.param(
            lambda port: f"http://127.0.0.1:{port}",
            FailureReason.REFUSED,
            Origin.THEIRS,
            id="refused",
        ),
        pytest.param(
            lambda _: "http://nowhere.invalid:8083", FailureReason.DNS, Origin.OURS, id="dns"
        ),
    ],
)
async def test_nobody_there_says_whose_fault_that_is(
    url: Callable[[int], str], reason: FailureReason, origin: Origin, unused_tcp_port: int
) -> None:
    with pytest.raises(RestError) as caught:
        await asked(url(unused_tcp_port))
    assert (caught.value.reason, caught.value.origin) == (reason, origin)


async def test_plain_http_behind_https_is_a_failure_of_tls() -> None:
    async with serving(says("{}")) as url:
        with pytest.raises(RestError) as caught:
            await asked(url.replace("http:", "https:"), access=RestAccess(uses_tls=True))
    assert caught.value.reason is FailureReason.TLS


async def test_a_certificate_file_that_is_none_is_our_own_fault(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    with pytest.raises(RestError) as caught:
        await asked("https://127.0.0.1:1", access=RestAccess(uses_tls=True, ca_file=file))
    assert (caught.value.reason, caught.value.origin) == (FailureReason.TLS, Origin.OURS)


async def test_basic_authentication_is_sent_and_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response(request.headers.get("Authorization"))

    monkeypatch.setitem(os.environ, "REST_PASSWORD", "s3cret")
    config = RestConfig(
        urls=("http://127.0.0.1:1",), username="healthd", password=SecretRef(env="REST_PASSWORD")
    )
    access = RestAccess.of(config)
    assert "s3cret" not in repr(access)
    async with serving(handler) as url:
        sent = await asked(url, access=access)
    assert sent == "Basic " + base64.b64encode(b"healthd:s3cret").decode()


async def test_cookies_of_one_answer_are_not_sent_with_the_next() -> None:
    async def handler(request: web.Request) -> web.Response:
        response = web.Response(text=json.dumps(dict(request.cookies)))
        response.set_cookie("session", "1")
        return response

    client = RestClient(timeout_seconds=5)
    async with serving(handler) as url:
        answers = [await client.json(url), await client.json(url)]
        await client.aclose()
    assert answers == [{}, {}]


@pytest.mark.parametrize(
    ("trace", "line"),
    [
        ("org.x.Error: no file\n\tat a.b(C.java:1)", "org.x.Error: no file"),
        ("\n\n  first\nsecond", "first"),
        (
            "bad url jdbc:x://u:p@db/1;password=hunter2;a=b",
            "bad url jdbc:x://[redacted]@db/1;password=[redacted];a=b",
        ),
        ("sasl.jaas.config: secret.key=abc", "sasl.jaas.config: secret.key=[redacted]"),
        ("x" * 5000, "x" * 300),
        (None, ""),
        (7, ""),
    ],
    ids=["trace", "blank-lines", "jdbc", "jaas", "long", "none", "no-text"],
)
def test_only_the_first_line_of_a_trace_is_kept_without_secrets(trace: object, line: str) -> None:
    assert first_line(trace) == line
