"""Whom brokers take us for."""

import base64
import json
from pathlib import Path

import pytest
from support.short_lived import CertificateAuthority

from healthd.collect.access import Access
from healthd.collect.failing import AccessError
from healthd.collect.observation import FailureReason
from healthd.collect.principal import principal_of
from healthd.collect.tokens import TokenSource


def test_without_any_proof_we_are_anonymous() -> None:
    assert principal_of(Access()) == "User:ANONYMOUS"
    assert principal_of(Access(protocol="SSL")) == "User:ANONYMOUS"


def test_a_user_has_its_name() -> None:
    assert principal_of(Access(protocol="SASL_SSL", username="healthd")) == "User:healthd"


def test_a_certificate_gives_its_subject(tmp_path: Path) -> None:
    own = CertificateAuthority(tmp_path).issue("healthd")
    assert principal_of(Access(protocol="SSL", cert_file=own.chain_file)) == "User:CN=healthd"
    lost = Access(protocol="SSL", cert_file=tmp_path / "none.pem")
    assert principal_of(lost) is None


def access_with(value: str) -> Access:
    source = TokenSource(lambda: (value, 60.0))
    return Access(protocol="SASL_SSL", sasl_mechanism="OAUTHBEARER", tokens=source)


def test_a_token_gives_its_subject() -> None:
    body = base64.urlsafe_b64encode(json.dumps({"sub": "svc-healthd"}).encode()).decode()
    assert principal_of(access_with(f"e30.{body.rstrip('=')}.x")) == "User:svc-healthd"


@pytest.mark.parametrize("value", ["opaque", "e30.e30.x", "e30.W10.x", "a.b.c"])
def test_a_token_that_does_not_tell_is_not_guessed_at(value: str) -> None:
    assert principal_of(access_with(value)) is None


def test_no_token_is_not_guessed_at() -> None:
    def away() -> tuple[str, float]:
        raise AccessError(FailureReason.NETWORK, "the token endpoint is away")

    access = Access(protocol="SASL_SSL", tokens=TokenSource(away))
    assert principal_of(access) is None
