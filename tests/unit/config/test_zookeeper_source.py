"""`zookeeper` of a cluster in the fleet file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from healthd.config.fleet import ClusterConfig
from healthd.config.fleet_file import check_fleet, load_fleet
from healthd.config.source_zookeeper import EnsembleHost, EnsembleService, ZookeeperConfig
from healthd.config.targets import driven
from healthd.waves.playbook import PlaybookTarget

WriteFile = Callable[..., Path]

SSH = "    ssh: {user: healthd, keyFile: key, knownHostsFile: known_hosts}\n"
HOSTS = "hosts: [{server: 7, address: h7}, {server: 2, address: h2, sshPort: 2222}]"
SERVICE = "service: {stop: [zk, stop, '{server_id}'], start: [zk, '{host}'], status: [zk]}"
SERVERS = "servers: ['zk1:2181', '[2001:db8::1]:2181']"


def fleet(zookeeper: str) -> str:
    return (
        "apiVersion: healthd/v1\nkind: Fleet\nclusters:\n"
        "  - name: ledger\n    bootstrapServers: ['b1:9092']\n"
        f"    zookeeper: {{{zookeeper}}}\n{SSH if 'hosts' in zookeeper else ''}"
    )


def loaded(write: WriteFile, zookeeper: str) -> ClusterConfig:
    write("key", "").chmod(0o600)
    (only,) = load_fleet(write("fleet.yaml", fleet(zookeeper))).clusters
    return only


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param("", ZookeeperConfig(servers=("zk1:2181", "[2001:db8::1]:2181")), id="least"),
        pytest.param(
            ", chroot: /kafka/ledger, adminPort: 8080",
            ZookeeperConfig(
                servers=("zk1:2181", "[2001:db8::1]:2181"),
                chroot="/kafka/ledger",
                admin_urls=("http://zk1:8080/commands", "http://[2001:db8::1]:8080/commands"),
            ),
            id="AdminServer on a port",
        ),
        pytest.param(
            ", chroot: /, adminUrls: ['http://a:1/commands/', 'http://b:2/zk']",
            ZookeeperConfig(
                servers=("zk1:2181", "[2001:db8::1]:2181"),
                admin_urls=("http://a:1/commands", "http://b:2/zk"),
            ),
            id="AdminServers by address",
        ),
        pytest.param(
            f", {HOSTS}, {SERVICE}",
            ZookeeperConfig(
                servers=("zk1:2181", "[2001:db8::1]:2181"),
                hosts=(
                    EnsembleHost(server=7, address="h7"),
                    EnsembleHost(server=2, address="h2", ssh_port=2222),
                ),
                service=EnsembleService(
                    stop=("zk", "stop", "{server_id}"),
                    start=("zk", "{host}"),
                    status=("zk",),
                ),
            ),
            id="hosts",
        ),
    ],
)
def test_an_ensemble_is_read(write: WriteFile, written: str, expected: ZookeeperConfig) -> None:
    assert loaded(write, SERVERS + written).zookeeper == expected


@pytest.mark.parametrize(
    ("written", "path", "message", "action"),
    [
        ("servers: []", "servers", "is empty", "at least one"),
        ("servers: [zk1]", "servers[0]", "bad address", "port"),
        ("servers: ['zk1:2181/kafka']", "servers[0]", "has a chroot in it", "as chroot"),
        ("servers: ['zk1:2181', 'zk1:2181']", "", "names a server twice", "once"),
        (f"{SERVERS}, chroot: kafka", "chroot", "is no path", "zookeeper.connect"),
        (f"{SERVERS}, chroot: /kafka/", "chroot", "is no path", "zookeeper.connect"),
        (f"{SERVERS}, adminPort: 0", "adminPort", "at least 1", "range"),
        (f"{SERVERS}, adminUrls: ['https://a:1', 'http://b']", "adminUrls[0]", "TLS", "http://"),
        (f"{SERVERS}, adminUrls: ['http://u:p@a:1', 'http://b']", "adminUrls[0]", "no plain", "h"),
        (f"{SERVERS}, adminUrls: ['http://a:1']", "", "not as many adminUrls", "same order"),
        (
            f"{SERVERS}, adminPort: 1, adminUrls: ['http://a:1', 'http://b:1']",
            "", "adminPort and adminUrls", "one of the two",
        ),
        (f"{SERVERS}, hosts: [{{server: 1, address: h}}]", "", "not as many hosts", "same order"),
        (f"{SERVERS}, {HOSTS}", "", "has hosts without service", "add service"),
        (f"{SERVERS}, {SERVICE}", "", "has service without hosts", "add hosts"),
        (f"{SERVERS}, {HOSTS}, {SERVICE}".replace("7", "2"), "", "names a server of hosts", "myid"),
        (
            f"{SERVERS}, {HOSTS}, {SERVICE}".replace("server_id", "broker_id"),
            "service.stop[2]", "unknown placeholder", "use {server_id} or {host}; write {{",
        ),
        *(
            (f"{SERVERS}, {key}: {value}", key, "TLS or SASL is not built yet", "plain client")
            for key, value in [
                ("security", "{protocol: SSL}"),
                ("tls", "true"),
                ("sasl", "{mechanism: DIGEST-MD5}"),
                ("username", "healthd"),
                ("passwordFile", "secret"),
            ]
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place_and_what_to_do(
    write: WriteFile, written: str, path: str, message: str, action: str
) -> None:
    write("key", "").chmod(0o600)
    (problem,) = check_fleet(write("fleet.yaml", fleet(written)))
    assert problem.path == "clusters[0].zookeeper" + (f".{path}" if path else "")
    assert message in problem.message
    assert action in problem.action
    assert "u:p" not in problem.message + problem.action


def test_hosts_without_ssh_are_of_no_use(write: WriteFile) -> None:
    text = fleet(f"{SERVERS}, {HOSTS}, {SERVICE}").replace(SSH, "")
    (problem,) = check_fleet(write("fleet.yaml", text))
    assert problem.path == "clusters[0].zookeeper.hosts"
    assert problem.message == "are of no use without ssh"


def test_a_wave_over_the_ensemble_finds_its_hosts_by_the_ids_of_the_servers(
    write: WriteFile,
) -> None:
    config = driven(loaded(write, f"{SERVERS}, {HOSTS}, {SERVICE}"), PlaybookTarget.ZOOKEEPER)
    host = config.host(7)
    assert host is not None
    assert config.service is not None
    assert host.address == "h7"
    assert config.service.render("stop", broker_id=7, host="h7") == ("zk", "stop", "7")
    assert config.service.render("start", broker_id=7, host="h7") == ("zk", "h7")


def test_a_wave_over_brokers_has_nothing_of_the_ensemble(write: WriteFile) -> None:
    config = loaded(write, f"{SERVERS}, {HOSTS}, {SERVICE}")
    assert driven(config, PlaybookTarget.BROKER) is config
