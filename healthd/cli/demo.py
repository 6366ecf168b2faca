"""`healthd demo`: the main jobs, on two real clusters on this machine."""

import signal
import sys
import threading

import click

from healthd.client import ResolveError
from healthd.demo.files import FleetFileError
from healthd.demo.provision import ProvisionError
from healthd.demo.service import DemoTimeoutError
from healthd.demo.story import tell


@click.command("demo")
@click.option("--keep", is_flag=True, help="Leave everything running at the end, until Ctrl-C.")
def demo(*, keep: bool) -> None:
    """See healthd at work: brokers restarted under load, and clients sent to another cluster.

    Two real Kafka clusters, of five brokers and of three. The five are restarted one by one, with a
    hold while one is frozen; then two of them die, and clients follow their profile and come back.

    Needs Java 17, Maven, sshd and runit; `make demo` installs what is missing. Ends by itself
    within seven minutes with exit code 0 when everything went as it should, else 1.
    """

    def say(text: str) -> None:
        click.echo(text)

    def stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    # SIGTERM ends it like Ctrl-C does: everything that was started is stopped.
    signal.signal(signal.SIGTERM, stop)
    try:
        sys.exit(tell(say, keep=keep, wait_for_end=_until_interrupted))
    except (ProvisionError, FleetFileError, DemoTimeoutError, ResolveError) as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("Stopped; all processes have ended.", err=True)
        sys.exit(130)


def _until_interrupted() -> None:
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        click.echo("Ending everything ...")
