"""Waves over several clusters over HTTP: lists, approvals, orders, reports and metrics."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from support.daemon import wave_state
from support.fleet_views import dry_fleet, waiting_fleet

from healthd.serve.app import create_app
from healthd.serve.people import NamedTokensAuth
from healthd.waves.spec_stage import Approval

WHO = {"X-Healthd-User": "ben"}


@pytest.fixture
def fleet(daemon: Any) -> str:
    """A wave whose first stage waits for its approval."""
    return str(daemon.fleet_waves.put(waiting_fleet()).state.wave)


def begin_child(daemon: Any, fleet: str) -> str:
    """The first cluster of an approved wave is at work."""
    daemon.fleet_waves.put(waiting_fleet(approval=None))
    child = f"{fleet}.1.payments"
    daemon.fleet_waves.children = {child: daemon.put(wave_state(child))}
    return child


async def test_a_list_shows_the_whole_wave_and_not_its_parts(
    daemon: Any, client: Any, fleet: str
) -> None:
    begin_child(daemon, fleet)
    (found,) = (await client.get("/api/v1/waves")).json()["waves"]
    assert (found["wave"], found["kind"], found["clusters"]) == (
        fleet,
        "fleet",
        ["payments", "orders"],
    )
    assert found["nodeCounts"]["done"] == 1
    assert found["nodeCounts"]["pending"] == 4
    assert found["inFlight"] == [{"cluster": "payments", "node": 1}]


async def test_what_waits_for_an_approval_says_what_would_be_done(client: Any, fleet: str) -> None:
    (found,) = (await client.get("/api/v1/approvals")).json()["approvals"]
    assert found["wave"] == fleet
    assert (found["stage"], found["approval"], found["requestedBy"]) == (
        "canary",
        "required",
        "ann",
    )
    assert found["clusters"] == [{"cluster": "payments", "nodes": [1, 2, 3]}]


async def test_an_approval_names_who_and_why(client: Any, fleet: str) -> None:
    found = await client.post(
        f"/api/v1/waves/{fleet}/approve", json={"reason": "seen"}, headers=WHO
    )
    assert found.status_code == 200, found.text
    stage = found.json()["stages"][0]
    assert (stage["approved"]["by"], stage["approved"]["reason"]) == ("ben", "seen")
    assert (await client.get("/api/v1/approvals")).json() == {"approvals": []}


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"reason": "x", "stage": "prod"}, 409, "needs no approval"),
        ({"reason": "x", "stage": "nope"}, 409, "no stage nope"),
        ({"reason": " "}, 422, "say why"),
        ({}, 422, "reason"),
    ],
    ids=["none needed", "unknown", "empty reason", "no reason"],
)
async def test_an_approval_that_does_not_fit_is_refused(
    client: Any, fleet: str, body: dict[str, Any], status: int, words: str
) -> None:
    found = await client.post(f"/api/v1/waves/{fleet}/approve", json=body, headers=WHO)
    assert found.status_code == status
    assert words in found.text


async def test_two_persons_are_not_proven_by_one_shared_token(daemon: Any, client: Any) -> None:
    daemon.fleet_waves.put(waiting_fleet(approval=Approval.TWO_PERSON))
    found = await client.post("/api/v1/waves/june/approve", json={"reason": "x"}, headers=WHO)
    assert found.status_code == 403
    assert "tokensFile" in found.text


async def test_a_wave_on_one_cluster_has_nothing_to_approve(daemon: Any, client: Any) -> None:
    daemon.put(wave_state("w1"))
    found = await client.post("/api/v1/waves/w1/approve", json={"reason": "x"}, headers=WHO)
    assert found.status_code == 409


async def test_a_pause_is_for_the_whole_wave(client: Any, fleet: str) -> None:
    found = await client.post(f"/api/v1/waves/{fleet}/pause", json={"reason": "look"}, headers=WHO)
    assert found.json()["status"] == "paused"
    assert found.json()["pauses"][0]["by"] == "ben"


@pytest.mark.parametrize(
    ("verb", "cluster"),
    [("retry", "payments"), ("skip", None)],
)
async def test_orders_about_a_broker_go_to_its_cluster(
    daemon: Any, client: Any, fleet: str, verb: str, cluster: str | None
) -> None:
    body = {"reason": "x", "node": 3} | ({} if cluster is None else {"cluster": cluster})
    found = await client.post(f"/api/v1/waves/{fleet}/{verb}", json=body, headers=WHO)
    assert found.status_code == 200, found.text
    assert daemon.fleet_waves.node_orders == [(verb, cluster, 3)]


async def test_a_cluster_that_waits_is_left_out(client: Any, fleet: str) -> None:
    body = {"reason": "sold", "cluster": "orders"}
    found = (await client.post(f"/api/v1/waves/{fleet}/skip", json=body, headers=WHO)).json()
    assert found["stages"][1]["clusters"][0]["status"] == "skipped"


async def test_a_cluster_is_no_part_of_an_order_to_a_lone_wave(daemon: Any, client: Any) -> None:
    daemon.put(wave_state("w1"))
    body = {"reason": "x", "cluster": "payments", "node": 3}
    assert (await client.post("/api/v1/waves/w1/skip", json=body, headers=WHO)).status_code == 422


async def test_a_report_tells_stages_and_clusters(client: Any, fleet: str) -> None:
    found = (await client.get(f"/api/v1/waves/{fleet}/report")).json()
    assert [stage["name"] for stage in found["stages"]] == ["canary", "prod"]
    assert [cluster["cluster"] for cluster in found["clusters"]] == ["payments", "orders"]
    page = (await client.get(f"/api/v1/waves/{fleet}/report", params={"format": "markdown"})).text
    assert "| payments | canary | pending | 0/3 | - | june.1.payments |" in page


async def test_nothing_is_counted_twice(daemon: Any, client: Any, fleet: str) -> None:
    child = begin_child(daemon, fleet)
    page = (await client.get("/metrics")).text
    assert child not in page
    assert f'healthd_wave_state{{state="running",wave="{fleet}"}} 1.0' in page
    assert f'healthd_wave_brokers{{state="done",wave="{fleet}"}} 1.0' in page
    assert f'healthd_wave_in_flight{{kafka_cluster="payments",wave="{fleet}"}} 1.0' in page
    assert f'healthd_gate_open{{kafka_cluster="payments",wave="{fleet}"}} 0.0' in page


async def test_a_dry_run_says_so_everywhere_and_is_in_no_metric(daemon: Any, client: Any) -> None:
    fleet = daemon.fleet_waves.put(dry_fleet()).state.wave
    child = f"{fleet}.1.payments"
    daemon.fleet_waves.children = {child: daemon.put(wave_state(child, is_dry_run=True))}
    (row,) = (await client.get("/api/v1/waves")).json()["waves"]
    assert (row["wave"], row["dryRun"]) == ("dry-run-june", True)
    found = (await client.get(f"/api/v1/waves/{fleet}")).json()
    assert found["dryRun"] is True
    assert [stage["leftOut"] for stage in found["stages"]] == [
        {"approval": "two-person", "soakSeconds": 3600.0},
        None,
    ]
    assert (await client.get("/api/v1/approvals")).json() == {"approvals": []}
    report = (await client.get(f"/api/v1/waves/{fleet}/report")).json()
    assert (report["dryRun"], report["commands"]) == (True, [])
    path = f"/api/v1/waves/{fleet}/report"
    page = (await client.get(path, params={"format": "markdown"})).text
    assert page.startswith("# Dry run dry-run-june: running\n")
    assert "- **Stage canary** would have asked for an approval (two-person) and waited" in page
    assert fleet not in (await client.get("/metrics")).text
    (cluster,) = (await client.get("/api/v1/clusters")).json()["clusters"]
    assert cluster["waves"] == []


ROLES = {"ann": "operator, approver", "ben": "operator, approver", "eve": "operator"}


@pytest.fixture
async def people(daemon: Any, tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """Ann, who starts waves, and ben may approve; eve may not."""
    listed = ""
    for name, roles in ROLES.items():
        (tmp_path / name).write_text(f"{name}-token-of-some-length")
        (tmp_path / name).chmod(0o600)
        listed += f"  - {{name: {name}, roles: [{roles}], tokenFile: {name}}}\n"
    path = tmp_path / "tokens.yaml"
    path.write_text(f"apiVersion: healthd/v1\nkind: Tokens\ntokens:\n{listed}")
    app = create_app(daemon, NamedTokensAuth(path), open_reads=True)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://healthd") as client:
        yield client


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("ann", 409, "wants two people"),
        ("eve", 403, "needs the role approver"),
        ("ben", 200, '"by":"ben"'),
    ],
)
async def test_the_second_person_is_who_their_own_token_says(
    daemon: Any, people: httpx2.AsyncClient, name: str, status: int, words: str
) -> None:
    daemon.fleet_waves.put(waiting_fleet(approval=Approval.TWO_PERSON))
    # What a client claims beside its token proves nothing.
    headers = {"Authorization": f"Bearer {name}-token-of-some-length", **WHO}
    found = await people.post(
        "/api/v1/waves/june/approve", json={"reason": "seen"}, headers=headers
    )
    assert found.status_code == status, found.text
    assert words in found.text
