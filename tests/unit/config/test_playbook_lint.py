"""`playbook lint`: every broken playbook has exactly its lines, and good ones have none."""

import copy
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healthd.config.playbook_lint import lint_file, lint_text
from healthd.config.yaml_source import parse_document
from healthd.waves.lint_changed import changed_findings
from healthd.waves.lint_commands import command_findings
from healthd.waves.lint_steps import step_findings
from healthd.waves.playbook import ACTION_KEYS, OPTION_KEYS, PLAYBOOK_KEYS
from healthd.waves.playbook_checks import CHECK_KEYS
from healthd.waves.playbook_parse import parse_playbook, read_data

ROOT = Path(__file__).parents[3]
DATA = ROOT / "tests" / "data" / "playbooks"
BROKEN = sorted((DATA / "broken").glob("*.yaml"))
EXPECTED = (DATA / "broken" / "expected.txt").read_text("utf-8").splitlines()
GOOD = sorted([*(ROOT / "playbooks").glob("*.yaml"), DATA / "everything.yaml"])


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_every_mistake_is_told_with_its_line_and_what_to_do(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    expected = [line for line in EXPECTED if line.startswith(f"{path.name}:")]
    assert [str(found) for found in lint_file(path.name)] == expected
    assert expected


def test_there_are_at_least_thirty_of_them_and_no_line_is_left_over() -> None:
    assert len(BROKEN) >= 30
    assert {line.partition(":")[0] for line in EXPECTED} == {path.name for path in BROKEN}


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_playbook_that_is_shipped_has_no_finding(path: Path) -> None:
    assert [str(found) for found in lint_file(str(path))] == []


def test_no_secret_of_a_playbook_is_ever_repeated() -> None:
    assert any("hunter2" in path.read_text("utf-8", "replace") for path in BROKEN)
    assert not any("hunter2" in line for line in EXPECTED)


def test_a_file_of_50_megabytes_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    with path.open("wb") as file:
        os.truncate(file.fileno(), 50_000_000)
    (found,) = lint_file(str(path))
    assert str(found) == (
        f"{path}:1:1: error[no-yaml]: is larger than 1000000 bytes -> "
        "split it, or name the right file"
    )


def test_a_file_that_is_not_there_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        lint_file(str(tmp_path / "none.yaml"))


def _lines(text: str) -> list[str]:
    head = "apiVersion: healthd/v1\nkind: Playbook\nname: p\n"
    return [found.code for found in lint_text((head + text).encode(), "p.yaml", None)]


@pytest.mark.parametrize(
    "command",
    [
        '[grep, -E, "a|b", /etc/x]',
        '[find, /var/log, -name, "*.log"]',
        '[awk, "{print $1}", /etc/x]',
        '[curl, "https://h/x?a=1&b=2"]',
        '[test, -e, "/etc/${host}.conf"]',
        '[kafka-configs.sh, --add-config, "a=[b,c]"]',
        "[systemctl, restart, node_exporter]",
        "[systemctl, restart, kafka-exporter]",
        "[systemctl, restart, schema-registry]",
        "[systemctl, is-active, kafka]",
        '[openssl, x509, -passin, "file:/etc/x"]',
        "[tool, --password-file, /etc/x]",
        '[tool, "--password-file=/etc/x"]',
        '[date, "+%Y-%m-%d %H:%M"]',
        '[printf, "%s > %s", a, b]',
    ],
)
def test_a_command_that_is_right_has_no_finding(command: str) -> None:
    row = f"  - {{name: a, command: {command}, repeatable: true, timeoutSeconds: 60}}\n"
    assert _lines(f"steps:\n{row}") == []


@pytest.mark.parametrize("code", ["short-timeout", "unobservable-step"])
def test_a_comment_answers_the_one_warning_that_it_names(code: str) -> None:
    row = "  - {name: a, command: [migrate], timeoutSeconds: 0.5}"
    both = {"short-timeout", "unobservable-step"}
    assert set(_lines(f"steps:\n{row}\n")) == both
    assert set(_lines(f"steps:\n{row}  # lint: ignore {code}\n")) == both - {code}
    assert set(_lines(f"steps:\n  # lint: ignore {code}\n{row}\n")) == both - {code}
    assert _lines(f"steps:\n{row}  # lint: ignore short-timeout, unobservable-step\n") == []


WAITS = "  - {name: w, waitFor: {changed: CHANGED}, timeoutSeconds: 60}\n"


@pytest.mark.parametrize("changed", ["bootId", "processStart"])
@pytest.mark.parametrize(
    ("before", "is_told"),
    [
        ("{name: a, command: [fwupdmgr, update], repeatable: true, timeoutSeconds: 60}", False),
        ("{name: a, ansible: {playbook: a.yml}, repeatable: true, timeoutSeconds: 60}", False),
        ("{name: a, http: {method: POST, url: 'https://bmc/x'}, timeoutSeconds: 60}", False),
        ("{name: a, prompt: Power-cycle it, timeoutSeconds: 600}", False),
        ("{name: a, unheard: of, timeoutSeconds: 60}", False),
        ("{name: a, http: {url: 'https://bmc/x'}, timeoutSeconds: 60}", True),
        ("{name: a, kafka: {setBrokerConfig: {a: 1}}, timeoutSeconds: 60}", True),
        ("{name: a, template: {content: a, path: /etc/a}, timeoutSeconds: 60}", True),
    ],
)
def test_a_wait_in_vain_is_told_only_where_nothing_could_have_brought_the_change_about(
    changed: str,
    before: str,
    *,
    is_told: bool,
) -> None:
    text = f"steps:\n  - {before}\n{WAITS}".replace("CHANGED", changed)
    assert ("never-true" in _lines(text)) is is_told


RESTARTS = """steps:
  - {name: stop, service: stop, timeoutSeconds: 600}
  - {name: left, waitFor: left, timeoutSeconds: 600}
  - {name: start, service: start, timeoutSeconds: 600}
  - {name: back, waitFor: back, timeoutSeconds: 1800}
"""


def test_a_restart_is_another_process_and_no_other_boot() -> None:
    assert _lines(RESTARTS + WAITS.replace("CHANGED", "processStart")) == []
    assert _lines(RESTARTS + WAITS.replace("CHANGED", "bootId")) == ["never-true"]


def test_whether_it_is_done_may_depend_on_a_change_that_never_comes() -> None:
    action = "kafka: {setBrokerConfig: {a: 1}}"
    for key in ("onlyIf", "observe"):
        row = f"  - {{name: a, {action}, {key}: {{changed: bootId}}, timeoutSeconds: 60}}"
        assert _lines(f"steps:\n{row}\n") == []


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_no_shipped_playbook_waits_in_vain_not_even_behind_a_comment(path: Path) -> None:
    document, _ = parse_document(path.read_bytes(), path.name)
    assert document is not None
    assert list(changed_findings(read_data(document.data))) == []


def test_a_comment_answers_no_error() -> None:
    row = "  - {name: a, waitFor: {port: 22}}  # lint: ignore step-without-timeout"
    assert _lines(f"steps:\n{row}\n") == ["step-without-timeout"]


# --- Nothing makes it fall over ---------------------------------------------------------------

WORDS = sorted(
    {*PLAYBOOK_KEYS, *ACTION_KEYS, *OPTION_KEYS, *CHECK_KEYS, "argv", "shell", "source", "path"}
    | {"content", "name", "timeoutSeconds", "setFeature", "moveLeadersAway", "limit", "type"}
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["left", "back", "stop", "start", "${x}", "${", "$${", "healthd/v1", "/x"]),
    st.builds(lambda: 10**5000),  # Python writes no number of so many digits.
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)
ROWS = st.dictionaries(st.sampled_from(WORDS), VALUES, max_size=5)


