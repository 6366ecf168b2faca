"""A wave file is held against its playbook and its clusters, before anybody starts it."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import example, given
from hypothesis import strategies as st

from healthd.cli.check_config import check_config
from healthd.config.fleet import ClusterConfig, Fleet, HostConfig
from healthd.config.playbooks import read_playbook_file
from healthd.config.wave_check import WaveContext, check_variables
from healthd.config.wave_variables import given_in
from healthd.engine.variables import lacking
from healthd.waves.spec import WaveSpec, parse_wave
from healthd.waves.variable_values import SecretSource

WriteFile = Callable[..., Path]

PLAYBOOK = """\
apiVersion: healthd/v1
kind: Playbook
name: upd
variables:
  version: {pattern: "[0-9.]+"}
  heap: {type: integer, default: 4, minimum: 1}
  key: {type: secret}
steps:
  - name: a
    command: {argv: [upd, "${version}", "${heap}"], stdin: key}
    repeatable: true
    timeoutSeconds: 60
"""
FLEET = """\
apiVersion: healthd/v1
kind: Fleet
clusters:
  - name: dev
    labels: {env: dev}
    bootstrapServers: ["b:9092"]
    variables: {version: "4.1", key: {env: KEY}, another: 1}
    hosts: [{broker: 1, address: b1}, {broker: 2, address: b2}]
  - name: prod
    labels: {env: prod}
    bootstrapServers: ["c:9092"]
    variables: {key: {env: KEY}}
    hosts:
      - {broker: 1, address: c1, variables: {version: "4.1"}}
      - {broker: 2, address: c2, variables: {heap: 0}}
      - {broker: 3, address: c3}
"""
HEAD = """\
apiVersion: healthd/v1
kind: Wave
name: w
reason: CHG-1
playbook: upd
"""


@pytest.fixture
def check(
    write: WriteFile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Result]:
    """Runs `check-config` on a wave with these lines, beside a playbook and a fleet file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    write("own/upd.yaml", PLAYBOOK)
    write("fleet.yaml", FLEET)

    def run(text: str, *options: str, own: str = "own", fleet: str = "fleet.yaml") -> Result:
        write("w.yaml", HEAD + text)
        named = ["--playbook-dir", own] if own else []
        named += ["--fleet-file", fleet] if fleet else []
        return CliRunner().invoke(check_config, ["w.yaml", *named, *options])

    return run


def test_every_value_that_a_wave_may_not_give_is_told_at_its_place(
    check: Callable[..., Result],
) -> None:
    result = check("""\
variables:
  verison: "4.1"
  heap: 0
  key: hunter2
stages:
  - {name: one, clusters: [dev], variables: {version: "4.1; reboot"}}
  - {name: two, match: {env: prod}, variables: {version: 4.1}}
""")
    assert result.exit_code == 3
    assert result.stdout.splitlines() == [
        (
            "w.yaml:7:3: variables.verison: is given in the wave file, but the playbook has no"
            " such variable -> it has heap, key, version"
        ),
        (
            "w.yaml:8:9: variables.heap: 0 is below the minimum, 1 (the wave file)"
            " -> choose a value in that range"
        ),
        (
            "w.yaml:9:8: variables.key: a secret is never written down; its value is not shown"
            " here (the wave file) -> write {file: PATH}, {env: NAME} or {command: [PROGRAM, ...]}"
        ),
        (
            "w.yaml:11:55: stages[0].variables.version: '4.1; reboot' does not match the pattern"
            " [0-9.]+ (the wave file) -> write a value of that form"
        ),
        (
            "w.yaml:12:58: stages[1].variables.version: must be text, not a number (the wave file)"
            " -> put it in quotes: 4.10 without them is 4.1"
        ),
    ]
    assert result.stderr == ""


