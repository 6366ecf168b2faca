"""pydantic's complaints as problems with line, column and the nearest right key."""

import copy
from collections.abc import Mapping
from typing import Any, Final, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails, PydanticCustomError

from healthd.config.problems import Problem
from healthd.config.yaml_source import Document
from healthd.waves.policy import Location, describe_type, unknown_key

Model = TypeVar("Model", bound=BaseModel)


class FileModel(BaseModel):
    """A part of a configuration file: camelCase keys, nothing unknown, no silent conversion."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=False,
        extra="forbid",
        strict=True,
        frozen=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )


def refusal(message: str, action: str) -> PydanticCustomError:
    """An error for a validator to raise, in our own words."""
    return PydanticCustomError("refused", "{message}", {"message": message, "action": action})


_WANTED: Final[Mapping[str, tuple[str, str]]] = {
    "string_type": ("must be text", "put it in quotes"),
    "int_type": ("must be a whole number", "write a plain whole number"),
    "int_from_float": ("must be a whole number", "write a plain whole number"),
    "int_parsing": ("must be a whole number", "write a plain whole number"),
    "int_parsing_size": ("must be a whole number", "write a smaller number"),
    "float_type": ("must be a number", "write a plain number"),
    "float_parsing": ("must be a number", "write a plain number"),
    "bool_type": ("must be true or false", "write true or false"),
    "bool_parsing": ("must be true or false", "write true or false"),
    "list_type": ("must be a list", "write - ITEM lines, or [ITEM, ITEM]"),
    "dict_type": ("must be a mapping", "write KEY: VALUE lines"),
    "model_type": ("must be a mapping", "write KEY: VALUE lines"),
    "model_attributes_type": ("must be a mapping", "write KEY: VALUE lines"),
    "path_type": ("must be a path", "write the path as text"),
}


def problem_words(error: ErrorDetails) -> tuple[str, str]:
    """What one pydantic error says to a person, and what to do; shows no value."""
    kind = error["type"]
    context = error.get("ctx", {})
    if kind == "refused":
        return str(context["message"]), str(context["action"])
    if kind in _WANTED:
        message, action = _WANTED[kind]
        return f"{message}, not {describe_type(error.get('input'))}", action
    return _limit_words(kind, context, str(error["msg"]))


def _limit_words(kind: str, context: Mapping[str, Any], otherwise: str) -> tuple[str, str]:
    if kind == "finite_number":
        return "must be a finite number", "write a plain number"
    if kind in {"literal_error", "enum"}:
        expected = str(context["expected"]).replace("'", "")
        return f"must be {expected}", "write one of these words"
    if kind in {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}:
        words = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
        limit = next(
            (f"{word} {_plain(context[key])}" for key, word in words.items() if key in context)
        )
        return f"must be {limit}", "choose a value in that range"
    if kind in {"too_short", "string_too_short"}:
        return "is empty", "give it at least one value"
    if kind == "too_long":
        return f"has more than {context['max_length']} items", "keep the most important ones"
    return otherwise, "correct it"


def _plain(limit: float) -> str:
    return str(int(limit)) if limit == int(limit) else str(limit)


def validate(
    model: type[Model], data: Any, document: Document, at: Location = ()
) -> tuple[Model | None, list[Problem]]:
    """The model made of `data`, and the problems; both when only unknown keys are wrong.

    Args:
        model: What the part should be.
        data: The part's plain values.
        document: Where the part comes from.
        at: The part's own location in the document.
    """
    try:
        return model.model_validate(data), []
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False)
    problems = _problems(model, errors, document, at)
    if all(error["type"] == "extra_forbidden" for error in errors):
        pruned = copy.deepcopy(data)
        for error in errors:
            _remove(pruned, error["loc"])
        try:
            return model.model_validate(pruned), problems
        except ValidationError:  # A model's own check can fail only once the rest is right.
            return None, problems
    return None, problems


def _remove(data: Any, location: Location) -> None:
    for part in location[:-1]:
        data = data[part]
    del data[location[-1]]


def _problems(
    model: type[BaseModel], errors: list[ErrorDetails], document: Document, at: Location
) -> list[Problem]:
    meant: set[Location] = set()
    problems: list[Problem] = []
    for error in errors:
        if error["type"] == "extra_forbidden":
            inner = error["loc"]
            known = keys_at(model, inner[:-1])
            message, action = unknown_key(str(inner[-1]), known)
            problems.append(document.problem((*at, *inner), message, action, of_key=True))
            meant.update((*inner[:-1], key) for key in known if action == f"rename it to {key}")
    # A key that is there under a wrong name is one mistake, not a second one for its absence.
    problems.extend(
        _problem(error, document, (*at, *error["loc"]))
        for error in errors
        if error["type"] != "extra_forbidden"
        and not (error["type"] == "missing" and error["loc"] in meant)
    )
    return problems


def _problem(error: ErrorDetails, document: Document, location: Location) -> Problem:
    if error["type"] == "missing":
        key = str(location[-1])
        return document.problem(location, f"{key} is missing", f"add {key}")
    message, action = problem_words(error)
    return document.problem(location, message, action)


def keys_at(model: type[BaseModel], location: Location) -> list[str]:
    """The keys that a model, or the model at that location inside it, knows."""
    for part in location:
        if isinstance(part, int):
            continue
        inner = next(
            (
                _model_in(field.annotation)
                for field in model.model_fields.values()
                if field.alias == part
            ),
            None,
        )
        if inner is None:
            return []
        model = inner
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _model_in(arg))), None)
