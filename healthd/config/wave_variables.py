"""The values of a playbook's variables for the nodes of a wave, and what is wrong with them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from healthd.config.fleet import ClusterConfig
from healthd.config.targets import driven
from healthd.waves.playbook import Playbook
from healthd.waves.spec import WaveSpec
from healthd.waves.variable_values import (
    Layer,
    Resolved,
    Values,
    VariableProblem,
    resolve_variables,
)

MOST_NAMED: Final = 10
WAVE: Final = "the wave file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """What is wrong with one variable on some nodes of a cluster."""

    problem: VariableProblem
    place: str
    """Which nodes of which cluster, in words."""

    @property
    def message(self) -> str:
        """What is wrong, and where."""
        return f"variable {self.problem.variable} for {self.place}: {self.problem.message}"

    def __str__(self) -> str:
        return f"{self.message} -> {self.problem.action}"


def given_in(spec: WaveSpec, stage: int) -> Values:
    """What a wave file gives in one of its stages."""
    return {**spec.variables, **spec.stages[stage].variables}


def given_layer(given: Values) -> Layer:
    """What wave and stage give: over everything else, and meant for the wave's playbook alone."""
    return Layer(where=WAVE, values=given, is_for_one=True)


def resolved(
    playbook: Playbook, config: ClusterConfig, node: int, given: Values
) -> Resolved | list[VariableProblem]:
    """The values for one node, or everything that is missing and wrong.

    Args:
        playbook: what declares them.
        config: the node's cluster.
        node: the node.
        given: what wave and stage give.
    """
    host = driven(config, playbook.target).host(node)
    layers = [Layer(where=f"cluster {config.name} of the fleet file", values=config.variables)]
    if host is not None:
        where = f"the host of node {node} in the fleet file"
        layers.append(Layer(where=where, values=host.variables))
    return resolve_variables(playbook.variables, [*layers, given_layer(given)])


def lacks_of(
    playbook: Playbook,
    config: ClusterConfig,
    nodes: Iterable[int],
    given: Values,
    *,
    look: Callable[[Resolved], Iterable[VariableProblem]] = lambda _: (),
) -> list[Lack]:
    """What is missing and wrong on the nodes of a cluster, each once.

    Args:
        playbook: what declares the variables.
        config: the cluster.
        nodes: of it.
        given: what wave and stage give.
        look: says what is wrong with values that are as they should be.
    """
    found: dict[VariableProblem, list[int]] = {}
    for node in nodes:
        values = resolved(playbook, config, node, given)
        for problem in values if isinstance(values, list) else look(values):
            found.setdefault(problem, []).append(node)
    word = driven(config, playbook.target).node_word
    return [
        Lack(problem=problem, place=f"{word}{_numbers(at)} of cluster {config.name}")
        for problem, at in found.items()
    ]


def _numbers(nodes: list[int]) -> str:
    shown = ", ".join(map(str, nodes[:MOST_NAMED]))
    more = f" and {len(nodes) - MOST_NAMED} more" if len(nodes) > MOST_NAMED else ""
    return f"{'s' if len(nodes) > 1 else ''} {shown}{more}"
