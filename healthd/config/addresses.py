"""Network addresses as people write them in a fleet file."""

import ipaddress
import re
from typing import Final

MAX_PORT: Final = 65535
_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_MAX_NAME: Final = 253


class AddressError(ValueError):
    """Why a text is no address, and how to write one; the text may hold a secret: not shown."""

    def __init__(self, message: str, action: str) -> None:
        super().__init__(message)
        self.message = message
        self.action = action


def parse_host(text: str) -> str:
    """The host of `text`: a name, an IPv4 address, or an IPv6 address without its brackets.

    Raises:
        AddressError: It is none of them.
    """
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if ":" in bare:
        try:
            return str(ipaddress.IPv6Address(bare))
        except ValueError:
            raise AddressError(
                "is not a host: it has a colon and is no IPv6 address",
                "write the host alone, without a port",
            ) from None
    if re.fullmatch(r"[0-9.]+", bare):
        try:
            return str(ipaddress.IPv4Address(bare))
        except ValueError:
            raise AddressError(
                "is not an IPv4 address", "write four numbers from 0 to 255"
            ) from None
    name = bare.removesuffix(".")
    if len(name) > _MAX_NAME or not all(_LABEL.fullmatch(part) for part in name.split(".")):
        raise AddressError(
            "is not a host name", "write a host name, an IPv4 address or an IPv6 address"
        )
    return bare


def parse_address(text: str) -> str:
    """`host:port` in its canonical form, IPv6 in brackets.

    Raises:
        AddressError: The text is no such address.
    """
    if "://" in text:
        raise AddressError("has a scheme", "write host:port alone, without what is before ://")
    if "@" in text:
        raise AddressError("has a user or password", "write host:port alone")
    if "," in text:
        raise AddressError("holds more than one address", "write one address per list item")
    match = re.fullmatch(r"(\[[^\[\]]*\]|[^:\[\]]*):([^:]*)", text)
    if match is None:
        if text.count(":") > 1 and not text.endswith("]"):
            raise AddressError("is IPv6 without brackets", "write [address]:port")
        raise AddressError("has no port", "write host:port")
    host, port = match.groups()
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= MAX_PORT:
        raise AddressError(f"has no port from 1 to {MAX_PORT}", "write host:port")
    return join_address(parse_host(host), int(port))


def join_address(host: str, port: int) -> str:
    """`host:port`, with brackets around an IPv6 host."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
