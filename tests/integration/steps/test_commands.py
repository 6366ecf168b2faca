"""Commands that steps run on a host, reboots, and waiting."""

from __future__ import annotations

import asyncio
import http.server
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from plugins.sshd import SshdHost
from support.daemon import snapshot_json, snapshot_of_cluster
from support.steps import NODE, Rebooting, Stage

from healthd.engine.printed import CHARACTERS, Printed
from healthd.execute.ssh import SshExecutor
from healthd.waves.events import HostState, Outcome, StepState
from healthd.waves.playbook_steps import (
    BrokerCheck,
    Changed,
    ChangedCheck,
    Check,
    CommandAction,
    CommandCheck,
    FileCheck,
    HttpCheck,
    PortCheck,
    RebootAction,
    Variable,
    VariableType,
    WaitAction,
)
from healthd.waves.variable_values import SecretSource


def sh(text: str, **changes: object) -> CommandAction:
    return CommandAction(argv=(text,), shell=True, **changes)  # type: ignore[arg-type]


async def test_a_command_runs_with_its_words_as_they_are(here: Stage, tmp_path: Path) -> None:
    path = tmp_path / "told"
    here.declare(Variable(name="version", default="4.1; rm -rf $HOME 'x'"))
    action = CommandAction(
        argv=("sh", "-c", 'printf %s "$1" > "$2"', "sh", "${version}", str(path))
    )
    outcome, detail = await here.run(action)
    assert outcome is Outcome.OK, detail
    assert path.read_text() == "4.1; rm -rf $HOME 'x'"
    assert (await here.seen(0))[0] is StepState.DONE


async def test_a_command_is_begun_once_under_one_effect(here: Stage, tmp_path: Path) -> None:
    path = tmp_path / "count"
    action = sh(f"echo x >> {path}; echo done")
    for _ in range(3):
        outcome, detail = await here.run(
            action if not here.playbook.steps else None, at=(0 if here.playbook.steps else None)
        )
        assert outcome is Outcome.OK
        assert "done" in detail
    assert path.read_text() == "x\n"
    await here.run(at=0, effect_id="1.1.again")
    assert path.read_text() == "x\nx\n"
    # Another wave's command is another one, whatever its id.
    here.wave = "os-patch-2"
    await here.run(at=0)
    assert path.read_text() == "x\nx\nx\n"


@pytest.mark.parametrize(
    ("code", "ok", "outcome", "seen"),
    [
        (0, (0,), Outcome.OK, StepState.DONE),
        (100, (0, 100), Outcome.OK, StepState.DONE),
        (100, (0,), Outcome.FAILED, StepState.FAILED),
        (0, (1,), Outcome.FAILED, StepState.FAILED),
    ],
)
async def test_the_exit_codes_of_the_step_say_what_is_well(
    here: Stage, code: int, ok: tuple[int, ...], outcome: Outcome, seen: StepState
) -> None:
    found, detail = await here.run(sh(f"echo out; echo err >&2; exit {code}", ok_exit_codes=ok))
    assert found is outcome
    assert f"exit code {code}" in detail
    assert "out" in detail
    assert "err" in detail
    assert (await here.seen(0))[0] is seen


async def test_a_command_that_takes_too_long_is_ended_on_the_host(here: Stage) -> None:
    outcome, detail = await here.run(CommandAction(argv=("sleep", "60")), timeout=1.0)
    assert outcome in {Outcome.FAILED, Outcome.UNKNOWN}, detail
    for _ in range(100):
        state, detail = await here.seen(0)
        if state is not StepState.RUNNING:
            break
        await asyncio.sleep(0.1)
    assert state is StepState.FAILED, detail
    assert "its time was up" in detail


