"""What all messages of Kafka's compact encoding are made of (KIP-482)."""

from typing import Final

ONE_BYTE: Final = 0x80
"""A length below this is one byte."""
_LONGEST_VARINT: Final = 5


class DecodeError(ValueError):
    """Bytes that are no message of the kind and version that they should be."""


def string_at(body: bytes, at: int) -> tuple[bytes | None, int]:
    """A compact string, None for null, and where it ends."""
    size = body[at]
    if size < ONE_BYTE:
        at += 1
    else:
        size, at = varint_at(body, at)
    if size == 0:
        return None, at
    end = at + size - 1
    if end > len(body):
        raise DecodeError(f"a string ends at {end} of {len(body)} bytes")
    return body[at:end], end


def length_at(body: bytes, at: int) -> tuple[int, int]:
    """The length of a compact list, and where its first element begins."""
    size, at = varint_at(body, at)
    if size == 0:
        raise DecodeError(f"a list that must not be null is null at {at}")
    # No element is smaller than a byte: what claims to be longer than the rest is cut off.
    if size - 1 > len(body) - at:
        raise DecodeError(f"a list of {size - 1} at {at} of {len(body)} bytes")
    return size - 1, at


def after_tags(body: bytes, at: int) -> int:
    """Where the tagged fields end."""
    if body[at] == 0:
        return at + 1
    count, at = varint_at(body, at)
    for _ in range(count):
        _, at = varint_at(body, at)
        size, at = varint_at(body, at)
        at += size
        if at > len(body):
            raise DecodeError(f"a tagged field ends at {at} of {len(body)} bytes")
    return at


def varint_at(body: bytes, at: int) -> tuple[int, int]:
    """An unsigned number of variable length, and where it ends."""
    value = 0
    for place in range(_LONGEST_VARINT):
        byte = body[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < ONE_BYTE:
            return value, at + place + 1
    raise DecodeError(f"a number without an end at {at}")
