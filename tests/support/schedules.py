"""Rehearsals at random: a small cluster, a wave over it, and everything that can go wrong.

One seed gives one rehearsal file, always the same. Faults end by themselves and a person looks
after the wave when they are over, so that every wave can end; whether it does is the question.
"""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

Document = dict[str, Any]

LAST_FAULT_AT = 420
"""No fault begins later, in seconds of virtual time."""
LONGEST_FAULT = 240
HELP_AT = LAST_FAULT_AT + LONGEST_FAULT + 60
"""From here on a person helps."""
HELP_EVERY = 150
HELPED = 12
"""So many times somebody looks after the wave."""
UNTIL = 4800
UNTIL_PATCHED = 30_000
"""Before a window of the evening opens: nobody is to be cut off on the way."""
PATCHED = 0.15
"""The share of waves whose playbook has steps of its own: hosts are patched and booted anew."""

OBSERVED_AT = "2026-01-01T12:00:00Z"
"""A Thursday; windows are around it."""


# --- Clusters ------------------------------------------------------------------------------------


def cluster(chance: Random) -> Document:
    """A healthy cluster of one of the kinds that there are."""
    kind = chance.choice(("combined", "combined", "pure", "pure", "zookeeper", "racks", "wide"))
    build: dict[str, Callable[[Random], Document]] = {
        "combined": _combined,
        "pure": _pure,
        "zookeeper": _zookeeper,
        "racks": _racks,
        "wide": _wide,
    }
    return build[kind](chance)


def _snapshot(
    brokers: list[Document], topics: list[Document], quorum: Document, *, interval: int = 5
) -> Document:
    return {
        "apiVersion": "healthd/v1",
        "kind": "ClusterSnapshot",
        "cluster": "model",
        "observedAt": OBSERVED_AT,
        "intervalSeconds": interval,
        "brokers": brokers,
        "quorum": quorum,
        "topics": topics,
        "reassignments": 0,
        "unreachable": False,
        "ages": {"metadata": 1.0, "configs": 1.0, "quorum": 1.0, "metrics": 1.0},
    }


def _node(node: int, *roles: str, rack: str | None = None) -> Document:
    found: Document = {
        "id": node,
        "alive": True,
        "state": "running",
        "fenced": False,
        "requestHandlerIdle": 0.9,
        "diskUsedRatio": 0.4,
        "metricsAgeSeconds": 1.0,
    }
    if roles:
        found["roles"] = list(roles)
    if rack is not None:
        found["rack"] = rack
    return found


def _kraft(leader: int, voters: list[int]) -> Document:
    return {
        "mode": "kraft",
        "leaderId": leader,
        "fetchTimeoutMs": 2000,
        "absentSeconds": 0,
        "voters": [{"id": node, "lastCaughtUpMs": 100000, "logEndOffset": 512} for node in voters],
    }


def _topic(name: str, min_isr: int, rows: list[tuple[int, ...]]) -> Document:
    return {
        "name": name,
        "minInsyncReplicas": min_isr,
        "partitions": [
            {
                "id": at,
                "leader": row[0],
                "replicas": list(row),
                "isr": list(row),
                "adding": [],
                "removing": [],
                "elr": [],
                "leaderlessSeconds": 0,
            }
            for at, row in enumerate(rows)
        ],
    }


def _ring(nodes: list[int], factor: int, many: int | None = None) -> list[tuple[int, ...]]:
    size = len(nodes)
    return [
        tuple(nodes[(at + step) % size] for step in range(factor)) for at in range(many or size)
    ]


def _topics(nodes: list[int], chance: Random) -> list[Document]:
    """Replication factor 3 all around, and now and then a topic that is less well off."""
    topics = [
        _topic("orders", 2, _ring(nodes, 3)),
        _topic("__consumer_offsets", 2, _ring(nodes, 3, 2)),
    ]
    if chance.random() < 0.25:
        topics.append(_topic("loose", 1, _ring(nodes[::-1], 2, 2)))
    if chance.random() < 0.15:
        topics.append(_topic("single", 1, [(chance.choice(nodes),)]))
    if chance.random() < 0.1:
        topics.append(_topic("tight", 3, _ring(nodes, 3, 1)))
    return topics


