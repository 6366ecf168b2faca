"""Secrets planted in every way that healthd takes them, and looked for everywhere afterwards.

A real daemon runs a whole wave over real sshds; some of its steps print the secrets, some fail with
them. What is found anywhere but in the files that they belong to is a leak.
"""

from __future__ import annotations

import http.server
import json
import os
import sys
import threading
import time
import urllib.error
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from plugins.sshd import SshdHost, running_host
from support.secure_kafka import KEY_PASSWORD, PASSWORD, SecureKafka
from support.standin_kafka import StandInCluster, StandIns, StandInTopic
from support.waves_on_fleet import wait_for_wave

from healthd.demo.daemon import DaemonProcess, error_of

BY_FILE = "planted-by-file-51b0"
BY_ENVIRONMENT = "planted-by-environment-77c2"
BY_COMMAND = "planted-by-command-e1d4"
BY_STDIN = "planted-for-stdin-9a3f"
BY_BEARER = "planted-as-bearer-20cd"
OF_KAFKA = "planted-for-kafka-by-command-5c8e"
OF_A_FAILURE = "planted-by-a-command-that-fails-b6d0"
MANY_LINES = "planted-line-one-aa11\nplanted-line-two-bb22"
PLANTED = (
    *(BY_FILE, BY_ENVIRONMENT, BY_COMMAND, BY_STDIN, BY_BEARER, PASSWORD, KEY_PASSWORD),
    *(OF_KAFKA, OF_A_FAILURE),
    *MANY_LINES.split("\n"),
)
OF_CLUSTERS = {PASSWORD, KEY_PASSWORD, OF_KAFKA, OF_A_FAILURE}
"""No step of the playbook is given these."""
NODES = (1, 2)

FLEET = """\
apiVersion: healthd/v1
kind: Fleet
clusters:
  - name: payments
    bootstrapServers: [{bootstrap}]
    ssh: {{user: root, keyFile: {keys}/client, knownHostsFile: {keys}/known_hosts}}
    service:
      stop: ["false"]
      start: ["false"]
      status: [echo, running 1 5]
      identity: [echo, "node.id={{broker_id}}"]
    variables:
      byEnvironment: {{env: PLANTED}}
      byBearer: {{env: PLANTED_BEARER}}
      byCommand: {{command: ["{folder}/print-secret"]}}
      byStdin: {{file: {folder}/by-stdin}}
      manyLines: {{file: {folder}/many-lines}}
    hosts:
{hosts}
  - name: secure
    bootstrapServers: ["127.0.0.1:1"]
    security:
      protocol: SASL_SSL
      caFile: {certificates}/fleet-CA.pem
      certFile: {certificates}/client.pem
      keyFile: {certificates}/locked.key
      keyPasswordFile: {certificates}/key-password
      saslMechanism: PLAIN
      username: healthd
      passwordFile: {certificates}/password
  - name: commanded
    bootstrapServers: ["127.0.0.1:2"]
    security:
      protocol: SASL_PLAINTEXT
      saslMechanism: SCRAM-SHA-512
      username: healthd
      passwordCommand: ["{folder}/print-secret-of-kafka"]
    schemaRegistry:
      urls: ["http://127.0.0.1:3"]
      username: healthd
      passwordCommand: ["{folder}/print-secret-and-fail"]
"""

PLAYBOOK = """\
apiVersion: healthd/v1
kind: Playbook
name: planted
description: Uses every secret, and fails with them in its hands.
gate: permission
variables:
  byFile: {{type: secret}}
  byEnvironment: {{type: secret}}
  byCommand: {{type: secret}}
  byStdin: {{type: secret}}
  byBearer: {{type: secret}}
  manyLines: {{type: secret}}
steps:
  - name: write them where they belong
    template:
      content: |
        node={{{{ broker_id }}}}
        one={{{{ byFile }}}}
        two={{{{ byEnvironment }}}}
        three={{{{ byCommand }}}}
        four={{{{ byStdin }}}} {{{{ byBearer }}}}
        {{{{ manyLines }}}}
      path: {hosts}/${{host}}/target
      mode: "0600"
    timeoutSeconds: 60
  - name: read one from standard input
    command: {{argv: [sh, -c, "cat; sleep 1"], stdin: byStdin}}
    timeoutSeconds: 60
  - name: print them all
    command: [cat, "{hosts}/${{host}}/target"]
    timeoutSeconds: 60
  - name: fail with them
    command: {{shell: "cat {hosts}/${{host}}/target >&2; exit 3"}}
    onFailure: ignore
    timeoutSeconds: 60
  - name: send one to somebody who says it back
    http: {{method: POST, url: "{url}/", body: "{{}}", bearerToken: byBearer}}
    onFailure: ignore
    timeoutSeconds: 60
  - name: make a template that cannot be
    template: {{content: "{{{{ byFile.nothing }}}}", path: "{hosts}/${{host}}/never"}}
    onFailure: ignore
    timeoutSeconds: 60
  - name: put it where nothing can be
    template: {{content: "{{{{ byFile }}}}", path: "/proc/nowhere/file"}}
    onFailure: ignore
    timeoutSeconds: 60
  - name: wait for what never comes
    waitFor: {{command: [sh, -c, "cat {hosts}/${{host}}/target; exit 1"]}}
    onFailure: ignore
    timeoutSeconds: 1
  - name: let Ansible say it
    ansible: {{playbook: site.yml}}
    onFailure: ignore
    timeoutSeconds: 60
  - name: fail for good
    command: {{shell: "tail -n 3 {hosts}/${{host}}/target; exit 4"}}
    verify: {{command: [cat, "{hosts}/${{host}}/target"]}}
    timeoutSeconds: 60
"""

