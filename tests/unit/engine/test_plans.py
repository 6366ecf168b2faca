"""Waves by a plan that was made before: taken as they were looked at, or refused."""

import json
from typing import Any

import pytest
from support.engine import Life, Plant, request
from support.virtual_time import in_virtual_time

from healthd.engine.plans import live_plan
from healthd.engine.view import OrderRefused, Refusal, WaveView
from healthd.waves.plan_file import in_short, read_plan
from healthd.waves.policy import WavePolicy


def plan_of(life: Life, **given: Any) -> dict[str, Any]:
    found = live_plan(life.loop.view, nodes=None, concurrency=1, given=given)
    written: dict[str, Any] = json.loads(json.dumps(found))
    return written


def by_plan(made: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The request that the command line sends."""
    taken = list(read_plan(made).taken)
    return request(brokers=taken, **changes) | {"plan": in_short(made)}


async def refusal(life: Life, asked: dict[str, Any]) -> OrderRefused:
    with pytest.raises(OrderRefused) as refused:
        await life.waves.start(asked, by="ada")
    assert not life.waves.views()
    return refused.value


@in_virtual_time
async def test_a_wave_by_a_plan_that_is_true_does_what_it_says() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    made = plan_of(life)
    assert [step["brokers"] for step in made["steps"]] == [[2], [3], [1]]
    view = await life.waves.start(by_plan(made), by="ada")
    assert isinstance(view, WaveView)
    assert [run.node for run in view.state.nodes] == [1, 2, 3]
    assert await life.until_ended(view.state.wave) == "succeeded"
    assert [host for host, verb in life.executor.changes() if verb == "stop"] == ["b2", "b3", "b1"]
    await life.die()


@in_virtual_time
async def test_a_stale_plan_is_refused_with_every_difference_and_nothing_is_leased() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    made = plan_of(life)
    plant.cluster.create_topic("new", [(1, 2, 3)], min_insync_replicas=2)
    await life.until(lambda: len(life.loop.view.snapshot.topics) == 2)  # type: ignore[union-attr]
    refused = await refusal(life, by_plan(made))
    assert refused.refusal is Refusal.STALE
    assert "stale, nothing was started" in str(refused)
    changes = {row["change"]: row["detail"] for row in refused.facts["differences"]}
    assert changes["topics"] == "the cluster had 1 topics and has 2"
    assert await life.start_wave([2])
    await life.die()


@in_virtual_time
async def test_a_plan_whose_broker_has_died_since_is_stale() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    made = plan_of(life)
    plant.cluster.kill(3)
    plant.host(3).is_running = False
    await life.until(lambda: not life.loop.view.snapshot.brokers_by_id[3].alive)  # type: ignore[union-attr]
    refused = await refusal(life, by_plan(made))
    details = [row["detail"] for row in refused.facts["differences"]]
    assert any(row.startswith("broker 1 cannot be taken any more: ") for row in details)
    assert "broker 3 was a controller and is down, fenced or not running" in details
    await life.die()


@in_virtual_time
async def test_a_plan_that_names_a_broker_which_is_not_there_is_stale_and_not_only_wrong() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    made = plan_of(life)
    made["steps"].append({"brokers": [9], "role": "broker"})
    made["nodes"].append(made["nodes"][0] | {"id": 9})
    made["fingerprint"] = "0" * 64
    refused = await refusal(life, by_plan(made))
    assert refused.refusal is Refusal.STALE
    assert refused.facts["differences"][0]["detail"] == "broker 9 left the cluster"
    await life.die()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"cluster": "orders"}, "the plan is for cluster orders, the wave for payments"),
        ({"madeFrom": "kcat"}, "no wave accepts a plan made from what kcat prints"),
        ({"fingerprint": 3}, "the plan cannot be read: plan.fingerprint: must be text"),
        ({"policy": {"margin": 1}}, "the plan was made with margin 1, the wave has 0"),
        ({"concurrency": 2}, "the wave has another concurrency than its plan"),
        ({"steps": [{"brokers": [1], "role": "controller"}], "blocked": []},
         "the wave does not name the brokers that its plan takes"),
    ],
)  # fmt: skip
@in_virtual_time
async def test_a_plan_that_is_not_the_waves_own_is_refused(
    changes: dict[str, Any], says: str
) -> None:
    plant = Plant()
    life = await Life(plant).begin()
    made = plan_of(life)
    refused = await refusal(life, by_plan(made) | {"plan": in_short(made | changes)})
    assert refused.refusal is Refusal.INVALID
    assert says in str(refused)
    await life.die()


@in_virtual_time
async def test_a_daemon_that_has_not_looked_yet_cannot_tell() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    made = plan_of(life)
    again = Life(plant)
    await again.waves.load()
    refused = await refusal(again, by_plan(made))
    assert refused.refusal is Refusal.CONFLICT
    assert "has not been observed yet" in str(refused)
    await life.die()


@in_virtual_time
async def test_the_clusters_own_policy_counts_where_the_question_says_nothing() -> None:
    plant = Plant()
    config = plant.config(wave_policy=WavePolicy(margin=1, soak_seconds=600))
    life = await Life(plant, config=config).begin()
    made = plan_of(life)
    assert made["policy"]["margin"] == 1
    assert not any(row["broker"] for row in made["blocked"])
    assert made["estimatedSeconds"] > 3 * 600
    assert plan_of(life, margin=0)["policy"]["margin"] == 0
    await life.die()


@in_virtual_time
async def test_another_inventory_than_the_plan_was_made_with_makes_it_stale() -> None:
    plant = Plant()
    life = await Life(plant).begin()
    made = plan_of(life)
    made["inventory"]["broker:3"] = "another"
    refused = await refusal(life, by_plan(made))
    assert refused.refusal is Refusal.STALE
    (row,) = refused.facts["differences"]
    assert row["change"] == "inventory"
    assert row["detail"] == "the fleet file has another host for broker 3"
    await life.die()
