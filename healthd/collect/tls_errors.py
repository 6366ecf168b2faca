"""Whose fault a TLS error is (health-index.md section 4), and what to do about it.

A server certificate that has expired keeps every client out: that is the cluster's. An authority
that we do not know, a name that does not fit, our own certificate: ours, others may well get in.
"""

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from healthd.collect.access import Access
from healthd.collect.observation import FailureReason, Origin

_EXPIRED: Final = 10
_NOT_YET_VALID: Final = 9
_WRONG_NAME: Final = frozenset({62, 64})
"""X509_V_ERR_*: of OpenSSL's x509_vfy.h."""

_ABOUT_OUR_CERTIFICATE: Final = (
    "ALERT_BAD_CERTIFICATE",
    "ALERT_UNSUPPORTED_CERTIFICATE",
    "ALERT_CERTIFICATE_REVOKED",
    "ALERT_CERTIFICATE_EXPIRED",
    "ALERT_CERTIFICATE_UNKNOWN",
    "ALERT_CERTIFICATE_REQUIRED",
    "ALERT_UNKNOWN_CA",
    "ALERT_ACCESS_DENIED",
    "ALERT_NO_CERTIFICATE",
)
"""Alerts (RFC 8446, section 6.2) by which a broker refuses the certificate of a client."""

Verdict = tuple[FailureReason, Origin, str]


def tls_verdict(error: ssl.SSLError, access: Access) -> Verdict:
    """Why there is no connection, whose fault that is, and a sentence with what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _of_their_certificate(error, access)
    reason = error.reason or ""
    if any(word in reason for word in _ABOUT_OUR_CERTIFICATE):
        return _of_our_certificate(reason, access)
    if "HANDSHAKE_FAILURE" in reason and access.cert_file is None:
        # Before TLS 1.3 a broker that wants a certificate says no more than this.
        return _of_our_certificate(reason, access)
    if isinstance(error, ssl.SSLEOFError) or "WRONG_VERSION_NUMBER" in reason:
        return (
            FailureReason.TLS,
            Origin.OURS,
            "the listener ends or does not speak TLS: check protocol and the port",
        )
    return (
        FailureReason.TLS,
        Origin.OURS,
        f"TLS failed ({reason or error.strerror}): check protocol",
    )


def _of_their_certificate(error: ssl.SSLCertVerificationError, access: Access) -> Verdict:
    if error.verify_code == _EXPIRED:
        own = _expired_in(access.ca_file)
        if own is not None:
            return FailureReason.TLS, Origin.OURS, f"caFile {access.ca_file} expired on {own}"
        return (
            FailureReason.TLS,
            Origin.THEIRS,
            "the server's certificate has expired: renew it on the brokers",
        )
    if error.verify_code == _NOT_YET_VALID:
        what = "the server's certificate is not valid yet: compare the clocks"
    elif error.verify_code in _WRONG_NAME:
        what = f"the server's certificate is for another name ({error.verify_message})"
    else:
        what = f"the server's certificate is not trusted ({error.verify_message}): check caFile"
    return FailureReason.TLS, Origin.OURS, what


def _of_our_certificate(reason: str, access: Access) -> Verdict:
    alert = reason.rpartition("ALERT_")[2].lower().replace("_", " ")
    if access.cert_file is None:
        what = "the brokers want a client certificate: add certFile and keyFile"
    elif (ended := _expired_in(access.cert_file)) is not None:
        what = f"our client certificate {access.cert_file} expired on {ended}: renew it"
    else:
        what = f"the brokers refuse our client certificate {access.cert_file} ({alert})"
    return FailureReason.AUTHENTICATION, Origin.OURS, what


def _expired_in(path: Path | None) -> str | None:
    """The day on which the first expired certificate of a PEM file ended; None: none has."""
    if path is None:
        return None
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        return None
    ends = [one.not_valid_after_utc for one in found if one.not_valid_after_utc < datetime.now(UTC)]
    return f"{min(ends):%Y-%m-%d}" if ends else None
