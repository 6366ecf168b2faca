"""The tokens file (`kind: Tokens`): who may give orders, in which roles, by a token of their own.

It holds no secret: every token is in a file of its own, which only its owner may read.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from healthd.config.fields import Name, Text
from healthd.config.problems import ConfigError, Problem, in_order
from healthd.config.schema import FileModel, validate
from healthd.config.secrets import secrets_in_clear
from healthd.config.yaml_source import Document, read_document


class Role(StrEnum):
    """What the holder of a token may do; every role may read."""

    READER = "reader"
    OPERATOR = "operator"
    """Orders: start, pause, resume, retry, skip and abort waves, mute, route, reload."""
    APPROVER = "approver"
    """Approve stages and override holds of waves that somebody else has started."""


ALL_ROLES: Final = frozenset(Role)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenHolder:
    """One person or program, and where its token is."""

    name: str
    roles: frozenset[Role]
    file: Path


class HolderModel(FileModel):
    """One item of `tokens`."""

    name: Name
    # Strict models take no text for an enum; the words themselves are as closed a set.
    roles: Annotated[list[Literal["reader", "operator", "approver"]], Field(min_length=1)]
    token_file: Text


class TokensModel(FileModel):
    """The top of a tokens file."""

    api_version: Literal["healthd/v1"]
    kind: Literal["Tokens"]
    tokens: Annotated[list[HolderModel], Field(min_length=1)]


def load_tokens(path: Path) -> tuple[TokenHolder, ...]:
    """Everybody whom the file names, in its order.

    Raises:
        ConfigError: The file cannot be opened or has problems; it names all of them.
    """
    try:
        document, problems = read_document(path)
    except OSError as error:
        raise ConfigError(
            [
                Problem(
                    file=str(path),
                    message=f"cannot be opened: {error.strerror or error}",
                    action="correct tokensFile, or let healthd's user read it",
                )
            ]
        ) from error
    if document is None:
        raise ConfigError(problems)
    holders, more = _parse(document, path.parent)
    if problems or more:
        raise ConfigError([*problems, *more])
    return holders


def check_tokens(document: Document, folder: Path) -> list[Problem]:
    """What is wrong with a tokens file; whether the tokens themselves are good the daemon says."""
    return _parse(document, folder)[1]


def _parse(document: Document, folder: Path) -> tuple[tuple[TokenHolder, ...], list[Problem]]:
    problems = [document.problem(*found, of_key=True) for found in secrets_in_clear(document.data)]
    if problems:
        return (), problems
    model, problems = validate(TokensModel, document.data, document)
    if model is None:
        return (), list(in_order(problems))
    problems.extend(_twice(document, model, "name", "one person has one token"))
    problems.extend(_twice(document, model, "token_file", "every token is its owner's alone"))
    holders = tuple(
        TokenHolder(
            name=each.name,
            roles=frozenset(Role(role) for role in each.roles),
            file=(folder / each.token_file).absolute(),
        )
        for each in model.tokens
    )
    return holders, list(in_order(problems))


def _twice(document: Document, model: TokensModel, field: str, why: str) -> list[Problem]:
    seen: set[Any] = set()
    found = []
    for at, each in enumerate(model.tokens):
        value = getattr(each, field)
        if value in seen:
            key = "tokenFile" if field == "token_file" else field
            found.append(document.problem(("tokens", at, key), f"{value} is there twice", f"{why}"))
        seen.add(value)
    return found
