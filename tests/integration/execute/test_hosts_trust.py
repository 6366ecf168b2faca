"""`healthd hosts trust` against a real sshd: what is shown, what is asked, what is written."""

import json
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from plugins.sshd import SshdHost, make_key, public_key, running_host

from healthd.cli.app import cli
from healthd.cli.exits import Exit
from healthd.execute.known_hosts import read_known_keys
from healthd.execute.ssh_connect import offered_host_keys


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshdHost]:
    """A host with two keys."""
    folder = tmp_path_factory.mktemp("trust")
    make_key(folder / "ecdsa", "ecdsa")
    settings = f"HostKey {folder}/ecdsa\n"
    with running_host(folder / "sshd", "127.0.47.1", settings=settings) as host:
        yield host


@dataclass(frozen=True, kw_only=True)
class Trusting:
    """A fleet of one host, and the command on it."""

    folder: Path
    sshd: SshdHost

    @property
    def file(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def name(self) -> str:
        return f"[{self.sshd.address}]:{self.sshd.port}"

    def fingerprints(self) -> list[str]:
        return [key.fingerprint for key in offered_host_keys(self.sshd.target)]

    def known(self) -> list[str]:
        found = read_known_keys(self.file, self.sshd.address, self.sshd.port)
        return [key.fingerprint for key in found.trusted]

    def run(self, *words: str, answer: str | None = None) -> Result:
        fleet = self.folder / "fleet.yaml"
        arguments = ["hosts", "trust", "--fleet-file", str(fleet), *words]
        return CliRunner().invoke(cli, arguments, input=answer)


@pytest.fixture
def trusting(sshd: SshdHost, tmp_path: Path) -> Trusting:
    (tmp_path / "fleet.yaml").write_text(
        "apiVersion: healthd/v1\nkind: Fleet\nclusters:\n  - name: payments\n"
        "    bootstrapServers: [b1:9092]\n"
        f"    ssh: {{user: ops, port: {sshd.port}, keyFile: {sshd.folder}/client, "
        "knownHostsFile: known_hosts, connectTimeoutSeconds: 15}\n"
        f"    hosts:\n      - {{broker: 1, address: {sshd.address}}}\n"
        f"      - {{broker: 101, address: {sshd.address}}}\n"
    )
    return Trusting(folder=tmp_path, sshd=sshd)


def test_every_key_is_shown_and_added_once_a_person_agrees(trusting: Trusting) -> None:
    result = trusting.run("payments", answer="y\n")
    assert result.exit_code == Exit.OK, result.output
    fingerprints = trusting.fingerprints()
    assert len(fingerprints) == 2
    for one in fingerprints:
        assert one in result.stdout
    assert result.stdout.count(" new") == 2
    assert f"{trusting.name}: added 2 keys to {trusting.file}" in result.stdout
    assert trusting.known() == fingerprints
    assert stat.S_IMODE(trusting.file.stat().st_mode) == 0o600
    again = trusting.run("payments")
    assert again.exit_code == Exit.OK, again.output
    assert again.stdout.count(" same") == 2


def test_programs_get_one_object_and_people_are_asked_beside_it(trusting: Trusting) -> None:
    result = trusting.run("payments", "-o", "json", answer="n\n")
    assert result.exit_code == Exit.PROBLEMS
    (host,) = json.loads(result.stdout)["hosts"]
    assert (host["host"], host["added"], host["isKnown"]) == (trusting.name, 0, False)
    assert host["error"] == "nothing was added."
    assert [key["fingerprint"] for key in host["keys"]] == trusting.fingerprints()
    wanted = trusting.fingerprints()[0]
    result = trusting.run("payments", "-o", "json", "--yes", "--fingerprint", wanted)
    assert result.exit_code == Exit.OK, result.output
    found = json.loads(result.stdout)
    assert found["cluster"] == "payments"
    (host,) = found["hosts"]
    assert (host["added"], host["isKnown"], host["error"]) == (1, True, None)
    assert {key["state"] for key in host["keys"]} == {"new"}
    assert "added 1 key" in result.stderr


@pytest.mark.parametrize("answer", ["n\n", "\n"])
def test_nothing_is_written_when_the_person_does_not_agree(trusting: Trusting, answer: str) -> None:
    result = trusting.run("payments", answer=answer)
    assert result.exit_code == Exit.PROBLEMS
    assert "nothing was added" in result.stderr
    assert not trusting.file.exists()


def test_nobody_there_to_answer_is_no_agreement(trusting: Trusting) -> None:
    result = trusting.run("payments", answer="")
    assert result.exit_code == Exit.PROBLEMS
    assert "Nobody is there to answer: give --fingerprint with --yes." in result.stderr
    assert "nothing was added" in result.stderr
    assert not trusting.file.exists()


def test_yes_adds_the_key_with_the_given_fingerprint_and_no_other(trusting: Trusting) -> None:
    wanted = trusting.fingerprints()[1]
    result = trusting.run("payments", "101", "--yes", "--fingerprint", wanted)
    assert result.exit_code == Exit.OK, result.output
    assert trusting.known() == [wanted]


def test_a_fingerprint_that_no_host_has_adds_nothing(trusting: Trusting) -> None:
    other = f"SHA256:{'A' * 43}"
    result = trusting.run("payments", "--yes", "--fingerprint", other)
    assert result.exit_code == Exit.PROBLEMS
    assert f"No host offers a key with the fingerprint {other}" in result.stderr
    assert not trusting.file.exists()


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_a_changed_key_is_never_replaced(trusting: Trusting, kind: str) -> None:
    make_key(trusting.folder / "former", kind)
    line = f"{trusting.name} {public_key(trusting.folder / 'former')}\n"
    trusting.file.write_text(line)
    words = [word for one in trusting.fingerprints() for word in ("--fingerprint", one)]
    result = trusting.run("payments", "--yes", *words)
    assert result.exit_code == Exit.PROBLEMS
    assert "CHANGED" in result.stdout
    assert "nothing was added" in result.stderr
    assert trusting.file.read_text() == line


def test_a_revoked_key_is_not_added(trusting: Trusting) -> None:
    line = f"@revoked * {trusting.sshd.host_key}\n"
    trusting.file.write_text(line)
    result = trusting.run("payments", answer="y\n")
    assert result.exit_code == Exit.PROBLEMS
    assert "REVOKED" in result.stdout
    assert trusting.file.read_text() == line


def test_a_file_that_is_not_understood_is_refused_by_its_line(trusting: Trusting) -> None:
    trusting.file.write_text("# ours\n@whatever x\n")
    result = trusting.run("payments", answer="y\n")
    assert result.exit_code == Exit.PROBLEMS
    assert f"{trusting.file}:2: the marker '@whatever' is not known" in result.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("payments", "--yes"), "--yes needs --fingerprint"),
        (("payments", "--fingerprint", "SHA256:short"), "43 characters"),
        (("payment",), "no cluster payment"),
        (("payments", "b9", "1"), "no host b9"),
        ((), "CLUSTER"),
    ],
)
def test_a_wrong_command_line_is_refused_before_any_host_is_asked(
    trusting: Trusting, words: tuple[str, ...], says: str
) -> None:
    result = trusting.run(*words)
    assert result.exit_code == Exit.USAGE
    assert says in result.stderr


def test_a_host_that_cannot_be_reached_is_named(trusting: Trusting) -> None:
    fleet = trusting.folder / "fleet.yaml"
    fleet.write_text(fleet.read_text().replace(f"port: {trusting.sshd.port}", "port: 1"))
    result = trusting.run("payments", answer="y\n")
    assert result.exit_code == Exit.PROBLEMS
    assert f"[{trusting.sshd.address}]:1: " in result.stderr
    assert "cannot be reached" in result.stderr


def test_hosts_of_a_zookeeper_ensemble_are_hosts_too(trusting: Trusting) -> None:
    fleet = trusting.folder / "fleet.yaml"
    text = fleet.read_text()
    fleet.write_text(
        text[: text.index("    hosts:")]
        + "    zookeeper:\n      servers: [zk1:2181]\n"
        + f"      hosts: [{{server: 7, address: {trusting.sshd.address}}}]\n"
        + "      service: {stop: [zk, stop], start: [zk, start], status: [zk, status]}\n"
    )
    done = trusting.run("payments", "7", answer="yes\n")
    assert done.exit_code == 0, done.output
    assert trusting.known()
