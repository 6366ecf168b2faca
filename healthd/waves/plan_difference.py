"""Why a plan that was made before is not true any more, in words; nothing: it still is.

A plan says of a cluster: these nodes can be taken, in these groups, these cannot, and that is so
on this topology. It is stale as soon as one of that is not so any more. Which controller is the
active one, who leads and how long it takes are not part of it: a wave looks at them as it goes.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from healthd.model.reason import Reason
from healthd.model.snapshot import ClusterSnapshot
from healthd.model.words import Role
from healthd.safety.acknowledgements import Acknowledgements
from healthd.safety.ok_to_stop import each_broker, each_set
from healthd.waves.plan_file import FiledPlan
from healthd.waves.planner import StepRole
from healthd.waves.planner_digests import NodeMark, node_marks
from healthd.waves.planner_fingerprint import fingerprint
from healthd.waves.sequence import is_controller, needs_repair

_MOST_NAMED: Final = 8
"""Ids and blockers that one line names."""


class Change(StrEnum):
    """What kind of difference there is between a plan and the cluster as it is."""

    GONE = "broker-gone"
    NEW = "broker-new"
    RACK = "rack"
    ROLES = "roles"
    REPLICAS = "replicas"
    TOPICS = "topics"
    TOPOLOGY = "topology"
    """The fingerprint differs, and nothing that the plan remembers says where."""
    CLUSTER = "cluster"
    """A stage of a wave file selects other clusters."""
    INVENTORY = "inventory"
    """The fleet file says something else of the hosts and how they are driven."""
    PLAYBOOK = "playbook"
    ROLE = "role"
    """A node is not in the group any more in which the plan has it."""
    BLOCKED = "blocked"
    FREE = "free"
    STEP = "step"
    """The brokers of a step may not be down together any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as the plan says."""

    change: Change
    nodes: tuple[int, ...]
    detail: str
    """A sentence, without the full stop."""

    def as_json(self) -> dict[str, object]:
        """Its form in the daemon's answer."""
        return {"change": self.change.value, "brokers": list(self.nodes), "detail": self.detail}


def differences(
    plan: FiledPlan, snapshot: ClusterSnapshot, acknowledged: Acknowledgements
) -> tuple[Difference, ...]:
    """What is not as a plan for this cluster says; nothing when it still is true.

    Args:
        plan: made before, for the cluster of this name.
        snapshot: how the cluster is now.
        acknowledged: what the wave accepts.
    """
    return (*_of_topology(plan, snapshot), *_of_nodes(plan, snapshot, acknowledged))


def _of_topology(plan: FiledPlan, snapshot: ClusterSnapshot) -> Sequence[Difference]:
    if plan.fingerprint == fingerprint(snapshot):
        return ()
    before = {mark.node: mark for mark in plan.nodes}
    now = {mark.node: mark for mark in node_marks(snapshot)}
    found = list(_of_marks(before, now)) if before else []
    if plan.topics is not None and plan.topics != len(snapshot.topics):
        detail = f"the cluster had {plan.topics} topics and has {len(snapshot.topics)}"
        found.append(Difference(change=Change.TOPICS, nodes=(), detail=detail))
    if not found:
        detail = (
            f"the fingerprint of the cluster is not {plan.fingerprint[:12]}... any more: nodes, "
            "racks, roles, topics, their min.insync.replicas or replicas have changed"
        )
        found.append(Difference(change=Change.TOPOLOGY, nodes=(), detail=detail))
    return found


def _of_marks(before: Mapping[int, NodeMark], now: Mapping[int, NodeMark]) -> Iterator[Difference]:
    gone, new = sorted(before.keys() - now.keys()), sorted(now.keys() - before.keys())
    if gone:
        yield _about(Change.GONE, gone, "{} left the cluster")
    if new:
        yield _about(Change.NEW, new, "{} joined the cluster")
    both = sorted(before.keys() & now.keys())
    for node in both:
        was, is_now = before[node], now[node]
        if was.rack != is_now.rack:
            words = f"{{}} was in {_rack(was.rack)} and is in {_rack(is_now.rack)}"
            yield _about(Change.RACK, [node], words)
        if was.roles != is_now.roles:
            words = f"{{}} was {_roles(was.roles)} and is {_roles(is_now.roles)}"
            yield _about(Change.ROLES, [node], words)
    moved = [node for node in both if before[node].digest != now[node].digest]
    if len(moved) == 1:
        (node,) = moved
        many = f"{before[node].replicas} then, {now[node].replicas} now"
        yield _about(Change.REPLICAS, moved, f"the replicas of {{}} are others: {many}")
    elif moved:
        yield _about(Change.REPLICAS, moved, "the replicas of {} are others")


