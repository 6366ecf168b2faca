"""Faults at every step of an upgrade: where each leaves the broker, and that nothing is done twice.

One broker of three goes from Kafka 4.0 to 4.1 and back again, as often as there are cases: its
cluster's metadata stays at 4.0.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from support.dying_daemon import DyingDaemon, Moment
from support.host_faults import Fault, HostFaults
from support.upgrade import NEEDED_TO_START, NEW, OLD, Upgrade, upgradable
from support.waves_on_fleet import (
    QUICK,
    process_starts,
    status_of,
    wait_for_wave,
    wait_until_ended,
    wait_until_gate_clear,
)

from healthd.demo.daemon import DaemonProcess
from healthd.demo.installed import Installed, folder_name, install_folder, kafka_link

pytestmark = [pytest.mark.prove, pytest.mark.timeout(1800)]

ONE: Final = 2
UNPACKING: Final = ("rm", "tar", "mv")
"""What root runs before the broker is stopped."""
SWITCHING: Final = ("ln", "mv")
"""What root runs while it is away."""
SHARES: Final = 4
"""The kills are shared out, so that `make prove PART=i/n` can divide them."""
WRITES: Final = 20
"""So many writes an upgrade of one broker has, at least: two for each step, and its wave's own."""


class Bench:
    """A fleet on which one broker is upgraded again and again."""

    def __init__(self, upgrade: Upgrade) -> None:
        self.upgrade = upgrade
        self.fleet = upgrade.fleet
        self.node = upgrade.fleet.node(ONE)
        self.faults = HostFaults(upgrade.fleet)
        self.starts = 0
        self.origin, self.target = OLD, NEW

    def home(self, version: Installed) -> Path:
        """The folder of a version on the broker's host."""
        return install_folder(self.node) / folder_name(version.version)

    def prepare(self, *, is_unpacked: bool = False) -> None:
        """The next wave goes to the other version, whose folder is there or is not."""
        is_old = self.upgrade.linked()[ONE] == OLD.version
        self.origin, self.target = (OLD, NEW) if is_old else (NEW, OLD)
        archive = self.upgrade.pack(self.target)
        shutil.rmtree(self.home(self.target), ignore_errors=True)
        if is_unpacked:
            shutil.unpack_archive(archive, install_folder(self.node), "gztar")
        self.fleet.wait_until_healthy()
        self.faults.forget(ONE)
        self.starts = process_starts(self.fleet, ONE)

    def request(self, brokers: tuple[int, ...] = (ONE,), **policy: Any) -> dict[str, Any]:
        """A wave over the one broker, of the half that can be undone."""
        return {
            "apiVersion": "healthd/v1",
            "kind": "Wave",
            "name": "kafka",
            "reason": "CHG-1234",
            "playbook": "kafka-binaries",
            "variables": self.upgrade.variables(self.origin, self.target),
            "stages": [{"name": "one", "clusters": [self.fleet.cluster], "brokers": [*brokers]}],
            "policy": {**QUICK, **policy},
        }

    def restarts(self) -> int:
        """How often the broker was started since the last case was prepared."""
        return process_starts(self.fleet, ONE) - self.starts

    def is_on(self, version: Installed) -> bool:
        """Whether the broker runs a version, and its link says so as well."""
        if self.fleet.process_id(ONE) is None:
            return False
        return {self.upgrade.running()[ONE], self.upgrade.linked()[ONE]} == {version.version}

    def commands(self) -> list[str]:
        """The programs that root has run on the broker's host, but for questions."""
        words = [line.split()[0] for line in self.faults.told(ONE)]
        return [word for word in words if word in {*UNPACKING, *SWITCHING}]


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """The fleet of all these tests."""
    with upgradable() as upgrade:
        yield Bench(upgrade)


