"""The body of an HTTP answer in pieces: decompressed, counted, and given up when it is too long.

Pieces are bounded, so that neither a large page nor a compressed bomb is ever in memory whole.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Final

import aiohttp

from healthd.collect.observation import FailureReason
from healthd.collect.page import PageProblem

ACCEPTED_ENCODING: Final = "gzip"
"""What is asked for; anything else in the answer cannot be undone here."""

PIECE_BYTES: Final = 262_144
"""At most so much of a compressed page is unpacked at once: two milliseconds of work."""

_UTF8_COMPATIBLE: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin-1"})
_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS


async def pieces(response: aiohttp.ClientResponse, max_bytes: int) -> AsyncIterator[bytes]:
    """The plain bytes of a body, piece by piece; the loop gets its turn between them.

    Args:
        response: An answer of a session that does not decompress by itself.
        max_bytes: More than that, packed or unpacked, is given up.

    Raises:
        PageProblem: it is too long, is cut off, or cannot be unpacked.
    """
    _check_charset(response)
    unpack = _unpacker(response.headers.get("Content-Encoding", "identity"))
    if (response.content_length or 0) > max_bytes:
        raise _too_large(max_bytes)
    received = unpacked = 0
    try:
        async for chunk in response.content.iter_any():
            received += len(chunk)
            for piece in unpack.feed(chunk):
                unpacked += len(piece)
                if max(received, unpacked) > max_bytes:
                    raise _too_large(max_bytes)
                yield piece
                await asyncio.sleep(0)
            if received > max_bytes:
                raise _too_large(max_bytes)
    except aiohttp.ClientPayloadError:
        raise PageProblem(
            FailureReason.INCOMPLETE, f"broke off after {received} bytes, before its end"
        ) from None
    unpack.finish()


def _too_large(max_bytes: int) -> PageProblem:
    return PageProblem(FailureReason.TOO_LARGE, f"gave more than {max_bytes} bytes and was cut off")


def _check_charset(response: aiohttp.ClientResponse) -> None:
    charset = response.charset
    if charset is not None and charset.lower() not in _UTF8_COMPATIBLE:
        raise PageProblem(
            FailureReason.BAD_ENCODING,
            f"answered in the character set {charset[:40]!r}, not in UTF-8",
        )


class _Plain:
    def feed(self, chunk: bytes) -> Iterator[bytes]:
        yield chunk

    def finish(self) -> None:
        pass


class _Gzip:
    """Members of gzip one after the other, in pieces of bounded size."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._has_begun = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        try:
            is_full = False
            # A full piece may have left more inside, though all of the chunk was taken in.
            while chunk or is_full:
                if self._member.eof:
                    self._member = zlib.decompressobj(_GZIP_OR_ZLIB)
                self._has_begun = True
                piece = self._member.decompress(chunk, PIECE_BYTES)
                yield piece
                is_full = len(piece) == PIECE_BYTES and not self._member.eof
                chunk = self._member.unused_data or self._member.unconsumed_tail
        except zlib.error:
            raise PageProblem(
                FailureReason.BAD_ENCODING, "says that it is gzip, and cannot be unpacked"
            ) from None

    def finish(self) -> None:
        if self._has_begun and not self._member.eof:
            raise PageProblem(FailureReason.INCOMPLETE, "broke off in the middle of its gzip")


def _unpacker(encoding: str) -> _Plain | _Gzip:
    name = encoding.strip().lower()
    if name in {"", "identity"}:
        return _Plain()
    if name in {"gzip", "x-gzip", "deflate"}:
        return _Gzip()
    raise PageProblem(
        FailureReason.BAD_ENCODING,
        f"is packed as {name[:20]!r}, though only {ACCEPTED_ENCODING} was asked for",
    )
