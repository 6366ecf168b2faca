"""``healthd ok-to-stop FILE...``: what would break if these brokers stopped now."""

from collections.abc import Iterable, Sequence
from typing import Any

import click

from healthd.cli.files import answer_files, files_argument, output_option
from healthd.cli.ok_to_stop_table import print_every, print_set
from healthd.cli.snapshot_input import read_snapshot
from healthd.model.json_reader import LARGEST_ID, InputError
from healthd.model.reason import Reason
from healthd.model.snapshot import ClusterSnapshot
from healthd.safety.acknowledgements import Acknowledgements
from healthd.safety.gate import repairs_among, snapshot_holds
from healthd.safety.ok_to_stop import UnknownBroker, each_broker, each_rack, ok_to_stop

EXIT_NOT_OK = 4


class BrokerIds(click.ParamType[tuple[int, ...]]):
    """Ids as people write them: ``1,2``; the value is sorted and names none twice."""

    name = "ids"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """The ids; anything else is a usage error."""
        words = [word.strip() for word in str(value).split(",")]
        # int() would also take "1_0", "+1" and the digits of every script.
        if not all(word.isascii() and word.isdigit() for word in words):
            self.fail(f"{value!r} is no list of broker ids like 1,2", param, ctx)
        if any(len(word) > len(str(LARGEST_ID)) or int(word) > LARGEST_ID for word in words):
            self.fail(f"a broker id is at most {LARGEST_ID}", param, ctx)
        return tuple(sorted(set(map(int, words))))


@click.command("ok-to-stop")
@files_argument
@click.option(
    "--brokers",
    type=BrokerIds(),
    metavar="IDS",
    help="These, together: 1,2. Without it: every single node and every rack.",
)
@click.option(
    "--margin",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Replicas in sync to be left above min.insync.replicas, where RF allows it.",
)
@click.option(
    "--allow-rf-one",
    multiple=True,
    metavar="PATTERN",
    help="Topics whose only replica may go away. Repeatable.",
)
@click.option(
    "--allow-rf-le-min-isr",
    multiple=True,
    metavar="PATTERN",
    help="Topics with RF <= min.insync.replicas that may lose one replica. Repeatable.",
)
@click.option(
    "--allow-quorum-without-spare",
    is_flag=True,
    help="A quorum of one or two voters may be lost meanwhile.",
)
@click.option(
    "--assume-min-isr",
    type=click.IntRange(min=1),
    help="min.insync.replicas of topics where it is unknown.",
)
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

    def answer(self, data: bytes) -> tuple[dict[str, Any], int]:
        """The JSON object of one file, and its exit code."""
        given = read_snapshot(data, assume_min_isr=self._acknowledged.assume_min_isr)
        self._is_kcat = given.is_kcat
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