@settings(max_examples=80, deadline=None)
@given(value=VALUES, rows=st.lists(ROWS, max_size=3), variables=VALUES)
def test_no_value_at_all_makes_it_raise(value: Any, rows: list[Any], variables: Any) -> None:
    head = {"apiVersion": "healthd/v1", "kind": "Playbook", "name": "p"}
    for data in (value, {**head, "steps": rows, "variables": variables}, {**head, "steps": value}):
        parse_playbook(data)
        reading = read_data(data)
        list(step_findings(reading))
        list(changed_findings(reading))
        steps = data.get("steps") if isinstance(data, dict) else data
        list(command_findings(steps, reading.variables))


EVERYTHING = (DATA / "everything.yaml").read_text("utf-8")


def _places(data: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    rows = data.items() if isinstance(data, dict) else enumerate(data)
    found = []
    for key, inner in rows:
        found.append((*at, key))
        if isinstance(inner, dict | list):
            found += _places(inner, (*at, key))
    return found


def _everything() -> dict[str, Any]:
    document, _ = parse_document(EVERYTHING.encode(), "everything.yaml")
    assert document is not None
    return document.data


WHOLE = _everything()
PLACES = _places(WHOLE)


@settings(max_examples=80, deadline=None)
@given(place=st.sampled_from(PLACES), value=VALUES)
def test_nothing_at_any_place_of_a_good_playbook_makes_it_raise(
    place: tuple[Any, ...], value: Any
) -> None:
    data = inside = copy.deepcopy(WHOLE)
    for part in place[:-1]:
        inside = inside[part]
    inside[place[-1]] = value
    parse_playbook(data)
    reading = read_data(data)
    list(step_findings(reading))
    list(changed_findings(reading))
    list(command_findings(data.get("steps"), reading.variables))