def test_what_the_clusters_and_hosts_of_a_stage_lack_is_told_at_the_stage(
    check: Callable[..., Result],
) -> None:
    result = check(
        "stages:\n  - {name: one, clusters: [dev]}\n  - {name: two, match: {env: prod}}\n"
    )
    assert result.exit_code == 3
    assert result.stdout.splitlines() == [
        (
            "w.yaml:8:5: stages[1]: variable heap for broker 2 of cluster prod: 0 is below the"
            " minimum, 1 (the host of node 2 in the fleet file) -> choose a value in that range"
        ),
        (
            "w.yaml:8:5: stages[1]: variable version for brokers 2, 3 of cluster prod: has no value"
            " -> write version: VALUE under variables of the wave file or the fleet file"
        ),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "stages:\n  - {name: one, clusters: [dev]}\n",
        "stages:\n  - {name: one, clusters: [prod], brokers: [1]}\n",
        (
            "variables: {heap: 6}\nstages:\n  - {name: a, clusters: [prod], brokers: [2, 3],"
            " variables: {version: '4'}}\n  - {name: b, clusters: [prod]}\n"
        ),
        (
            "variables: {version: x}\nstages:\n"
            "  - {name: a, clusters: [dev], variables: {version: '4'}}\n"
        ),
        "stages:\n  - {name: a, clusters: [dev], variables: {key: {file: /x}}}\n",
    ],
    ids=[
        "fleet file",
        "its nodes only",
        "an earlier stage's",
        "stage over wave",
        "a secret's place",
    ],
)
def test_what_every_node_has_is_no_mistake(check: Callable[..., Result], text: str) -> None:
    result = check(text)
    assert (result.exit_code, result.output) == (0, "w.yaml: ok\n")


def test_a_secret_in_clear_is_one_mistake(check: Callable[..., Result], write: WriteFile) -> None:
    write("own/upd.yaml", PLAYBOOK.replace("key", "password"))
    result = check("variables: {password: hunter2}\nstages: [{name: one, clusters: [dev]}]\n")
    assert "hunter2" not in result.output
    assert [line.split(": ")[1] for line in result.stdout.splitlines()] == ["variables.password"]


# --- What cannot be checked -------------------------------------------------------------------

STAGE = "variables: {verison: x}\nstages:\n  - {name: one, clusters: [dev]}\n"


def test_without_the_playbook_it_is_said_that_the_variables_were_not_checked(
    check: Callable[..., Result],
) -> None:
    result = check(STAGE, own="")
    assert (result.exit_code, result.stdout) == (0, "w.yaml: ok\n")
    (line,) = result.stderr.splitlines()
    assert line.startswith(
        "w.yaml:5:11: playbook: variables were not checked: there is no playbook upd; there are: "
    )
    assert line.endswith(
        " -> correct the name, or say by --playbook-dir where your own playbooks are"
    )


def test_a_playbook_that_is_in_no_folder_is_a_mistake_when_all_are_named(
    check: Callable[..., Result], write: WriteFile
) -> None:
    write("own/upd.yaml").unlink()
    result = check(STAGE)
    assert result.exit_code == 3
    assert result.stdout.startswith("w.yaml:5:11: playbook: there is no playbook upd; there are: ")


def test_a_playbook_that_cannot_be_run_is_a_mistake_with_the_first_reason(
    check: Callable[..., Result], write: WriteFile
) -> None:
    write("own/upd.yaml", PLAYBOOK.replace("timeoutSeconds: 60", "tries: x"))
    result = check(STAGE)
    assert (result.exit_code, len(result.stdout.splitlines())) == (3, 1)
    assert result.stdout.startswith("w.yaml:5:11: playbook: cannot be run: own/upd.yaml:9:5: steps")
    assert " (and 1 more) -> " in result.stdout


def test_a_playbook_of_another_digest_is_a_mistake(
    check: Callable[..., Result], write: WriteFile, tmp_path: Path
) -> None:
    digest = read_playbook_file(tmp_path / "own" / "upd.yaml").digest
    pinned = HEAD.replace("upd", f"upd@sha256:{digest}") + "stages: [{name: a, clusters: [dev]}]\n"
    for text, code in ((pinned, 0), (pinned.replace(digest, "0" * 64), 3)):
        options = ["--playbook-dir", "own", "--fleet-file", "fleet.yaml"]
        result = CliRunner().invoke(check_config, [str(write("x.yaml", text)), *options])
        assert result.exit_code == code
    assert (
        "x.yaml:5:11: playbook: cannot be run: own/upd.yaml: the playbook upd is not the one"
        in (result.stdout)
    )


@pytest.mark.parametrize(
    ("fleet", "why", "action"),
    [
        ("", "/etc/healthd/none.yaml: cannot be opened: No such file", "say by --fleet-file where"),
        ("own/upd.yaml", "own/upd.yaml:1:1: clusters: the fleet is empty: ", "add a cluster"),
    ],
    ids=["not there", "no fleet file"],
)
def test_without_the_fleet_file_it_is_said_what_only_that_could_give(
    check: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
    fleet: str,
    why: str,
    action: str,
) -> None:
    monkeypatch.setenv("HEALTHD_FLEET_FILE", "/etc/healthd/none.yaml")
    result = check(
        "variables: {version: '4'}\nstages: [{name: one, clusters: [dev]}]\n", fleet=fleet
    )
    assert (result.exit_code, result.stdout) == (0, "w.yaml: ok\n")
    (line,) = result.stderr.splitlines()
    words = "w.yaml:7:10: stages[0]: whether every node has a value of key was not checked: "
    assert line.startswith(words + why)
    assert f" -> {action}" in line
    given = "variables: {version: '4', key: {file: /x}}\nstages: [{name: one, clusters: [dev]}]\n"
    assert check(given, fleet=fleet).output == "w.yaml: ok\n"


