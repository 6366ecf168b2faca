"""How long a rehearsal takes: a wave over 60 brokers in three racks, calm and held for a day."""

import random
import time
from datetime import UTC, datetime

import pytest

from healthd.config.playbooks import load_playbook
from healthd.model.snapshot import Broker, ClusterSnapshot, Partition, Quorum, Topic, Voter
from healthd.model.words import BrokerState, EvidenceGroup, QuorumMode, Role
from healthd.rehearsal.faults import Fault, FaultKind
from healthd.rehearsal.rehearsal import Rehearsal
from healthd.rehearsal.running import rehearse

BROKERS = 60
RACKS = 3
PARTITIONS = 3_000
PER_TOPIC = 100
CONTROLLERS = (1001, 1002, 1003)
FRESH = (
    EvidenceGroup.METADATA,
    EvidenceGroup.CONFIGS,
    EvidenceGroup.QUORUM,
    EvidenceGroup.METRICS,
)


def rack_aware() -> ClusterSnapshot:
    """Every partition has a replica in each rack; the controllers are apart."""
    chance = random.Random(7)
    racks = [[node for node in range(1, BROKERS + 1) if node % RACKS == at] for at in range(RACKS)]
    rows = []
    for number in range(PARTITIONS):
        replicas = [chance.choice(rack) for rack in racks]
        chance.shuffle(replicas)
        found = tuple(replicas)
        rows.append(Partition(id=number % PER_TOPIC, leader=found[0], replicas=found, isr=found))
    return ClusterSnapshot(
        cluster="sixty",
        observed_at=datetime(2026, 1, 1, tzinfo=UTC),
        brokers=(
            *(_node(node, Role.BROKER) for node in range(1, BROKERS + 1)),
            *(_node(node, Role.CONTROLLER) for node in CONTROLLERS),
        ),
        topics=tuple(
            Topic.of(f"t{at}", rows[at : at + PER_TOPIC], min_insync_replicas=2)
            for at in range(0, PARTITIONS, PER_TOPIC)
        ),
        quorum=Quorum(
            mode=QuorumMode.KRAFT,
            leader_id=CONTROLLERS[0],
            fetch_timeout_ms=2000,
            voters=tuple(Voter(id=node, last_caught_up_ms=10_000) for node in CONTROLLERS),
        ),
        ages=dict.fromkeys(FRESH, 0.0),
    )


def _node(node: int, role: Role) -> Broker:
    return Broker(
        id=node,
        alive=True,
        rack=f"az{node % RACKS}",
        state=BrokerState.RUNNING,
        roles=frozenset({role}),
        request_handler_idle=0.8,
        disk_used_ratio=0.4,
    )


@pytest.mark.bench
@pytest.mark.parametrize("case", ["one at a time", "as many as is safe", "held for a day"])
def test_a_rehearsal_of_sixty_brokers(case: str) -> None:
    snapshot = rack_aware()
    crash = Fault(kind=FaultKind.BROKER_CRASH, at=10.0, broker=1)
    rehearsal = Rehearsal(
        snapshot=snapshot,
        playbook=load_playbook("rolling-restart"),
        brokers=(2, 3, 4) if case == "held for a day" else None,
        concurrency=None if case == "as many as is safe" else 1,
        faults=(crash,) if case == "held for a day" else (),
    )
    began = time.perf_counter()
    result = rehearse(rehearsal)
    seconds = time.perf_counter() - began
    print(
        f"\n{case}: {result.outcome} after {result.makespan_seconds:.0f} s of virtual time,"
        f" {result.max_in_flight} in flight at most, rehearsed in {seconds:.2f} s"
    )
    assert not result.violations
    assert result.outcome == ("holding" if case == "held for a day" else "succeeded")
