"""Parts of `healthd status CLUSTER` about what runs beside Kafka: mirrors, connectors, schemas."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from healthd.cli.terminal import duration, first_of

_OLD_SECONDS: Final = 60.0
"""Younger sections are as of now, for a person."""


def sources(extra: Mapping[str, Any]) -> Iterator[str]:
    """A few lines for each further source that is configured; odd sections are passed over."""
    for name, lines_of in (
        ("mirrors", _mirrors),
        ("connectors", _connectors),
        ("schemaRegistry", _registry),
    ):
        section = extra.get(name)
        if isinstance(section, Mapping):
            yield from lines_of(section)


def _mirrors(section: Mapping[str, Any]) -> Iterator[str]:
    flows = _objects(section, "flows")
    if not flows:
        return
    yield "MIRRORS  into this cluster" + _age(section)
    shown, rest = first_of(flows, "flows")
    for flow in shown:
        yield f"  {flow.get('flow')}: {_ready(flow.get('ready'))}, {', '.join(_lag(flow))}"
        for why in flow.get("why") or ():
            yield f"    {why}"
    if rest:
        yield f"  {rest}"


def _ready(ready: object) -> str:
    if ready is True:
        return "ready"
    return "NOT READY" if ready is False else "not known to be ready"


def _lag(flow: Mapping[str, Any]) -> Iterator[str]:
    behind, seen = _number(flow, "behindSeconds"), _number(flow, "lastSeenSeconds")
    limit, records = _number(flow, "maxBehindSeconds"), _number(flow, "behindRecords")
    allowed = "" if limit is None else f" of {duration(limit)} allowed"
    yield "behind: unknown" if behind is None else f"{duration(behind)} behind{allowed}"
    if records is not None:
        yield f"{records:.0f} records at most"
    yield "never seen" if seen is None else f"last seen {duration(seen)} ago"
    if flow.get("connectorState") is not None:
        yield f"connectors {flow['connectorState']}"


def _connectors(section: Mapping[str, Any]) -> Iterator[str]:
    clusters = _objects(section, "clusters")
    if not clusters:
        return
    yield "CONNECTORS" + _age(section)
    for cluster in clusters:
        workers = _objects(cluster, "workers")
        up = sum(worker.get("up") is True for worker in workers)
        states = [
            f"{kind} {_counts(cluster.get(key))}"
            for kind, key in (("connectors", "connectorStates"), ("tasks", "taskStates"))
            if cluster.get(key)
        ]
        known = "; ".join(states) or "no connectors known"
        yield f"  {cluster.get('name')}: {up} of {len(workers)} workers answer; {known}"
        failed, rest = first_of(_objects(cluster, "failed"), "failed")
        for part in failed:
            task = "" if part.get("task") is None else f"/{part['task']}"
            yield f"    {part.get('connector')}{task} FAILED: {part.get('error') or 'no trace'}"
        if rest:
            yield f"    {rest}"


def _registry(section: Mapping[str, Any]) -> Iterator[str]:
    instances = _objects(section, "instances")
    if not instances:
        return
    up = sum(one.get("up") is True for one in instances)
    yield f"SCHEMA REGISTRY  {up} of {len(instances)} instances serve{_age(section)}"
    for one in instances:
        if one.get("up") is not True:
            state = "down" if one.get("up") is False else "unknown"
            yield f"  {one.get('instance')}: {state} ({one.get('reason')})"


def _objects(value: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = value.get(key)
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def _counts(states: Any) -> str:
    if not isinstance(states, Mapping):
        return "-"
    return ", ".join(f"{count} {state}" for state, count in states.items())


def _number(value: Mapping[str, Any], key: str) -> float | None:
    found = value.get(key)
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    return found if is_number else None


def _age(section: Mapping[str, Any]) -> str:
    age = _number(section, "ageSeconds")
    return f"  (as of {duration(age)} ago)" if age is not None and age > _OLD_SECONDS else ""
