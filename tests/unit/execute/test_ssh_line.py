"""What a host's sshd says first: when it is whole, and what is made of what is broken."""

import asyncio
import socket
import struct
import threading
import time
from pathlib import Path

import paramiko
import pytest
from support.odd_sshd import key_exchange_begins, packet

from healthd.execute.host_keys import PLAIN_ALGORITHMS
from healthd.execute.protocol import ExecKind, Target
from healthd.execute.ssh_errors import ConnectError
from healthd.execute.ssh_line import GREETING, Line, greet
from healthd.execute.ssh_transport import begin_keys

HOST = Target(
    address="kafka-1", user="ops", key_file=Path("id"), known_hosts_file=Path("known_hosts")
)
SAID = b"Welcome\r\nSSH-2.0-odd\r\n"
WHOLE = SAID + packet(key_exchange_begins())


async def line_of(said: bytes, *, ends: bool = True) -> tuple[Line, socket.socket]:
    """What comes of a host that says this, and its own end of the connection."""
    ours, theirs = socket.socketpair()
    theirs.sendall(said)
    if ends:
        theirs.shutdown(socket.SHUT_WR)
    try:
        return await greet(ours, HOST, deadline=time.monotonic() + 60), theirs
    except BaseException:
        theirs.close()
        raise


async def test_the_first_packet_has_to_be_whole() -> None:
    for length in range(len(WHOLE)):
        with pytest.raises(ConnectError, match="it ended the connection"):
            await line_of(WHOLE[:length])
    line, theirs = await line_of(WHOLE)
    assert line.begins_kex
    line.close()
    theirs.close()


@pytest.mark.parametrize(
    "said",
    [b"SSH-1.5-odd\r\n", b"SSH-2.0-odd\r\n" + packet(bytes([paramiko.common.MSG_IGNORE]) + b"x")],
    ids=["another version", "another packet"],
)
async def test_what_is_no_key_exchange_is_left_to_the_librarys_thread(said: bytes) -> None:
    line, theirs = await line_of(said)
    assert not line.begins_kex
    begin_keys(line, HOST, PLAIN_ALGORITHMS)
    line.connect()
    assert line.recv(1_000) == said
    line.close()
    theirs.close()


async def test_a_packet_that_never_ends_is_not_waited_for() -> None:
    endless = struct.pack(">IBB", 2**31, 4, paramiko.common.MSG_KEXINIT) + b"x" * 70_000
    with pytest.raises(ConnectError, match=r"it has said something else: b'SSH-2\.0-odd"):
        await line_of(b"SSH-2.0-odd\r\n" + endless)


KEXINIT = bytes([paramiko.common.MSG_KEXINIT])


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (packet(key_exchange_begins("no-such-kex")), "no acceptable kex algorithm"),
        (packet(KEXINIT + b"0123456789"), "no acceptable kex algorithm"),
        (
            packet(KEXINIT + b"0123456789abcdef\x00\x00\x00\x02\xff\xfe"),
            "its first packet is broken",
        ),
        (struct.pack(">IB", 1, 0) + KEXINIT, "its first packet is broken"),
        (struct.pack(">IB", 12, 200) + KEXINIT + b"x" * 10, "its first packet is broken"),
        (struct.pack(">IB", 13, 4) + KEXINIT + b"x" * 11, "Invalid packet blocking"),
    ],
    ids=["nothing in common", "cut short", "no text", "too short", "all padding", "odd length"],
)
async def test_a_key_exchange_that_cannot_begin_is_refused_in_one_line(
    broken: bytes, reason: str
) -> None:
    line, theirs = await line_of(b"SSH-2.0-odd\r\n" + broken)
    with pytest.raises(ConnectError) as refused:
        begin_keys(line, HOST, PLAIN_ALGORITHMS)
    assert refused.value.kind is ExecKind.UNREACHABLE
    said = refused.value.detail
    assert said.startswith("kafka-1:22 does not answer as an SSH server: "), said
    assert reason in said
    assert "\n" not in said
    line.close()
    theirs.close()


async def test_a_key_exchange_begins_without_a_thread_and_without_waiting_for_the_host() -> None:
    line, theirs = await line_of(WHOLE, ends=False)
    threads = threading.active_count()
    transport = begin_keys(line, HOST, PLAIN_ALGORITHMS)
    assert theirs.recv(65_536) == GREETING
    answer = asyncio.create_task(line.answered(HOST, deadline=time.monotonic() + 60))
    loop = asyncio.get_running_loop()
    theirs.setblocking(False)
    sent = await loop.sock_recv(theirs, 65_536)
    length = int.from_bytes(sent[:4])
    assert sent[5] == paramiko.common.MSG_KEXINIT
    assert sent[4 + length + 5] == 30, "the client's half of the new key"
    assert threading.active_count() == threads
    assert not transport.is_alive()
    assert not answer.done()
    theirs.sendall(b"what the host answers")
    await answer
    line.connect()
    assert line.recv(1_000) == b"what the host answers"
    transport.cut()
    assert await loop.sock_recv(theirs, 1) == b""
    theirs.close()
