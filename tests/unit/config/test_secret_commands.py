"""Secrets of the fleet file that a program prints: where one may stand, and how it may fail."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from healthd.config.fleet import ClusterConfig
from healthd.config.fleet_file import check_fleet, load_fleet
from healthd.config.problems import ConfigError
from healthd.config.secret_fields import programs_in
from healthd.config.secret_programs import KEPT_SECONDS, ProgramError, SecretPrograms
from healthd.config.secrets import SecretRef

WriteFile = Callable[..., Path]

FLEET = """\
apiVersion: healthd/v1
kind: Fleet
prometheus:
  - {{name: eu, url: "https://p.example.net", bearerTokenCommand: [{program}, prometheus]}}
clusters:
  - name: payments
    bootstrapServers: ["b1:9092"]
    security:
      protocol: SASL_SSL
      certFile: cert.pem
      keyFile: key
      keyPasswordCommand: [{program}, key]
      saslMechanism: PLAIN
      username: healthd
      passwordCommand: [{program}, password]
    ssh:
      user: ops
      keyFile: key
      keyPasswordCommand: [{program}, ssh]
      knownHostsFile: known
      bastion: {{address: jump, keyFile: key, keyPasswordCommand: [{program}, bastion]}}
    hosts: [{{broker: 1, address: b1}}]
    prometheus: {{server: eu, matchers: {{cluster: payments}}, nodeLabel: broker}}
    connect:
      - {{name: etl, urls: ["https://c1:1"], username: u, passwordCommand: [{program}, connect]}}
    schemaRegistry: {{urls: ["https://r1:1"], username: u, passwordCommand: [{program}, registry]}}
    alerts:
      alertmanager: {{url: "https://a", bearerTokenCommand: [{program}, alertmanager]}}
      prometheus: {{url: "https://q", username: u, passwordCommand: [{program}, alerts]}}
    cruiseControl: {{url: "https://c", username: u, passwordCommand: [{program}, cruise]}}
  - name: tokens
    bootstrapServers: ["t1:9092"]
    security:
      protocol: SASL_SSL
      saslMechanism: OAUTHBEARER
      oauth:
        tokenEndpointUrl: https://login.example.net/token
        clientId: healthd
        clientSecretCommand: [{program}, oauth]
