"""What a running daemon leaves for others to see: files of its own alone, and no core dump."""

import stat
import subprocess
import sys
from pathlib import Path

from healthd.demo.daemon import DaemonProcess


def test_files_are_the_daemon_s_alone_and_a_crash_dumps_nothing(
    lonely_fleet_file: Path, tmp_path: Path
) -> None:
    daemon = DaemonProcess(lonely_fleet_file, tmp_path)
    backup = tmp_path / "backup.db"
    try:
        daemon.start()
        proc = Path(f"/proc/{daemon.process_id}")
        limits = (proc / "limits").read_text().splitlines()
        core = next(line.split() for line in limits if line.startswith("Max core file size"))
        assert core[4:6] == ["0", "0"]
        assert "Umask:\t0077" in (proc / "status").read_text()
        made = subprocess.run(
            [sys.executable, "-m", "healthd", "state", "backup", str(backup),
             "--state-dir", str(daemon.state_dir)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        assert stat.S_IMODE(daemon.state_dir.stat().st_mode) == 0o700
        files = [each for each in daemon.state_dir.rglob("*") if each.is_file()]
        assert len(files) >= 3
        for file in [backup, *files]:
            assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file
    finally:
        daemon.kill()
