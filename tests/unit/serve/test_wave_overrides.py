"""Overrides over HTTP: by a proven second person, and refused with the reason."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from support.daemon import InMemoryDaemon, wave_state
from support.fleet_views import waiting_fleet

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.serve.app import create_app
from healthd.serve.people import NamedTokensAuth
from healthd.waves.state import Hold

TOKENS = {name: f"{name}-token-of-some-length" for name in ("ann", "ben")}
FREEZE = Reason(code=ReasonCode.FREEZE, object="cluster:payments", detail="year end")
BODY = {"code": "FREEZE", "object": "cluster:payments", "seconds": 1800, "reason": "INC-7"}
PATH = "/api/v1/waves/w1/override"


@pytest.fixture
async def people(daemon: InMemoryDaemon, tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """Ann, who starts waves, and ben; both may approve."""
    listed = ""
    for name, token in TOKENS.items():
        (tmp_path / name).write_text(token)
        (tmp_path / name).chmod(0o600)
        listed += f"  - {{name: {name}, roles: [operator, approver], tokenFile: {name}}}\n"
    path = tmp_path / "tokens.yaml"
    path.write_text(f"apiVersion: healthd/v1\nkind: Tokens\ntokens:\n{listed}")
    state = wave_state(holds=(Hold(reason=FREEZE, since=0.0),))
    daemon.put(replace(state, requested_by="ann"))
    app = create_app(daemon, NamedTokensAuth(path), open_reads=True)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://healthd") as client:
        yield client


async def ask(people: httpx2.AsyncClient, name: str = "ben", **changes: Any) -> httpx2.Response:
    return await people.post(
        PATH, json=BODY | changes, headers={"Authorization": f"Bearer {TOKENS[name]}"}
    )


async def test_a_second_person_overrides_and_the_wave_shows_it(people: httpx2.AsyncClient) -> None:
    answer = await ask(people)
    assert answer.status_code == 200, answer.text
    (override,) = answer.json()["overrides"]
    assert override["by"] == "ben"
    assert override["until"] == "2026-01-01T12:30:00Z"
    assert override["secondsLeft"] == 1800.0
    shown = (await people.get("/api/v1/waves/w1")).json()
    assert shown["overrides"] == [override]


@pytest.mark.parametrize(
    ("name", "changes", "status", "said"),
    [
        ("ann", {}, 409, "ann started the wave"),
        ("ben", {"code": "PARTITION_UNDER_MIN_ISR", "object": "orders-0"}, 409, "protects data"),
        ("ben", {"object": "cluster:other"}, 409, "has no hold FREEZE cluster:other"),
        ("ben", {"code": "NONSENSE"}, 422, "code"),
        ("ben", {"seconds": 8 * 3600 + 1}, 422, "seconds"),
        ("ben", {"seconds": 0}, 422, "seconds"),
        ("ben", {"reason": " "}, 422, "say why"),
        ("ben", {"object": ""}, 422, "object"),
        ("ben", {"more": 1}, 422, "more"),
    ],
)
async def test_what_may_not_be_is_refused_with_the_reason(
    people: httpx2.AsyncClient, name: str, changes: dict[str, Any], status: int, said: str
) -> None:
    answer = await ask(people, name, **changes)
    assert answer.status_code == status, answer.text
    assert said in answer.text


async def test_the_one_shared_token_is_no_second_person(
    client: httpx2.AsyncClient, daemon: InMemoryDaemon
) -> None:
    daemon.put(wave_state(holds=(Hold(reason=FREEZE, since=0.0),)))
    answer = await client.post(PATH, json=BODY, headers={"X-Healthd-User": "ben"})
    assert answer.status_code == 403
    assert "tokensFile" in answer.json()["detail"]


async def test_a_wave_over_several_clusters_says_whose_holds_can_be_overridden(
    people: httpx2.AsyncClient, daemon: InMemoryDaemon
) -> None:
    fleet = waiting_fleet(approval=None)
    daemon.fleet_waves.put(fleet)
    answer = await people.post(
        f"/api/v1/waves/{fleet.wave}/override",
        json=BODY,
        headers={"Authorization": f"Bearer {TOKENS['ben']}"},
    )
    assert answer.status_code == 409, answer.text
    active = [each.child for each in fleet.members if each.status.is_active]
    assert active
    assert f"name the wave of one, {active[0]}" in answer.json()["detail"]
