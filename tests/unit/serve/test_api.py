"""What the API answers when all is well."""

from dataclasses import replace
from typing import Any

import httpx2
import pytest
from support.daemon import (
    NOW,
    InMemoryDaemon,
    broker_down,
    cluster_view,
    snapshot_json,
    snapshot_of_cluster,
    unseen_view,
    wave_state,
)

from healthd.engine.view import JournalEntry
from healthd.health.report_json import as_json
from healthd.waves.state import NodeRun, NodeStatus, Pause, WaveStatus

WAVE = {
    "apiVersion": "healthd/v1",
    "kind": "Wave",
    "name": "june",
    "reason": "CHG-1",
    "playbook": "rolling-restart",
    "stages": [{"name": "all", "clusters": ["payments"], "brokers": [3]}],
}


async def read(client: httpx2.AsyncClient, path: str) -> Any:
    response = await client.get(path)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize("is_ready", [True, False])
async def test_healthy_only_asks_whether_the_process_is_alive(
    anybody: httpx2.AsyncClient, daemon: InMemoryDaemon, *, is_ready: bool
) -> None:
    daemon.is_ready = is_ready
    daemon.views = {"dark": unseen_view()}
    assert (await anybody.get("/-/healthy")).status_code == 200
    assert (await anybody.get("/-/ready")).status_code == (200 if is_ready else 503)


async def test_clusters_are_listed_in_the_order_of_the_fleet_file(
    anybody: httpx2.AsyncClient, daemon: InMemoryDaemon
) -> None:
    ill = cluster_view("ill", snapshot_of_cluster("ill", **broker_down(3)))
    daemon.views = {"zeta": cluster_view("zeta"), "dark": unseen_view(), "ill": ill}
    daemon.put(wave_state("w1", "ill"))
    daemon.put(wave_state("w0", "ill", status=WaveStatus.SUCCEEDED))
    zeta, dark, found = (await read(anybody, "/api/v1/clusters"))["clusters"]
    assert (zeta["cluster"], zeta["class"], zeta["healthIndex"]) == ("zeta", "OK", 100.0)
    assert zeta["checks"] == zeta["waves"] == []
    assert (dark["class"], dark["healthIndex"], dark["completeness"]) == ("UNKNOWN", None, 0.0)
    assert dark["failures"][0]["detail"] == "b1:9092 refused the connection"
    assert found["bindingCap"] == "PARTITION_AT_MIN_ISR"
    assert found["nextCap"] == {"code": "BROKER_DOWN", "cap": 89.0}
    assert found["checks"][0]["code"] == "PARTITION_AT_MIN_ISR"
    assert found["waves"] == [{"wave": "w1", "status": "holding"}]


async def test_health_is_what_evaluate_prints(
    anybody: httpx2.AsyncClient, daemon: InMemoryDaemon
) -> None:
    report = daemon.views["payments"].report
    assert report is not None
    assert await read(anybody, "/api/v1/clusters/payments/health") == as_json(report)


async def test_a_cluster_whose_metadata_was_never_seen_has_no_index(
    anybody: httpx2.AsyncClient, daemon: InMemoryDaemon
) -> None:
    unseen = snapshot_of_cluster("dark", brokers=[], topics=[], ages={"metadata": None})
    daemon.views = {"dark": cluster_view("dark", unseen), "new": unseen_view("new")}
    for name in daemon.views:
        found = await read(anybody, f"/api/v1/clusters/{name}/health")
        assert (found["healthIndex"], found["lower"], found["upper"]) == (None, None, None)
        assert found["contributions"] == []
        assert found["class"] == "UNKNOWN"


async def test_one_cluster_in_full_has_its_gate_and_counts(
    anybody: httpx2.AsyncClient, daemon: InMemoryDaemon
) -> None:
    daemon.views["ill"] = cluster_view("ill", snapshot_of_cluster("ill", **broker_down(3)))
    found = await read(anybody, "/api/v1/clusters/ill")
    assert found["brokers"] == {"up": 2, "fenced": 0, "down": 1}
    assert found["partitions"]["at_min_isr"] == 2
    assert not found["gate"]["clear"]
    assert found["gate"]["holds"][0] == {
        "code": "BROKER_DOWN", "object": "broker:3", "detail": "it is not alive",
    }  # fmt: skip
    assert (await read(anybody, "/api/v1/clusters/payments"))["gate"] == {
        "clear": True, "holds": [],
    }  # fmt: skip