async def test_a_secret_goes_in_by_a_pipe_and_never_comes_out(here: Stage, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("planted-hunter2\n")
    secret.chmod(0o600)
    here.declare(Variable(name="password", type=VariableType.SECRET))
    here.config = replace(here.config, variables={"password": SecretSource(file=str(secret))})
    outcome, detail = await here.run(sh("cat; echo; echo end", stdin="password"))
    assert outcome is Outcome.OK, detail
    assert "[redacted]" in detail
    # Also a step that does not use it may print it.
    outcome, other = await here.run(CommandAction(argv=("cat", str(secret))))
    assert outcome is Outcome.OK
    assert "[redacted]" in other
    seen = await here.seen(0)
    assert "planted" not in detail + other + seen[1]


async def test_what_a_command_prints_is_shown_while_it_runs(
    here: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("healthd.engine.step_commands.LOOK_SECONDS", 0.2)
    (tmp_path / "password").write_text("planted-hunter2\n")
    (tmp_path / "password").chmod(0o600)
    here.declare(Variable(name="password", type=VariableType.SECRET))
    config = {"password": SecretSource(file=str(tmp_path / "password"))}
    here.config = replace(here.config, variables=config)
    go_on, end = tmp_path / "go-on", tmp_path / "end"
    wait = "until [ -e {} ]; do sleep 0.1; done"
    text = (
        f"echo early planted-hunter2 >&2; seq 1 30; {wait.format(go_on)}; "
        f"echo late; printf half; {wait.format(end)}; exit 3"
    )
    running = asyncio.create_task(here.run(sh(text)))

    async def shown(last: str) -> Printed:
        while True:
            found = here.printed.get(NODE)
            if found is not None and last in found.lines:
                return found
            assert not running.done(), running.result()
            await asyncio.sleep(0.05)

    first = await shown("early [redacted]")
    assert first.count == 31
    assert first.lines == (*(str(number) for number in range(12, 31)), "early [redacted]")
    go_on.touch()
    second = await shown("late")
    assert second.count == 32
    end.touch()
    outcome, detail = await running
    assert outcome is Outcome.FAILED
    assert detail.splitlines()[-1] == "early [redacted]"  # stderr comes behind stdout
    assert "late\nhalf\n" in detail
    assert here.printed == {}


async def test_a_key_that_is_printed_piece_by_piece_is_not_shown_and_counted_once(
    here: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("healthd.engine.step_commands.LOOK_SECONDS", 0.2)
    first, second = tmp_path / "first", tmp_path / "second"
    wait = "while [ ! -e {} ]; do sleep 0.05; done"
    key = "RSA PRIVATE " + "KEY"
    body = "\n".join(f"echo MIIEvQIBADANBgkqhkiG{number}" for number in range(10))
    text = (
        f"echo begin\necho '-----BEGIN {key}-----'\n{body}\necho mark >&2\n"
        f"{wait.format(first)}\n{body}\necho '-----END {key}-----'\necho middle\n"
        f"{wait.format(second)}\necho end\n{wait.format(tmp_path / 'third')}"
    )
    running = asyncio.create_task(here.run(sh(text)))
    seen: list[str] = []

    async def until(last: str) -> None:
        while last not in seen:
            seen.extend(here.printed.get(NODE, Printed()).lines)
            assert not running.done(), running.result()
            await asyncio.sleep(0.02)

    for last, go_on in (("mark", "first"), ("middle", "second"), ("end", "third")):
        await until(last)
        if last == "end":
            lines = here.printed[NODE].lines
        (tmp_path / go_on).touch()
    assert (await running)[0] is Outcome.OK
    assert not any("MIIE" in line for line in seen)
    assert [line for line in lines if "redacted" not in line] == ["begin", "mark", "middle", "end"]


async def test_a_line_that_is_longer_than_an_answer_does_not_end_the_telling(
    here: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("healthd.engine.step_commands.LOOK_SECONDS", 0.2)
    end = tmp_path / "end"
    text = (
        "head -c 100000 /dev/zero | tr '\\0' x\necho\necho late\n"
        f"while [ ! -e {end} ]; do sleep 0.05; done"
    )
    running = asyncio.create_task(here.run(sh(text)))
    while "late" not in here.printed.get(NODE, Printed()).lines:
        assert not running.done(), running.result()
        await asyncio.sleep(0.05)
    assert here.printed[NODE].lines == ("x" * CHARACTERS, "late")
    end.touch()
    await running


async def test_a_missing_variable_is_one_line_with_all_that_one_needs(here: Stage) -> None:
    outcome, detail = await here.run(CommandAction(argv=("tool", "${jdk}")))
    assert outcome is Outcome.FAILED
    assert detail == (
        f"playbook os-patch, step 'do it', broker {NODE}: the variable jdk has no value"
    )
    assert (await here.seen(0))[0] is StepState.FAILED


async def test_a_package_manager_s_lock_is_waited_for_by_trying_again(
    here: Stage, tmp_path: Path
) -> None:
    lock = tmp_path / "lock"
    lock.write_text("")
    action = sh(f"test ! -e {lock} || {{ echo 'E: Could not get lock' >&2; exit 100; }}")
    outcome, detail = await here.run(action, repeatable=True, tries=2)
    assert outcome is Outcome.FAILED
    assert "Could not get lock" in detail
    lock.unlink()
    assert (await here.run(at=0, effect_id="1.2.step"))[0] is Outcome.OK


async def test_a_program_that_is_not_there_is_told(here: Stage) -> None:
    outcome, detail = await here.run(CommandAction(argv=("/nowhere/tool",)))
    assert outcome is Outcome.FAILED
    assert "/nowhere/tool" in detail


async def test_a_declared_variable_without_a_value_is_one_line_too(here: Stage) -> None:
    here.declare(Variable(name="jdk"))
    outcome, detail = await here.run(CommandAction(argv=("true",)))
    assert outcome is Outcome.FAILED
    assert detail.startswith("playbook os-patch, broker 1: the variable jdk has no value -> write ")


# What comes before ------------------------------------------------------------------------------


async def test_a_step_is_left_out_where_its_condition_is_not_true(
    here: Stage, tmp_path: Path
) -> None:
    path = tmp_path / "made"
    needed = FileCheck(file=str(tmp_path / "reboot-required"))
    outcome, detail = await here.run(sh(f"touch {path}"), only_if=(needed,))
    assert outcome is Outcome.OK
    assert detail.startswith("left out: ")
    assert not path.exists()
    (tmp_path / "reboot-required").touch()
    assert (await here.run(at=0))[0] is Outcome.OK
    assert path.exists()


async def test_a_dry_run_reaches_nobody_and_says_what_it_would_do(
    here: Stage, tmp_path: Path
) -> None:
    here.state_changes = {"is_dry_run": True}
    outcome, detail = await here.run(sh(f"touch {tmp_path}/made", become=True))
    assert outcome is Outcome.OK
    assert detail == f"dry run: not done: run as root /bin/sh -c 'touch {tmp_path}/made'"
    assert not (tmp_path / "made").exists()
    assert not here.folder.exists()
    assert (await here.seen(0))[0] is StepState.DONE


# Reboots ----------------------------------------------------------------------------------------


@pytest.fixture
def rebooting(tmp_path: Path) -> Stage:
    return Stage(executor=Rebooting(tmp_path), folder=tmp_path)


async def test_a_reboot_is_done_when_the_host_has_another_boot_id(
    rebooting: Stage, tmp_path: Path
) -> None:
    text = f"touch {tmp_path}/away; sleep 0.5; echo boot-2 > {tmp_path}/boot_id; rm {tmp_path}/away"
    action = RebootAction(reboot_argv=("sh", "-c", text))
    outcome, detail = await rebooting.run(action)
    assert (outcome, detail) == (Outcome.OK, "the boot id was boot-1 and is boot-2")
    assert (await rebooting.seen(0))[0] is StepState.DONE
    changed = (ChangedCheck(changed=Changed.BOOT_ID),)
    rebooting.playbook = replace(
        rebooting.playbook, steps=(replace(rebooting.playbook.steps[0], verify=changed),)
    )
    assert (await rebooting.seen(0, is_verify=True))[0] is StepState.DONE
    # Asked for once more under the same id, it is not done again.
    assert (await rebooting.run(at=0))[0] is Outcome.OK
    assert (tmp_path / "boot_id").read_text() == "boot-2\n"


async def test_a_reboot_after_which_the_boot_id_is_the_same_is_a_failure(
    rebooting: Stage,
) -> None:
    outcome, detail = await rebooting.run(RebootAction(reboot_argv=("true",)), timeout=2.0)
    assert outcome is Outcome.FAILED
    assert detail == ("the host was not booted anew in its time: its boot id is still boot-1")
    assert (await rebooting.seen(0))[0] is StepState.RUNNING


async def test_a_reboot_that_is_refused_is_told_at_once(rebooting: Stage) -> None:
    outcome, detail = await rebooting.run(
        RebootAction(reboot_argv=("sh", "-c", "echo not allowed >&2; exit 1"))
    )
    assert outcome is Outcome.FAILED
    assert "not allowed" in detail


async def test_another_step_can_wait_for_the_reboot(rebooting: Stage, tmp_path: Path) -> None:
    until = (ChangedCheck(changed=Changed.BOOT_ID),)
    wait = rebooting.step(WaitAction(until=until), timeout=20.0)
    assert (await rebooting.seen(wait))[0] is StepState.UNKNOWN
    await rebooting.run(sh("true"))
    assert (await rebooting.seen(wait))[0] is StepState.RUNNING
    # Whoever boots it: a person, a watchdog, or a step that came before.
    (tmp_path / "boot_id").write_text("boot-2\n")
    assert (await rebooting.seen(wait))[0] is StepState.DONE
    assert (await rebooting.run(at=wait))[0] is Outcome.OK


async def test_a_reboot_that_nobody_asked_for_has_not_been_done(rebooting: Stage) -> None:
    at = rebooting.step(RebootAction(reboot_argv=("true",)))
    assert (await rebooting.seen(at))[0] is StepState.NOT_DONE


# Waiting ----------------------------------------------------------------------------------------


@pytest.fixture
def page() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/well" else 503)
            self.end_headers()
            with suppress(BrokenPipeError):
                self.wfile.write(b"state: ok\n" + b"x" * 200_000)

        def log_message(self, *_args: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def cases(folder: Path, page: str) -> list[tuple[Check, StepState, str]]:
    port = page.rpartition(":")[2]
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    file = str(folder / "x")
    done, running, unknown = StepState.DONE, StepState.RUNNING, StepState.UNKNOWN
    return [
        (CommandCheck(command=("true",)), done, "true says so"),
        (CommandCheck(command=("false",)), running, "false ended with exit code 1"),
        (CommandCheck(command=("false",), exit_code=1), done, "false says so"),
        (CommandCheck(command=("echo", "a ok b"), stdout_matches="ok b$"), done, ""),
        (CommandCheck(command=("echo", "no"), stdout_matches="ok"), running, "matches 'ok'"),
        (CommandCheck(command=("/nowhere/x",)), unknown, "/nowhere/x"),
        (PortCheck(port=port), done, f"port {port} of 127.0.0.1 answers"),
        (PortCheck(port="1"), running, "port 1 of 127.0.0.1: Connect call failed"),
        (PortCheck(port="http"), unknown, "'http' is no port"),
        (FileCheck(file=file), done, ""),
        (FileCheck(file=file, sha256=digest), done, "has the content"),
        (FileCheck(file=file, sha256="0" * 64), running, "another content"),
        (FileCheck(file=str(folder), sha256=digest), running, "is no file"),
        (FileCheck(file=file, exists=False), running, "is there"),
        (FileCheck(file=f"{file}y"), running, "is not there"),
        (FileCheck(file=f"{file}y", exists=False, sha256=digest), done, ""),
        (HttpCheck(url=f"{page}/well", body_matches="^state: ok$"), done, "answers as it should"),
        (HttpCheck(url=f"{page}/well", body_matches="bad"), running, "nothing that matches"),
        (HttpCheck(url=f"{page}/ill"), running, "HTTP status 503, not 200"),
        (HttpCheck(url=f"{page}/ill", status=503), done, ""),
        (HttpCheck(url="http://127.0.0.1:1/"), running, "http://127.0.0.1:1/: "),
        (ChangedCheck(changed=Changed.PROCESS_START), running, "still runs since 100"),
        (ChangedCheck(changed=Changed.BOOT_ID), unknown, "of before is not known"),
        (BrokerCheck(broker_state="running", in_every_isr=True), done, "broker 1 is as"),
        (BrokerCheck(broker_state="starting"), running, "broker 1 is running, not starting"),
        (BrokerCheck(version="4.1.0"), done, "broker 1 runs Kafka 4.1.0"),
        (BrokerCheck(version="4.1"), done, ""),
        (BrokerCheck(version="4.10"), running, "runs Kafka 4.1.0, not 4.10"),
    ]


async def test_each_check_says_what_is_so_and_why_not(
    here: Stage, tmp_path: Path, page: str
) -> None:
    (tmp_path / "x").write_text("x")
    brokers = [{**row, "version": "4.1.0"} for row in snapshot_json()["brokers"]]
    here.snapshot = snapshot_of_cluster(brokers=brokers)
    for check, state, told in cases(tmp_path, page):
        at = here.step(WaitAction(until=(check,)))
        found, detail = await here.seen(at)
        assert (found, told in detail) == (state, True), (check, found, detail)


async def test_a_process_that_was_started_anew_is_seen(here: Stage) -> None:
    here.host_state = HostState(is_running=True, start="200")
    at = here.step(WaitAction(until=(ChangedCheck(changed=Changed.PROCESS_START),)))
    assert (await here.seen(at))[0] is StepState.DONE
    here.host_state = HostState(is_running=False)
    assert (await here.seen(at))[0] is StepState.RUNNING
    here.host_state = HostState(is_running=None, detail="nobody answers")
    assert await here.seen(at) == (StepState.UNKNOWN, "nobody answers")


async def test_waiting_ends_when_all_is_true_and_fails_when_its_time_is_up(
    here: Stage, tmp_path: Path
) -> None:
    path = tmp_path / "soon"
    until = (CommandCheck(command=("true",)), FileCheck(file=str(path)))
    outcome, detail = await here.run(WaitAction(until=until), timeout=0.5)
    assert (outcome, detail) == (Outcome.FAILED, f"its time is up: {path} is not there")
    asyncio.get_running_loop().call_later(0.5, path.touch)
    outcome, _ = await here.run(WaitAction(until=until), timeout=20.0)
    assert outcome is Outcome.OK


async def test_what_the_step_says_to_observe_is_the_truth_when_it_is_true(
    here: Stage, tmp_path: Path
) -> None:
    path = tmp_path / "made"
    at = here.step(sh("exit 1"), observe=(FileCheck(file=str(path)),))
    assert (await here.seen(at))[0] is StepState.NOT_DONE
    assert (await here.run(at=at))[0] is Outcome.FAILED
    assert (await here.seen(at))[0] is StepState.FAILED
    path.touch()
    assert (await here.seen(at))[0] is StepState.DONE


# Over SSH ---------------------------------------------------------------------------------------


async def test_a_command_outlives_its_connection(shared_sshd: SshdHost, tmp_path: Path) -> None:
    executor = SshExecutor(pool_size=2)
    stage = Stage(executor=executor, target=shared_sshd.target, folder=tmp_path)
    try:
        path = tmp_path / "made"
        at = stage.step(sh(f"echo began; sleep 1; echo x >> {path}"))
        running = asyncio.create_task(stage.run(at=at))
        while not list(stage.folder.glob("*/child")):
            assert not running.done(), running.result()
            await asyncio.sleep(0.05)
        shared_sshd.cut_sessions()
        outcome, detail = await running
        assert outcome is Outcome.OK, detail
        assert "began" in detail
        assert path.read_text() == "x\n"
        assert stage.folder.stat().st_mode & 0o077 == 0
    finally:
        await executor.aclose()
