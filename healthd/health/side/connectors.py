"""What the section `connectors` finds: failed connectors and tasks, and Connect clusters down."""

from collections.abc import Iterator, Mapping
from heapq import nsmallest
from typing import Any

from healthd.health.checks import Finding, Objects
from healthd.health.side.sections import number_in, objects_in, text_in
from healthd.model.codes import CheckCode, Severity
from healthd.model.order import natural_key


def findings(section: Mapping[str, Any], shown: int) -> Iterator[Finding]:
    """CONNECTOR_FAILED.

    Its objects are `connector:CONNECT/NAME` for a connector, `connector:CONNECT/NAME/TASK` for a
    task, and `connect:CONNECT` for a Connect cluster none of whose workers serves.
    """
    objects: list[str] = []
    count = 0
    first = ""
    for cluster in objects_in(section, "clusters"):
        name = text_in(cluster, "name")
        if cluster.get("down") is True:
            objects.append(f"connect:{name}")
            count += 1
            first = first or f"no worker of {name} answers"
        named = [_label(name, part) for part in objects_in(cluster, "failed")]
        objects.extend(f"connector:{label}" for label, _ in named)
        # Only some are named in the section; all are counted there.
        count += max(len(named), round(number_in(cluster, "failedCount") or 0))
        for label, error in named[:1]:
            first = first or (f"{label}: {error}" if error else label)
    if not count:
        return
    yield Finding(
        code=CheckCode.CONNECTOR_FAILED,
        severity=Severity.WARN,
        objects=Objects(count=count, shown=tuple(nsmallest(shown, objects, key=natural_key))),
        detail=f" ({first})" if first else "",
    )


def _label(cluster: str, part: Mapping[str, Any]) -> tuple[str, str]:
    label = f"{cluster}/{text_in(part, 'connector')}"
    task = number_in(part, "task")
    return (label if task is None else f"{label}/{task:.0f}"), text_in(part, "error")