async def test_the_snapshot_is_the_cluster_snapshot(anybody: httpx2.AsyncClient) -> None:
    found = await read(anybody, "/api/v1/clusters/payments/snapshot")
    assert snapshot_of_cluster(**_without(found, "cluster")) == snapshot_of_cluster()
    assert found["kind"] == "ClusterSnapshot"


def _without(found: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key not in keys}


async def test_ok_to_stop_answers_for_exactly_these_brokers(anybody: httpx2.AsyncClient) -> None:
    path = "/api/v1/clusters/payments/ok-to-stop"
    one = await read(anybody, f"{path}?brokers=1")
    assert one == {
        "cluster": "payments", "brokers": [1], "ok": True, "blockers": [],
        "gate": {"clear": True, "holds": []},
    }  # fmt: skip
    two = await read(anybody, f"{path}?brokers=2,1")
    assert (two["brokers"], two["ok"]) == ([1, 2], False)
    assert {row["code"] for row in two["blockers"]} >= {"WOULD_GO_UNDER_MIN_ISR"}


async def test_ok_to_stop_keeps_the_margin_that_is_asked_for(
    anybody: httpx2.AsyncClient, daemon: InMemoryDaemon
) -> None:
    changes = broker_down(3)
    changes["topics"][0]["minInsyncReplicas"] = 1
    daemon.views["payments"] = cluster_view(snapshot=snapshot_of_cluster(**changes))
    path = "/api/v1/clusters/payments/ok-to-stop?brokers=3"
    codes = [row["code"] for row in (await read(anybody, f"{path}&margin=1"))["blockers"]]
    assert codes == []
    path = "/api/v1/clusters/payments/ok-to-stop?brokers=1"
    without = (await read(anybody, path))["blockers"]
    with_margin = (await read(anybody, f"{path}&margin=1"))["blockers"]
    added = {row["code"] for row in with_margin} - {row["code"] for row in without}
    assert added == {"WOULD_BREAK_MARGIN"}


async def test_ok_to_stop_takes_what_a_person_accepts(
    anybody: httpx2.AsyncClient, daemon: InMemoryDaemon
) -> None:
    topics = [
        {"name": "one", "minInsyncReplicas": 1,
         "partitions": [{"id": 0, "leader": 1, "replicas": [1], "isr": [1]}]},
    ]  # fmt: skip
    daemon.views["payments"] = cluster_view(snapshot=snapshot_of_cluster(topics=topics))
    path = "/api/v1/clusters/payments/ok-to-stop?brokers=1"
    assert [row["code"] for row in (await read(anybody, path))["blockers"]] == ["RF_ONE"]
    assert (await read(anybody, f"{path}&allowRfOne=none&allowRfOne=on*"))["ok"]


async def test_ok_to_stop_without_brokers_answers_for_each_and_for_racks(
    anybody: httpx2.AsyncClient,
) -> None:
    found = await read(anybody, "/api/v1/clusters/payments/ok-to-stop")
    assert [row["broker"] for row in found["each"]] == [1, 2, 3]
    assert [row["rack"] for row in found["racks"]] == ["az1", "az2", "az3"]
    assert all(row["ok"] for row in (*found["each"], *found["racks"]))


