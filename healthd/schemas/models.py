"""The schemas of the files that pydantic models read: fleet, tokens and settings."""

import re
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from healthd.config.fleet_schema import ClusterModel, FleetModel
from healthd.config.settings import HEADER_KEYS, SETTING_KEYS, SettingsFields
from healthd.config.tokens_file import TokensModel
from healthd.schemas.forms import Schema, constant, items, reference, said, same_keys
from healthd.schemas.policy import policy_schema, window_schema
from healthd.schemas.waves import values_schema
from healthd.schemas.words import EXAMPLES, KEYS, about

_UNSAID: Final = frozenset({"title", "format"})
"""What pydantic adds and nobody is helped by."""


def fleet_schema() -> Schema:
    """A fleet file."""
    found = _definitions(FleetModel, ClusterModel)
    top = found.pop("FleetModel")
    clusters = items(reference("ClusterModel"), minItems=1)
    top["properties"]["clusters"] = said(clusters, KEYS["FleetModel.clusters"])
    top["required"].append("clusters")
    for model in ("WaveModel", "PolicyModel"):
        found[model]["properties"]["policy"] |= reference("Policy")
    for model in ("ClusterModel", "HostModel"):
        found[model]["properties"]["variables"] |= values_schema(may_run=True)
    found |= {"Policy": policy_schema(), "Window": window_schema()}
    return said(top, "The clusters that healthd looks after.") | {"$defs": _sorted(found)}


def tokens_schema() -> Schema:
    """A tokens file."""
    found = _definitions(TokensModel)
    top = found.pop("TokensModel")
    return said(top, "Who may give orders. It holds no secret.") | {"$defs": _sorted(found)}


def settings_schema() -> Schema:
    """The daemon's settings."""
    (top,) = _definitions(SettingsFields).values()
    names = {name: key for key, name in SETTING_KEYS.items()}
    properties = {names[name]: schema for name, schema in top["properties"].items()}
    for schema in properties.values():
        # The docstrings speak of attributes; the file has keys.
        schema["description"] = re.sub(
            r"`(\w+)`", lambda found: f"`{names.get(found[1], found[1])}`", schema["description"]
        )
    header = {
        "apiVersion": said(constant("healthd/v1"), KEYS["apiVersion"]),
        "kind": said(constant("Settings"), f"{KEYS['kind']} May be left out."),
    }
    same_keys("the settings' head", header, HEADER_KEYS)
    top["properties"] = {**header, **properties}
    return said(top, "How the daemon runs. HEALTHD_* variables and flags go over it.")


def _definitions(*models: type[BaseModel]) -> dict[str, Schema]:
    """The schemas of the models and of all models inside, by their names."""
    _, schema = models_json_schema([(model, "validation") for model in models])
    found: dict[str, Schema] = {}
    for name, definition in schema["$defs"].items():
        clean = _clean(definition)
        properties: dict[str, Schema] = {}
        for key, part in definition["properties"].items():
            # A key that takes nothing but null is there to be refused by name.
            if part.get("type") != "null":
                properties[key] = _described(name, key, _clean(part))
        found[name] = {**clean, "properties": properties}
    return found


def _described(model: str, key: str, schema: Schema) -> Schema:
    words = about(KEYS, model, key) or " ".join(schema.pop("description", "").split())
    if not words:
        raise LookupError(f"{model}.{key} has no words in healthd/schemas/words.py")
    example = about(EXAMPLES, model, key)
    if schema.get("default", 0) is None:
        del schema["default"]
    return {"description": words, **schema, **({} if example is None else {"examples": [example]})}


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _clean(item)
            for key, item in value.items()
            if key not in _UNSAID or not isinstance(item, str)
        }
    return [_clean(item) for item in value] if isinstance(value, list) else value


def _sorted(found: dict[str, Schema]) -> dict[str, Schema]:
    return dict(sorted(found.items()))
