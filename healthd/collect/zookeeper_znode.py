"""A ZooKeeper client that can only read: a session, `sync`, a node's data, a node's children.

Who Kafka's controller is stands in a znode, which no four-letter word shows. This speaks just the
requests needed for that and holds none that could change anything, keeps one session for as long
as it lives (each new one is a transaction of the ensemble), and never starts a thread.

Protocol: ``zookeeper.jute`` of ZooKeeper 3.8; every message is its length and then its fields.
"""

import asyncio
import struct
from dataclasses import dataclass
from typing import Final, Self

MAX_FRAME_BYTES: Final = 4 * 1024 * 1024
"""ZooKeeper's own limit (jute.maxbuffer) is 1 MB; more is no ZooKeeper."""
MAX_CHILDREN: Final = 100_000

_CLOSE: Final = -11
_GET_DATA: Final = 4
_GET_CHILDREN: Final = 8
_SYNC: Final = 9

_NO_NODE: Final = -101
_NO_RIGHTS: Final = frozenset({-102, -113, -115, -124})
"""No ACL, invalid ACL, authentication failed, session needs SASL."""


class ZnodeError(Exception):
    """No answer that can be used; the text fits behind the server's address."""


class ZnodeAuthError(ZnodeError):
    """The server wants to know who asks, or does not allow it."""


@dataclass(slots=True)
class _Session:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    xid: int = 0


class ZnodeSession:
    """One session with one server. Every method may be cancelled; then the session is of no use."""

    def __init__(self, session: _Session) -> None:
        self._session = session

    @classmethod
    async def connect(cls, host: str, port: int, *, timeout_ms: int) -> Self:
        """A session with the server.

        Args:
            host: Its name or address.
            port: Its client port.
            timeout_ms: How long the session is to outlive its last request.

        Raises:
            OSError: nobody is there.
            ZnodeError: it let nobody in: it is in no majority, or no plain ZooKeeper port.
        """
        reader, writer = await asyncio.open_connection(host, port)
        session = _Session(reader, writer)
        try:
            # Protocol 0, no transaction seen, a new session without a password, not read-only:
            # a server that has lost the majority must refuse.
            _send(writer, struct.pack(">iqiqi16s?", 0, 0, timeout_ms, 0, 16, b"", False))
            _require_session(await _frame(reader))
        except BaseException:
            writer.close()
            raise
        return cls(session)

    async def sync(self, path: str) -> None:
        """What is read next is at least as new as this moment: the leader itself confirms it.

        Raises:
            ZnodeError: no proper answer.
        """
        await self._ask(_SYNC, _text(path))

    async def data(self, path: str) -> bytes | None:
        """The bytes of a node, None when there is no such node.

        Raises:
            ZnodeError: no proper answer.
        """
        # The last byte says that nobody wants to be told of changes.
        answer = await self._ask(_GET_DATA, _text(path) + b"\0")
        return None if answer is None else _buffer(answer, 0)[0]

    async def children(self, path: str) -> tuple[str, ...] | None:
        """The names of a node's children, None when there is no such node.

        Raises:
            ZnodeError: no proper answer.
        """
        answer = await self._ask(_GET_CHILDREN, _text(path) + b"\0")
        if answer is None:
            return None
        count = _integer(answer, 0)
        if not 0 <= count <= MAX_CHILDREN:
            raise ZnodeError("gave a list that is none")
        names, at = [], 4
        for _ in range(count):
            name, at = _buffer(answer, at)
            names.append(name.decode("utf-8", "replace"))
        return tuple(names)

    async def close(self) -> None:
        """End the session, so that the ensemble need not wait for its end; never raises."""
        try:
            _send(self._session.writer, struct.pack(">ii", self._next(), _CLOSE))
            await self._session.writer.drain()
        except OSError:
            pass
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close the connection without a word; may be called twice."""
        self._session.writer.close()

    async def _ask(self, kind: int, body: bytes) -> bytes | None:
        xid = self._next()
        try:
            _send(self._session.writer, struct.pack(">ii", xid, kind) + body)
            answer = await _frame(self._session.reader)
        except OSError as error:
            raise ZnodeError("broke the connection") from error
        if len(answer) < _HEADER.size:
            raise ZnodeError("gave an answer that is too short")
        answered, _, code = _HEADER.unpack_from(answer)
        if code == _NO_NODE and answered == xid:
            return None
        if code in _NO_RIGHTS:
            raise ZnodeAuthError(f"does not allow reading without a login (error {code})")
        if code != 0 or answered != xid:
            raise ZnodeError(f"answered with error {code}")
        return answer[_HEADER.size :]

    def _next(self) -> int:
        self._session.xid = self._session.xid % 0x7FFFFFFF + 1
        return self._session.xid


_HEADER: Final = struct.Struct(">iqi")


def _require_session(answer: bytes) -> None:
    # The protocol's version, then the time-out that the server grants: 0 for none.
    if _integer(answer, 4) <= 0:
        raise ZnodeError("opened no session")


def _send(writer: asyncio.StreamWriter, message: bytes) -> None:
    writer.write(struct.pack(">i", len(message)) + message)


async def _frame(reader: asyncio.StreamReader) -> bytes:
    try:
        (size,) = struct.unpack(">i", await reader.readexactly(4))
        if not 0 <= size <= MAX_FRAME_BYTES:
            raise ZnodeError("speaks another protocol than ZooKeeper's: is it a TLS port?")
        return await reader.readexactly(size)
    except asyncio.IncompleteReadError as error:
        raise ZnodeError("closed the connection instead of answering") from error


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack(">i", len(encoded)) + encoded


def _integer(message: bytes, at: int) -> int:
    if len(message) < at + 4:
        raise ZnodeError("gave an answer that is too short")
    number: int = struct.unpack_from(">i", message, at)[0]
    return number


def _buffer(message: bytes, at: int) -> tuple[bytes, int]:
    """The bytes at a place and the place after them; -1 stands for none."""
    size = max(0, _integer(message, at))
    end = at + 4 + size
    if end > len(message):
        raise ZnodeError("gave an answer that is too short")
    return message[at + 4 : end], end
