"""Values of a playbook's variables from a command line, refused as a wave would refuse them."""

import json
from collections.abc import Collection, Iterable
from typing import Final

import click

from healthd.waves.playbook import Playbook
from healthd.waves.playbook_steps import Variable, VariableType
from healthd.waves.playbook_variables import ValueRefused, checked_value

_NOT_TEXT: Final = {VariableType.INTEGER, VariableType.NUMBER, VariableType.BOOLEAN}


def given_values(
    playbook: Playbook, given: Iterable[str], *, besides: Collection[str] = ()
) -> dict[str, str]:
    """The texts of `NAME=VALUE` by their names.

    Args:
        playbook: whose variables they are.
        given: the pairs.
        besides: names that are no variables of its own and may be given, too.

    Raises:
        click.BadParameter: a variable is not there, or may not have that value.
    """
    known = {variable.name: variable for variable in playbook.variables}
    values: dict[str, str] = {}
    for pair in given:
        name, is_given, text = pair.partition("=")
        if not is_given:
            raise _bad(f"{pair!r} is no NAME=VALUE")
        if name in known:
            _check(known[name], text)
        elif name not in besides:
            names = ", ".join(known) or "none"
            raise _bad(f"the playbook has no variable {name}; it has: {names}")
        values[name] = text
    return values


def _check(variable: Variable, text: str) -> None:
    if variable.type is VariableType.SECRET:
        raise _bad(f"{variable.name} is a secret: its value belongs on no command line")
    value: object = text
    if variable.type in _NOT_TEXT:
        try:
            value = json.loads(text)
        except ValueError:
            value = text
    try:
        checked_value(variable, value)
    except ValueRefused as error:
        raise _bad(f"{variable.name} {error}") from None


def _bad(message: str) -> click.BadParameter:
    return click.BadParameter(message, param_hint="--var")
