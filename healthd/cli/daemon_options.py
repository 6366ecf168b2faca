"""The options that say which daemon is meant; apart from the client, which is slow to import."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

DEFAULT_SERVER: Final = "http://127.0.0.1:9780"

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def daemon_options(command: CommandT) -> CommandT:
    """The options that say which daemon is meant; the command gets `server` and `token_file`."""
    for option in (
        click.option(
            "--token-file",
            envvar="HEALTHD_TOKEN_FILE",
            type=click.Path(path_type=Path),
            help="File with the daemon's token; orders need it.  [env: HEALTHD_TOKEN_FILE]",
        ),
        click.option(
            "--server",
            envvar="HEALTHD_SERVER",
            default=DEFAULT_SERVER,
            show_default=True,
            metavar="URL",
            help="Where the daemon answers.  [env: HEALTHD_SERVER]",
        ),
    ):
        command = option(command)
    return command
