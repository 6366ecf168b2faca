"""The shipped playbooks for what is not a restart or an upgrade, by real waves on real brokers.

The other ones have tests of their own: os-patch, kafka-upgrade, jvm-upgrade and the ensemble's.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]
from cryptography.hazmat.primitives import hashes
from support.beside import Beside
from support.short_lived import CertificateAuthority
from support.waves_on_fleet import (
    QUICK,
    process_starts,
    status_of,
    wait_until_ended,
    wait_until_gate_clear,
)

from healthd.demo.daemon import DaemonProcess
from healthd.demo.fleet import DemoFleet
from healthd.demo.fleet_file import write_fleet_file
from healthd.demo.nodes import THREE

AGENT_PORT, REGISTRY_PORT, TLS_PORT = 18099, 18081, 19093
ONE = 2


def run_wave(
    daemon: DaemonProcess,
    cluster: str,
    playbook: str,
    brokers: list[int] | str,
    **variables: Any,
) -> dict[str, Any]:
    """A wave of a playbook, once it has ended."""
    request = {
        "apiVersion": "healthd/v1",
        "kind": "Wave",
        "name": playbook,
        "reason": "an acceptance test",
        "playbook": playbook,
        "variables": variables,
        "stages": [{"name": "all", "clusters": [cluster], "brokers": brokers}],
        "policy": QUICK,
    }
    wave = str(daemon.post("/api/v1/waves", request)["wave"])
    return wait_until_ended(daemon, wave)


def config_of(fleet: DemoFleet, broker: int, name: str) -> str | None:
    """What the broker itself says, apart from healthd."""
    client = AdminClient({"bootstrap.servers": fleet.bootstrap})
    resource = ConfigResource(ConfigResource.Type.BROKER, str(broker))
    (answer,) = client.describe_configs([resource]).values()
    found = answer.result(30).get(name)
    return None if found is None else str(found.value)


@pytest.mark.prove
@pytest.mark.timeout(300)
def test_an_agent_is_restarted_and_a_setting_is_made_while_the_broker_runs_on(
    daemon: DaemonProcess, fleet: DemoFleet
) -> None:
    before = process_starts(fleet, 4)
    agent = Beside.begin(fleet, 4, name="agent", port=AGENT_PORT, path="/metrics")
    try:
        old = agent.pid
        ended = run_wave(
            daemon, fleet.cluster, "agent-restart", [4],
            unit=str(agent.folder), serviceManager="sv", port=AGENT_PORT,
        )  # fmt: skip
        assert ended["status"] == "succeeded", ended
        assert agent.pid != old
        assert agent.answers()
    finally:
        agent.end()
    ended = run_wave(
        daemon, fleet.cluster, "config-change-dynamic", [4],
        setting="log.cleaner.backoff.ms", value="14000",
    )  # fmt: skip
    assert ended["status"] == "succeeded", ended
    assert config_of(fleet, 4, "log.cleaner.backoff.ms") == "14000"
    assert process_starts(fleet, 4) == before
    # As it was: others use the fleet after us.
    back = run_wave(
        daemon, fleet.cluster, "config-change-dynamic", [4],
        setting="log.cleaner.backoff.ms", value="15000",
    )  # fmt: skip
    assert back["status"] == "succeeded", back


# The whole of them, on three brokers of their own ---------------------------------------------


@pytest.fixture(scope="module")
def small() -> Iterator[DemoFleet]:
    """Three brokers, with no topic at first."""
    with DemoFleet.launch("small", shape=THREE) as fleet:
        yield fleet


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("tls"), name="small CA")


StartSmall = Callable[..., DaemonProcess]


@pytest.fixture
def start_small(small: DemoFleet, tmp_path: Path) -> Iterator[StartSmall]:
    """Starts daemons on the small fleet, whose hosts have these variables."""
    started: list[DaemonProcess] = []

    def start(variables: dict[int, dict[str, Any]] | None = None) -> DaemonProcess:
        entry = small.entry()
        for host in entry["hosts"]:
            host["variables"] = (variables or {}).get(host["broker"], {})
        write_fleet_file(tmp_path / "fleet.yaml", [entry])
        daemon = DaemonProcess(
            tmp_path / "fleet.yaml", tmp_path,
            interval_seconds=1, collect_deadline_seconds=8, kafka_timeout_seconds=2,
        )  # fmt: skip
        started.append(daemon)
        daemon.start()
        wait_until_gate_clear(daemon, small.cluster)
        return daemon

    yield start
    for each in started:
        each.kill()


@pytest.mark.prove
@pytest.mark.xdist_group("small-playbooks")
@pytest.mark.timeout(300)
def test_a_broker_may_go_only_when_nothing_lives_on_it(
    small: DemoFleet, start_small: StartSmall
) -> None:
    daemon = start_small()
    empty = run_wave(daemon, small.cluster, "decommission-check", [3])
    assert empty["status"] == "succeeded", empty
    small.create_topics({"orders": 6})
    wait_until_gate_clear(daemon, small.cluster)
    used = run_wave(daemon, small.cluster, "decommission-check", [3])
    assert used["status"] in {"failed", "paused"}, used
    assert status_of(used, 3) == "failed"


@pytest.mark.prove
@pytest.mark.xdist_group("small-playbooks")
@pytest.mark.timeout(300)
def test_a_registry_beside_each_broker_is_restarted_one_after_the_other(
    small: DemoFleet, start_small: StartSmall
) -> None:
    services = {
        node.id: Beside.begin(small, node.id, name="registry", port=REGISTRY_PORT, path="/subjects")
        for node in small.nodes
    }
    before = {id_: service.pid for id_, service in services.items()}
    daemon = start_small({id_: {"unit": str(each.folder)} for id_, each in services.items()})
    try:
        ended = run_wave(
            daemon, small.cluster, "schema-registry", "all",
            serviceManager="sv", port=REGISTRY_PORT,
        )  # fmt: skip
        assert ended["status"] == "succeeded", ended
        assert all(service.pid != before[id_] for id_, service in services.items())
    finally:
        for service in services.values():
            service.end()


@dataclass(frozen=True, slots=True, kw_only=True)
class Keystore:
    """Key and chain in one file, for its owner alone."""

    file: Path
    fingerprint: str
    key: str

    @classmethod
    def issued(cls, authority: CertificateAuthority, path: Path) -> Keystore:
        # Of one name: a broker takes no other one's certificate.
        issued = authority.issue("broker")
        key = issued.key_file.read_text()
        path.write_text(key + issued.chain_file.read_text())
        path.chmod(0o600)
        digest = issued.certificate.fingerprint(hashes.SHA256()).hex()
        return cls(file=path, fingerprint=digest, key=key)


def served_by(fleet: DemoFleet, broker: int) -> str:
    """The fingerprint of what the broker's TLS port serves to a client, apart from healthd."""
    pem = ssl.get_server_certificate((fleet.node(broker).host, TLS_PORT), timeout=10)
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


