"""ok-to-stop and the gate's holds from one snapshot, written a second time from the rules alone.

It reads the JSON document of a ClusterSnapshot and shares nothing with `healthd`: no class, no
constant, no helper. It is slow and plain on purpose. Each few lines stand for one sentence of the
rules, whose number or first words are beside them. Answers are sets of (code, object).
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

Row = dict[str, Any]
Found = set[tuple[str, str]]

LEAVING = ("pending_controlled_shutdown", "shutting_down")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line says beside the brokers."""

    margin: int = 0
    allow_rf_one: tuple[str, ...] = ()
    allow_rf_le_min_isr: tuple[str, ...] = ()
    allow_quorum_without_spare: bool = False
    assume_min_isr: int | None = None


# Reading the document.


def known(row: Row, field: str, otherwise: Any = None) -> Any:
    """The field; `null` counts as absent."""
    value = row.get(field)
    return otherwise if value is None else value


def nodes_of(document: Row) -> dict[int, Row]:
    return {row["id"]: row for row in document["brokers"]}


def state_of(node: Row) -> str:
    return str(known(node, "state", "unknown"))


def is_pure_controller(node: Row) -> bool:
    """Listed with roles `["controller"]`."""
    return set(known(node, "roles", [])) == {"controller"}


def is_down(nodes: dict[int, Row], node: int) -> bool:
    """`alive` false or `fenced` true; or an id that `brokers` does not name."""
    if node not in nodes:
        return True
    return not nodes[node]["alive"] or known(nodes[node], "fenced", False)


def is_dead_or_leaving(nodes: dict[int, Row], node: int) -> bool:
    return is_down(nodes, node) or state_of(nodes[node]) in (*LEAVING, "not_running")


def counted_replicas(partition: Row) -> set[int]:
    """RF: the replicas without those being added; those being removed count."""
    return set(partition["replicas"]) - set(known(partition, "adding", []))


def counted_isr(nodes: dict[int, Row], partition: Row) -> set[int]:
    """ISR: its members that are not being added, not down and not leaving."""
    members = set(partition["isr"]) - set(known(partition, "adding", []))
    return {member for member in members if not is_dead_or_leaving(nodes, member)}


def min_isr_of(topic: Row, asked: Asked) -> int | None:
    """`--assume-min-isr` fills in only what is unknown."""
    said: int | None = known(topic, "minInsyncReplicas")
    return asked.assume_min_isr if said is None else said


def is_acknowledged(topic: Row, patterns: tuple[str, ...]) -> bool:
    """Shell patterns over the whole name, case-sensitive."""
    return any(fnmatchcase(topic["name"], pattern) for pattern in patterns)


def partitions_of(document: Row) -> list[tuple[Row, Row, str]]:
    """Every topic with each of its partitions and the object that names it."""
    return [
        (topic, partition, f"{topic['name']}-{partition['id']}")
        for topic in document["topics"]
        for partition in topic["partitions"]
    ]


# Section 1: ok-to-stop.


def blockers(document: Row, brokers: set[int], asked: Asked) -> Found:
    """What would break if exactly these stopped now, together."""
    nodes = nodes_of(document)
    found: Found = set()
    for topic, partition, name in partitions_of(document):
        code = partition_blocker(nodes, topic, partition, brokers, asked)
        if code:
            found.add((code, name))
    found |= controller_blocker(document, nodes, brokers)
    for node in brokers:
        code = quorum_blocker(document, nodes[node], brokers, asked)
        if code:
            found.add((code, f"node:{node}"))
        if state_of(nodes[node]) == "recovery":  # "Nodes: any node of B in state recovery".
            found.add(("BROKER_RECOVERING", f"broker:{node}"))
    return found


def partition_blocker(
    nodes: dict[int, Row], topic: Row, partition: Row, brokers: set[int], asked: Asked
) -> str | None:
    """The first of the seven rules that matches, or the one exception behind them."""
    asking = {
        node
        for node in brokers
        if not is_down(nodes, node) and state_of(nodes[node]) != "not_running"
    }
    if asking & set(partition["replicas"]):
        code = first_rule(nodes, topic, partition, brokers, asked)
        if code:
            return code
    # "One exception: it is down but still runs": it may be the only one that can still lead.
    still_running = {
        node
        for node in brokers
        if is_down(nodes, node) and state_of(nodes[node]) not in ("unknown", "not_running")
    }
    named = set(partition["isr"]) | set(known(partition, "elr", []))
    if partition["leader"] == -1 and still_running & named:
        return "PARTITION_OFFLINE"
    return None


