"""Whom brokers take us for, as far as our own configuration tells."""

import base64
import json

from cryptography import x509

from healthd.collect.access import Access
from healthd.collect.failing import AccessError


def principal_of(access: Access) -> str | None:
    """Whom brokers take us for by Kafka's default rules; None when that cannot be told.

    A broker may have rules of its own (`ssl.principal.mapping.rules`).
    """
    if access.uses_sasl:
        if access.username is not None:
            return f"User:{access.username}"
        return _subject_of_token(access)
    if not access.uses_tls or access.cert_file is None:
        return "User:ANONYMOUS"
    try:
        found = x509.load_pem_x509_certificates(access.cert_file.read_bytes())[0]
    except (OSError, ValueError, IndexError):
        return None
    return f"User:{found.subject.rfc4514_string()}"


def _subject_of_token(access: Access) -> str | None:
    """The claim that Kafka takes the user's name from, unless a broker says otherwise."""
    if access.tokens is None:
        return None
    try:
        body = access.tokens.token().value.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        subject = claims["sub"]
    except (AccessError, LookupError, TypeError, ValueError):
        return None
    return f"User:{subject}"
