"""What `security` of a cluster must keep beyond the form of its values."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from healthd.config.fleet import SecurityConfig
from healthd.config.fleet_schema import SecurityModel
from healthd.config.oauth import oauth_problems
from healthd.config.problems import Problem
from healthd.config.secret_fields import how_to_give, secret_problems, ways
from healthd.config.secrets import file_problem
from healthd.config.yaml_source import Document
from healthd.waves.policy import Location

OAUTHBEARER: Final = "OAUTHBEARER"
_TLS_KEYS: Final = ("caFile", "certFile", "keyFile", *ways("key_password"))
_USER_KEYS: Final = ("username", *ways("password"))
_SASL_KEYS: Final = ("saslMechanism", *_USER_KEYS, "oauth")


def security_problems(
    model: SecurityModel, config: SecurityConfig, document: Document, at: Location
) -> Iterator[Problem]:
    """What is missing, too much or cannot be read."""
    given = {key for key, value in model.model_dump(by_alias=True).items() if value is not None}
    yield from _unused_keys(model.protocol, given, document, at)
    if model.protocol.startswith("SASL_"):
        yield from _sasl_problems(model, given, document, at)
    for left, right in (("certFile", "keyFile"), ("keyFile", "certFile")):
        if left in given and right not in given and model.protocol.endswith("SSL"):
            yield document.problem((*at, left), f"needs {right}", f"add {right}", of_key=True)
    yield from secret_problems(model, ("password", "key_password"), document, at)
    if model.oauth is not None and config.oauth is not None:
        yield from oauth_problems(model.oauth, config.oauth, document, (*at, "oauth"))
    yield from _file_problems(config, document, at)


def _sasl_problems(
    model: SecurityModel, given: set[str], document: Document, at: Location
) -> Iterator[Problem]:
    """Each mechanism has its own credentials: a user and a password, or a token endpoint."""
    if model.sasl_mechanism == OAUTHBEARER:
        if model.oauth is None:
            yield document.problem(
                (*at, "oauth"),
                "oauth is missing: OAUTHBEARER needs a token endpoint",
                "add oauth: {tokenEndpointUrl: URL, clientId: ID, clientSecretFile: PATH}",
            )
        for key in _USER_KEYS:
            if key in given:
                yield document.problem(
                    (*at, key),
                    "is not used with saslMechanism OAUTHBEARER",
                    f"remove {key}; the client's id and secret belong into oauth",
                    of_key=True,
                )
        return
    for key in ("saslMechanism", "username"):
        if key not in given:
            yield document.problem((*at, key), f"{key} is missing", f"add {key}")
    if not given.intersection(ways("password")):
        yield document.problem(
            (*at, "passwordFile"), "no password", f"add {how_to_give('password')}"
        )
    if model.oauth is not None:
        yield document.problem(
            (*at, "oauth"),
            f"is not used with saslMechanism {model.sasl_mechanism}",
            "set saslMechanism: OAUTHBEARER, or remove oauth",
            of_key=True,
        )


def _unused_keys(
    protocol: str, given: set[str], document: Document, at: Location
) -> Iterator[Problem]:
    """A key without effect: somebody believes in encryption or a password that is not there."""
    for is_used, keys, better in (
        (protocol.endswith("SSL"), _TLS_KEYS, "SSL"),
        (protocol.startswith("SASL_"), _SASL_KEYS, "SASL_SSL"),
    ):
        for key in keys:
            if key in given and not is_used:
                yield document.problem(
                    (*at, key),
                    f"is not used with protocol {protocol}",
                    f"set protocol: {better}, or remove {key}",
                    of_key=True,
                )


def _file_problems(security: SecurityConfig, document: Document, at: Location) -> Iterator[Problem]:
    key_password, password = security.key_password, security.password
    files: tuple[tuple[str, Path | None, bool], ...] = (
        ("caFile", security.ca_file, False),
        ("certFile", security.cert_file, False),
        ("keyFile", security.key_file, True),
        ("keyPasswordFile", key_password.file if key_password else None, True),
        ("passwordFile", password.file if password else None, True),
    )
    for key, path, is_private in files:
        found = None if path is None else file_problem(path, is_private=is_private)
        if found is not None:
            yield document.problem((*at, key), *found)