def _combined(chance: Random) -> Document:
    nodes = list(range(1, chance.choice((3, 4, 5)) + 1))
    voters = nodes[: chance.choice((3, 3, 5))]
    brokers = [
        _node(node, *(("broker", "controller") if node in voters else ("broker",)))
        for node in nodes
    ]
    return _snapshot(brokers, _topics(nodes, chance), _kraft(chance.choice(voters), voters))


def _pure(chance: Random) -> Document:
    nodes = list(range(1, chance.choice((3, 4, 6)) + 1))
    voters = [101, 102, 103]
    brokers = [_node(node, "broker") for node in nodes]
    brokers += [_node(node, "controller") for node in voters]
    return _snapshot(brokers, _topics(nodes, chance), _kraft(chance.choice(voters), voters))


def _zookeeper(chance: Random) -> Document:
    nodes = list(range(chance.choice((0, 1)), chance.choice((4, 5))))
    quorum = {
        "mode": "zookeeper",
        "leaderId": chance.choice(nodes),
        "absentSeconds": 0,
        "voters": [{"id": node} for node in (1, 2, 3)],
    }
    return _snapshot([_node(node) for node in nodes], _topics(nodes, chance), quorum)


def _racks(chance: Random) -> Document:
    """Rack-aware: a rack may go at once."""
    racks, each = chance.choice(((3, 2), (3, 3), (4, 2)))
    return racked_cluster(racks=racks, each=each)


