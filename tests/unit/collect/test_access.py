"""What clients are given to connect with: complete for each mode, fresh, and shown nowhere."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from pathlib import Path

import pytest
from support.encrypted_key import encrypted_key

from healthd.collect.access import Access
from healthd.collect.admin import MetadataClient
from healthd.collect.failing import AccessError
from healthd.collect.observation import FailureReason, Origin, SourceFailure
from healthd.collect.target import ClusterTarget
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
    access.ready()
    password.unlink()
    for ask in (access.ready, access.kafka_python_config):
        with pytest.raises(AccessError, match="secret cannot be read") as caught:
            ask()
        assert caught.value.reason is FailureReason.AUTHENTICATION
    assert access.confluent_config()["sasl.password"] == "s3cr3t"


def test_a_secret_that_will_never_be_there_ends_the_start() -> None:
    missing = SecretRef(env="NOWHERE_TO_BE_FOUND")
    oauth = OAuthConfig(
        token_endpoint_url="https://login.test/token", client_id="h", client_secret=missing
    )
    for security in (SecurityConfig(password=missing), SecurityConfig(oauth=oauth)):
        with pytest.raises(ConfigError, match="NOWHERE_TO_BE_FOUND is not set"):
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


def program(folder: Path, text: str) -> SecretRef:
    file = folder / "program"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o700)
    place = "cluster payments: security.passwordCommand"
    return SecretRef(command=(str(file),), place=place, timeout_seconds=0.5)


def by_program(folder: Path, text: str) -> Access:
    return Access.of(
        SecurityConfig(
            protocol="SASL_PLAINTEXT",
            sasl_mechanism="PLAIN",
            username="healthd",
            password=program(folder, text),
        )
    )


def test_a_program_is_run_for_the_client_and_not_before(tmp_path: Path) -> None:
    access = by_program(tmp_path, f"echo run >>{tmp_path}/runs; echo s3cr3t")
    assert not (tmp_path / "runs").exists()
    access.ready()
    assert access.confluent_config()["sasl.password"] == "s3cr3t"
    assert access.kafka_python_config()["sasl_plain_password"] == "s3cr3t"
    # What is asked for one client comes from one run.
    assert (tmp_path / "runs").read_text() == "run\n"
    assert "s3cr3t" not in repr((access, access.user_secret))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("echo s3cr3t; echo s3cr3t >&2; exit 4", "ended with 4"),
        ("echo s3cr3t; exec sleep 60", "printed no secret within 0.5 s"),
    ],
)
def test_a_program_that_fails_is_told_with_its_cluster_and_not_what_it_printed(
    text: str, words: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    access = by_program(tmp_path, text)
    with pytest.raises(AccessError) as caught:
        access.ready()
    assert caught.value.reason is FailureReason.AUTHENTICATION
    assert caught.value.detail.startswith(
        f"cluster payments: security.passwordCommand: the program {tmp_path}/program {words} -> "
    )
    assert "sasl.password" not in access.confluent_config()
    assert "s3cr3t" not in repr(caught.value) + repr(access) + caplog.text


def test_the_password_of_a_key_may_come_from_a_program(tmp_path: Path) -> None:
    access = Access.of(
        SecurityConfig(protocol="SSL", key_password=program(tmp_path, "echo s3cr3t"))
    )
    assert access.confluent_config()["ssl.key.password"] == "s3cr3t"


def test_a_key_password_that_openssl_does_not_take_is_told_as_ours(tmp_path: Path) -> None:
    cert_file, key_file = encrypted_key(tmp_path)
    access = Access.of(
        SecurityConfig(
            protocol="SSL",
            cert_file=cert_file,
            key_file=key_file,
            key_password=program(tmp_path, "printf '%02000d' 7"),
        )
    )
    with pytest.raises(AccessError) as caught:
        access.ready()
    assert caught.value.reason is FailureReason.TLS
    assert str(key_file) in caught.value.detail
    assert "cannot be longer than 1024 bytes" in caught.value.detail


async def test_the_metadata_client_tells_the_program_that_failed(tmp_path: Path) -> None:
    access = by_program(tmp_path, "echo s3cr3t; exit 4")
    target = ClusterTarget(name="payments", bootstrap_servers=("127.0.0.1:1",), access=access)
    found = await asyncio.to_thread(MetadataClient(target).read, {})
    assert isinstance(found, SourceFailure)
    assert (found.reason, found.origin) == (FailureReason.AUTHENTICATION, Origin.OURS)
    assert "security.passwordCommand" in found.detail
    assert "ended with 4" in found.detail
    assert "s3cr3t" not in repr(found)


def test_a_client_secret_from_a_program_is_asked_for_with_the_token_only(tmp_path: Path) -> None:
    oauth = OAuthConfig(
        token_endpoint_url="http://127.0.0.1:1/token",
        client_id="h",
        client_secret=program(tmp_path, f"touch {tmp_path}/was-run; echo s3cr3t; exit 5"),
    )
    access = Access.of(SecurityConfig(oauth=oauth))
    assert not (tmp_path / "was-run").exists()
    with pytest.raises(AccessError, match="ended with 5") as caught:
        access.ready()
    assert "s3cr3t" not in str(caught.value)


def test_a_program_of_the_client_secret_that_is_late_is_not_taken_for_the_endpoint(
    tmp_path: Path,
) -> None:
    secret = program(tmp_path, f"while [ ! -e {tmp_path}/go ]; do sleep 0.02; done; exit 5")
    oauth = OAuthConfig(
        token_endpoint_url="http://127.0.0.1:1/token",
        client_id="h",
        client_secret=replace(secret, timeout_seconds=30),
    )
    tokens = Access.of(SecurityConfig(oauth=oauth)).tokens
    assert tokens is not None
    with pytest.raises(AccessError, match="secret's program or file gave nothing within 2 s"):
        tokens.token()
    (tmp_path / "go").touch()
    with pytest.raises(AccessError, match="ended with 5"):
        tokens.token()
