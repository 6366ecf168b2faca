"""How the oracle of ok-to-stop and of the gate reads the JSON document of a ClusterSnapshot.

As the rules and the contract say it, and with nothing of `healthd`: see `safety_oracle`.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

Row = dict[str, Any]
Found = set[tuple[str, str]]
"""Blockers or holds: (code, object)."""

LEAVING = ("pending_controlled_shutdown", "shutting_down")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line says beside the brokers."""

    margin: int = 0
    allow_rf_one: tuple[str, ...] = ()
    allow_rf_le_min_isr: tuple[str, ...] = ()
    allow_quorum_without_spare: bool = False
    assume_min_isr: int | None = None


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


# Controllers, in sections 1 and 2.


def is_without_controller(document: Row) -> bool:
    """`leaderId` -1, or `absentSeconds` above 0; both absent: unknown."""
    quorum = known(document, "quorum", {})
    return bool(known(quorum, "leaderId") == -1 or known(quorum, "absentSeconds", 0) > 0)


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