"""
PLACES = {
    "cluster payments: security.passwordCommand": "password",
    "cluster payments: security.keyPasswordCommand": "key",
    "cluster payments: ssh.keyPasswordCommand": "ssh",
    "cluster payments: ssh.bastion.keyPasswordCommand": "bastion",
    "cluster payments: connect[0].passwordCommand": "connect",
    "cluster payments: schemaRegistry.passwordCommand": "registry",
    "cluster payments: alerts.alertmanager.bearerTokenCommand": "alertmanager",
    "cluster payments: alerts.prometheus.passwordCommand": "alerts",
    "cluster payments: cruiseControl.passwordCommand": "cruise",
    "prometheus eu.bearerTokenCommand": "prometheus",
    "cluster tokens: security.oauth.clientSecretCommand": "oauth",
}


@pytest.fixture
def program(write: WriteFile) -> Callable[[str], str]:
    """Makes a program of some lines of shell, and gives its path."""

    def make(text: str, name: str = "program") -> str:
        return str(write(name, f"#!/bin/sh\n{text}\n", mode=0o700))

    return make


def fleet(write: WriteFile, program: str) -> Path:
    write("cert.pem", "x")
    write("key", "x")
    return write("fleet.yaml", FLEET.format(program=program))


def test_every_secret_of_the_fleet_file_may_be_printed_by_a_program(
    write: WriteFile, program: Callable[[str], str]
) -> None:
    loaded = load_fleet(fleet(write, program('echo "the $1 hunter2"')))
    found = {each.place: each for config in loaded.clusters for each in programs_in(config)}
    assert {place: each.read() for place, each in found.items()} == {
        place: f"the {name} hunter2" for place, name in PLACES.items()
    }
    assert "hunter2" not in repr(loaded)


def test_check_config_runs_no_program(
    write: WriteFile, program: Callable[[str], str], tmp_path: Path
) -> None:
    file = fleet(write, program(f"touch {tmp_path}/was-run"))
    assert check_fleet(file) == []
    assert check_fleet(fleet(write, "/nowhere/at/all")) == []
    assert not (tmp_path / "was-run").exists()


def test_a_failure_is_one_line_with_cluster_key_and_what_the_program_did(
    write: WriteFile, program: Callable[[str], str]
) -> None:
    path = program("echo hunter2; echo hunter2 >&2; exit 3")
    loaded = load_fleet(fleet(write, path))
    for reference in (each for config in loaded.clusters for each in programs_in(config)):
        with pytest.raises(ConfigError) as caught:
            reference.read()
        assert str(caught.value) == (
            f"{reference.place}: the program {path} ended with 3 "
            "-> run it as healthd's user: it has to print the secret and end with 0"
        )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("echo hunter2 hunter2 >&2; echo hunter2; exit 1", "ended with 1"),
        ("echo hunter2; kill -9 $$", "was ended by signal 9"),
        ("echo hunter2 >&2", "printed nothing"),
        ("printf 'hunter2 \\377'", "printed what is not UTF-8 text"),
        ("yes hunter2", "printed more than 100000 characters"),
        ("echo hunter2; exec sleep 60", "printed no secret within 0.5 s"),
        ("echo hunter2; exec >&-; exec sleep 60", "printed no secret within 0.5 s"),
        ("echo hunter2; sleep 60 & wait", "printed no secret within 0.5 s"),
    ],
)
def test_whatever_a_program_does_nothing_that_it_says_is_told(
    text: str, words: str, program: Callable[[str], str]
) -> None:
    path = program(text)
    reference = SecretRef(
        command=(path, "hunter2"), place="cluster a: security.passwordCommand", timeout_seconds=0.5
    )
    with pytest.raises(ConfigError) as caught:
        reference.read()
    (problem,) = caught.value.problems
    assert (problem.file, problem.message) == (reference.place, f"the program {path} {words}")
    shown: BaseException | None = caught.value
    while shown is not None:
        assert "hunter2" not in f"{shown}{shown!r}{getattr(shown, '__notes__', '')}"
        shown = shown.__cause__


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("/nowhere/at/all",), "/nowhere/at/all cannot be run: No such file or directory"),
        (("/etc/passwd",), "/etc/passwd cannot be run: Permission denied"),
        (("a\0b",), "(unprintable) cannot be run: no program can have such a name"),
        (("a\nb",), "(unprintable) cannot be run: No such file or directory"),
    ],
)
def test_a_program_that_cannot_be_run_is_told_in_one_line(
    argv: tuple[str, ...], words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        SecretRef(command=argv, place="here").read()
    assert str(caught.value) == (
        f"here: the program {words} -> install it for healthd's user, or correct its name"
    )


def test_a_program_that_takes_too_long_is_ended_with_all_that_it_has_started(
    program: Callable[[str], str], tmp_path: Path
) -> None:
    path = program(f"mkfifo {tmp_path}/pipe\n(exec sleep 60 >{tmp_path}/pipe) &\nwait")
    held = threading.Event()

    def wait_for_its_end() -> None:
        while not (tmp_path / "pipe").exists():
            time.sleep(0.01)
        # Ends when nobody holds the other side any more.
        (tmp_path / "pipe").read_bytes()
        held.set()

    threading.Thread(target=wait_for_its_end, daemon=True).start()
    with pytest.raises(ConfigError, match=r"within 0\.5 s"):
        SecretRef(command=(path,), timeout_seconds=0.5).read()
    assert held.wait(10)


def test_a_program_that_may_not_be_ended_hangs_nobody_and_is_not_run_twice(
    program: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killpg(_group: int, _signal: int) -> None:
        raise PermissionError  # What the kernel says to anybody but root of what sudo runs.

    monkeypatch.setattr("healthd.config.secret_programs.os.killpg", killpg)
    programs = SecretPrograms()
    wait = f"[ -e {tmp_path}/go ] || exec sleep 300"
    argv = (program(f"echo $$ >>{tmp_path}/runs\n{wait}\necho secret"),)
    with pytest.raises(ProgramError) as first:
        programs.printed(argv, 0.5)
    (number,) = map(int, (tmp_path / "runs").read_text().split())
    try:
        assert str(first.value) == "did not end in time, and cannot be ended by healthd's user"
        assert first.value.action == f"end process {number} as root, and find out why it hangs"
        with pytest.raises(ProgramError, match="still runs, and cannot"):
            programs.printed(argv, 0.5)
        assert (tmp_path / "runs").read_text() == f"{number}\n"
    finally:
        os.kill(number, signal.SIGKILL)
    (tmp_path / "go").touch()
    os.waitid(os.P_PID, number, os.WEXITED | os.WNOWAIT)
    assert programs.printed(argv, 10) == "secret"


def test_no_shell_reads_the_words(program: Callable[[str], str], tmp_path: Path) -> None:
    path = program('printf "%s" "$2"')
    words = f"$(touch {tmp_path}/was-run); * `id`"
    assert SecretRef(command=(path, "", words)).read() == words
    assert not (tmp_path / "was-run").exists()


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def counted(program: Callable[[str], str], folder: Path, more: str = "") -> str:
    return program(f"echo run >>{folder}/runs\necho secret-$(wc -l <{folder}/runs)\n{more}")


def test_what_was_printed_serves_for_some_seconds_and_then_the_program_is_run_again(
    program: Callable[[str], str], tmp_path: Path
) -> None:
    clock = Clock()
    programs = SecretPrograms(monotonic=clock)
    argv = (counted(program, tmp_path),)
    assert programs.printed(argv, 10) == programs.printed(argv, 10) == "secret-1"
    clock.now += KEPT_SECONDS
    assert programs.printed(argv, 10) == "secret-2"
    assert programs.printed((*argv, "another"), 10) == "secret-3"


def test_a_failure_is_not_kept(program: Callable[[str], str], tmp_path: Path) -> None:
    programs = SecretPrograms(monotonic=Clock())
    argv = (counted(program, tmp_path, "exit 1"),)
    for _ in range(2):
        with pytest.raises(ProgramError):
            programs.printed(argv, 10)
    assert (tmp_path / "runs").read_text() == "run\nrun\n"


@pytest.mark.parametrize(("ends", "wanted"), [(0, "secret-1"), (7, "ended with 7")])
def test_all_who_ask_while_it_runs_share_one_run(
    ends: int, wanted: str, program: Callable[[str], str], tmp_path: Path
) -> None:
    asked = threading.Semaphore(0)

    def clock() -> float:
        # Whoever asks looks at it once, and has joined the run before anybody else can.
        asked.release()
        return 0.0

    programs = SecretPrograms(monotonic=clock)
    more = f"while [ ! -e {tmp_path}/go ]; do sleep 0.02; done; exit {ends}"
    argv = (counted(program, tmp_path, more),)
    told: list[str] = []

    def ask() -> None:
        try:
            told.append(programs.printed(argv, 30))
        except ProgramError as error:
            told.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert asked.acquire(timeout=20)
    (tmp_path / "go").touch()
    for thread in threads:
        thread.join()
    assert told == [wanted] * 5
    assert (tmp_path / "runs").read_text() == "run\n"


def cluster(write: WriteFile, **keys: str) -> list[str]:
    lines = "".join(f"    {key}: {value}\n" for key, value in keys.items())
    head = "apiVersion: healthd/v1\nkind: Fleet\nclusters:\n  - name: a\n"
    lines = '    bootstrapServers: ["b:1"]\n' + lines
    file = write("fleet.yaml", head + lines)
    return [f"{found.path}: {found.message} -> {found.action}" for found in check_fleet(file)]


LOGIN = "protocol: SASL_SSL, saslMechanism: PLAIN, username: u"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("[]", ": is empty -> give it at least one value"),
        (
            "vault kv get hunter2",
            ": must be a list, not text -> write - ITEM lines, or [ITEM, ITEM]",
        ),
        ("{a: hunter2}", ": must be a list, not a mapping -> write - ITEM lines, or [ITEM, ITEM]"),
        ("[vault, '']", "[1]: is empty -> write a value or remove the key"),
        ("[vault, 7]", "[1]: must be text, not a whole number -> put it in quotes"),
        ("[vault, [hunter2]]", "[1]: must be text, not a list -> put it in quotes"),
    ],
)
def test_a_command_of_the_wrong_form_is_named_and_not_shown(
    given: str, wanted: str, write: WriteFile
) -> None:
    found = cluster(write, security=f"{{{LOGIN}, passwordCommand: {given}}}")
    assert found == [f"clusters[0].security.passwordCommand{wanted}"]


BOTH = "are both given -> keep one of them"


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        (
            {"security": f"{{{LOGIN}, passwordEnv: P, passwordCommand: [p]}}"},
            f"security.passwordCommand: passwordEnv and passwordCommand {BOTH}",
        ),
        (
            {
                "security": "{protocol: SASL_SSL, saslMechanism: OAUTHBEARER, oauth: "
                "{tokenEndpointUrl: 'https://l/t', clientId: h, clientSecretEnv: S, "
                "clientSecretCommand: [p]}}"
            },
            "security.oauth.clientSecretCommand: clientSecretEnv and clientSecretCommand " + BOTH,
        ),
        (
            {
                "connect": "[{name: c, urls: ['https://c'], username: u, passwordEnv: P, "
                "passwordCommand: [p]}]"
            },
            f"connect[0].passwordCommand: passwordEnv and passwordCommand {BOTH}",
        ),
        (
            {"schemaRegistry": "{urls: ['https://r'], keyPasswordEnv: P, keyPasswordCommand: [p]}"},
            f"schemaRegistry.keyPasswordCommand: keyPasswordEnv and keyPasswordCommand {BOTH}",
        ),
        (
            {"cruiseControl": "{url: 'https://c', bearerTokenEnv: P, bearerTokenCommand: [p]}"},
            f"cruiseControl.bearerTokenCommand: bearerTokenEnv and bearerTokenCommand {BOTH}",
        ),
        (
            {"security": "{protocol: SSL, passwordCommand: [p]}"},
            (
                "security.passwordCommand: is not used with protocol SSL -> "
                "set protocol: SASL_SSL, or remove passwordCommand"
            ),
        ),
        (
            {"cruiseControl": "{url: 'https://c', username: u, bearerTokenCommand: [p]}"},
            (
                "cruiseControl.bearerTokenCommand: cannot be used together with username -> "
                "keep one of them"
            ),
        ),
        (
            {"security": f"{{{LOGIN}}}"},
            (
                "security.passwordFile: no password -> add passwordFile: PATH, passwordEnv: NAME "
                "or passwordCommand: [PROGRAM, ARGUMENT]"
            ),
        ),
        (
            {
                "ssh": "{user: u, agent: true, knownHostsFile: k, keyPasswordCommand: [p]}",
                "hosts": "[{broker: 1, address: h}]",
            },
            "ssh.keyPasswordCommand: is of no use without keyFile -> add keyFile: PATH",
        ),
    ],
)
def test_a_command_where_it_does_not_fit_is_named(
    keys: dict[str, str], wanted: str, write: WriteFile
) -> None:
    assert f"clusters[0].{wanted}" in cluster(write, **keys)


def test_where_a_secret_is_named_changes_nothing_of_what_a_plan_pins(
    write: WriteFile, program: Callable[[str], str]
) -> None:
    payments = load_fleet(fleet(write, program("echo x"))).clusters[0]
    renamed: Any = FLEET.format(program=program("echo x")).replace("name: payments", "name: orders")
    orders: ClusterConfig = load_fleet(write("fleet.yaml", renamed)).clusters[0]
    assert payments.inventory_digest() == orders.inventory_digest()
    assert payments.ssh == orders.ssh
