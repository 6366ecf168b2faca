"""Whether a host waits for a reboot, by the words of its own package manager."""

import os
import subprocess
from pathlib import Path

import pytest

from healthd.execute.host_facts import HostFacts, parse_facts
from healthd.execute.host_script import host_argv

# All processes of the machine are looked at, as in test_identity.
pytestmark = pytest.mark.xdist_group("seeming-brokers")

DUE = (
    "Core libraries or services have been updated:\n\nReboot is required to fully utilize these.\n"
)
NOT_DUE_BEFORE = "No core libraries have been updated.\nReboot is probably not necessary.\n"
NOT_DUE = "No core libraries or services have been updated.\nReboot should not be necessary.\n"
ERROR = "No such command: needs-restarting. Please use /usr/bin/dnf --help\n"


@pytest.mark.parametrize(
    ("program", "printed", "code", "wanted"),
    [
        ("needs-restarting", DUE, 1, "needs-restarting"),
        ("needs-restarting", NOT_DUE, 0, None),
        ("needs-restarting", ERROR, 1, None),
        ("dnf", DUE, 1, "needs-restarting"),
        ("dnf", NOT_DUE, 0, None),
        ("dnf", ERROR, 1, None),
    ],
)
def test_only_its_words_say_that_a_reboot_is_due(
    tmp_path: Path, program: str, printed: str, code: int, wanted: str | None
) -> None:
    assert asked(tmp_path, program, printed, code).reboot == wanted


@pytest.mark.parametrize(
    ("release", "printed", "code", "wanted"),
    [
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', ERROR, 1, "needs-restarting"),
        ("ID=fedora\n", "", 124, "needs-restarting"),
        ("ID=fedora\n", NOT_DUE, 0, ""),
        ('ID="rhel"\n', NOT_DUE_BEFORE, 0, ""),
        ('ID="rhel"\n', DUE, 1, ""),
        # A Debian may have dnf as well, and no reboot is due by its words.
        ("ID=debian\n", ERROR, 1, ""),
    ],
)
def test_where_its_words_count_their_absence_is_no_answer(
    tmp_path: Path, release: str, printed: str, code: int, wanted: str
) -> None:
    if os.geteuid():
        pytest.skip("only root may give a command another /etc/os-release")
    (tmp_path / "release").write_text(release, "utf-8")
    script = 'mount --bind "$0" "$(readlink -f /etc/os-release)" && exec "$@"'
    within = ("unshare", "-m", "sh", "-c", script, str(tmp_path / "release"))
    assert asked(tmp_path, "needs-restarting", printed, code, within).untold_reboot == wanted


def test_a_file_system_of_its_own_is_told_once(tmp_path: Path) -> None:
    found = tmp_path / "df"
    table = "File 1024-blocks Used Available Capacity Mounted\n/dev/a 1000 950 50 95% "
    found.write_text(
        f'#!/bin/sh\nfor each; do :; done\n[ "$each" = /boot ] || each=/\n'
        f"cat <<END\n{table}$each\nEND\n",
        "utf-8",
    )
    found.chmod(0o755)
    disks = asked(tmp_path, "needs-restarting", NOT_DUE, 0).disks
    assert [disk.name for disk in disks if disk.name in {"/", "/boot", "/var", "/home"}] == [
        "/",
        "/boot",
    ]


def asked(
    folder: Path, program: str, printed: str, code: int, within: tuple[str, ...] = ()
) -> HostFacts:
    """What a host says whose program says that."""
    (folder / "printed").write_text(printed, "utf-8")
    found = folder / program
    found.write_text(f'#!/bin/sh\ncat "{folder}/printed"\nexit {code}\n', "utf-8")
    found.chmod(0o755)
    environment = {"PATH": f"{folder}:/usr/bin:/bin", "HOME": str(folder)}
    done = subprocess.run(
        (*within, *host_argv(None)), env=environment, capture_output=True, text=True, check=True
    )
    facts = parse_facts(done.stdout)
    assert facts is not None
    return facts
