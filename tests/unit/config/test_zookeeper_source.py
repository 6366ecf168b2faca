"""`zookeeper` of a cluster in the fleet file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from healthd.config.fleet_file import check_fleet, load_fleet
from healthd.config.source_zookeeper import ZookeeperConfig

WriteFile = Callable[..., Path]

SERVERS = "servers: ['zk1:2181', '[2001:db8::1]:2181']"


def fleet(zookeeper: str) -> str:
    return (
        "apiVersion: healthd/v1\nkind: Fleet\nclusters:\n"
        "  - name: ledger\n    bootstrapServers: ['b1:9092']\n"
        f"    zookeeper: {{{zookeeper}}}\n"
    )


def loaded(write: WriteFile, zookeeper: str) -> ZookeeperConfig | None:
    (only,) = load_fleet(write("fleet.yaml", fleet(zookeeper))).clusters
    return only.zookeeper


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
    ],
)
def test_an_ensemble_is_read(write: WriteFile, written: str, expected: ZookeeperConfig) -> None:
    assert loaded(write, SERVERS + written) == expected


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
    (problem,) = check_fleet(write("fleet.yaml", fleet(written)))
    assert problem.path == "clusters[0].zookeeper" + (f".{path}" if path else "")
    assert message in problem.message
    assert action in problem.action
    assert "u:p" not in problem.message + problem.action
