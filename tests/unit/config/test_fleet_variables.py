"""Variables in a fleet file, and secrets that a program prints."""

from collections.abc import Callable
from pathlib import Path

import pytest

from healthd.config.fleet_file import check_fleet, load_fleet
from healthd.config.problems import ConfigError
from healthd.config.secrets import SecretRef
from healthd.waves.variable_values import SecretSource

WriteFile = Callable[..., Path]
FLEET = """\
apiVersion: healthd/v1
kind: Fleet
clusters:
  - name: a
    bootstrapServers: ["b1:9092"]
    variables: {}
    hosts:
      - {{broker: 1, address: b1}}
      - {{broker: 2, address: b2, variables: {}}}
"""


def test_clusters_and_hosts_have_values_and_places_of_secrets(
    write: WriteFile, tmp_path: Path
) -> None:
    write("pw", "hunter2")
    own = "{version: '4.1', heap: 6, pw: {file: pw}, tok: {command: [pass, show, x]}}"
    (cluster,) = load_fleet(write("fleet.yaml", FLEET.format(own, "{heap: 8}"))).clusters
    assert dict(cluster.variables) == {
        "version": "4.1",
        "heap": 6,
        "pw": SecretSource(file=str(tmp_path / "pw")),
        "tok": SecretSource(command=("pass", "show", "x")),
    }
    assert [dict(host.variables) for host in cluster.hosts] == [{}, {"heap": 8}]


@pytest.mark.parametrize(
    ("own", "host", "place", "words"),
    [
        ("[]", "{}", "6:16: clusters[0].variables", "must be a mapping"),
        ("{a: null}", "{}", "6:20: clusters[0].variables.a", "must be text"),
        ("{}", "{b c: 1}", "9:46: clusters[0].hosts[1].variables.b c", "no variable's name"),
        ("{a: {file: none}}", "{}", "6:27: clusters[0].variables.a.file", "No such file"),
        ("{password: hunter2}", "{}", "6:17: clusters[0].variables.password", "in clear"),
    ],
)
def test_a_mistake_is_told_with_its_place(
    own: str, host: str, place: str, words: str, write: WriteFile
) -> None:
    file = write("fleet.yaml", FLEET.format(own, host))
    (problem,) = check_fleet(file)
    assert str(problem).startswith(f"{file}:{place}: ")
    assert words in problem.message
    assert "hunter2" not in str(problem)


def program(write: WriteFile, text: str) -> tuple[str, ...]:
    return (str(write("program", f"#!/bin/sh\n{text}\n", mode=0o700)), "argument-hunter2")


def test_a_secret_that_a_program_prints_has_no_white_space_around_it(write: WriteFile) -> None:
    assert SecretRef(command=program(write, "printf '\\n hunter2 \\n\\n'")).read() == "hunter2"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("echo hunter2; exit 3", "ended with 3"),
        ("echo hunter2 >&2", "printed nothing"),
        ("printf '\\377'", "not UTF-8 text"),
        ("head -c 100001 /dev/zero | tr '\\0' x", "more than 100000 characters"),
        ("exec sleep 60", "printed no secret within 0.5 s"),
    ],
)
def test_a_program_that_fails_is_named_and_nothing_of_it_is_shown(
    text: str, words: str, write: WriteFile
) -> None:
    command = program(write, text)
    seconds = 0.5 if "sleep" in text else 10.0
    with pytest.raises(ConfigError) as caught:
        SecretRef(command=command, timeout_seconds=seconds).read()
    assert words in str(caught.value)
    assert command[0] in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        SecretRef(command=(str(tmp_path / "none"),)).read()
