"""`healthd wave`: what is sent, what is shown, and how it ends."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.daemon import NOW, wave_state
from support.step_playbooks import a_prompt, a_restart, a_step

from healthd.cli.exits import Exit
from healthd.engine.view import JournalEntry, OrderRefused, Refusal
from healthd.waves.state import NodeRun, NodeStatus, Pause, WaveStatus
from healthd.waves.step_run import NodeSteps, StepPhase

OPTIONS = [
    "--playbook", "rolling-restart", "--cluster", "payments", "--brokers", "3", "--reason", "CHG-1",
]  # fmt: skip
FILE = """\
apiVersion: healthd/v1
kind: Wave
name: june
playbook: rolling-restart
stages:
  - {name: all, clusters: [payments], brokers: all}
policy: {soakSeconds: 60}
"""


def without(option: str) -> list[str]:
    at = OPTIONS.index(option)
    return OPTIONS[:at] + OPTIONS[at + 2 :]


def test_a_wave_starts_from_options_alone(served: Any) -> None:
    result = served.run("wave", "start", *OPTIONS, "--policy", "soakSeconds=5")
    assert result.exit_code == Exit.OK, result.output
    assert "Started wave rolling-restart-payments-1 on payments." in result.output
    (view,) = served.daemon.wave_views.values()
    assert (view.state.requested_by, view.state.reason) == ("ann", "CHG-1")
    assert [run.node for run in view.state.nodes] == [3]
    assert view.state.policy.soak_seconds == 5.0


@pytest.mark.parametrize(
    ("given", "key", "value"),
    [
        ("soakSeconds=5", "soak_seconds", 5.0),
        ("allowRfOne=a-*,b", "allow_rf_one", ("a-*", "b")),
        ("baseline=orders-0", "baseline", ("orders-0",)),
        ("allowQuorumWithoutSpare=true", "allow_quorum_without_spare", True),
    ],
)
def test_a_policy_value_is_read_as_in_a_file(
    served: Any, given: str, key: str, value: object
) -> None:
    assert served.run("wave", "start", *OPTIONS, "--policy", given).exit_code == Exit.OK
    (view,) = served.daemon.wave_views.values()
    assert getattr(view.state.policy, key) == value


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param([], "give a wave FILE, or add --playbook", id="nothing"),
        pytest.param(without("--reason"), "add --reason", id="no reason"),
        pytest.param(without("--brokers"), "add --brokers", id="no brokers"),
        pytest.param([*without("--brokers"), "--brokers", "x"], "ids such as 1,2", id="no ids"),
        pytest.param([*without("--brokers"), "--brokers", "1" * 5000], "ids such as", id="endless"),
        pytest.param([*without("--brokers"), "--brokers", "1,1"], "names 1 twice", id="twice"),
        pytest.param([*OPTIONS, "--policy", "soakSeconds"], "not KEY=VALUE", id="no value"),
        pytest.param(
            [*OPTIONS, "--policy", "soakSecond=5"], "did you mean soakSeconds?", id="a typo"
        ),
        pytest.param(
            [*OPTIONS, "--policy", "windows=1"], "must be a list of windows", id="no window"
        ),
        pytest.param([*OPTIONS, "--policy", "margin=many"], "whole number", id="no number"),
    ],
)
def test_a_mistake_in_the_options_is_exit_2_and_nothing_is_sent(
    served: Any, words: list[str], said: str
) -> None:
    result = served.run("wave", "start", *words)
    assert result.exit_code == Exit.USAGE
    assert said in result.stderr
    assert served.daemon.records == []


def test_a_wave_starts_from_a_file_or_stdin(served: Any, tmp_path: Path) -> None:
    path = tmp_path / "june.yaml"
    path.write_text(FILE)
    assert served.run("wave", "start", str(path), "--reason", "CHG-2").exit_code == Exit.OK
    assert served.daemon.records[0]["why"] == "CHG-2"


def test_a_file_with_its_own_reason_needs_no_other(served: Any, tmp_path: Path) -> None:
    path = tmp_path / "june.yaml"
    path.write_text(FILE + "reason: CHG-3\n")
    result = served.run("wave", "start", str(path), "-o", "json")
    assert result.exit_code == Exit.OK
    assert json.loads(result.output)["reason"] == "CHG-3"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(FILE, "no reason is given", id="no reason"),
        pytest.param(FILE + "reazon: x\n", ":8:1: reazon: unknown key", id="a typo"),
        pytest.param(FILE.replace("june", "[june"), "june.yaml:", id="no YAML"),
        pytest.param(FILE + "kind: Wave\n", "june.yaml:8:1", id="a key twice"),
        pytest.param("", "empty", id="empty"),
    ],
)
def test_a_mistake_in_the_file_is_told_with_its_line_and_nothing_is_sent(
    served: Any, tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "june.yaml"
    path.write_text(text)
    result = served.run("wave", "start", str(path))
    assert result.exit_code == Exit.USAGE
    assert said in result.stderr
    assert served.daemon.records == []


def test_a_file_that_is_not_there_is_exit_2(served: Any, tmp_path: Path) -> None:
    result = served.run("wave", "start", str(tmp_path / "none.yaml"))
    assert result.exit_code == Exit.USAGE
    assert "none.yaml: cannot be opened: No such file" in result.stderr


def test_a_file_and_options_that_contradict_it_are_refused(served: Any) -> None:
    result = served.run("wave", "start", "june.yaml", "--cluster", "payments")
    assert result.exit_code == Exit.USAGE
    assert "leave out --cluster" in result.stderr


@pytest.mark.parametrize(
    ("words", "record"),
    [
        (["pause", "w1"], ("wave pause", "w1")),
        (["resume", "w1"], ("wave resume", "w1")),
        (["abort", "w1"], ("wave abort", "w1")),
        (["retry", "w1", "--broker", "3"], ("wave retry", "w1/3")),
        (["skip", "w1", "--broker", "3"], ("wave skip", "w1/3")),
        (["confirm", "w1", "--broker", "3"], ("wave confirm", "w1/3")),
        (["pause", "--all"], ("wave pause", "w1")),
    ],
    ids=" ".join,
)
def test_an_order_carries_who_and_why(
    served: Any, words: list[str], record: tuple[str, str]
) -> None:
    served.daemon.put(wave_state())
    result = served.run("wave", *words, "--reason", "CHG-1")
    assert result.exit_code == Exit.OK, result.output
    (found,) = served.daemon.records
    assert (found["what"], found["target"]) == record
    assert (found["who"], found["why"]) == ("ann", "CHG-1")


@pytest.mark.parametrize("verb", ["pause", "resume", "retry", "skip", "confirm", "abort"])
@pytest.mark.parametrize("reason", [[], ["--reason", " "]], ids=["none", "blank"])
def test_no_order_goes_without_a_reason(served: Any, verb: str, reason: list[str]) -> None:
    served.daemon.put(wave_state())
    broker = ["--broker", "3"] if verb in {"retry", "skip", "confirm"} else []
    result = served.run("wave", verb, "w1", *broker, *reason)
    assert result.exit_code == Exit.USAGE
    assert "--reason" in result.stderr
    assert served.daemon.records == []


@pytest.mark.parametrize(
    "words", [["pause"], ["pause", "w1", "--all"], ["retry", "w1"], ["confirm", "w1"]]
)
def test_an_order_says_what_it_is_about(served: Any, words: list[str]) -> None:
    assert served.run("wave", *words, "--reason", "x").exit_code == Exit.USAGE


def test_the_emergency_stop_with_nothing_to_stop_says_so(served: Any) -> None:
    result = served.run("wave", "pause", "--all", "--reason", "fire")
    assert (result.exit_code, result.output) == (0, "No wave runs: there was nothing to pause.\n")


@pytest.mark.parametrize(
    "words",
    [["show", "w9"], ["watch", "w9"], ["report", "w9"], ["pause", "w9", "--reason", "x"]],
)
def test_a_wave_that_is_not_there_is_exit_2(served: Any, words: list[str]) -> None:
    result = served.run("wave", *words)
    assert result.exit_code == Exit.USAGE
    assert "there is no wave w9" in result.stderr


def test_an_order_that_does_not_fit_the_wave_is_exit_1(served: Any) -> None:
    served.daemon.put(wave_state())
    served.daemon.refusal = OrderRefused(Refusal.CONFLICT, "w1 is not paused")
    result = served.run("wave", "resume", "w1", "--reason", "x")
    assert (result.exit_code, result.stderr) == (Exit.FAILED, "healthd: w1 is not paused\n")


def test_show_tells_each_node_and_what_the_gate_waits_for(served: Any) -> None:
    pause = Pause(by="healthd", reason="broker 3 did not come back", since=80.0, node=3)
    nodes = (*wave_state().nodes[:2], NodeRun(node=3, status=NodeStatus.FAILED, since=80.0))
    served.daemon.put(wave_state(pauses=(pause,), status=WaveStatus.PAUSED, nodes=nodes))
    output = served.run("wave", "show", "w1").output
    for said in (
        "w1  paused  1/3 done, 1 failed on payments with rolling-restart",
        "soaking  1m00s",
        "PAUSED for 2m00s by healthd: broker 3 did not come back",
        "healthd wave retry|skip w1 --broker 3",
        "GATE  closed",
        "12s  BROKER_DOWN broker:3: it is not alive",
        "CLEAN 1 of 3 snapshots, 5s of 1m00s",
        "SOAK  30s of 2m00s",
    ):
        assert said in output


def test_show_tells_which_step_a_node_is_at_and_what_it_said(served: Any) -> None:
    playbook = a_restart(between=(a_step("patch"),), after=(a_prompt("is it well?"),))
    running = NodeSteps(at=2, phase=StepPhase.RUNNING, since=140.0, said="Reading\nUnpacking")
    asking = NodeSteps(at=5, phase=StepPhase.ASKING, since=80.0)
    nodes = (
        NodeRun(node=1, status=NodeStatus.STOPPED, since=130.0, steps=running),
        NodeRun(node=2, status=NodeStatus.RECOVERING, since=70.0, steps=asking),
    )
    served.daemon.put(wave_state(nodes=nodes, playbook=playbook))
    output = served.run("wave", "show", "w1").output
    assert "step 3 of 6 'patch' runs for 1m00s: Unpacking" in output
    assert "ASKED for 2m00s, node 2: is it well?" in output
    assert "healthd wave confirm w1 --broker 2" in output
    found = json.loads(served.run("wave", "show", "w1", "-o", "json").output)
    assert found["nodes"][0]["step"]["said"] == ["Reading", "Unpacking"]
    assert found["nodes"][1]["step"]["question"] == "is it well?"


def test_list_tells_each_wave_in_a_line(served: Any) -> None:
    assert "No wave runs" in served.run("wave", "list").output
    served.daemon.put(wave_state())
    output = served.run("wave", "list").output
    assert output.splitlines()[1].split()[:5] == [
        "w1", "holding", "payments", "rolling-restart", "1/3",
    ]  # fmt: skip
    assert json.loads(served.run("wave", "list", "-o", "json").output)["waves"][0]["wave"] == "w1"


def test_who_was_skipped_or_failed_is_not_called_done(served: Any) -> None:
    statuses = (NodeStatus.DONE, NodeStatus.SKIPPED, NodeStatus.FAILED, NodeStatus.PENDING)
    nodes = tuple(NodeRun(node=at, status=status) for at, status in enumerate(statuses, start=1))
    served.daemon.put(wave_state(nodes=nodes))
    shown = served.run("wave", "show", "w1").output
    assert "1/4 done, 1 failed, 1 skipped on payments" in shown
    assert "1/4, 1 failed, 1 skipped" in served.run("wave", "list").output


def test_a_report_is_for_people_programs_and_tickets(served: Any) -> None:
    served.daemon.put(wave_state())
    entry = JournalEntry(at=NOW, event="node_stopping", node=2, detail="")
    served.daemon.stories["w1"] = [entry]
    assert json.loads(served.run("wave", "report", "w1", "-o", "json").output)["order"] == [2]
    for form in ("table", "markdown"):
        assert served.run("wave", "report", "w1", "-o", form).output.startswith("# ")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (WaveStatus.SUCCEEDED, Exit.OK),
        (WaveStatus.FAILED, Exit.WAVE_FAILED),
        (WaveStatus.ABORTED, Exit.WAVE_FAILED),
    ],
)
def test_watching_a_wave_that_has_ended_ends_with_its_outcome(
    served: Any, status: WaveStatus, code: Exit
) -> None:
    served.daemon.put(wave_state(status=status))
    result = served.run("wave", "watch", "w1")
    assert result.exit_code == code
    assert f"wave w1 {status.value}" in result.output


def test_a_program_that_watches_gets_the_wave_on_a_line_for_every_change(served: Any) -> None:
    served.daemon.put(wave_state())
    looks = served.daemon.wave

    def ended_at_the_third(wave: str) -> Any:
        seen.append(wave)
        if len(seen) == 3:
            served.daemon.put(wave_state(status=WaveStatus.SUCCEEDED))
        return looks(wave)

    seen: list[str] = []
    served.daemon.wave = ended_at_the_third
    result = served.run("wave", "watch", "w1", "--interval", "0.05", "-o", "json")
    assert result.exit_code == Exit.OK, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["status"] for line in lines] == ["holding", "succeeded"]
    assert [node["node"] for node in lines[1]["nodes"]] == [2, 1, 3]


def test_starting_and_watching_ends_with_the_waves_outcome(served: Any) -> None:
    start_wave = served.daemon.start_wave

    async def start_and_fail(request: Any, *, by: str) -> Any:
        view = await start_wave(request, by=by)
        served.daemon.put(wave_state(view.state.wave, status=WaveStatus.FAILED))
        return view

    served.daemon.start_wave = start_and_fail
    result = served.run("wave", "start", *OPTIONS, "--watch")
    assert result.exit_code == Exit.WAVE_FAILED


def test_values_for_the_playbook_are_given_without_a_file(served: Any) -> None:
    words = ("--playbook", "p", "--cluster", "payments", "--brokers", "1", "--reason", "CHG-1")
    result = served.run("wave", "start", *words, "--var", "version=4.1", "--var", "text=a=b")
    assert result.exit_code == 0, result.stderr
    ((request, _),) = served.daemon.requests
    assert request["variables"] == {"version": "4.1", "text": "a=b"}


@pytest.mark.parametrize("pair", ["hunter2", "a b=1", "host=x"])
def test_a_value_with_a_mistake_is_a_usage_error(pair: str, served: Any) -> None:
    words = ("--playbook", "p", "--cluster", "payments", "--brokers", "1", "--reason", "CHG-1")
    result = served.run("wave", "start", *words, "--var", pair)
    assert result.exit_code == 2
    assert "hunter2" not in result.stderr
    assert served.daemon.requests == []


def test_a_file_says_the_values_itself(served: Any) -> None:
    result = served.run("wave", "start", "x.yaml", "--var", "a=1")
    assert result.exit_code == 2
    assert "leave out --var" in result.stderr
