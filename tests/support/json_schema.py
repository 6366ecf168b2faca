"""A small evaluator of JSON Schema 2020-12: the keywords that our schemas use, and no other.

A keyword that it does not know is an error, so that nothing passes because it was not looked at.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_SILENT = {"$schema", "$id", "$defs", "title", "description", "default", "examples", "then"}
_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list, tuple),
    "string": (str,),
    "number": (int, float),
    "integer": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def is_type(value: object, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[name])


def same(one: Any, other: Any) -> bool:
    """Equal as JSON has it: true is not 1."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


class Evaluator:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root

    def errors(self, value: Any, schema: Any = None, at: str = "$") -> list[str]:
        """What does not fit, each with its place; empty when the value is valid."""
        schema = self._root if schema is None else schema
        if isinstance(schema, bool):
            return [] if schema else [f"{at}: nothing may stand here"]
        return [
            error
            for keyword, wanted in schema.items()
            if keyword not in _SILENT
            for error in self._keyword(keyword, wanted, schema, value, at)
        ]

    def _fits(self, value: Any, schema: Any) -> bool:
        return not self.errors(value, schema)

    def _keyword(  # noqa: C901, PLR0912, PLR0915 - one branch for each keyword.
        self, keyword: str, wanted: Any, schema: Any, value: Any, at: str
    ) -> Iterator[str]:
        is_good = True
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        mapping = value if isinstance(value, dict) else {}
        row = value if isinstance(value, list | tuple) else ()
        match keyword:
            case "$ref":
                yield from self.errors(value, self._referred(wanted), at)
            case "type":
                names = wanted if isinstance(wanted, list) else [wanted]
                is_good = any(is_type(value, name) for name in names)
            case "const":
                is_good = same(value, wanted)
            case "enum":
                is_good = any(same(value, each) for each in wanted)
            case "minimum":
                is_good = not is_number or value >= wanted
            case "maximum":
                is_good = not is_number or value <= wanted
            case "exclusiveMinimum":
                is_good = not is_number or value > wanted
            case "minLength":
                is_good = not isinstance(value, str) or len(value) >= wanted
            case "pattern":
                is_good = not isinstance(value, str) or re.search(wanted, value) is not None
            case "minItems":
                is_good = not isinstance(value, list | tuple) or len(row) >= wanted
            case "maxItems":
                is_good = len(row) <= wanted
            case "uniqueItems":
                is_good = not any(same(a, b) for i, a in enumerate(row) for b in row[:i])
            case "minProperties":
                is_good = not isinstance(value, dict) or len(mapping) >= wanted
            case "maxProperties":
                is_good = not isinstance(value, dict) or len(mapping) <= wanted
            case "required":
                for key in wanted:
                    if isinstance(value, dict) and key not in mapping:
                        yield f"{at}: {key} is missing"
            case "properties":
                for key in mapping.keys() & wanted.keys():
                    yield from self.errors(mapping[key], wanted[key], f"{at}.{key}")
            case "additionalProperties":
                for key in mapping.keys() - schema.get("properties", {}).keys():
                    yield from self.errors(mapping[key], wanted, f"{at}.{key}")
            case "items":
                for position, item in enumerate(row):
                    yield from self.errors(item, wanted, f"{at}[{position}]")
            case "contains":
                is_good = not isinstance(value, list) or any(self._fits(x, wanted) for x in row)
            case "anyOf":
                is_good = any(self._fits(value, each) for each in wanted)
            case "oneOf":
                is_good = sum(self._fits(value, each) for each in wanted) == 1
            case "allOf":
                for each in wanted:
                    yield from self.errors(value, each, at)
            case "if":
                if self._fits(value, wanted):
                    yield from self.errors(value, schema["then"], at)
            case _:
                raise NotImplementedError(keyword)
        if not is_good:
            yield f"{at}: {keyword} {wanted!r}"

    def _referred(self, reference: str) -> Any:
        start, name = reference.rsplit("/", 1)
        assert start == "#/$defs"
        return self._root["$defs"][name]
