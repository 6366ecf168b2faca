"""A wave as its file describes it: which playbook, on which brokers, why and how carefully.

Built now is one stage on one cluster, one broker at a time. What the contract has beyond that is
refused by name, so that nobody believes in an approval or a second stage that is not there.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from healthd.waves.policy import (
    Location,
    SpecProblem,
    WavePolicy,
    describe_type,
    not_built,
    parse_policy,
    unknown_key,
)

API_VERSION: Final = "healthd/v1"
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
MAX_ID: Final = 2_147_483_647

WAVE_KEYS: Final = frozenset(
    {"apiVersion", "kind", "name", "reason", "playbook", "variables", "stages", "policy"}
)
STAGE_KEYS: Final = frozenset({"name", "clusters", "brokers", "concurrency"})
STAGE_NOT_BUILT: Final = frozenset({"match", "clustersAtOnce", "approval", "soakSeconds"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSpec:
    """One stage: the cluster, and its brokers (None for every node, controllers included)."""

    name: str
    cluster: str
    brokers: tuple[int, ...] | None = None
    concurrency: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveSpec:
    """A wave file that was understood to the last key."""

    name: str
    playbook: str
    stage: StageSpec
    reason: str | None = None
    """Why it is done; `wave start` asks for it when the file does not say."""
    variables: Mapping[str, str | int | float | bool] = field(
        default_factory=lambda: MappingProxyType({})
    )
    policy_given: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """The policy keys that the file sets, as written and already validated."""

    @property
    def policy(self) -> WavePolicy:
        """The file's policy over the contract's defaults."""
        return self.policy_over(WavePolicy())

    def policy_over(self, base: WavePolicy) -> WavePolicy:
        """The file's policy over a cluster's own defaults."""
        parsed = parse_policy(self.policy_given, base)
        assert isinstance(parsed, WavePolicy), "policy_given was validated when it was parsed"
        return parsed


class _Findings:
    """The problems found so far, and the readers that add to them."""

    def __init__(self) -> None:
        self.problems: list[SpecProblem] = []

    def add(self, location: Location, message: str, action: str) -> None:
        self.problems.append(SpecProblem(location=location, message=message, action=action))

    def keys(
        self,
        mapping: Mapping[Any, Any],
        location: Location,
        known: Iterable[str],
        later: Iterable[str] = (),
    ) -> None:
        """Refuses what is not built yet and what nobody knows."""
        for key in mapping:
            if key in known:
                continue
            if key in later:
                self.problems.append(not_built((*location, key)))
            else:
                self.add((*location, str(key)), *unknown_key(str(key), [*known, *later]))

    def text(
        self, mapping: Mapping[str, Any], key: str, location: Location, *, required: bool = True
    ) -> str | None:
        """The text at `key`, or None with its problem noted."""
        if key not in mapping:
            if required:
                self.add(location, f"{key} is missing", f"add {key}")
            return None
        value = mapping[key]
        if not isinstance(value, str):
            self.add((*location, key), f"must be text, not {describe_type(value)}", "quote it")
            return None
        if not value.strip():
            self.add((*location, key), "is empty", f"say the {key}")
            return None
        return value

    def name(self, mapping: Mapping[str, Any], key: str, location: Location) -> str | None:
        """A name that is safe in a URL, a metric label and a file name."""
        value = self.text(mapping, key, location)
        if value is not None and not NAME.fullmatch(value):
            self.add(
                (*location, key),
                "must be letters, digits, dots, dashes and underscores, 128 at most",
                "choose a plain name",
            )
            return None
        return value


def parse_wave(mapping: object) -> WaveSpec | list[SpecProblem]:
    """The wave that a file's content (plain values, camelCase keys) describes, or every mistake."""
    found = _Findings()
    if not isinstance(mapping, Mapping):
        found.add((), f"must be a mapping, not {describe_type(mapping)}", "see docs/configure.md")
        return found.problems
    found.keys(mapping, (), WAVE_KEYS)
    _constants(mapping, found)
    name = found.name(mapping, "name", ())
    playbook = found.name(mapping, "playbook", ())
    reason = found.text(mapping, "reason", (), required=False)
    variables = _variables(mapping.get("variables", {}), found)
    stage = _only_stage(mapping, found)
    given = mapping.get("policy", {})
    policy = parse_policy(given)
    if isinstance(policy, list):
        found.problems.extend(problem.under("policy") for problem in policy)
    if found.problems or name is None or playbook is None or stage is None:
        return found.problems
    return WaveSpec(
        name=name,
        playbook=playbook,
        reason=reason,
        variables=MappingProxyType(variables),
        stage=stage,
        policy_given=MappingProxyType(dict(given)),
    )


