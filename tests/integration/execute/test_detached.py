"""Commands that live apart from their connection: begun once, bounded, known afterwards."""

import asyncio
import hashlib
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from plugins.sshd import SshdHost

from healthd.execute.detached import Detached, MarkState, Place, Progress, Work
from healthd.execute.local import LocalExecutor
from healthd.execute.protocol import Command, ExecKind, Executor, Outcome, Target, Trouble
from healthd.execute.ssh import SshExecutor

HERE = Target(address="kafka-1", user="", known_hosts_file=Path(os.devnull), is_local=True)


@pytest.fixture
async def runner(tmp_path: Path) -> AsyncIterator[Detached]:
    executor = LocalExecutor()
    yield Detached(executor=executor, folder=str(tmp_path / "markers"))
    await executor.aclose()


def shell(script: str, effect: str = "w1.e1", *, seconds: float = 60.0, **more: Any) -> Work:
    argv = ("sh", "-c", script)
    return Work(argv=argv, effect_id=effect, timeout_seconds=seconds, **more)


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def names_in(folder: str) -> set[str]:
    return {one.name for one in Path(folder).iterdir()}


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for something outside this process; the test's own time-out is the limit."""
    while not is_so():  # noqa: ASYNC110 - another process sets no event of ours.
        await asyncio.sleep(0.02)


def marker(runner: Detached, effect: str = "w1.e1") -> Path:
    return Path(runner.folder) / effect


def process(runner: Detached, name: str, effect: str = "w1.e1") -> psutil.Process:
    return psutil.Process(int((marker(runner, effect) / name).read_text().split()[0]))


async def ended(runner: Detached, work: Work) -> Progress:
    progress = await runner.launch(HERE, work, wait_seconds=20.0)
    assert progress.state is MarkState.ENDED, progress
    return progress


async def test_a_command_ends_with_its_code_and_both_streams(runner: Detached) -> None:
    progress = await ended(runner, shell("echo out; echo err >&2; exit 7"))
    assert (progress.exit_code, progress.stdout, progress.stderr) == (7, "out\n", "err\n")
    assert not progress.is_truncated
    assert progress.boot_id == boot_id()


async def test_a_second_launch_begins_nothing_and_tells_of_the_first(
    runner: Detached, tmp_path: Path
) -> None:
    count = shell(f"echo once >> {tmp_path}/count")
    await ended(runner, count)
    launches = [runner.launch(HERE, count, wait_seconds=5.0) for _ in range(3)]
    assert {one.state for one in await asyncio.gather(*launches)} == {MarkState.ENDED}
    assert (tmp_path / "count").read_text() == "once\n"


async def test_of_launches_at_the_same_time_one_begins(runner: Detached, tmp_path: Path) -> None:
    count = shell(f"echo once >> {tmp_path}/count")
    launches = [runner.launch(HERE, count, wait_seconds=20.0) for _ in range(6)]
    assert {one.state for one in await asyncio.gather(*launches)} == {MarkState.ENDED}
    assert (tmp_path / "count").read_text() == "once\n"


async def test_words_arrive_as_they_are_whatever_they_hold(runner: Detached) -> None:
    words = ("a b", "$HOME", "'", '"', "*", ";exit 9", "", "\n", "`id`", "-n", "\\0", "é")
    work = Work(argv=("printf", "%s\\0", *words), effect_id="e", timeout_seconds=30.0)
    assert (await ended(runner, work)).stdout == "".join(f"{word}\0" for word in words)


async def test_what_was_never_launched_has_not_begun(runner: Detached) -> None:
    assert (await runner.observe(HERE, "w1.e9")).state is MarkState.NOT_BEGUN


async def test_a_command_that_runs_is_seen_to_run_and_its_lines_are_told_once(
    runner: Detached, tmp_path: Path
) -> None:
    script = f"echo one; printf half; until [ -e {tmp_path}/go ]; do sleep 0.1; done; echo done"
    first = await runner.launch(HERE, shell(script), wait_seconds=0.0)
    while first.stdout != "one\n":
        assert first.state is MarkState.RUNNING
        first = await runner.observe(HERE, "w1.e1")
    assert first.place == Place(out=1, err=0)
    assert (await runner.observe(HERE, "w1.e1", since=first.place)).stdout == ""
    (tmp_path / "go").touch()
    last = await runner.observe(HERE, "w1.e1", since=first.place, wait_seconds=20.0)
    assert (last.state, last.stdout) == (MarkState.ENDED, "halfdone\n")
    assert await runner.tail(HERE, "w1.e1", lines=1) == ("halfdone",)


@pytest.mark.parametrize(
    "size", [20_000_000, pytest.param(1_000_000_000, marks=pytest.mark.prove)], ids=["20MB", "1GB"]
)
async def test_output_without_measure_fills_no_disk_and_blocks_no_command(
    runner: Detached, size: int
) -> None:
    script = f"head -c {size} /dev/zero; echo; echo the end"
    progress = await runner.launch(HERE, shell(script), wait_seconds=60.0)
    assert (progress.state, progress.exit_code) == (MarkState.ENDED, 0)
    assert progress.is_truncated
    assert progress.stdout.endswith("\0\nthe end\n")
    kept = sum(one.stat().st_size for one in marker(runner).iterdir())
    assert kept < 2 * runner.max_output_bytes


