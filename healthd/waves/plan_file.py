"""A plan that was made before, as `wave start --plan` reads it back.

Only what a wave by it needs is read; fields that a newer version may add are left alone. Nothing in
it is believed: everything is judged again on the cluster as it is (`plan_difference`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from healthd.model.json_reader import (
    InputError,
    a_list,
    a_text,
    a_word,
    an_id,
    an_integer,
    kind_of,
    required,
)
from healthd.model.words import Role
from healthd.waves.plan_json import SAFE, MadeFrom
from healthd.waves.planner import StepRole
from healthd.waves.planner_digests import NodeMark

FLEET: Final = "FleetPlan"
"""The `kind` of the plan of a wave over stages and clusters; that of one cluster has none."""
_DIGITS: Final = frozenset("0123456789abcdef")
_FINGERPRINT: Final = 64
"""Hexadecimal digits of a SHA-256."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FiledStep:
    """One step of a plan in a file."""

    nodes: tuple[int, ...]
    role: StepRole


@dataclass(frozen=True, slots=True, kw_only=True)
class FiledPlan:
    """A plan in a file, as far as a wave needs it."""

    cluster: str
    fingerprint: str
    steps: tuple[FiledStep, ...]
    blocked: tuple[int, ...]
    concurrency: int | None
    """None: as many as is safe."""
    policy: Mapping[str, Any]
    """The margin and acknowledgements it was made with, by the policy's own keys."""
    is_kcat: bool
    made_at: str | None
    """When its snapshot was taken, as written."""
    topics: int | None
    """How many there were; None when the plan does not say."""
    nodes: tuple[NodeMark, ...]
    """What it remembers of every node; empty when the plan does not say."""
    inventory: tuple[tuple[str, str], ...]
    """Parts of the fleet file and their digests; empty when the plan was made without one."""

    @property
    def taken(self) -> tuple[int, ...]:
        """The nodes that it takes, by rising id."""
        return tuple(sorted(node for step in self.steps for node in step.nodes))


