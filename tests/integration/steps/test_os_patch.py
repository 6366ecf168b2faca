"""The steps of os-patch with a real package on a host that reboots, and what goes wrong there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from support.debian_packages import OLDER, PACKAGE, Mirror, make_mirror
from support.patching import (
    DOWNLOAD,
    FREE,
    INSTALL,
    REBOOT,
    UPDATE,
    Patching,
    empty_disk,
    fill_disk,
    hold_lock,
)
from support.small_hosts import SmallHost

from healthd.demo.netns import Machine
from healthd.demo.service import wait_until
from healthd.execute.ssh import SshExecutor
from healthd.waves.events import Outcome, StepState

pytestmark = pytest.mark.xdist_group("small-host")


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    return make_mirror(tmp_path_factory.mktemp("mirror"))


@pytest_asyncio.fixture
async def patching(
    small_host: SmallHost, mirror: Mirror, tmp_path: Path
) -> AsyncIterator[Patching[Mirror]]:
    executor = SshExecutor()
    found = Patching(small_host, mirror, executor, tmp_path)
    yield found
    await executor.aclose()


def wait_until_there(machine: Machine, path: str) -> None:
    wait_until(lambda: machine.run("test", "-e", path).returncode == 0, f"{path} is there", 20)


@pytest.fixture
def full_disk(patching: Patching[Mirror]) -> Iterator[None]:
    fill_disk(patching.machine)
    yield
    empty_disk(patching.machine)


async def test_a_host_is_patched_and_booted_anew_because_a_package_asked_for_it(
    patching: Patching[Mirror],
) -> None:
    machine, boots = patching.machine, patching.machine.boots
    for name in (UPDATE, FREE, DOWNLOAD):
        outcome, detail = await patching.run(name)
        assert outcome is Outcome.OK, (name, detail)
    assert patching.version == OLDER, "nothing is installed while the broker runs"
    patching.host.service.stop()
    assert (await patching.run(INSTALL))[0] is Outcome.OK
    assert patching.version == patching.mirror.newer_version
    verified = await patching.stage.seen(patching.at(INSTALL), is_verify=True)
    assert verified[0] is StepState.DONE, verified
    outcome, detail = await patching.run(REBOOT, effect_id="1.r0.step")
    assert (outcome, machine.boots) == (Outcome.OK, boots), detail
    assert "left out" in detail
    machine.shell("touch /var/run/reboot-required")
    outcome, detail = await patching.run(REBOOT)
    assert (outcome, machine.boots) == (Outcome.OK, boots + 1), detail
    assert all(boot_id in detail for boot_id in machine.boot_ids[-2:])
    assert patching.version == patching.mirror.newer_version
    # A daemon that died in there asks, and does not boot it once more.
    assert (await patching.stage.seen(patching.at(REBOOT)))[0] is StepState.DONE
    assert (await patching.run(REBOOT))[0] is Outcome.OK
    assert machine.boots == boots + 1


async def test_without_names_every_package_of_the_host_is_upgraded(
    patching: Patching[Mirror],
) -> None:
    patching.give(packages="", refresh="false", reboot="never")
    assert "left out" in (await patching.run(UPDATE))[1]
    patching.give(refresh="true")
    await patching.run(UPDATE, effect_id="1.9.step")
    assert (await patching.run(INSTALL))[0] is Outcome.OK
    assert patching.version == patching.mirror.newer_version


async def test_a_lock_that_somebody_holds_is_waited_for_before_the_stop(
    patching: Patching[Mirror],
) -> None:
    hold_lock(patching.machine, 4)
    patching.shorten(FREE, 1)
    outcome, detail = await patching.run(FREE)
    assert outcome is Outcome.FAILED
    assert "lock" in detail.casefold(), detail
    patching.shorten(FREE, 30)
    assert (await patching.run(FREE, effect_id="1.10.step"))[0] is Outcome.OK


async def test_a_lock_that_is_taken_after_the_stop_is_waited_for(
    patching: Patching[Mirror],
) -> None:
    await patching.run(UPDATE)
    hold_lock(patching.machine, 1.5)
    outcome, detail = await patching.run(INSTALL)
    assert outcome is Outcome.OK, detail
    assert patching.version == patching.mirror.newer_version


@pytest.mark.parametrize("name", [f"{PACKAGE}-", "--reinstall", "NEWER"])
async def test_what_is_no_name_of_a_package_never_gets_to_apt(
    patching: Patching[Mirror], name: str
) -> None:
    name = name.replace("NEWER", str(patching.mirror.newer))
    patching.take_anything()
    patching.give(packages=name)
    for step in (DOWNLOAD, INSTALL):
        outcome, detail = await patching.run(step)
        assert (outcome, patching.version) == (Outcome.FAILED, OLDER), detail
        assert f"no name of a package: {name}" in detail


@pytest.mark.usefixtures("full_disk")
async def test_a_full_disk_fails_the_step_in_words(patching: Patching[Mirror]) -> None:
    outcome, detail = await patching.run(UPDATE)
    assert outcome is not Outcome.OK
    assert "room" in detail or "space" in detail.casefold(), detail
    assert patching.version == OLDER


@pytest.mark.prove
async def test_an_installation_that_was_cut_off_by_the_power_is_finished_by_the_next_one(
    patching: Patching[Mirror],
) -> None:
    machine = patching.machine
    await patching.run(UPDATE)
    # Half-way: the package is unpacked and not set up, and whoever does it takes his time.
    hook = 'DPkg::Pre-Invoke {"dpkg --unpack NEWER; touch /run/begun; sleep 60"; };'
    hook = hook.replace("NEWER", str(patching.mirror.newer))
    machine.shell(f"echo '{hook}' >/etc/apt/apt.conf.d/98half-way")
    doing = asyncio.create_task(patching.run(INSTALL))
    await asyncio.to_thread(wait_until_there, machine, "/run/begun")
    machine.shell("rm /etc/apt/apt.conf.d/98half-way")
    await asyncio.to_thread(machine.cut_power)
    machine.power_on()
    outcome, detail = await doing
    assert outcome is Outcome.UNKNOWN, detail
    state, detail = await patching.stage.seen(patching.at(INSTALL))
    assert state in {StepState.INTERRUPTED, StepState.NOT_DONE}, detail
    outcome, detail = await patching.run(INSTALL, effect_id="1.11.step")
    assert outcome is Outcome.OK, detail
    assert patching.version == patching.mirror.newer_version


@pytest.mark.prove
async def test_an_exit_code_of_0_is_not_believed(patching: Patching[Mirror]) -> None:
    await patching.run(UPDATE)
    patching.machine.shell(
        "cp /usr/bin/apt-get /usr/bin/apt-get.real && printf '#!/bin/sh\\n"
        'case "$*" in *-s*) exec apt-get.real "$@" ;; esac\\n\' >/usr/local/bin/apt-get && '
        "chmod 0755 /usr/local/bin/apt-get"
    )
    try:
        outcome, _ = await patching.run(INSTALL)
        assert outcome is Outcome.OK
        state, _ = await patching.stage.seen(patching.at(INSTALL), is_verify=True)
        assert (state, patching.version) == (StepState.NOT_DONE, OLDER)
    finally:
        patching.machine.shell("rm /usr/local/bin/apt-get")


@pytest.mark.prove
@pytest.mark.parametrize("word", ["fails", "nothing"])
async def test_a_reboot_that_is_none_fails(patching: Patching[Mirror], word: str) -> None:
    patching.give(reboot="always")
    patching.shorten(REBOOT, 5)
    patching.machine.reboot_command(word)
    boots = patching.machine.boots
    outcome, detail = await patching.run(REBOOT)
    assert (outcome, patching.machine.boots) == (Outcome.FAILED, boots), detail


@pytest.mark.prove
async def test_a_host_that_comes_back_with_the_same_boot_id_was_not_booted_anew(
    patching: Patching[Mirror],
) -> None:
    patching.give(reboot="always")
    patching.shorten(REBOOT, 6)
    patching.machine.next_boot(same_boot_id=True)
    outcome, detail = await patching.run(REBOOT)
    assert outcome is Outcome.FAILED, detail
    assert patching.machine.boot_ids[-1] in detail


@pytest.mark.prove
async def test_a_host_that_does_not_come_back_fails_the_step(patching: Patching[Mirror]) -> None:
    patching.give(reboot="always")
    patching.shorten(REBOOT, 6)
    patching.machine.next_boot(comes_back=False)
    outcome, detail = await patching.run(REBOOT)
    assert outcome is Outcome.FAILED, detail
    assert not patching.machine.is_on


@pytest.mark.prove
async def test_only_the_packages_that_are_named_are_upgraded(patching: Patching[Mirror]) -> None:
    patching.give(packages="coreutils")
    await patching.run(UPDATE)
    outcome, detail = await patching.run(INSTALL)
    assert (outcome, patching.version) == (Outcome.OK, OLDER), (PACKAGE, detail)