@pytest.fixture
def daemon(bench: Bench, tmp_path: Path) -> Iterator[DyingDaemon]:
    """A daemon over that fleet."""
    file = bench.upgrade.write_fleet_file(tmp_path / "fleet.yaml")
    with DyingDaemon(
        file, tmp_path, interval_seconds=1, collect_deadline_seconds=8, kafka_timeout_seconds=2
    ) as found:
        found.start()
        yield found


def begin(daemon: DaemonProcess, bench: Bench, **policy: Any) -> str:
    """The id of a wave that has been accepted."""
    wait_until_gate_clear(daemon, bench.fleet.cluster)
    return str(daemon.post("/api/v1/waves", bench.request(**policy))["wave"])


def fails(daemon: DaemonProcess, wave: str) -> str:
    """What the wave says of the broker when it has failed."""
    ended = wait_until_ended(daemon, wave, seconds=600)
    assert ended["status"] == status_of(ended, ONE) == "failed", ended
    (node,) = ended["nodes"]
    return str(node["detail"])


def succeeds(daemon: DaemonProcess, wave: str) -> None:
    """The wave has ended well."""
    ended = wait_until_ended(daemon, wave, seconds=600)
    assert ended["status"] == "succeeded", ended


@pytest.mark.parametrize("program", UNPACKING)
def test_a_command_that_fails_before_the_stop_costs_nothing(
    bench: Bench, daemon: DyingDaemon, program: str
) -> None:
    bench.prepare()
    bench.faults.spoil(ONE, program, Fault.FAILS)
    assert "spoiled" in fails(daemon, begin(daemon, bench))
    assert bench.restarts() == 0
    assert bench.is_on(bench.origin)
    succeeds(daemon, begin(daemon, bench))
    assert bench.restarts() == 1
    assert bench.is_on(bench.target)


@pytest.mark.parametrize("program", SWITCHING)
def test_a_link_that_cannot_be_switched_leaves_the_broker_running_on_the_old_version(
    bench: Bench, daemon: DyingDaemon, program: str
) -> None:
    bench.prepare(is_unpacked=True)
    bench.faults.spoil(ONE, program, Fault.FAILS)
    assert "spoiled" in fails(daemon, begin(daemon, bench))
    assert bench.restarts() == 1
    assert bench.is_on(bench.origin)
    succeeds(daemon, begin(daemon, bench))
    assert bench.restarts() == 2
    assert bench.is_on(bench.target)


@pytest.mark.parametrize(("program", "restarts"), [("tar", 1), ("mv", 2)])
def test_a_retry_goes_on_where_the_broker_failed(
    bench: Bench, daemon: DyingDaemon, program: str, restarts: int
) -> None:
    other = _leader_beside(bench, daemon)
    bench.prepare(is_unpacked=program in SWITCHING)
    bench.faults.spoil(ONE, program, Fault.FAILS)
    wave = str(daemon.post("/api/v1/waves", bench.request((ONE, other)))["wave"])
    paused = wait_for_wave(daemon, wave, lambda it: it["status"] == "paused", seconds=600)
    assert status_of(paused, ONE) == "failed", paused
    assert status_of(paused, other) == "pending", paused
    order = {"reason": "a test"}
    # In this order: a wave with nobody left to take has ended.
    daemon.post(f"/api/v1/waves/{wave}/retry", {**order, "node": ONE})
    daemon.post(f"/api/v1/waves/{wave}/skip", {**order, "node": other})
    succeeds(daemon, wave)
    assert bench.restarts() == restarts
    assert bench.is_on(bench.target)


def _leader_beside(bench: Bench, daemon: DaemonProcess) -> int:
    """The active controller, which a wave takes last; it is not the one broker afterwards."""
    for _ in range(5):
        wait_until_gate_clear(daemon, bench.fleet.cluster)
        snapshot = daemon.get(f"/api/v1/clusters/{bench.fleet.cluster}/snapshot")
        leader = int(snapshot["quorum"]["leaderId"])
        if leader != ONE:
            return leader
        bench.fleet.stop(ONE)
        bench.fleet.start(ONE)
        bench.fleet.wait_until_healthy()
    raise AssertionError("the one broker leads the quorum again and again")


