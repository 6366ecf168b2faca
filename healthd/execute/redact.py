"""Secrets struck out of text that people will read."""

import re
from collections.abc import Iterable
from typing import Final

STRUCK_OUT: Final = "[redacted]"

_PRIVATE_KEY: Final = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
_ASSIGNED: Final = re.compile(
    r"(?P<name>[\w.-]*(?:password|passwd|passphrase|secret|token)[\w.-]*\s*[=:]\s*)"
    r"(?P<value>\"[^\"]*\"|'[^']*'|[^\s,;]+)",
    re.IGNORECASE,
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without the given secrets, private keys, and values called password or token."""
    for secret in sorted((one for one in secrets if one), key=len, reverse=True):
        text = text.replace(secret, STRUCK_OUT)
    text = _PRIVATE_KEY.sub(STRUCK_OUT, text)
    return _ASSIGNED.sub(rf"\g<name>{STRUCK_OUT}", text)
