"""History over HTTP: what was, what changed, and clear answers to bad questions."""

from dataclasses import replace
from typing import Any

import httpx2
import pytest
from support.daemon import InMemoryDaemon
from support.incident import ROWS, record

from healthd.store.errors import StoreUnusable

NIGHT = {"from": "2026-01-01T02:00:00Z", "to": "2026-01-01T03:10:00Z"}


@pytest.fixture
def asked(daemon: InMemoryDaemon, anybody: httpx2.AsyncClient) -> httpx2.AsyncClient:
    record(daemon.store)
    return anybody


async def told(client: httpx2.AsyncClient, path: str, **params: Any) -> Any:
    answer = await client.get(f"/api/v1/history{path}", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def refused(client: httpx2.AsyncClient, path: str, **params: Any) -> tuple[int, str, str]:
    answer = await client.get(f"/api/v1/history{path}", params=params)
    body = answer.json()
    return answer.status_code, body["type"].rpartition(":")[2], body["detail"]


async def test_rows_come_oldest_first_with_everything_that_is_known(
    asked: httpx2.AsyncClient,
) -> None:
    found = await told(asked, "/payments", **NIGHT)
    assert [row["from"][11:19] for row in found["rows"]] == [
        "02:00:00", "02:13:15", "02:21:00", "02:21:45", "02:38:30", "02:52:00", "03:01:30",
        "03:04:30",
    ]  # fmt: skip
    assert found["truncated"] is False
    assert found["rows"][3] == {
        "from": "2026-01-01T02:21:45Z",
        "to": "2026-01-01T02:34:00Z",
        "healthIndex": 38.9,
        "lowest": 24.6,
        "lowestAt": "2026-01-01T02:25:30Z",
        "lower": 38.9,
        "upper": 38.9,
        "completeness": 1.0,
        "class": "CRIT",
        "bindingCap": "PARTITION_OFFLINE",
        "checks": [
            {"code": "BROKER_DOWN", "severity": "CRIT", "count": 2},
            {"code": "PARTITION_OFFLINE", "severity": "CRIT", "count": 3},
        ],
        "verdict": "OUT",
        "state": "OUT",
    }


async def test_too_many_rows_are_cut_and_it_is_said(asked: httpx2.AsyncClient) -> None:
    found = await told(asked, "/payments", limit=2, **NIGHT)
    assert [row["from"][11:19] for row in found["rows"]] == ["03:01:30", "03:04:30"]
    assert found["truncated"] is True


async def test_the_outline_is_asked_for(asked: httpx2.AsyncClient) -> None:
    span = {"from": "2025-12-31T00:00:00Z", "to": "2026-01-01T02:10:00Z"}
    assert len((await told(asked, "/payments", **span))["rows"]) == 2
    outline = await told(asked, "/payments", outline="true", **NIGHT)
    assert len(outline["rows"]) == 8


async def test_what_changed_is_told_in_words(asked: httpx2.AsyncClient) -> None:
    found = await told(asked, "/payments/changes", **NIGHT)
    assert found["lowest"] == {"healthIndex": 24.6, "at": "2026-01-01T02:25:30Z"}
    assert (found["first"]["class"], found["last"]["class"]) == ("OK", "OK")
    assert found["unseenSeconds"] == 270.0
    assert found["gaps"] == [
        {"from": "2026-01-01T02:34:00Z", "to": "2026-01-01T02:38:30Z", "seconds": 270.0}
    ]
    texts = [change["text"] for change in found["changes"]]
    assert texts[0] == "class OK -> WARN, index 79.2"
    assert "ann forced it OUT for 20 min: INC-4711 stay out until both brokers are back" in texts
    assert found["checks"][0]["code"] == "BROKER_DOWN"


async def test_the_fleet_at_a_moment_says_whether_anybody_looked(asked: httpx2.AsyncClient) -> None:
    found = await told(asked, "", at="2026-01-01T02:36:00Z")
    payments, clickstream = found["clusters"]
    assert (payments["cluster"], payments["seen"]) == ("payments", False)
    assert payments["lastSeenAt"] == "2026-01-01T02:34:00Z"
    assert payments["row"]["class"] == "CRIT"
    assert clickstream["seen"] is True
    before = await told(asked, "", at="2025-01-01T00:00:00Z", cluster="payments")
    assert before["clusters"] == [
        {"cluster": "payments", "seen": False, "lastSeenAt": None, "row": None}
    ]


async def test_a_cluster_that_left_the_fleet_still_has_its_history(
    asked: httpx2.AsyncClient, daemon: InMemoryDaemon
) -> None:
    daemon.store.timeline.write([replace(ROWS[0], cluster="gone")], [])
    assert len((await told(asked, "/gone", **{"from": "2026-01-01T01:00:00Z"}))["rows"]) == 1
    status, kind, detail = await refused(asked, "/nobody")
    assert (status, kind) == (404, "unknown-cluster")
    assert "gone" in detail
    assert "payments" in detail
    assert (await refused(asked, "", at="2h", cluster="nobody"))[0] == 404


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"from": "yesterday"}, "from: must be a time such as 2026-01-31T14:05:00Z"),
        ({"from": "2026-01-01T02:00:00"}, "write 2026-01-01T02:00:00Z for UTC"),
        ({"from": "2026-13-01T02:00:00Z"}, "must be a time"),
        ({"from": "999999999d"}, "must not be before 1970"),
        ({"from": "1h", "to": "2h"}, "must be before to"),
        ({"to": "never"}, "to: must be a time"),
        ({"limit": "0"}, "limit"),
        ({"limit": "10001"}, "limit"),
    ],
)
async def test_a_bad_question_is_told_what_is_wrong(
    asked: httpx2.AsyncClient, params: dict[str, str], said: str
) -> None:
    status, kind, detail = await refused(asked, "/payments", **params)
    assert (status, kind) == (422, "invalid-request")
    assert said in detail


@pytest.mark.parametrize(
    "since",
    ["2026-01-01T03:00+01:00", "2026-01-01T02:00:00.000Z", "2026-01-01 02:00:00Z"],
)
async def test_moments_are_read_with_any_zone(asked: httpx2.AsyncClient, since: str) -> None:
    found = await told(asked, "/payments", **{"from": since, "to": NIGHT["to"]})
    assert found["from"] == "2026-01-01T02:00:00Z"


async def test_a_plus_that_became_a_space_is_still_a_zone(asked: httpx2.AsyncClient) -> None:
    answer = await asked.get("/api/v1/history/payments?from=2026-01-01T03:00:00+01:00")
    assert answer.json()["from"] == "2026-01-01T02:00:00Z"


async def test_a_history_that_cannot_be_read_says_so(
    asked: httpx2.AsyncClient, daemon: InMemoryDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise StoreUnusable("the state file cannot be used", where="/state", todo="look")

    monkeypatch.setattr(daemon.store.timeline, "rows", broken)
    monkeypatch.setattr(daemon.store.timeline, "at", broken)
    for path, params in (("/payments", {}), ("", {"at": "2h"})):
        status, kind, detail = await refused(asked, path, **params)
        assert (status, kind) == (503, "store")
        assert "the history cannot be read" in detail
