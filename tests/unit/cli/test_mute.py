"""`healthd mute`: what an operator silences, sees and lifts."""

import json
from dataclasses import replace
from typing import Any

import pytest
from support.daemon import broker_down, cluster_view, snapshot_of_cluster

from healthd.cli.exits import Exit
from healthd.health.index import evaluate


@pytest.fixture
def ill(served: Any) -> Any:
    served.daemon.views["ill"] = cluster_view("ill", snapshot_of_cluster("ill", **broker_down(3)))
    return served


def mute(ill: Any, *more: str) -> Any:
    return ill.run("mute", "ill", "broker_down", *more, "--for", "2h", "--reason", "a disk")


def test_a_check_is_muted_listed_and_lifted(ill: Any) -> None:
    assert "Nothing is muted." in ill.run("mute").output
    result = mute(ill, "--owner", "storage")
    assert result.exit_code == Exit.OK
    (found,) = json.loads(ill.run("mute", "-o", "json").output)["mutes"]
    assert (found["check"], found["owner"], found["count"]) == ("BROKER_DOWN", "storage", 1)
    assert found["id"] in ill.run("mute").output
    lifted = ill.run("mute", "--lift", found["id"], "--reason", "over")
    assert lifted.exit_code == Exit.OK
    assert lifted.output == f"Mute {found['id']} of BROKER_DOWN on ill is lifted.\n"
    assert "Nothing is muted." in ill.run("mute").output


def test_a_mute_needs_a_check_a_reason_and_an_end(ill: Any) -> None:
    for words, told in (
        (["ill", "BROKER_DOWN", "--reason", "x"], "--for is missing"),
        (["ill", "BROKER_DOWN", "--for", "1h"], "--reason is missing"),
        (["ill", "--for", "1h", "--reason", "x"], "name the CHECK to mute"),
        (["ill", "NO_SUCH", "--for", "1h", "--reason", "x"], "NO_SUCH is no check"),
        (["ill", "--lift", "x", "--reason", "x"], "give CLUSTER and CHECK, or --lift ID"),
        (["--for", "1h"], "name a CLUSTER and a CHECK"),
        (["nope", "BROKER_DOWN", "--for", "1h", "--reason", "x"], "there is no cluster nope"),
        (["--lift", "nope", "--reason", "x"], "there is no mute nope"),
        (["ill", "BROKER_DOWN", "--for", "99d", "--reason", "x"], "must be at most 30d"),
        (["ill"], "name the CHECK to mute"),
    ):
        result = ill.run("mute", *words)
        assert result.exit_code == Exit.USAGE, words
        assert told in result.output, words


def test_what_is_not_raised_is_refused_unless_asked_for(ill: Any) -> None:
    words = ["mute", "payments", "BROKER_DOWN", "--for", "1h", "--reason", "tonight"]
    refused = ill.run(*words)
    assert refused.exit_code == Exit.FAILED
    assert "is not raised for payments" in refused.output
    assert ill.run(*words, "--even-if-not-raised").exit_code == Exit.OK


def test_a_muted_check_is_marked_and_is_not_the_advice(ill: Any) -> None:
    result = mute(ill)
    assert result.exit_code == Exit.OK
    view = ill.daemon.views["ill"]
    report = evaluate(view.snapshot, mutes=ill.daemon.mutes())
    ill.daemon.views["ill"] = replace(view, report=report)
    assert "BROKER_DOWN: 1 broker is down (muted)" in ill.run("status", "ill").output
    assert "also:   BROKER_DOWN" not in ill.run("status").output