def _of_nodes(
    plan: FiledPlan, snapshot: ClusterSnapshot, acknowledged: Acknowledgements
) -> Iterator[Difference]:
    brokers = snapshot.brokers_by_id
    listed = [node for node in (*plan.taken, *plan.blocked) if node in brokers]
    unknown = [node for node in (*plan.taken, *plan.blocked) if node not in brokers]
    if unknown and not plan.nodes:
        yield _about(Change.GONE, sorted(unknown), "{} left the cluster")
    each = each_broker(snapshot, acknowledged=acknowledged) if listed else {}
    for step in plan.steps:
        for node in step.nodes:
            if node in brokers and each[node]:
                yield _blocked(node, each[node])
            elif node in brokers and _role(snapshot, node) is not step.role:
                words = f"{{}} was {_PLANNED_AS[step.role]} and is {_IS[_role(snapshot, node)]}"
                yield _about(Change.ROLE, [node], words)
    free = sorted(node for node in plan.blocked if node in brokers and not each[node])
    if free:
        yield _about(Change.FREE, free, "{} could not be taken and can be now")
    yield from _of_steps(plan, snapshot, each, acknowledged)


def _of_steps(
    plan: FiledPlan,
    snapshot: ClusterSnapshot,
    each: Mapping[int, Collection[Reason]],
    acknowledged: Acknowledgements,
) -> Iterator[Difference]:
    # A step with a node that is blocked alone, or gone, has been told of already.
    steps = [
        (number, step.nodes)
        for number, step in enumerate(plan.steps, start=1)
        if len(step.nodes) > 1 and not any(each.get(node, (None,)) for node in step.nodes)
    ]
    found = each_set(snapshot, [nodes for _, nodes in steps], acknowledged=acknowledged)
    for (number, nodes), blockers in zip(steps, found, strict=True):
        if blockers:
            words = f"step {number}: {{}} may not be down together any more: {_reasons(blockers)}"
            yield _about(Change.STEP, sorted(nodes), words)


def _blocked(node: int, blockers: Sequence[Reason]) -> Difference:
    return _about(Change.BLOCKED, [node], f"{{}} cannot be taken any more: {_reasons(blockers)}")


def _role(snapshot: ClusterSnapshot, node: int) -> StepRole:
    broker = snapshot.brokers_by_id[node]
    if needs_repair(broker):
        return StepRole.REPAIR
    return StepRole.CONTROLLER if is_controller(snapshot, broker) else StepRole.BROKER


_PLANNED_AS: Final = {
    StepRole.REPAIR: "to be repaired",
    StepRole.CONTROLLER: "a controller",
    StepRole.BROKER: "a plain broker",
}
_IS: Final = {**_PLANNED_AS, StepRole.REPAIR: "down, fenced or not running"}


def _about(change: Change, nodes: Sequence[int], words: str) -> Difference:
    """A difference whose sentence names the nodes where it has braces."""
    shown = ", ".join(map(str, nodes[:_MOST_NAMED]))
    more = len(nodes) - _MOST_NAMED
    named = f"broker{'s' if len(nodes) > 1 else ''} {shown}"
    if more > 0:
        named += f" and {more} more"
    head, _, tail = words.partition("{}")
    return Difference(change=change, nodes=tuple(nodes), detail=f"{head}{named}{tail}")


def _reasons(blockers: Sequence[Reason]) -> str:
    shown = [f"{reason.code.value} {reason.object}" for reason in blockers[:_MOST_NAMED]]
    more = len(blockers) - _MOST_NAMED
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _rack(rack: str | None) -> str:
    return "no rack" if rack is None else f"rack {rack}"


def _roles(roles: Iterable[Role] | None) -> str:
    return "of unknown roles" if roles is None else " and ".join(sorted(roles)) or "without roles"
