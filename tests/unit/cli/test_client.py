"""What a person is told when the daemon does not do what was asked, and the exit codes."""

import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.daemon import wave_state

from healthd.cli.client import DaemonClient, DaemonError, path_of, refusal
from healthd.cli.exits import Exit
from healthd.engine.view import OrderRefused, Refusal

TYPE = "urn:healthd:problem:"


@contextmanager
def somebody_else(status: int, body: bytes) -> Iterator[str]:
    """The address of a server that is not healthd."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_daemon_that_is_not_there_is_exit_8_with_its_address_and_what_to_do(served: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = f"http://127.0.0.1:{taken.getsockname()[1]}"
    for words in (["status"], ["snapshot", "payments"], ["wave", "list"]):
        result = served.run(*words, "--server", free)
        assert result.exit_code == Exit.UNREACHABLE
        assert f"cannot be reached at {free}: Connection refused" in result.stderr
        assert "HEALTHD_SERVER" in result.stderr
        assert result.stdout == ""


def test_a_name_that_does_not_resolve_is_exit_8(served: Any) -> None:
    result = served.run("status", "--server", "http://no-such-host.invalid:9780")
    assert result.exit_code == Exit.UNREACHABLE
    assert "no-such-host.invalid" in result.stderr


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(200, b"<html>", id="a page"),
        pytest.param(404, b"<html>", id="an error page"),
        pytest.param(502, b'{"error": "x"}', id="an error of another kind"),
    ],
)
def test_whoever_is_not_healthd_is_exit_8(served: Any, status: int, body: bytes) -> None:
    with somebody_else(status, body) as address:
        result = served.run("status", "--server", address)
    assert result.exit_code == Exit.UNREACHABLE
    assert "not" in result.stderr
    assert "healthd" in result.stderr


@pytest.mark.parametrize("address", ["localhost:9780", "ftp://localhost", "http://", "nonsense"])
def test_an_address_that_is_none_is_a_usage_error(served: Any, address: str) -> None:
    result = served.run("status", "--server", address)
    assert result.exit_code == Exit.USAGE
    assert address in result.stderr


def test_an_order_without_the_token_says_where_to_name_it(served: Any) -> None:
    served.daemon.put(wave_state())
    served.environment = {"HEALTHD_TOKEN_FILE": ""}
    result = served.run("wave", "pause", "w1", "--reason", "x")
    assert result.exit_code == Exit.FAILED
    assert "HEALTHD_TOKEN_FILE" in result.stderr


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe"])
def test_a_token_file_that_cannot_be_used_is_named(
    served: Any, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "other"
    if content is not None:
        path.write_bytes(content)
    result = served.run("status", "--token-file", str(path))
    assert result.exit_code == Exit.USAGE
    assert str(path) in result.stderr


def test_a_token_that_leaves_the_host_in_clear_is_warned_about(
    served: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    DaemonClient("http://elsewhere.invalid", served.token_file)
    assert "unencrypted" in capsys.readouterr().err
    DaemonClient("http://127.0.0.1:1", served.token_file)
    DaemonClient("https://elsewhere.invalid", served.token_file)
    assert capsys.readouterr().err == ""


def test_proxies_of_the_environment_are_not_asked(served: Any) -> None:
    served.environment = {"http_proxy": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    assert served.run("status").exit_code == Exit.OK


def test_a_lease_that_is_held_is_exit_6_with_who_since_when_and_which_wave(served: Any) -> None:
    served.daemon.refusal = OrderRefused(
        Refusal.LEASED,
        "payments is held by another wave",
        holder="bob",
        since="2026-01-01T11:00:00Z",
        wave="w0",
    )
    words = ["--playbook", "rolling-restart", "--cluster", "payments", "--brokers", "3"]
    result = served.run("wave", "start", *words, "--reason", "CHG-1")
    assert result.exit_code == Exit.LEASE_HELD
    assert result.stdout == ""
    for fact in ("payments is held", "by bob", "since 2026-01-01T11:00:00Z", "wave w0"):
        assert fact in result.stderr


@pytest.mark.parametrize(
    ("problem", "code", "said"),
    [
        ({"type": TYPE + "conflict", "status": 409}, Exit.FAILED, "why"),
        ({"type": TYPE + "store", "status": 503}, Exit.FAILED, "why"),
        ({"type": TYPE + "internal", "status": 500}, Exit.FAILED, "why"),
        ({"type": TYPE + "not-observed", "status": 503}, Exit.FAILED, "why"),
        ({"type": TYPE + "unknown-wave", "status": 404}, Exit.USAGE, "why"),
        ({"type": TYPE + "unknown-cluster", "status": 404}, Exit.USAGE, "why"),
        ({"type": TYPE + "http", "status": 404}, Exit.FAILED, "this daemon cannot do that"),
        (
            {"type": TYPE + "invalid-request", "status": 422,
             "problems": [{"path": "a.b", "message": "bad", "action": "mend it"}]},
            Exit.USAGE, "a.b: bad -> mend it",
        ),
    ],
    ids=lambda value: value["type"].rpartition(":")[2] if isinstance(value, dict) else "",
)  # fmt: skip
def test_every_problem_has_its_exit_code(problem: dict[str, Any], code: Exit, said: str) -> None:
    error = refusal({"detail": "why", **problem})
    assert isinstance(error, DaemonError)
    assert error.exit_code == code
    assert said in error.message


def test_names_with_odd_characters_stay_one_part_of_the_path() -> None:
    assert path_of("waves", "a/../b?c") == "/api/v1/waves/a%2F..%2Fb%3Fc"