def racked_cluster(*, racks: int, each: int, interval: int = 5) -> Document:
    """Brokers in racks, controllers apart; no two brokers of a rack share a partition.

    In three racks RF 3 and min.insync.replicas 2, in four 4 and 3.
    """
    nodes = list(range(1, racks * each + 1))
    rows = [
        tuple(
            (at + step) % racks + racks * ((at // racks + step) % each) + 1 for step in range(racks)
        )
        for at in range(racks * each)
    ]
    voters = [101, 102, 103]
    brokers = [_node(node, "broker", rack=f"az{(node - 1) % racks + 1}") for node in nodes]
    brokers += [_node(node, "controller") for node in voters]
    topics = [_topic("orders", racks - 1, rows)]
    return _snapshot(brokers, topics, _kraft(101, voters), interval=interval)


def _wide(chance: Random) -> Document:
    """Every two brokers share a partition: only one at a time is safe."""
    nodes = [1, 2, 3, 4, 5]
    rows = [tuple(chance.sample(nodes, 3)) for _ in range(12)]
    voters = [101, 102, 103]
    brokers = [_node(node, "broker") for node in nodes]
    brokers += [_node(node, "controller") for node in voters]
    return _snapshot(brokers, [_topic("orders", 2, rows)], _kraft(102, voters))


# --- Waves ---------------------------------------------------------------------------------------


def wave(chance: Random, nodes: list[int]) -> Document:
    """A wave over all of the nodes or some of them."""
    policy: Document = {
        "soakSeconds": chance.choice((0, 5, 20)),
        "cleanSnapshots": chance.choice((1, 2, 3)),
        "cleanSeconds": chance.choice((5, 10, 20)),
        "recoveryTimeoutSeconds": chance.choice((240, 400)),
        "stopTimeoutSeconds": chance.choice((60, 400)),
        "startTimeoutSeconds": chance.choice((120, 300)),
        "allowRfOne": ["single"],
        "allowRfLeMinIsr": ["tight"],
    }
    if chance.random() < 0.15:
        policy["margin"] = 1
    if chance.random() < 0.2:
        policy["maxFailedBrokers"] = 1
    if chance.random() < 0.05:
        policy["baseline"] = ["orders-0"]
    if chance.random() < 0.1:
        policy["minHealthIndex"] = chance.choice((0, 95))
    if chance.random() < 0.12:
        start, end = chance.choice((("12:02", "14:00"), ("23:00", "12:04"), ("11:00", "12:03")))
        window = {"days": ["wed", "thu"], "start": start, "end": end, "timezone": "UTC"}
        again = {"days": ["thu"], "start": "12:20", "end": "13:30", "timezone": "UTC"}
        policy["windows"] = [window, again] if chance.random() < 0.9 else [window]
        policy["cutoffSeconds"] = chance.choice((0, 60))
    many = len(nodes)
    some = sorted(chance.sample(nodes, chance.randint(1, many)))
    return {
        "playbook": "rolling-restart",
        "brokers": some if chance.random() < 0.4 else "all",
        "concurrency": chance.choice((1, 1, 2, 3, "safe", "safe")),
        "policy": policy,
    }


def model(chance: Random) -> Document:
    """How long things take."""
    return {
        "stopSeconds": chance.choice((1, 3, 8)),
        "startSeconds": chance.choice((2, 6, 15)),
        "catchUpSeconds": chance.choice((1, 10, 25)),
        "collectSeconds": 5,
        "sessionTimeoutSeconds": chance.choice((3, 9)),
        "replicaLagSeconds": chance.choice((10, 30)),
    }


# --- Faults --------------------------------------------------------------------------------------

STATES = ("stopping", "stopped", "starting", "recovering", "soaking", "done", "failed")
OF_A_NODE = (
    "broker_crash", "broker_fenced", "broker_frozen", "slow_start", "slow_catch_up", "start_fails",
    "host_unreachable", "log_recovery", "command_hangs", "answer_lost", "not_restarted",
)  # fmt: skip
OF_A_SOURCE = (
    "exporter_lost", "exporter_stale", "metadata_lost", "metadata_stale", "quorum_lost",
    "quorum_lost",
)  # fmt: skip
OF_THE_REST = (
    "voter_behind", "controller_moves", "reassignment", "topic_created", "alert_firing",
    "alert_query_fails", "daemon_killed", "daemon_killed", "daemon_killed", "lease_stolen",
    "clock_jump", "pause", "abort", "retry", "skip",
)  # fmt: skip
WITHOUT_END = frozenset(
    {"pause", "abort", "retry", "skip", "clock_jump", "controller_moves", "daemon_killed"}
)
KINDS = (*OF_A_NODE, *OF_A_NODE, *OF_A_SOURCE, *OF_THE_REST)


def fault(chance: Random, snapshot: Document, kind: str | None = None) -> Iterator[Document]:
    """One fault, with the order that lifts it where nothing else would; none where it cannot be."""
    if kind is None:
        kind = chance.choice(KINDS)
    if kind == "abort" and chance.random() < 0.7:
        kind = "pause"  # An aborted wave shows little.
    nodes = [row["id"] for row in snapshot["brokers"]]
    brokers = [row["id"] for row in snapshot["brokers"] if row.get("roles") != ["controller"]]
    found: Document = {"fault": kind, **_when(chance, nodes)}
    if kind not in WITHOUT_END:
        found["for"] = _seconds(chance)
    has_broker = kind in {*OF_A_NODE, "retry", "skip"}
    if has_broker or (kind.startswith("exporter") and chance.random() < 0.8):
        found["broker"] = chance.choice(nodes if chance.random() < 0.3 else brokers)
    details = _details(chance, snapshot, kind, brokers)
    if details is None:
        return
    yield found | details
    if kind == "pause":
        yield {"fault": "resume", "at": found.get("at", LAST_FAULT_AT) + _seconds(chance)}


def _details(chance: Random, snapshot: Document, kind: str, brokers: list[int]) -> Document | None:
    """What a kind needs further; None when this cluster cannot have it."""
    is_kraft = snapshot["quorum"]["mode"] == "kraft"
    voters = [row["id"] for row in snapshot["quorum"]["voters"]] if is_kraft else brokers
    match kind:
        case "slow_start" | "slow_catch_up":
            return {"factor": chance.choice((2, 5, 20))}
        case "log_recovery":
            return {"seconds": chance.choice((5, 60, 200))}
        case "voter_behind":
            return {"broker": chance.choice(voters)} if is_kraft else None
        case "controller_moves":
            return {"to": chance.choice(voters)}
        case "reassignment":
            return _reassignment(chance, snapshot, brokers)
        case "topic_created":
            replicas = chance.sample(brokers, min(3, len(brokers)))
            name = f"new{chance.randrange(1000)}"
            minimum = chance.choice((1, 2))
            return {"name": name, "replicas": replicas, "minInsyncReplicas": minimum}
        case "daemon_killed":
            return {"downFor": chance.choice((1, 5, 60))}
        case "clock_jump":
            return {"seconds": chance.choice((-3600, -30, 45, 3600))}
    return {}


def _reassignment(chance: Random, snapshot: Document, brokers: list[int]) -> Document | None:
    topic = chance.choice(snapshot["topics"])
    row = chance.choice(topic["partitions"])
    free = [node for node in brokers if node not in row["replicas"]]
    if not free:
        return None
    return {"topic": topic["name"], "partition": row["id"], "adding": [chance.choice(free)]}


def _seconds(chance: Random) -> int:
    return chance.choice((2, 7, 20, 45, 90, LONGEST_FAULT))


def _when(chance: Random, nodes: list[int]) -> Document:
    if chance.random() < 0.35:
        return {"when": {"broker": chance.choice(nodes), "state": chance.choice(STATES)}}
    latest = chance.choice((60, 180, LAST_FAULT_AT))
    return {"at": chance.randint(0, latest * 4) / 4}


def help_at_last(nodes: list[int]) -> Iterator[Document]:
    """Somebody who looks after the wave again and again when everything is over."""
    for turn in range(HELPED):
        at = HELP_AT + turn * HELP_EVERY
        for node in nodes:
            yield {"fault": "retry", "at": at, "broker": node}
        yield {"fault": "resume", "at": at + 1}


# --- All of it -----------------------------------------------------------------------------------


def schedule(seed: int) -> Document:
    """The rehearsal of this seed."""
    chance = Random(seed)
    snapshot = cluster(chance)
    nodes = [row["id"] for row in snapshot["brokers"]]
    faults = [
        row
        for _ in range(chance.choice((0, 1, 1, 2, 2, 3, 4, 6, 9)))
        for row in fault(chance, snapshot)
    ]
    document: Document = {
        "apiVersion": "healthd/v1",
        "kind": "Rehearsal",
        "seed": chance.randrange(1000),
        "snapshot": snapshot,
        "wave": wave(chance, nodes),
        "model": model(chance),
        "faults": faults,
        "until": UNTIL,
    }
    if chance.random() < PATCHED:
        # A step that hangs does so until its own deadline, half an hour.
        document["wave"]["playbook"], document["until"] = "os-patch", UNTIL_PATCHED
    return document


def kills(seed: int) -> dict[int, float]:
    """At which of its journal writes the daemon dies in the schedule of this seed, and how long.

    It is no fault of a rehearsal file: who writes one does not know the number of a write.
    """
    chance = Random(f"kills {seed}")
    many = chance.choice((0, 0, 0, 1, 1, 2, 4))
    return {chance.randint(1, 70): chance.choice((1.0, 5.0, 70.0)) for _ in range(many)}


def with_help(document: Document) -> Document:
    """The rehearsal with somebody who helps at last."""
    nodes = [row["id"] for row in document["snapshot"]["brokers"]]
    return {**document, "faults": [*document["faults"], *help_at_last(nodes)]}
