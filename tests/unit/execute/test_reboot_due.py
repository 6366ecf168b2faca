"""Whether a host waits for a reboot, by the words of its own package manager."""

import subprocess
from pathlib import Path

import pytest

from healthd.execute.host_facts import parse_facts
from healthd.execute.host_script import host_argv

# All processes of the machine are looked at, as in test_identity.
pytestmark = pytest.mark.xdist_group("seeming-brokers")

DUE = (
    "Core libraries or services have been updated:\n\nReboot is required to fully utilize these.\n"
)
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
    (tmp_path / "printed").write_text(printed, "utf-8")
    found = tmp_path / program
    found.write_text(f'#!/bin/sh\ncat "{tmp_path}/printed"\nexit {code}\n', "utf-8")
    found.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(
        host_argv(None), env=environment, capture_output=True, text=True, check=True
    )
    facts = parse_facts(done.stdout)
    assert facts is not None
    assert facts.reboot == wanted
