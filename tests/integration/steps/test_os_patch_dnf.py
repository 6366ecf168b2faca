"""The steps of os-patch-dnf with a real dnf and rpm on a host that reboots."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from support.patching import (
    DOWNLOAD,
    FREE,
    INSTALL,
    REBOOT,
    RPM_LOCK,
    UPDATE,
    Patching,
    hold_lock,
)
from support.rpm_packages import NEWER, OLDER, PACKAGE, Repository, make_repository
from support.small_hosts import SmallHost

from healthd.demo import provision
from healthd.demo.service import wait_until
from healthd.execute.ssh import SshExecutor
from healthd.waves.events import Outcome, StepState

pytestmark = [pytest.mark.prove, pytest.mark.xdist_group("small-host")]

CAN_TELL = "see that the host can say whether a reboot is due"
TOLD = "ask whether a reboot is due"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    provision.ensure(("dnf",))
    return make_repository(tmp_path_factory.mktemp("repository"))


@pytest_asyncio.fixture
async def patching(
    small_host: SmallHost, repository: Repository, tmp_path: Path
) -> AsyncIterator[Patching[Repository]]:
    executor = SshExecutor()
    yield Patching(
        small_host, repository, executor, tmp_path, playbook="os-patch-dnf", package=PACKAGE
    )
    await executor.aclose()
    repository.shut(small_host.machine)


async def test_a_host_is_patched_without_a_mirror_and_booted_anew_where_the_package_is_one_for_it(
    patching: Patching[Repository],
) -> None:
    machine, boots = patching.machine, patching.machine.boots
    for name in (UPDATE, FREE, CAN_TELL, DOWNLOAD):
        outcome, detail = await patching.run(name)
        assert outcome is Outcome.OK, (name, detail)
    assert patching.version == OLDER, "nothing is installed while the broker runs"
    patching.mirror.shut(machine)
    outcome, detail = await patching.run(INSTALL)
    assert (outcome, patching.version) == (Outcome.OK, NEWER), detail
    assert (await patching.stage.seen(patching.at(INSTALL), is_verify=True))[0] is StepState.DONE
    assert (await patching.run(TOLD))[0] is Outcome.OK
    outcome, detail = await patching.run(REBOOT, effect_id="1.r0.step")
    assert (outcome, machine.boots) == (Outcome.OK, boots), detail
    assert "left out" in detail
    folder = "/etc/dnf/plugins/needs-restarting.d"
    machine.shell(f"mkdir -p {folder} && echo {PACKAGE} >{folder}/ours.conf")
    assert (await patching.run(TOLD, effect_id="1.t1.step"))[0] is Outcome.OK
    outcome, detail = await patching.run(REBOOT)
    assert (outcome, machine.boots) == (Outcome.OK, boots + 1), detail
    # The host was booted after the package was installed: nothing asks for it any more.
    outcome, detail = await patching.run(REBOOT, effect_id="1.r2.step")
    assert (outcome, machine.boots) == (Outcome.OK, boots + 1), detail


@pytest.mark.parametrize("packages", ["", PACKAGE, "healthd-*", f"coreutils {PACKAGE}"])
async def test_a_mirror_is_asked_where_nothing_was_downloaded(
    patching: Patching[Repository], packages: str
) -> None:
    patching.give(packages=packages)
    outcome, detail = await patching.run(INSTALL)
    assert (outcome, patching.version) == (Outcome.OK, NEWER), detail
    outcome, detail = await patching.run(INSTALL, effect_id="1.again.step")
    assert (outcome, patching.version) == (Outcome.OK, NEWER), detail


async def test_a_host_that_has_none_of_the_packages_fails_before_its_stop(
    patching: Patching[Repository],
) -> None:
    patching.give(packages="coreutils")
    outcome, detail = await patching.run(DOWNLOAD)
    assert outcome is Outcome.FAILED
    assert "No packages marked for upgrade" in detail


@pytest.mark.parametrize("name", ["--installroot=/x", "./evil.rpm", "evil.rpm", "@all", "a;b"])
async def test_what_is_no_name_of_a_package_never_gets_to_dnf(
    patching: Patching[Repository], name: str
) -> None:
    patching.take_anything()
    patching.give(packages=f"{PACKAGE} {name}")
    for step in (DOWNLOAD, INSTALL):
        outcome, detail = await patching.run(step)
        assert outcome is Outcome.FAILED
        assert f"no name of a package: {name}" in detail
    assert patching.version == OLDER


async def test_a_lock_of_rpm_is_waited_for_before_the_stop_and_after_it(
    patching: Patching[Repository],
) -> None:
    hold_lock(patching.machine, 30, RPM_LOCK)
    patching.shorten(FREE, 1)
    outcome, detail = await patching.run(FREE)
    assert outcome is Outcome.FAILED
    assert "lock" in detail, detail
    patching.machine.shell("kill $(cat /run/held)")
    assert (await patching.run(FREE, effect_id="1.free.step"))[0] is Outcome.OK
    hold_lock(patching.machine, 2, RPM_LOCK)
    outcome, detail = await patching.run(INSTALL)
    assert (outcome, patching.version) == (Outcome.OK, NEWER), detail


async def test_an_installation_that_was_cut_off_by_the_power_is_finished_by_the_next_one(
    patching: Patching[Repository],
) -> None:
    machine = patching.machine
    assert (await patching.run(DOWNLOAD))[0] is Outcome.OK
    machine.shell("touch /run/half-way")
    doing = asyncio.create_task(patching.run(INSTALL))
    begun = ("test", "-e", "/run/begun")
    await asyncio.to_thread(
        wait_until, lambda: machine.run(*begun).returncode == 0, "it is half-way", 30
    )
    await asyncio.to_thread(machine.cut_power)
    machine.power_on()
    outcome, detail = await doing
    assert outcome is Outcome.UNKNOWN, detail
    assert patching.version == f"{OLDER} {NEWER}"
    patching.shorten(FREE, 1)
    outcome, detail = await patching.run(FREE)
    assert outcome is Outcome.FAILED, detail
    patching.mirror.open(machine)
    outcome, detail = await patching.run(INSTALL, effect_id="1.11.step")
    assert (outcome, patching.version) == (Outcome.OK, NEWER), detail
    assert (await patching.stage.seen(patching.at(INSTALL), is_verify=True))[0] is StepState.DONE


async def test_an_exit_code_of_0_is_not_believed(patching: Patching[Repository]) -> None:
    patching.machine.shell(
        "printf '#!/bin/sh\\n"
        'case "$*" in *-y*) exit 0 ;; esac\\nexec /usr/bin/dnf "$@"\\n\' >/usr/local/bin/dnf && '
        "chmod 0755 /usr/local/bin/dnf"
    )
    try:
        outcome, detail = await patching.run(INSTALL)
        assert (outcome, patching.version) == (Outcome.FAILED, OLDER)
        assert "has left packages that it would upgrade" in detail
    finally:
        patching.machine.shell("rm /usr/local/bin/dnf")


async def test_a_host_that_cannot_say_whether_a_reboot_is_due_fails_and_is_not_booted(
    patching: Patching[Repository],
) -> None:
    plugin = "/usr/lib/python3/dist-packages/dnf-plugins/needs_restarting.py"
    patching.machine.shell(f"mv {plugin} {plugin}.away")
    try:
        for name in (CAN_TELL, TOLD):
            patching.shorten(name, 1)
            assert (await patching.run(name))[0] is Outcome.FAILED
        patching.give(reboot="never")
        assert (await patching.run(CAN_TELL, effect_id="1.never.step"))[0] is Outcome.OK
    finally:
        patching.machine.shell(f"mv {plugin}.away {plugin}")
