"""The forms of single values in configuration files: addresses, names, texts, URLs."""

import re
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, WithJsonSchema

from healthd.config.addresses import MAX_PORT, AddressError, parse_address, parse_host
from healthd.config.schema import refusal
from healthd.config.secrets import ENVIRONMENT_NAME
from healthd.waves.spec import NAME

_SHOWABLE: Final = re.compile(r"[A-Za-z0-9_.:\[\]-]{1,100}")


def _checked_address(text: str) -> str:
    try:
        return parse_address(text)
    except AddressError as error:
        raise refusal(_bad_address(text, error), error.action) from None


def _bad_address(text: str, error: AddressError) -> str:
    # What looks like an address is repeated; anything else might be a secret in a wrong place.
    shown = f" {text}" if _SHOWABLE.fullmatch(text) else ""
    return f"bad address{shown}: {error.message}"


def _checked_host(text: str) -> str:
    try:
        return parse_host(text)
    except AddressError as error:
        raise refusal(_bad_address(text, error), error.action) from None


def _checked_name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise refusal(
            "must be letters, digits, dots, dashes and underscores, 128 at most",
            "choose a plain name",
        )
    return text


def _checked_text(text: str) -> str:
    if not text.strip():
        raise refusal("is empty", "write a value or remove the key")
    return text


def _checked_variable(text: str) -> str:
    # The text is not repeated: people put the secret itself here by mistake.
    if not ENVIRONMENT_NAME.fullmatch(text):
        raise refusal(
            "is not the name of an environment variable; its value is not shown here",
            "write the variable's name, not the secret",
        )
    return text


def _checked_url(text: str) -> str:
    # The text is not repeated: it may hold a password.
    try:
        parts = urlsplit(text)
        is_port_right = parts.port != 0
    except ValueError:
        raise refusal("is no URL", "write http://host:port or https://host:port") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or not is_port_right:
        raise refusal("is no URL", "write http://host:port or https://host:port")
    if parts.username is not None or parts.password is not None:
        raise refusal(
            "has a user or a password in it; it is not shown here",
            "write username and passwordFile, passwordEnv or passwordCommand beside it",
        )
    if parts.query or parts.fragment:
        raise refusal("has a query or a fragment", "write the address alone")
    try:
        parse_host(parts.hostname)
    except AddressError as error:
        raise refusal(f"has a bad host: it {error.message}", error.action) from None
    return text.rstrip("/")


Address = Annotated[str, AfterValidator(_checked_address)]
Host = Annotated[str, AfterValidator(_checked_host)]
Name = Annotated[
    str,
    AfterValidator(_checked_name),
    WithJsonSchema({"type": "string", "pattern": f"^(?:{NAME.pattern})$"}),
]
Text = Annotated[
    str, AfterValidator(_checked_text), WithJsonSchema({"type": "string", "minLength": 1})
]
Variable = Annotated[
    str,
    AfterValidator(_checked_variable),
    WithJsonSchema({"type": "string", "pattern": f"^(?:{ENVIRONMENT_NAME.pattern})$"}),
]
SecretCommand = Annotated[list[Text], Field(min_length=1)]
"""The words of a program that prints a secret, taken as they are: there is no shell."""
Port = Annotated[int, Field(ge=1, le=MAX_PORT)]
Url = Annotated[str, AfterValidator(_checked_url)]