def test_another_archive_than_the_one_that_was_asked_for_is_not_unpacked(
    bench: Bench, daemon: DyingDaemon
) -> None:
    bench.prepare()
    bench.upgrade.sums[bench.target.version] = "0" * 64
    assert "another content" in fails(daemon, begin(daemon, bench))
    assert bench.commands() == []
    assert bench.restarts() == 0
    assert bench.is_on(bench.origin)


@pytest.mark.parametrize(("at", "program"), [*enumerate(UNPACKING), *enumerate(SWITCHING, 10)])
def test_a_connection_that_is_cut_in_a_command_loses_nothing_and_repeats_nothing(
    bench: Bench, daemon: DyingDaemon, at: int, program: str
) -> None:
    is_unpacked = at >= 10
    bench.prepare(is_unpacked=is_unpacked)
    bench.faults.spoil(ONE, program, Fault.CUT)
    succeeds(daemon, begin(daemon, bench))
    assert not bench.faults.is_due(ONE)
    assert bench.commands() == [*(() if is_unpacked else UNPACKING), *SWITCHING]
    assert bench.restarts() == 1
    assert bench.is_on(bench.target)


@pytest.mark.parametrize("share", range(SHARES))
def test_a_daemon_killed_after_every_write_upgrades_the_broker_with_one_restart(
    bench: Bench, daemon: DyingDaemon, share: int
) -> None:
    write = share + 2
    while True:
        bench.prepare()
        daemon.kill()
        daemon.dies(Moment.AFTER, write)
        daemon.start()
        wave = begin(daemon, bench)
        is_through = daemon.lives_through(wave)
        if not is_through:
            daemon.dies(Moment.NEVER)
            daemon.start()
            succeeds(daemon, wave)
        assert bench.commands() == [*UNPACKING, *SWITCHING], write
        assert bench.restarts() == 1, write
        assert bench.is_on(bench.target), write
        if is_through:
            break
        write += SHARES
    assert write > WRITES, "an upgrade has more writes than that"


def test_a_version_that_does_not_start_is_tried_and_stays_a_matter_of_a_person(
    bench: Bench, daemon: DyingDaemon
) -> None:
    bench.prepare()
    if bench.target is OLD:
        succeeds(daemon, begin(daemon, bench))
        bench.prepare()
    bench.upgrade.pack(NEW, without=NEEDED_TO_START)
    wave = begin(daemon, bench, recoveryTimeoutSeconds=20)
    paused = wait_for_wave(daemon, wave, lambda it: it["status"] == "paused", seconds=600)
    assert status_of(paused, ONE) == "recovering", paused
    assert paused["nodes"][0]["overdue"]
    assert bench.upgrade.linked()[ONE] == NEW.version
    assert bench.restarts() == 0, "it never came so far as to say that it starts"
    # What the page of the playbook says: a person puts the link back, and has it started.
    link = kafka_link(bench.node)
    other = link.with_name("kafka.next")
    other.symlink_to(bench.home(OLD))
    other.replace(link)
    bench.fleet.wait_until_healthy()
    assert "not 4.1.0" in fails(daemon, wave)
    assert bench.is_on(OLD)
    assert bench.restarts() == 1


def test_a_broker_that_comes_back_as_another_version_has_failed_and_runs(
    bench: Bench, daemon: DyingDaemon
) -> None:
    """The service does not use the link at all: its own file names a folder."""
    bench.prepare()
    service = bench.node.service / "run"
    text = service.read_text("utf-8")
    link, home = str(kafka_link(bench.node)), str(bench.home(bench.origin))
    service.write_text(text.replace(f"{link}/libs", f"{home}/libs"), "utf-8")
    try:
        assert f"not {bench.target.version}" in fails(daemon, begin(daemon, bench))
        assert bench.restarts() == 1
        assert bench.upgrade.running()[ONE] == bench.origin.version
    finally:
        service.write_text(text, "utf-8")
