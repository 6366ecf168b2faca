"""One suite over every implementation of the Executor Protocol."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from plugins.sshd import SshdHost

from healthd.execute.dry_run import Answer, DryRunExecutor
from healthd.execute.memory import MemoryExecutor, MemoryHost
from healthd.execute.protocol import Command, ExecKind, Executor, Target
from healthd.execute.ssh import SshExecutor


@dataclass(frozen=True, slots=True)
class Setting:
    """An executor, and a host that it has."""

    executor: Executor
    target: Target


@pytest.fixture(params=["dry-run", "memory", "ssh"])
async def setting(request: pytest.FixtureRequest) -> AsyncIterator[Setting]:
    nowhere = Target(
        address="kafka-1", user="ops", key_file=Path("id"), known_hosts_file=Path("known_hosts")
    )

    def ssh() -> Setting:
        host: SshdHost = request.getfixturevalue("shared_sshd")
        return Setting(SshExecutor(pool_size=2), host.target)

    makers: dict[str, Callable[[], Setting]] = {
        "dry-run": lambda: Setting(
            DryRunExecutor([Answer(words=("echo",), stdout="hello\n")]), nowhere
        ),
        "memory": lambda: Setting(
            MemoryExecutor({"kafka-1": MemoryHost(outputs={"echo": "hello\n"})}), nowhere
        ),
        "ssh": ssh,
    }
    made = makers[request.param]()
    yield made
    await made.executor.aclose()


HELLO = Command(argv=("echo", "hello"), timeout_seconds=30.0, effect_id="e1")


async def test_a_command_that_ran_answers_with_its_exit_code_and_output(setting: Setting) -> None:
    outcome = await setting.executor.run(setting.target, HELLO)
    assert (outcome.kind, outcome.exit_code, outcome.stdout) == (ExecKind.EXITED, 0, "hello\n")
    assert outcome.stderr == ""
    assert outcome.is_success
    assert outcome.may_have_run
    assert not outcome.is_truncated
    assert outcome.seconds >= 0
    assert outcome.detail


async def test_output_is_kept_up_to_its_limit(setting: Setting) -> None:
    outcome = await setting.executor.run(setting.target, replace(HELLO, max_output_bytes=3))
    assert outcome.stdout == "hel"
    assert outcome.is_truncated
    assert outcome.is_success


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


async def test_closing_twice_is_closing_once(setting: Setting) -> None:
    await setting.executor.aclose()
    await setting.executor.aclose()
