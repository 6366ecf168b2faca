"""What clients are given to connect with: complete for each mode, fresh, and shown nowhere."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from healthd.collect.access import Access
from healthd.collect.failing import AccessError
from healthd.collect.observation import FailureReason
from healthd.collect.tokens import TokenSource
from healthd.config.fleet import SecurityConfig
from healthd.config.oauth import OAuthConfig
from healthd.config.problems import ConfigError
from healthd.config.secrets import SecretRef


@pytest.fixture
def password(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text("s3cr3t\n")
    file.chmod(0o600)
    return file


@pytest.fixture
def access(password: Path) -> Access:
    return Access.of(
        SecurityConfig(
            protocol="SASL_PLAINTEXT",
            sasl_mechanism="SCRAM-SHA-256",
            username="healthd",
            password=SecretRef(file=password),
        )
    )


def test_without_security_nothing_is_asked_for() -> None:
    access = Access.of(SecurityConfig())
    access.ready()
    assert access.confluent_config() == {"security.protocol": "PLAINTEXT"}
    assert access.kafka_python_config() == {"security_protocol": "PLAINTEXT"}


def test_both_libraries_get_the_user_in_their_own_words(access: Access) -> None:
    assert access.confluent_config() == {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-256",
        "sasl.username": "healthd",
        "sasl.password": "s3cr3t",
    }
    assert access.kafka_python_config() == {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_plain_username": "healthd",
        "sasl_plain_password": "s3cr3t",
    }
    assert "s3cr3t" not in repr(access)


def test_a_password_that_was_changed_counts_for_the_next_client(
    access: Access, password: Path
) -> None:
    password.write_text("other")
    assert access.confluent_config()["sasl.password"] == "other"
    assert access.kafka_python_config()["sasl_plain_password"] == "other"


def test_a_password_that_is_gone_is_told_and_the_last_one_is_kept(
    access: Access, password: Path
) -> None:
    password.unlink()
    for ask in (access.ready, access.kafka_python_config):
        with pytest.raises(AccessError, match="secret cannot be read") as caught:
            ask()
        assert caught.value.reason is FailureReason.AUTHENTICATION
    assert access.confluent_config()["sasl.password"] == "s3cr3t"


def test_a_secret_that_was_never_there_ends_the_start(tmp_path: Path) -> None:
    missing = SecretRef(file=tmp_path / "nowhere")
    oauth = OAuthConfig(
        token_endpoint_url="https://login.test/token", client_id="h", client_secret=missing
    )
    for security in (SecurityConfig(password=missing), SecurityConfig(oauth=oauth)):
        with pytest.raises(ConfigError, match="nowhere"):
            Access.of(security)


def test_librdkafka_is_given_the_token_and_the_moment_of_its_end() -> None:
    access = Access(
        protocol="SASL_PLAINTEXT",
        sasl_mechanism="OAUTHBEARER",
        tokens=TokenSource(lambda: ("s3cr3t-token", 300.0)),
    )
    before = time.time()
    token, end = access.confluent_config()["oauth_cb"](None)
    assert token == "s3cr3t-token"
    assert before + 290 < end < before + 310
    assert "s3cr3t" not in repr((access, access.tokens and access.tokens.token()))