async def test_a_wave_tells_each_node_the_gate_and_how_long(
    anybody: httpx2.AsyncClient, daemon: InMemoryDaemon
) -> None:
    pause = Pause(by="bob", reason="lunch", since=190.0)
    daemon.put(wave_state(pauses=(pause,), status=WaveStatus.PAUSED))
    found = await read(anybody, "/api/v1/waves/w1")
    assert found["status"] == "paused"
    assert found["nodes"][1] == {
        "node": 1, "status": "soaking", "since": "2026-01-01T11:59:00Z", "seconds": 60.0,
        "repair": False, "overdue": False, "attempt": 0, "detail": "",
    }  # fmt: skip
    assert found["gate"] == {
        "open": False,
        "holds": [{"code": "BROKER_DOWN", "object": "broker:3", "detail": "it is not alive",
                   "since": "2026-01-01T11:59:48Z", "seconds": 12.0, "outlook": None}],
    }  # fmt: skip
    assert found["clean"] == {
        "snapshots": 1, "ofSnapshots": 3, "seconds": 5.0, "ofSeconds": 60.0,
    }  # fmt: skip
    assert found["soak"] == {"seconds": 30.0, "ofSeconds": 120.0}
    assert found["pauses"] == [
        {"by": "bob", "reason": "lunch", "node": None,
         "since": "2026-01-01T11:59:50Z", "seconds": 10.0}
    ]  # fmt: skip
    assert found["inFlight"] == [1]
    assert found["nodeCounts"]["done"] == found["nodeCounts"]["pending"] == 1
    assert found["policy"]["soakSeconds"] == 120.0
    assert found["healthIndex"] == {"before": 100.0, "lowest": 82.5, "last": 90.0}


@pytest.mark.parametrize(
    ("changes", "is_open"),
    [
        pytest.param({"holds": (), "status": WaveStatus.RUNNING}, True, id="nothing holds it"),
        pytest.param({"holds": (), "status": WaveStatus.PAUSED}, True, id="a pause is no hold"),
        pytest.param({}, False, id="a broker is down"),
        pytest.param({"holds": (), "status": WaveStatus.PLANNED}, False, id="not looked at yet"),
        pytest.param({"holds": (), "status": WaveStatus.ABORTED}, False, id="it has ended"),
    ],
)
async def test_the_gate_is_open_when_nothing_holds_a_wave_that_runs(
    anybody: httpx2.AsyncClient, daemon: InMemoryDaemon, changes: dict[str, Any], *, is_open: bool
) -> None:
    daemon.put(wave_state(**changes))
    assert (await read(anybody, "/api/v1/waves/w1"))["gate"]["open"] is is_open


async def test_waves_are_listed_in_short(
    anybody: httpx2.AsyncClient, daemon: InMemoryDaemon
) -> None:
    daemon.put(wave_state("w1"))
    daemon.put(wave_state("w2"))
    found = (await read(anybody, "/api/v1/waves"))["waves"]
    assert [row["wave"] for row in found] == ["w2", "w1"]
    assert "nodes" not in found[0]


async def test_the_story_and_the_report_of_a_wave_can_be_read(
    anybody: httpx2.AsyncClient, daemon: InMemoryDaemon
) -> None:
    daemon.put(wave_state())
    entry = JournalEntry(at=NOW, event="node_stopping", node=2, detail="by ann")
    daemon.stories["w1"] = [entry]
    assert await read(anybody, "/api/v1/waves/w1/journal") == {
        "wave": "w1",
        "entries": [{"at": "2026-01-01T12:00:00Z", "event": "node_stopping", "node": 2,
                     "detail": "by ann", "clock": 0.0, "data": {}}],
    }  # fmt: skip
    report = await read(anybody, "/api/v1/waves/w1/report")
    assert (report["wave"], report["order"]) == ("w1", [2])
    assert report["requestedAt"] == "2026-01-01T11:56:40Z"
    assert report["dora"]["fleet"]["deployments"] == 0
    page = await anybody.get("/api/v1/waves/w1/report?format=markdown")
    assert page.headers["content-type"] == "text/markdown; charset=utf-8"
    assert page.text.startswith("# ")


async def test_a_wave_is_started_by_whoever_says_who_they_are(
    client: httpx2.AsyncClient, daemon: InMemoryDaemon
) -> None:
    response = await client.post("/api/v1/waves", json=WAVE)
    assert response.status_code == 201
    assert response.headers["location"] == "/api/v1/waves/june-1"
    assert response.json()["nodes"][0]["node"] == 3
    assert (daemon.records[0]["who"], daemon.records[0]["why"]) == ("ann", "CHG-1")


