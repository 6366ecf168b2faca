"""`healthd wave start --rehearse`: looked at before it is done."""

from dataclasses import replace
from typing import Any

from healthd.cli.exits import Exit
from healthd.engine.view import OrderRefused, Refusal

START = ["wave", "start", "--playbook", "rolling-restart", "--cluster", "payments"]
START += ["--brokers", "1", "--reason", "CHG-1"]


def test_a_rehearsal_that_ends_well_is_told_before_the_start(served: Any) -> None:
    steps = [{"brokers": [1]}]
    plans = [{"cluster": "payments", "steps": steps, "blocked": []}]
    served.daemon.fleet_plan = {"stages": [{"name": "all", "plans": plans}]}
    ran = served.run(*START, "--rehearse")
    assert ran.exit_code == Exit.OK, ran.output
    assert "Rehearsed payments: succeeded after" in ran.stdout


def test_one_that_does_not_ends_with_what_the_check_found(served: Any) -> None:
    plans = [{"cluster": "payments", "steps": [{"brokers": [1]}], "blocked": []}]
    served.daemon.fleet_plan = {"stages": [{"name": "all", "plans": plans}]}
    view = served.daemon.views["payments"]
    assert view.snapshot is not None
    served.daemon.views["payments"] = replace(view, snapshot=replace(view.snapshot, quorum=None))
    ran = served.run(*START, "--rehearse")
    assert ran.exit_code == Exit.PROBLEMS, ran.output
    assert "payments would be holding (QUORUM_UNKNOWN cluster:payments" in ran.stderr
    assert "nothing was started" in ran.stderr
    assert not served.daemon.requests


def test_even_so_alone_is_a_mistake(served: Any) -> None:
    ran = served.run(*START, "--even-so")
    assert ran.exit_code == Exit.USAGE
    assert "evenSo" in ran.output


def test_a_refusal_of_the_wave_itself_keeps_its_own_exit_code(served: Any) -> None:
    served.daemon.refusal = OrderRefused(Refusal.LEASED, "it is held", holder="somebody")
    assert served.run(*START, "--rehearse").exit_code == Exit.LEASE_HELD
