"""A wave over a fleet as a person reads it: at once, and what changes between two looks."""

import copy
import io
from typing import Any

from rich.console import Console
from support.fleet_views import NOW, dry_fleet, waiting_fleet

from healthd.cli.fleet_text import place_of
from healthd.cli.wave_text import changes, print_waves, wave_view
from healthd.engine.view import FleetView
from healthd.serve.fleet_json import fleet_document, fleet_summary
from healthd.waves.events import Event, Verb
from healthd.waves.fleet_events import ApprovalGiven, ChildSeen, FleetOrdered, Looked
from healthd.waves.fleet_reducer import reduce_fleet
from healthd.waves.fleet_state import FleetState
from healthd.waves.state import WaveStatus


def view_of(state: FleetState) -> FleetView:
    return FleetView(state=state, created_at=NOW, updated_at=NOW, children={})


def shown(state: FleetState) -> str:
    out = io.StringIO()
    Console(file=out, width=200).print(wave_view(fleet_document(view_of(state))))
    return out.getvalue()


def told(state: FleetState, event: Event) -> FleetState:
    return reduce_fleet(state, event).state


def approved() -> FleetState:
    event = ApprovalGiven(at=2.0, stage="canary", by="ben", reason="seen")
    return told(told(waiting_fleet(), event), Looked(at=3.0))


def test_a_wave_that_waits_says_for_whom_and_what_to_do() -> None:
    text = shown(waiting_fleet())
    assert "june  awaiting_approval" in text
    assert "APPROVAL_MISSING stage:canary: nobody has approved it" in text
    assert "healthd wave approve june --stage canary --reason ..." in text


def test_what_changed_between_two_looks_is_a_line_each() -> None:
    before: dict[str, Any] = fleet_document(view_of(waiting_fleet()))
    lines = "\n".join(changes(before, fleet_document(view_of(approved()))))
    assert "wave june running" in lines
    assert "stage canary approved by ben: seen" in lines
    assert "cluster payments starting (stage canary, wave june.1.payments)" in lines
    assert list(changes(before, before)) == []


def test_a_failed_cluster_is_named_with_its_brokers() -> None:
    seen = ChildSeen(status=WaveStatus.PAUSED, failed=(3,))
    state = told(approved(), Looked(at=4.0, children={"june.1.payments": seen}))
    text = shown(state)
    assert "failed: 3" in text
    assert "BUDGET_USED_UP cluster:payments" in text


def test_a_pause_says_how_it_is_lifted() -> None:
    order = FleetOrdered(at=4.0, verb=Verb.PAUSE, by="eve", reason="look")
    assert "by eve: look -> healthd wave resume june --reason ..." in shown(told(approved(), order))


def test_a_list_says_on_how_many_clusters() -> None:
    summary = fleet_summary(view_of(waiting_fleet()))
    assert place_of(summary) == "2 clusters"
    assert place_of({"cluster": "payments"}) == "payments"
    out = io.StringIO()
    print_waves(Console(file=out, width=200), [summary])
    assert "2 clusters" in out.getvalue()


def test_a_dry_run_is_never_taken_for_a_wave() -> None:
    text = shown(dry_fleet())
    assert "dry-run-june  dry run, running" in text
    told_ = "would have asked for approval: two-person, would have soaked for 1h00m"
    assert f"STAGE canary: running, {told_}" in text
    assert "STAGE prod: pending\n" in text.replace(" \n", "\n")
    out = io.StringIO()
    print_waves(Console(file=out, width=200), [fleet_summary(view_of(dry_fleet()))])
    assert "dry run, running" in out.getvalue()
    lines = list(changes(None, fleet_document(view_of(dry_fleet()))))
    assert any(line.endswith(" dry run dry-run-june running") for line in lines)


def test_a_thousand_partitions_do_not_hide_the_broker_that_is_down() -> None:
    before: dict[str, Any] = fleet_document(view_of(approved()))
    now: dict[str, Any] = copy.deepcopy(before)
    now["stages"][0]["clusters"][0]["holds"] = [
        {"code": "PARTITION_UNDER_REPLICATED", "object": f"orders-{number}", "detail": "behind"}
        for number in range(1000)
    ] + [{"code": "BROKER_DOWN", "object": "broker:3", "detail": "it is not alive"}]
    lines = list(changes(before, now))
    assert any("held: BROKER_DOWN broker:3: it is not alive" in line for line in lines)
    assert any(line.endswith("held: and 997 more PARTITION_UNDER_REPLICATED") for line in lines)
    assert len(lines) == 5
    assert list(changes(now, now)) == []
