"""Following a wave until it ends: a live view on a terminal, a line a change in a pipe."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import click
from rich.live import Live

from healthd.cli.client import DaemonClient, DaemonError, path_of
from healthd.cli.exits import Exit
from healthd.cli.terminal import console, plain
from healthd.cli.wave_text import ENDED, changes, wave_view

INTERVAL_SECONDS: Final = 1.0
PATIENCE_SECONDS: Final = 60.0
"""How long a daemon may be away (it is being restarted) before watching ends."""


def watch_wave(
    client: DaemonClient, wave: str, *, interval_seconds: float, output: str = "table"
) -> Exit:
    """The exit code that the wave's end asks for, after showing every change until then.

    Args:
        client: of the daemon.
        wave: its id.
        interval_seconds: between two looks.
        output: ``json`` prints the whole wave on a line for every change.
    """
    looks = follow(
        lambda: client.get(path_of("waves", wave)),
        interval_seconds=interval_seconds,
        sleep=time.sleep,
    )
    out = console()
    last: dict[str, Any] = {}
    try:
        if out.is_terminal and output != "json":
            with Live(console=out, auto_refresh=False) as live:
                for last in looks:
                    live.update(wave_view(last), refresh=True)
        else:
            before: dict[str, Any] | None = None
            for last in looks:
                lines = list(changes(before, last))
                if output == "json":
                    lines = [json.dumps(last)] if lines else []
                for line in lines:
                    click.echo(plain(line).plain)
                before = last
    except KeyboardInterrupt:
        click.echo(f"healthd: no longer watching; the wave {wave} goes on", err=True)
        raise
    return Exit.OK if last["status"] == "succeeded" else Exit.WAVE_FAILED


def follow(
    look: Callable[[], dict[str, Any]],
    *,
    interval_seconds: float,
    sleep: Callable[[float], None],
) -> Iterator[dict[str, Any]]:
    """One look after the other until the wave has ended; bridges a restart of the daemon.

    Raises:
        DaemonError: It was away for too long, or refused.
    """
    away_seconds = 0.0
    has_looked = False
    while True:
        try:
            found = look()
        except DaemonError as error:
            is_away = has_looked and error.exit_code == Exit.UNREACHABLE
            if not is_away or away_seconds >= PATIENCE_SECONDS:
                raise
            if away_seconds == 0.0:
                click.echo("healthd: the daemon is away; waiting for it", err=True)
            away_seconds += max(interval_seconds, INTERVAL_SECONDS)
        else:
            has_looked, away_seconds = True, 0.0
            yield found
            if found["status"] in ENDED:
                return
        sleep(interval_seconds)
