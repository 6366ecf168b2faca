"""Small, nasty clusters as JSON documents, and what to ask about them: one seed is one case.

Everything that the form allows is written now and then: fields that are absent or `null`, ids that
`brokers` does not name, replicas that are added and removed at once, quorums without a leader. How
often is drawn for each case, so that in many only one thing is wrong, and what comes late in an
order of rules is reached too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from support.gate_oracle import Wave
from support.safety_reading import Asked, Row, is_down, nodes_of, partitions_of, state_of

T = TypeVar("T")

STATES = (
    "starting", "recovery", "running", "pending_controlled_shutdown", "shutting_down",
    "not_running", "unknown",
)  # fmt: skip
NAMES = ("orders", "Orders", "order.s", "__consumer_offsets", "a-1", "_healthd-probe", "a[b]")
PATTERNS = (
    "*",
    "orders",
    "o*",
    "?rders",
    "[oO]rders",
    "rders",
    "ORDERS",
    "a[[]b]",
    "__*",
    "a-[!2]",
)
FAR_BEHIND = (0, 0, 0, 1, 1999, 2000, 2001, 9999, -5)
"""How far a voter is behind, around the fetch time-out of 2,000 ms; one is ahead of its leader."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One document, and what is asked of it."""

    document: Row
    questions: tuple[tuple[tuple[int, ...] | None, Asked], ...]
    """Of ok-to-stop; `None` asks for every node and every rack."""
    waves: tuple[tuple[Row, Wave, Asked], ...]
    """Of the gate alone: the same topics, and brokers that are not always the document's."""


