"""`docs/tutorial-playbook.md` is true: its files are taken out of the page, checked, and run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML
from support.waves_on_fleet import QUICK, wait_until_ended, wait_until_gate_clear

from healthd.cli.app import cli
from healthd.cli.exits import Exit
from healthd.demo.daemon import DaemonProcess
from healthd.demo.fleet import DemoFleet

PAGE = Path(__file__).parents[2] / "docs" / "tutorial-playbook.md"


def files(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The playbook of the page in a folder, and its wave."""
    found = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    playbook, wave = found
    path = folder / "fresh-log.yaml"
    path.write_text(playbook)
    return path, YAML(typ="safe").load(wave)


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, words)
    return result.exit_code, result.output


def test_its_playbook_has_no_mistakes_and_without_its_observe_it_has_one(tmp_path: Path) -> None:
    path, _ = files(tmp_path)
    code, output = run("playbook", "lint", str(path))
    assert (code, output) == (Exit.OK, f"{path}: ok\n")
    assert "healthd playbook lint fresh-log.yaml\nfresh-log.yaml: ok\n" in PAGE.read_text("utf-8")
    text = path.read_text()
    path.write_text(re.sub(r"    observe: &isAway\n(      .*\n)+    verify: \*isAway\n", "", text))
    assert path.read_text() != text
    code, output = run("playbook", "lint", str(path))
    assert code == Exit.PROBLEMS
    assert "unobservable-step" in output


def test_in_the_model_no_fault_leaves_its_broker_stopped(tmp_path: Path) -> None:
    path, _ = files(tmp_path)
    code, output = run("playbook", "test", str(path))
    assert code == Exit.OK, output


def test_nothing_of_it_needs_sudo(tmp_path: Path) -> None:
    path, _ = files(tmp_path)
    code, output = run("playbook", "sudoers", str(path), "--var", "logFile=/x")
    assert code == Exit.OK
    assert "No command needs sudo." in output


@pytest.mark.timeout(240)
@pytest.mark.prove
def test_its_wave_gives_a_real_broker_a_fresh_log(fleet: DemoFleet, tmp_path: Path) -> None:
    path, wave = files(tmp_path)
    broker = 4
    assert wave["stages"][0]["brokers"] == [broker]
    assert wave["stages"][0]["clusters"] == [fleet.cluster]
    log = fleet.node(broker).log_file
    old, process = log.read_text("utf-8", "replace"), fleet.process_start_time(broker)
    daemon = DaemonProcess(
        fleet.write_fleet_file(tmp_path / "fleet.yaml"), tmp_path, playbook_dir=str(path.parent),
        interval_seconds=1, collect_deadline_seconds=8, kafka_timeout_seconds=2,
    )  # fmt: skip
    try:
        daemon.start()
        wait_until_gate_clear(daemon, fleet.cluster)
        # Only what is another machine's: the path, and how patient the wave is.
        own = {"variables": {"logFile": str(log)}, "policy": QUICK}
        started = str(daemon.post("/api/v1/waves", wave | own)["wave"])
        ended = wait_until_ended(daemon, started)
    finally:
        daemon.kill()
    assert ended["status"] == "succeeded", ended
    kept = log.with_name(f"{log.name}.old").read_text("utf-8", "replace")
    assert kept.startswith(old)
    assert log.stat().st_size > 0
    assert not log.read_text("utf-8", "replace").startswith(old[:1000])
    assert fleet.process_start_time(broker) != process
