"""Following a profile: what is known, from whom, and what goes on when nobody answers."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from support.short_lived import CertificateAuthority

from healthd.client import ProfileResolver, ResolveError, Route


def _stand_in(healthd: Any, port: int) -> Any:
    return type(healthd)(port)


Make = Callable[..., ProfileResolver]


@pytest.fixture
def make(healthd: Any) -> Iterator[Make]:
    """Makes resolvers that are in a hurry; all are closed at the end."""
    made: list[ProfileResolver] = []

    def making(*urls: str, **settings: Any) -> ProfileResolver:
        given = {"retry_seconds": (0.01, 0.05), "wait_seconds": 5.0, "client_id": "me", **settings}
        made.append(ProfileResolver("P", urls or healthd.url, **given))
        return made[-1]

    yield making
    for resolver in made:
        resolver.close()


class Heard:
    """Routes that a listener was told."""

    def __init__(self) -> None:
        self.routes: list[list[str]] = []
        self._changed = threading.Condition()

    def __call__(self, route: Route) -> None:
        with self._changed:
            self.routes.append([member.cluster for member in route.members])
            self._changed.notify_all()

    def wait_for(self, routes: list[list[str]]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.routes == routes, 10), self.routes


def broken() -> None:
    raise RuntimeError("a callback's own defect")


def until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.005)


def test_it_knows_the_cluster_to_use(make: Make) -> None:
    resolver = make().start()
    assert [member.cluster for member in resolver.wait().members] == ["east", "west"]
    assert resolver.member is not None
    assert resolver.member.bootstrap_servers == ("east:9092",)
    assert resolver.error is None


def test_it_tells_of_a_change_when_it_comes(make: Make, healthd: Any) -> None:
    heard = Heard()
    resolver = make().start()
    resolver.wait()
    resolver.subscribe(heard)
    healthd.wait_for_requests(2)
    healthd.resolves_to(west=100)
    heard.wait_for([["east", "west"], ["west"]])


def test_a_listener_that_fails_or_has_gone_harms_nobody(make: Make, healthd: Any) -> None:
    heard, gone = Heard(), Heard()
    resolver = make().start()
    resolver.subscribe(lambda _: broken())
    resolver.subscribe(heard)
    resolver.subscribe(gone)()
    resolver.wait()
    before = len(gone.routes)
    healthd.wait_for_requests(2)
    healthd.resolves_to(west=100)
    until(lambda: heard.routes[-1:] == [["west"]])
    assert len(gone.routes) == before


def test_it_waits_at_the_server_and_not_all_clients_equally_long(make: Make, healthd: Any) -> None:
    for _ in range(3):
        make(wait_seconds=30).start()
    healthd.wait_for_requests(6)
    queries = [parse_qs(urlsplit(path).query) for path, _ in healthd.requests]
    waits = {query["wait"][0] for query in queries if query}
    assert len(waits) == 3
    assert all(24 <= float(wait.rstrip("s")) <= 30 for wait in waits)
    assert all(query["since"] == ["1"] for query in queries if query)


def test_what_is_known_goes_on_to_count_when_nobody_answers(make: Make, healthd: Any) -> None:
    resolver = make().start()
    resolver.wait()
    healthd.close()
    until(lambda: resolver.error is not None)
    assert resolver.member is not None
    assert resolver.member.cluster == "east"
    assert "does not answer" in str(resolver.error)


def test_it_goes_on_when_healthd_is_back(make: Make, healthd: Any) -> None:
    resolver = make().start()
    resolver.wait()
    healthd.close()
    until(lambda: resolver.error is not None)
    again = _stand_in(healthd, healthd.server_address[1])
    again.version = 7
    again.resolves_to(west=100)
    until(lambda: resolver.member is not None and resolver.member.cluster == "west")
    assert resolver.error is None
    again.close()


def test_another_healthd_is_asked_when_one_is_away(make: Make, healthd: Any) -> None:
    for _ in range(4):
        assert make("http://127.0.0.1:9", healthd.url).start().wait().profile == "P"


def test_an_answer_that_cannot_be_used_changes_nothing(make: Make, healthd: Any) -> None:
    resolver = make().start()
    resolver.wait()
    healthd.wait_for_requests(2)
    healthd.odd = (200, b"<html>a proxy's page</html>")
    healthd.resolves_to(west=100)
    until(lambda: resolver.error is not None)
    assert "no route of healthd" in str(resolver.error)
    assert resolver.member is not None
    assert resolver.member.cluster == "east"


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ((404, b'{"detail": "there is no profile P; the fleet file has: Q"}'), "has: Q"),
        ((503, b"Service Unavailable"), "answered 503: Service Unavailable"),
        ((302, b""), "answered 302"),
        ((200, b'{"profile": "Q", "order": "equal", "members": []}'), "answered Q when asked"),
        ((200, b" " * 1_000_001), "more than 1000000 bytes"),
    ],
)
def test_why_there_is_no_answer_is_told(
    make: Make, healthd: Any, odd: tuple[int, bytes], words: str
) -> None:
    healthd.odd = odd
    with pytest.raises(ResolveError, match=r"the profile P could not be resolved") as error:
        make().start().wait(0.5)
    assert words in str(error.value)


def test_the_token_is_read_anew_for_each_question(make: Make, healthd: Any, tmp_path: Path) -> None:
    file = tmp_path / "token"
    healthd.token = "the-second-token"
    resolver = make(token_file=file).start()
    with pytest.raises(ResolveError, match="cannot be read"):
        resolver.wait(0.1)
    file.write_text("the-first-token\n")
    until(lambda: "wants a token" in str(resolver.error))
    file.write_text("the-second-token\n")
    assert resolver.wait().profile == "P"
    assert "the-second-token" not in repr(vars(resolver))


def test_the_token_may_come_from_the_environment(
    make: Make, healthd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthd.token = "the-token"
    with pytest.raises(ResolveError, match="the variable ROUTE_TOKEN holds no token"):
        make(token_variable="ROUTE_TOKEN").start().wait(0.1)
    monkeypatch.setenv("ROUTE_TOKEN", "the-token")
    assert make(token_variable="ROUTE_TOKEN").start().wait().profile == "P"


def test_healthd_over_tls_is_believed_only_with_a_certificate_that_is_trusted(
    make: Make, healthd: Any, tmp_path: Path
) -> None:
    authority = CertificateAuthority(tmp_path)
    own = authority.issue("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.chain_file, own.key_file)
    secured = _stand_in(healthd, 0)
    secured.socket = context.wrap_socket(secured.socket, server_side=True)
    secured.resolves_to(east=100)
    url = secured.url.replace("http://127.0.0.1", "https://localhost")
    with pytest.raises(ResolveError, match="certificate verify failed"):
        make(url).start().wait(0.3)
    assert make(url, ca_file=authority.file).start().wait().profile == "P"
    secured.close()


def test_a_start_without_healthd_uses_the_answer_that_was_kept(
    make: Make, healthd: Any, tmp_path: Path
) -> None:
    file = tmp_path / "route.json"
    make(cache_file=file).start().wait()
    until(file.exists)
    healthd.close()
    resolver = make(cache_file=file).start()
    assert resolver.wait(0).members[0].cluster == "east"
    assert resolver.silent_seconds == float("inf")


def test_a_kept_answer_that_is_broken_is_passed_over(make: Make, tmp_path: Path) -> None:
    file = tmp_path / "route.json"
    file.write_text("{")
    assert make(cache_file=file).start().wait().members[0].cluster == "east"


def test_closing_does_not_wait_for_the_answer(make: Make, healthd: Any) -> None:
    resolver = make(wait_seconds=60).start()
    resolver.wait()
    healthd.wait_for_requests(2)
    began = time.monotonic()
    resolver.close()
    assert time.monotonic() - began < 1.9
    assert not any(thread.name == "healthd-P" for thread in threading.enumerate())


@pytest.mark.parametrize(
    ("urls", "settings", "words"),
    [
        (["ftp://x"], {}, "must be http"),
        (["x:9780"], {}, "must be http"),
        (["http://me:secret@x"], {}, "^the URL of healthd must not hold a name or a password$"),
        (["http://x:port"], {}, "Port"),
        ([], {}, "at least one URL"),
        (["http://x"], {"wait_seconds": 61}, "at most 60"),
    ],
)
def test_arguments_that_are_none_are_refused(
    urls: list[str], settings: dict[str, float], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        ProfileResolver("P", urls, wait_seconds=settings.get("wait_seconds", 30))