def test_a_fleet_file_that_is_named_and_not_there_cannot_be_opened(
    check: Callable[..., Result],
) -> None:
    result = check(STAGE, fleet="none.yaml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("none.yaml: cannot be opened: No such file or directory -> ")


def test_clusters_that_are_not_in_the_fleet_file_are_named(check: Callable[..., Result]) -> None:
    text = "variables: {version: '4'}\nstages:\n  - {name: one, clusters: [dev, gone]}\n"
    result = check(text + "  - {name: two, match: {env: test}}\n", "-o", "json")
    assert result.exit_code == 0
    line = json.loads(result.stdout)
    assert line["problems"] == []
    assert [(each["path"], each["line"], each["message"]) for each in line["unchecked"]] == [
        (
            "stages[0].clusters[1]",
            8,
            "variables were not checked: the fleet file has no cluster gone",
        ),
        (
            "stages[1].match",
            9,
            "variables were not checked: no cluster of the fleet file has these labels",
        ),
    ]


def test_a_wave_whose_playbook_has_no_variables_needs_no_fleet_file(
    check: Callable[..., Result], write: WriteFile
) -> None:
    plain = "steps: [{name: a, waitFor: {port: 22}, timeoutSeconds: 60}]\n"
    write("own/upd.yaml", PLAYBOOK.partition("variables")[0] + plain)
    result = check("stages: [{name: one, clusters: [gone]}]\n", fleet="")
    assert (result.exit_code, result.output) == (0, "w.yaml: ok\n")


def test_a_wave_with_other_mistakes_is_told_those(check: Callable[..., Result]) -> None:
    result = check("variables: {verison: x}\nstages: []\n")
    assert result.exit_code == 3
    assert "stages: is empty" in result.stdout


# --- The same as a wave that is started -------------------------------------------------------

VALUES: st.SearchStrategy[Mapping[str, Any]] = st.dictionaries(
    st.sampled_from(["version", "heap", "key", "other"]),
    st.sampled_from(["4.1", "x", 0, 7, 4.5, True]),
    max_size=3,
)


@example(wave={}, stage={"version": "4.1"}, cluster={"version": 4.1}, hosts=[{}])
@example(wave={}, stage={}, cluster={"other": 7}, hosts=[{"version": "4.1"}, {"heap": 7}])
@given(wave=VALUES, stage=VALUES, cluster=VALUES, hosts=st.lists(VALUES, min_size=1, max_size=3))
def test_a_file_has_no_mistake_exactly_when_its_wave_would_be_taken(
    wave: Mapping[str, Any],
    stage: Mapping[str, Any],
    cluster: Mapping[str, Any],
    hosts: list[Mapping[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "upd.yaml").write_text(PLAYBOOK, "utf-8")
    (secret := folder / "key").touch(mode=0o600)
    config = ClusterConfig(
        name="dev",
        bootstrap_servers=("b:9092",),
        variables={"key": SecretSource(file=str(secret)), **cluster},
        hosts=tuple(
            HostConfig(broker=at, address=f"b{at}", variables=values)
            for at, values in enumerate(hosts)
        ),
    )
    spec = parse_wave(
        {
            "apiVersion": "healthd/v1",
            "kind": "Wave",
            "name": "w",
            "playbook": "upd",
            "variables": wave,
            "stages": [{"name": "one", "clusters": ["dev"], "variables": stage}],
        }
    )
    assert isinstance(spec, WaveSpec)
    context = WaveContext(fleet=lambda: Fleet(clusters=(config,)), playbook_dir=folder)
    found = check_variables(spec, context)
    playbook = read_playbook_file(folder / "upd.yaml").playbook
    refused = lacking(playbook, config, range(len(hosts)), given_in(spec, 0))
    assert bool(found.problems) is bool(refused)
    assert found.unchecked == []
    told = {
        problem.location[-1] for problem in found.problems if problem.location[0] == "variables"
    }
    assert told <= set(wave) - set(stage)
