"""The gate's holds from one snapshot, from the text of the rules alone: see `safety_oracle`."""

from dataclasses import dataclass

from support.safety_reading import (
    LEAVING,
    Asked,
    Found,
    Row,
    caught_up_of,
    counted_isr,
    counted_replicas,
    is_pure_controller,
    is_quorum_unknown,
    is_without_controller,
    known,
    min_isr_of,
    nodes_of,
    partitions_of,
    state_of,
    voters_of,
)


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
