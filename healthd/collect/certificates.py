"""When certificates expire: those of every TLS listener, and healthd's own.

A listener's certificate is read from a handshake that verifies nothing: one that has expired, or
that nobody signed, is what we want to see. Nothing is sent over such a connection.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from healthd.collect.access import Access
from healthd.collect.failing import AccessError
from healthd.collect.observation import FailureReason, Origin, Source, SourceFailure
from healthd.collect.reach import split_address
from healthd.collect.secret_threads import in_secret_thread
from healthd.collect.side import SideContext, SideSeen
from healthd.collect.target import ClusterTarget

HOUR_SECONDS: Final = 3600.0
AGAIN_SECONDS: Final = 300.0
"""After a read that lacked something."""
HANDSHAKES_AT_ONCE: Final = 64
HANDSHAKE_SECONDS: Final = 5.0
NAMES_KEPT: Final = 20
"""Subject alternative names of one certificate that are shown."""

_DER: Final = 2
"""``_ssl.ENCODING_DER``."""

Entry = dict[str, Any]


class CertificateReader:
    """A `SideSource` over the TLS handshakes of one cluster and our own certificate files."""

    source = Source.CERTIFICATES

    def __init__(self, target: ClusterTarget) -> None:
        """Connect to nothing yet."""
        self._target = target
        self._listeners: dict[str, Entry] = {}
        self.interval_seconds: float | None = None
        """None until the brokers are known; then hourly."""
        self.timeout_seconds = 120.0

    async def read(self, context: SideContext) -> SideSeen:
        """See `SideSource.read`. What cannot be read now keeps what was read last."""
        brokers = {
            f"{address.host}:{address.port}": node for node, address in context.brokers.items()
        }
        failures: list[SourceFailure] = []
        own = list(own_certificates(self._target.access, failures))
        addresses = dict.fromkeys([*brokers, *self._others(brokers)])
        slots = asyncio.Semaphore(HANDSHAKES_AT_ONCE)
        access = self._target.access
        tls = await in_secret_thread(
            partial(_context, access), runs_program=access.runs_program_for_key
        )

        async def one(address: str) -> Entry | SourceFailure:
            async with slots:
                return await self._listener(address, brokers.get(address), tls)

        found = await asyncio.gather(*(one(address) for address in addresses))
        for address, entry in zip(addresses, found, strict=True):
            if isinstance(entry, SourceFailure):
                failures.append(entry)
            else:
                self._listeners[address] = entry
        self._listeners = {
            address: entry for address, entry in self._listeners.items() if address in addresses
        }
        if not brokers:
            self.interval_seconds = None
        else:
            self.interval_seconds = AGAIN_SECONDS if failures else HOUR_SECONDS
        entries = {
            "cluster": self._target.name,
            "listeners": [_aged(entry, context.wall) for entry in self._listeners.values()],
            "own": [_aged(entry, context.wall) for entry in own],
        }
        return SideSeen(section=entries, failures=tuple(failures))

    async def aclose(self) -> None:
        """See `SideSource.aclose`; nothing is held between reads."""

    def _others(self, brokers: Mapping[str, int]) -> list[str]:
        """Bootstrap addresses that are no broker's own: a load balancer, or before metadata."""
        return [address for address in self._target.bootstrap_servers if address not in brokers]

    async def _listener(
        self, address: str, node: int | None, tls: ssl.SSLContext
    ) -> Entry | SourceFailure:
        host, port = split_address(address)
        try:
            chain = await certificates_of(host, port, context=tls)
        except ssl.SSLError as error:
            # An alert is the other side's word on us; everything else is ours on them.
            is_alert = "alert" in str(error).lower()
            origin = Origin.OURS if is_alert else Origin.THEIRS
            return _failure(node, origin, FailureReason.TLS, address, f"failed: {_words(error)}")
        except TimeoutError:
            detail = f"was not done in {HANDSHAKE_SECONDS:g} s"
            return _failure(node, Origin.OURS, FailureReason.TIMEOUT, address, detail)
        except (OSError, ValueError) as error:
            detail = f"failed: {_words(error)}"
            return _failure(node, Origin.OURS, FailureReason.NETWORK, address, detail)
        if not chain:
            detail = "showed no certificate"
            return _failure(node, Origin.THEIRS, FailureReason.TLS, address, detail)
        leaf, *others = chain
        entry: Entry = {"address": address, **entry_of(leaf), "sans": _names(leaf)}
        if node is not None:
            entry["broker"] = node
        entry["chain"] = [entry_of(each) for each in others]
        return entry


