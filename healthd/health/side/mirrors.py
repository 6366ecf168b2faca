"""What the section `mirrors` finds: flows that are behind, or were not seen lately."""

from collections.abc import Iterator, Mapping
from typing import Any

from healthd.health.checks import Finding, named
from healthd.health.side.sections import number_in, objects_in, text_in
from healthd.model.codes import CheckCode, Severity


def findings(section: Mapping[str, Any], shown: int) -> Iterator[Finding]:
    """MIRROR_LAG, with objects `mirror:SOURCE->TARGET`."""
    lagging = [flow for flow in objects_in(section, "flows") if flow.get("lagging") is True]
    if not lagging:
        return
    yield Finding(
        code=CheckCode.MIRROR_LAG,
        severity=Severity.WARN,
        objects=named("mirror", (text_in(flow, "flow") for flow in lagging), shown),
        detail=f" ({_words(lagging[0])})",
    )


def _words(flow: Mapping[str, Any]) -> str:
    name, limit = text_in(flow, "flow"), number_in(flow, "maxBehindSeconds")
    behind = number_in(flow, "behindSeconds")
    if behind is None:
        return f"{name} was never seen"
    return f"{name} is {behind:.0f} s behind" + ("" if limit is None else f", limit {limit:g} s")
