"""Host certificates (OpenSSH's PROTOCOL.certkeys): whether one proves that a host is the host.

paramiko negotiates host certificates and checks that the host owns the key inside; of everything
else that a certificate says, it checks nothing. That is done here.
"""

import base64
import struct
from datetime import UTC, datetime
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
)

from healthd.execute.known_hosts import HostKey, KnownKeys, matches

CERTIFICATE_SUFFIX: Final = "-cert-v01@openssh.com"
_FOREVER: Final = 2**64 - 1
_SIGNATURES: Final = frozenset(
    {
        "ssh-ed25519",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "rsa-sha2-256",
        "rsa-sha2-512",
    }
)
"""OpenSSH's default CASignatureAlgorithms, without hardware keys; SHA-1 is not among them."""
_UNREADABLE: Final = (ValueError, UnsupportedAlgorithm, NotImplementedError)
"""What the parser has for bytes that are no certificate; the last is for compressed points."""
_LENGTH: Final = struct.Struct(">I")


class CertificateError(Exception):
    """The certificate proves nothing; the message says why."""


def check_certificate(
    shown: HostKey, *, plain: HostKey, address: str, known: KnownKeys, now: float
) -> None:
    """Return when the certificate proves that the host is the one at the address.

    Args:
        shown: The certificate.
        plain: The key that the host has proven to own.
        address: What the host is called, without a port: certificates name hosts.
        known: What the known-hosts file says of the host.
        now: Unix seconds, UTC.

    Raises:
        CertificateError: It does not.
    """
    certificate = _parse(shown)
    _check_signature(certificate, shown, plain, known)
    if certificate.type is not SSHCertificateType.HOST:
        raise CertificateError("it is a user's certificate, not a host's")
    if certificate.critical_options:
        names = ", ".join(_shown(name) for name in certificate.critical_options)
        raise CertificateError(f"it has critical options that are not understood: {names}")
    _check_time(certificate, now)
    _check_principals(certificate, address)


def _parse(shown: HostKey) -> SSHCertificate:
    line = f"{shown.kind} {base64.b64encode(shown.blob).decode()}".encode()
    try:
        parsed = load_ssh_public_identity(line)
    except _UNREADABLE as error:
        raise CertificateError(f"it cannot be read: {error}") from error
    if not isinstance(parsed, SSHCertificate):
        raise CertificateError("it is no certificate")
    return parsed


def _check_signature(
    certificate: SSHCertificate, shown: HostKey, plain: HostKey, known: KnownKeys
) -> None:
    try:
        inner = certificate.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        signer_line = certificate.signature_key().public_bytes(
            Encoding.OpenSSH, PublicFormat.OpenSSH
        )
    except _UNREADABLE as error:
        raise CertificateError(f"its keys cannot be read: {error}") from error
    if _from_line(inner).blob != plain.blob:
        raise CertificateError("it is about another key than the host has")
    signer = _from_line(signer_line)
    if any(signer.blob == one.blob for one in known.revoked):
        raise CertificateError(f"its authority {signer} is revoked")
    if all(signer.blob != one.blob for one in known.authorities):
        raise CertificateError(f"its authority {signer} is not among the known ones")
    algorithm = _signature_algorithm(shown.blob)
    if algorithm not in _SIGNATURES:
        raise CertificateError(f"its authority signed with {_shown(algorithm.encode())}")
    try:
        certificate.verify_cert_signature()
    except (InvalidSignature, *_UNREADABLE) as error:
        raise CertificateError("its signature is not its authority's") from error


def _signature_algorithm(blob: bytes) -> str:
    """What the signature, the certificate's last field, says that it was made with.

    The parser keeps this to itself. The fields in front were read by it, so they are there; the
    end is found by walking over all fields, of which a certificate's kind says how many come
    before the serial number.
    """
    kind, at = _field(blob, 0)
    numbers = {b"ssh-ed25519": 1, b"ssh-rsa": 2}.get(
        kind.removesuffix(CERTIFICATE_SUFFIX.encode()), 2
    )
    for _ in range(1 + numbers):  # The nonce, and the key's numbers.
        _, at = _field(blob, at)
    at += 8 + 4  # The serial number, and the type.
    for _ in range(2):  # The key id, and the principals.
        _, at = _field(blob, at)
    at += 8 + 8  # Valid after and before.
    for _ in range(4):  # Critical options, extensions, a reserved field, the authority's key.
        _, at = _field(blob, at)
    signature, _ = _field(blob, at)
    return _field(signature, 0)[0].decode("ascii", "backslashreplace")


def _field(blob: bytes, at: int) -> tuple[bytes, int]:
    (length,) = _LENGTH.unpack_from(blob, at)
    start = at + _LENGTH.size
    return blob[start : start + length], start + length


def _from_line(line: bytes) -> HostKey:
    kind, encoded = line.split()[:2]
    return HostKey(kind=kind.decode(), blob=base64.b64decode(encoded))


def _check_time(certificate: SSHCertificate, now: float) -> None:
    if now < certificate.valid_after:
        raise CertificateError(f"it is valid only from {moment(certificate.valid_after)}")
    # The end itself is outside, as OpenSSH has it.
    if now >= certificate.valid_before:
        raise CertificateError(f"it was valid until {moment(certificate.valid_before)}")


def moment(seconds: int) -> str:
    """A certificate's time, for people."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return "forever" if seconds == _FOREVER else f"second {seconds} since 1970"


def _check_principals(certificate: SSHCertificate, address: str) -> None:
    names = [name.decode("utf-8", "backslashreplace") for name in certificate.valid_principals]
    if not names:
        # ssh takes such a certificate for one of every host; nobody means that of a broker.
        raise CertificateError(f"it names no host (ssh-keygen -n {address})")
    if not any(matches(name, address.lower()) for name in names):
        listed = ", ".join(_shown(name.encode()) for name in names)
        raise CertificateError(f"it is for {listed}, not for {address}")


def _shown(text: bytes) -> str:
    """Text from outside, fit for one line of a log."""
    decoded = text.decode("utf-8", "backslashreplace")
    return "".join(one if one.isprintable() else "?" for one in decoded)[:80]
