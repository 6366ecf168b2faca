"""Plans over HTTP: of a cluster, and of a wave file."""

from typing import Any

import httpx2
import pytest
from support.daemon import InMemoryDaemon, unseen_view

from healthd.engine.view import OrderRefused, Refusal
from healthd.waves.planner_duration import MeasuredRestarts

WAVE = {"apiVersion": "healthd/v1", "kind": "Wave", "name": "june", "playbook": "p", "stages": []}


async def planned(client: httpx2.AsyncClient, **query: Any) -> Any:
    response = await client.get("/api/v1/clusters/payments/plan", params=query)
    assert response.status_code == 200, response.text
    return response.json()


async def test_a_plan_is_open_to_whoever_may_read(anybody: httpx2.AsyncClient) -> None:
    found = await planned(anybody)
    assert [step["brokers"] for step in found["steps"]] == [[2], [3], [1]]
    assert found["policy"]["margin"] == 0


async def test_the_question_says_which_nodes_and_how_carefully(anybody: httpx2.AsyncClient) -> None:
    found = await planned(anybody, brokers="3", concurrency="safe", margin=1, assumeMinIsr=1)
    assert [step["brokers"] for step in found["steps"]] == [[3]]
    assert (found["concurrency"], found["policy"]["margin"]) == ("safe", 1)


async def test_what_was_measured_is_the_duration(
    anybody: httpx2.AsyncClient, daemon: InMemoryDaemon
) -> None:
    before = await planned(anybody)
    daemon.restarts["payments"] = MeasuredRestarts(restarts=(900.0,), starts=(800.0,))
    after = await planned(anybody)
    assert (before["estimatedFrom"], after["estimatedFrom"]) == ("model", "history")
    assert after["measuredRestarts"] == 1
    assert after["estimatedSeconds"] - before["estimatedSeconds"] == 3 * (900 - 45)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"brokers": "9"}, "brokers: unknown broker 9"),
        ({"brokers": "1,x"}, "brokers: must be all, or ids"),
        ({"concurrency": "0"}, "concurrency: must be a number from 1, or safe"),
        ({"concurrency": "many"}, "concurrency: must be a number from 1, or safe"),
        ({"margin": -1}, "query.margin"),
        ({"assumeMinIsr": 0}, "query.assumeMinIsr"),
    ],
)
async def test_a_wrong_question_is_refused_with_the_place(
    anybody: httpx2.AsyncClient, query: dict[str, Any], says: str
) -> None:
    response = await anybody.get("/api/v1/clusters/payments/plan", params=query)
    assert response.status_code == 422
    assert says in response.json()["detail"]


async def test_a_cluster_that_was_not_seen_yet_has_no_plan(
    anybody: httpx2.AsyncClient, daemon: InMemoryDaemon
) -> None:
    daemon.views["dark"] = unseen_view()
    response = await anybody.get("/api/v1/clusters/dark/plan")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")


async def test_a_wave_file_is_planned_and_nothing_is_written(
    client: httpx2.AsyncClient, daemon: InMemoryDaemon
) -> None:
    daemon.fleet_plan = {"kind": "FleetPlan"}
    response = await client.post("/api/v1/plans", json=WAVE)
    assert (response.status_code, response.json()) == (200, {"kind": "FleetPlan", "wave": WAVE})
    assert not daemon.records


async def test_a_wave_file_that_could_not_be_started_is_refused_in_the_same_words(
    client: httpx2.AsyncClient, daemon: InMemoryDaemon
) -> None:
    daemon.refusal = OrderRefused(Refusal.INVALID, "stage prod selects nothing", problems=[])
    response = await client.post("/api/v1/plans", json=WAVE)
    assert (response.status_code, response.json()["detail"]) == (422, "stage prod selects nothing")


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"a": 1, "a": 2}'])
async def test_a_body_that_is_no_wave_file_is_refused(
    client: httpx2.AsyncClient, body: bytes
) -> None:
    response = await client.post("/api/v1/plans", content=body)
    assert response.status_code == 422
    assert response.json()["type"].endswith(":invalid-request")


async def test_a_stale_plan_is_409_with_every_difference(
    client: httpx2.AsyncClient, daemon: InMemoryDaemon
) -> None:
    rows = [{"change": "rack", "brokers": [3], "detail": "broker 3 was in rack a and is in b"}]
    daemon.refusal = OrderRefused(Refusal.STALE, "the plan is stale", differences=rows)
    response = await client.post("/api/v1/waves", json=WAVE)
    assert response.status_code == 409
    found = response.json()
    assert (found["type"], found["differences"]) == ("urn:healthd:problem:plan-stale", rows)
