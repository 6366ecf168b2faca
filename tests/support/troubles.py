"""Ten prepared troubles of one cluster, as the snapshots that the daemon would have seen.

Six brokers in three racks, nodes 1 to 3 are also the controllers. Every trouble begins after a calm
minute and is looked at some time later, through the daemon's own judging.
"""

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from healthd.collect.observation import FailureReason, Origin, Source, SourceFailure
from healthd.config.fleet import ClusterConfig, HostConfig
from healthd.engine.judging import Judge
from healthd.engine.view import ClusterView
from healthd.health.history import NO_HISTORY
from healthd.model.parse import snapshot_of

Json = dict[str, Any]

START: Final = datetime(2026, 1, 1, 2, 58, tzinfo=UTC)
INTERVAL: Final = 15.0
NODES: Final = (1, 2, 3, 4, 5, 6)
RACKS: Final = ("az1", "az2", "az3") * 2
TOPICS: Final = {"orders": 12, "ledger": 12, "clicks": 6, "__consumer_offsets": 10}
CONFIG: Final = ClusterConfig(
    name="payments",
    bootstrap_servers=("b1.payments.example.net:9092",),
    labels={"env": "prod"},
    hosts=tuple(
        HostConfig(
            broker=node,
            address=f"b{node}.payments.example.net",
            exporter=f"b{node}.payments.example.net:7071",
        )
        for node in NODES
    ),
)


def calm() -> Json:
    """The cluster when all is well."""
    return {
        "apiVersion": "healthd/v1", "kind": "ClusterSnapshot", "cluster": "payments",
        "observedAt": START.isoformat(), "intervalSeconds": INTERVAL,
        "brokers": [
            {"id": node, "host": f"b{node}.payments.example.net", "rack": rack, "alive": True,
             "state": "running", "fenced": False, "version": "4.1.0",
             "roles": ["broker", "controller"] if node <= 3 else ["broker"],
             "requestHandlerIdle": 0.86, "diskUsedRatio": 0.41, "offlineLogDirs": 0,
             "metricsAgeSeconds": 2.0}
            for node, rack in zip(NODES, RACKS, strict=True)
        ],
        "quorum": {
            "mode": "kraft", "leaderId": 2, "fetchTimeoutMs": 2000, "absentSeconds": 0,
            "voters": [{"id": node, "lastCaughtUpMs": 900_000} for node in (1, 2, 3)],
        },
        "topics": [
            {"name": name, "minInsyncReplicas": 2,
             "partitions": [_partition(at, many) for at in range(many)]}
            for name, many in sorted(TOPICS.items())
        ],
        "reassignments": 0, "uncleanElections24h": 0, "unreachable": False,
        "probe": {"attempts": 20, "succeeded": 20},
        "ages": {"metadata": 0.4, "configs": 31.0, "quorum": 0.4, "metrics": 2.0, "probe": 3.0},
    }  # fmt: skip


def _partition(at: int, many: int) -> Json:
    replicas = [NODES[(at + many + step) % len(NODES)] for step in range(3)]
    return {"id": at, "leader": replicas[0], "replicas": replicas, "isr": list(replicas)}


def without(found: Json, *nodes: int, leaderless_seconds: float = 60.0) -> None:
    """Take brokers away: not alive, in no ISR, leading nothing."""
    for broker in found["brokers"]:
        if broker["id"] in nodes:
            broker["alive"] = False
    for topic in found["topics"]:
        for partition in topic["partitions"]:
            left = [node for node in partition["isr"] if node not in nodes]
            partition["isr"] = left or partition["isr"][:1]
            partition["leader"] = left[0] if left else -1
            if not left:
                partition["leaderlessSeconds"] = leaderless_seconds


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """One prepared trouble."""

    name: str
    title: str
    done: str
    """What was done to the cluster, or to healthd's way to it."""
    change: Callable[[Json, float], None]
    """Changes the calm snapshot; the seconds are since it began."""
    failures: tuple[SourceFailure, ...] = ()
    lasted_seconds: float = 120.0
    calm_first: bool = True
    told: tuple[str, ...] = field(default=())
    """What `status CLUSTER` must say in any case."""

    def view(self) -> ClusterView:
        """The cluster as the daemon would show it now."""
        judge, history = Judge(CONFIG), NO_HISTORY
        seen: ClusterView = ClusterView(config=CONFIG)
        for at, body in self._snapshots():
            snapshot = snapshot_of(body | {"observedAt": _text(at)})
            failures = self.failures if at >= 60 else ()
            judged = judge.judge(snapshot, history, frozenset(), failures)
            history = judged.history
            seen = ClusterView(
                config=CONFIG,
                snapshot=snapshot,
                report=judged.report,
                index_without_wave=judged.index_without_wave,
                tolerated_racks=judged.tolerated_racks,
                losses=judged.losses,
                since=judged.history.since,
                failures=tuple(
                    {key: str(value) for key, value in failure.as_json().items()}
                    for failure in failures
                ),
            )
        return seen

    def _snapshots(self) -> Iterable[tuple[float, Json]]:
        for round_ in range(4 if self.calm_first else 0):
            yield round_ * INTERVAL, calm()
        rounds = int(self.lasted_seconds / INTERVAL)
        for round_ in range(rounds + 1):
            found = deepcopy(calm())
            self.change(found, round_ * INTERVAL)
            yield 60 + round_ * INTERVAL, found


