"""One suite over every implementation of the Executor Protocol."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from plugins.sshd import SshdHost

from healthd.execute.dry_run import Answer, DryRunExecutor
from healthd.execute.local import LocalExecutor
from healthd.execute.memory import HostFault, MemoryExecutor, MemoryHost
from healthd.execute.protocol import BECOME, Command, ExecKind, Executor, Stream, Target
from healthd.execute.ssh import SshExecutor

NOWHERE = Target(
    address="kafka-1", user="ops", key_file=Path("id"), known_hosts_file=Path("known_hosts")
)
HELLO = Command(argv=("echo", "hello"), timeout_seconds=30.0, effect_id="e1")
BYTES = b"a\xff\xfe\xc3b\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """An executor, a host that it has, and what the host has beside `echo` and `printf`."""

    executor: Executor
    target: Target
    is_real: bool = False
    """It runs what it is given; the others answer what they were told."""
    before_hang: Callable[[], None] = field(default=lambda: None)


def _echo(command: Command) -> tuple[int, bytes, bytes]:
    return 0, " ".join(command.argv[1:]).encode() + b"\n", b""


def _memory() -> Setting:
    host = MemoryHost(
        outputs={
            "echo": _echo,
            "printf": lambda _: (0, BYTES, b""),
            "cat": lambda command: (0, command.stdin, b""),
            "sleep": "",
        }
    )
    return Setting(
        executor=MemoryExecutor({"kafka-1": host}),
        target=NOWHERE,
        before_hang=lambda: host.faults.append(HostFault.HANG),
    )


def _dry_run() -> Setting:
    answers = [
        Answer(words=("echo", "password=hunter2"), stdout="password=hunter2\n"),
        Answer(words=("echo", "s3cr3t"), stdout="s3cr3t\n"),
        Answer(words=("echo",), stdout="hello\n"),
        Answer(words=("printf",), stdout=BYTES),
    ]
    return Setting(executor=DryRunExecutor(answers), target=NOWHERE)


@pytest.fixture(params=["dry-run", "local", "memory", "ssh"])
async def setting(request: pytest.FixtureRequest) -> AsyncIterator[Setting]:
    def ssh() -> Setting:
        host: SshdHost = request.getfixturevalue("shared_sshd")
        return Setting(executor=SshExecutor(pool_size=2), target=host.target, is_real=True)

    makers: dict[str, Callable[[], Setting]] = {
        "dry-run": _dry_run,
        "local": lambda: Setting(executor=LocalExecutor(pool_size=2), target=NOWHERE, is_real=True),
        "memory": _memory,
        "ssh": ssh,
    }
    made = makers[request.param]()
    yield made
    await made.executor.aclose()


async def test_a_command_that_ran_answers_with_its_exit_code_and_output(setting: Setting) -> None:
    outcome = await setting.executor.run(setting.target, HELLO)
    assert (outcome.kind, outcome.exit_code, outcome.stdout) == (ExecKind.EXITED, 0, "hello\n")
    assert outcome.stderr == ""
    assert outcome.is_success
    assert outcome.may_have_run
    assert not outcome.is_truncated
    assert outcome.seconds >= 0
    assert outcome.trouble is None
    assert outcome.detail


async def test_output_is_kept_up_to_its_limit(setting: Setting) -> None:
    outcome = await setting.executor.run(setting.target, replace(HELLO, max_output_bytes=3))
    assert outcome.stdout == "hel"
    assert outcome.is_truncated
    assert outcome.is_success


async def test_bytes_that_are_not_utf8_are_replaced(setting: Setting) -> None:
    command = Command(argv=("printf", r"a\377\376\303b\n"), timeout_seconds=30.0)
    outcome = await setting.executor.run(setting.target, command)
    assert outcome.stdout == "a\ufffd\ufffd\ufffdb\n"
    assert not outcome.is_truncated


async def test_secrets_are_struck_out_of_everything_that_is_answered(setting: Setting) -> None:
    command = Command(argv=("echo", "s3cr3t"), timeout_seconds=30.0, secrets=("s3cr3t",))
    outcome = await setting.executor.run(setting.target, command)
    assert outcome.stdout == "[redacted]\n"
    assert "s3cr3t" not in repr(outcome)


async def test_what_looks_like_a_secret_is_struck_out_too(setting: Setting) -> None:
    command = Command(argv=("echo", "password=hunter2"), timeout_seconds=30.0)
    assert (await setting.executor.run(setting.target, command)).stdout == "password=[redacted]\n"


async def test_a_secret_that_the_limit_cuts_in_two_is_struck_out(setting: Setting) -> None:
    command = Command(
        argv=("echo", "s3cr3t"), timeout_seconds=30.0, secrets=("s3cr3t",), max_output_bytes=4
    )
    outcome = await setting.executor.run(setting.target, command)
    assert outcome.is_truncated
    assert outcome.stdout == "[redacted]"


async def test_lines_are_told_while_they_come_without_secrets(setting: Setting) -> None:
    told: list[tuple[Stream, str]] = []
    command = Command(
        argv=("echo", "s3cr3t"),
        timeout_seconds=30.0,
        secrets=("s3cr3t",),
        on_line=lambda stream, line: told.append((stream, line)),
    )
    await setting.executor.run(setting.target, command)
    await asyncio.sleep(0)
    assert told == [(Stream.OUT, "[redacted]")]


async def test_input_is_given_to_the_command_and_to_nobody_else(setting: Setting) -> None:
    data = "\n".join(f"line {number} é" for number in range(50_000)).encode()
    command = Command(argv=("cat",), timeout_seconds=60.0, stdin=data, max_output_bytes=2_000_000)
    outcome = await setting.executor.run(setting.target, command)
    assert outcome.is_success
    assert "line 1" not in repr(command)
    if isinstance(setting.executor, DryRunExecutor):
        assert outcome.stdout == ""
    else:
        assert outcome.stdout.encode() == data


async def test_input_that_nobody_reads_holds_nothing_up(setting: Setting) -> None:
    outcome = await setting.executor.run(
        setting.target, replace(HELLO, stdin=b"x" * 3_000_000, timeout_seconds=60.0)
    )
    assert outcome.is_success


async def test_root_is_asked_for_with_sudo_and_never_with_a_password(setting: Setting) -> None:
    command = replace(HELLO, become=True)
    assert command.words == (*BECOME, "echo", "hello")
    outcome = await setting.executor.run(setting.target, command)
    assert outcome.kind is ExecKind.EXITED
    if isinstance(setting.executor, DryRunExecutor):
        assert "sudo -n -- echo hello" in outcome.detail
    if isinstance(setting.executor, MemoryExecutor):
        assert setting.executor.asked[-1].argv == command.words


async def test_a_program_that_is_not_there_is_named(setting: Setting) -> None:
    command = Command(argv=("no-such-program",), timeout_seconds=30.0)
    outcome = await setting.executor.run(setting.target, command)
    if isinstance(setting.executor, DryRunExecutor):
        assert outcome.is_success
        return
    assert (outcome.kind, outcome.exit_code) == (ExecKind.EXITED, 127)
    assert outcome.trouble == "not_found"
    assert f"no-such-program was not found on {setting.target.address}" in outcome.detail


async def test_a_command_that_hangs_ends_at_its_deadline_and_may_have_run(
    setting: Setting,
) -> None:
    if isinstance(setting.executor, DryRunExecutor):
        pytest.skip("a dry run never hangs")
    setting.before_hang()
    command = Command(argv=("sleep", "7"), timeout_seconds=0.2)
    outcome = await setting.executor.run(setting.target, command)
    assert outcome.kind is ExecKind.TIMED_OUT
    assert outcome.may_have_run
    assert not outcome.is_success
    assert "0.2 s" in outcome.detail


async def test_commands_may_run_side_by_side(setting: Setting) -> None:
    outcomes = await asyncio.gather(
        *(setting.executor.run(setting.target, HELLO) for _ in range(5))
    )
    assert [outcome.stdout for outcome in outcomes] == ["hello\n"] * 5


async def test_nothing_is_sent_once_it_is_closed(setting: Setting) -> None:
    await setting.executor.aclose()
    outcome = await setting.executor.run(setting.target, HELLO)
    assert outcome.kind is ExecKind.NOT_SENT
    assert not outcome.may_have_run
    assert not outcome.is_success


async def test_closing_ends_the_wait_for_a_command_that_may_have_run(setting: Setting) -> None:
    if not setting.is_real:
        pytest.skip("nothing takes time there")
    told = asyncio.Event()
    command = Command(
        argv=("sh", "-c", "echo begun; exec sleep 7"),
        timeout_seconds=60.0,
        on_line=lambda _stream, _line: told.set(),
    )
    running = asyncio.create_task(setting.executor.run(setting.target, command))
    await told.wait()
    await setting.executor.aclose()
    outcome = await running
    assert outcome.kind is ExecKind.CONNECTION_LOST
    assert outcome.may_have_run


async def test_closing_twice_is_closing_once(setting: Setting) -> None:
    await setting.executor.aclose()
    await setting.executor.aclose()
