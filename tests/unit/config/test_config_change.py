"""What `config-change` makes of a properties file: the playbook's own script, run by this shell."""

import stat
import subprocess
from pathlib import Path

import pytest

from healthd.config.playbooks import load_playbook
from healthd.waves.filling import filled
from healthd.waves.patterns import pattern
from healthd.waves.playbook_steps import CommandAction

BOOK = load_playbook("config-change")
FILE = "# The threads.\nnode.id=3\n num.io.threads = 8\n#num.io.threads=9\nlog.dirs=/d\n"
OTHERS = FILE.replace(" num.io.threads = 8\n", "")


def changed(folder: Path, text: str, settings: str) -> str:
    """The file as the broker will find it."""
    file = folder / "server.properties"
    file.write_text(text)
    file.chmod(0o640)
    action = filled(BOOK.steps[0].action, {"configFile": str(file)})
    assert isinstance(action, CommandAction)
    assert action.shell
    for _ in range(2):  # It says that it may be done twice.
        subprocess.run(
            ["/bin/sh", "-c", *action.argv], input=settings, text=True, check=True, timeout=30
        )
    new = folder / "server.properties.healthd-next"
    assert stat.S_IMODE(new.stat().st_mode) == 0o640
    assert file.read_text() == text
    assert {each.name for each in folder.iterdir()} == {file.name, new.name}
    return new.read_text()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("num.io.threads=16\n", f"{OTHERS}num.io.threads=16\n"),
        ("num.io.threads=16", f"{OTHERS}num.io.threads=16\n"),
        ("new.one=a=b c\n", f"{FILE}new.one=a=b c\n"),
        ("log.dirs=\n", FILE.replace("log.dirs=/d\n", "")),
        ("num.io.threads=1\nnum.io.threads=2\n", f"{OTHERS}num.io.threads=2\n"),
        ("numXioXthreads=1\n", f"{FILE}numXioXthreads=1\n"),
    ],
    ids=["replaced", "no line end", "added", "removed", "twice", "no pattern"],
)  # fmt: skip
def test_lines_are_exchanged_and_the_rest_stays(
    settings: str, expected: str, tmp_path: Path
) -> None:
    assert changed(tmp_path, FILE, settings) == expected


def test_a_line_that_goes_on_behind_a_backslash_goes_as_a_whole(tmp_path: Path) -> None:
    text = "listeners=A://x:1,\\\n  B://y:2,\\\n  C://z:3\nnode.id=3\npath=c:\\\\\nlog.dirs=/d\n"
    found = changed(tmp_path, text, "listeners=A://x:9\npath=d\n")
    assert found == "node.id=3\nlog.dirs=/d\nlisteners=A://x:9\npath=d\n"


def test_a_file_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    action = filled(BOOK.steps[0].action, {"configFile": str(tmp_path / "nowhere")})
    assert isinstance(action, CommandAction)
    done = subprocess.run(
        ["/bin/sh", "-c", *action.argv], input="a=b\n", text=True, check=False, timeout=30,
        capture_output=True,
    )  # fmt: skip
    assert done.returncode != 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("variable", "value"),
    [("configFile", "/etc/x; rm"), ("configFile", "/etc/$(x)"), ("settings", "no setting"),
     ("settings", "a=b\\\n"), ("settings", "")],
)  # fmt: skip
def test_values_that_are_no_such_thing_are_refused(variable: str, value: str) -> None:
    declared = next(each for each in BOOK.variables if each.name == variable)
    assert declared.pattern is not None
    assert not pattern(declared.pattern).matches(value)
