"""The index against a second reading of health-index.md, written for nothing but likeness to it.

It shares no code with healthd.health: partitions one by one, every rule as its sentence stands.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from hypothesis import given
from support.snapshots import snapshots

from healthd.health.index import evaluate
from healthd.model.snapshot import Broker, ClusterSnapshot, Partition, Topic
from healthd.model.words import EvidenceGroup as Group
from healthd.safety.ok_to_stop import each_rack

WEIGHTS: Final = {
    "partitions": 45, "brokers": 15, "controller": 15, "saturation": 10, "probe": 10, "storage": 5,
}  # fmt: skip
READS: Final = {
    "partitions": (Group.METADATA, Group.CONFIGS),
    "brokers": (Group.METADATA,),
    "controller": (Group.QUORUM,),
    "saturation": (Group.METRICS,),
    "probe": (Group.PROBE,),
    "storage": (Group.METRICS,),
}
V: Final = {
    "OFFLINE": 1,
    "UNDER_MIN_ISR": 0.6,
    "AT_MIN_ISR": 0.1,
    "UNDER_REPLICATED": 0.03,
    "OK": 0,
}
INTERNAL: Final = ("__consumer_offsets", "__transaction_state", "__share_group_state")
Row = tuple[str, str]
"""The topic and the state of one partition."""


def clamp(number: float) -> float:
    return max(0, min(1, number))


def state(topic: Topic, row: Partition) -> str:
    r, i = len(set(row.replicas) - row.adding), len(row.isr)
    if row.leader == -1:
        waited = 1e9 if row.leaderless_seconds is None else row.leaderless_seconds
        return "OFFLINE" if waited >= 10 else "AT_MIN_ISR"
    if topic.min_insync_replicas is not None:
        m = min(topic.min_insync_replicas, r)
        if i < m:
            return "UNDER_MIN_ISR"
        if i == m and i < r:
            return "AT_MIN_ISR"
    return "UNDER_REPLICATED" if i < r else "OK"


def is_behind(row: Partition) -> bool:
    return len(row.isr) < len(set(row.replicas) - row.adding)


@dataclass
class Oracle:
    """The document, applied to one snapshot."""

    snapshot: ClusterSnapshot

    def age(self, group: Group) -> float | None:
        ages = self.snapshot.ages
        if ages is None:
            return 0.0 if self.has_data(group) else None
        if group not in ages:
            return math.inf if group is Group.METADATA else None
        found = ages[group]
        return math.inf if found is None else found

    def has_data(self, group: Group) -> bool:
        snapshot = self.snapshot
        return {
            Group.METADATA: True,
            Group.CONFIGS: any(t.min_insync_replicas is not None for t in snapshot.topics),
            Group.QUORUM: snapshot.quorum is not None,
            Group.METRICS: any(
                b.request_handler_idle is not None or b.disk_used_ratio is not None
                for b in self.brokers()
            ),
            Group.PROBE: snapshot.probe is not None,
        }[group]

    def limits(self, group: Group) -> tuple[float, float]:
        fresh, stale = (20, 50) if group is Group.CONFIGS else (2, 5)
        return fresh * self.snapshot.interval_seconds, stale * self.snapshot.interval_seconds

    def is_fresh(self, group: Group) -> bool:
        age = self.age(group)
        return age is not None and age <= self.limits(group)[0]

    def configured(self) -> list[str]:
        return [term for term in WEIGHTS if self.age(READS[term][0]) is not None]

    def seen(self, term: str) -> bool:
        age = self.age(READS[term][0])
        return age is not None and age < math.inf

    def term_is_fresh(self, term: str) -> bool:
        return all(self.is_fresh(g) for g in READS[term] if self.age(g) is not None)

    def silence(self, term: str) -> float:
        worst = 0.0
        for group in READS[term]:
            age = self.age(group)
            if age is not None:
                fresh, stale = self.limits(group)
                worst = max(worst, clamp((age - fresh) / (stale - fresh)))
        return 0.3 * worst

    def brokers(self) -> list[Broker]:
        return [b for b in self.snapshot.brokers if not b.is_pure_controller]

    def partitions(self) -> Iterator[tuple[Topic, Partition]]:
        if self.seen("partitions"):
            for topic in self.snapshot.topics:
                if topic.excluded is None:
                    for row in topic:
                        yield topic, row

    def states(self, *, at_worst: bool) -> list[Row]:
        found = []
        for topic, row in self.partitions():
            now = state(topic, row)
            unknown = topic.min_insync_replicas is None and now != "OFFLINE" and is_behind(row)
            found.append((topic.name, "UNDER_MIN_ISR" if at_worst and unknown else now))
        return found

    def b(self) -> float:
        if not self.seen("brokers"):
            return 0
        expected = {b.id for b in self.brokers()}
        for _, row in self.partitions():
            expected |= set(row.replicas)
        up = {b.id for b in self.snapshot.brokers if b.alive and not b.fenced}
        return len(expected - up) / len(expected) if expected else 0

    def a(self) -> float | None:
        quorum = self.snapshot.quorum
        if not self.seen("controller") or quorum is None:
            return None
        if quorum.absent_seconds is not None:
            return quorum.absent_seconds
        if quorum.leader_id is None:
            return None
        return 90 if quorum.leader_id == -1 else 0

    def q(self) -> float | None:
        probe = self.snapshot.probe
        if not self.seen("probe") or probe is None or probe.attempts < 5:
            return None
        return probe.succeeded / probe.attempts

    def x(self) -> float | None:
        found = sorted(
            clamp(b.request_handler_idle)
            for b in self.brokers()
            if b.request_handler_idle is not None
        )
        if not self.seen("saturation") or not found:
            return None
        return found[math.ceil(len(found) / 10) - 1]

    def has_fresh_metrics(self, broker: Broker) -> bool:
        age = broker.metrics_age_seconds
        if age is None:
            return self.is_fresh(Group.METRICS)
        return age <= self.limits(Group.METRICS)[0]

    def u(self, *, certain: bool) -> float | None:
        if not self.seen("storage"):
            return None
        return max(
            (
                b.disk_used_ratio
                for b in self.brokers()
                if b.disk_used_ratio is not None
                and (not certain or not b.alive or self.has_fresh_metrics(b))
            ),
            default=None,
        )

    def s(self, term: str, rows: list[Row]) -> float:
        a, q, x, u = self.a(), self.q(), self.x(), self.u(certain=False)
        risk = sum(V[now] for _, now in rows) / len(rows) if rows else 0
        return {
            "partitions": math.sqrt(risk),
            "brokers": math.sqrt(self.b()),
            "controller": 0 if a is None else clamp((a - 30) / 60),
            "saturation": 0 if x is None else clamp((0.3 - x) / 0.3),
            "probe": 0 if q is None else 1 - q,
            "storage": 0 if u is None else clamp((u - 0.70) / 0.25),
        }[term]

    def caps(self, rows: list[Row], u: float | None) -> dict[str, tuple[float, str]]:
        """Code to cap and term."""
        found: dict[str, tuple[float, str]] = {}
        states = [now for _, now in rows]

        def share(*worse: str) -> float:
            return sum(now in worse for now in states) / len(states)

        if "OFFLINE" in states:
            cap = 60 * (1 - math.sqrt(min(1, share("OFFLINE") / 0.25)))
            found["PARTITION_OFFLINE"] = cap, "partitions"
        if any(name in INTERNAL and now in ("OFFLINE", "UNDER_MIN_ISR") for name, now in rows):
            found["INTERNAL_TOPIC_UNAVAILABLE"] = 45, "partitions"
        if "UNDER_MIN_ISR" in states:
            f_um = share("OFFLINE", "UNDER_MIN_ISR")
            cap = 69 * (1 - math.sqrt(min(1, f_um / 0.5)))
            found["PARTITION_UNDER_MIN_ISR"] = cap, "partitions"
        if "AT_MIN_ISR" in states:
            f_am = share("OFFLINE", "UNDER_MIN_ISR", "AT_MIN_ISR")
            found["PARTITION_AT_MIN_ISR"] = 89 - 17 * math.sqrt(f_am), "partitions"
        if self.snapshot.unclean_elections_24h and self.seen("partitions"):
            found["UNCLEAN_ELECTION"] = 89, "partitions"
        return found | self.other_caps(u)

    def other_caps(self, u: float | None) -> dict[str, tuple[float, str]]:
        found: dict[str, tuple[float, str]] = {}
        a, b, q = self.a(), self.b(), self.q()
        if a is not None and 0 < a <= 30:
            found["CONTROLLER_TRANSIENT"] = 89, "controller"
        if a is not None and a > 30:
            found["CONTROLLER_ABSENT"] = 65 - 35 * min(1, (a - 30) / 300), "controller"
        if b > 0:
            found["BROKER_DOWN"] = 89 - 35 * clamp((b - 0.34) / 0.33), "brokers"
        if q is not None and q < 1:
            found["PROBE_FAILING"] = 100 * q, "probe"
        if u is not None and u >= 0.85:
            found["DISK_HIGH"] = 89, "storage"
        if u is not None and u >= 0.95:
            found["DISK_CRITICAL"] = 60 - 5 * clamp((u - 0.95) / 0.05), "storage"
        if self.snapshot.unreachable:
            found["UNREACHABLE"] = 0, ""
        return found

    def coverage(self, term: str) -> float:
        snapshot = self.snapshot
        alive = [b for b in self.brokers() if b.alive]
        rows = list(self.partitions())
        certain = [
            state(topic, row) == "OFFLINE"
            or not is_behind(row)
            or topic.min_insync_replicas is not None
            for topic, row in rows
        ]
        idle = [
            b for b in alive if b.request_handler_idle is not None and self.has_fresh_metrics(b)
        ]
        disk = [b for b in alive if b.disk_used_ratio is not None and self.has_fresh_metrics(b)]
        return {
            "partitions": sum(certain) / len(rows) if rows else 1,
            "brokers": 1,
            "controller": 0 if self.a() is None else 1,
            "saturation": len(idle) / len(alive) if alive else 1,
            "probe": 0 if snapshot.probe is None else 1,
            "storage": len(disk) / len(alive) if alive else 1,
        }[term]

    def c(self, term: str) -> float:
        return self.coverage(term) if self.term_is_fresh(term) else 0

    def completeness(self) -> float:
        terms = self.configured()
        return sum(WEIGHTS[t] * self.c(t) for t in terms) / sum(WEIGHTS[t] for t in terms)

    def index(self) -> float:
        rows = self.states(at_worst=False)
        points = sum(WEIGHTS[t] * max(self.s(t, rows), self.silence(t)) for t in self.configured())
        caps = [cap for cap, _ in self.caps(rows, self.u(certain=False)).values()]
        return max(0, min([100 - points, *caps, 100]))

    def lower(self) -> float:
        if not self.is_fresh(Group.METADATA):
            return 0
        rows = self.states(at_worst=True)
        taken = sum(
            WEIGHTS[t] * (self.c(t) * self.s(t, rows) + 1 - self.c(t)) for t in self.configured()
        )
        caps = [cap for cap, _ in self.caps(rows, self.u(certain=False)).values()]
        return max(0, min([100 - taken, *caps]))

    def upper(self) -> float:
        rows = self.states(at_worst=False)
        taken = sum(WEIGHTS[t] * self.c(t) * self.s(t, rows) for t in self.configured())
        caps = [
            cap
            for cap, term in self.caps(rows, self.u(certain=True)).values()
            if not term or self.term_is_fresh(term)
        ]
        return max(self.index(), min([100 - taken, *caps]))


@given(snapshots())
def test_the_index_is_what_the_document_says(snapshot: ClusterSnapshot) -> None:
    report, oracle = evaluate(snapshot), Oracle(snapshot)
    found = {
        "index": report.health_index,
        "lower": report.lower,
        "upper": report.upper,
        "completeness": report.completeness,
    }
    expected = {
        "index": oracle.index(),
        "lower": oracle.lower(),
        "upper": oracle.upper(),
        "completeness": oracle.completeness(),
    }
    for name, number in found.items():
        assert math.isclose(number, expected[name], abs_tol=1e-9), name
    caps = oracle.caps(oracle.states(at_worst=False), oracle.u(certain=False))
    assert {cap.code.value for cap in report.caps} == caps.keys()
    for cap in report.caps:
        assert math.isclose(cap.cap, caps[cap.code.value][0], abs_tol=1e-9)
    unobserved = [term for term in WEIGHTS if term not in oracle.configured()]
    assert [term.value for term in report.not_observed] == unobserved


@given(snapshots())
def test_racks_are_judged_as_ok_to_stop_judges_each(snapshot: ClusterSnapshot) -> None:
    oracle = Oracle(snapshot)
    telling = {"WOULD_GO_UNDER_MIN_ISR", "RF_LE_MIN_ISR"}
    if oracle.seen("controller") and snapshot.quorum is not None:
        telling.add("WOULD_LOSE_QUORUM")
    racks = each_rack(snapshot, include_excluded=False)
    expected = {
        f"rack:{rack}"
        for rack, blockers in racks.items()
        if any(blocker.code in telling for blocker in blockers)
    }
    found: set[str] = set()
    for check in evaluate(replace(snapshot)).checks:
        if check.code == "RACK_LOSS_NOT_TOLERATED":
            found.update(check.objects)
    is_asked = len(racks) >= 2 and oracle.seen("partitions")
    assert found == (expected if is_asked else set())