class Dice:
    """A seeded die, and how often something is wrong in this case."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.trouble = self.random.choice((0.0, 0.02, 0.06, 0.15, 0.4))
        self.absence = self.random.choice((0.02, 0.1, 0.4))

    def often(self, share: float) -> bool:
        return self.random.random() < share

    def wrong(self, times: float = 1.0) -> bool:
        return self.often(self.trouble * times)

    def one(self, values: Sequence[T]) -> T:
        return self.random.choice(values)

    def some(self, values: Sequence[T], least: int = 0) -> list[T]:
        """A sample in any order."""
        return self.random.sample(values, self.random.randint(min(least, len(values)), len(values)))

    def put(self, row: Row, field: str, value: Any, *, times: float = 1.0) -> None:
        """Write a field that is optional: it is absent or `null` now and then."""
        if not self.often(self.absence * times):
            row[field] = value
        elif self.often(0.3):
            row[field] = None


def case(seed: int) -> Case:
    dice = Dice(seed)
    document = a_document(dice)
    if dice.often(0.06):
        listing = as_kcat(document)
        ids = [row["id"] for row in listing["brokers"]]
        return Case(document=listing, questions=tuple(the_questions(dice, ids)), waves=())
    ids = list(nodes_of(document))
    return Case(
        document=document,
        questions=tuple(the_questions(dice, ids)),
        waves=tuple(the_waves(dice, document)),
    )


def a_document(dice: Dice) -> Row:
    mode = dice.one(("kraft", "kraft", "kraft", "kraft", "zookeeper", None))
    nodes = list(the_nodes(dice, is_kraft=mode == "kraft"))
    document: Row = {
        "apiVersion": "healthd/v1",
        "kind": "ClusterSnapshot",
        "cluster": dice.one(("payments", "p")),
        "observedAt": "2026-01-01T00:00:00Z",
        "brokers": nodes,
        "topics": the_topics(dice, nodes),
    }
    if mode is not None:
        document["quorum"] = a_quorum(dice, mode, nodes)
    elif dice.often(0.3):
        document["quorum"] = None
    dice.put(document, "intervalSeconds", dice.one((15, 15, 7.5, 1, 0.1)), times=3)
    dice.put(document, "reassignments", 2 if dice.wrong() else 0)
    dice.put(document, "unreachable", dice.wrong(0.3))
    dice.put(document, "uncleanElections24h", 1, times=3)
    dice.put(document, "extra", {"lag": {"groups": 1}}, times=3)
    dice.put(document, "probe", {"attempts": 20, "succeeded": dice.one((0, 20))}, times=3)
    if not dice.often(0.25):
        dice.put(document, "ages", the_ages(dice, document.get("intervalSeconds") or 15), times=0.2)
    return document


def an_age(dice: Dice, interval: float, *, limit: int = 2) -> float:
    """Fresh, at the limit, or just or far past it."""
    if dice.wrong(2):
        return interval * limit * dice.one((1.0, 1.01, 20))
    return dice.one((0, interval, interval * limit))


def the_ages(dice: Dice, interval: float) -> Row:
    ages: Row = {}
    for group in ("metadata", "configs", "quorum", "metrics", "probe"):
        if dice.often(dice.absence * (0.1 if group == "metadata" else 0.5)):
            continue
        limit = 20 if group == "configs" else 2
        ages[group] = None if dice.wrong(0.3) else an_age(dice, interval, limit=limit)
    return ages


def the_nodes(dice: Dice, *, is_kraft: bool) -> Iterator[Row]:
    brokers = dice.random.sample((*range(1, 8), 2147483647), dice.random.randint(1, 6))
    controllers = dice.random.sample((0, 100, 101, 102), dice.one((0, 0, 1, 2, 3, 3, 3)))
    combined = dice.one((0.0, 0.5, 1.0))
    for node in brokers:
        roles = ["broker", "controller"] if dice.often(combined) else ["broker"]
        yield a_node(dice, node, dice.one(([], roles)) if dice.wrong(0.3) else roles)
    for node in controllers if is_kraft or dice.often(0.2) else ():
        yield a_node(dice, node, ["controller"])


def a_node(dice: Dice, node: int, roles: list[str]) -> Row:
    row: Row = {"id": node, "alive": not dice.wrong()}
    dice.put(row, "roles", roles, times=0.5)
    dice.put(row, "fenced", dice.wrong())
    dice.put(row, "rack", dice.one(("az1", "az2", "az3")))
    dice.put(row, "state", dice.one(STATES) if dice.wrong(2) else "running", times=0.7)
    dice.put(row, "requestHandlerIdle", 0.8)
    dice.put(row, "diskUsedRatio", 0.4)
    if dice.often(0.5):
        dice.put(row, "metricsAgeSeconds", an_age(dice, dice.one((15, 1))))
    return row


def a_quorum(dice: Dice, mode: str, nodes: list[Row]) -> Row:
    quorum: Row = {"mode": mode}
    able = [row["id"] for row in nodes if "controller" in (row.get("roles") or ())]
    if mode == "zookeeper" or dice.wrong(0.5):
        able = dice.random.sample((*range(1, 6), 100), dice.random.randint(0, 5))
    leader = dice.one(able) if able else 1
    if dice.wrong(0.5):
        leader = dice.one((-1, 1, 77))
    dice.put(quorum, "leaderId", leader, times=0.2)
    dice.put(quorum, "fetchTimeoutMs", 0 if dice.wrong(0.1) else 2000, times=0.2)
    if not dice.often(0.5):
        dice.put(quorum, "absentSeconds", dice.one((0.5, 90)) if dice.wrong(0.5) else 0)
    voters: list[Row] = []
    newest = dice.one((10000, 10000, 500, 0))  # 0 is a time; -1 is none, however near it is.
    for node in able:
        voter: Row = {"id": node}
        behind = dice.one(FAR_BEHIND) if dice.wrong(3) and node != leader else 0
        time = -1 if dice.wrong(0.5) else max(0, newest - behind)
        dice.put(voter, "lastCaughtUpMs", time, times=0.3)
        voters.append(voter)
    dice.put(quorum, "voters", voters, times=0.2)
    return quorum


def the_topics(dice: Dice, nodes: list[Row]) -> list[Row]:
    brokers = [row["id"] for row in nodes if row.get("roles") != ["controller"]]
    topics = []
    for name in dice.random.sample(NAMES, dice.random.randint(0, 4)):
        topic: Row = {"name": name}
        factor = dice.one((1, 2, 3, 3, 3, 4, 5))
        least = dice.one((1, 2, 3, 9)) if dice.wrong(2) else max(1, factor - dice.one((1, 1, 2, 3)))
        dice.put(topic, "minInsyncReplicas", least, times=0.5)
        if dice.often(0.2):
            dice.put(topic, "excluded", dice.one(("probe", "deleting")))
        ids = dice.random.sample(range(20), dice.one((0, 1, 1, 2, 3, 12)))
        topic["partitions"] = [a_partition(dice, number, brokers, factor) for number in ids]
        topics.append(topic)
    return topics


def a_partition(dice: Dice, number: int, brokers: list[int], factor: int) -> Row:
    able = brokers
    if dice.wrong(0.5):  # No broker has these ids; 100 may be a controller.
        able = sorted({*brokers, 8, 9, 100})
    replicas = dice.random.sample(able, min(len(able), factor))
    if dice.wrong(0.1):
        replicas = dice.some(able)
    isr = list(replicas)
    if dice.often(0.5):
        isr = dice.some(replicas, 0 if dice.wrong(4) else len(replicas))
    if dice.wrong(0.1):  # One that is no replica, or not any more.
        isr = [*isr, *(node for node in (8, 7, 1) if node not in isr)][: len(isr) + 1]
    leader = -1 if dice.wrong() or not isr else isr[0]
    row: Row = {"id": number, "leader": leader, "replicas": replicas, "isr": isr}
    for field in ("adding", "removing"):
        dice.put(row, field, dice.some(replicas) if dice.wrong(1.5) else [])
    dice.put(row, "elr", dice.some(replicas) if dice.wrong(2) else [])
    if leader == -1:
        dice.put(row, "leaderlessSeconds", dice.one((0, 9, 10, 500)), times=2)
    return row


def as_kcat(document: Row) -> Row:
    """What `kcat -L -J` prints of the same cluster: metadata and nothing else."""
    alive = [row["id"] for row in document["brokers"] if row["alive"]] or [1]
    return {
        "originating_broker": {"id": alive[0], "name": f"b{alive[0]}:9092/{alive[0]}"},
        "query": {"topic": "*"},
        "controllerid": alive[-1],
        "brokers": [{"id": node, "name": f"b{node}:9092"} for node in alive],
        "topics": [
            {
                "topic": topic["name"],
                "partitions": [
                    {
                        "partition": row["id"],
                        "leader": row["leader"],
                        "replicas": [{"id": node} for node in row["replicas"]],
                        "isrs": [{"id": node} for node in row["isr"]],
                    }
                    for row in topic["partitions"]
                ],
            }
            for topic in document["topics"]
        ],
    }


def the_questions(dice: Dice, ids: list[int]) -> Iterator[tuple[tuple[int, ...] | None, Asked]]:
    yield None, what_is_said(dice)
    yield (dice.one(ids),), what_is_said(dice)
    yield tuple(dice.some(ids, 1)), what_is_said(dice)
    if dice.often(0.3):
        yield tuple(ids), what_is_said(dice)


def the_waves(dice: Dice, document: Row) -> Iterator[tuple[Row, Wave, Asked]]:
    changed = [a_node(dice, row["id"], row.get("roles") or []) for row in document["brokers"]]
    later = {**document, "brokers": changed}
    for now in (document, document, later, document):
        yield now, a_wave(dice, now), what_is_said(dice)


def a_wave(dice: Dice, document: Row) -> Wave:
    """Some in flight, some of those that are down waiting for repair, and a baseline."""
    nodes = nodes_of(document)
    down = [
        node for node in nodes if is_down(nodes, node) or state_of(nodes[node]) == "not_running"
    ]
    names = [name for _topic, _partition, name in partitions_of(document)]
    return Wave(
        in_flight=frozenset(dice.some([*nodes, 8])[: dice.one((0, 1, 1, 2))]),
        repairs=frozenset(dice.some(down)),
        baseline=frozenset(dice.some(names)) if dice.often(0.3) else frozenset(),
    )


def what_is_said(dice: Dice) -> Asked:
    return Asked(
        margin=dice.one((0, 0, 1, 1, 2)),
        allow_rf_one=tuple(dice.random.sample(PATTERNS, dice.one((0, 0, 1, 2)))),
        allow_rf_le_min_isr=tuple(dice.random.sample(PATTERNS, dice.one((0, 0, 1, 2)))),
        allow_quorum_without_spare=dice.often(0.4),
        assume_min_isr=dice.one((None, None, None, 1, 2, 3)),
    )
