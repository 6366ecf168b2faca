"""The shell loop of docs/clients.md does what the page says."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parents[3] / "docs" / "clients.md"


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_the_loop_for_other_languages_tells_of_each_change_once(
    healthd: Any, tmp_path: Path
) -> None:
    (loop,) = re.findall(r"```sh\n(tag=.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    script = loop.replace("http://healthd:9780", healthd.url).replace("/NAD1700", "/P")
    running = subprocess.Popen(
        ["bash", "-c", script],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        assert running.stdout is not None
        assert '"east"' in running.stdout.readline()
        # The second question waits; its answer is the next line.
        healthd.wait_for_requests(2)
        assert "wait=30s&since=1" in healthd.requests[1][0]
        healthd.resolves_to(west=100)
        line = running.stdout.readline()
        assert '"west"' in line
        assert '"east"' not in line
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
