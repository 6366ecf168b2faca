"""What the section `zookeeper` finds: servers that take no part in their ensemble."""

from collections.abc import Iterator, Mapping
from typing import Any

from healthd.health.checks import Finding, named
from healthd.health.side.sections import objects_in, text_in
from healthd.model.codes import CheckCode, Severity


def findings(section: Mapping[str, Any], shown: int) -> Iterator[Finding]:
    """ENSEMBLE_DEGRADED, with objects `zookeeper:HOST:PORT`; CRIT without a majority."""
    servers = list(objects_in(section, "servers"))
    out = [one for one in servers if one.get("isServing") is False]
    if not out:
        return
    is_lost = section.get("hasMajority") is False
    yield Finding(
        code=CheckCode.ENSEMBLE_DEGRADED,
        severity=Severity.CRIT if is_lost else Severity.WARN,
        objects=named("zookeeper", (text_in(one, "address") for one in out), shown),
        detail=", and it has no majority" if is_lost else f" of {len(servers)}",
    )
