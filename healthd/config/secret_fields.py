"""The keys of the fleet file that name a secret: KEYFile, KEYEnv and KEYCommand."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Final

from pydantic.alias_generators import to_camel

from healthd.config.problems import Problem
from healthd.config.schema import FileModel
from healthd.config.secrets import SecretRef
from healthd.config.yaml_source import Document
from healthd.waves.policy import Location

_WAYS: Final = ("file", "env", "command")


def secret_of(model: FileModel, key: str, folder: Path, place: str) -> SecretRef | None:
    """Where a secret is that a part of the file names; None when it names none.

    Args:
        model: The part.
        key: What the secret is called there, such as `key_password`.
        folder: Where relative paths begin; the words of a command are taken as they are.
        place: The part itself, for errors: ``cluster payments: security``.
    """
    file, env, command = (getattr(model, f"{key}_{way}") for way in _WAYS)
    if file is not None:
        return SecretRef(file=(folder / file).absolute())
    if env is not None:
        return SecretRef(env=env)
    if command is None:
        return None
    return SecretRef(command=tuple(command), place=f"{place}.{to_camel(key)}Command")


def ways(key: str) -> tuple[str, ...]:
    """The keys that may name a secret: ``passwordFile``, ``passwordEnv``, ``passwordCommand``."""
    return tuple(to_camel(f"{key}_{way}") for way in _WAYS)


def how_to_give(key: str) -> str:
    """What to write so that a secret is given."""
    file, env, command = ways(key)
    return f"{file}: PATH, {env}: NAME or {command}: [PROGRAM, ARGUMENT]"


def given_ways(model: FileModel, key: str) -> list[str]:
    """Those of the secret's keys that are there."""
    names = zip(ways(key), _WAYS, strict=True)
    return [name for name, way in names if getattr(model, f"{key}_{way}") is not None]


def secret_problems(
    model: FileModel, keys: tuple[str, ...], document: Document, at: Location
) -> Iterator[Problem]:
    """Secrets that are named in more than one way."""
    for key in keys:
        first, *others = given_ways(model, key) or [""]
        for other in others:
            message = f"{first} and {other} are both given"
            yield document.problem((*at, other), message, "keep one of them", of_key=True)


def programs_in(config: Any) -> Iterator[SecretRef]:
    """The secrets anywhere in a part of the fleet that a program prints, each place once."""
    yield from {reference.place: reference for reference in _programs(config)}.values()


def runs_program(*parts: Any) -> bool:
    """Whether a program is run to read the secrets of these parts of the fleet."""
    return any(True for _ in _programs(parts))


def _programs(part: Any) -> Iterator[SecretRef]:
    if isinstance(part, SecretRef):
        if part.command:
            yield part
    elif is_dataclass(part):
        for each in fields(part):
            yield from _programs(getattr(part, each.name))
    elif isinstance(part, tuple):
        for each in part:
            yield from _programs(each)
