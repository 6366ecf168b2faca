"""Commands over a real sshd: exit codes, output of every kind, deadlines, lost connections."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from plugins.sshd import SshdHost

from healthd.execute.protocol import Command, ExecKind, Outcome
from healthd.execute.ssh import SshExecutor


@pytest.fixture
async def executor() -> AsyncIterator[SshExecutor]:
    made = SshExecutor(pool_size=4)
    yield made
    await made.aclose()


def shell(script: str, *, timeout_seconds: float = 60.0) -> Command:
    return Command(argv=("sh", "-c", script), timeout_seconds=timeout_seconds)


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for something outside this process; the test's own time-out is the limit."""
    while not is_so():  # noqa: ASYNC110 - another process sets no event of ours.
        await asyncio.sleep(0.02)


def ssh_threads() -> int:
    return sum(
        thread.name.startswith(("healthd-ssh", "Thread-")) for thread in threading.enumerate()
    )


@pytest.mark.parametrize("code", [0, 1, 7, 255])
async def test_the_exit_code_is_the_commands_own(
    executor: SshExecutor, shared_sshd: SshdHost, code: int
) -> None:
    outcome = await executor.run(shared_sshd.target, shell(f"exit {code}"))
    assert (outcome.kind, outcome.exit_code) == (ExecKind.EXITED, code)
    assert outcome.is_success == (code == 0)


async def test_a_program_that_is_not_there_ends_as_the_shell_says(
    executor: SshExecutor, shared_sshd: SshdHost
) -> None:
    command = Command(argv=("no-such-program",), timeout_seconds=60.0)
    outcome = await executor.run(shared_sshd.target, command)
    assert (outcome.kind, outcome.exit_code) == (ExecKind.EXITED, 127)
    assert "not found" in outcome.stderr


async def test_a_command_that_a_signal_ended_has_no_exit_code(
    executor: SshExecutor, shared_sshd: SshdHost
) -> None:
    outcome = await executor.run(shared_sshd.target, shell("kill -9 $$"))
    assert (outcome.kind, outcome.exit_code) == (ExecKind.EXITED, None)
    assert not outcome.is_success
    assert "signal" in outcome.detail


async def test_words_arrive_as_they_are_whatever_they_hold(
    executor: SshExecutor, shared_sshd: SshdHost
) -> None:
    words = ("a b", "$HOME", "'", '"', "*", ";exit 9", "", "\n", "é", "`id`", "-n")
    command = Command(argv=("printf", "%s\\0", *words), timeout_seconds=60.0)
    outcome = await executor.run(shared_sshd.target, command)
    assert outcome.stdout == "".join(f"{word}\0" for word in words)


async def test_both_streams_are_kept_apart(executor: SshExecutor, shared_sshd: SshdHost) -> None:
    outcome = await executor.run(shared_sshd.target, shell("echo out; echo err >&2"))
    assert (outcome.stdout, outcome.stderr) == ("out\n", "err\n")


async def test_no_terminal_is_allocated_and_input_is_empty(
    executor: SshExecutor, shared_sshd: SshdHost
) -> None:
    script = "test -t 0 || test -t 1 || echo no terminal; read line || echo no input"
    outcome = await executor.run(shared_sshd.target, shell(script, timeout_seconds=20.0))
    assert outcome.stdout == "no terminal\nno input\n"


async def test_large_output_on_both_streams_neither_blocks_nor_grows(
    executor: SshExecutor, shared_sshd: SshdHost
) -> None:
    script = (
        "head -c 24000000 /dev/zero | tr '\\0' e >&2 & head -c 24000000 /dev/zero | tr '\\0' o;"
        " wait; exit 3"
    )
    before = psutil.Process().memory_info().rss
    outcome = await executor.run(
        shared_sshd.target, replace(shell(script, timeout_seconds=120.0), max_output_bytes=1000)
    )
    assert outcome.exit_code == 3
    assert (outcome.stdout, outcome.stderr) == ("o" * 1000, "e" * 1000)
    assert outcome.is_truncated
    assert psutil.Process().memory_info().rss - before < 24_000_000


async def test_a_stream_without_end_is_cut_at_the_deadline(
    executor: SshExecutor, shared_sshd: SshdHost
) -> None:
    outcome = await executor.run(shared_sshd.target, shell("yes", timeout_seconds=1.0))
    assert outcome.kind is ExecKind.TIMED_OUT
    assert outcome.is_truncated
    assert len(outcome.stdout) == 65_536


