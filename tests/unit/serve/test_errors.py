"""Every error is a problem document (RFC 9457) with a type, a status and what to do."""

from pathlib import Path
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs
from support.daemon import (
    InMemoryDaemon,
    cluster_view,
    snapshot_of_cluster,
    unseen_view,
    wave_state,
)

from healthd.engine.view import OrderRefused, Refusal
from healthd.serve.app import create_app
from healthd.serve.auth import TokenAuth
from healthd.serve.guard import MAX_BODY_BYTES
from healthd.serve.problems import TYPE_PREFIX
from healthd.serve.server import HttpServer

WHY = {"reason": "CHG-1"}


def check_problem(response: httpx2.Response, status: int, kind: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["type"] == TYPE_PREFIX + kind
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    return problem


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "kind"),
    [
        ("GET", "/nope", None, 404, "http"),
        ("GET", "/api/v1/nothing", None, 404, "http"),
        ("GET", "/docs", None, 404, "http"),
        ("GET", "/api/v1/clusters/", None, 404, "http"),
        ("DELETE", "/api/v1/clusters", None, 405, "http"),
        ("GET", "/-/reload", None, 405, "http"),
        ("GET", "/api/v1/clusters/none", None, 404, "unknown-cluster"),
        ("GET", "/api/v1/clusters/none/health", None, 404, "unknown-cluster"),
        ("GET", "/api/v1/clusters/dark/snapshot", None, 503, "not-observed"),
        ("GET", "/api/v1/clusters/dark/ok-to-stop", None, 503, "not-observed"),
        ("GET", "/api/v1/clusters/payments/ok-to-stop?brokers=", None, 422, "invalid-request"),
        ("GET", "/api/v1/clusters/payments/ok-to-stop?brokers=a", None, 422, "invalid-request"),
        ("GET", "/api/v1/clusters/payments/ok-to-stop?brokers=9", None, 422, "invalid-request"),
        (
            "GET",
            f"/api/v1/clusters/payments/ok-to-stop?brokers={'1' * 5000}",
            None,
            422,
            "invalid-request",
        ),
        ("GET", "/api/v1/clusters/away/ok-to-stop", None, 503, "not-observed"),
        ("GET", "/api/v1/clusters/away/plan", None, 503, "not-observed"),
        ("GET", "/api/v1/clusters/payments/ok-to-stop?margin=-1", None, 422, "invalid-request"),
        ("GET", "/api/v1/waves/none", None, 404, "unknown-wave"),
        ("GET", "/api/v1/waves/none/journal", None, 404, "unknown-wave"),
        ("GET", "/api/v1/waves/none/report", None, 404, "unknown-wave"),
        ("GET", "/api/v1/waves/w1/report?format=pdf", None, 422, "invalid-request"),
        ("POST", "/api/v1/waves/none/pause", WHY, 404, "unknown-wave"),
        ("POST", "/api/v1/waves/w1/fly", WHY, 422, "invalid-request"),
        ("POST", "/api/v1/waves/w1/pause", {}, 422, "invalid-request"),
        ("POST", "/api/v1/waves/w1/pause", {"reason": "  "}, 422, "invalid-request"),
        ("POST", "/api/v1/waves/w1/pause", {"reason": 1}, 422, "invalid-request"),
        ("POST", "/api/v1/waves/w1/pause", {**WHY, "why": "x"}, 422, "invalid-request"),
        ("POST", "/api/v1/waves/w1/pause", {**WHY, "node": 1}, 422, "invalid-request"),
        ("POST", "/api/v1/waves/w1/retry", WHY, 422, "invalid-request"),
        ("POST", "/api/v1/waves/w1/skip", {**WHY, "node": -1}, 422, "invalid-request"),
        ("POST", "/api/v1/waves/pause-all", {}, 422, "invalid-request"),
        ("POST", "/api/v1/waves", [], 422, "invalid-request"),
        ("GET", "/api/v1/audit?limit=0", None, 422, "invalid-request"),
    ],
)
async def test_a_request_that_cannot_be_met_is_a_problem(
    client: httpx2.AsyncClient,
    daemon: InMemoryDaemon,
    *,
    method: str,
    path: str,
    body: Any,
    status: int,
    kind: str,
) -> None:
    daemon.views["dark"] = unseen_view()
    never_seen = snapshot_of_cluster("away", ages={"metadata": None})
    daemon.views["away"] = cluster_view("away", never_seen)
    daemon.put(wave_state())
    check_problem(await client.request(method, path, json=body), status, kind)
    assert daemon.records == []


async def test_what_is_wrong_with_a_body_is_named_by_its_path(client: httpx2.AsyncClient) -> None:
    response = await client.post("/api/v1/waves/pause-all", json={"reason": 1, "extra": 2})
    problem = check_problem(response, 422, "invalid-request")
    assert {row["path"] for row in problem["problems"]} == {"reason", "extra"}


async def test_who_asks_for_the_head_alone_is_told_it_as_for_all(
    daemon: InMemoryDaemon, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("a-token-of-some-length\n")
    token.chmod(0o600)
    server = HttpServer(create_app(daemon, TokenAuth(token), open_reads=True), port=0)
    address = f"http://127.0.0.1:{await server.start()}"
    try:
        async with httpx2.AsyncClient(base_url=address) as asking:
            for path in ("/-/healthy", "/metrics", "/api/v1/clusters/payments", "/nope"):
                whole, head = await asking.get(path), await asking.head(path)
                assert (head.status_code, head.content) == (whole.status_code, b"")
                assert head.headers["content-type"] == whole.headers["content-type"]
            assert (await asking.head("/-/reload")).status_code == 405
    finally:
        await server.stop(1.0)


async def test_an_unknown_path_that_is_named_keeps_what_methods_there_are(
    client: httpx2.AsyncClient,
) -> None:
    response = await client.delete("/-/healthy")
    assert response.headers["allow"] == "GET"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"{", "JSON", id="no JSON"),
        pytest.param(b'{"kind": "Wave", "kind": "Wave"}', "twice", id="a key twice"),
        pytest.param(b"\xff", "UTF-8", id="no text"),
        pytest.param(b"", "", id="empty"),
    ],
)
async def test_a_wave_that_is_no_strict_json_is_refused(
    client: httpx2.AsyncClient, content: bytes, said: str
) -> None:
    response = await client.post("/api/v1/waves", content=content)
    assert said in check_problem(response, 422, "invalid-request")["detail"]


