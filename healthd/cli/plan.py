"""`healthd plan`: in which order and how many at a time brokers can be taken."""

import importlib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

from healthd.cli.daemon_options import daemon_options
from healthd.cli.direct import direct_options, read_now
from healthd.cli.exits import Exit
from healthd.cli.files import STDIN, answer_files, output_option, print_answer
from healthd.cli.fleet_plan_table import print_fleet_plan
from healthd.cli.plan_table import print_plan
from healthd.cli.safety_options import ALL, AllOrIds, acknowledging
from healthd.cli.snapshot_input import SnapshotInput, read_snapshot
from healthd.model.json_reader import InputError
from healthd.safety.acknowledgements import Acknowledgements
from healthd.safety.ok_to_stop import UnknownBroker
from healthd.waves.plan_json import SAFE, plan_document, policy_of
from healthd.waves.planner import plan

_SUFFIXES: Final = (".yaml", ".yml", ".json")
_WHAT: Final = "say of what: CLUSTER, --snapshot FILE, --direct CLUSTER or --bootstrap HOST:PORT"


class Concurrency(click.ParamType[int | None]):
    """A number from 1, or ``safe``, whose value is None."""

    name = "N|safe"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | None:
        """The number, or None for as many as is safe; anything else is a usage error."""
        word = str(value).strip()
        if word == SAFE:
            return None
        # int() would also take "1_0", "+1" and the digits of every script; 9 digits are enough.
        if not (word.isascii() and word.isdigit() and len(word) <= 9) or int(word) < 1:  # noqa: PLR2004 - said above.
            self.fail(f"{value!r} is neither a number from 1 nor {SAFE}", param, ctx)
        return int(word)


@click.command("plan")
@click.argument("names", metavar="[CLUSTER|WAVE.yaml|FILE...]", nargs=-1)
@click.option(
    "--snapshot",
    "snapshots",
    multiple=True,
    metavar="FILE",
    help="A ClusterSnapshot, or what kcat -L -J prints; - is standard input. More may follow.",
)
@click.option(
    "--brokers",
    type=AllOrIds(),
    default=ALL,
    show_default=True,
    metavar="all|IDS",
    help="These: 1,2. All includes pure controllers.",
)
@click.option(
    "--concurrency",
    type=Concurrency(),
    default="1",
    show_default=True,
    metavar="N|safe",
    help="Brokers down together at most; safe: as many as the assignment proves.",
)
@acknowledging
@direct_options
@daemon_options
@output_option
@click.pass_context
def plan_command(
    context: click.Context,
    /,
    *,
    names: Sequence[str],
    snapshots: Sequence[str],
    brokers: tuple[int, ...] | None,
    concurrency: int | None,
    output: str,
    direct: bool,
    fleet_file: Path,
    bootstrap: str | None,
    server: str,
    token_file: Path | None,
    **acknowledged: Any,
) -> None:
    """Show the order and concurrency in which brokers can be taken, and which cannot.

    Of a cluster as the daemon sees it (CLUSTER), of every cluster of a wave file (WAVE.yaml, or -
    for stdin), of snapshots in files (--snapshot FILE...), or of what is read now (--direct with
    CLUSTER or WAVE.yaml, --bootstrap HOST:PORT). PATTERN is a shell pattern over the whole topic
    name. A plan with blocked brokers exits 0. `wave start --plan` does what -o json has printed.
    """
    planner = _Planner(brokers, concurrency, Acknowledgements(**acknowledged))
    _require_one_origin(names, snapshots, direct=direct, bootstrap=bootstrap)
    if names and not snapshots and bootstrap is None and _is_wave_file(names[0]):
        _require_nothing_beside(context, acknowledged)
        live = _live()
        found = (
            live.direct_wave_plan(context, names[0], fleet_file)
            if direct
            else live.Plans(server, token_file).plan_of_wave(names[0])
        )
        print_answer(found, output, print_fleet_plan)
        return
    if not (snapshots or direct or bootstrap):
        said = {name for name in acknowledged if _is_given(context, name)}
        found = _live().Plans(server, token_file).plan_of(names[0], planner.question(said))
        print_answer(found, output, planner.show)
        return
    if snapshots:
        context.exit(answer_files((*snapshots, *names), output, planner.answer, planner.show))
    cluster = names[0] if names else None
    seen = read_now(context, cluster=cluster, fleet_file=fleet_file, bootstrap=bootstrap)
    if not seen.is_metadata_known:
        context.exit(Exit.FAILED)  # Said already: a plan for what nobody has seen is none.
    try:
        answer = planner.of(SnapshotInput(snapshot=seen, is_kcat=False))
    except InputError as error:
        raise click.UsageError(str(error)) from None
    print_answer(answer, output, planner.show)


