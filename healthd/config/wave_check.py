"""A wave file held against the playbook that it names and the clusters that it selects.

What a wave gives is judged as `wave start` judges it; a file is told before anybody starts it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from healthd.config.fleet import ClusterConfig, Fleet
from healthd.config.playbooks import PlaybookNotFound, load_playbook
from healthd.config.problems import ConfigError, FileUnopened
from healthd.config.targets import driven
from healthd.config.wave_variables import WAVE, given_in, given_layer, lacks_of
from healthd.waves.playbook import Playbook
from healthd.waves.problems import Location, SpecProblem
from healthd.waves.spec import StageSpec, WaveSpec
from healthd.waves.variable_values import given_problems

_UNCHECKED: Final = "variables were not checked: "


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveContext:
    """What a wave file is held against."""

    fleet: Callable[[], Fleet]
    """The clusters; raises ConfigError when their file cannot be used."""
    playbook_dir: Path | None = None
    """The operator's own playbooks, looked in before those that healthd ships."""
    playbook_digests: Path | None = None
    """The list of those that may be run."""
    is_complete: bool = False
    """Whether these are all the playbooks that the wave will find: one that is not there, or may
    not be run, is a mistake then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveFindings:
    """What came of it."""

    problems: list[SpecProblem] = field(default_factory=list)
    unchecked: list[SpecProblem] = field(default_factory=list)
    """What could not be looked at, and what that takes; no mistakes."""


def check_variables(spec: WaveSpec, context: WaveContext) -> WaveFindings:
    """What is wrong with the variables of a wave, each at its place in the wave file.

    What the file gives is judged by itself. What it leaves to the fleet file is missing only where
    that does not give it either.
    """
    found = WaveFindings()
    playbook = _playbook(spec, context, found)
    if playbook is not None:
        _by_itself(spec, playbook, found)
    if playbook is not None and playbook.variables:
        _with_fleet(spec, playbook, context, found)
    return found


def _playbook(spec: WaveSpec, context: WaveContext, found: WaveFindings) -> Playbook | None:
    at: Location = ("playbook",)
    try:
        return load_playbook(
            spec.playbook_reference, context.playbook_dir, context.playbook_digests
        )
    except PlaybookNotFound as error:
        action = "correct the name, or put the playbook into your own folder of playbooks"
        if not context.is_complete:
            action = "correct the name, or say by --playbook-dir where your own playbooks are"
        problem = SpecProblem(location=at, message=str(error), action=action)
    except ConfigError as error:
        first, others = error.problems[0], len(error.problems) - 1
        message = f"cannot be run: {first.words}" + (f" (and {others} more)" if others else "")
        problem = SpecProblem(location=at, message=message, action=first.action)
    if context.is_complete:
        found.problems.append(problem)
    else:
        found.unchecked.append(replace(problem, message=f"{_UNCHECKED}{problem.message}"))
    return None


def _by_itself(spec: WaveSpec, playbook: Playbook, found: WaveFindings) -> None:
    """What no fleet file can make good: what a wave gives goes over everything else."""
    declared = {variable.name for variable in playbook.variables}
    told: dict[Location, SpecProblem] = {}
    for stage in range(len(spec.stages)):
        layer = given_layer(given_in(spec, stage))
        for problem in given_problems(playbook.variables, layer):
            at = _place(spec, stage, problem.variable)
            told[at] = SpecProblem(
                location=at,
                message=problem.message,
                action=problem.action,
                is_key=problem.variable not in declared,
            )
    found.problems.extend(told.values())


def _place(spec: WaveSpec, stage: int, variable: str) -> Location:
    """Where the value stands that counts in a stage."""
    if variable in spec.stages[stage].variables:
        return ("stages", stage, "variables", variable)
    return ("variables", variable)


def _with_fleet(
    spec: WaveSpec, playbook: Playbook, context: WaveContext, found: WaveFindings
) -> None:
    try:
        fleet = context.fleet()
    except ConfigError as error:
        found.unchecked.extend(_left_to_fleet(spec, playbook, error))
        return
    for at, stage in enumerate(spec.stages):
        found.unchecked.extend(_unknown(at, stage, fleet))
    for at, cluster, nodes in _selected(spec, playbook, fleet):
        for lack in lacks_of(playbook, cluster, nodes, given_in(spec, at)):
            if lack.problem.where != WAVE:  # Those were told at their own place.
                where: Location = ("stages", at)
                action = lack.problem.action
                found.problems.append(
                    SpecProblem(location=where, message=lack.message, action=action)
                )


def _left_to_fleet(spec: WaveSpec, playbook: Playbook, error: ConfigError) -> Iterator[SpecProblem]:
    """The variables of each stage that only the fleet file can give, which cannot be used."""
    first = error.problems[0]
    is_unopened = isinstance(error, FileUnopened)
    action = "say by --fleet-file where the fleet file is" if is_unopened else first.action
    needed = [variable.name for variable in playbook.variables if variable.default is None]
    for stage in range(len(spec.stages)):
        given = given_in(spec, stage)
        left = [name for name in needed if name not in given]
        if left:
            message = f"whether every node has a value of {', '.join(left)} was not checked"
            at: Location = ("stages", stage)
            yield SpecProblem(location=at, message=f"{message}: {first.words}", action=action)


def _unknown(at: int, stage: StageSpec, fleet: Fleet) -> Iterator[SpecProblem]:
    """What a stage selects that is not in the fleet file."""
    here: Location = ("stages", at)
    for place, name in enumerate(stage.clusters):
        if fleet.cluster(name) is None:
            message = f"{_UNCHECKED}the fleet file has no cluster {name}"
            where: Location = (*here, "clusters", place)
            yield SpecProblem(location=where, message=message, action="correct the name")
    if stage.match and not any(stage.selects(each.name, each.labels) for each in fleet.clusters):
        message = f"{_UNCHECKED}no cluster of the fleet file has these labels"
        yield SpecProblem(location=(*here, "match"), message=message, action="correct the labels")


def _selected(
    spec: WaveSpec, playbook: Playbook, fleet: Fleet
) -> Iterator[tuple[int, ClusterConfig, tuple[int, ...]]]:
    """Every cluster of every stage, with the nodes of the fleet file that no earlier stage has."""
    taken: set[tuple[str, int]] = set()
    for at, stage in enumerate(spec.stages):
        for cluster in fleet.clusters:
            if not stage.selects(cluster.name, cluster.labels):
                continue
            hosts = driven(cluster, playbook.target).hosts
            known = {host.broker for host in hosts if (cluster.name, host.broker) not in taken}
            nodes = known if stage.brokers is None else known.intersection(stage.brokers)
            taken |= {(cluster.name, node) for node in nodes}
            yield at, cluster, tuple(sorted(nodes))
