"""Variables of a playbook: what is declared, what may be given, and where a text may name them."""

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final

from healthd.waves.patterns import PatternError, pattern
from healthd.waves.playbook_part import Part, shown
from healthd.waves.playbook_steps import BUILT_IN, Variable, VariableType
from healthd.waves.playbook_texts import VARIABLE_NAME, is_open, names_in, texts_in
from healthd.waves.problems import Location, describe_type
from healthd.waves.spec_findings import Findings

VARIABLE_KEYS: Final = (
    *("type", "default", "description", "pattern", "oneOf", "minimum", "maximum"),
)
MAX_VARIABLES: Final = 200
MAX_VALUE: Final = 10_000
"""Characters of one value."""
_NUMBERS: Final = frozenset({VariableType.INTEGER, VariableType.NUMBER})
LARGEST: Final = 10**30
"""Numbers beyond it are typing errors."""
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,30}")
_NUMBER: Final = re.compile(
    r"[+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,3})?"
)


class ValueRefused(ValueError):  # noqa: N818 - it says what happened.
    """A value that a variable may not have: why, and what to do; never the value of a secret."""

    def __init__(self, message: str, action: str) -> None:
        super().__init__(message)
        self.message = message
        self.action = action


def parse_variables(value: object, found: Findings) -> tuple[Variable, ...]:
    """The variables that stand at ``variables``; those with mistakes are there as far as known."""
    if not isinstance(value, Mapping):
        message = f"must be a mapping, not {describe_type(value)}"
        found.add(("variables",), message, "write NAME: {type: string}")
        return ()
    if len(value) > MAX_VARIABLES:
        found.add(("variables",), f"has more than {MAX_VARIABLES}", "keep the needed ones")
        return ()
    return tuple(_variable(str(name), given, found) for name, given in value.items())


def _variable(name: str, given: object, found: Findings) -> Variable:
    at: Location = ("variables", name)
    if not VARIABLE_NAME.fullmatch(name):
        message = "is no variable's name: letters, digits and underscores, 64 at most"
        found.add(at, message, "rename it", is_key=True)
    elif name in BUILT_IN:
        message = "is a variable that every playbook has"
        found.add(at, message, "rename it, or remove it and use what is there", is_key=True)
    if given is None:
        given = {}
    if not isinstance(given, Mapping):
        message = f"must be a mapping, not {describe_type(given)}"
        found.add(at, message, "write {type: string, default: VALUE}")
        return Variable(name=name)
    part = Part(data=given, at=at, found=found)
    part.keys(VARIABLE_KEYS)
    before = len(found.problems)
    kind = part.word("type", VariableType, VariableType.STRING) or VariableType.STRING
    variable = Variable(
        name=name,
        type=kind,
        description=part.text("description") or "",
        pattern=_pattern(part, kind),
        one_of=_one_of(part, kind),
        minimum=_limit(part, "minimum", kind),
        maximum=_limit(part, "maximum", kind),
    )
    low, high = variable.minimum, variable.maximum
    if low is not None and high is not None and low > high:
        part.add("is above maximum: nothing is allowed", "exchange the two", "minimum")
    if "default" not in given or len(found.problems) > before:
        return variable
    return _with_default(variable, given["default"], part)


def _with_default(variable: Variable, default: object, part: Part) -> Variable:
    if variable.type is VariableType.SECRET:
        message = "a secret has no default; its value is not shown here"
        part.misplaced("default", message, "name where it is in the fleet file or the wave file")
        return variable
    try:
        text = checked_value(variable, default)
    except ValueRefused as refused:
        part.add(refused.message, refused.action, "default")
        return variable
    return Variable(
        **{
            name: getattr(variable, name)
            for name in ("name", "type", "description", "pattern", "one_of", "minimum", "maximum")
        },
        default=text,
    )


def _pattern(part: Part, kind: VariableType) -> str | None:
    if part.has("pattern") and kind is not VariableType.STRING:
        part.misplaced("pattern", f"is not used with type {kind}", "remove it")
        return None
    return part.pattern("pattern")


def _one_of(part: Part, kind: VariableType) -> tuple[str, ...]:
    if not part.has("oneOf"):
        return ()
    if kind in {VariableType.SECRET, VariableType.BOOLEAN}:
        part.misplaced("oneOf", f"is not used with type {kind}", "remove it")
        return ()
    values = part.data["oneOf"]
    if not isinstance(values, list | tuple) or not values:
        part.add("must be a list of values", "write [VALUE, VALUE]", "oneOf")
        return ()
    bare = Variable(name="", type=kind)
    found = []
    for at, value in enumerate(values):
        try:
            found.append(checked_value(bare, value))
        except ValueRefused as refused:
            part.add(refused.message, refused.action, "oneOf", at)
    return tuple(found)


def _limit(part: Part, key: str, kind: VariableType) -> float | None:
    if not part.has(key):
        return None
    if kind not in _NUMBERS:
        part.misplaced(key, f"is not used with type {kind}", "remove it")
        return None
    value = part.data[key]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not abs(value) < float("inf"):
        part.add(f"must be a number, not {describe_type(value)}", "write a plain number", key)
        return None
    return _as_float(value)


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


# Values --------------------------------------------------------------------------------------


