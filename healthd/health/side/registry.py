"""What the section `schemaRegistry` finds: instances that are down."""

from collections.abc import Iterator, Mapping
from typing import Any

from healthd.health.checks import Finding, named
from healthd.health.side.sections import objects_in, text_in
from healthd.model.codes import CheckCode, Severity


def findings(section: Mapping[str, Any], shown: int) -> Iterator[Finding]:
    """REGISTRY_DOWN, with objects `registry:HOST:PORT`."""
    instances = list(objects_in(section, "instances"))
    down = [one for one in instances if one.get("up") is False]
    if not down:
        return
    is_all = len(down) == len(instances)
    yield Finding(
        code=CheckCode.REGISTRY_DOWN,
        severity=Severity.WARN,
        objects=named("registry", (text_in(one, "instance") for one in down), shown),
        detail=", and no other is left" if is_all else f" of {len(instances)}",
    )