async def test_bytes_that_are_not_utf8_are_replaced(
    executor: SshExecutor, shared_sshd: SshdHost
) -> None:
    outcome = await executor.run(shared_sshd.target, shell(r"printf 'a\377\376b'; exit 0"))
    assert outcome.stdout == "a\ufffd\ufffdb"


async def test_a_command_that_hangs_ends_at_its_deadline_and_may_have_run(
    executor: SshExecutor, shared_sshd: SshdHost
) -> None:
    outcome = await executor.run(
        shared_sshd.target, shell("echo begun; exec sleep 600", timeout_seconds=1.0)
    )
    assert outcome.kind is ExecKind.TIMED_OUT
    assert outcome.may_have_run
    assert outcome.stdout == "begun\n"
    assert "observe" in outcome.detail
    again = await executor.run(shared_sshd.target, shell("echo still here"))
    assert again.stdout == "still here\n"


async def test_a_command_that_closes_its_streams_is_still_waited_for(
    executor: SshExecutor, shared_sshd: SshdHost
) -> None:
    outcome = await executor.run(shared_sshd.target, shell("exec >&- 2>&-; sleep 0.5; exit 5"))
    assert (outcome.kind, outcome.exit_code) == (ExecKind.EXITED, 5)


async def test_a_child_that_keeps_the_pipe_open_does_not_delay_the_answer(
    executor: SshExecutor, sshd_of_its_own: Callable[[], SshdHost]
) -> None:
    outcome = await executor.run(
        sshd_of_its_own().target, shell("sleep 600 & echo started", timeout_seconds=60.0)
    )
    assert (outcome.exit_code, outcome.stdout) == (0, "started\n")


async def test_a_connection_cut_in_mid_command_is_lost_and_may_have_run(
    executor: SshExecutor, sshd_of_its_own: Callable[[], SshdHost], tmp_path: Path
) -> None:
    host = sshd_of_its_own()
    begun = tmp_path / "begun"
    running = asyncio.create_task(
        executor.run(host.target, shell(f"echo some; touch {begun}; exec sleep 600"))
    )
    await until(begun.exists)
    host.cut_sessions()
    outcome = await running
    assert outcome.kind is ExecKind.CONNECTION_LOST
    assert outcome.may_have_run
    assert outcome.exit_code is None
    assert "observe" in outcome.detail


async def test_after_a_lost_connection_the_next_command_makes_a_new_one(
    executor: SshExecutor, sshd_of_its_own: Callable[[], SshdHost]
) -> None:
    host = sshd_of_its_own()
    assert (await executor.run(host.target, shell("true"))).is_success
    host.cut_sessions()
    await until(lambda: executor.open_connections == 0)
    assert (await executor.run(host.target, shell("true"))).is_success


async def test_a_host_that_freezes_answers_nothing_and_the_deadline_holds(
    executor: SshExecutor, sshd_of_its_own: Callable[[], SshdHost]
) -> None:
    host = sshd_of_its_own()
    target = replace(host.target, connect_timeout_seconds=2.0)
    assert (await executor.run(target, shell("true"))).is_success
    host.freeze()
    try:
        outcome = await executor.run(target, shell("true", timeout_seconds=2.0))
    finally:
        host.thaw()
    # The session is never opened, so that the command is known not to have been sent.
    assert outcome.kind is ExecKind.UNREACHABLE
    assert not outcome.may_have_run


async def test_commands_on_one_host_share_one_connection(
    executor: SshExecutor, sshd_of_its_own: Callable[[], SshdHost]
) -> None:
    host = sshd_of_its_own()
    outcomes = await asyncio.gather(
        *(executor.run(host.target, shell(f"echo {number}")) for number in range(8))
    )
    assert [outcome.stdout for outcome in outcomes] == [f"{number}\n" for number in range(8)]
    assert executor.open_connections == 1
    assert len(host.sessions()) == 1


async def test_no_more_connections_are_open_than_the_pool_has_room_for(
    sshd_of_its_own: Callable[[], SshdHost],
) -> None:
    executor = SshExecutor(pool_size=2)
    hosts = [sshd_of_its_own() for _ in range(3)]
    for host in hosts:
        assert (await executor.run(host.target, shell("true"))).is_success
        assert executor.open_connections <= 2
    await executor.aclose()
    for host in hosts:
        await until(lambda host=host: not host.sessions())  # type: ignore[misc]


