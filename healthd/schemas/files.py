"""The schemas as files: which there are, and their exact text."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from healthd.schemas.forms import Schema
from healthd.schemas.models import fleet_schema, settings_schema, tokens_schema
from healthd.schemas.playbooks import playbook_schema
from healthd.schemas.rehearsal import rehearsal_schema
from healthd.schemas.waves import wave_schema

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
SCHEMAS: Final[Mapping[str, Callable[[], Schema]]] = {
    "Fleet": fleet_schema,
    "Wave": wave_schema,
    "Playbook": playbook_schema,
    "Settings": settings_schema,
    "Tokens": tokens_schema,
    "Rehearsal": rehearsal_schema,
}
"""By the `kind` of the file."""


def file_name(kind: str) -> str:
    """The name of the file that has a kind's schema."""
    return f"{kind.lower()}.schema.json"


def schema_of(kind: str) -> Schema:
    """The whole schema of a kind, with the id by which it is known for good."""
    head = {"$schema": DIALECT, "$id": f"urn:healthd:v1:{kind}", "title": f"healthd {kind}"}
    return {**head, **SCHEMAS[kind]()}


def schema_text(kind: str) -> str:
    """The text of the schema's file."""
    return json.dumps(schema_of(kind), indent=2, ensure_ascii=False) + "\n"


def write_schemas(folder: Path) -> list[Path]:
    """The files that were written into a folder, one for each kind."""
    written = []
    for kind in SCHEMAS:
        path = folder / file_name(kind)
        path.write_text(schema_text(kind), "utf-8")
        written.append(path)
    return written
