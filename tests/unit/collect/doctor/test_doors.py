"""How far an address lets us, one step after the other."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.short_lived import CertificateAuthority, Issued

from healthd.collect.access import Access
from healthd.collect.doctor.doors import Door, kafka_doors, ssh_doors
from healthd.collect.doctor.findings import Outcome

HOME = "127.0.0.1"


@asynccontextmanager
async def listening(says: bytes, issued: Issued | None = None) -> AsyncIterator[int]:
    """A port that says something to everybody, behind TLS when there is a certificate."""
    context = None
    if issued is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(issued.chain_file, issued.key_file)

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(says)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, HOME, 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def door(port: int, access: Access | None = None) -> Door:
    address = f"{HOME}:{port}"
    doors = await kafka_doors([address], access or Access(), timeout_seconds=2)
    return doors[address]


async def test_a_broker_that_answers_is_open() -> None:
    async with listening(b"\x00\x00\x00\x04abcd") as port:
        assert (await door(port)).outcome is Outcome.ALLOWED


async def test_nobody_there(unused_tcp_port: int) -> None:
    found = await door(unused_tcp_port)
    assert found.outcome is Outcome.UNREACHABLE
    assert "Refused the connection" in found.detail


async def test_a_name_that_cannot_be_resolved_is_our_dns() -> None:
    doors = await kafka_doors(["nowhere.invalid:9092"], Access(), timeout_seconds=5)
    assert "cannot be resolved on healthd's host" in doors["nowhere.invalid:9092"].detail


async def test_tls_that_we_trust_is_open(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path)
    async with listening(b"", authority.issue("broker")) as port:
        found = await door(port, Access(protocol="SSL", ca_file=authority.file))
    assert found.outcome is Outcome.ALLOWED


async def test_tls_that_we_do_not_trust_says_whose_side_it_is_on(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path)
    other = CertificateAuthority(tmp_path, name="other CA")
    async with listening(b"", authority.issue("broker")) as port:
        found = await door(port, Access(protocol="SSL", ca_file=other.file))
    assert found.outcome is Outcome.FAILED
    assert "healthd's own side" in found.detail


async def test_an_own_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path)
    async with listening(b"", authority.issue("broker")) as port:
        found = await door(port, Access(protocol="SSL", ca_file=tmp_path / "none.pem"))
    assert found.outcome is Outcome.FAILED
    assert "none.pem" in found.detail


@pytest.mark.parametrize(
    ("says", "outcome"), [(b"SSH-2.0-OpenSSH", Outcome.ALLOWED), (b"HTTP", Outcome.FAILED)]
)
async def test_an_sshd_is_known_by_its_greeting(says: bytes, outcome: Outcome) -> None:
    async with listening(says) as port:
        doors = await ssh_doors({1: (HOME, port)}, timeout_seconds=2)
    assert doors[1].outcome is outcome


async def test_a_host_without_sshd(unused_tcp_port: int) -> None:
    doors = await ssh_doors({1: (HOME, unused_tcp_port)}, timeout_seconds=2)
    assert doors[1].outcome is Outcome.UNREACHABLE
