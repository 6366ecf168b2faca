"""Hosts in memory behave as real ones do, faults included."""

from pathlib import Path

import pytest

from healthd.execute.memory import Asked, HostFault, MemoryExecutor, MemoryHost, Verb
from healthd.execute.protocol import Command, ExecKind, Outcome, Target
from healthd.execute.service import STOPPED, parse_status

TARGET = Target(address="h", user="u", key_file=Path("k"), known_hosts_file=Path("n"))


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def read(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


async def ask(executor: MemoryExecutor, verb: str, timeout_seconds: float = 600.0) -> Outcome:
    command = Command(
        argv=("sv", verb, "kafka"), timeout_seconds=timeout_seconds, effect_id=f"e-{verb}"
    )
    return await executor.run(TARGET, command)


async def test_a_service_stops_and_starts_with_a_new_start_time() -> None:
    clock = Clock()
    host = MemoryHost()
    executor = MemoryExecutor(
        {"h": host},
        clock=clock.read,
        sleep=clock.sleep,
        seconds={Verb.STOP: 5.0, Verb.START: 15.0},
    )
    before = parse_status((await ask(executor, "status")).stdout)
    assert (await ask(executor, "stop")).is_success
    assert parse_status((await ask(executor, "status")).stdout) == STOPPED
    assert (await ask(executor, "start")).is_success
    after = parse_status((await ask(executor, "status")).stdout)
    assert before is not None
    assert after is not None
    assert (after.is_running, after.start) == (True, "1020")
    assert after.start != before.start
    assert host.starts == 1
    assert executor.asked[1] == Asked("h", ("sv", "stop", "kafka"), "e-stop")


async def test_a_start_of_what_runs_changes_nothing() -> None:
    host = MemoryHost()
    await ask(MemoryExecutor({"h": host}), "start")
    assert host.starts == 0


async def test_a_command_longer_than_its_limit_times_out() -> None:
    clock = Clock()
    host = MemoryHost()
    executor = MemoryExecutor({"h": host}, sleep=clock.sleep, seconds={Verb.STOP: 700.0})
    outcome = await ask(executor, "stop")
    assert outcome.kind is ExecKind.TIMED_OUT
    assert clock.now == 1600.0
    assert host.is_running


@pytest.mark.parametrize(
    ("fault", "kind", "code", "is_running"),
    [
        (HostFault.HANG, ExecKind.TIMED_OUT, None, True),
        (HostFault.ANSWER_LOST, ExecKind.CONNECTION_LOST, None, False),
        (HostFault.UNREACHABLE, ExecKind.UNREACHABLE, None, True),
        (HostFault.HOST_KEY_CHANGED, ExecKind.HOST_KEY_REFUSED, None, True),
        (HostFault.NOT_DONE, ExecKind.EXITED, 0, True),
        (HostFault.FAILS, ExecKind.EXITED, 1, True),
        (None, ExecKind.EXITED, 0, False),
    ],
)
async def test_a_fault_strikes_one_command(
    fault: HostFault | None, kind: ExecKind, code: int | None, *, is_running: bool
) -> None:
    host = MemoryHost(faults=[fault])
    executor = MemoryExecutor({"h": host})
    outcome = await ask(executor, "stop")
    assert (outcome.kind, outcome.exit_code) == (kind, code)
    assert host.is_running is is_running
    assert (await ask(executor, "stop")).is_success
    assert not host.is_running


async def test_an_address_without_a_host_is_unreachable() -> None:
    assert (await ask(MemoryExecutor({}), "stop")).kind is ExecKind.UNREACHABLE


async def test_a_program_that_is_not_there_is_not_found() -> None:
    executor = MemoryExecutor({"h": MemoryHost()})
    outcome = await executor.run(TARGET, Command(argv=("nope",), timeout_seconds=1.0))
    assert outcome.exit_code == 127
