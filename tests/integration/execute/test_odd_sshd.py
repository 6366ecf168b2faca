"""Servers that misbehave in one way each: one clear line, the right kind, within the deadline."""

import asyncio
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.odd_sshd import Odd, odd_sshd

from healthd.execute import ssh
from healthd.execute.protocol import Command, ExecKind, Outcome
from healthd.execute.ssh import SshExecutor

CONNECT_SECONDS = 3.0
COMMAND_SECONDS = 1.5
GRACE_SECONDS = 0.5
SENTENCES = {
    Odd.SILENT: (ExecKind.UNREACHABLE, "does not answer as an SSH server: no answer in time"),
    Odd.DRIBBLES_GREETING: (ExecKind.UNREACHABLE, "an SSH server: no answer in time"),
    Odd.FLOODS_GREETING: (ExecKind.UNREACHABLE, "an SSH server: it has said something else: b'xx"),
    Odd.GREETS_ONLY: (ExecKind.UNREACHABLE, "does not answer as an SSH server: no answer in time"),
    Odd.HANGS_UP: (ExecKind.UNREACHABLE, "an SSH server: it ended the connection"),
    Odd.RESETS: (ExecKind.UNREACHABLE, "an SSH server: it ended the connection"),
    Odd.HANGS_UP_IN_KEX: (ExecKind.UNREACHABLE, "an SSH server: it ended the connection"),
    Odd.RESETS_IN_KEX: (ExecKind.UNREACHABLE, "an SSH server: it ended the connection"),
    Odd.HANGS_IN_KEX: (ExecKind.UNREACHABLE, "does not answer as an SSH server: no answer in time"),
    Odd.PAUSES_IN_KEX: (
        ExecKind.UNREACHABLE,
        "does not answer as an SSH server: no answer in time",
    ),
    Odd.IGNORES_FIRST: (ExecKind.EXITED, "true ended with exit code 0"),
    Odd.HANGS_IN_LOGIN: (ExecKind.UNREACHABLE, "no answer in time to the login"),
    Odd.OPENS_NO_SESSION: (ExecKind.NOT_SENT, "opens no further session"),
    Odd.HANGS_OPENING: (ExecKind.UNREACHABLE, "does not open a session"),
    Odd.REFUSES_EXEC: (ExecKind.CONNECTION_LOST, "while true was under way"),
    Odd.HANGS_IN_EXEC: (ExecKind.TIMED_OUT, "true gave no answer within"),
    Odd.NEVER_ENDS: (ExecKind.TIMED_OUT, "true gave no answer within"),
    Odd.ENDLESS_OUTPUT: (ExecKind.TIMED_OUT, "true gave no answer within"),
    Odd.DRIBBLES_OUTPUT: (ExecKind.TIMED_OUT, "true gave no answer within"),
    Odd.STATUS_FIRST: (ExecKind.EXITED, "true ended with exit code 3"),
    Odd.NO_STATUS: (ExecKind.EXITED, "true ended without an exit code"),
    Odd.CUTS_AFTER_EXEC: (ExecKind.CONNECTION_LOST, "the connection ended while true was under"),
    Odd.NOTHING: (ExecKind.EXITED, "true ended with exit code 0"),
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[Odd, Outcome]:
    """What one executor makes of all of them, asked at the same time."""
    folder = tmp_path_factory.mktemp("odd")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ssh, "_GRACE_SECONDS", GRACE_SECONDS)
        return asyncio.run(_asked(folder))


async def _asked(folder: Path) -> dict[Odd, Outcome]:
    command = Command(argv=("true",), timeout_seconds=COMMAND_SECONDS, max_output_bytes=1000)
    executor = SshExecutor(pool_size=len(Odd))
    with ExitStack() as stack:
        servers = {
            odd: stack.enter_context(odd_sshd(folder, odd, f"127.0.48.{at}"))
            for at, odd in enumerate(Odd, start=1)
        }
        targets = [
            server.target(f"127.0.48.{at}", seconds=CONNECT_SECONDS)
            for at, server in enumerate(servers.values(), start=1)
        ]
        found = await asyncio.gather(*(executor.run(target, command) for target in targets))
        await executor.aclose()
    return dict(zip(servers, found, strict=True))


@pytest.mark.parametrize("odd", Odd)
def test_each_is_named_by_its_kind_and_one_clear_line(
    outcomes: dict[Odd, Outcome], odd: Odd
) -> None:
    kind, sentence = SENTENCES[odd]
    outcome = outcomes[odd]
    assert (outcome.kind, sentence in outcome.detail) == (kind, True), outcome
    assert "\n" not in outcome.detail
    assert "Traceback" not in outcome.detail
    if outcome.kind in {ExecKind.TIMED_OUT, ExecKind.CONNECTION_LOST}:
        assert "observe" in outcome.detail


@pytest.mark.parametrize("odd", Odd)
def test_none_takes_longer_than_its_deadlines_allow(outcomes: dict[Odd, Outcome], odd: Odd) -> None:
    # The guard comes after both deadlines; the machine may be busy beside that.
    limit = CONNECT_SECONDS + COMMAND_SECONDS + 2 * GRACE_SECONDS
    assert outcomes[odd].seconds < 3 * limit


def test_output_that_comes_after_the_exit_code_is_kept(outcomes: dict[Odd, Outcome]) -> None:
    assert outcomes[Odd.STATUS_FIRST].stdout == "late\n"
    assert outcomes[Odd.STATUS_FIRST].exit_code == 3


def test_output_without_end_is_bounded(outcomes: dict[Odd, Outcome]) -> None:
    outcome = outcomes[Odd.ENDLESS_OUTPUT]
    assert len(outcome.stdout) == 1000
    assert outcome.is_truncated


def test_only_an_exit_code_of_zero_is_success(outcomes: dict[Odd, Outcome]) -> None:
    successes = {odd for odd, outcome in outcomes.items() if outcome.is_success}
    assert successes == {Odd.NOTHING, Odd.IGNORES_FIRST}


async def test_hosts_that_hang_leave_the_places_to_the_others(tmp_path: Path) -> None:
    """Six of twenty hang; the pool has room for two."""
    command = Command(argv=("true",), timeout_seconds=30.0)
    executor = SshExecutor(pool_size=2)
    with ExitStack() as stack:
        odd = [Odd.SILENT, Odd.GREETS_ONLY, Odd.HANGS_IN_KEX]
        bad = [
            stack.enter_context(odd_sshd(tmp_path, one, "127.0.49.1")).target(
                "127.0.49.1", seconds=60
            )
            for one in odd * 2
        ]
        good = stack.enter_context(odd_sshd(tmp_path, Odd.NOTHING, "0.0.0.0"))
        hanging = [asyncio.create_task(executor.run(one, command)) for one in bad]
        targets = [good.target(f"127.0.49.{at}", seconds=60) for at in range(10, 24)]
        found = await asyncio.gather(*(executor.run(one, command) for one in targets))
        assert [one.stdout for one in found] == [f"{target.address}\n" for target in targets]
        assert not any(one.done() for one in hanging)
        await executor.aclose()
        ended = await asyncio.gather(*hanging)
    assert {one.kind for one in ended} == {ExecKind.NOT_SENT}
