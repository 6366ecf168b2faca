"""Certificates as they are read from real TLS listeners and real files."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.short_lived import CertificateAuthority, Issued

from healthd.collect.access import Access
from healthd.collect.certificates import AGAIN_SECONDS, HOUR_SECONDS, CertificateReader
from healthd.collect.observation import Address, FailureReason, Origin
from healthd.collect.side import SideContext, SideSeen
from healthd.collect.sides import sides_of
from healthd.collect.target import ClusterTarget
from healthd.config.fleet import ClusterConfig, SecurityConfig
from healthd.health.side.certificates import findings
from healthd.model.codes import Severity

HOME = "127.0.0.1"
DAY = timedelta(days=1)


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority(tmp_path)


@asynccontextmanager
async def listening(
    issued: Issued, change: Callable[[ssl.SSLContext], None] = lambda _: None
) -> AsyncIterator[int]:
    """A TLS listener with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.chain_file, issued.key_file)
    change(context)

    async def close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(close, HOME, 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()


def reader(port: int, **access: Any) -> CertificateReader:
    return CertificateReader(
        ClusterTarget(
            name="payments",
            bootstrap_servers=(f"{HOME}:{port}",),
            access=Access(protocol="SSL", **access),
        )
    )


def context(**brokers: int) -> SideContext:
    return SideContext(
        brokers={int(node[1:]): Address(host=HOME, port=port) for node, port in brokers.items()},
        now=0.0,
        wall=datetime.now(UTC),
    )


def section(seen: SideSeen) -> dict[str, Any]:
    assert seen.section is not None
    return dict(seen.section)


async def test_a_listener_shows_its_certificate_and_who_signed_it(
    authority: CertificateAuthority,
) -> None:
    async with listening(authority.issue("broker-1", left=100 * DAY)) as port:
        seen = await reader(port).read(context(b1=port))
    assert seen.failures == ()
    [entry] = section(seen)["listeners"]
    assert entry["address"] == f"{HOME}:{port}"
    assert entry["broker"] == 1
    assert entry["subject"] == "CN=broker-1"
    assert entry["issuer"] == "CN=test CA"
    assert entry["sans"] == ["localhost", HOME]
    assert entry["secondsLeft"] == pytest.approx(100 * 86_400, abs=60)
    assert [each["subject"] for each in entry["chain"]] == ["CN=test CA"]
    assert list(findings(section(seen), 20)) == []


async def test_one_that_is_over_is_read_and_found(authority: CertificateAuthority) -> None:
    async with listening(authority.issue("broker-1", left=-2 * DAY)) as port:
        seen = await reader(port).read(context(b1=port))
    [finding] = findings(section(seen), 20)
    assert finding.severity is Severity.CRIT
    assert finding.objects.shown == ("broker:1",)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_listener_that_wants_our_certificate_is_read_with_it(
    authority: CertificateAuthority, version: ssl.TLSVersion
) -> None:
    def wants_ours(found: ssl.SSLContext) -> None:
        found.maximum_version = version
        found.verify_mode = ssl.CERT_REQUIRED
        found.load_verify_locations(authority.file)

    own = authority.issue("healthd", left=5 * DAY)
    async with listening(authority.issue("broker-1"), wants_ours) as port:
        seen = await reader(
            port, ca_file=authority.file, cert_file=own.chain_file, key_file=own.key_file
        ).read(context(b1=port))
    assert seen.failures == ()
    assert [entry["broker"] for entry in section(seen)["listeners"]] == [1]
    assert [(each["kind"], each["subject"]) for each in section(seen)["own"]] == [
        ("client", "CN=healthd"),
        ("ca", "CN=test CA"),
    ]
    [finding] = findings(section(seen), 20)
    assert (finding.severity, finding.objects.shown) == (Severity.WARN, ("cluster:payments",))
    assert "healthd's own client certificate" in finding.detail


async def test_our_own_that_is_over_is_ours(authority: CertificateAuthority) -> None:
    own = authority.issue("healthd", left=-DAY)
    async with listening(authority.issue("broker-1")) as port:
        found = reader(port, cert_file=own.chain_file, key_file=own.key_file)
        [finding] = findings(section(await found.read(context(b1=port))), 20)
    assert finding.severity is Severity.WARN


async def test_an_own_file_that_cannot_be_read_is_named(
    authority: CertificateAuthority, tmp_path: Path
) -> None:
    async with listening(authority.issue("broker-1")) as port:
        seen = await reader(port, ca_file=tmp_path / "none.pem").read(context(b1=port))
    [failure] = seen.failures
    assert failure.origin is Origin.OURS
    assert "none.pem" in failure.detail


async def test_a_bootstrap_address_counts_until_and_unless_it_is_a_brokers(
    authority: CertificateAuthority,
) -> None:
    async with listening(authority.issue("broker-1")) as port:
        found = reader(port)
        [entry] = section(await found.read(context()))["listeners"]
        assert "broker" not in entry
        assert found.interval_seconds is None
        [entry] = section(await found.read(context(b1=port)))["listeners"]
        assert entry["broker"] == 1
        assert found.interval_seconds == HOUR_SECONDS


async def test_what_cannot_be_read_again_keeps_what_was_read(
    authority: CertificateAuthority,
) -> None:
    async with listening(authority.issue("broker-1")) as port:
        found = reader(port)
        await found.read(context(b1=port))
    seen = await found.read(context(b1=port))
    assert [entry["broker"] for entry in section(seen)["listeners"]] == [1]
    [failure] = seen.failures
    assert (failure.node, failure.reason, failure.check) == (1, FailureReason.NETWORK, None)
    assert found.interval_seconds == AGAIN_SECONDS


async def test_a_plain_listener_is_told_apart() -> None:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"I speak no TLS\n")
        writer.close()

    server = await asyncio.start_server(answer, HOME, 0)
    port = server.sockets[0].getsockname()[1]
    seen = await reader(port).read(context(b1=port))
    server.close()
    [failure] = seen.failures
    assert (failure.origin, failure.reason) == (Origin.THEIRS, FailureReason.TLS)


@pytest.mark.parametrize(("protocol", "count"), [("SSL", 1), ("SASL_SSL", 1), ("PLAINTEXT", 0)])
def test_only_clusters_with_tls_are_asked(protocol: str, count: int) -> None:
    config = ClusterConfig(
        name="payments",
        bootstrap_servers=("b1:9093",),
        security=SecurityConfig(protocol=protocol),
    )
    found = sides_of(config, ClusterTarget.of(config))
    assert sum(isinstance(each, CertificateReader) for each in found) == count