def read_plan(value: object) -> FiledPlan:
    """The plan that a JSON value is.

    Raises:
        InputError: it is none, or damaged; with the path of the first thing that is wrong.
    """
    if not isinstance(value, dict) or not {"cluster", "steps", "fingerprint"} <= value.keys():
        raise InputError("", "is no plan: make one with 'healthd plan CLUSTER -o json'")
    found = {key: item for key, item in value.items() if item is not None}
    steps = tuple(_step(item, path) for path, item in _items(found, "steps"))
    blocked = tuple(
        an_id(_member(item, path, "broker"), f"{path}.broker")
        for path, item in _items(found, "blocked")
    )
    _require_each_once(steps, blocked)
    policy = found.get("policy", {})
    if not isinstance(policy, dict):
        raise InputError("policy", "must be an object")
    return FiledPlan(
        cluster=a_text(found["cluster"], "cluster"),
        fingerprint=_fingerprint(found["fingerprint"]),
        steps=steps,
        blocked=blocked,
        concurrency=_concurrency(found.get("concurrency", 1)),
        policy=policy,
        is_kcat=a_word(found.get("madeFrom", "snapshot"), "madeFrom", MadeFrom) is MadeFrom.KCAT,
        made_at=a_text(found["madeAt"], "madeAt") if "madeAt" in found else None,
        topics=an_integer(found["topics"], "topics") if "topics" in found else None,
        nodes=tuple(_mark(item, path) for path, item in _items(found, "nodes")),
        inventory=_digests(found, "inventory"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FiledFleetPlan:
    """The plan of a wave over stages and clusters, in a file."""

    playbook: str | None
    """The digest of what the playbook did; None when the plan does not say."""

    plans: tuple[tuple[str, FiledPlan], ...]
    """The name of the stage, and the plan of one of its clusters."""


def read_any_plan(value: object) -> FiledPlan | FiledFleetPlan:
    """The plan of one cluster, or of a wave over several, that a JSON value is.

    Raises:
        InputError: as `read_plan`.
    """
    if not isinstance(value, dict) or value.get("kind") != FLEET:
        return read_plan(value)
    digest = value.get("playbookDigest")
    return FiledFleetPlan(
        playbook=None if digest is None else a_text(digest, "playbookDigest"),
        plans=tuple(
            (a_text(_member(stage, path, "name"), f"{path}.name"), _under(f"{path}.{at}", plan))
            for path, stage in _items(value, "stages")
            for at, plan in _items(stage, "plans")
        ),
    )


def _under(path: str, value: object) -> FiledPlan:
    """The plan at a path of a larger one."""
    if isinstance(value, dict) and "error" in value:
        raise InputError(path, f"{value.get('cluster')} was not planned: {value['error']}")
    try:
        return read_plan(value)
    except InputError as error:
        raise InputError(f"{path}.{error.path}" if error.path else path, error.problem) from None


def fleet_in_short(document: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a fleet's plan that is sent to the daemon."""
    return {
        "kind": FLEET,
        "playbookDigest": document.get("playbookDigest"),
        "stages": [
            {"name": stage["name"], "plans": [in_short(plan) for plan in stage["plans"]]}
            for stage in document["stages"]
        ],
    }


def in_short(document: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a plan that is sent to the daemon: without sentences and blockers."""
    kept = {key: document[key] for key in _KEPT if key in document}
    kept["steps"] = [
        {key: step[key] for key in ("brokers", "role")} for step in document.get("steps", ())
    ]
    kept["blocked"] = [{"broker": row["broker"]} for row in document.get("blocked", ())]
    return kept


_KEPT: Final = (
    "cluster", "fingerprint", "concurrency", "policy", "madeFrom", "madeAt", "topics", "nodes",
    "inventory",
)  # fmt: skip


def _items(found: Mapping[str, Any], key: str) -> Iterator[tuple[str, Any]]:
    for at, item in enumerate(a_list(found.get(key, []), key)):
        yield f"{key}[{at}]", item


def _member(value: object, path: str, key: str) -> Any:
    if not isinstance(value, dict):
        raise InputError(path, f"must be an object, not {kind_of(value)}")
    return required(value, key, path)


def _step(value: object, path: str) -> FiledStep:
    nodes = a_list(_member(value, path, "brokers"), f"{path}.brokers")
    if not nodes:
        raise InputError(f"{path}.brokers", "is empty")
    return FiledStep(
        nodes=tuple(an_id(node, f"{path}.brokers[{at}]") for at, node in enumerate(nodes)),
        role=a_word(_member(value, path, "role"), f"{path}.role", StepRole),
    )


def _require_each_once(steps: tuple[FiledStep, ...], blocked: tuple[int, ...]) -> None:
    seen: set[int] = set()
    for node in (*(node for step in steps for node in step.nodes), *blocked):
        if node in seen:
            raise InputError("steps", f"broker {node} is there twice")
        seen.add(node)


def _mark(value: object, path: str) -> NodeMark:
    node = an_id(_member(value, path, "id"), f"{path}.id")
    rack, roles = _member(value, path, "rack"), _member(value, path, "roles")
    return NodeMark(
        node=node,
        rack=None if rack is None else a_text(rack, f"{path}.rack"),
        roles=None if roles is None else _roles(roles, f"{path}.roles"),
        replicas=an_integer(_member(value, path, "replicas"), f"{path}.replicas"),
        digest=a_text(_member(value, path, "digest"), f"{path}.digest"),
    )


def _digests(found: Mapping[str, Any], key: str) -> tuple[tuple[str, str], ...]:
    value = found.get(key, {})
    if not isinstance(value, dict):
        raise InputError(key, f"must be an object, not {kind_of(value)}")
    return tuple((name, a_text(digest, f"{key}.{name}")) for name, digest in value.items())


def _roles(value: object, path: str) -> frozenset[Role]:
    return frozenset(
        a_word(word, f"{path}[{at}]", Role) for at, word in enumerate(a_list(value, path))
    )


def _fingerprint(value: object) -> str:
    text = a_text(value, "fingerprint")
    if len(text) != _FINGERPRINT or not set(text) <= _DIGITS:
        raise InputError("fingerprint", "is no SHA-256 in hexadecimal digits")
    return text


def _concurrency(value: object) -> int | None:
    if value == SAFE:
        return None
    if type(value) is not int or value < 1:
        raise InputError("concurrency", f"must be a whole number from 1, or {SAFE}")
    return value
