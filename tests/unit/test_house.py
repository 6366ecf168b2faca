"""The house is in order: the documents tell what the code is."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONGEST_FILE = 420
"""About 400 lines: a file that needs a table of contents is two files."""


def tracked(*patterns: str) -> list[Path]:
    """The files of the checkout that git knows, or every file where there is no git."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", *patterns],
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("no git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def test_the_architecture_document_tells_the_layers_of_the_import_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (layers,) = [
        contract["layers"]
        for contract in contracts["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    ]
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    rows = re.findall(r"^\| \d+ \| ([^|]+) \|", text, re.MULTILINE)
    told = [set(re.findall(r"`([\w.]+)`", row)) for row in rows]
    assert told == [{name.strip() for name in layer.split("|")} for layer in reversed(layers)]


def test_every_room_is_in_the_import_contract() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    rooms = [
        path.name
        for path in (ROOT / "healthd").iterdir()
        if path.is_dir() and (path / "__init__.py").exists()
    ]
    assert [room for room in sorted(rooms) if f"healthd.{room}" not in text] == []


def test_no_file_of_code_is_too_long_to_be_one_thing() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in tracked("*.py")
        if path.exists()
        and (lines := len(path.read_text("utf-8").splitlines())) > LONGEST_FILE
        and path.parts[-2] != "tests"
        and "tests" not in path.relative_to(ROOT).parts
    }
    assert long == {}


def test_every_document_that_is_linked_to_is_there() -> None:
    missing = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in tracked("*.md")
        for link in re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8"))
        if "://" not in link and not (page.parent / link).exists()
    ]
    assert missing == []


def test_every_playbook_that_is_shipped_is_valid() -> None:
    from healthd.config.playbooks import read_playbook  # noqa: PLC0415

    names = {read_playbook(path).name for path in (ROOT / "playbooks").glob("*.yaml")}
    assert names == {path.stem for path in (ROOT / "playbooks").glob("*.yaml")}
    assert "rolling-restart" in names


def test_nothing_that_is_committed_names_a_registry_or_holds_a_private_key() -> None:
    host = re.compile(r"https?://[\w.-]*(pypi|pythonhosted|maven|npmjs|crates|golang|debian)")
    key = re.compile("BEGIN [A-Z ]*PRIVATE " + "KEY")
    found = []
    for path in tracked():
        if not path.is_file():
            continue
        text = path.read_text("utf-8", "replace").replace("http://maven.apache.org/POM/4.0.0", "")
        if path != Path(__file__) and (host.search(text) or key.search(text)):
            found.append(str(path.relative_to(ROOT)))
    assert found == []


def test_the_lock_of_make_mutants_has_all_that_the_tests_need() -> None:
    def pinned(name: str) -> set[str]:
        text = (ROOT / name).read_text("utf-8")
        return set(re.findall(r"^([\w.-]+==[^ ;\\]+)", text, re.MULTILINE))

    assert pinned("requirements-dev.lock") - pinned("requirements-mutation.lock") == set()
