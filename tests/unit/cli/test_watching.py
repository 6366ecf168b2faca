"""Following a wave: every change once, over a restart of the daemon, until it ends."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from rich.console import Console
from support.daemon import NOW, InMemoryDaemon, wave_state
from support.step_playbooks import a_restart, a_step

from healthd.cli.client import DaemonError
from healthd.cli.exits import Exit
from healthd.cli.watching import PATIENCE_SECONDS, follow
from healthd.cli.wave_text import changes, waiting, wave_view
from healthd.engine.printed import Printed
from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.serve.wave_json import wave_document
from healthd.waves.state import (
    Hold,
    NodeRun,
    NodeStatus,
    Override,
    Pause,
    Track,
    WaveState,
    WaveStatus,
)
from healthd.waves.step_run import NodeSteps, StepPhase

AT = "2026-01-01T12:00:00Z"
AWAY = DaemonError("cannot be reached", Exit.UNREACHABLE)
RUNNING = {"status": "running"}
ENDED = {"status": "succeeded"}


def script(*steps: Any) -> Callable[[], dict[str, Any]]:
    """Looks that give these answers, one after the other."""
    left = list(steps)

    def look() -> dict[str, Any]:
        step = left.pop(0)
        if isinstance(step, Exception):
            raise step
        found: dict[str, Any] = step
        return found

    return look


def test_it_looks_until_the_wave_has_ended() -> None:
    slept: list[float] = []
    looks = follow(script(RUNNING, RUNNING, ENDED), interval_seconds=2.0, sleep=slept.append)
    assert [found["status"] for found in looks] == ["running", "running", "succeeded"]
    assert slept == [2.0, 2.0]


def test_a_daemon_that_is_restarted_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    looks = follow(
        script(RUNNING, AWAY, AWAY, RUNNING, AWAY, ENDED),
        interval_seconds=1.0,
        sleep=lambda _: None,
    )
    assert [found["status"] for found in looks] == ["running", "running", "succeeded"]
    assert capsys.readouterr().err.count("the daemon is away") == 2


def test_a_daemon_that_does_not_come_back_ends_the_watching() -> None:
    slept: list[float] = []
    looks = follow(script(RUNNING, *[AWAY] * 1000), interval_seconds=1.0, sleep=slept.append)
    with pytest.raises(DaemonError) as ended:
        list(looks)
    assert ended.value.exit_code == Exit.UNREACHABLE
    assert sum(slept) == pytest.approx(PATIENCE_SECONDS, abs=2.0)


def test_a_daemon_that_was_never_there_is_not_waited_for() -> None:
    with pytest.raises(DaemonError):
        list(follow(script(AWAY), interval_seconds=1.0, sleep=lambda _: None))


def document(state: WaveState) -> dict[str, Any]:
    return wave_document(InMemoryDaemon().put(state))


def hold(code: ReasonCode, of: str, detail: str) -> Hold:
    return Hold(reason=Reason(code=code, object=of, detail=detail), since=1.0)


def test_the_first_look_tells_all() -> None:
    assert list(changes(None, document(wave_state()))) == [
        f"{AT} wave w1 holding",
        f"{AT} node 2 done",
        f"{AT} node 1 soaking",
        f"{AT} node 3 pending",
        f"{AT} gate closed: BROKER_DOWN broker:3: it is not alive",
    ]


def test_what_has_not_changed_is_not_told_again() -> None:
    state = wave_state()
    later = replace(state, clock=260.0, clean=replace(state.clean, snapshots=2, last_at=260.0))
    assert list(changes(document(state), document(later))) == []


@pytest.mark.parametrize(("step_since", "told"), [(130.0, ", its process left"), (131.0, "")])
def test_what_was_said_of_a_node_is_told_until_a_step_begins(step_since: float, told: str) -> None:
    steps = NodeSteps(at=2, phase=StepPhase.RUNNING, since=step_since)
    node = NodeRun(
        node=1, status=NodeStatus.STOPPED, since=130.0, detail="its process left", steps=steps
    )
    playbook = a_restart(between=(a_step("patch"),))
    found = document(wave_state(nodes=(node,), playbook=playbook))
    (line,) = (each for each in changes(None, found) if "node 1" in each)
    assert line.partition("runs for ")[2].partition("s")[2] == told


def test_what_a_step_prints_is_told_once_line_by_line() -> None:
    playbook = a_restart(between=(a_step("patch"),))
    steps = NodeSteps(at=2, phase=StepPhase.RUNNING, since=140.0)
    node = NodeRun(node=1, status=NodeStatus.STOPPED, since=130.0, steps=steps)
    view = InMemoryDaemon().put(wave_state(nodes=(node,), playbook=playbook))
    looks = [wave_document(view)]
    for lines in (["Reading"], [], ["", "Unpacking", "Setting up"], [str(n) for n in range(50)]):
        before = view.printed.get(1, Printed())
        view = replace(view, printed={1: before.more(lines)})
        looks.append(wave_document(view))
    told = [list(changes(before, after)) for before, after in itertools.pairwise(looks)]
    assert told[0] == ["  node 1 | Reading"]
    assert told[1] == []
    assert told[2] == ["  node 1 | Unpacking", "  node 1 | Setting up"]
    assert told[3] == [
        "  node 1 | [... 30 lines ...]",
        *(f"  node 1 | {number}" for number in range(30, 50)),
    ]
    assert looks[2]["nodes"][0]["step"]["printedLines"] == 1
    another = replace(node, steps=replace(steps, at=3))
    view = replace(view, state=view.state.with_node(another), printed={1: Printed().more(["x"])})
    assert list(changes(looks[-1], wave_document(view)))[-1] == "  node 1 | x"


@pytest.mark.parametrize("failures", [0, 1])
def test_a_step_that_is_tried_again_is_told_from_its_first_line(failures: int) -> None:
    playbook = a_restart(between=(a_step("patch"),))
    steps = NodeSteps(at=2, phase=StepPhase.RUNNING, since=140.0)
    node = NodeRun(node=1, status=NodeStatus.STOPPED, since=130.0, steps=steps)
    view = InMemoryDaemon().put(wave_state(nodes=(node,), playbook=playbook))
    before = wave_document(replace(view, printed={1: Printed().more(["a", "b"])}))
    again = replace(node, steps=replace(steps, failures=failures))
    lines = ["a"] if failures == 0 else ["a", "b", "c"]
    after = replace(view, state=view.state.with_node(again), printed={1: Printed().more(lines)})
    assert list(changes(before, wave_document(after)))[-len(lines) :] == [
        f"  node 1 | {line}" for line in lines
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param(
            lambda state: state.with_node(state.nodes[2].moved(NodeStatus.STOPPING, 200.0)),
            [f"{AT} node 3 stopping"],
            id="a node",
        ),
        pytest.param(
            lambda state: state.with_node(replace(state.nodes[1], detail="it is slow")),
            [f"{AT} node 1 soaking: it is slow"],
            id="what is known of a node",
        ),
        pytest.param(
            lambda state: replace(state, holds=(), status=WaveStatus.RUNNING),
            [f"{AT} wave w1 running", f"{AT} gate open"],
            id="the gate opens",
        ),
        pytest.param(
            lambda state: replace(
                state, holds=(hold(ReasonCode.SOAKING, "broker:1", "30 of 120 s"),)
            ),
            [f"{AT} gate closed: SOAKING broker:1: 30 of 120 s"],
            id="another hold",
        ),
        pytest.param(
            lambda state: replace(
                state, holds=(hold(ReasonCode.BROKER_DOWN, "broker:3", "another detail"),)
            ),
            [],
            id="only a hold's numbers",
        ),
        pytest.param(
            lambda state: replace(
                state,
                status=WaveStatus.PAUSED,
                pauses=(Pause(by="bob", reason="lunch", since=200.0),),
            ),
            [
                f"{AT} wave w1 paused",
                f"{AT} paused by bob: lunch -> healthd wave resume w1 --reason ...",
            ],
            id="a pause",
        ),
        pytest.param(
            lambda state: replace(state, status=WaveStatus.SUCCEEDED, holds=()),
            [f"{AT} wave w1 succeeded"],
            id="the end",
        ),
    ],
)
def test_a_change_is_told_in_a_line(
    change: Callable[[WaveState], WaveState], told: list[str]
) -> None:
    state = wave_state()
    assert list(changes(document(state), document(change(state)))) == told


def test_a_wave_whose_gate_was_not_looked_at_does_not_look_open() -> None:
    planned = wave_state(status=WaveStatus.PLANNED, holds=())
    assert "GATE  not looked at yet" in list(waiting(document(planned)))


def test_an_abort_that_is_under_way_is_told() -> None:
    state = wave_state(abort=Pause(by="bob", reason="enough", since=1.0))
    assert "ABORT wanted by bob: enough" in list(waiting(document(state)))


def test_of_thousands_of_holds_a_person_sees_the_first_and_how_many_there_are() -> None:
    holds = tuple(
        hold(ReasonCode.PARTITION_UNDER_REPLICATED, f"orders-{at}", "not in sync on broker 3")
        for at in range(2000)
    )
    lines = list(waiting(document(wave_state(holds=holds))))
    assert sum("orders-" in line for line in lines) == 20
    assert [line.strip() for line in lines if "more" in line] == [
        "and 1980 more PARTITION_UNDER_REPLICATED; -o json has all"
    ]


def test_of_many_holds_of_one_code_no_other_is_left_out() -> None:
    holds = (
        *(
            hold(ReasonCode.PARTITION_UNDER_REPLICATED, f"orders-{at}", "not in sync on broker 3")
            for at in range(121)
        ),
        hold(ReasonCode.WINDOW_CLOSED, "cluster:payments", "opens Thu 21:00"),
        hold(ReasonCode.ALERT_FIRING, "alert:DiskFull", "since 10:00"),
    )
    lines = list(waiting(document(wave_state(holds=holds))))
    assert any("WINDOW_CLOSED cluster:payments: opens Thu 21:00" in line for line in lines)
    assert any("ALERT_FIRING alert:DiskFull" in line for line in lines)
    assert any("and 118 more PARTITION_UNDER_REPLICATED" in line for line in lines)


def test_a_hold_says_how_far_it_is_from_opening() -> None:
    readings = tuple((at, 100_000.0 - 600 * at) for at in (0.0, 15.0, 30.0, 45.0, 60.0))
    track = Track(
        code=ReasonCode.REPLICA_LAG, object="broker:3", readings=readings,
        lowest=64_000.0, lowest_at=60.0,
    )  # fmt: skip
    lag = hold(ReasonCode.REPLICA_LAG, "broker:3", "64000 messages behind")
    lines = list(waiting(document(wave_state(holds=(lag,), tracks=(track,)))))
    at = next(number for number, line in enumerate(lines) if "REPLICA_LAG broker:3" in line)
    assert lines[at + 1].strip() == ("-> 100,000 -> 64,000 messages, 600 a second: about 2 min")


def test_who_overrides_what_until_when_and_why_is_shown_and_told() -> None:
    made = Override(
        code=ReasonCode.FREEZE, object="cluster:payments", by="ben", reason="INC-7",
        since=100.0, ends_at=1900.0, until=NOW.timestamp() + 1800.0,
    )  # fmt: skip
    plain = wave_state()
    overridden = replace(plain, overrides=(made,))
    lines = list(waiting(document(overridden)))
    (line,) = [each for each in lines if each.startswith("OVERRIDDEN")]
    assert "FREEZE cluster:payments by ben" in line
    assert "until 2026-01-01T12:30:00Z: INC-7" in line
    assert list(changes(document(plain), document(overridden))) == [
        f"{AT} FREEZE cluster:payments overridden by ben until 2026-01-01T12:30:00Z: INC-7"
    ]
    assert list(changes(document(overridden), document(plain))) == [
        f"{AT} FREEZE cluster:payments no longer overridden by ben"
    ]


def test_of_a_large_wave_the_nodes_on_their_way_and_in_trouble_are_shown() -> None:
    runs = [NodeRun(node=node) for node in range(100, 1600)]
    runs[7] = NodeRun(node=107, status=NodeStatus.FAILED, detail="the stop timed out")
    runs[8] = NodeRun(node=108, status=NodeStatus.RECOVERING)
    runs[9] = NodeRun(node=109, status=NodeStatus.DONE)
    out = Console(width=120, record=True, file=StringIO())
    out.print(wave_view(document(wave_state(nodes=tuple(runs)))))
    text = out.export_text()
    assert "107" in text
    assert "the stop timed out" in text
    assert "and 1497 pending, 1 done; -o json has all" in text
    assert len(text.splitlines()) < 30
