"""Programs that are run on the event loop, and let go of whatever they have left behind."""

import asyncio
from asyncio.subprocess import Process


def let_go(process: Process) -> None:
    """Close our ends of a process's pipes; one that still runs is killed.

    A pipe is closed by itself only when it was read to its end: one whose rest nobody wants, or
    that a grandchild holds open, would stay with us until it is found by chance.
    """
    # The library closes it by itself, and has no public way to ask for it.
    transport: asyncio.SubprocessTransport = process._transport  # type: ignore[attr-defined]  # noqa: SLF001
    transport.close()