async def test_an_idle_connection_is_closed(sshd_of_its_own: Callable[[], SshdHost]) -> None:
    executor = SshExecutor(pool_size=1, idle_seconds=0.1)
    host = sshd_of_its_own()
    assert (await executor.run(host.target, shell("true"))).is_success
    await until(lambda: executor.open_connections == 0)
    await until(lambda: not host.sessions())
    await executor.aclose()


async def test_a_command_that_finds_no_free_connection_is_not_sent(
    sshd_of_its_own: Callable[[], SshdHost], tmp_path: Path
) -> None:
    executor = SshExecutor(pool_size=1)
    host = sshd_of_its_own()
    begun = tmp_path / "begun"
    first = asyncio.create_task(executor.run(host.target, shell(f"touch {begun}; exec sleep 600")))
    await until(begun.exists)
    outcome = await executor.run(host.target, shell("true", timeout_seconds=0.2))
    assert outcome.kind is ExecKind.NOT_SENT
    assert "sshPoolSize" in outcome.detail
    # It may take long, and is not to wait long: a stop that rests on what was seen just now.
    outcome = await executor.run(host.target, replace(shell("true"), wait_seconds=0.2))
    assert outcome.kind is ExecKind.NOT_SENT
    assert "within 0.2 s" in outcome.detail
    await executor.aclose()
    assert (await first).kind is ExecKind.CONNECTION_LOST


async def test_a_command_whose_connection_came_too_late_is_not_sent(
    sshd_of_its_own: Callable[[], SshdHost], tmp_path: Path
) -> None:
    executor = SshExecutor(pool_size=1)
    done = tmp_path / "done"
    late = replace(shell(f"touch {done}"), wait_seconds=1e-6)
    outcome = await executor.run(sshd_of_its_own().target, late)
    assert outcome.kind is ExecKind.NOT_SENT
    assert not done.exists()
    await executor.aclose()


async def test_closing_cuts_what_is_under_way_and_leaves_no_thread(
    sshd_of_its_own: Callable[[], SshdHost], tmp_path: Path
) -> None:
    before = ssh_threads()
    executor = SshExecutor(pool_size=2)
    host = sshd_of_its_own()
    begun = tmp_path / "begun"
    running = asyncio.create_task(
        executor.run(host.target, shell(f"touch {begun}; exec sleep 600"))
    )
    await until(begun.exists)
    await executor.aclose()
    outcome: Outcome = await running
    assert outcome.kind is ExecKind.CONNECTION_LOST
    await until(lambda: ssh_threads() <= before)


async def test_a_caller_that_is_cancelled_lets_go_of_its_session(
    sshd_of_its_own: Callable[[], SshdHost], tmp_path: Path
) -> None:
    executor = SshExecutor(pool_size=1)
    host = sshd_of_its_own()
    begun = tmp_path / "begun"
    running = asyncio.create_task(
        executor.run(host.target, shell(f"touch {begun}; exec sleep 600"))
    )
    await until(begun.exists)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    # The only thread of the pool is free again.
    assert (await executor.run(host.target, shell("echo next"))).stdout == "next\n"
    await executor.aclose()


async def test_known_secrets_are_struck_out_of_the_answer(shared_sshd: SshdHost) -> None:
    executor = SshExecutor(pool_size=1, secrets=["s3cr3t"])
    outcome = await executor.run(shared_sshd.target, shell("echo s3cr3t; echo password=x >&2"))
    assert outcome.stdout == "[redacted]\n"
    assert outcome.stderr == "password=[redacted]\n"
    await executor.aclose()


async def test_a_service_outlives_the_session_that_started_it(
    executor: SshExecutor, sshd_of_its_own: Callable[[], SshdHost], tmp_path: Path
) -> None:
    host = sshd_of_its_own()
    pid_file = tmp_path / "pid"
    script = f"setsid sh -c 'echo $$ > {pid_file}; exec sleep 600' </dev/null >/dev/null 2>&1 &"
    assert (await executor.run(host.target, shell(script))).is_success
    await until(lambda: pid_file.exists() and pid_file.read_text().strip() != "")
    service = psutil.Process(int(pid_file.read_text()))
    try:
        await executor.aclose()
        await until(lambda: not host.sessions())
        assert service.is_running()
    finally:
        service.kill()
