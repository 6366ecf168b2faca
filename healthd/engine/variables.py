"""Refusals of waves whose playbook lacks a value on a node, or has one that it may not have."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from healthd.config.fleet import ClusterConfig
from healthd.config.secrets import SecretRef, file_problem
from healthd.config.wave_variables import MOST_NAMED, given_in, lacks_of
from healthd.engine.collecting import ClusterLoop
from healthd.engine.view import OrderRefused, Refusal
from healthd.waves.playbook import Playbook
from healthd.waves.spec import WaveSpec
from healthd.waves.variable_values import Resolved, SecretSource, Values, VariableProblem


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
    return [str(lack) for lack in lacks_of(playbook, config, nodes, given, look=_unreadable)]


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


def reference_of(source: SecretSource) -> SecretRef:
    """What reads a secret."""
    file = None if source.file is None else Path(source.file)
    return SecretRef(file=file, env=source.env, command=source.command)