async def test_the_daemons_problems_with_a_wave_reach_the_caller(
    client: httpx2.AsyncClient,
) -> None:
    response = await client.post("/api/v1/waves", json={**WAVE, "stage": []})
    assert response.status_code == 422
    assert response.json()["problems"][0]["path"] == "stage"


@pytest.mark.parametrize(
    ("verb", "node"),
    [("pause", None), ("resume", None), ("abort", None), ("retry", 3), ("skip", 3), ("confirm", 3)],
)
async def test_an_order_is_handed_in_with_its_reason_and_who_gave_it(
    client: httpx2.AsyncClient, daemon: InMemoryDaemon, verb: str, node: int | None
) -> None:
    daemon.put(wave_state())
    body = {"reason": " CHG-2 "} | ({} if node is None else {"node": node})
    response = await client.post(f"/api/v1/waves/w1/{verb}", json=body)
    assert response.status_code == 200, response.text
    target = "w1" if node is None else f"w1/{node}"
    found = daemon.records[0]
    assert (found["who"], found["what"], found["why"], found["target"]) == (
        "ann", f"wave {verb}", "CHG-2", target,
    )  # fmt: skip


async def test_the_emergency_stop_pauses_every_wave_that_has_not_ended(
    client: httpx2.AsyncClient, daemon: InMemoryDaemon
) -> None:
    daemon.put(wave_state("w1"))
    daemon.put(wave_state("w2"))
    daemon.put(wave_state("old", status=WaveStatus.FAILED))
    response = await client.post("/api/v1/waves/pause-all", json={"reason": "fire"})
    assert [row["wave"] for row in response.json()["waves"]] == ["w2", "w1"]
    assert all(row["status"] == "paused" for row in response.json()["waves"])


async def test_audit_shows_the_newest_first_and_no_more_than_asked_for(
    client: httpx2.AsyncClient, daemon: InMemoryDaemon
) -> None:
    daemon.put(wave_state())
    for reason in ("one", "two", "three"):
        await client.post("/api/v1/waves/w1/pause", json={"reason": reason})
    found = await read(client, "/api/v1/audit?limit=2")
    assert [row["why"] for row in found["records"]] == ["three", "two"]


async def test_a_reload_that_is_refused_says_what_is_wrong(
    client: httpx2.AsyncClient, daemon: InMemoryDaemon
) -> None:
    assert (await client.post("/-/reload")).json()["reloaded"] is True
    daemon.last_reload = (False, 0.0, "fleet.yaml:3:1: unknown key")
    refused = await client.post("/-/reload")
    assert refused.status_code == 422
    assert refused.json()["detail"] == "fleet.yaml:3:1: unknown key"


async def test_a_node_that_waits_for_its_repair_is_marked(
    anybody: httpx2.AsyncClient, daemon: InMemoryDaemon
) -> None:
    run = NodeRun(node=3, status=NodeStatus.STARTING, since=1.0, repair=True, is_overdue=True)
    daemon.put(replace(wave_state(), nodes=(run,), died=(3,)))
    found = await read(anybody, "/api/v1/waves/w1")
    assert (found["nodes"][0]["repair"], found["nodes"][0]["overdue"]) == (True, True)
    assert found["repairs"] == [3]


def test_the_twins_healthy_cluster_is_healthy() -> None:
    assert cluster_view().report is not None
    assert snapshot_json()["brokers"][0]["alive"]


async def test_an_examination_is_what_the_daemon_finds_now(
    anybody: httpx2.AsyncClient, daemon: InMemoryDaemon
) -> None:
    daemon.examinations["payments"] = {"cluster": "payments", "problems": 0}
    assert await read(anybody, "/api/v1/clusters/payments/doctor") == {
        "cluster": "payments",
        "problems": 0,
    }
    assert (await anybody.get("/api/v1/clusters/nowhere/doctor")).status_code == 404
