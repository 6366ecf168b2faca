"""The series of what runs beside a cluster: mirrors, connectors, Schema Registry."""

from collections.abc import Mapping
from typing import Any, Final

from healthd.config.fleet import ClusterConfig
from healthd.health.side.sections import number_in, objects_in, text_in
from healthd.model.snapshot import ClusterSnapshot
from healthd.model.words import EvidenceGroup
from healthd.serve.metric_names import Families

_NO_TIME: Final = 0.0
"""Never seen, so that an alert on the age fires."""


def add_sources(
    families: Families, config: ClusterConfig, snapshot: ClusterSnapshot | None
) -> None:
    """The series of every further source; of one that never told anything, that it never did."""
    name = config.name
    extra = {} if snapshot is None else snapshot.extra or {}
    for source, is_configured in (
        ("connectors", bool(config.connect)),
        ("mirrors", bool(config.mirrors)),
        ("schemaRegistry", config.schema_registry is not None),
    ):
        if is_configured and source not in extra:
            families.add("healthd_snapshot_timestamp_seconds", _NO_TIME, name, source)
    if snapshot is None:
        return
    for source, section in extra.items():
        age = number_in(section, "ageSeconds")
        # The probe is a group of evidence too, and told as such.
        if age is not None and source not in set(EvidenceGroup):
            at = snapshot.observed_at.timestamp() - age
            families.add("healthd_snapshot_timestamp_seconds", at, name, source)
    for flow in objects_in(extra.get("mirrors"), "flows"):
        _add_flow(families, name, flow)
    for cluster in objects_in(extra.get("connectors"), "clusters"):
        _add_connect(families, name, cluster)
    for instance in objects_in(extra.get("schemaRegistry"), "instances"):
        # Whether it serves is not known: no series claims to know.
        if isinstance(instance.get("up"), bool):
            label = text_in(instance, "instance")
            families.add("healthd_schema_registry_up", instance["up"], name, label)


def _add_flow(families: Families, name: str, flow: Mapping[str, Any]) -> None:
    labels = name, text_in(flow, "source"), text_in(flow, "target")
    seen = number_in(flow, "lastSeenUnixSeconds")
    families.add("healthd_mirror_ready", flow.get("ready") is True, *labels)
    families.add(
        "healthd_mirror_last_seen_timestamp_seconds", _NO_TIME if seen is None else seen, *labels
    )
    for metric, key in (
        ("healthd_mirror_behind_seconds", "behindSeconds"),
        ("healthd_mirror_behind_records", "behindRecords"),
    ):
        value = number_in(flow, key)
        if value is not None:
            families.add(metric, value, *labels)


def _add_connect(families: Families, name: str, cluster: Mapping[str, Any]) -> None:
    connect = text_in(cluster, "name")
    for metric, key in (
        ("healthd_connectors", "connectorStates"),
        ("healthd_connector_tasks", "taskStates"),
    ):
        states = cluster.get(key)
        if isinstance(states, Mapping):
            for state in states:
                count = number_in(states, state)
                if count is not None:
                    families.add(metric, count, name, connect, str(state))