async def test_bytes_that_are_not_utf8_are_replaced(runner: Detached) -> None:
    assert (await ended(runner, shell(r"printf 'a\377b\n'"))).stdout == "a\ufffdb\n"


async def test_a_service_that_keeps_the_streams_open_delays_nothing_and_lives_on(
    runner: Detached, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    loop = "while :; do echo alive; sleep 0.1; done"
    await ended(runner, shell(f"setsid sh -c '{loop}' & echo $! > {pid}"))
    service = psutil.Process(int(pid.read_text()))
    await asyncio.sleep(0.3)
    assert service.is_running()
    service.kill()


async def test_a_command_is_told_to_end_at_its_deadline_and_is_then_killed(
    runner: Detached,
) -> None:
    script = "trap 'echo told' TERM; while :; do sleep 0.1; done"
    progress = await ended(runner, shell(script, seconds=1.0, grace_seconds=1.0))
    assert (progress.exit_code, progress.stdout, progress.is_late) == (137, "told\n", True)
    assert "its time was up" in progress.detail


async def test_input_arrives_whole_and_touches_no_disk(runner: Detached) -> None:
    secret = b"s3cr3t \x00\xff\n" * 500
    work = Work(
        argv=("sh", "-c", "sha256sum; env; cat /proc/$PPID/cmdline"),
        effect_id="e",
        timeout_seconds=30.0,
        stdin=secret,
    )
    progress = await ended(runner, work)
    assert progress.stdout.startswith(hashlib.sha256(secret).hexdigest())
    assert "s3cr3t" not in progress.stdout + repr(work)
    for file in marker(runner, "e").iterdir():
        assert b"s3cr3t" not in file.read_bytes(), file
        assert b"czNjcjN0" not in file.read_bytes(), file


@dataclass(frozen=True)
class Cutting:
    """Loses the end of the input, as a connection that breaks does."""

    executor: Executor

    async def run(self, target: Target, command: Command) -> Outcome:
        return await self.executor.run(target, replace(command, stdin=command.stdin[:-2]))

    async def aclose(self) -> None:
        await self.executor.aclose()


async def test_input_that_is_cut_begins_nothing(runner: Detached, tmp_path: Path) -> None:
    cut = Detached(executor=Cutting(runner.executor), folder=runner.folder)
    progress = await cut.launch(HERE, shell(f"cat > {tmp_path}/seen", stdin=b"secret"))
    assert progress.state is MarkState.NOT_BEGUN
    assert "did not arrive as a whole" in progress.detail
    assert not (tmp_path / "seen").exists()


async def test_secrets_are_struck_out_of_what_it_printed(runner: Detached) -> None:
    progress = await ended(runner, shell("echo s3cr3t", secrets=("s3cr3t",)))
    assert progress.stdout == "[redacted]\n"
    assert await runner.tail(HERE, "w1.e1", secrets=("s3cr3t",)) == ("[redacted]",)


async def test_a_program_that_is_not_there_is_named(runner: Detached) -> None:
    work = Work(argv=("no-such-program",), effect_id="e", timeout_seconds=30.0)
    progress = await ended(runner, work)
    assert (progress.exit_code, progress.trouble) == (127, Trouble.NOT_FOUND)
    assert "no-such-program was not found on kafka-1" in progress.detail


async def test_a_file_that_cannot_be_executed_is_named(runner: Detached, tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    work = Work(argv=(str(tmp_path / "plain"),), effect_id="e", timeout_seconds=30.0)
    progress = await ended(runner, work)
    assert (progress.exit_code, progress.trouble) == (126, Trouble.NOT_EXECUTABLE)


async def test_a_command_whose_keeper_and_self_are_gone_was_interrupted(runner: Detached) -> None:
    await runner.launch(HERE, shell("exec sleep 60"), wait_seconds=0.3)
    keeper, child = process(runner, "pid"), process(runner, "child")
    keeper.kill()
    progress = await runner.observe(HERE, "w1.e1")
    assert progress.state is MarkState.RUNNING
    assert "its exit code will not be known" in progress.detail
    child.kill()
    psutil.wait_procs([child, keeper], timeout=10)
    progress = await runner.observe(HERE, "w1.e1")
    assert progress.state is MarkState.INTERRUPTED
    assert "left no exit code" in progress.detail
    again = await runner.launch(HERE, shell("echo again"))
    assert again.state is MarkState.INTERRUPTED


async def test_a_host_that_was_booted_anew_has_interrupted_it(runner: Detached) -> None:
    await runner.launch(HERE, shell("exec sleep 60"), wait_seconds=0.3)
    child = process(runner, "child")
    file = marker(runner) / "pid"
    pid, start, _ = file.read_text().split()
    file.write_text(f"{pid} {start} 00000000-0000-0000-0000-000000000000\n")
    progress = await runner.observe(HERE, "w1.e1")
    assert (progress.state, "booted anew" in progress.detail) == (MarkState.INTERRUPTED, True)
    child.kill()


async def test_another_process_under_the_same_number_is_not_taken_for_it(
    runner: Detached,
) -> None:
    await ended(runner, shell("true"))
    boot = boot_id()
    (marker(runner) / "rc").unlink()
    (marker(runner) / "pid").write_text(f"{os.getpid()} 1 {boot}\n")
    assert (await runner.observe(HERE, "w1.e1")).state is MarkState.INTERRUPTED


async def test_a_marker_that_was_never_begun_is_given_up_for_good_and_can_be_launched_anew(
    runner: Detached,
) -> None:
    marker(runner).mkdir(parents=True)
    progress = await runner.observe(HERE, "w1.e1")
    assert progress.state is MarkState.NOT_BEGUN
    assert (marker(runner) / "pid").read_text() == "void\n"
    assert (await ended(runner, shell("echo begun"))).stdout == "begun\n"


async def test_old_markers_go_and_fresh_or_running_ones_never_do(
    runner: Detached, tmp_path: Path
) -> None:
    few = Detached(executor=runner.executor, folder=runner.folder, keep=1, keep_days=1)
    for effect in ("old", "fresh"):
        await ended(few, shell("true", effect))
    await few.launch(HERE, shell("exec sleep 60", "running"), wait_seconds=0.3)
    for effect in ("old", "running"):
        os.utime(marker(runner, effect), (1_000_000_000, 1_000_000_000))
    await ended(few, shell("true", "next"))
    await until(lambda: "old" not in names_in(runner.folder))
    assert names_in(runner.folder) == {"fresh", "running", "next"}
    process(runner, "child", "running").kill()


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk that is full."""
    if os.geteuid():
        pytest.skip("only root may mount one")
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], check=False
    )
    if made.returncode:
        pytest.skip("this machine mounts nothing")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


async def test_a_full_disk_begins_nothing_and_is_named(runner: Detached, full_disk: Path) -> None:
    (full_disk / "filler").write_bytes(b"x" * 65_536)
    full = Detached(executor=runner.executor, folder=str(full_disk / "markers"))
    progress = await full.launch(HERE, shell(f"touch {full_disk}/done"))
    assert progress.state is MarkState.NOT_BEGUN
    assert "No space left on device" in progress.detail
    assert not (full_disk / "done").exists()


async def test_a_disk_that_fills_while_a_command_runs_loses_no_exit_code(
    runner: Detached, full_disk: Path
) -> None:
    small = Detached(executor=runner.executor, folder=str(full_disk / "markers"))
    progress = await ended(small, shell("head -c 200000 /dev/zero; exit 5"))
    assert progress.exit_code == 5
    assert (await ended(runner, shell("exit 6", "elsewhere"))).exit_code == 6


async def test_a_lost_connection_loses_nothing_of_what_it_began(
    sshd_of_its_own: Callable[[], SshdHost], tmp_path: Path
) -> None:
    host = sshd_of_its_own()
    executor = SshExecutor(pool_size=2)
    runner = Detached(executor=executor, folder=str(tmp_path / "markers"))
    script = f"touch {tmp_path}/begun; until [ -e {tmp_path}/go ]; do sleep 0.1; done; echo done"
    launching = asyncio.create_task(runner.launch(host.target, shell(script), wait_seconds=30.0))
    await until((tmp_path / "begun").exists)
    host.cut_sessions()
    lost = await launching
    assert (lost.state, lost.kind) == (MarkState.UNKNOWN, ExecKind.CONNECTION_LOST)
    assert (await runner.observe(host.target, "w1.e1")).state is MarkState.RUNNING
    (tmp_path / "go").touch()
    progress = await runner.observe(host.target, "w1.e1", wait_seconds=20.0)
    assert (progress.state, progress.stdout) == (MarkState.ENDED, "done\n")
    await executor.aclose()


async def test_a_host_that_cannot_be_reached_is_unknown_and_nothing_was_sent(
    sshd_of_its_own: Callable[[], SshdHost],
) -> None:
    host = sshd_of_its_own()
    host.stop()
    executor = SshExecutor(pool_size=1)
    progress = await Detached(executor=executor).launch(host.target, shell("true"))
    assert (progress.state, progress.kind) == (MarkState.UNKNOWN, ExecKind.UNREACHABLE)
    await executor.aclose()


@pytest.mark.parametrize("effect", ["", "../x", ".hidden", "a/b", "a b", "x" * 201])
def test_an_effect_that_cannot_name_a_folder_is_refused(effect: str) -> None:
    with pytest.raises(ValueError, match="cannot name a marker"):
        shell("true", effect)
