"""The demo tells its whole story, and leaves nothing behind however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from healthd.demo import guardian
from healthd.demo.service import wait_until

pytestmark = pytest.mark.prove

LAUNCH_SECONDS = 300
STORY_SECONDS = 1500
CLEAN_UP_SECONDS = 60
Demo = subprocess.Popen[bytes]


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "output"


@pytest.fixture
def demo(tmp_path: Path, output: Path) -> Iterator[Demo]:
    """`healthd demo`, with everything that it makes in a folder of its own."""
    own = tmp_path / "own"
    own.mkdir()
    with output.open("wb") as written:
        process = subprocess.Popen(
            [sys.executable, "-m", "healthd", "demo"],
            env={**os.environ, "TMPDIR": str(own), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    yield process
    process.kill()
    process.wait()
    wait_until(lambda: not guardian.processes_of(own), "all have ended", CLEAN_UP_SECONDS)


@pytest.fixture
def left_over(tmp_path: Path) -> Callable[[], list[str]]:
    """What is left of it: processes, mounts and folders."""
    own = tmp_path / "own"

    def look() -> list[str]:
        mounts = Path("/proc/mounts").read_text("utf-8").splitlines()
        return [
            *(f"process {found}" for found in guardian.processes_of(own)),
            *(f"mount {line}" for line in mounts if str(own) in line),
            *(f"folder {path.name}" for path in own.glob("healthd-fleet-*")),
        ]

    return look


@pytest.mark.timeout(STORY_SECONDS + 300)
def test_the_demo_restarts_under_load_moves_clients_by_profile_and_cleans_up(
    demo: Demo, output: Path, left_over: Callable[[], list[str]]
) -> None:
    code = demo.wait(STORY_SECONDS)
    told = output.read_text("utf-8")

    assert code == 0, told
    for words in (
        "divides all times of routing by 20",
        "wave: succeeded",
        "0 lost, 0 refused",
        "payments-east: VERDICT OUT, weight 0 %",
        "clients: 10 on payments-west",
        "payments-east: VERDICT PROBATION, weight 10 %",
        "clients: 1 on payments-east, 9 on payments-west",
        "payments-east: VERDICT IN, weight 100 %",
        "All processes have ended",
    ):
        assert words in told
    assert "NOT AS IT SHOULD BE" not in told
    assert "Traceback" not in told
    assert left_over() == []


@pytest.mark.timeout(LAUNCH_SECONDS + 300)
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)],
    ids=["ctrl-c", "killed"],
)
def test_a_demo_that_is_ended_early_leaves_no_process_no_mount_and_no_fleet(
    demo: Demo,
    output: Path,
    left_over: Callable[[], list[str]],
    number: signal.Signals,
    code: int,
) -> None:
    wait_until(lambda: "wave: running" in output.read_text("utf-8"), "both are up", LAUNCH_SECONDS)
    assert left_over(), "it runs on what is looked for afterwards"
    demo.send_signal(number)

    assert demo.wait(CLEAN_UP_SECONDS) == code
    wait_until(lambda: not left_over(), "nothing is left", CLEAN_UP_SECONDS)
    assert "Traceback" not in output.read_text("utf-8")
