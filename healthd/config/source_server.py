"""One HTTP service at one address: who we are to it, and how long it may take to answer."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from healthd.config.fields import SecretCommand, Text, Url, Variable
from healthd.config.problems import Problem
from healthd.config.secret_fields import given_ways, secret_of, secret_problems
from healthd.config.secrets import SecretRef, file_problem
from healthd.config.source_rest import IdentityModel, RestConfig, rest_problems, twice_problems
from healthd.config.yaml_source import Document
from healthd.waves.policy import Location

DEFAULT_TIMEOUT_SECONDS: Final = 10.0
"""Nobody waits so long: what depends on the answer goes on without it."""


class ServerModel(IdentityModel):
    """The keys of every such service."""

    url: Url
    bearer_token_file: Text | None = None
    bearer_token_env: Variable | None = None
    bearer_token_command: SecretCommand | None = None
    timeout_seconds: Annotated[float, Field(gt=0, le=600)] = DEFAULT_TIMEOUT_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Where one service is, and how to connect to it; may be a key of a mapping."""

    rest: RestConfig
    bearer_token: SecretRef | None = None
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return self.rest.urls[0]


def server_of(model: ServerModel, folder: Path, place: str) -> ServerConfig:
    """The service that `place` of the fleet file describes; relative paths start from `folder`."""
    return ServerConfig(
        rest=rest_of_server(model, folder, place),
        bearer_token=secret_of(model, "bearer_token", folder, place),
        timeout_seconds=model.timeout_seconds,
    )


def rest_of_server(model: ServerModel, folder: Path, place: str) -> RestConfig:
    """How to connect to it, but for the bearer token."""
    return RestConfig(
        urls=(model.url,),
        username=model.username,
        password=secret_of(model, "password", folder, place),
        ca_file=_path(folder, model.ca_file),
        cert_file=_path(folder, model.cert_file),
        key_file=_path(folder, model.key_file),
        key_password=secret_of(model, "key_password", folder, place),
    )


def server_problems(
    model: ServerModel, server: ServerConfig, document: Document, at: Location
) -> Iterator[Problem]:
    """What is wrong with a service whose values have the right form."""
    yield from rest_problems(server.rest, document, at)
    yield from _token_problems(model, server, document, at)


def _token_problems(
    model: ServerModel, server: ServerConfig, document: Document, at: Location
) -> Iterator[Problem]:
    yield from secret_problems(model, ("bearer_token",), document, at)
    yield from twice_problems(model, document, at)
    token = server.bearer_token
    if token is None:
        return
    key = given_ways(model, "bearer_token")[0]
    if server.rest.username is not None:
        yield document.problem(
            (*at, key), "cannot be used together with username", "keep one of them", of_key=True
        )
    host = server.url.removeprefix("http://")
    if not server.rest.uses_tls and not host.startswith(("127.", "localhost", "[::1]")):
        yield document.problem((*at, "url"), "would send the token in clear", "write https")
    if token.file is not None:
        found = file_problem(token.file, is_private=True)
        if found is not None:
            yield document.problem((*at, key), *found)


def _path(folder: Path, text: str | None) -> Path | None:
    return None if text is None else (folder / text).absolute()
