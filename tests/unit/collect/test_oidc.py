"""One request to a token endpoint: what each answer means, and that nothing of it is repeated."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.kafka_cluster import free_port
from support.short_lived import CertificateAuthority
from support.token_server import TokenServer

from healthd.collect.failing import AccessError
from healthd.collect.observation import FailureReason
from healthd.collect.oidc import UNKNOWN_LIFE_SECONDS, fetch_token
from healthd.config.oauth import OAuthConfig
from healthd.config.secrets import SecretRef

SECRET = "s3cr3t: with ü&="


@pytest.fixture
def server() -> Iterator[TokenServer]:
    with TokenServer({"healthd/1": SECRET}, lifetime_seconds=77) as found:
        yield found


@pytest.fixture
def config(server: TokenServer, tmp_path: Path) -> OAuthConfig:
    file = tmp_path / "secret"
    file.write_text(SECRET)
    file.chmod(0o600)
    return OAuthConfig(
        token_endpoint_url=server.token_url,
        client_id="healthd/1",
        client_secret=SecretRef(file=file),
        scope="kafka read",
    )


def test_client_credentials_give_a_token_and_its_life(
    server: TokenServer, config: OAuthConfig
) -> None:
    assert fetch_token(config) == (server.given[0], 77.0)
    assert server.requests == [
        {"grant_type": "client_credentials", "scope": "kafka read", "client": "healthd/1"}
    ]


def test_a_secret_that_was_changed_in_its_file_counts_at_once(
    server: TokenServer, config: OAuthConfig
) -> None:
    assert config.client_secret.file is not None
    config.client_secret.file.write_text("other")
    server.clients["healthd/1"] = "other"
    fetch_token(config)


@pytest.mark.parametrize(
    ("status", "body", "reason", "says"),
    [
        pytest.param(
            401,
            {"error": "invalid_client", "error_description": SECRET},
            FailureReason.AUTHENTICATION,
            "answered 401 (invalid_client): check clientId, the client secret, scope",
            id="a wrong secret",
        ),
        pytest.param(
            404, {}, FailureReason.AUTHENTICATION, "answered 404: check", id="a wrong path"
        ),
        pytest.param(302, {}, FailureReason.AUTHENTICATION, "answered 302: check", id="a redirect"),
        pytest.param(
            503, {"error": f"{SECRET}"}, FailureReason.NETWORK, "answered 503", id="overload"
        ),
        pytest.param(429, {}, FailureReason.NETWORK, "answered 429", id="too many"),
        pytest.param(
            200, "<html>", FailureReason.AUTHENTICATION, "without an access token", id="HTML"
        ),
        pytest.param(
            200, {"token": "x"}, FailureReason.AUTHENTICATION, "without an access token", id="none"
        ),
        pytest.param(
            200,
            {"access_token": "a\x01auth=Bearer b", "expires_in": 60},
            FailureReason.AUTHENTICATION,
            "without an access token",
            id="a token that would end its line",
        ),
        pytest.param(
            200,
            {"access_token": "x", "expires_in": 0},
            FailureReason.AUTHENTICATION,
            "a token that has expired: compare the clocks",
            id="an expired token",
        ),
    ],
)
def test_no_token_has_a_reason_and_shows_nothing(
    server: TokenServer,
    config: OAuthConfig,
    *,
    status: int,
    body: object,
    reason: FailureReason,
    says: str,
) -> None:
    server.answer = lambda: (status, json.dumps(body).encode())
    with pytest.raises(AccessError) as caught:
        fetch_token(config)
    assert caught.value.reason is reason
    assert says in caught.value.detail
    assert "s3cr3t" not in caught.value.detail


@pytest.mark.parametrize(
    ("answer", "life"),
    [
        pytest.param({"access_token": "opaque"}, UNKNOWN_LIFE_SECONDS, id="nothing is said"),
        pytest.param({"access_token": "a.!!!.c"}, UNKNOWN_LIFE_SECONDS, id="no JWT either"),
        pytest.param({"access_token": "x", "expires_in": "60"}, 60.0, id="a number as text"),
        pytest.param({"access_token": "x", "expires_in": 1e300}, 1e8, id="for ever"),
    ],
)
def test_a_life_that_is_said_in_other_ways(
    server: TokenServer, config: OAuthConfig, answer: dict[str, object], life: float
) -> None:
    server.answer = lambda: (200, json.dumps(answer).encode())
    assert fetch_token(config)[1] == life


def test_a_jwt_tells_its_own_end(server: TokenServer, config: OAuthConfig) -> None:
    token = server.token("x", lifetime_seconds=500)
    server.answer = lambda: (200, json.dumps({"access_token": token}).encode())
    assert 490 < fetch_token(config)[1] <= 500


def test_nobody_there_is_our_network(config: OAuthConfig) -> None:
    gone = replace(config, token_endpoint_url=f"http://127.0.0.1:{free_port()}/token")
    with pytest.raises(AccessError, match=r"cannot be reached: Connection refused") as caught:
        fetch_token(gone)
    assert caught.value.reason is FailureReason.NETWORK


def test_a_name_that_is_none_is_our_dns(config: OAuthConfig) -> None:
    with pytest.raises(AccessError) as caught:
        fetch_token(replace(config, token_endpoint_url="http://login.invalid/token"))
    assert caught.value.reason is FailureReason.DNS


def test_a_secret_that_is_gone_is_named_by_its_place(config: OAuthConfig) -> None:
    assert config.client_secret.file is not None
    config.client_secret.file.unlink()
    with pytest.raises(AccessError, match="secret cannot be read") as caught:
        fetch_token(config)
    assert caught.value.reason is FailureReason.AUTHENTICATION


def test_over_tls_the_endpoint_has_to_be_who_it_says(config: OAuthConfig, tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path)
    issued = authority.issue("login")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(issued.chain_file, issued.key_file)
    with TokenServer({"healthd/1": SECRET}, context=context) as server:
        known = replace(config, token_endpoint_url=server.token_url, ca_file=authority.file)
        assert fetch_token(known)[0] == server.given[0]
        stranger = CertificateAuthority(tmp_path, name="other").file
        with pytest.raises(AccessError, match=r"is not trusted: .*; check caFile") as caught:
            fetch_token(replace(known, ca_file=stranger))
    assert caught.value.reason is FailureReason.TLS
    assert len(server.requests) == 1
