"""Hosts that can be booted anew, as a client and as somebody at the power button sees them."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from support.small_hosts import SmallHost, small_hosts

from healthd.demo import guardian, netns
from healthd.demo.netns import MachineRoom, find_free_network
from healthd.demo.provision import ProvisionError
from healthd.demo.service import wait_until
from healthd.execute.protocol import Command, ExecKind
from healthd.execute.ssh import SshExecutor

pytestmark = pytest.mark.xdist_group("small-host")

BOOT_ID = "/proc/sys/kernel/random/boot_id"
OWNER = """
import sys, time
from support.small_hosts import small_hosts
with small_hosts(1) as (host,):
    print(host.node.host, host.node.folder.parent, flush=True)
    time.sleep(1000)
"""


def boot_id(host: SmallHost) -> str:
    return host.machine.shell(f"cat {BOOT_ID}").strip()


def test_a_reboot_gives_the_host_another_boot_id_and_its_service_another_process(
    small_host: SmallHost,
) -> None:
    before, starts = boot_id(small_host), small_host.starts
    process, boots = small_host.service.status(), small_host.machine.boots
    small_host.machine.shell("reboot")
    small_host.machine.wait_for_boot(boots + 1)
    small_host.wait_until_serving()
    assert boot_id(small_host) not in {before, Path(BOOT_ID).read_text("ascii").strip()}
    assert small_host.service.status() != process
    assert small_host.starts == starts + 1


def test_a_host_can_come_back_with_the_boot_id_that_it_had(small_host: SmallHost) -> None:
    before = boot_id(small_host)
    small_host.machine.next_boot(same_boot_id=True)
    small_host.machine.reboot()
    small_host.wait_until_up()
    assert boot_id(small_host) == before
    small_host.machine.reboot()
    small_host.wait_until_up()
    assert boot_id(small_host) != before


def test_a_host_that_never_comes_back_is_off_until_somebody_presses_the_button(
    small_host: SmallHost,
) -> None:
    machine = small_host.machine
    machine.next_boot(comes_back=False)
    machine.shell("systemctl reboot")
    machine.wait_until_off()
    assert machine.run("true").returncode != 0
    assert small_host.service.status() is None
    machine.power_on()
    small_host.wait_until_serving()


def test_a_service_starts_with_its_host_only_where_it_is_enabled(small_host: SmallHost) -> None:
    starts = small_host.starts
    small_host.machine.starts_at_boot("broker", does=False)
    small_host.machine.reboot()
    small_host.wait_until_up()
    assert small_host.service.status() is None
    small_host.service.start()
    small_host.wait_until_serving()
    assert small_host.starts == starts + 1


@pytest.mark.parametrize(("word", "code"), [("fails", 1), ("nothing", 0)])
def test_a_reboot_command_that_does_not_reboot_leaves_the_host_as_it_was(
    small_host: SmallHost, word: str, code: int
) -> None:
    before = boot_id(small_host)
    small_host.machine.reboot_command(word)
    assert small_host.machine.run("reboot").returncode == code
    assert (boot_id(small_host), small_host.machine.boot_ids[-1]) == (before, before)


def test_what_is_written_to_the_system_stays_over_a_reboot_and_on_the_host(
    small_host: SmallHost,
) -> None:
    name = f"healthd-{random.randrange(10**9)}"
    places = [f"/{folder}/{name}" for folder in netns.OWN_FOLDERS]
    small_host.machine.shell(f"touch {' '.join(places)} /run/{name}")
    small_host.machine.reboot()
    small_host.wait_until_up()
    small_host.machine.shell(f"ls {' '.join(places)}")
    assert small_host.machine.run("ls", f"/run/{name}").returncode != 0, "/run begins empty"
    assert not [place for place in (*places, f"/run/{name}") if Path(place).exists()]


async def test_a_command_over_ssh_is_cut_off_by_a_power_failure_and_nobody_answers_then(
    small_host: SmallHost,
) -> None:
    executor = SshExecutor()
    target = replace(small_host.target, connect_timeout_seconds=1.5)
    try:
        hello = await executor.run(target, Command(argv=("cat", BOOT_ID), timeout_seconds=20))
        assert (hello.kind, hello.stdout.strip()) == (ExecKind.EXITED, boot_id(small_host))
        small_host.machine.cut_power()
        # The connection is there still: nobody has told this end that the other one is gone.
        gone = await executor.run(target, Command(argv=("true",), timeout_seconds=1))
        assert gone.kind in {ExecKind.TIMED_OUT, ExecKind.CONNECTION_LOST, ExecKind.UNREACHABLE}
    finally:
        await executor.aclose()


def test_a_host_whose_cable_is_pulled_goes_on_unseen(small_host: SmallHost) -> None:
    process = small_host.service.status()
    small_host.machine.unplug()
    assert not small_host.is_reachable
    assert small_host.service.status() == process
    small_host.machine.plug()
    small_host.wait_until_serving()


@pytest.mark.parametrize("guardian_too", [False, True])
def test_nothing_is_left_of_hosts_whose_owner_is_killed(*, guardian_too: bool) -> None:
    support = Path(__file__).parents[2]
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        env={**os.environ, "PYTHONPATH": str(support)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    address, folder = owner.stdout.readline().split()
    place = Path(folder)
    assert len(guardian.processes_of(place)) > 4
    if guardian_too:
        (guarding,) = psutil.Process(owner.pid).children()
        guarding.kill()
    owner.kill()
    owner.wait()
    owner.stdout.close()
    wait_until(lambda: not guardian.processes_of(place), "its processes are gone", 30)
    network = address.rpartition(".")[0]
    wait_until(lambda: network not in addresses(), "its network is gone", 30)
    assert str(place) not in Path("/proc/self/mounts").read_text("ascii")
    if guardian_too:
        # Nobody is left to do that, as with every fleet.
        shutil.rmtree(place)
    wait_until(lambda: not place.exists(), "its folder is gone", 30)


def addresses() -> str:
    return subprocess.run(
        ["ip", "-o", "address"], capture_output=True, text=True, check=True
    ).stdout


def test_two_rooms_at_once_have_networks_of_their_own() -> None:
    with small_hosts() as (one,), small_hosts() as (other,):
        assert one.node.host.rpartition(".")[0] != other.node.host.rpartition(".")[0]
        one.wait_until_serving()
        other.wait_until_serving()
        assert boot_id(one) != boot_id(other)


def test_hosts_in_a_folder_that_they_would_not_see_are_refused() -> None:
    with pytest.raises(ProvisionError, match="use a folder below /tmp"):
        MachineRoom(Path("/var/tmp/hosts"), find_free_network())


def test_without_root_it_is_said_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ProvisionError, match="only root can make"):
        netns.ensure_possible()