def first_rule(
    nodes: dict[int, Row], topic: Row, partition: Row, brokers: set[int], asked: Asked
) -> str | None:
    replicas = counted_replicas(partition)
    isr = counted_isr(nodes, partition)
    min_isr = min_isr_of(topic, asked)
    if partition["leader"] == -1:  # 1
        return "PARTITION_OFFLINE"
    if len(replicas) == 1:  # 2
        if replicas <= brokers and not is_acknowledged(topic, asked.allow_rf_one):
            return "RF_ONE"
        return None
    if min_isr is None:  # 3
        return "MIN_ISR_UNKNOWN"
    if len(replicas) <= min_isr:  # 4
        if not is_acknowledged(topic, asked.allow_rf_le_min_isr):
            return "RF_LE_MIN_ISR"
        min_isr = len(replicas) - 1
    if len(isr) < min_isr:  # 5
        return "UNDER_MIN_ISR"
    left = isr - brokers
    if left == isr:
        return None
    if len(left) < min_isr:  # 6
        return "WOULD_GO_UNDER_MIN_ISR"
    if len(left) < min_isr + asked.margin < len(replicas):  # 7
        return "WOULD_BREAK_MARGIN"
    return None


def is_without_controller(document: Row) -> bool:
    """`leaderId` -1, or `absentSeconds` above 0; both absent: unknown."""
    quorum = known(document, "quorum", {})
    return bool(known(quorum, "leaderId") == -1 or known(quorum, "absentSeconds", 0) > 0)


def controller_blocker(document: Row, nodes: dict[int, Row], brokers: set[int]) -> Found:
    """When B has a broker (pure controllers excepted) that is not down."""
    leading = [
        node for node in brokers if not is_pure_controller(nodes[node]) and not is_down(nodes, node)
    ]
    if leading and is_without_controller(document):
        return {("CONTROLLER_ABSENT", f"cluster:{document['cluster']}")}
    return set()


def voters_of(document: Row) -> dict[int, Row]:
    return {row["id"]: row for row in known(known(document, "quorum", {}), "voters", [])}


def is_quorum_unknown(document: Row) -> bool:
    """Leader unknown or no voter, its own time missing or negative, or no fetch time-out."""
    quorum, voters = known(document, "quorum", {}), voters_of(document)
    leader = voters.get(known(quorum, "leaderId", -1))
    return (
        leader is None
        or known(leader, "lastCaughtUpMs", -1) < 0
        or known(quorum, "fetchTimeoutMs") is None
    )


def caught_up_of(document: Row) -> set[int]:
    """Those less than the fetch time-out behind the leader; missing or negative is behind."""
    quorum, voters = document["quorum"], voters_of(document)
    newest = voters[quorum["leaderId"]]["lastCaughtUpMs"]
    times = {node: known(row, "lastCaughtUpMs", -1) for node, row in voters.items()}
    return {
        node
        for node, time in times.items()
        if time >= 0 and newest - time < quorum["fetchTimeoutMs"]
    }


def quorum_blocker(document: Row, node: Row, brokers: set[int], asked: Asked) -> str | None:
    """For a node of B that is a voter, down or not, unless it is only started."""
    quorum, voters = known(document, "quorum", {}), voters_of(document)
    if known(quorum, "mode") == "zookeeper" or state_of(node) == "not_running":
        return None
    if node["id"] not in voters:  # "or a controller in B and no quorum data".
        is_controller = "controller" in known(node, "roles", [])
        return "QUORUM_UNKNOWN" if is_controller and not voters else None
    if is_quorum_unknown(document):
        return "QUORUM_UNKNOWN"
    caught_up = caught_up_of(document) - brokers
    if len(voters) <= 2:
        if not asked.allow_quorum_without_spare:
            return "QUORUM_WITHOUT_SPARE"
        # "Acknowledged with two, the other must be caught up and not in B."
        return "WOULD_LOSE_QUORUM" if len(voters) == 2 and not caught_up else None
    return "WOULD_LOSE_QUORUM" if 2 * len(caught_up) <= len(voters) else None


# Section 2: holds from one snapshot.


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """What a wave knows beside the snapshot."""

    in_flight: frozenset[int] = frozenset()
    repairs: frozenset[int] = frozenset()
    baseline: frozenset[str] = frozenset()

    @property
    def own(self) -> frozenset[int]:
        """Who waits for repair counts as in flight in every line."""
        return self.in_flight | self.repairs


def repairs_among(document: Row, brokers: set[int]) -> frozenset[int]:
    """ok-to-stop: nothing in flight, but who is down or `not_running` counts as a repair."""
    nodes = nodes_of(document)
    return frozenset(
        node for node in brokers if is_down(nodes, node) or state_of(nodes[node]) == "not_running"
    )


