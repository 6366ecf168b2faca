"""One stage of a wave file: which brokers of which clusters, how many at once, and who approves."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from healthd.waves.policy_values import RefusedError, read_duration, read_positive_count
from healthd.waves.problems import Location, describe_type
from healthd.waves.spec_findings import Findings
from healthd.waves.variable_values import SecretSource, Value, Values, parse_values

MAX_ID: Final = 2_147_483_647

STAGE_KEYS: Final = frozenset(
    {
        "name",
        "clusters",
        "match",
        "brokers",
        "concurrency",
        "clustersAtOnce",
        "approval",
        "soakSeconds",
        "variables",
    }
)


class Approval(StrEnum):
    """Who has to agree before a stage begins."""

    REQUIRED = "required"
    """Anybody who may."""
    TWO_PERSON = "two-person"
    """Anybody who may, but whoever asked for the wave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSpec:
    """One stage: clusters by name or by their labels, and the brokers of each."""

    name: str
    clusters: tuple[str, ...] = ()
    """By name; empty when `match` selects them."""
    match: tuple[tuple[str, str], ...] = ()
    """Labels that a cluster has to have, every one of them."""
    brokers: tuple[int, ...] | None = None
    """Ids that every cluster of the stage has to have; None for all nodes, controllers included."""
    concurrency: int | None = 1
    """Brokers of one cluster that may be down together; None for as many as the plan proves."""
    clusters_at_once: int = 1
    approval: Approval | None = None
    soak_seconds: float = 0.0
    """Clean seconds after the stage."""
    variables: Values = field(default_factory=lambda: MappingProxyType({}))
    """What goes over the wave's own in this stage."""

    def selects(self, cluster: str, labels: Mapping[str, str]) -> bool:
        """Whether a cluster of that name and with these labels belongs to it."""
        if self.match:
            return all(labels.get(label) == value for label, value in self.match)
        return cluster in self.clusters

    @property
    def is_plain(self) -> bool:
        """Whether nothing but its clusters says that it needs a parent."""
        return self.approval is None and self.soak_seconds == 0


def parse_stage(stage: object, at: Location, found: Findings) -> StageSpec | None:
    """The stage that stands at `at`, or None with its problems noted."""
    if not isinstance(stage, Mapping):
        found.add(at, f"must be a mapping, not {describe_type(stage)}", "write {name: ...}")
        return None
    before = len(found.problems)
    found.keys(stage, at, STAGE_KEYS)
    name = found.name(stage, "name", at)
    clusters, match = _selection(stage, at, found)
    brokers = parse_brokers(
        stage.get("brokers", "all"),
        lambda message, action, *where: found.add((*at, "brokers", *where), message, action),
    )
    concurrency = _concurrency(stage, at, found)
    clusters_at_once = _value(stage, "clustersAtOnce", 1, read_positive_count, (at, found))
    soak_seconds = _value(stage, "soakSeconds", 0.0, read_duration, (at, found))
    approval = _approval(stage, at, found)
    variables = parse_wave_values(stage.get("variables", {}), (*at, "variables"), found)
    if name is None or len(found.problems) > before:
        return None
    return StageSpec(
        name=name,
        clusters=clusters,
        match=match,
        brokers=brokers,
        concurrency=concurrency,
        clusters_at_once=clusters_at_once,
        approval=approval,
        soak_seconds=soak_seconds,
        variables=MappingProxyType(variables),
    )


def parse_wave_values(value: object, at: Location, found: Findings) -> dict[str, Value]:
    """The values that stand in a wave file; a secret's file is named by an absolute path.

    A wave file is sent to the daemon: nobody could say what a path would be relative to.
    """
    values = parse_values(value, at, found)
    for name, given in values.items():
        file = given.file if isinstance(given, SecretSource) else None
        if file is not None and not file.startswith("/"):
            found.add((*at, name, "file"), "must be an absolute path", "begin it with /")
    return values


