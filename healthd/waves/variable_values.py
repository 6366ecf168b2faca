"""What is given to the variables of a playbook, layer over layer, and what comes of it.

A secret is never a value here: it is where the secret is, and is read when a step uses it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from healthd.waves.playbook_part import Part
from healthd.waves.playbook_steps import BUILT_IN, Variable, VariableType
from healthd.waves.playbook_texts import VARIABLE_NAME
from healthd.waves.playbook_variables import (
    LARGEST,
    MAX_VARIABLES,
    ValueRefused,
    checked_value,
)
from healthd.waves.problems import Location, describe_type
from healthd.waves.spec_findings import Findings

SECRET_KEYS: Final = ("file", "env", "command")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretSource:
    """Where a secret is; exactly one of them. Holds no secret, so it may be written and shown."""

    file: str | None = None
    env: str | None = None
    command: tuple[str, ...] = ()
    """A program that prints it, where healthd runs."""

    def __str__(self) -> str:
        if self.file is not None:
            return f"file {self.file}"
        return f"environment {self.env}" if self.env is not None else f"command {self.command[0]}"


Value = str | int | float | bool | SecretSource
Values = Mapping[str, Value]
Texts = tuple[tuple[str, str], ...]
Secrets = tuple[tuple[str, SecretSource], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Values from one place, which go over those of the places before it."""

    where: str
    """In words: ``the wave file``, ``host 3 of the fleet file``."""
    values: Values
    is_for_one: bool = False
    """Meant for this playbook alone: a name that the playbook lacks is a typing error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The values of a playbook's variables for one node, by name."""

    texts: Texts = ()
    secrets: Secrets = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableProblem:
    """A variable that has no value, or one that it may not have."""

    variable: str
    message: str
    action: str
    where: str = ""
    """What gives it, in words; empty when nothing does."""


def resolve_variables(
    variables: Sequence[Variable], layers: Iterable[Layer]
) -> Resolved | list[VariableProblem]:
    """The value of every variable, or everything that is missing and wrong.

    Args:
        variables: those that the playbook declares.
        layers: what is given, the weakest first.
    """
    declared = {variable.name: variable for variable in variables}
    given: dict[str, tuple[Value, str]] = {}
    problems: list[VariableProblem] = []
    for layer in layers:
        for name, value in layer.values.items():
            if name in declared:
                given[name] = value, layer.where
            elif layer.is_for_one:
                problems.append(_undeclared(name, layer, declared))
    texts: dict[str, str] = {}
    secrets: dict[str, SecretSource] = {}
    for variable in variables:
        problem = _set(variable, given.get(variable.name), texts, secrets)
        if problem is not None:
            problems.append(problem)
    return problems or Resolved(
        texts=tuple(sorted(texts.items())), secrets=tuple(sorted(secrets.items(), key=_name))
    )


def given_problems(variables: Sequence[Variable], layer: Layer) -> list[VariableProblem]:
    """What is wrong with the values of one place; that others are missing there is no mistake."""
    found = resolve_variables(variables, [layer])
    return [] if isinstance(found, Resolved) else [problem for problem in found if problem.where]


def _name(pair: tuple[str, SecretSource]) -> str:
    return pair[0]


def _undeclared(name: str, layer: Layer, declared: Iterable[str]) -> VariableProblem:
    known = ", ".join(sorted(declared)) or "none"
    message = f"is given in {layer.where}, but the playbook has no such variable"
    return VariableProblem(
        variable=name, message=message, action=f"it has {known}", where=layer.where
    )


def _set(
    variable: Variable,
    given: tuple[Value, str] | None,
    texts: dict[str, str],
    secrets: dict[str, SecretSource],
) -> VariableProblem | None:
    """The problem with what is given to a variable; without one its value is set."""
    name = variable.name
    if given is None:
        if variable.default is None:
            return VariableProblem(variable=name, message="has no value", action=_how(variable))
        texts[name] = variable.default
        return None
    value, where = given
    if variable.type is VariableType.SECRET and isinstance(value, SecretSource):
        secrets[name] = value
        return None
    if isinstance(value, SecretSource):
        message = f"is no secret, but {where} says where one is"
        action = "write the value itself, or declare it with type: secret in the playbook"
        return VariableProblem(variable=name, message=message, action=action, where=where)
    try:
        texts[name] = checked_value(variable, value)
    except ValueRefused as refused:
        message = f"{refused.message} ({where})"
        return VariableProblem(variable=name, message=message, action=refused.action, where=where)
    return None


