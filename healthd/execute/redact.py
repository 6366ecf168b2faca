"""Secrets struck out of text that people will read."""

import re
from collections.abc import Iterable
from typing import Final

STRUCK_OUT: Final = "[redacted]"
_LINE_OF_SECRET: Final = 8
"""A line of a secret with several lines is a secret too, when it is not shorter than this."""

_PRIVATE_KEY: Final = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
_ASSIGNED: Final = re.compile(
    # Each part has a limit: without one, 64 KiB of letters would take minutes.
    r"(?P<name>(?:password|passwd|passphrase|secret|token)[\w.-]{0,100}\s{0,20}[=:]\s{0,20})"
    r"(?P<value>\"[^\"]*\"|'[^']*'|[^\s,;]+)",
    re.IGNORECASE,
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without the given secrets, private keys, and values called password or token."""
    for secret in _pieces(secrets):
        text = text.replace(secret, STRUCK_OUT)
    text = _PRIVATE_KEY.sub(STRUCK_OUT, text)
    return _ASSIGNED.sub(rf"\g<name>{STRUCK_OUT}", text)


def redact_cut(text: str, secrets: Iterable[str] = ()) -> str:
    """As `redact`, of a text that was cut at its end: the beginning of a secret goes as well."""
    pieces = _pieces(secrets)
    longest = max(
        (
            length
            for piece in pieces
            for length in range(1, len(piece))
            if text.endswith(piece[:length])
        ),
        default=0,
    )
    if longest:
        text = text[:-longest] + STRUCK_OUT
    return redact(text, pieces)


def _pieces(secrets: Iterable[str]) -> list[str]:
    """The secrets, and the lines of those that have several, the longest first."""
    found: set[str] = set()
    for secret in secrets:
        lines = secret.splitlines()
        found.add(secret)
        if len(lines) > 1:
            found.update(line for line in lines if len(line) >= _LINE_OF_SECRET)
    return sorted((one for one in found if one), key=len, reverse=True)
