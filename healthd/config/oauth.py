"""`oauth` of a cluster's `security`: where tokens for SASL OAUTHBEARER come from."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from healthd.config.fields import SecretCommand, Text, Url, Variable
from healthd.config.problems import Problem
from healthd.config.schema import FileModel
from healthd.config.secret_fields import (
    given_ways,
    how_to_give,
    secret_of,
    secret_problems,
)
from healthd.config.secrets import SecretRef, file_problem
from healthd.config.yaml_source import Document
from healthd.waves.policy import Location

_OWN_HOSTS: Final = ("127.", "localhost", "::1")


class OAuthModel(FileModel):
    """The keys of `oauth`."""

    token_endpoint_url: Url
    client_id: Text
    client_secret_file: Text | None = None
    client_secret_env: Variable | None = None
    client_secret_command: SecretCommand | None = None
    scope: Text | None = None
    ca_file: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthConfig:
    """A token endpoint of OpenID Connect, asked with client credentials (RFC 6749, 4.4)."""

    token_endpoint_url: str
    client_id: str
    client_secret: SecretRef
    """Read for every token, so a secret that was changed counts at once."""
    scope: str | None = None
    ca_file: Path | None = None
    """Who signs the endpoint's certificate; None: the system's certificate authorities."""


def oauth_of(model: OAuthModel | None, folder: Path, place: str) -> OAuthConfig | None:
    """The endpoint that `place` of the fleet file describes; relative paths start from `folder`."""
    if model is None:
        return None
    return OAuthConfig(
        token_endpoint_url=model.token_endpoint_url,
        client_id=model.client_id,
        client_secret=secret_of(model, "client_secret", folder, place) or SecretRef(),
        scope=model.scope,
        ca_file=None if model.ca_file is None else (folder / model.ca_file).absolute(),
    )


def oauth_problems(
    model: OAuthModel, config: OAuthConfig, document: Document, at: Location
) -> Iterator[Problem]:
    """What is wrong with an `oauth` whose values have the right form."""
    if not given_ways(model, "client_secret"):
        yield document.problem(
            (*at, "clientSecretFile"), "no client secret", f"add {how_to_give('client_secret')}"
        )
    yield from secret_problems(model, ("client_secret",), document, at)
    url = urlsplit(config.token_endpoint_url)
    if url.scheme == "http" and not (url.hostname or "").startswith(_OWN_HOSTS):
        yield document.problem(
            (*at, "tokenEndpointUrl"), "would send the client secret in clear", "write https"
        )
    if url.scheme == "http" and config.ca_file is not None:
        yield document.problem(
            (*at, "caFile"), "is not used with http", "write https, or remove caFile", of_key=True
        )
    for key, path, is_private in (
        ("caFile", config.ca_file, False),
        ("clientSecretFile", config.client_secret.file, True),
    ):
        found = None if path is None else file_problem(path, is_private=is_private)
        if found is not None:
            yield document.problem((*at, key), *found)