def _how(variable: Variable) -> str:
    if variable.type is VariableType.SECRET:
        return f"write {variable.name}: {{file: PATH}} under variables of the fleet or wave file"
    return f"write {variable.name}: VALUE under variables of the wave file or the fleet file"


def split(values: Values) -> tuple[Texts, Secrets]:
    """Values as a wave's state keeps them: texts, and where the secrets are."""
    texts = {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in values.items()
        if not isinstance(value, SecretSource)
    }
    secrets = [(name, value) for name, value in values.items() if isinstance(value, SecretSource)]
    return tuple(sorted(texts.items())), tuple(sorted(secrets, key=_name))


def joined(texts: Texts, secrets: Secrets) -> dict[str, Value]:
    """What `split` has taken apart."""
    return {**dict(texts), **dict(secrets)}


def plain_values(values: Values) -> dict[str, Any]:
    """Values as a file has them: where a secret is stands for the secret."""
    return {name: _plain(value) for name, value in sorted(values.items())}


def _plain(value: Value) -> Any:
    if not isinstance(value, SecretSource):
        return value
    return {
        key: list(given) if isinstance(given, tuple) else given
        for key, given in asdict(value).items()
        if given
    }


# Reading them ----------------------------------------------------------------------------------


def parse_values(
    value: object, at: Location, found: Findings, *, may_run: bool = False
) -> dict[str, Value]:
    """The values that stand at `variables` of a wave file or the fleet file.

    Args:
        value: what stands there.
        at: where.
        found: takes the problems.
        may_run: whether a secret may come from a program or the environment: who may start a wave
            is meant neither to run programs where healthd runs, nor to have its other secrets.
    """
    if not isinstance(value, Mapping):
        found.add(at, f"must be a mapping, not {describe_type(value)}", "write {NAME: VALUE}")
        return {}
    if len(value) > MAX_VARIABLES:
        found.add(at, f"has more than {MAX_VARIABLES}", "keep those that playbooks have")
        return {}
    read: dict[str, Value] = {}
    for key, item in value.items():
        here: Location = (*at, str(key))
        if not VARIABLE_NAME.fullmatch(str(key)):
            message = "is no variable's name: letters, digits and underscores, 64 at most"
            found.add(here, message, "rename it", is_key=True)
        elif key in BUILT_IN:
            message = "is a variable that every playbook has; it cannot be given"
            found.add(here, message, "remove it", is_key=True)
        elif isinstance(item, Mapping):
            source = _source(item, here, found, may_run=may_run)
            if source is not None:
                read[str(key)] = source
        elif isinstance(item, int | float) and not abs(item) < LARGEST:
            found.add(here, "is no number that is used here", "write a smaller one, or quote it")
        elif isinstance(item, str | int | float):
            read[str(key)] = item
        else:
            message = f"must be text, a number or a boolean, not {describe_type(item)}"
            action = "give it one plain value; a secret is {file: PATH} or {env: NAME}"
            found.add(here, message, action)
    return read


_SOURCE_WORDS: Final = {
    "command": "a program that prints a secret",
    "env": "an environment variable that holds a secret",
}


def _source(
    item: Mapping[Any, Any], at: Location, found: Findings, *, may_run: bool
) -> SecretSource | None:
    part = Part(data=item, at=at, found=found)
    before = len(found.problems)
    part.keys(SECRET_KEYS)
    given = [key for key in SECRET_KEYS if key in item]
    if len(given) != 1:
        if len(found.problems) == before:
            part.add("must say where one secret is", "write {file: PATH} or {env: NAME}")
        return None
    if given != ["file"] and not may_run:
        message = f"{_SOURCE_WORDS[given[0]]} is named in the fleet file only"
        action = "move it under variables of the cluster, or write {file: PATH}"
        part.misplaced(given[0], message, action)
        return None
    if given == ["command"]:
        argv = part.argv(item["command"], "command")
        return SecretSource(command=argv) if len(found.problems) == before else None
    text = part.text(given[0])
    if text is None:
        return None
    if given == ["env"]:
        if not VARIABLE_NAME.fullmatch(text):
            message = "is not the name of an environment variable; its value is not shown here"
            part.add(message, "write the variable's name, not the secret", "env")
            return None
        return SecretSource(env=text)
    return SecretSource(file=text)