async def certificates_of(
    host: str, port: int, *, context: ssl.SSLContext
) -> tuple[x509.Certificate, ...]:
    """What a listener shows, its own first, then those that signed it as far as it sends them.

    Raises:
        OSError: no connection, or no handshake (`ssl.SSLError`).
        TimeoutError: not in time.
        ValueError: what it shows is no certificate.
    """
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
        found = writer.get_extra_info("ssl_object")
        return tuple(x509.load_der_x509_certificate(each) for each in _chain(found))
    finally:
        if writer is not None:
            writer.close()


def own_certificates(access: Access, failures: list[SourceFailure]) -> Iterable[Entry]:
    """Our client certificate and our CA file, where there are any; unreadable ones are failures.

    Of a chain the one that expires first counts, for without it the chain is worth nothing. Of a
    file of CAs the last one does: the others may be there for a change of CA.
    """
    for kind, file, chosen in (("client", access.cert_file, min), ("ca", access.ca_file, max)):
        if file is None:
            continue
        try:
            found = x509.load_pem_x509_certificates(Path(file).read_bytes())
        except (OSError, ValueError) as error:
            failures.append(
                SourceFailure(
                    source=Source.CERTIFICATES,
                    origin=Origin.OURS,
                    reason=FailureReason.TLS,
                    detail=f"healthd's own file {file} cannot be read as PEM: {_words(error)}.",
                )
            )
            continue
        certificate = chosen(found, key=lambda each: each.not_valid_after_utc)
        yield {"kind": kind, "file": str(file), **entry_of(certificate)}


def entry_of(certificate: x509.Certificate) -> Entry:
    """One certificate as JSON."""
    return {
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "notAfter": _time(certificate.not_valid_after_utc),
    }


def _aged(entry: Entry, now: datetime) -> Entry:
    """The entry with the seconds that its certificate, and each of its chain, still has."""
    left = (datetime.fromisoformat(entry["notAfter"]) - now).total_seconds()
    aged = {**entry, "secondsLeft": round(left)}
    if "chain" in entry:
        aged["chain"] = [_aged(each, now) for each in entry["chain"]]
    return aged


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return [str(name.value) for name in found][:NAMES_KEPT]


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _context(access: Access) -> ssl.SSLContext:
    context = access.probing_tls() or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # With TLS 1.2 a listener that asks for a certificate of ours ends the handshake without it. A
    # file that does not fit is found, and told, elsewhere.
    with contextlib.suppress(AccessError, ValueError):
        access.show_own(context)
    return context


def _chain(found: Any) -> list[bytes]:
    """All certificates of the handshake where this Python tells them, else the first."""
    # Public from Python 3.13 on; the method has been there, one level below, since 3.10.
    for holder in (found, getattr(found, "_sslobj", None)):
        unverified = getattr(holder, "get_unverified_chain", None)
        if unverified is not None:
            shown = unverified() or ()
            return [each if isinstance(each, bytes) else each.public_bytes(_DER) for each in shown]
    first = found.getpeercert(binary_form=True)
    return [] if first is None else [first]


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _failure(
    node: int | None, origin: Origin, reason: FailureReason, address: str, detail: str
) -> SourceFailure:
    return SourceFailure(
        source=Source.CERTIFICATES,
        origin=origin,
        reason=reason,
        node=node,
        detail=f"The TLS handshake with {address}, for its certificate, {detail}.",
    )
