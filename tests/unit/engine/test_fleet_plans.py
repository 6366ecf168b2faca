"""The plan of a wave file, and waves over a fleet by a plan that was made before."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest
from support.snapshots import a_broker, a_partition, a_snapshot, a_topic
from support.wave_model import rolling_restart

from healthd.config.fleet import ClusterConfig, HostConfig, ServiceCommands
from healthd.config.ssh_access import SshConfig
from healthd.engine.accepting import spec_of
from healthd.engine.collecting import ClusterLoop
from healthd.engine.fleet_plans import fleet_plan, require_plan
from healthd.engine.plans import taken_out
from healthd.engine.selecting import parts_of
from healthd.engine.view import ClusterView, OrderRefused, Refusal
from healthd.model.snapshot import ClusterSnapshot
from healthd.model.words import EvidenceGroup
from healthd.waves.plan_file import fleet_in_short
from healthd.waves.planner_duration import MeasuredRestarts
from healthd.waves.playbook import Playbook

PLAYBOOK = rolling_restart()
ROWS = ((1, 2, 3), (4, 5, 6), (1, 5, 3), (4, 2, 6))
WAVE: dict[str, Any] = {
    "apiVersion": "healthd/v1",
    "kind": "Wave",
    "name": "june",
    "reason": "CHG-1",
    "playbook": "rolling-restart",
    "stages": [
        {"name": "canary", "clusters": ["dev"], "brokers": [1, 4]},
        {"name": "prod", "match": {"env": "prod"}, "clustersAtOnce": 2, "concurrency": "safe",
         "approval": "required", "soakSeconds": 3600},
    ],
    "policy": {"soakSeconds": 60},
}  # fmt: skip


@dataclass
class Seen:
    """A cluster of the fleet, without a loop."""

    config: ClusterConfig
    view: ClusterView


def cluster(name: str, *, isr: tuple[int, ...] | None = None) -> ClusterSnapshot:
    """Six plain brokers in three racks, which may go rack by rack."""
    nodes = tuple(a_broker(node, rack=f"az{node % 3}") for node in range(1, 7))
    parts = [a_partition(at, leader=row[0], replicas=row, isr=row) for at, row in enumerate(ROWS)]
    if isr is not None:
        parts[0] = replace(parts[0], isr=isr, leader=isr[0])
    return a_snapshot(a_topic(partitions=parts), cluster=name, brokers=nodes, quorum=None)


def seen(name: str, env: str, snapshot: ClusterSnapshot | None) -> Seen:
    config = ClusterConfig(
        name=name,
        bootstrap_servers=("b1:9092",),
        labels={"env": env},
        ssh=SshConfig(user="ops", key_file=Path("id"), known_hosts_file=Path("known")),
        service=ServiceCommands(stop=("a",), start=("b",), status=("c",)),
        hosts=tuple(HostConfig(broker=node, address=f"b{node}") for node in range(1, 7)),
    )
    return Seen(config, ClusterView(config=config, snapshot=snapshot))


def fleet(**snapshots: ClusterSnapshot | None) -> dict[str, Seen]:
    """Clusters dev, and the three others in production, with changes to some."""
    names = ("dev", "east", "north", "west")
    found = {name: cluster(name) for name in names} | snapshots
    return {name: seen(name, "dev" if name == "dev" else "prod", found[name]) for name in found}


def loops(clusters: Mapping[str, Seen]) -> Mapping[str, ClusterLoop]:
    return cast("Mapping[str, ClusterLoop]", clusters)


def planned(
    clusters: Mapping[str, Seen], measured: Mapping[str, MeasuredRestarts] | None = None
) -> dict[str, Any]:
    spec = spec_of(WAVE)
    parts = parts_of(spec, loops(clusters))
    found = fleet_plan(spec, WAVE, parts, measured or {}, PLAYBOOK)
    written: dict[str, Any] = json.loads(json.dumps(found))
    return written


def refused(
    made: dict[str, Any], clusters: Mapping[str, Seen], playbook: Playbook = PLAYBOOK
) -> list[str]:
    """The differences that a start by the plan is refused with; nothing when it is not."""
    request, filed = taken_out({**made["wave"], "plan": fleet_in_short(made)})
    assert filed is not None
    try:
        require_plan(filed, spec_of(request), playbook, loops(clusters))
    except OrderRefused as error:
        stale = error
    else:
        return []
    assert stale.refusal is Refusal.STALE
    return [row["detail"] for row in stale.facts["differences"]]


def test_there_is_a_plan_for_each_cluster_of_each_stage() -> None:
    found = planned(fleet())
    assert (found["kind"], found["clusters"], found["nodes"]) == ("FleetPlan", 4, 20)
    canary, prod = found["stages"]
    assert [step["brokers"] for step in canary["plans"][0]["steps"]] == [[1], [4]]
    assert [plan["cluster"] for plan in prod["plans"]] == ["east", "north", "west"]
    assert [step["brokers"] for step in prod["plans"][0]["steps"]] == [[1, 4], [2, 5], [3, 6]]
    assert (prod["clustersAtOnce"], prod["approval"]) == (2, "required")
    assert found["wave"] == WAVE


def test_the_duration_counts_clusters_at_once_and_the_soak_of_the_stage() -> None:
    found = planned(fleet())
    one = 60 + 3 * (45 + 60)
    # Three clusters, two at a time: two rounds.
    assert found["stages"][1]["estimatedSeconds"] == 2 * one + 3600
    assert found["stages"][0]["estimatedSeconds"] == 60 + 2 * (45 + 60)
    assert found["estimatedSeconds"] == sum(row["estimatedSeconds"] for row in found["stages"])
    assert found["notes"] == ["the wait for an approval is not part of the duration: prod"]


def test_clusters_with_a_history_are_estimated_from_it() -> None:
    slow = MeasuredRestarts(restarts=(500.0,), starts=(400.0,))
    found = planned(fleet(), {"east": slow})
    assert found["estimatedFrom"] == "history and model"
    assert planned(fleet())["estimatedFrom"] == "model"
    assert found["estimatedSeconds"] > planned(fleet())["estimatedSeconds"]


def test_whoever_can_never_go_is_named_with_the_cluster_and_the_blockers() -> None:
    found = planned(fleet(west=cluster("west", isr=(1, 2))))
    rows = [(row["stage"], row["cluster"], row["broker"]) for row in found["blocked"]]
    assert rows == [("prod", "west", 1), ("prod", "west", 2)]
    assert found["blocked"][0]["blockers"][0]["code"] == "WOULD_GO_UNDER_MIN_ISR"


@pytest.mark.parametrize(
    "snapshot",
    [None, replace(cluster("north"), ages={EvidenceGroup.METADATA: None})],
    ids=["not yet", "nobody answered"],
)
def test_a_cluster_that_nobody_has_seen_is_named_and_its_plan_is_accepted_by_no_wave(
    snapshot: ClusterSnapshot | None,
) -> None:
    found = planned(fleet(north=snapshot))
    assert [row["cluster"] for row in found["notPlanned"]] == ["north"]
    with pytest.raises(OrderRefused, match="north was not planned"):
        taken_out({**WAVE, "plan": {**found, "stages": found["stages"]}})


def test_a_plan_of_the_same_fleet_is_not_stale() -> None:
    assert refused(planned(fleet()), fleet()) == []
    blocked = fleet(west=cluster("west", isr=(1, 2)))
    assert refused(planned(blocked), blocked) == []


def test_every_difference_names_its_cluster() -> None:
    made = planned(fleet())
    nodes = (*cluster("east").brokers, a_broker(7))
    now = fleet(
        east=replace(cluster("east"), brokers=nodes), west=cluster("west", isr=(1, 2)), north=None
    )
    details = refused(made, now)
    assert "the fleet file has no host for broker 7 of east" in details
    assert "east: broker 7 joined the cluster" in details
    assert any(row.startswith("west: broker 1 cannot be taken any more: ") for row in details)
    assert any(row.startswith("north: it has not been observed yet") for row in details)


def test_a_stage_that_selects_other_clusters_is_told() -> None:
    made = planned(fleet())
    more = fleet() | {"south": seen("south", "prod", cluster("south"))}
    assert refused(made, more) == ["south is in stage prod, and the plan does not know it"]
    fewer = {name: each for name, each in fleet().items() if name != "west"}
    assert refused(made, fewer) == ["west is not in stage prod any more"]
    without = {name: each for name, each in fleet().items() if name != "dev"}
    (detail,) = refused(made, without)
    assert "there is no cluster dev in the fleet file" in detail


def test_an_edited_wave_is_held_against_its_plan() -> None:
    made = planned(fleet())
    made["wave"]["stages"][1]["concurrency"] = 1
    assert set(refused(made, fleet())) == {
        f"{name}: the stage has another concurrency than its plan"
        for name in ("east", "north", "west")
    }
    made = planned(fleet())
    made["wave"]["stages"][0]["brokers"] = [1, 2]
    assert refused(made, fleet()) == ["dev: the stage takes other brokers than its plan"]


def test_a_plan_of_one_cluster_starts_no_wave_over_several() -> None:
    plan = planned(fleet())["stages"][0]["plans"][0]
    _, filed = taken_out({**WAVE, "plan": plan})
    assert filed is not None
    with pytest.raises(OrderRefused, match="the plan is of one cluster, and the wave is not"):
        require_plan(filed, spec_of(WAVE), PLAYBOOK, loops(fleet()))


def test_the_fingerprint_of_a_fleet_follows_that_of_every_cluster() -> None:
    one = planned(fleet())["fingerprint"]
    assert one == planned(fleet())["fingerprint"]
    other = fleet(west=replace(cluster("west"), topics=()))
    assert one != planned(other)["fingerprint"]


def test_another_playbook_and_another_inventory_are_told() -> None:
    made = planned(fleet())
    first, *others = PLAYBOOK.steps
    edited = replace(PLAYBOOK, steps=(replace(first, timeout=77.0), *others))
    assert refused(made, fleet(), edited) == [
        "the playbook rolling-restart does something else now"
    ]
    now = fleet()
    hosts = (HostConfig(broker=1, address="elsewhere"), *now["west"].config.hosts[1:])
    now["west"].config = replace(now["west"].config, hosts=hosts)
    assert refused(made, now) == ["west: the fleet file has another host for broker 1"]
