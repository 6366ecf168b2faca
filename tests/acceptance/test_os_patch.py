"""os-patch by the real daemon on real hosts: a real package, a real reboot, a real cluster.

One wave in `make test`; a fault at every step in `make prove`. Whatever happens, a broker is never
left stopped by our doing, and never started more often than its wave says, by its own log.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from support.debian_packages import OLDER, Mirror, make_mirror
from support.dying_daemon import DyingDaemon, Moment
from support.patched_fleet import Fault, PatchedFleet, impatient_playbooks, spoil
from support.patching import fill_disk, hold_lock
from support.waves_on_fleet import (
    ENDED,
    status_of,
    wait_for_wave,
    wait_until_ended,
    wait_until_gate_clear,
)

from healthd.demo.load import Load
from healthd.demo.netns import Machine
from healthd.demo.netns_fleet import RebootingFleet
from healthd.demo.service import wait_until

ONE: Final = 2
OTHERS: Final = {1: 0, 3: 0}
SAMPLE: Final = random.Random(7).randrange(2, 24)  # Which of them is no secret.
BEFORE_STOP: Final = ("update", "check", "download-only")
INSTALL: Final = "force-confold"
"""What only the installation is called with."""
WRITES_OF_ONE: Final = 12
"""A wave over one broker has more writes than that."""


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    return make_mirror(tmp_path_factory.mktemp("mirror"))


@pytest.fixture
def patched(rebooting_fleet: RebootingFleet, mirror: Mirror) -> PatchedFleet:
    """Every host has the older package."""
    found = PatchedFleet(rebooting_fleet, mirror)
    found.reset()
    return found


@pytest.fixture
def unstarted(patched: PatchedFleet, tmp_path: Path) -> Iterator[DyingDaemon]:
    """A daemon with a playbook that does not wait for half an hour."""
    with DyingDaemon(
        patched.fleet.write_fleet_file(tmp_path / "fleet.yaml"),
        tmp_path,
        interval_seconds=1,
        collect_deadline_seconds=8,
        kafka_timeout_seconds=2,
        playbook_dir=str(impatient_playbooks(tmp_path / "playbooks")),
    ) as found:
        yield found


@pytest.fixture
def daemon(unstarted: DyingDaemon, patched: PatchedFleet) -> DyingDaemon:
    """One that has seen the whole fleet."""
    unstarted.start()
    wait_until_gate_clear(unstarted, patched.fleet.cluster)
    return unstarted


@pytest.fixture
def machine(patched: PatchedFleet) -> Machine:
    """The machine of the one broker that most waves are about."""
    return patched.machine(ONE)


def begin(
    daemon: DyingDaemon, patched: PatchedFleet, brokers: list[int] | str, **policy: Any
) -> str:
    """The id of a new wave."""
    return str(daemon.post("/api/v1/waves", patched.request(brokers, **policy))["wave"])


def succeeded(daemon: DyingDaemon, wave: str, patched: PatchedFleet) -> None:
    """The wave has patched the one host, booted it once and restarted its broker once."""
    ended = wait_until_ended(daemon, wave)
    assert ended["status"] == "succeeded", ended
    assert patched.restarts == {ONE: 1, **OTHERS}
    assert patched.reboots == {ONE: 1, **OTHERS}
    assert patched.versions[ONE] == patched.mirror.newer_version
    assert patched.is_running(ONE)


def failed(daemon: DyingDaemon, wave: str) -> str:
    """What the wave says of the broker when it has failed."""
    over = {"paused", *ENDED}
    found = wait_for_wave(daemon, wave, lambda it: it["status"] in over, seconds=240)
    assert status_of(found, ONE) == "failed", found
    return str(next(node["detail"] for node in found["nodes"] if node["node"] == ONE))


@pytest.mark.timeout(300)
def test_a_wave_patches_a_host_and_boots_it_anew_although_the_daemon_is_killed(
    patched: PatchedFleet, unstarted: DyingDaemon
) -> None:
    unstarted.dies(Moment.AFTER, SAMPLE)
    unstarted.start()
    wait_until_gate_clear(unstarted, patched.fleet.cluster)
    wave = begin(unstarted, patched, [ONE])
    if not unstarted.lives_through(wave):
        unstarted.dies(Moment.NEVER)
        unstarted.start()
    succeeded(unstarted, wave, patched)


@pytest.mark.prove
@pytest.mark.timeout(900)
def test_a_wave_over_all_hosts_under_load_loses_nothing(
    patched: PatchedFleet, daemon: DyingDaemon
) -> None:
    everybody = [node.id for node in patched.fleet.nodes]
    with Load(patched.fleet.bootstrap) as load:
        wave = begin(daemon, patched, "all")
        ended = wait_until_ended(daemon, wave, seconds=600)
        result = load.result()
    assert ended["status"] == "succeeded", ended
    assert (result.lost, result.refused) == (0, 0), result
    assert result.produced > 0
    assert patched.restarts == patched.reboots == dict.fromkeys(everybody, 1)
    assert patched.boot_ids_differ
    assert set(patched.versions.values()) == {patched.mirror.newer_version}
    report = str(daemon.get(f"/api/v1/waves/{wave}/report"))
    assert "install the packages" in report
    assert "boot the host anew" in report


# Before the stop ---------------------------------------------------------------------------------


@pytest.mark.prove
@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", [Fault.FAILS, Fault.HANGS])
@pytest.mark.parametrize("words", BEFORE_STOP)
def test_what_goes_wrong_before_the_stop_costs_nothing_and_is_done_by_the_next_wave(
    patched: PatchedFleet, daemon: DyingDaemon, machine: Machine, words: str, fault: Fault
) -> None:
    spoil(machine, words, fault)
    wave = begin(daemon, patched, [ONE])
    assert "its step" in failed(daemon, wave)
    assert patched.restarts == patched.reboots == {ONE: 0, **OTHERS}
    assert patched.versions[ONE] == OLDER
    machine.shell("rm /usr/local/bin/apt-get; pkill -f '^sleep 3600' || true")
    succeeded(daemon, begin(daemon, patched, [ONE]), patched)


@pytest.mark.prove
@pytest.mark.timeout(600)
def test_a_lock_that_somebody_holds_for_good_is_never_paid_for_with_a_stop(
    patched: PatchedFleet, daemon: DyingDaemon, machine: Machine
) -> None:
    hold_lock(machine, 600)
    wave = begin(daemon, patched, [ONE])
    assert "lock" in failed(daemon, wave).casefold()
    assert patched.restarts == {ONE: 0, **OTHERS}


@pytest.mark.prove
@pytest.mark.timeout(600)
def test_a_lock_that_is_free_in_the_end_is_waited_for(
    patched: PatchedFleet, daemon: DyingDaemon, machine: Machine
) -> None:
    hold_lock(machine, 12)
    succeeded(daemon, begin(daemon, patched, [ONE]), patched)


@pytest.mark.prove
@pytest.mark.timeout(600)
def test_a_full_disk_before_the_stop_is_told_and_nothing_is_stopped(
    patched: PatchedFleet, daemon: DyingDaemon, machine: Machine
) -> None:
    fill_disk(machine)
    detail = failed(daemon, begin(daemon, patched, [ONE]))
    assert "room" in detail or "space" in detail.casefold(), detail
    assert patched.restarts == {ONE: 0, **OTHERS}


# While the broker is away ------------------------------------------------------------------------


@pytest.mark.prove
@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", [Fault.FAILS, Fault.HANGS])
def test_an_installation_that_goes_wrong_leaves_the_broker_running(
    patched: PatchedFleet, daemon: DyingDaemon, machine: Machine, fault: Fault
) -> None:
    spoil(machine, INSTALL, fault)
    wave = begin(daemon, patched, [ONE])
    assert "install the packages" in failed(daemon, wave)
    assert patched.is_running(ONE)
    assert patched.restarts == {ONE: 1, **OTHERS}
    assert patched.reboots == {ONE: 0, **OTHERS}


@pytest.mark.prove
@pytest.mark.timeout(600)
def test_a_disk_that_is_full_after_the_stop_leaves_the_broker_running(
    patched: PatchedFleet, daemon: DyingDaemon, machine: Machine
) -> None:
    spoil(machine, INSTALL, Fault.WAITS)
    wave = begin(daemon, patched, [ONE])
    await_begun(machine)
    fill_disk(machine)
    machine.shell("touch /run/go-on")
    failed(daemon, wave)
    assert patched.is_running(ONE)
    assert patched.restarts == {ONE: 1, **OTHERS}


@pytest.mark.prove
@pytest.mark.timeout(600)
@pytest.mark.parametrize("words", [*BEFORE_STOP, INSTALL])
def test_a_connection_that_is_cut_loses_nothing_and_repeats_nothing(
    patched: PatchedFleet, daemon: DyingDaemon, machine: Machine, words: str
) -> None:
    spoil(machine, words, Fault.CUT)
    wave = begin(daemon, patched, [ONE])
    wait_until(lambda: was_spoiled(machine), "it is cut", 120)
    if words == INSTALL:
        told = machine.shell("cat /run/spoiled").splitlines()
        assert len(told) == 1, told
    succeeded(daemon, wave, patched)


@pytest.mark.prove
@pytest.mark.timeout(600)
@pytest.mark.parametrize("words", ["download-only", INSTALL])
def test_a_host_that_cannot_be_reached_for_a_while_is_waited_for(
    patched: PatchedFleet, daemon: DyingDaemon, machine: Machine, words: str
) -> None:
    spoil(machine, words, Fault.WAITS)
    wave = begin(daemon, patched, [ONE])
    await_begun(machine)
    machine.unplug()
    machine.shell("touch /run/go-on; sleep 6")
    machine.plug()
    succeeded(daemon, wave, patched)


# The reboot --------------------------------------------------------------------------------------


@pytest.mark.prove
@pytest.mark.timeout(600)
@pytest.mark.parametrize("word", ["fails", "nothing", "hangs"])
def test_a_reboot_that_is_none_leaves_the_broker_running(
    patched: PatchedFleet, daemon: DyingDaemon, machine: Machine, word: str
) -> None:
    machine.reboot_command(word)
    wave = begin(daemon, patched, [ONE])
    assert "boot the host anew" in failed(daemon, wave)
    assert patched.is_running(ONE)
    assert patched.restarts == {ONE: 1, **OTHERS}
    assert patched.reboots == {ONE: 0, **OTHERS}


@pytest.mark.prove
@pytest.mark.timeout(600)
@pytest.mark.parametrize("is_enabled", [True, False])
def test_the_same_boot_id_is_no_reboot_and_the_broker_runs_again_all_the_same(
    patched: PatchedFleet, daemon: DyingDaemon, machine: Machine, *, is_enabled: bool
) -> None:
    machine.starts_at_boot("broker", does=is_enabled)
    machine.next_boot(same_boot_id=True)
    wave = begin(daemon, patched, [ONE])
    assert "boot the host anew" in failed(daemon, wave)
    assert patched.is_running(ONE)
    assert patched.restarts == {ONE: 1, **OTHERS}


@pytest.mark.prove
@pytest.mark.timeout(600)
@pytest.mark.parametrize("is_enabled", [True, False])
def test_a_host_that_comes_back_late_is_waited_for(
    patched: PatchedFleet, daemon: DyingDaemon, machine: Machine, *, is_enabled: bool
) -> None:
    machine.starts_at_boot("broker", does=is_enabled)
    machine.next_boot(after_seconds=8)
    succeeded(daemon, begin(daemon, patched, [ONE]), patched)


@pytest.mark.prove
@pytest.mark.timeout(600)
def test_a_host_that_never_comes_back_pauses_the_wave_and_nothing_else_is_taken(
    patched: PatchedFleet, daemon: DyingDaemon
) -> None:
    machines = {node.id: patched.machine(node.id) for node in patched.fleet.nodes}
    for each in machines.values():
        each.next_boot(comes_back=False)
    wave = begin(daemon, patched, "all", startTimeoutSeconds=20)
    found = wait_for_wave(daemon, wave, lambda it: it["status"] == "paused", seconds=240)
    statuses = {node["node"]: node["status"] for node in found["nodes"]}
    (victim,) = (broker for broker, status in statuses.items() if status == "failed")
    assert sorted(statuses.values()) == ["failed", "pending", "pending"], statuses
    assert [broker for broker in machines if not patched.is_running(broker)] == [victim]
    assert patched.restarts == dict.fromkeys(machines, 0)
    for each in machines.values():
        each.heal()
    patched.fleet.wait_until_healthy()
    daemon.post(f"/api/v1/waves/{wave}/retry", {"reason": "it is back", "node": victim})
    ended = wait_until_ended(daemon, wave, seconds=400)
    assert ended["status"] == "succeeded", ended
    # Once more for the one that came back with its host, and was then restarted because of us.
    assert patched.restarts == {broker: 1 + (broker == victim) for broker in machines}
    assert set(patched.versions.values()) == {patched.mirror.newer_version}


# The daemon --------------------------------------------------------------------------------------


@pytest.mark.prove
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("share", range(4))
@pytest.mark.parametrize("moment", [Moment.BEFORE, Moment.AFTER])
def test_a_daemon_killed_at_every_write_patches_the_host_with_one_restart(
    patched: PatchedFleet, unstarted: DyingDaemon, moment: Moment, share: int
) -> None:
    for write in itertools.count(2 + share, 4):
        patched.reset()
        unstarted.dies(moment, write)
        unstarted.start()
        wait_until_gate_clear(unstarted, patched.fleet.cluster)
        wave = begin(unstarted, patched, [ONE])
        is_through = unstarted.lives_through(wave)
        if not is_through:
            unstarted.dies(Moment.NEVER)
            unstarted.start()
        succeeded(unstarted, wave, patched)
        unstarted.stop()
        if is_through:
            assert write > WRITES_OF_ONE, "such a wave has more writes than that"
            return


def await_begun(machine: Machine) -> None:
    """The command that waits has begun."""
    wait_until(lambda: machine.run("test", "-e", "/run/begun").returncode == 0, "it begins", 120)


def was_spoiled(machine: Machine) -> bool:
    """Whether the fault has happened."""
    return machine.run("test", "-e", "/run/was-cut").returncode == 0