def holds(document: Row, wave: Wave, asked: Asked) -> Found:
    """What closes the gate, whichever brokers are about to stop."""
    return (
        evidence_holds(document, wave)
        | cluster_holds(document)
        | reassignment_holds(document)
        | broker_holds(document, wave)
        | partition_holds(document, wave, asked)
        | voter_holds(document, wave)
    )


def ages_of(document: Row) -> Row:
    """Each group that is configured, with its age, or `None`: never seen."""
    if known(document, "ages") is not None:
        return {"metadata": None, **document["ages"]}
    there = {
        "metadata": True,
        "configs": any(known(topic, "minInsyncReplicas") for topic in document["topics"]),
        "quorum": known(document, "quorum") is not None,
        "metrics": any(
            has_metrics(node) for node in document["brokers"] if not is_pure_controller(node)
        ),
        "probe": known(document, "probe") is not None,
    }
    return {group: 0.0 for group, is_there in there.items() if is_there}


def has_metrics(node: Row) -> bool:
    return not (known(node, "requestHandlerIdle") is None and known(node, "diskUsedRatio") is None)


def evidence_holds(document: Row, wave: Wave) -> Found:
    """Every group is at most 2 intervals old (configs 20)."""
    interval = known(document, "intervalSeconds", 15)
    ages = ages_of(document)
    found: Found = set()
    for group, age in ages.items():
        if age is None:
            found.add(("EVIDENCE_MISSING", f"source:{group}"))
        elif age > interval * (20 if group == "configs" else 2):
            found.add(("EVIDENCE_STALE", f"source:{group}"))
    # When the group itself is stale or missing, only the group is held.
    if "metrics" not in ages or ages["metrics"] is None or ages["metrics"] > 2 * interval:
        return found
    for row in document["brokers"]:  # "Every alive broker that is not in flight has metrics".
        node = row["id"]
        if not row["alive"] or is_pure_controller(row) or node in wave.own:
            continue
        own_age = known(row, "metricsAgeSeconds")
        if own_age is not None and own_age > 2 * interval:
            found.add(("EVIDENCE_STALE", f"broker:{node}"))
        elif own_age is None and not has_metrics(row):
            found.add(("EVIDENCE_MISSING", f"broker:{node}"))
    return found


def cluster_holds(document: Row) -> Found:
    found: Found = set()
    cluster = f"cluster:{document['cluster']}"
    quorum = known(document, "quorum")
    if known(document, "unreachable", False):
        found.add(("UNREACHABLE", cluster))
    if is_without_controller(document):
        found.add(("CONTROLLER_ABSENT", cluster))
    # QUORUM_UNKNOWN: nothing is there; or in KRaft as in section 1; or in ZooKeeper mode neither.
    if quorum is None:
        found.add(("QUORUM_UNKNOWN", cluster))
    elif quorum["mode"] == "kraft":
        if is_quorum_unknown(document):
            found.add(("QUORUM_UNKNOWN", cluster))
    elif known(quorum, "leaderId") is None and known(quorum, "absentSeconds") is None:
        found.add(("QUORUM_UNKNOWN", cluster))
    return found


def reassignment_holds(document: Row) -> Found:
    """Every partition with `adding` or `removing`, and the cluster only when none is known."""
    moving = [
        name
        for _topic, partition, name in partitions_of(document)
        if known(partition, "adding") or known(partition, "removing")
    ]
    if not moving and known(document, "reassignments", 0) > 0:
        moving = [f"cluster:{document['cluster']}"]
    return {("REASSIGNMENT", name) for name in moving}


def broker_holds(document: Row, wave: Wave) -> Found:
    """One hold a node, except those in flight; an id that `brokers` does not name is down."""
    nodes, has_exporters = nodes_of(document), "metrics" in ages_of(document)
    named = {
        node
        for _topic, partition, _name in partitions_of(document)
        for node in partition["replicas"]
    }
    found = {("BROKER_DOWN", f"broker:{node}") for node in named - set(nodes) - wave.own}
    for node, row in nodes.items():
        code = broker_hold(row, has_exporters=has_exporters)
        if code and node not in wave.own:
            found.add((code, f"broker:{node}"))
    return found


def broker_hold(node: Row, *, has_exporters: bool) -> str | None:
    """The first that matches in the order of the rules; of a pure controller three only."""
    is_broker, state = not is_pure_controller(node), state_of(node)
    if is_broker and not node["alive"]:
        return "BROKER_DOWN"
    if is_broker and known(node, "fenced", False):
        return "BROKER_FENCED"
    if state == "starting":
        return "BROKER_STARTING"
    if state == "recovery":
        return "BROKER_RECOVERING"
    if state in LEAVING:
        return "BROKER_STOPPING"
    if is_broker and state == "not_running":
        return "BROKER_NOT_RUNNING"
    if is_broker and state == "unknown" and has_exporters:
        return "BROKER_STATE_UNKNOWN"
    return None


