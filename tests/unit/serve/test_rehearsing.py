"""A wave that is rehearsed on the live snapshot before it is started."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from support.daemon import InMemoryDaemon
from support.rehearsals import cluster_document

from healthd.model.parse import snapshot_of
from healthd.rehearsal.files import read_rehearsal
from healthd.rehearsal.running import rehearse
from healthd.serve import rehearsing
from healthd.serve.problems import ProblemError
from healthd.serve.rehearsing import Wanted, in_a_process, rehearsed

WAVE = {
    "apiVersion": "healthd/v1",
    "kind": "Wave",
    "name": "june",
    "reason": "CHG-1",
    "playbook": "rolling-restart",
    "stages": [{"name": "all", "clusters": ["payments"], "brokers": "all"}],
    "policy": {"soakSeconds": 30},
}


def seeing(daemon: InMemoryDaemon, document: Mapping[str, Any]) -> InMemoryDaemon:
    """The daemon with this snapshot of its cluster, and the plan that goes with it."""
    snapshot = snapshot_of(dict(document))
    daemon.views["payments"] = replace(daemon.views["payments"], snapshot=snapshot)
    steps = [{"brokers": [broker.id]} for broker in snapshot.brokers]
    plans = [{"cluster": "payments", "steps": steps, "blocked": []}]
    daemon.fleet_plan = {"stages": [{"name": "all", "plans": plans}]}
    return daemon


async def here(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Rehearsing in this process, which a test has no time to leave."""
    answer: dict[str, Any] = rehearse(read_rehearsal(json.dumps(document).encode(), "-")).as_json()
    return answer


def broken() -> dict[str, Any]:
    """A cluster of which one broker holds a partition alone."""
    document = cluster_document()
    lonely = {"id": 0, "leader": 5, "replicas": [5], "isr": [5]}
    document["topics"].append({"name": "lonely", "minInsyncReplicas": 1, "partitions": [lonely]})
    return document


@pytest.fixture
def app_of(monkeypatch: pytest.MonkeyPatch, client: httpx2.AsyncClient) -> httpx2.AsyncClient:
    transport: Any = client._transport
    transport.app.state.rehearse = here
    return client


async def test_a_wave_that_would_succeed_is_started_with_its_rehearsal(
    daemon: InMemoryDaemon, app_of: httpx2.AsyncClient
) -> None:
    seeing(daemon, cluster_document())
    response = await app_of.post("/api/v1/waves", json={**WAVE, "rehearse": True})
    assert response.status_code == 201, response.text
    (found,) = response.json()["rehearsal"]["clusters"]
    assert (found["cluster"], found["outcome"], found["isGood"]) == ("payments", "succeeded", True)
    assert found["order"] == [2, 3, 1, 4, 5]
    assert daemon.requests[0][0] == WAVE
    kept = await app_of.get(f"/api/v1/waves/{response.json()['wave']}/rehearsal")
    assert kept.json() == response.json()["rehearsal"]


async def test_a_wave_that_would_hold_is_not_started(
    daemon: InMemoryDaemon, app_of: httpx2.AsyncClient
) -> None:
    seeing(daemon, broken())
    response = await app_of.post("/api/v1/waves", json={**WAVE, "rehearse": True})
    assert response.status_code == 409
    problem = response.json()
    assert problem["type"].endswith(":rehearsal-failed")
    assert "payments would be holding (RF_ONE lonely-0)" in problem["detail"]
    assert problem["rehearsal"][0]["blocked"][0]["broker"] == 5
    assert not daemon.requests


async def test_even_so_it_is_started_and_what_came_of_it_is_kept(
    daemon: InMemoryDaemon, app_of: httpx2.AsyncClient
) -> None:
    seeing(daemon, broken())
    asked = {**WAVE, "rehearse": True, "evenSo": True}
    response = await app_of.post("/api/v1/waves", json=asked)
    assert response.status_code == 201
    found = response.json()["rehearsal"]
    assert (found["evenSo"], found["clusters"][0]["outcome"]) == (True, "holding")
    wave = response.json()["wave"]
    report = await app_of.get(f"/api/v1/waves/{wave}/report")
    assert report.json()["rehearsal"] == found
    page = await app_of.get(f"/api/v1/waves/{wave}/report?format=markdown")
    assert "- payments would be holding (RF_ONE lonely-0) after" in page.text
    assert "started whatever came of that" in page.text


async def test_a_wave_by_a_plan_and_a_dry_run_are_rehearsed_as_the_wave_that_they_are(
    daemon: InMemoryDaemon,
) -> None:
    seeing(daemon, cluster_document())
    found = await rehearsed(
        {**WAVE, "plan": {"cluster": "payments"}, "dryRun": True}, Wanted(), daemon, rehearse=here
    )
    assert found["clusters"][0]["outcome"] == "succeeded"


async def test_without_a_rehearsal_there_is_none_to_see(
    daemon: InMemoryDaemon, app_of: httpx2.AsyncClient
) -> None:
    started = await app_of.post("/api/v1/waves", json=WAVE)
    assert "rehearsal" not in started.json()
    response = await app_of.get(f"/api/v1/waves/{started.json()['wave']}/rehearsal")
    assert response.status_code == 404


@pytest.mark.parametrize(
    ("more", "path"),
    [
        pytest.param({"rehearse": "yes"}, "rehearse", id="rehearse is no truth value"),
        pytest.param({"evenSo": 1, "rehearse": True}, "evenSo", id="even so is none"),
        pytest.param({"evenSo": True}, "evenSo", id="even so without a rehearsal"),
    ],
)
async def test_a_wish_that_makes_no_sense_is_named(
    app_of: httpx2.AsyncClient, more: dict[str, Any], path: str
) -> None:
    response = await app_of.post("/api/v1/waves", json={**WAVE, **more})
    assert response.status_code == 422
    assert response.json()["problems"][0]["path"] == path


async def test_a_rehearsal_that_takes_too_long_starts_nothing(daemon: InMemoryDaemon) -> None:
    seeing(daemon, cluster_document())
    with pytest.raises(ProblemError) as caught:
        await rehearsed(WAVE, Wanted(), daemon, rehearse=in_a_process(), limit_seconds=0.05)
    assert "not done within 0.05 s; nothing was started" in caught.value.detail


async def test_a_process_of_its_own_gives_the_answer_of_the_command(
    daemon: InMemoryDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeing(daemon, cluster_document())
    monkeypatch.setattr(rehearsing, "_UNTIL_SECONDS", 45)
    found = await rehearsed(WAVE, Wanted(even_so=True), daemon, rehearse=in_a_process())
    assert found["clusters"][0]["outcome"] == "running"
    assert found["clusters"][0]["makespanSeconds"] == 45


async def test_what_cannot_be_rehearsed_is_said(daemon: InMemoryDaemon) -> None:
    seeing(daemon, cluster_document())
    wave = {**WAVE, "playbook": "no-such"}
    with pytest.raises(ProblemError) as caught:
        await rehearsed(wave, Wanted(even_so=True), daemon, rehearse=in_a_process())
    assert "there is no playbook no-such" in caught.value.detail
