"""Secrets in a fleet file: never in clear, never readable by others, never shown."""

from collections.abc import Callable
from pathlib import Path

import pytest

from healthd.config.fleet_file import check_fleet
from healthd.config.problems import ConfigError
from healthd.config.secrets import SecretRef

WriteFile = Callable[..., Path]
HEAD = "apiVersion: healthd/v1\nkind: Fleet\nclusters:\n"


def problems_of(write: WriteFile, text: str) -> list[str]:
    """The problems without the file's folder, as `line:column: path: message -> action`."""
    file = write("fleet.yaml", text)
    return [str(p).removeprefix(f"{file}:") for p in check_fleet(file)]


def cluster(*lines: str) -> str:
    """A fleet of one good cluster `a` with these lines added; they begin at line 6."""
    body = ["  - name: a", '    bootstrapServers: ["b1:9092"]', *(f"    {line}" for line in lines)]
    return HEAD + "\n".join(body) + "\n"


SASL = "security: {{protocol: SASL_SSL, saslMechanism: PLAIN, username: u, passwordFile: {}}}"


def test_a_secret_file_that_is_missing_is_named(write: WriteFile, tmp_path: Path) -> None:
    (problem,) = problems_of(write, cluster(SASL.format("nope")))
    assert problem.startswith("6:85: clusters[0].security.passwordFile: ")
    assert f"{tmp_path}/nope cannot be used: No such file" in problem


@pytest.mark.parametrize("mode", [0o640, 0o440, 0o644, 0o660, 0o601, 0o777])
def test_a_secret_file_that_others_may_use_is_refused(write: WriteFile, mode: int) -> None:
    write("pw", "x", mode)
    (problem,) = problems_of(write, cluster(SASL.format("pw")))
    assert f"has mode {mode:04o}: others may use it -> run chmod 600" in problem


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_private_secret_file_is_accepted(write: WriteFile, mode: int) -> None:
    write("pw", "x", mode)
    assert problems_of(write, cluster(SASL.format("pw"))) == []


def test_a_folder_is_no_secret_file(write: WriteFile) -> None:
    (problem,) = problems_of(write, cluster(SASL.format(".")))
    assert "is not a file" in problem


def test_an_ssh_key_is_a_secret_file_and_known_hosts_may_come_later(write: WriteFile) -> None:
    text = cluster(
        "ssh: {user: u, keyFile: id, knownHostsFile: nowhere/known}",
        "hosts: [{broker: 1, address: h}]",
    )
    write("id", "x", 0o644)
    key, known = problems_of(write, text)
    assert "ssh.keyFile" in key
    assert "ssh.knownHostsFile: folder" in known
    write("id", "x", 0o600)
    assert problems_of(write, text.replace("nowhere/", "")) == []


@pytest.mark.parametrize(
    "line",
    [
        "security: {password: hunter2}",
        "security: {saslPassword: hunter2}",
        "security: {sasl_password: hunter2}",
        "security: {sasl.jaas.config: hunter2}",
        "password: hunter2",
        "ssh: {token: hunter2}",
        "secret: hunter2",
        "labels: {api-key: hunter2}",
    ],
)
def test_a_secret_in_clear_is_refused_by_name_and_not_shown(write: WriteFile, line: str) -> None:
    found = problems_of(write, cluster(line))
    assert sum("is a secret in clear" in problem for problem in found) == 1
    assert not any("unknown key" in problem for problem in found)
    assert not any("hunter2" in problem for problem in found)


def test_a_secret_of_a_playbook_is_to_be_a_reference_under_its_own_name(write: WriteFile) -> None:
    (found,) = (each for each in problems_of(write, cluster("variables: {token: hunter2}")))
    assert "put it in a file of mode 0600 and write token: {file: PATH}" in found


@pytest.mark.parametrize(
    "line",
    [
        "security: {protocol: SASL_SSL, saslMechanism: PLAIN, passwordEnv: 'hunter2!'}",
        "hosts: [{broker: 1, address: 'root:hunter2@h'}]",
        "labels: {note: '-----BEGIN OPENSSH " + "PRIVATE_KEY".replace("_", " ") + "-----hunter2'}",
    ],
)
def test_a_secret_in_another_place_is_refused_and_not_shown(write: WriteFile, line: str) -> None:
    found = problems_of(write, cluster(line))
    assert found
    assert not any("hunter2" in problem for problem in found)


def test_secrets_are_read_from_file_and_environment_and_never_shown(
    write: WriteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PW", "hunter2")
    reference = SecretRef(file=write("pw", "hunter2\n"))
    assert reference.read() == SecretRef(env="PW").read() == "hunter2"
    assert "hunter2" not in repr(reference)
    for missing in (SecretRef(env="NOT_SET"), SecretRef(file=write("empty"))):
        with pytest.raises(ConfigError, match=r"is not set|is empty"):
            missing.read()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_has_become_too_wide_is_not_read_any_more(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "secret"
    file.write_text("planted\n")
    file.chmod(0o600)
    assert SecretRef(file=file).read() == "planted"
    file.chmod(mode)
    with pytest.raises(ConfigError, match=f"mode {mode:04o}.*chmod 600") as caught:
        SecretRef(file=file).read()
    assert "planted" not in str(caught.value)
