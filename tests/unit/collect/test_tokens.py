"""One token for all clients: fetched once, again before it expires, never in a storm."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from healthd.collect.failing import AccessError
from healthd.collect.observation import FailureReason
from healthd.collect.tokens import RETRY_SECONDS, TokenSource

REFUSED = AccessError(FailureReason.AUTHENTICATION, "answered 401")


class Endpoint:
    """Gives token-1, token-2, ... of 100 s, or fails."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.fetched = 0
        self.error: Exception | None = None
        self.source = TokenSource(self.fetch, monotonic=lambda: self.now)

    def fetch(self) -> tuple[str, float]:
        self.fetched += 1
        if self.error is not None:
            raise self.error
        return f"token-{self.fetched}", 100.0

    def token(self) -> str:
        return self.source.token().value

    def failure(self) -> AccessError | None:
        return self.source.failure


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


def test_a_token_is_used_again_until_three_quarters_of_its_life(endpoint: Endpoint) -> None:
    assert endpoint.token() == "token-1"
    endpoint.now += 74.9
    assert endpoint.token() == "token-1"
    endpoint.now += 0.2
    assert endpoint.token() == "token-2"
    assert endpoint.source.token().left(endpoint.now) == 100.0


def test_a_failure_is_remembered_for_a_moment_and_then_asked_again(endpoint: Endpoint) -> None:
    endpoint.error = REFUSED
    for _ in range(20):
        with pytest.raises(AccessError, match="answered 401"):
            endpoint.token()
    assert endpoint.fetched == 1
    assert endpoint.failure() is REFUSED
    endpoint.error = None
    endpoint.now += RETRY_SECONDS
    assert endpoint.token() == "token-2"
    assert endpoint.failure() is None


def test_while_the_endpoint_is_away_the_old_token_is_given_until_its_end(
    endpoint: Endpoint,
) -> None:
    endpoint.token()
    endpoint.error = REFUSED
    endpoint.now += 80
    assert endpoint.token() == "token-1"
    endpoint.now += 19.9
    assert endpoint.token() == "token-1"
    assert endpoint.failure() is None
    endpoint.now += 0.1
    assert endpoint.failure() is REFUSED
    with pytest.raises(AccessError):
        endpoint.token()


def test_an_unforeseen_error_is_told_without_its_text(endpoint: Endpoint) -> None:
    endpoint.error = RuntimeError("client_secret=s3cr3t")
    with pytest.raises(AccessError, match=r"no token could be fetched \(RuntimeError\)"):
        endpoint.token()


def test_many_clients_at_once_cost_one_request() -> None:
    opened = threading.Event()
    asked: list[int] = []

    def fetch() -> tuple[str, float]:
        asked.append(1)
        assert opened.wait(30)
        return "token", 100.0

    source = TokenSource(fetch, wait_seconds=30)
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(source.token().value)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    opened.set()
    for thread in threads:
        thread.join()
    assert found == ["token"] * 8
    assert len(asked) == 1


def test_an_endpoint_that_is_slow_is_not_waited_for_and_its_token_counts_later() -> None:
    opened, done = threading.Event(), threading.Event()
    now = [0.0]

    def fetch() -> tuple[str, float]:
        assert opened.wait(30)
        return "token", 100.0

    source = TokenSource(announced(fetch, done), wait_seconds=0.01, monotonic=lambda: now[0])
    with pytest.raises(AccessError, match="nothing within") as caught:
        source.token()
    assert caught.value.reason is FailureReason.TIMEOUT
    opened.set()
    assert done.wait(30)
    now[0] += RETRY_SECONDS
    patient = threading.Event()
    for _ in range(1000):
        if source.failure is None:
            break
        patient.wait(0.01)
    assert source.token().value == "token"


def announced(
    fetch: Callable[[], tuple[str, float]], done: threading.Event
) -> Callable[[], tuple[str, float]]:
    def run() -> tuple[str, float]:
        try:
            return fetch()
        finally:
            done.set()

    return run
