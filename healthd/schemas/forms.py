"""Small pieces of JSON Schema, and what attribute docstrings say."""

import ast
import inspect
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

Schema = dict[str, Any]


def text(pattern: str | None = None) -> Schema:
    """A text that is not empty; `pattern` has to match the whole of it."""
    if pattern is not None:
        return {"type": "string", "pattern": f"^(?:{pattern})$"}
    return {"type": "string", "minLength": 1}


def constant(value: str) -> Schema:
    """Exactly this text."""
    return {"type": "string", "const": value}


def words(values: Iterable[str]) -> Schema:
    """One of these words."""
    return {"type": "string", "enum": [str(value) for value in values]}


def whole(low: int, high: int | None = None) -> Schema:
    """A whole number from `low`."""
    limit = {} if high is None else {"maximum": high}
    return {"type": "integer", "minimum": low, **limit}


def number(*, above: float | None = None, low: float | None = None) -> Schema:
    """A number above or from a limit; of either sign without one."""
    limits = {"exclusiveMinimum": above, "minimum": low}
    return {"type": "number", **{key: limit for key, limit in limits.items() if limit is not None}}


def items(schema: Schema, **limits: Any) -> Schema:
    """A list of such values."""
    return {"type": "array", "items": schema, **limits}


def mapping(properties: Mapping[str, Schema], *, required: Iterable[str] = ()) -> Schema:
    """A mapping of these keys and no other."""
    needed = list(required)
    return {
        "type": "object",
        **({"required": needed} if needed else {}),
        "properties": dict(properties),
        "additionalProperties": False,
    }


def reference(name: str) -> Schema:
    """What stands under this name in `$defs`."""
    return {"$ref": f"#/$defs/{name}"}


def said(schema: Schema, description: str, **more: Any) -> Schema:
    """The same with a description, and a default or examples."""
    return {"description": description, **schema, **more}


def attribute_docs(kind: type) -> dict[str, str]:
    """The docstring below each attribute of a class."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(body, ast.ClassDef), "the source of a class is a class"
    found: dict[str, str] = {}
    for field, following in zip(body.body, body.body[1:], strict=False):
        match field, following:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(doc))),
            ):
                found[name] = " ".join(doc.split())
    return found


def same_keys(what: str, told: Iterable[str], known: Iterable[str]) -> None:
    """Nothing; what is read and what is told are the same keys.

    Raises:
        LookupError: a key is read that the schema does not tell, or the other way round.
    """
    differing = sorted(set(told) ^ set(known))
    if differing:
        raise LookupError(f"{what}: {', '.join(differing)}: read or told in the schema, not both")
