"""Reading znodes: only reading, and whatever a server answers."""

import asyncio
import struct

import pytest
from support.jute_server import CLOSE, GET_CHILDREN, GET_DATA, SYNC, JuteServer, listening, on_port

from healthd.collect.zookeeper_znode import ZnodeAuthError, ZnodeError, ZnodeSession

NODES: dict[str, bytes | tuple[str, ...]] = {
    "/controller": b'{"brokerid":1}',
    "/brokers/ids": ("1", "12"),
}
SESSION_ANSWER = struct.pack(">iiqi16s?", 0, 4000, 7, 16, b"", False)


async def connected(server: JuteServer) -> ZnodeSession:
    return await ZnodeSession.connect("127.0.0.1", server.port, timeout_ms=10_000)


async def test_data_and_children_are_read_after_a_sync() -> None:
    async with listening(JuteServer(NODES)) as server:
        session = await connected(server)
        await session.sync("/controller")
        assert await session.data("/controller") == b'{"brokerid":1}'
        assert await session.children("/brokers/ids") == ("1", "12")
        await session.close()
    assert server.asked == [SYNC, GET_DATA, GET_CHILDREN, CLOSE]


async def test_a_node_that_is_not_there_is_none() -> None:
    async with listening(JuteServer()) as server:
        session = await connected(server)
        assert await session.data("/controller") is None
        assert await session.children("/brokers/ids") is None
        session.abandon()


async def test_a_server_that_opens_no_session_is_told() -> None:
    async with listening(JuteServer(grants_ms=0)) as server:
        with pytest.raises(ZnodeError, match="opened no session"):
            await connected(server)


@pytest.mark.parametrize("code", [-102, -115, -124])
async def test_a_server_that_wants_a_login_is_told_apart(code: int) -> None:
    async with listening(JuteServer(NODES, error=code)) as server:
        session = await connected(server)
        with pytest.raises(ZnodeAuthError, match=str(code)):
            await session.data("/controller")
        session.abandon()


async def test_another_error_is_told_with_its_number() -> None:
    async with listening(JuteServer(NODES, error=-112)) as server:
        session = await connected(server)
        with pytest.raises(ZnodeError, match="error -112"):
            await session.sync("/controller")
        session.abandon()


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        pytest.param(b"", "closed the connection", id="nothing"),
        pytest.param(b"\0\0", "closed the connection", id="half a length"),
        pytest.param(b"\0\0\0\x20abc", "closed the connection", id="half a message"),
        pytest.param(b"\0\0\0\x04abcd", "too short", id="a short message"),
        pytest.param(b"\x15\x03\x03\x00\x02\x02\x46", "another protocol", id="a TLS alert"),
        pytest.param(b"HTTP/1.1 400 Bad Request", "another protocol", id="a web server"),
    ],
)
async def test_rubbish_instead_of_a_session_is_told(answer: bytes, problem: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(4)
        writer.write(answer)
        await writer.drain()
        writer.write_eof()

    async with on_port(serve) as port:
        with pytest.raises(ZnodeError, match=problem):
            await ZnodeSession.connect("127.0.0.1", port, timeout_ms=1000)


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        pytest.param(struct.pack(">iq", 1, 1), "too short", id="half a header"),
        pytest.param(struct.pack(">iqi", 9, 1, 0), "error 0", id="the answer to another request"),
        pytest.param(struct.pack(">iqi", 1, 1, 0), "too short", id="no body"),
        pytest.param(struct.pack(">iqii", 1, 1, 0, 99), "too short", id="more than there is"),
        pytest.param(struct.pack(">iqii", 1, 1, 0, -5), "is none", id="a negative list"),
        pytest.param(struct.pack(">iqii", 1, 1, 0, 2**31 - 1), "is none", id="an endless list"),
    ],
)
async def test_rubbish_instead_of_children_is_told(reply: bytes, problem: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in (SESSION_ANSWER, reply):
            size = struct.unpack(">i", await reader.readexactly(4))[0]
            await reader.readexactly(size)
            writer.write(struct.pack(">i", len(answer)) + answer)
        await reader.read()

    async with on_port(serve) as port:
        session = await ZnodeSession.connect("127.0.0.1", port, timeout_ms=1000)
        with pytest.raises(ZnodeError, match=problem):
            await session.children("/brokers/ids")
        session.abandon()


async def test_a_server_that_says_nothing_can_be_given_up() -> None:
    async with listening(JuteServer(is_silent=True)) as server:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await connected(server)