ANSIBLE = """\
#!{python}
import json, sys
file = next(word[1:] for word in sys.argv if word.startswith("@"))
print(open(file).read())
print("\\n".join(map(str, json.load(open(file)).values())))
sys.exit(2)
"""


class Peeping(threading.Thread):
    """Looks at every process of this machine, as anybody on it may, until it is told to end."""

    def __init__(self, daemon: int, secret_program: str) -> None:
        super().__init__(daemon=True)
        self._daemon = daemon
        self._secret_program = secret_program
        self._over = threading.Event()
        self.found: set[str] = set()
        self.looks = 0

    def run(self) -> None:
        ours = {os.getpid(), self._daemon}
        while not self._over.wait(0.02):
            self.looks += 1
            for one in psutil.process_iter():
                with suppress(psutil.Error, OSError):
                    words = " ".join(one.cmdline())
                    texts = [words]
                    # Its own environment the daemon has from whoever started it, and hands it to
                    # the operator's own program that prints a secret.
                    if one.pid not in ours and self._secret_program not in words:
                        texts.append(str(one.environ()))
                    self.found |= {
                        f"process {words[:80]}" for text in texts if leaks_in(text.encode())
                    }

    def stop(self) -> None:
        self._over.set()
        self.join()


class Echo(http.server.BaseHTTPRequestHandler):
    """Says back what it was told, as careless servers do."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(500)
        self.end_headers()
        self.wfile.write(f"not allowed: {self.headers['Authorization']}".encode())

    def log_message(self, *_args: object) -> None: ...


@contextmanager
def echo() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def leaks_in(content: bytes) -> bool:
    return any(secret.encode() in content for secret in PLANTED)


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[dict[int, SshdHost]]:
    """Two hosts whose user has a home of its own, with one key and one file of known hosts."""
    with ExitStack() as stack:
        made = {}
        for node in NODES:
            folder = tmp_path / "hosts" / f"127.0.43.{node}"
            made[node] = stack.enter_context(running_host(folder, folder.name))
        first, second = made[1].folder, made[2].folder
        (second / "authorized_keys").write_text((first / "authorized_keys").read_text())
        known = "".join((each / "known_hosts").read_text() for each in (first, second))
        (first / "known_hosts").write_text(known)
        yield made


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[StandIns]:
    rows = [(1, (1, 2), (1, 2))]
    cluster = StandInCluster(
        name="payments",
        hosts={node: f"127.143.0.{node}" for node in NODES},
        topics=[StandInTopic(name="orders", rows=rows, min_insync_replicas=1)],
    )
    with StandIns([cluster], tmp_path) as made:
        yield made


@pytest.fixture
def daemon(
    tmp_path: Path,
    hosts: Mapping[int, SshdHost],
    kafka: StandIns,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[DaemonProcess]:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    write(secrets / "by-file", BY_FILE + "\n")
    write(secrets / "by-stdin", BY_STDIN + "\n")
    write(secrets / "many-lines", MANY_LINES + "\n")
    write(secrets / "value", BY_COMMAND)
    write(secrets / "print-secret", f"#!/bin/sh\nexec cat {secrets}/value\n", 0o700)
    # What a shell prints by itself has no process of its own.
    speak = "#!/bin/sh\nread -r secret <{file}\necho $secret\n"
    for name, secret in (("of-kafka", OF_KAFKA), ("and-fail", OF_A_FAILURE)):
        file = write(secrets / name, secret + "\n")
        write(secrets / f"print-secret-{name}", speak.format(file=file), 0o700)
    with (secrets / "print-secret-and-fail").open("a") as program:
        program.write("echo $secret >&2\nexit 9\n")
    certificates = tmp_path / "certificates"
    certificates.mkdir()
    SecureKafka(certificates)
    books, programs = tmp_path / "playbooks", tmp_path / "bin"
    books.mkdir()
    programs.mkdir()
    write(programs / "ansible-playbook", ANSIBLE.format(python=sys.executable), 0o755)
    with echo() as url:
        write(books / "planted.yaml", PLAYBOOK.format(hosts=tmp_path / "hosts", url=url))
        write(books / "site.yml", "[]\n")
        rows = "".join(
            f"      - {{broker: {node}, address: {host.address}, sshPort: {host.port}}}\n"
            for node, host in hosts.items()
        )
        fleet = FLEET.format(
            bootstrap=kafka.clusters[0].bootstrap,
            keys=hosts[1].folder,
            folder=secrets,
            certificates=certificates,
            hosts=rows,
        )
        monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        (tmp_path / "temporary").mkdir()
        monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
        monkeypatch.setenv("PLANTED", BY_ENVIRONMENT)
        monkeypatch.setenv("PLANTED_BEARER", BY_BEARER)
        made = DaemonProcess(
            write(tmp_path / "fleet.yaml", fleet),
            tmp_path,
            interval_seconds=1,
            collect_deadline_seconds=5,
            playbook_dir=str(books),
            wave_secret_dir=str(secrets),
            log_level="debug",
        )
        try:
            yield made.start()
        finally:
            made.kill()


WAVE: Mapping[str, Any] = {
    "apiVersion": "healthd/v1",
    "kind": "Wave",
    "name": "planted",
    "reason": "to look for secrets",
    "playbook": "planted",
    "stages": [{"name": "all", "clusters": ["payments"], "brokers": [1, 2]}],
    "policy": {"soakSeconds": 0, "cleanSnapshots": 1, "cleanSeconds": 0, "maxFailedBrokers": 2},
}


def started(daemon: DaemonProcess, secrets: Path) -> str:
    """The id of the wave, whose file names one of the secrets."""
    wave = {**WAVE, "variables": {"byFile": {"file": str(secrets / "by-file")}}}
    try:
        return str(daemon.post("/api/v1/waves", wave)["wave"])
    except urllib.error.HTTPError as error:
        raise AssertionError(error_of(error)) from error


def everything_told(daemon: DaemonProcess, wave: str) -> Iterator[tuple[str, str]]:
    """Every page that the daemon has, with its content."""
    for path, methods in daemon.get("/openapi.json")["paths"].items():
        full = path.replace("{wave}", wave).replace("{cluster}", "payments")
        if "get" not in methods or "{" in full or full.endswith("/events"):
            continue
        try:
            yield full, json.dumps(daemon.get(full))
        except urllib.error.HTTPError as error:
            yield full, json.dumps(error_of(error))
    yield "/metrics", str(daemon.get("/metrics"))


def files_with_leaks(folder: Path, allowed: set[Path]) -> list[str]:
    return sorted(
        str(each.relative_to(folder))
        for each in folder.rglob("*")
        if each.is_file() and each not in allowed and leaks_in(each.read_bytes())
    )


def test_no_planted_secret_is_found_anywhere_but_where_it_belongs(
    daemon: DaemonProcess, tmp_path: Path
) -> None:
    peeping = Peeping(daemon.process_id, "print-secret")
    peeping.start()
    wave = started(daemon, tmp_path / "secrets")
    found = wait_for_wave(
        daemon, wave, lambda view: view["status"] in {"failed", "paused", "succeeded"}, seconds=120
    )
    time.sleep(1)  # What is written right after the end is looked at as well.
    peeping.stop()
    told = dict(everything_told(daemon, wave))
    commanded = json.dumps(daemon.get("/api/v1/clusters/commanded"))
    told["commanded"] = commanded
    daemon.stop()

    story = json.dumps(told)
    assert "exit code 4" in story, found
    for step in ("print them all", "fail with them", "let Ansible say it", "fail for good"):
        assert step in story
    targets = {tmp_path / "hosts" / f"127.0.43.{node}" / "target" for node in NODES}
    for target in targets:
        content = target.read_text()
        assert all(secret in content for secret in PLANTED if secret not in OF_CLUSTERS)
        assert target.stat().st_mode & 0o777 == 0o600
        assert list((target.parent / "home" / ".healthd").iterdir())

    assert "commanded: schemaRegistry.passwordCommand: the program" in commanded
    assert "ended with 9" in commanded
    assert sorted(path for path, content in told.items() if leaks_in(content.encode())) == []
    sources = {
        tmp_path / "secrets" / name
        for name in ("by-file", "by-stdin", "many-lines", "value", "of-kafka", "and-fail")
    }
    sources |= {tmp_path / "certificates" / name for name in ("password", "key-password")}
    assert files_with_leaks(tmp_path, targets | sources) == []
    assert peeping.looks > 10
    assert sorted(peeping.found) == []
    assert list((tmp_path / "temporary").iterdir()) == []
