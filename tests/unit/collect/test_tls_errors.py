"""Whose fault a TLS error is, by real handshakes in memory."""

from __future__ import annotations

import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from support.short_lived import CertificateAuthority, Issued

from healthd.collect.access import Access
from healthd.collect.failing import AccessError
from healthd.collect.observation import FailureReason, Origin
from healthd.collect.tls_errors import tls_verdict

OVER = -timedelta(days=1)


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority(tmp_path)


def error_of(
    access: Access,
    server: Issued,
    *,
    name: str = "localhost",
    wanted: Path | None = None,
    version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
) -> ssl.SSLError:
    """What the client's side of a handshake dies of.

    Args:
        access: The client's.
        server: The server's certificate.
        name: By which the client calls the server.
        wanted: The authority whose client certificates the server asks for.
        version: The newest TLS that the server speaks.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = version
    context.load_cert_chain(server.chain_file, server.key_file)
    if wanted is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(wanted)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_context = access.tls_context()
    assert client_context is not None
    client = client_context.wrap_bio(down, up, server_hostname=name)
    own = context.wrap_bio(up, down, server_side=True)
    for _ in range(10):
        try:
            client.do_handshake()
            # With TLS 1.3 the server judges our certificate after our side has finished.
            client.read(1)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            return error
        try:
            own.do_handshake()
        except ssl.SSLError:
            continue
    raise AssertionError("the handshake went well")


def access_of(authority: CertificateAuthority, own: Issued | None = None) -> Access:
    return Access(
        protocol="SSL",
        ca_file=authority.file,
        cert_file=None if own is None else own.chain_file,
        key_file=None if own is None else own.key_file,
    )


def test_a_server_certificate_that_has_expired_is_theirs(
    authority: CertificateAuthority,
) -> None:
    access = access_of(authority)
    error = error_of(access, authority.issue("broker", left=OVER))
    assert tls_verdict(error, access) == (
        FailureReason.TLS,
        Origin.THEIRS,
        "the server's certificate has expired: renew it on the brokers",
    )


def test_an_authority_of_ours_that_has_expired_is_ours(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path, left=OVER)
    access = access_of(authority)
    reason, origin, what = tls_verdict(error_of(access, authority.issue("broker")), access)
    assert (reason, origin) == (FailureReason.TLS, Origin.OURS)
    assert what.startswith(f"caFile {authority.file} expired on 20")


def test_an_authority_that_we_do_not_know_is_ours(
    authority: CertificateAuthority, tmp_path: Path
) -> None:
    access = access_of(CertificateAuthority(tmp_path, name="other"))
    reason, origin, what = tls_verdict(error_of(access, authority.issue("broker")), access)
    assert (reason, origin) == (FailureReason.TLS, Origin.OURS)
    assert "is not trusted" in what
    assert "check caFile" in what


def test_a_name_that_is_not_in_the_certificate_is_ours(authority: CertificateAuthority) -> None:
    access = access_of(authority)
    error = error_of(access, authority.issue("broker"), name="b1.example.net")
    reason, origin, what = tls_verdict(error, access)
    assert (reason, origin) == (FailureReason.TLS, Origin.OURS)
    assert "is for another name" in what
    assert "b1.example.net" in what


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_certificate_that_is_missing_expired_or_strange_is_ours(
    authority: CertificateAuthority, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    server = authority.issue("broker")
    stranger = CertificateAuthority(tmp_path, name="other").issue("stranger")
    for own, says in (
        (None, "want a client certificate: add certFile and keyFile"),
        (authority.issue("old", left=OVER), "old.pem expired on 20"),
        (stranger, "refuse our client certificate"),
    ):
        access = access_of(authority, own)
        error = error_of(access, server, wanted=authority.file, version=version)
        reason, origin, what = tls_verdict(error, access)
        assert (reason, origin) == (FailureReason.AUTHENTICATION, Origin.OURS)
        assert says in what


@pytest.mark.parametrize(
    ("key", "text", "says"),
    [
        ("ca_file", "no certificate", r"caFile .* cannot be used .*: it must hold PEM"),
        ("cert_file", "no certificate", r"certFile .* cannot be used .*: it must be the certif"),
        ("ca_file", None, r"caFile .* cannot be used \(No such file or directory\)"),
        ("cert_file", None, r"certFile .* cannot be used \(No such file or directory\)"),
    ],
)
def test_a_file_of_ours_that_cannot_be_used_is_named(
    tmp_path: Path, key: str, text: str | None, says: str
) -> None:
    file = tmp_path / "file.pem"
    if text is not None:
        file.write_text(text)
    access = Access(
        protocol="SSL",
        ca_file=file if key == "ca_file" else None,
        cert_file=file if key == "cert_file" else None,
        key_file=file,
    )
    with pytest.raises(AccessError, match=says) as caught:
        access.ready()
    assert caught.value.reason is FailureReason.TLS