def _selection(
    stage: Mapping[str, Any], at: Location, found: Findings
) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    if "clusters" in stage and "match" in stage:
        found.add((*at, "match"), "stands beside clusters", "keep one of the two")
        return (), ()
    if "clusters" in stage:
        return _clusters(stage["clusters"], (*at, "clusters"), found), ()
    if "match" in stage:
        return (), _match(stage["match"], (*at, "match"), found)
    found.add(at, "clusters is missing", "add clusters: [NAME], or match: {LABEL: VALUE}")
    return (), ()


def _clusters(clusters: object, where: Location, found: Findings) -> tuple[str, ...]:
    if not isinstance(clusters, list | tuple):
        found.add(
            where, f"must be a list of cluster names, not {describe_type(clusters)}", "write [NAME]"
        )
        return ()
    if not clusters:
        found.add(where, "is empty: the stage would do nothing", "name one cluster")
    for position, cluster in enumerate(clusters):
        if not isinstance(cluster, str) or not cluster:
            found.add((*where, position), "must be a cluster's name, as text", "quote it")
        elif cluster in clusters[:position]:
            found.add((*where, position), f"names {cluster} twice", "remove one of the two")
    return tuple(map(str, clusters))


def _match(match: object, where: Location, found: Findings) -> tuple[tuple[str, str], ...]:
    if not isinstance(match, Mapping):
        found.add(
            where, f"must be a mapping of labels, not {describe_type(match)}", "write {env: prod}"
        )
        return ()
    if not match:
        found.add(where, "is empty: it would select the whole fleet", "name a label: {env: prod}")
    for label, value in match.items():
        if not isinstance(value, str) or not value:
            found.add((*where, str(label)), "must be a label's value, as text", "quote it")
    return tuple(sorted((str(label), str(value)) for label, value in match.items()))


def _concurrency(stage: Mapping[str, Any], at: Location, found: Findings) -> int | None:
    value = stage.get("concurrency", 1)
    if value == "safe":
        return None
    if type(value) is not int or not 1 <= value <= MAX_ID:
        found.add((*at, "concurrency"), "must be a whole number from 1, or safe", "write 1")
        return 1
    return value


def _approval(stage: Mapping[str, Any], at: Location, found: Findings) -> Approval | None:
    if "approval" not in stage:
        return None
    value = stage["approval"]
    for approval in Approval:
        if value == approval.value:
            return approval
    words = " or ".join(Approval)
    found.add((*at, "approval"), f"must be {words}", f"write {words}, or leave it out")
    return None


def _value(
    stage: Mapping[str, Any],
    key: str,
    default: Any,
    read: Callable[[object], Any],
    place: tuple[Location, Findings],
) -> Any:
    at, found = place
    try:
        return read(stage.get(key, default))
    except RefusedError as refused:
        found.add((*at, key, *refused.location), refused.message, refused.action)
        return default


def parse_brokers(value: object, refuse: Callable[..., None]) -> tuple[int, ...] | None:
    """The ids that `brokers` lists in that order, None for `all`.

    Args:
        value: What stands at `brokers` in a stage or a rehearsal.
        refuse: Called as `refuse(message, action, *location)` for every mistake, with the
            location inside the list.
    """
    if value == "all":
        return None
    if not isinstance(value, list | tuple):
        refuse(f"must be all or a list of ids, not {describe_type(value)}", "write all or [1, 2]")
        return None
    if not value:
        refuse("is empty: the stage would do nothing", "write all or [1, 2]")
        return None
    seen: set[int] = set()
    for position, broker in enumerate(value):
        if type(broker) is not int or not 0 <= broker <= MAX_ID:
            refuse(f"must be a node id from 0 to {MAX_ID}", "write the node.id", position)
        elif broker in seen:
            refuse(f"names {broker} twice", "remove one of the two", position)
        else:
            seen.add(broker)
    # What is no number has its problem noted; it may be anything, even what no set can hold.
    return tuple(broker for broker in value if type(broker) is int)
