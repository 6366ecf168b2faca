"""Argv templates as people write them: a list of words with placeholders of certain names."""

from collections.abc import Callable
from string import Formatter
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from healthd.config.fields import Text
from healthd.config.schema import refusal

BROKER_PLACEHOLDERS: Final = ("broker_id", "host")
SERVER_PLACEHOLDERS: Final = ("server_id", "host")


def _checked_for(placeholders: tuple[str, ...]) -> Callable[[str], str]:
    use = " or ".join(f"{{{name}}}" for name in placeholders)

    def checked(text: str) -> str:
        try:
            parsed = list(Formatter().parse(text))
        except ValueError:
            raise refusal("has a single brace", "write {{ or }} for a brace") from None
        for _, name, form, conversion in parsed:
            if name is None:
                continue
            if name not in placeholders or form or conversion:
                action = f"use {use}; write {{{{ and }}}} for braces"
                raise refusal("has an unknown placeholder", action)
        return text

    return checked


Argv = Annotated[
    list[Annotated[Text, AfterValidator(_checked_for(BROKER_PLACEHOLDERS))]], Field(min_length=1)
]
"""Words for the host of a broker."""
ServerArgv = Annotated[
    list[Annotated[Text, AfterValidator(_checked_for(SERVER_PLACEHOLDERS))]], Field(min_length=1)
]
"""Words for the host of a ZooKeeper server."""