def checked_value(variable: Variable, value: object) -> str:
    """The text of a value that is given to a variable.

    Raises:
        ValueRefused: the variable may not have it.
    """
    text = _typed(variable.type, value)
    if len(text) > MAX_VALUE or "\0" in text:
        raise ValueRefused(f"has more than {MAX_VALUE} characters, or a NUL", "shorten it")
    if variable.one_of and text not in variable.one_of:
        choices = ", ".join(variable.one_of)
        raise ValueRefused(f"{shown(text)} is none of {choices}", "write one of these")
    if variable.pattern is not None and not _matches(variable.pattern, text):
        message = f"{shown(text)} does not match the pattern {variable.pattern}"
        raise ValueRefused(message, "write a value of that form")
    if variable.type in _NUMBERS:
        _in_range(variable, text)
    return text


def _typed(kind: VariableType, value: object) -> str:
    match kind, value:
        case VariableType.SECRET, _:
            raise ValueRefused(
                "a secret is never written down; its value is not shown here",
                "write {file: PATH}, {env: NAME} or {command: [PROGRAM, ...]}",
            )
        case VariableType.BOOLEAN, bool():
            return str(value).lower()
        case VariableType.BOOLEAN, "true" | "false":
            return str(value)
        case ((VariableType.STRING | VariableType.INTEGER | VariableType.NUMBER), bool()):
            return _no(kind, value)
        case VariableType.INTEGER, int() if abs(value) < LARGEST:
            return str(value)
        case VariableType.INTEGER, str() if _INTEGER.fullmatch(value):
            return value
        case VariableType.NUMBER, int() | float() if abs(value) < LARGEST:
            return str(value)
        case VariableType.NUMBER, str() if _NUMBER.fullmatch(value):
            return value
        case VariableType.STRING, str():
            return value
    return _no(kind, value)


_ACTIONS: Final[Mapping[VariableType, str]] = {
    VariableType.STRING: "put it in quotes: 4.10 without them is 4.1",
    VariableType.INTEGER: "write a plain whole number",
    VariableType.NUMBER: "write a plain number",
    VariableType.BOOLEAN: "write true or false",
}


def _no(kind: VariableType, value: object) -> str:
    what = "text" if kind is VariableType.STRING else f"of type {kind}"
    raise ValueRefused(f"must be {what}, not {describe_type(value)}", _ACTIONS[kind])


def _matches(text_pattern: str, text: str) -> bool:
    try:
        return pattern(text_pattern).matches(text)
    except PatternError:  # It was refused where it stands.
        return True


def _in_range(variable: Variable, text: str) -> None:
    value, low, high = float(text), variable.minimum, variable.maximum
    action = "choose a value in that range"
    if low is not None and value < low:
        raise ValueRefused(f"{text} is below the minimum, {low:g}", action)
    if high is not None and value > high:
        raise ValueRefused(f"{text} is above the maximum, {high:g}", action)


# Where texts name them -----------------------------------------------------------------------


def name_problems(data: Mapping[Any, Any], variables: Iterable[Variable], found: Findings) -> None:
    """Adds every ``${...}`` of the steps that names no variable, or a secret where none may be."""
    known = {variable.name: variable for variable in variables}
    for location, text in filled_texts(data.get("steps")):
        if is_open(text):
            action = "close it with }, or write $${ for a ${ that is meant as it is"
            found.add(location, "has a ${ without its }", action, code="unknown-variable")
            continue
        if location[2:] == ("name",) and names_in(text):
            found.add(location, "has a variable: a step has one name", "write it in plain words")
            continue
        for name in dict.fromkeys(names_in(text)):
            if name in known and known[name].type is VariableType.SECRET:
                found.add(
                    location,
                    f"{name} is a secret: here it would be seen in a list of processes or a log",
                    "use it in a template, as stdin or as bearerToken",
                    code="secret-in-text",
                )
            elif name not in known and name not in BUILT_IN:
                found.add(location, *_unknown(name, known), code="unknown-variable")


def used_name_problem(
    part: Part, key: str, name: str | None, variables: Mapping[str, Variable], *, is_secret: bool
) -> None:
    """Adds what is wrong with a variable that is named without ``${}``."""
    if name is None:
        return
    if name not in variables:
        near = get_close_matches(name, variables, n=1)
        action = f"write {near[0]}, or " if near else ""
        message = f"there is no variable {name}"
        part.add(message, f"{action}declare {name} under variables", key, code="unknown-variable")
    elif is_secret and variables[name].type is not VariableType.SECRET:
        part.add(f"{name} is no secret", f"declare {name} with type: secret", key)


def _unknown(name: str, known: Iterable[str]) -> tuple[str, str]:
    if not VARIABLE_NAME.fullmatch(name):
        return (
            "has a ${...} with no variable's name in it",
            "write ${name}, or $${ for a ${ that is meant as it is",
        )
    near = get_close_matches(name, [*known, *BUILT_IN], n=1)
    declare = f"declare {name} under variables"
    action = f"write ${{{near[0]}}}, or {declare}" if near else declare
    return f"there is no variable {name}", f"{action}; $${{ stands for ${{ itself"


_NOT_FILLED: Final = frozenset(
    {("template", "content"), ("command", "stdin"), ("http", "bearerToken")}
)


def filled_texts(steps: object) -> Iterator[tuple[Location, str]]:
    """Every text of the steps that variables are filled into, with its place.

    The content of a template is not among them: it has its own language. Nor is what names a
    variable by its name alone.
    """
    for location, text in texts_in(steps, ("steps",)):
        if location[2:] not in _NOT_FILLED:
            yield location, text
