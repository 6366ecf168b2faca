"""``healthd ok-to-stop FILE...``: what would break if these brokers stopped now."""

from collections.abc import Iterable, Sequence
from typing import Any

import click

from healthd.cli.files import answer_files, files_argument, output_option
from healthd.cli.ok_to_stop_table import print_every, print_set
from healthd.cli.safety_options import BrokerIds, acknowledging
from healthd.cli.snapshot_input import read_snapshot
from healthd.model.json_reader import InputError
from healthd.model.reason import Reason
from healthd.model.snapshot import ClusterSnapshot
from healthd.safety.acknowledgements import Acknowledgements
from healthd.safety.gate import repairs_among, snapshot_holds
from healthd.safety.ok_to_stop import UnknownBroker, each_broker, each_rack, ok_to_stop

EXIT_NOT_OK = 4


@click.command("ok-to-stop")
@files_argument
@click.option(
    "--brokers",
    type=BrokerIds(),
    metavar="IDS",
    help="These, together: 1,2. Without it: every single node and every rack.",
)
@acknowledging
@output_option
@click.pass_context
def ok_to_stop_command(
    ctx: click.Context,
    /,
    files: Sequence[str],
    brokers: tuple[int, ...] | None,
    output: str,
    **acknowledged: Any,
) -> None:
    """Say what would break if these brokers stopped now.

    FILE is a ClusterSnapshot or what `kcat -L -J` prints; - reads standard input. PATTERN is a
    shell pattern over the whole topic name. Exit code 4: not ok to stop.
    """
    question = _Question(brokers, Acknowledgements(**acknowledged))
    ctx.exit(answer_files(files, output, question.answer, question.show))


class _Question:
    """What is asked of every file, and what its table needs beside the JSON."""

    def __init__(self, brokers: tuple[int, ...] | None, acknowledged: Acknowledgements) -> None:
        self._brokers = brokers
        self._acknowledged = acknowledged
        self._is_kcat = False
        self._is_seen = True

    def answer(self, data: bytes) -> tuple[dict[str, Any], int]:
        """The JSON object of one file, and its exit code."""
        given = read_snapshot(data, assume_min_isr=self._acknowledged.assume_min_isr)
        self._is_kcat = given.is_kcat
        self._is_seen = given.snapshot.is_metadata_known
        if self._brokers is None:
            return _every(given.snapshot, self._acknowledged), 0
        try:
            found = _together(given.snapshot, self._brokers, self._acknowledged)
        except UnknownBroker as error:
            raise InputError("--brokers", str(error)) from None
        return found, 0 if found["ok"] else EXIT_NOT_OK

    def show(self, found: dict[str, Any]) -> None:
        """Print the last answer for a person."""
        if self._brokers is None:
            print_every(found)
        else:
            print_set(found)
        if not self._is_seen:
            click.echo("nothing is known of the cluster: its metadata was never seen")
        if self._is_kcat:
            click.echo("controllers not checked")


def _together(
    snapshot: ClusterSnapshot, brokers: tuple[int, ...], acknowledged: Acknowledgements
) -> dict[str, Any]:
    blockers = ok_to_stop(snapshot, brokers, acknowledged=acknowledged)
    holds = snapshot_holds(
        snapshot, repairs=repairs_among(snapshot, brokers), acknowledged=acknowledged
    )
    return {
        "cluster": snapshot.cluster,
        "brokers": list(brokers),
        "ok": not blockers,
        "blockers": _as_json(blockers),
        "gate": {"clear": not holds, "holds": _as_json(holds)},
    }


def _every(snapshot: ClusterSnapshot, acknowledged: Acknowledgements) -> dict[str, Any]:
    brokers = each_broker(snapshot, acknowledged=acknowledged)
    racks = each_rack(snapshot, acknowledged=acknowledged)
    return {
        "cluster": snapshot.cluster,
        "each": [
            {"broker": node, "ok": not blockers, "blockers": _as_json(blockers)}
            for node, blockers in brokers.items()
        ],
        "racks": [
            {"rack": rack, "ok": not blockers, "blockers": _as_json(blockers)}
            for rack, blockers in racks.items()
        ],
    }


def _as_json(reasons: Iterable[Reason]) -> list[dict[str, str]]:
    return [reason.as_json() for reason in reasons]