def _text(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat()


def _aged(found: Json, groups: Mapping[str, float], seconds: float) -> None:
    for group, age in groups.items():
        found["ages"][group] = age + seconds


def _broker_down(found: Json, _: float) -> None:
    without(found, 4)


def _two_brokers(found: Json, _: float) -> None:
    without(found, 4, 5)
    found["probe"] = {"attempts": 20, "succeeded": 17}


def _offline(found: Json, seconds: float) -> None:
    without(found, 3, 4, 5, leaderless_seconds=seconds)
    found["quorum"]["voters"][2]["lastCaughtUpMs"] = 880_000
    found["probe"] = {"attempts": 20, "succeeded": 11}


def _offsets(found: Json, _: float) -> None:
    offsets = next(t for t in found["topics"] if t["name"] == "__consumer_offsets")
    for partition in offsets["partitions"][:2]:
        partition["isr"] = partition["isr"][:1]


def _no_controller(found: Json, seconds: float) -> None:
    found["quorum"] |= {"leaderId": -1, "absentSeconds": seconds + 1}
    _aged(found, {"metadata": 0.4}, seconds)


def _unreachable(found: Json, seconds: float) -> None:
    _aged(found, {"metadata": 0.4, "configs": 31.0, "quorum": 0.4, "metrics": 2.0, "probe": 3.0},
          seconds)  # fmt: skip
    for broker in found["brokers"]:
        broker["alive"] = False
        broker["metricsAgeSeconds"] += seconds
    found["unreachable"] = seconds >= 2 * INTERVAL


def _disk(found: Json, _: float) -> None:
    found["brokers"][1]["diskUsedRatio"] = 0.97
    found["brokers"][3]["diskUsedRatio"] = 0.88


def _credentials(found: Json, seconds: float) -> None:
    _aged(found, {"metadata": 0.4, "configs": 31.0, "quorum": 0.4, "probe": 3.0}, seconds)


def _exporters(found: Json, seconds: float) -> None:
    for broker in found["brokers"]:
        broker["metricsAgeSeconds"] += seconds
    _aged(found, {"metrics": 2.0}, seconds)


def _saturated(found: Json, _: float) -> None:
    for broker in found["brokers"]:
        broker["requestHandlerIdle"] = 0.04
    found["probe"] = {"attempts": 20, "succeeded": 19}


def _refused(node: int) -> SourceFailure:
    return SourceFailure(
        source=Source.METRICS,
        origin=Origin.THEIRS,
        reason=FailureReason.REFUSED,
        node=node,
        detail=f"The exporter of node {node} at http://b{node}.payments.example.net:7071/metrics "
        "refused the connection.",
    )


TROUBLES: Final = (
    Trouble(
        name="broker-down",
        title="A broker is down",
        done="The process of broker 4 was killed two minutes ago.",
        change=_broker_down,
        told=("BROKER_DOWN", "broker:4", "2m00s"),
    ),
    Trouble(
        name="under-min-isr",
        title="Two brokers are down",
        done="Brokers 4 and 5 were killed: some partitions have one replica left.",
        change=_two_brokers,
        told=("PARTITION_UNDER_MIN_ISR", "BROKER_DOWN", "acks=all"),
    ),
    Trouble(
        name="offline",
        title="Partitions without a leader",
        done="Brokers 3, 4 and 5 were killed: nobody is left who holds some of the partitions.",
        change=_offline,
        told=("PARTITION_OFFLINE", "Nobody can read from or write to them"),
    ),
    Trouble(
        name="offsets",
        title="Consumers cannot commit",
        done="Two partitions of __consumer_offsets lost all but one replica; all brokers run.",
        change=_offsets,
        told=("INTERNAL_TOPIC_UNAVAILABLE", "__consumer_offsets-0"),
    ),
    Trouble(
        name="no-controller",
        title="No active controller",
        done="Two of three controllers cannot be reached by the others: the quorum is lost.",
        change=_no_controller,
        lasted_seconds=180,
        told=("CONTROLLER_ABSENT", "majority of the controllers"),
    ),
    Trouble(
        name="unreachable",
        title="Nothing answers",
        done="Every broker address refuses the connection, for four minutes.",
        change=_unreachable,
        lasted_seconds=240,
        failures=(
            SourceFailure(
                source=Source.METADATA,
                origin=Origin.THEIRS,
                reason=FailureReason.REFUSED,
                detail="No metadata from b1.payments.example.net:9092: "
                "no broker can be connected to.",
            ),
        ),
        told=("UNREACHABLE", "Health Index 0"),
    ),
    Trouble(
        name="disk-critical",
        title="A disk is nearly full",
        done="Broker 2 has a log directory that is 97 % full, broker 4 one that is 88 % full.",
        change=_disk,
        told=("DISK_CRITICAL", "DISK_HIGH", "broker:2"),
    ),
    Trouble(
        name="our-credentials",
        title="healthd's own credentials are refused",
        done="The password of healthd's Kafka user was changed on the brokers, not in its file.",
        change=_credentials,
        failures=(
            SourceFailure(
                source=Source.METADATA,
                origin=Origin.OURS,
                reason=FailureReason.AUTHENTICATION,
                detail="No metadata from b1.payments.example.net:9092: "
                "our credentials were refused.",
            ),
        ),
        lasted_seconds=240,
        told=("COLLECTOR_AUTH", "our side"),
    ),
    Trouble(
        name="exporters-silent",
        title="The exporters are silent",
        done="A firewall rule closed port 7071 on all hosts five minutes ago; Kafka is well.",
        change=_exporters,
        failures=tuple(_refused(node) for node in NODES),
        lasted_seconds=300,
        told=("refused the connection", "85% known"),
    ),
    Trouble(
        name="saturated",
        title="The brokers are saturated",
        done="A consumer without quota reads everything from the beginning, for ten minutes.",
        change=_saturated,
        lasted_seconds=600,
        told=("SATURATED", "PROBE_FAILING"),
    ),
)
