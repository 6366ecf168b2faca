"""The command line: every command by name, loaded when it is used and not before.

Loading one by one keeps `healthd evaluate` from waiting for libraries that only the daemon needs.
"""

import errno
import importlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import click

from healthd import __version__
from healthd.cli.exits import Exit
from healthd.model.json_reader import printable

DEBUG_VARIABLE: Final = "HEALTHD_DEBUG"
_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True, kw_only=True)
class LazyCommand:
    """Where a command is, and what the list of commands says of it."""

    target: str
    """`module:object`."""
    help: str


COMMANDS: Final[Mapping[str, LazyCommand]] = {
    "run": LazyCommand(target="healthd.main:run_command", help="Run the daemon."),
    "demo": LazyCommand(
        target="healthd.cli.demo:demo", help="See healthd at work on five real brokers."
    ),
    "check-config": LazyCommand(
        target="healthd.cli.check_config:check_config",
        help="Say what is wrong with configuration files.",
    ),
    "doctor": LazyCommand(
        target="healthd.cli.doctor:doctor",
        help="Say what healthd may not see of a cluster, and what would grant it.",
    ),
    "status": LazyCommand(
        target="healthd.cli.status:status", help="Show how every cluster is, the worst first."
    ),
    "history": LazyCommand(
        target="healthd.cli.history:history",
        help="Show how a cluster was, and what changed between two moments.",
    ),
    "snapshot": LazyCommand(
        target="healthd.cli.snapshot:snapshot", help="Print everything known of a cluster as JSON."
    ),
    "evaluate": LazyCommand(
        target="healthd.cli.evaluate:evaluate", help="Work out the Health Index of snapshots."
    ),
    "ok-to-stop": LazyCommand(
        target="healthd.cli.ok_to_stop:ok_to_stop_command",
        help="Say what would break if these brokers stopped now.",
    ),
    "plan": LazyCommand(
        target="healthd.cli.plan:plan_command",
        help="Show in which order, and how many at a time, brokers can be taken.",
    ),
    "rehearse": LazyCommand(
        target="healthd.cli.rehearse:rehearse_command",
        help="Run waves in virtual time against a model of the cluster.",
    ),
    "mute": LazyCommand(
        target="healthd.cli.mute:mute", help="Silence a check for a while, or list what is."
    ),
    "freeze": LazyCommand(
        target="healthd.cli.freeze:freeze",
        help="Keep waves from beginning anything on some clusters.",
    ),
    "route": LazyCommand(
        target="healthd.cli.route:route",
        help="Show which clusters clients are sent to, and overrule it.",
    ),
    "wave": LazyCommand(
        target="healthd.cli.wave:wave", help="Start, follow and steer rolling work on brokers."
    ),
    "playbook": LazyCommand(
        target="healthd.cli.playbook:playbook",
        help="Work with playbooks before a wave uses them.",
    ),
    "hosts": LazyCommand(
        target="healthd.cli.hosts:hosts", help="Trust the keys of a cluster's hosts."
    ),
    "state": LazyCommand(
        target="healthd.cli.state:state", help="Back up, restore and check the daemon's state."
    ),
    "version": LazyCommand(target="healthd.cli.version:version", help="Print the version."),
}
"""Every command. What belongs to the composition root is named here and imported nowhere."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used."""

    def __init__(self, *args: Any, lazy: Mapping[str, LazyCommand], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return [*self.lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now; None when there is none."""
        found = self.lazy.get(cmd_name)
        if found is None:
            return super().get_command(ctx, cmd_name)
        return load(found.target)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing any."""
        del ctx  # Nothing is asked of it: nothing is imported.
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.help) for name, command in self.lazy.items()])

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run; a defect ends in one line that says how to see more, not in a traceback."""
        try:
            return super().main(*args, **kwargs)
        except Exception as error:
            # The edge of the program: whatever gets here is a defect, not a user's mistake.
            if os.environ.get(DEBUG_VARIABLE):
                raise
            if isinstance(error, OSError) and error.errno in _NO_SPACE:
                _end_without_space(error)
            _end_with_defect(error)


def load(target: str) -> click.Command:
    """The command that `module:object` names."""
    module, _, name = target.partition(":")
    command = getattr(importlib.import_module(module), name)
    assert isinstance(command, click.Command), f"{target} is no command"
    return command


def _end_without_space(error: OSError) -> NoReturn:
    # What is still in the buffer would fail once more at the very end, with an exit code of
    # Python's own.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)
    where = f" {printable(str(error.filename))}" if error.filename else ""
    click.echo(
        f"healthd: cannot write{where}: {error.strerror}; free some and run it again", err=True
    )
    sys.exit(Exit.FAILED)


def _end_with_defect(error: Exception) -> NoReturn:
    what = f"{type(error).__name__}: {error}".rstrip(": ")
    click.echo(f"healthd: a defect: {what}", err=True)
    click.echo(f"Set {DEBUG_VARIABLE}=1 and run it again to see where.", err=True)
    sys.exit(Exit.FAILED)


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="healthd")
def cli() -> None:
    """Looks after a fleet of Apache Kafka clusters: how they are, and how to patch them safely."""
