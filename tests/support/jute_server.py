"""A stand-in for a ZooKeeper server: answers the few requests that healthd sends, or misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

NO_NODE = -101
SYNC, GET_DATA, GET_CHILDREN, CLOSE = 9, 4, 8, -11
STAT = b"\0" * 68


@dataclass
class JuteServer:
    """Nodes by path: bytes for data, a tuple for the names of its children."""

    nodes: Mapping[str, bytes | tuple[str, ...]] = field(default_factory=dict)
    srvr: bytes = b"Zookeeper version: 3.8.4\nOutstanding: 0\nZxid: 0x10\nMode: follower\n"
    grants_ms: int = 10_000
    """What a session is granted; 0 refuses."""
    error: int = 0
    """With this every request is answered."""
    is_silent: bool = False
    """Nothing but four-letter words is answered."""
    asked: list[int] = field(default_factory=list)
    """The kinds of requests, in their order."""
    sessions: int = 0
    port: int = 0

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readexactly(4)
            if head.isalpha():
                writer.write(self.srvr if head == b"srvr" else b"")
            else:
                await self._session(head, reader, writer)
        writer.close()

    async def _session(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readexactly(struct.unpack(">i", head)[0])
        if self.is_silent:
            await reader.read()
            return
        self.sessions += 1
        _reply(writer, struct.pack(">iiqi16s?", 0, self.grants_ms, 7, 16, b"", False))
        while True:
            size = struct.unpack(">i", await reader.readexactly(4))[0]
            request = await reader.readexactly(size)
            xid, kind = struct.unpack_from(">ii", request)
            self.asked.append(kind)
            if kind == CLOSE:
                return
            path = request[12 : 12 + struct.unpack_from(">i", request, 8)[0]].decode()
            code, body = self._answer(kind, path)
            _reply(writer, struct.pack(">iqi", xid, 1, code) + body)

    def _answer(self, kind: int, path: str) -> tuple[int, bytes]:
        node = self.nodes.get(path)
        if self.error:
            return self.error, b""
        if kind == SYNC:
            return 0, _bytes(path.encode())
        if kind == GET_DATA and isinstance(node, bytes):
            return 0, _bytes(node) + STAT
        if kind == GET_CHILDREN and isinstance(node, tuple):
            return 0, struct.pack(">i", len(node)) + b"".join(_bytes(n.encode()) for n in node)
        return NO_NODE, b""


def _bytes(value: bytes) -> bytes:
    return struct.pack(">i", len(value)) + value


def _reply(writer: asyncio.StreamWriter, message: bytes) -> None:
    writer.write(_bytes(message))


@contextlib.asynccontextmanager
async def listening(server: JuteServer) -> AsyncIterator[JuteServer]:
    """The server, listening."""
    async with on_port(server.serve) as server.port:
        yield server


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def on_port(serve: Serve) -> AsyncIterator[int]:
    """A port on which every connection is served so; what stays open is ended at the end."""
    tasks: set[asyncio.Task[None]] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await serve(reader, writer)
        except asyncio.CancelledError:
            # The end of the test; asyncio would log an error for a cancelled callback.
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        if tasks:
            # What clients sent before they left is still read.
            await asyncio.wait(tasks, timeout=2)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