@pytest.mark.prove
@pytest.mark.xdist_group("small-playbooks")
@pytest.mark.timeout(600)
def test_a_listener_is_added_with_a_restart_and_its_certificate_rotated_without(
    small: DemoFleet, start_small: StartSmall, authority: CertificateAuthority, tmp_path: Path
) -> None:
    node = small.node(ONE)
    live = node.folder / "keystore.pem"
    first = Keystore.issued(authority, live)
    second = Keystore.issued(authority, tmp_path / "second.pem")
    daemon = start_small(
        {
            ONE: {
                "configFile": str(node.properties_file),
                "keystore": {"file": str(second.file)},
                "fingerprint": second.fingerprint,
            }
        }
    )
    text = node.properties_file.read_text()
    was = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and line[0] != "#")
    tls = f"TLS://{node.host}:{TLS_PORT}"
    settings = [
        f"listeners={was['listeners']},{tls}",
        f"advertised.listeners={was['advertised.listeners']},{tls}",
        f"listener.security.protocol.map={was['listener.security.protocol.map']},TLS:SSL",
        "listener.name.tls.ssl.keystore.type=PEM",
        f"listener.name.tls.ssl.keystore.location={live}",
        "num.io.threads=5",
    ]
    starts = process_starts(small, ONE)
    changed = run_wave(
        daemon, small.cluster, "config-change", [ONE],
        settings="\n".join(settings), proof="num.io.threads", proofValue="5",
    )  # fmt: skip
    assert changed["status"] == "succeeded", changed
    assert process_starts(small, ONE) == starts + 1
    assert config_of(small, ONE, "num.io.threads") == "5"
    assert node.properties_file.with_name("server.properties.healthd-bak").read_text() == text
    assert served_by(small, ONE) == first.fingerprint

    wait_until_gate_clear(daemon, small.cluster)
    rotated = run_wave(
        daemon, small.cluster, "certificate-rotation", [ONE],
        keystoreFile=str(live), owner="root", listener="tls", tlsPort=TLS_PORT,
    )  # fmt: skip
    assert rotated["status"] == "succeeded", rotated
    assert served_by(small, ONE) == second.fingerprint
    assert process_starts(small, ONE) == starts + 1
    assert live.stat().st_mode & 0o777 == 0o600
    secret = second.key.splitlines()[1]
    seen = daemon.log_file.read_text() + str(daemon.get(f"/api/v1/waves/{rotated['wave']}/journal"))
    assert secret not in seen
