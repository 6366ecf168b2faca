"""How clients ask what a profile resolves to."""

import re
from typing import Final

MAX_WAIT_SECONDS: Final = 60.0
_WAIT: Final = re.compile(r"([0-9]{1,4}(?:\.[0-9]{1,3})?)s?")


def known_tag(given: str | None) -> str | None:
    """The tag inside an ETag header; a weak one is the same tag."""
    return None if given is None else given.strip().removeprefix("W/").strip('"')


def wait_of(given: str) -> float | None:
    """The seconds to wait; None: it does not say, or too many."""
    match = _WAIT.fullmatch(given.strip())
    if match is None or float(match[1]) > MAX_WAIT_SECONDS:
        return None
    return float(match[1])
