"""Profiles, verdicts and overrides over HTTP."""

import asyncio

import httpx2
import pytest
from support.daemon import InMemoryDaemon, a_router, config_of

from healthd.config.profiles import ProfileConfig
from healthd.routing.verdict import Forced, RoutingState
from healthd.store.errors import StoreFull
from healthd.store.memory import MemoryStore

ROUTE = "/api/v1/routes/NAD1700"
FORCE = {"cluster": "payments", "state": "OUT", "seconds": 600, "reason": "drill"}


@pytest.fixture
def daemon() -> InMemoryDaemon:
    made = InMemoryDaemon()
    clusters = (config_of("payments"), config_of("west"))
    profile = ProfileConfig(name="NAD1700", members=("payments", "west"))
    made.router = a_router(clusters, (profile,))
    return made


async def force_out(daemon: InMemoryDaemon, cluster: str = "payments") -> None:
    forced = Forced(state=RoutingState.OUT, by="ann", reason="drill", seconds_left=600)
    await daemon.router.force(cluster, forced, by="ann", reason="drill")


def members(response: httpx2.Response) -> list[str]:
    return [member["cluster"] for member in response.json()["members"]]


async def test_a_profile_names_its_clusters_with_how_to_connect(
    anybody: httpx2.AsyncClient,
) -> None:
    response = await anybody.get(ROUTE)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json()["members"][0] == {
        "cluster": "payments",
        "verdict": "IN",
        "weight": 100.0,
        "bootstrapServers": ["b1:9092"],
        "securityProtocol": "PLAINTEXT",
    }
    assert members(response) == ["payments", "west"]


async def test_a_client_that_has_the_answer_is_told_so(anybody: httpx2.AsyncClient) -> None:
    etag = (await anybody.get(ROUTE)).headers["etag"]
    for known in (etag, f"W/{etag}"):
        again = await anybody.get(ROUTE, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    other = await anybody.get(ROUTE, headers={"If-None-Match": '"something-else"'})
    assert other.status_code == 200


async def test_who_waits_is_answered_when_something_moves(
    anybody: httpx2.AsyncClient, daemon: InMemoryDaemon
) -> None:
    etag = (await anybody.get(ROUTE)).headers["etag"].strip('"')
    waiting = asyncio.create_task(anybody.get(ROUTE, params={"wait": "30s", "since": etag}))
    await asyncio.sleep(0)
    await force_out(daemon)
    response = await waiting
    assert (response.status_code, members(response)) == (200, ["west"])


async def test_who_waits_for_nothing_is_told_that_nothing_moved(
    anybody: httpx2.AsyncClient,
) -> None:
    etag = (await anybody.get(ROUTE)).headers["etag"].strip('"')
    response = await anybody.get(ROUTE, params={"wait": "0.01s", "since": etag})
    assert response.status_code == 304


async def test_an_unknown_tag_is_answered_at_once(anybody: httpx2.AsyncClient) -> None:
    response = await anybody.get(ROUTE, params={"wait": "60s", "since": "of-another-daemon"})
    assert response.status_code == 200


@pytest.mark.parametrize("wait", ["soon", "-1s", "61s", "1e3", "1m"])
async def test_a_wait_that_is_no_time_is_refused(anybody: httpx2.AsyncClient, wait: str) -> None:
    response = await anybody.get(ROUTE, params={"wait": wait})
    assert response.status_code == 422
    assert response.json()["problems"][0]["path"] == "query.wait"


async def test_a_profile_that_is_not_there_is_404_and_names_those_that_are(
    anybody: httpx2.AsyncClient,
) -> None:
    response = await anybody.get("/api/v1/routes/NAD9")
    assert (response.status_code, response.json()["type"]) == (
        404,
        "urn:healthd:problem:unknown-profile",
    )
    assert "NAD1700" in response.json()["detail"]


async def test_an_operator_forces_a_cluster_out_and_takes_it_back(
    client: httpx2.AsyncClient, daemon: InMemoryDaemon
) -> None:
    response = await client.post("/api/v1/overrides", json=FORCE)
    assert response.status_code == 201
    assert response.json()["forced"] == {
        "state": "OUT", "by": "ann", "reason": "drill", "secondsLeft": 600.0,
    }  # fmt: skip
    assert members(await client.get(ROUTE)) == ["west"]
    (listed,) = (await client.get("/api/v1/overrides")).json()["overrides"]
    assert (listed["cluster"], listed["state"]) == ("payments", "OUT")
    lifted = await client.post("/api/v1/overrides/payments/lift", json={"reason": "over"})
    assert lifted.json()["forced"] is None
    assert members(await client.get(ROUTE)) == ["payments", "west"]
    again = await client.post("/api/v1/overrides/payments/lift", json={"reason": "over"})
    assert (again.status_code, again.json()["type"]) == (409, "urn:healthd:problem:conflict")


@pytest.mark.parametrize(
    "change", [{"seconds": 0}, {"seconds": 1e9}, {"reason": ""}, {"state": "MAYBE"}, {"x": 1}]
)
async def test_an_override_without_end_reason_or_sense_is_refused(
    client: httpx2.AsyncClient, change: dict[str, object]
) -> None:
    response = await client.post("/api/v1/overrides", json=FORCE | change)
    assert (response.status_code, response.json()["type"]) == (
        422,
        "urn:healthd:problem:invalid-request",
    )


async def test_an_override_that_cannot_be_written_changes_nothing(
    client: httpx2.AsyncClient, daemon: InMemoryDaemon
) -> None:
    store = daemon.router._store.store
    assert isinstance(store, MemoryStore)
    store.fail_writes_with = StoreFull("the disk is full", where="/state", todo="make room")
    response = await client.post("/api/v1/overrides", json=FORCE)
    assert (response.status_code, response.json()["type"]) == (503, "urn:healthd:problem:store")
    assert members(await client.get(ROUTE)) == ["payments", "west"]


async def test_the_list_has_every_profile_and_every_verdict(anybody: httpx2.AsyncClient) -> None:
    found = (await anybody.get("/api/v1/routes")).json()
    assert [profile["profile"] for profile in found["profiles"]] == ["NAD1700"]
    assert [verdict["cluster"] for verdict in found["verdicts"]] == ["payments"]
    assert (found["dryRun"], found["suspect"]) == (False, [])