@pytest.mark.parametrize(
    ("refused", "status", "kind", "facts"),
    [
        (
            OrderRefused(
                Refusal.LEASED, "payments is held", holder="bob", since="12:00", wave="w0"
            ),
            409,
            "leased",
            {"holder": "bob", "since": "12:00", "wave": "w0"},
        ),
        (
            OrderRefused(Refusal.INVALID, "no", problems=[("stages[0].brokers", "unknown id")]),
            422,
            "invalid-request",
            {"problems": [{"path": "stages[0].brokers", "message": "unknown id"}]},
        ),
        (OrderRefused(Refusal.UNKNOWN, "no such cluster"), 404, "unknown", {}),
        (OrderRefused(Refusal.CONFLICT, "it has ended", status="mine"), 409, "conflict", {}),
        (OrderRefused(Refusal.STORE, "the disk is full"), 503, "store", {}),
    ],
    ids=lambda value: value.refusal.value if isinstance(value, OrderRefused) else "",
)
async def test_an_order_that_the_daemon_refuses_says_why(
    client: httpx2.AsyncClient,
    daemon: InMemoryDaemon,
    *,
    refused: OrderRefused,
    status: int,
    kind: str,
    facts: dict[str, Any],
) -> None:
    daemon.put(wave_state())
    daemon.refusal = refused
    problem = check_problem(await client.post("/api/v1/waves/w1/pause", json=WHY), status, kind)
    assert problem["detail"] == str(refused)
    assert {key: problem[key] for key in facts} == facts


OVERRIDES = [
    "/api/v1/waves/w1/approve",
    "/api/v1/waves/w1/discard",
    "/api/v1/overrides",
    "/api/v1/overrides/payments/lift",
    "/api/v1/mutes",
    "/api/v1/mutes/m1/lift",
    "/api/v1/freezes",
    "/api/v1/freezes/f1/remove",
    "/api/v1/waves/w1/override",
]
WRITES = [
    "/-/reload",
    "/api/v1/waves",
    "/api/v1/waves/pause-all",
    "/api/v1/waves/w1/pause",
    "/api/v1/waves/w1/resume",
    "/api/v1/waves/w1/retry",
    "/api/v1/waves/w1/skip",
    "/api/v1/waves/w1/abort",
]


@pytest.mark.parametrize("path", [*WRITES, *OVERRIDES])
@pytest.mark.parametrize("header", [None, "Bearer wrong-token-of-length"])
async def test_a_write_without_the_token_is_refused_before_anything_is_read(
    anybody: httpx2.AsyncClient, daemon: InMemoryDaemon, path: str, header: str | None
) -> None:
    daemon.put(wave_state())
    headers = {} if header is None else {"Authorization": header}
    response = await anybody.post(path, content=b"{", headers=headers)
    check_problem(response, 401, "unauthorized")
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert daemon.records == []


async def test_every_write_of_the_api_is_in_the_table_above(client: httpx2.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    writes = {path for path, methods in document["paths"].items() if set(methods) - {"get"}}
    verbs = {path.replace("w1", "{wave}").rpartition("/")[0] + "/{verb}" for path in WRITES[3:]}
    named = {path.replace("payments", "{cluster}").replace("m1", "{mute}") for path in OVERRIDES}
    named = {path.replace("w1", "{wave}").replace("f1", "{freeze}") for path in named}
    # A plan is asked for by POST, for its question is a file; nothing is written.
    assert writes - {"/api/v1/plans"} == {*WRITES[:3], *verbs, *named}


@pytest.mark.parametrize("path", ["/metrics", "/api/v1/clusters", "/openapi.json", "/nope"])
async def test_reads_need_the_token_too_unless_they_are_open(
    closed: httpx2.AsyncClient, path: str
) -> None:
    check_problem(await closed.get(path), 401, "unauthorized")


@pytest.mark.parametrize("path", ["/-/healthy", "/-/ready"])
async def test_health_checks_are_always_open(closed: httpx2.AsyncClient, path: str) -> None:
    assert (await closed.get(path)).status_code == 200


@pytest.mark.parametrize("is_announced", [True, False])
async def test_a_body_that_nobody_needs_is_not_read_to_its_end(
    client: httpx2.AsyncClient, *, is_announced: bool
) -> None:
    taken = 0

    async def endless() -> Any:
        nonlocal taken
        while True:
            taken += 1
            yield b"x" * 100_000

    content: Any = b"x" * (MAX_BODY_BYTES + 1) if is_announced else endless()
    check_problem(await client.post("/api/v1/waves", content=content), 413, "too-large")
    assert taken < 20


async def test_a_defect_is_logged_and_shows_nothing_of_itself(
    client: httpx2.AsyncClient, daemon: InMemoryDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("the inner secret")

    monkeypatch.setattr(daemon, "clusters", fail)
    with capture_logs() as logs:
        response = await client.get("/api/v1/clusters")
    problem = check_problem(response, 500, "internal")
    assert "secret" not in str(problem)
    assert [(row["event"], row["path"]) for row in logs] == [("request_failed", "/api/v1/clusters")]
