"""500 hosts over SSH from one process, and the same with thirty in a hundred gone or hanging.

The hosts are stand-ins that speak the real protocol (paramiko's server), one process for all of
them; each has an address of its own on the loopback interface. The client is measured in a
process of its own, because memory never goes back.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import psutil
import pytest
from support.odd_sshd import Odd

from healthd.execute.protocol import Command, Target
from healthd.execute.ssh import SshExecutor

HOSTS: Final = 500
POOL: Final = 32
CONNECT_SECONDS: Final = 10.0
MEGABYTE: Final = 1024 * 1024
SERVERS: Final = (
    Odd.NOTHING,
    Odd.SILENT,
    Odd.GREETS_ONLY,
    Odd.HANGS_IN_KEX,
    Odd.HANGS_IN_LOGIN,
)
SUPPORT: Final = Path(__file__).parents[1] / "support" / "odd_sshd.py"


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[int]]]:
    """The folder of their keys, and the port of each kind of server."""
    folder = tmp_path_factory.mktemp("ssh")
    process = subprocess.Popen(
        [sys.executable, str(SUPPORT), str(folder), *SERVERS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    yield folder, [int(port) for port in process.stdout.readline().split()]
    process.stdin.close()
    process.stdout.close()
    process.wait(30)


def measured(folder: Path, ports: Sequence[int]) -> dict[str, Any]:
    """What the client's process says of a command on each host, by the port of each."""
    words = [sys.executable, __file__, str(folder), *(str(port) for port in ports)]
    ran = subprocess.run(
        words,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(SUPPORT.parents[1])},
    )
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.mark.bench
def test_ssh_to_five_hundred_hosts(hosts: tuple[Path, list[int]]) -> None:
    folder, (good, *_) = hosts
    found = measured(folder, [good] * HOSTS)
    print(
        f"\n{HOSTS} hosts, pool of {POOL}: {found['seconds']:.1f} s (aim: 20), "
        f"{found['megabytes']:.0f} MB (aim: 300), {found['threads']} threads at most, "
        f"{found['cpu']:.1f} s of processor"
    )
    assert found["good"] == HOSTS


@pytest.mark.bench
def test_ssh_hosts_that_are_gone_or_hang_delay_nobody(hosts: tuple[Path, list[int]]) -> None:
    folder, (good, silent, greets_only, in_kex, in_login) = hosts
    without = [good] * (HOSTS * 7 // 10)
    kinds = {
        # Nothing listens on port 1.
        "gone, silent or greet only": [1, silent, greets_only],
        "hang in kex": [in_kex],
        "hang in the login, after a whole key exchange": [in_login],
    }
    for name, ports in kinds.items():
        many = len(ports)
        mixed = [ports[at % many] if at % 10 < 3 else good for at in range(HOSTS)]
        alone = measured(folder, without)
        found = measured(folder, mixed)
        print(
            f"\n30 % {name}: the others after {found['last_good']:.1f} s, without these "
            f"{alone['last_good']:.1f} s: {found['last_good'] / alone['last_good']:.2f} times; "
            f"{found['cpu']:.1f} s of processor and {found['threads']} threads at most, without "
            f"these {alone['cpu']:.1f} s and {alone['threads']}"
        )
        assert found["good"] == len(without)


async def _run(folder: Path, ports: Sequence[int]) -> dict[str, Any]:
    process = psutil.Process()
    command = Command(argv=("true",), timeout_seconds=120.0)
    executor = SshExecutor(pool_size=POOL)
    began, cpu = time.monotonic(), process.cpu_times()
    last_good = 0.0
    most_threads = 0

    async def one(at: int, port: int) -> bool:
        nonlocal last_good
        target = Target(
            address=f"127.0.{60 + at // 250}.{1 + at % 250}",
            port=port,
            user="ops",
            key_file=folder / "client",
            known_hosts_file=folder / "known_hosts",
            connect_timeout_seconds=CONNECT_SECONDS,
        )
        outcome = await executor.run(target, command)
        if outcome.is_success:
            last_good = time.monotonic() - began
        return outcome.is_success

    async def watch() -> None:
        nonlocal most_threads
        while True:
            most_threads = max(most_threads, threading.active_count())
            await asyncio.sleep(0.02)

    watching = asyncio.create_task(watch())
    good = sum(await asyncio.gather(*(one(at, port) for at, port in enumerate(ports))))
    seconds = time.monotonic() - began
    watching.cancel()
    after = process.cpu_times()
    await executor.aclose()
    return {
        "good": good,
        "seconds": seconds,
        "last_good": last_good,
        "threads": most_threads,
        "megabytes": process.memory_info().rss / MEGABYTE,
        "cpu": after.user + after.system - cpu.user - cpu.system,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_run(Path(sys.argv[1]), [int(one) for one in sys.argv[2:]]))))
