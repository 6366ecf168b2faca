"""How a REST service beside Kafka is reached: its addresses, and who we are to it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from healthd.config.fields import SecretCommand, Text, Url, Variable
from healthd.config.problems import Problem
from healthd.config.schema import FileModel
from healthd.config.secret_fields import secret_of, secret_problems
from healthd.config.secrets import SecretRef, file_problem
from healthd.config.yaml_source import Document
from healthd.waves.policy import Location


class IdentityModel(FileModel):
    """The keys that say who we are to an HTTP service, and whom we trust to be it."""

    username: Text | None = None
    password_file: Text | None = None
    password_env: Variable | None = None
    password_command: SecretCommand | None = None
    ca_file: Text | None = None
    cert_file: Text | None = None
    key_file: Text | None = None
    key_password_file: Text | None = None
    key_password_env: Variable | None = None
    key_password_command: SecretCommand | None = None


class RestModel(IdentityModel):
    """The keys of every REST service."""

    urls: Annotated[list[Url], Field(min_length=1, max_length=64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RestConfig:
    """Where a REST service is, and how to connect to it."""

    urls: tuple[str, ...]
    """`http(s)://host:port[/path]` of every instance, without a slash at the end."""
    username: str | None = None
    """For HTTP basic authentication."""
    password: SecretRef | None = None
    ca_file: Path | None = None
    """None: the system's certificate authorities."""
    cert_file: Path | None = None
    key_file: Path | None = None
    key_password: SecretRef | None = None

    @property
    def uses_tls(self) -> bool:
        """Whether any instance is reached over TLS."""
        return any(url.startswith("https:") for url in self.urls)


def rest_of(model: RestModel, folder: Path, place: str) -> RestConfig:
    """The service that `place` of the fleet file describes; relative paths start from `folder`."""
    return RestConfig(
        urls=tuple(dict.fromkeys(model.urls)),
        username=model.username,
        password=secret_of(model, "password", folder, place),
        ca_file=_path(folder, model.ca_file),
        cert_file=_path(folder, model.cert_file),
        key_file=_path(folder, model.key_file),
        key_password=secret_of(model, "key_password", folder, place),
    )


def twice_problems(model: IdentityModel, document: Document, at: Location) -> Iterator[Problem]:
    """Passwords of a service that are named in more than one way."""
    yield from secret_problems(model, ("password", "key_password"), document, at)


def rest_problems(rest: RestConfig, document: Document, at: Location) -> Iterator[Problem]:
    """What is wrong with a service whose values have the right form."""
    if (rest.username is None) != (rest.password is None):
        yield document.problem(
            at,
            "username and a password belong together",
            "give username and passwordFile, passwordEnv or passwordCommand, or none of them",
            of_key=True,
        )
    if rest.password is not None and not rest.uses_tls:
        yield from _in_clear(rest, document, at)
    if (rest.cert_file is None) != (rest.key_file is None):
        yield document.problem(
            at, "certFile and keyFile belong together", "give both, or none", of_key=True
        )
    for key, path, is_private in (
        ("caFile", rest.ca_file, False),
        ("certFile", rest.cert_file, False),
        ("keyFile", rest.key_file, True),
        ("passwordFile", rest.password.file if rest.password else None, True),
        ("keyPasswordFile", rest.key_password.file if rest.key_password else None, True),
    ):
        if path is None:
            continue
        if key in {"caFile", "certFile", "keyFile"} and not rest.uses_tls:
            yield document.problem(
                (*at, key), "is not used with http", f"write https, or remove {key}", of_key=True
            )
        found = file_problem(path, is_private=is_private)
        if found is not None:
            yield document.problem((*at, key), *found)


def _in_clear(rest: RestConfig, document: Document, at: Location) -> Iterator[Problem]:
    # A password over plain HTTP is everybody's. On the machine itself nobody listens.
    for index, url in enumerate(rest.urls):
        host = url.removeprefix("http://")
        if not host.startswith(("127.", "localhost", "[::1]")):
            yield document.problem(
                (*at, "urls", index), "would send the password in clear", "write https"
            )


def _path(folder: Path, text: str | None) -> Path | None:
    return None if text is None else (folder / text).absolute()
