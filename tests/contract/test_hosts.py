"""One suite over the hosts of a rehearsal and over real ones, as the effects of a wave meet them.

What the reducer is rehearsed against must be what the hands of a wave meet on a host. Each
statement holds for the model, for processes of this machine, and over SSH; where a connection is
needed that can break, for the model and over SSH. What is different for a reason says so where it
is asked for. Of conditions (`onlyIf`) the model knows nothing, and so they are not asked for here.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import web
from plugins.sshd import SshdHost
from support.http_server import serving
from support.model_host import ModelHost
from support.real_host import RealHost, supervised_service
from support.service_faults import Fault
from support.steps import Rebooting
from support.wave_hosts import ANSWERED, NODE, Does, WaveHost, a_playbook

from healthd.demo.nodes import Node
from healthd.execute.local import LocalExecutor
from healthd.execute.ssh import SshExecutor
from healthd.model.codes import ReasonCode
from healthd.rehearsal.step_hosts import StepFault
from healthd.waves.events import HostState, Outcome, StepState

UNDER_WAY = frozenset({StepState.UNKNOWN, StepState.RUNNING})
STOPPED = HostState(is_running=False)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with supervised_service(tmp_path_factory.mktemp("service")) as node:
        yield node


@pytest.fixture(params=["model", "local", "ssh"])
async def host(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[WaveHost]:
    if request.param.startswith("model"):
        cut = StepFault.ANSWER_LOST if request.param == "model-lost" else StepFault.CUT
        yield ModelHost(a_playbook(tmp_path, "http://127.0.0.1:1/"), cut=cut)
        return
    for pause in ("LOOK_SECONDS", "PAUSE_SECONDS"):
        monkeypatch.setattr(f"healthd.engine.step_commands.{pause}", 0.3)
    monkeypatch.setenv("HOME", str(tmp_path))
    sshd: SshdHost | None = None
    executor: LocalExecutor | SshExecutor = Rebooting(tmp_path)
    if request.param == "ssh":
        made: Callable[[], SshdHost] = request.getfixturevalue("sshd_of_its_own")
        sshd, executor = made(), SshExecutor(pool_size=4)
    node: Node = request.getfixturevalue("service")

    async def answer(_request: web.Request) -> web.Response:
        real.requests += 1
        await real.may_answer.wait()
        (tmp_path / ANSWERED).touch()
        return web.Response()

    async with serving(answer) as url:
        playbook = a_playbook(tmp_path, url)
        real = RealHost(node, playbook, tmp_path, executor=executor, sshd=sshd)
        try:
            yield real
        finally:
            await real.aclose()
            await executor.aclose()


by_wire = pytest.mark.parametrize("host", ["model", "ssh"], indirect=True)
"""Where there is a connection that can break."""
can_boot = pytest.mark.parametrize("host", ["model", "local"], indirect=True)
"""Where another boot can be made: real machines that reboot are tested by themselves."""


async def state_at_last(host: WaveHost, *, is_running: bool) -> HostState:
    """What the host says once the process is as it should become."""
    while (state := await host.state()).is_running is not is_running:
        await host.pause()
    return state


# The service ------------------------------------------------------------------------------------


async def test_a_stop_and_a_start_are_done_once_however_often_they_are_sent(
    host: WaveHost,
) -> None:
    before, starts = await host.state(), host.starts
    assert before.is_running
    assert before.start
    assert await host.start() is Outcome.OK
    assert await host.state() == before
    for _ in range(2):
        # Its answer comes when the process has ended.
        assert await host.stop() is Outcome.OK
        assert await host.state() == STOPPED
    assert host.starts == starts
    # The answer of a start comes when the process is there; whether it serves is another question.
    assert await host.start() is Outcome.OK
    after = await host.state()
    assert after.is_running
    assert after.start not in {None, before.start}
    assert await host.start() is Outcome.OK
    assert await host.state() == after
    assert host.starts == starts + 1


async def test_what_a_command_says_proves_nothing_and_the_state_shows_it(host: WaveHost) -> None:
    before, starts = await host.state(), host.starts
    host.spoil("stop", Fault.NOTHING)
    assert await host.stop() is Outcome.OK
    assert await host.state() == before
    await host.stop()
    host.spoil("start", Fault.NOTHING)
    assert await host.start() is Outcome.OK
    assert await host.state() == STOPPED
    host.spoil("start", Fault.FAILS)
    assert await host.start() is Outcome.FAILED
    assert await host.state() == STOPPED
    host.spoil("start", Fault.HANGS)
    assert await host.start(seconds=0.3) is Outcome.UNKNOWN
    assert await host.state() == STOPPED
    assert host.starts == starts


@by_wire
async def test_a_command_whose_answer_is_lost_is_unknown_and_was_carried_out_once(
    host: WaveHost,
) -> None:
    before, starts = await host.state(), host.starts
    host.spoil("stop", Fault.CUT)
    assert await host.stop() is Outcome.UNKNOWN
    assert await state_at_last(host, is_running=False) == STOPPED
    host.spoil("start", Fault.CUT)
    assert await host.start() is Outcome.UNKNOWN
    after = await state_at_last(host, is_running=True)
    assert after.start not in {None, before.start}
    assert host.starts == starts + 1


@by_wire
async def test_a_host_that_nobody_reaches_is_sent_nothing_and_says_nothing(host: WaveHost) -> None:
    before, starts = await host.state(), host.starts
    host.cut_off()
    assert await host.stop() is Outcome.NOT_SENT
    assert await host.start() is Outcome.NOT_SENT
    assert await host.run(Does.WELL) is Outcome.NOT_SENT
    assert await host.seen(Does.WELL) is StepState.UNKNOWN
    assert await host.seen(Does.WELL, is_verify=True) is StepState.UNKNOWN
    state = await host.state()
    assert (state.is_running, state.start) == (None, None)
    assert state.detail
    assert state.reason is not None
    assert state.reason.code is ReasonCode.HOST_UNREACHABLE
    assert state.reason.object == f"broker:{NODE}"
    host.reachable_again()
    assert await host.state() == before
    assert host.starts == starts
    assert await host.seen(Does.WELL) is StepState.NOT_DONE
    # What was not sent is sent again under the same id.
    assert await host.run(Does.WELL) is Outcome.OK
    assert host.done(Does.WELL) == 1


# Steps ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "outcome", "state"),
    [
        (Does.WELL, Outcome.OK, StepState.DONE),
        (Does.UPLOAD, Outcome.OK, StepState.DONE),
        (Does.FAILS, Outcome.FAILED, StepState.FAILED),
    ],
)
async def test_a_step_that_is_told_again_begins_nothing_and_answers_as_it_did(
    host: WaveHost, step: Does, outcome: Outcome, state: StepState
) -> None:
    assert await host.seen(step) is StepState.NOT_DONE
    assert host.begun(step) == 0
    for _ in range(2):
        assert await host.run(step) is outcome
        assert await host.seen(step) is state
        assert host.begun(step) == 1
        assert host.done(step) == (outcome is Outcome.OK)


async def test_only_verify_knows_whether_a_step_has_worked(host: WaveHost) -> None:
    for step, state in {
        Does.WELL: StepState.DONE,
        Does.COMES_TO_NOTHING: StepState.NOT_DONE,
    }.items():
        assert await host.run(step) is Outcome.OK
        assert await host.seen(step) is StepState.DONE
        assert await host.seen(step, is_verify=True) is state
        # Under another id it is another command.
        assert await host.seen(step, "1.9.step") is StepState.NOT_DONE


async def test_a_step_goes_on_without_the_daemon_and_whoever_tells_it_again_hears_its_end(
    host: WaveHost,
) -> None:
    sent = host.send(host.a_run(Does.LASTS))
    await host.until_begun(Does.LASTS)
    host.forget(sent)
    assert await host.seen(Does.LASTS) is StepState.RUNNING
    again = host.send(host.a_run(Does.LASTS))
    assert await host.seen(Does.LASTS) is StepState.RUNNING
    await host.let_end()
    assert await host.answer(again) is Outcome.OK
    assert await host.seen(Does.LASTS) is StepState.DONE
    assert (host.begun(Does.LASTS), host.done(Does.LASTS)) == (1, 1)


async def test_a_step_is_ended_at_its_deadline_and_does_not_go_on(host: WaveHost) -> None:
    # Whether its last look comes before that end or after it is a matter of luck.
    assert await host.run(Does.HANGS) in {Outcome.FAILED, Outcome.UNKNOWN}
    assert await host.seen_at_last(Does.HANGS, while_it_is=UNDER_WAY) is StepState.FAILED
    assert await host.run(Does.HANGS) is Outcome.FAILED
    assert (host.begun(Does.HANGS), host.done(Does.HANGS)) == (1, 0)


@pytest.mark.parametrize("host", ["model", "model-lost", "ssh"], indirect=True)
async def test_a_step_whose_connection_is_cut_is_done_once_and_not_taken_for_failed(
    host: WaveHost,
) -> None:
    host.will_be_cut(Does.LASTS)
    sent = host.send(host.a_run(Does.LASTS))
    await host.until_begun(Does.LASTS)
    assert await host.seen_at_last(Does.LASTS, while_it_is=frozenset({StepState.UNKNOWN})) is (
        StepState.RUNNING
    )
    await host.let_end()
    outcome = await host.answer(sent)
    # A command's own runner asks for its end over the next connection; in the model nobody does,
    # as after an upload or a request: the wave has to observe it.
    assert outcome is (Outcome.UNKNOWN if isinstance(host, ModelHost) else Outcome.OK)
    assert await host.seen(Does.LASTS) is StepState.DONE
    assert (host.begun(Does.LASTS), host.done(Does.LASTS)) == (1, 1)


@by_wire
async def test_a_host_that_goes_away_in_the_middle_ends_the_step_in_time_all_the_same(
    host: WaveHost,
) -> None:
    sent = host.send(host.a_run(Does.HANGS))
    await host.until_begun(Does.HANGS)
    host.cut_off()
    assert await host.answer(sent) is Outcome.UNKNOWN
    assert await host.seen(Does.HANGS) is StepState.UNKNOWN
    host.reachable_again()
    assert await host.seen_at_last(Does.HANGS, while_it_is=UNDER_WAY) is StepState.FAILED
    assert (host.begun(Does.HANGS), host.done(Does.HANGS)) == (1, 0)


@can_boot
async def test_a_step_in_whose_middle_the_host_is_booted_anew_is_interrupted(
    host: WaveHost,
) -> None:
    host.will_lose_power(Does.LASTS)
    sent = host.send(host.a_run(Does.LASTS))
    assert await host.answer(sent) is Outcome.UNKNOWN
    assert await host.seen_at_last(Does.LASTS, while_it_is=UNDER_WAY) is StepState.INTERRUPTED
    assert await host.run(Does.LASTS) is Outcome.UNKNOWN
    assert (host.begun(Does.LASTS), host.done(Does.LASTS)) == (1, 0)


@can_boot
async def test_a_reboot_is_proven_by_another_boot_and_is_done_once(host: WaveHost) -> None:
    assert await host.seen(Does.REBOOT) is StepState.NOT_DONE
    for _ in range(2):
        assert await host.run(Does.REBOOT) is Outcome.OK
        assert await host.seen(Does.REBOOT) is StepState.DONE
        assert host.begun(Does.REBOOT) == 1


@can_boot
async def test_a_reboot_that_comes_to_nothing_fails_and_is_never_seen_as_done(
    host: WaveHost,
) -> None:
    assert await host.run(Does.REBOOT_IN_VAIN) is Outcome.FAILED
    # Nobody on the host knows that it will not come any more: a wave gives it up in time.
    assert await host.seen(Does.REBOOT_IN_VAIN) is StepState.RUNNING
    assert host.begun(Does.REBOOT_IN_VAIN) == 1


@pytest.mark.parametrize(
    ("step", "afterwards"),
    [(Does.REQUEST, StepState.INTERRUPTED), (Does.SEEN_REQUEST, StepState.DONE)],
)
async def test_a_request_leaves_no_marker_and_nobody_but_its_observe_tells_of_it(
    host: WaveHost, step: Does, afterwards: StepState
) -> None:
    assert await host.seen(step) is StepState.INTERRUPTED
    sent = host.send(host.a_run(step))
    await host.until_begun(step)
    assert await host.seen(step) is StepState.INTERRUPTED
    await host.let_end()
    assert await host.answer(sent) is Outcome.OK
    assert await host.seen(step) is afterwards
    # That is why a wave never tells it again under the same id once it was sent.
    assert await host.run(step) is Outcome.OK
    assert host.done(step) == 2
