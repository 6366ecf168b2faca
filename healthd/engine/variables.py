"""The values of a playbook's variables for the nodes of a wave, and refusals of those that lack."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Protocol

from healthd.config.fleet import ClusterConfig
from healthd.config.secrets import SecretRef, file_problem
from healthd.config.targets import driven
from healthd.engine.collecting import ClusterLoop
from healthd.engine.view import OrderRefused, Refusal
from healthd.waves.playbook import Playbook
from healthd.waves.spec import WaveSpec
from healthd.waves.variable_values import (
    Layer,
    Resolved,
    SecretSource,
    Values,
    VariableProblem,
    resolve_variables,
)

MOST_NAMED: Final = 10


class Selected(Protocol):
    """One cluster of one stage (`healthd.engine.selecting`)."""

    @property
    def stage(self) -> int:
        """The stage's place in the file."""

    @property
    def loop(self) -> ClusterLoop:
        """Its cluster."""

    @property
    def nodes(self) -> tuple[int, ...]:
        """The nodes that are taken."""


def given_in(spec: WaveSpec, stage: int) -> Values:
    """What a wave file gives in one of its stages."""
    return {**spec.variables, **spec.stages[stage].variables}


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
    layers.append(Layer(where="the wave file", values=given, is_for_one=True))
    return resolve_variables(playbook.variables, layers)


def require_variables(
    playbook: Playbook, config: ClusterConfig, nodes: Iterable[int], given: Values
) -> None:
    """Refuse a wave whose playbook lacks a value, or has one that it may not have, on any node.

    Raises:
        OrderRefused: each variable is named, with the brokers that it is about.
    """
    _refuse(lacking(playbook, config, nodes, given))


def require_secrets_allowed(spec: WaveSpec, folder: Path | None) -> None:
    """Refuse a wave file that names a secret outside the folder that is meant for it.

    Whoever may start a wave could else have any file that healthd reads put on a host.

    Raises:
        OrderRefused: each such variable is named.
    """
    given = [spec.variables, *(stage.variables for stage in spec.stages)]
    named = [
        (name, value)
        for values in given
        for name, value in values.items()
        if isinstance(value, SecretSource)
    ]
    _refuse([f"variable {name}: {_not_in(folder)}" for name, at in named if not _is_in(folder, at)])


def _is_in(folder: Path | None, source: SecretSource) -> bool:
    if folder is None or source.file is None:
        return False
    return Path(source.file).resolve().is_relative_to(folder.resolve())


def _not_in(folder: Path | None) -> str:
    if folder is None:
        return (
            "a wave file may name no secret here -> name it in the fleet file, or set"
            " waveSecretDir to the folder of such secrets"
        )
    return f"a wave file may name secrets of the folder {folder} only -> put it there"


def require_all_variables(spec: WaveSpec, parts: Iterable[Selected], playbook: Playbook) -> None:
    """Refuse a wave when `require_variables` refuses any cluster of any stage.

    Raises:
        OrderRefused: everything that is missing and wrong is named.
    """
    wrong: list[str] = []
    for part in parts:
        given = given_in(spec, part.stage)
        wrong += lacking(playbook, part.loop.config, part.nodes, given)
    _refuse(wrong)


def _refuse(wrong: list[str]) -> None:
    if wrong:
        problems = [{"path": "variables", "message": message} for message in wrong]
        raise OrderRefused(Refusal.INVALID, "; ".join(wrong[:MOST_NAMED]), problems=problems)


def lacking(
    playbook: Playbook, config: ClusterConfig, nodes: Iterable[int], given: Values
) -> list[str]:
    """What `require_variables` has to say, a sentence for each variable and mistake."""
    found: dict[tuple[str, str, str], list[int]] = {}
    for node in nodes:
        values = resolved(playbook, config, node, given)
        problems = values if isinstance(values, list) else list(_unreadable(values))
        for problem in problems:
            key = (problem.variable, problem.message, problem.action)
            found.setdefault(key, []).append(node)
    word = driven(config, playbook.target).node_word
    return [
        f"variable {name} for {word}{_nodes(nodes)} of cluster {config.name}: {message} -> {action}"
        for (name, message, action), nodes in found.items()
    ]


def _unreadable(values: Resolved) -> Iterable[VariableProblem]:
    """Secrets that nobody will find when a step wants them; none is read for it."""
    for name, source in values.secrets:
        wrong = _trouble(source)
        if wrong is not None:
            yield VariableProblem(variable=name, message=wrong[0], action=wrong[1])


def _trouble(source: SecretSource) -> tuple[str, str] | None:
    """Message and action when a secret is not where it should be, or others may read it."""
    if source.file is not None:
        return file_problem(Path(source.file), is_private=True)
    if source.env is not None and not os.environ.get(source.env):
        message = f"{source.env} is not set in the daemon's environment"
        return message, "set it, and start the daemon again"
    if source.command and shutil.which(source.command[0]) is None:
        return f"there is no program {source.command[0]}", "install it, or correct its path"
    return None


def _nodes(nodes: list[int]) -> str:
    shown = ", ".join(map(str, nodes[:MOST_NAMED]))
    more = f" and {len(nodes) - MOST_NAMED} more" if len(nodes) > MOST_NAMED else ""
    return f"{'s' if len(nodes) > 1 else ''} {shown}{more}"


def reference_of(source: SecretSource) -> SecretRef:
    """What reads a secret."""
    file = None if source.file is None else Path(source.file)
    return SecretRef(file=file, env=source.env, command=source.command)