def _constants(mapping: Mapping[str, Any], found: _Findings) -> None:
    for key, wanted in (("apiVersion", API_VERSION), ("kind", "Wave")):
        if key not in mapping:
            found.add((), f"{key} is missing", f"add {key}: {wanted}")
        elif mapping[key] != wanted:
            found.add((key,), f"must be {wanted}", f"write {key}: {wanted}")


def _variables(value: object, found: _Findings) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        found.add(
            ("variables",), f"must be a mapping, not {describe_type(value)}", "write {key: value}"
        )
        return {}
    for key, item in value.items():
        if not isinstance(item, str | int | float | bool):
            found.add(
                ("variables", str(key)),
                f"must be text, a number or a boolean, not {describe_type(item)}",
                "give it one plain value",
            )
    return dict(value)


def _only_stage(mapping: Mapping[str, Any], found: _Findings) -> StageSpec | None:
    if "stages" not in mapping:
        found.add((), "stages is missing", "add stages with one stage")
        return None
    stages = mapping["stages"]
    if not isinstance(stages, list | tuple):
        found.add(
            ("stages",), f"must be a list, not {describe_type(stages)}", "write - {name: ...}"
        )
        return None
    if not stages:
        found.add(("stages",), "is empty: the wave would do nothing", "add one stage")
        return None
    first, *rest = (_stage(stage, ("stages", at), found) for at, stage in enumerate(stages))
    if rest:
        found.problems.append(not_built(("stages", 1)))
    return first


def _stage(stage: object, at: Location, found: _Findings) -> StageSpec | None:
    if not isinstance(stage, Mapping):
        found.add(at, f"must be a mapping, not {describe_type(stage)}", "write {name: ...}")
        return None
    found.keys(stage, at, STAGE_KEYS, STAGE_NOT_BUILT)
    name = found.name(stage, "name", at)
    cluster = _only_cluster(stage, at, found)
    brokers = parse_brokers(
        stage.get("brokers", "all"),
        lambda message, action, *where: found.add((*at, "brokers", *where), message, action),
    )
    concurrency = stage.get("concurrency", 1)
    if concurrency == "safe" or (type(concurrency) is int and concurrency > 1):
        found.problems.append(not_built((*at, "concurrency")))
    elif type(concurrency) is not int or concurrency < 1:
        found.add((*at, "concurrency"), "must be a whole number from 1, or safe", "write 1")
    if name is None or cluster is None:
        return None
    return StageSpec(name=name, cluster=cluster, brokers=brokers)


def _only_cluster(stage: Mapping[str, Any], at: Location, found: _Findings) -> str | None:
    if "clusters" not in stage:
        if "match" not in stage:
            found.add(at, "clusters is missing", "add clusters: [NAME]")
        return None
    clusters = stage["clusters"]
    where = (*at, "clusters")
    if not isinstance(clusters, list | tuple):
        found.add(
            where, f"must be a list of cluster names, not {describe_type(clusters)}", "write [NAME]"
        )
        return None
    if not clusters:
        found.add(where, "is empty: the stage would do nothing", "name one cluster")
        return None
    for position, cluster in enumerate(clusters):
        if not isinstance(cluster, str) or not cluster:
            found.add((*where, position), "must be a cluster's name, as text", "quote it")
            return None
    if len(clusters) > 1:
        found.problems.append(not_built((*where, 1)))
        return None
    return str(clusters[0])


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
    return tuple(value)
