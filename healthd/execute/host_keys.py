"""Whether what a host shows is what the known-hosts file allows, and if not, why."""

from dataclasses import dataclass
from typing import Final

from healthd.execute.host_certificate import (
    CERTIFICATE_SUFFIX,
    CertificateError,
    check_certificate,
)
from healthd.execute.known_hosts import HostKey, KnownKeys

PLAIN_ALGORITHMS: Final = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
"""How a host may prove that it owns a key, the best first; ssh-rsa is SHA-1 and never asked for."""
CERTIFICATE_ALGORITHMS: Final = tuple(f"{one}{CERTIFICATE_SUFFIX}" for one in PLAIN_ALGORITHMS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a host has shown: the key that it has proven to own, and what vouches for it."""

    key: HostKey
    certificate: HostKey | None = None

    def __str__(self) -> str:
        return f"{self.key} with a certificate" if self.certificate else str(self.key)


def asked_algorithms(known: KnownKeys) -> tuple[str, ...]:
    """What the host is asked for, in this order: first what can be believed, then the rest.

    Certificates are asked for only where an authority is known that could have signed one: a
    host that has both would else show what nobody here can judge. The rest is there so that a
    refusal can name what the host has.
    """
    certificates = CERTIFICATE_ALGORITHMS if known.authorities else ()
    trusted = [name for key in known.trusted for name in algorithms_of(key.kind)]
    return tuple(dict.fromkeys((*certificates, *trusted, *PLAIN_ALGORITHMS)))


def algorithms_of(kind: str) -> tuple[str, ...]:
    """How a host may prove that it owns a key of this kind; empty: in no way that is known."""
    if kind == "ssh-rsa":
        return ("rsa-sha2-512", "rsa-sha2-256")
    return (kind,) if kind in PLAIN_ALGORITHMS else ()


def why_refused(shown: Shown, *, address: str, known: KnownKeys, now: float) -> str | None:
    """Why the host is not to be believed; None when it is.

    A key that is listed itself is believed whatever certificate comes with it, as ssh has it.
    """
    if any(shown.key.blob == one.blob for one in known.revoked):
        return f"shows {shown}, which is revoked"
    if any(shown.key.blob == one.blob for one in known.trusted):
        return None
    if shown.certificate is None:
        return f"shows {shown}"
    try:
        check_certificate(shown.certificate, plain=shown.key, address=address, known=known, now=now)
    except CertificateError as error:
        return f"shows {shown} that is refused: {error}"
    return None