def _require_one_origin(
    names: Sequence[str], snapshots: Sequence[str], *, direct: bool, bootstrap: str | None
) -> None:
    """End with a usage error unless it is said in one way what is planned for."""
    ways = [bool(snapshots), direct, bootstrap is not None]
    if sum(ways) > 1:
        raise click.UsageError("--snapshot, --direct and --bootstrap exclude each other")
    if snapshots:
        return
    if not any(ways) and not names:
        raise click.UsageError(_WHAT)
    if len(names) > 1 or (not names and bootstrap is None):
        raise click.UsageError("say which CLUSTER, and one only")


def _live() -> Any:
    """Who asks the daemon; imported only now, for a plan of a snapshot needs nothing of it."""
    return importlib.import_module("healthd.cli.plan_live")


def _is_wave_file(name: str) -> bool:
    """Whether a word is spelled like a file, and not like a cluster."""
    return name == STDIN or "/" in name or name.endswith(_SUFFIXES)


def _require_nothing_beside(context: click.Context, acknowledged: Iterable[str]) -> None:
    """End with a usage error when an option says what stands in the wave file."""
    extra = [
        f"--{name.replace('_', '-')}"
        for name in ("brokers", "concurrency", *acknowledged)
        if _is_given(context, name)
    ]
    if extra:
        raise click.UsageError(f"the wave file says it all: leave out {', '.join(extra)}")


def _is_given(context: click.Context, name: str) -> bool:
    """Whether an option was said: what was not is the cluster's own."""
    return context.get_parameter_source(name) is not ParameterSource.DEFAULT


class _Planner:
    """Plans for one cluster after the other, in the same way."""

    def __init__(
        self,
        brokers: tuple[int, ...] | None,
        concurrency: int | None,
        acknowledged: Acknowledgements,
    ) -> None:
        self._brokers = brokers
        self._concurrency = concurrency
        self._acknowledged = acknowledged

    def answer(self, data: bytes) -> tuple[dict[str, Any], int]:
        """The plan for one file as JSON, and the exit code."""
        return self.of(read_snapshot(data, assume_min_isr=self._acknowledged.assume_min_isr)), 0

    def of(self, given: SnapshotInput) -> dict[str, Any]:
        """The plan for one snapshot as JSON."""
        try:
            found = plan(
                given.snapshot,
                nodes=self._brokers,
                concurrency=self._concurrency,
                acknowledged=self._acknowledged,
            )
        except UnknownBroker as error:
            raise InputError("--brokers", str(error)) from None
        return plan_document(
            found, given.snapshot, acknowledged=self._acknowledged, is_kcat=given.is_kcat
        )

    def question(self, given: Collection[str]) -> dict[str, Any]:
        """What the daemon is asked; `given` are the acknowledgements that were said."""
        accepted = policy_of(self._acknowledged) | {
            "assumeMinIsr": self._acknowledged.assume_min_isr
        }
        names = {_camel(name) for name in given}
        return {
            "brokers": ALL if self._brokers is None else ",".join(map(str, self._brokers)),
            "concurrency": SAFE if self._concurrency is None else self._concurrency,
            **{key: value for key, value in accepted.items() if key in names},
        }

    def show(self, found: dict[str, Any]) -> None:
        """Print a plan for a person."""
        print_plan(found)


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(word.capitalize() for word in tail)