def partition_holds(document: Row, wave: Wave, asked: Asked) -> Found:
    """One hold a partition; `deleting` topics do not count."""
    nodes = nodes_of(document)
    found: Found = set()
    for topic, partition, name in partitions_of(document):
        if known(topic, "excluded") == "deleting":
            continue
        code = partition_hold(nodes, partition, min_isr_of(topic, asked), wave, name)
        if code:
            found.add((code, name))
    return found


def partition_hold(
    nodes: dict[int, Row], partition: Row, min_isr: int | None, wave: Wave, name: str
) -> str | None:
    """The first in the order: no leader, under min ISR, a replica not in the ISR, unknown."""
    replicas, isr = counted_replicas(partition), counted_isr(nodes, partition)
    lacking = replicas - isr
    # "Counts unless its ISR lacks a replica and every one that it lacks is on one of them."
    is_for_repair = bool(lacking) and lacking <= wave.repairs
    if partition["leader"] == -1 and not is_for_repair:
        return "PARTITION_OFFLINE"
    if (
        min_isr is not None
        and len(isr) < min(min_isr, len(replicas))  # "At most RF here."
        and not is_for_repair
    ):
        return "PARTITION_UNDER_MIN_ISR"
    # "Only replicas that are missing on brokers which this wave has in flight do not count."
    if lacking - wave.own and name not in wave.baseline:
        return "PARTITION_UNDER_REPLICATED"
    return "MIN_ISR_UNKNOWN" if min_isr is None else None


def voter_holds(document: Row, wave: Wave) -> Found:
    """Voters that are behind, without those that wait for repair or are in flight.

    *Caught up* is defined for KRaft only, and the rules do not say what closes the gate of brokers
    when a ZooKeeper server is silent: nothing does (ADR 0042, "is not used").
    """
    if known(document, "quorum", {}).get("mode") != "kraft" or is_quorum_unknown(document):
        return set()
    behind = set(voters_of(document)) - caught_up_of(document) - wave.own
    return {("VOTER_BEHIND", f"node:{node}") for node in behind}


# What the command reads and prints.


def document_of_kcat(listing: Row, asked: Asked) -> Row:
    """What `kcat -L -J` shows, as the snapshot that the contract makes of it."""
    ages = {"metadata": 0.0, "quorum": None}
    if asked.assume_min_isr is None:
        ages["configs"] = None
    return {
        "cluster": listing["originating_broker"]["name"],
        "brokers": [{"id": row["id"], "alive": True} for row in listing["brokers"]],
        "topics": [
            {
                "name": topic["topic"],
                "partitions": [
                    {
                        "id": row["partition"],
                        "leader": row["leader"],
                        "replicas": [node["id"] for node in row["replicas"]],
                        "isr": [node["id"] for node in row["isrs"]],
                    }
                    for row in topic["partitions"]
                ],
            }
            for topic in listing["topics"]
        ],
        "ages": ages,
    }


def answer(document: Row, brokers: tuple[int, ...] | None, asked: Asked) -> Row:
    """The form of `healthd ok-to-stop -o json`, with sets of (code, object) instead of lists."""
    if "originating_broker" in document:
        document = document_of_kcat(document, asked)
    if brokers is None:
        return answer_of_all(document, asked)
    stopping = blockers(document, set(brokers), asked)
    closed = holds(document, Wave(repairs=repairs_among(document, set(brokers))), asked)
    return {
        "cluster": document["cluster"],
        "brokers": set(brokers),
        "ok": not stopping,
        "blockers": stopping,
        "gate": {"clear": not closed, "holds": closed},
    }


def answer_of_all(document: Row, asked: Asked) -> Row:
    """Every single node and every rack at once; a broker without a rack is in none."""
    racks: dict[str, set[int]] = {}
    for node in document["brokers"]:
        if known(node, "rack") is not None:
            racks.setdefault(node["rack"], set()).add(node["id"])
    each = {node: blockers(document, {node}, asked) for node in nodes_of(document)}
    by_rack = {rack: blockers(document, members, asked) for rack, members in racks.items()}
    return {
        "cluster": document["cluster"],
        "each": {node: (not found, found) for node, found in each.items()},
        "racks": {rack: (not found, found) for rack, found in by_rack.items()},
    }
