"""ok-to-stop and the gate's holds from one snapshot, written a second time from the rules alone.

It reads the JSON document of a ClusterSnapshot and shares nothing with `healthd`: no class, no
constant, no helper. It is slow and plain on purpose. Each few lines stand for one sentence of the
rules, whose number or first words are beside them. Answers are sets of (code, object).

Here is section 1, ok-to-stop; section 2 is in `gate_oracle`, the document in `safety_reading`.
"""

from support.gate_oracle import Wave, holds
from support.safety_reading import (
    Asked,
    Found,
    Row,
    caught_up_of,
    counted_isr,
    counted_replicas,
    document_of_kcat,
    is_acknowledged,
    is_down,
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


def controller_blocker(document: Row, nodes: dict[int, Row], brokers: set[int]) -> Found:
    """When B has a broker (pure controllers excepted) that is not down."""
    leading = [
        node for node in brokers if not is_pure_controller(nodes[node]) and not is_down(nodes, node)
    ]
    if leading and is_without_controller(document):
        return {("CONTROLLER_ABSENT", f"cluster:{document['cluster']}")}
    return set()


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


# What the command prints.


def repairs_among(document: Row, brokers: set[int]) -> frozenset[int]:
    """ok-to-stop: nothing in flight, but who is down or `not_running` counts as a repair."""
    nodes = nodes_of(document)
    return frozenset(
        node for node in brokers if is_down(nodes, node) or state_of(nodes[node]) == "not_running"
    )


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
