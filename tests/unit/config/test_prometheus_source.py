"""`prometheus` of the fleet file: servers, and which clusters are read from them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from healthd.config.fleet import ClusterConfig
from healthd.config.fleet_file import check_fleet, load_fleet
from healthd.config.secrets import SecretRef
from healthd.config.source_prometheus import PrometheusServer
from healthd.config.source_rest import RestConfig

WriteFile = Callable[..., Path]

HOSTS = "hosts: [{broker: 1, address: b1}, {broker: 2, address: b2, exporter: 'x:9404'}]"
SERVER = "{name: main, url: 'http://127.0.0.1:9090'}"


def fleet(servers: str, *cluster: str) -> str:
    lines = "\n".join(f"    {line}" for line in cluster)
    return (
        "apiVersion: healthd/v1\nkind: Fleet\n"
        f"prometheus: [{servers}]\n"
        f"clusters:\n  - name: payments\n    bootstrapServers: ['b1:9092']\n{lines}\n"
    )


def loaded(write: WriteFile, servers: str, *cluster: str) -> ClusterConfig:
    (only,) = load_fleet(write("fleet.yaml", fleet(servers, *cluster))).clusters
    return only


def problems(write: WriteFile, servers: str, *cluster: str) -> list[str]:
    found = check_fleet(write("fleet.yaml", fleet(servers, *cluster)))
    return [f"{one.path}: {one.message} -> {one.action}" for one in found]


def test_a_server_is_read_with_its_credentials(write: WriteFile, tmp_path: Path) -> None:
    write("token", "secret-token")
    write("ca.pem", "")
    only = loaded(
        write,
        "{name: main, url: 'https://prom.example.net/prometheus/', bearerTokenFile: token, "
        "caFile: ca.pem, timeoutSeconds: 5}",
        "prometheus: {server: main, matchers: {kafka_cluster: payments}, nodeLabel: broker_id}",
    )
    assert only.prometheus is not None
    assert only.prometheus.server == PrometheusServer(
        name="main",
        rest=RestConfig(urls=("https://prom.example.net/prometheus",), ca_file=tmp_path / "ca.pem"),
        bearer_token=SecretRef(file=tmp_path / "token"),
        timeout_seconds=5,
    )
    assert only.prometheus.matchers == {"kafka_cluster": "payments"}
    assert only.prometheus.node_label == "broker_id"
    assert "secret-token" not in repr(only)


def test_metrics_are_configured_and_nothing_is_scraped(write: WriteFile) -> None:
    only = loaded(write, SERVER, "exporter: {port: 7071}", HOSTS, "prometheus: {server: main}")
    assert only.has_metrics
    assert only.exporter_urls == {}
    assert [host.exporter for host in only.hosts] == ["b1:7071", "x:9404"]


def test_a_server_that_changes_changes_its_clusters(write: WriteFile) -> None:
    before = loaded(write, SERVER, HOSTS, "prometheus: {server: main}")
    moved = SERVER.replace("9090", "9091")
    assert loaded(write, moved, HOSTS, "prometheus: {server: main}") != before


@pytest.mark.parametrize(
    ("servers", "cluster", "problem"),
    [
        pytest.param(
            SERVER,
            [HOSTS, "prometheus: {server: mian}"],
            "clusters[0].prometheus.server: there is no Prometheus server mian; the fleet has: "
            "main -> add it to prometheus at the top of the file, or correct the name",
            id="unknown-server",
        ),
        pytest.param(
            f"{SERVER}, {SERVER}",
            [HOSTS, "prometheus: {server: main}"],
            "prometheus[1].name: duplicate Prometheus server main "
            "-> rename or remove one of the two",
            id="two-of-one-name",
        ),
        pytest.param(
            SERVER,
            ["prometheus: {server: main, matchers: {job: kafka}}"],
            "clusters[0].prometheus: cannot tell whose pages are whose -> write nodeLabel, "
            "or the exporter of each host: host:port is the label instance",
            id="no-addresses",
        ),
        pytest.param(
            SERVER,
            ["prometheus: {server: main, nodeLabel: broker_id}"],
            "clusters[0].prometheus.nodeLabel: needs matchers: node ids are those of one cluster "
            "only -> add matchers: {LABEL: VALUE}",
            id="label-without-matchers",
        ),
        pytest.param(
            SERVER,
            [HOSTS, "prometheus: {server: main, matchers: {a: b}, nodeLabel: broker_id}"],
            "clusters[0].hosts[1].exporter: is not used with prometheus.nodeLabel: nothing is "
            "scraped -> remove it",
            id="label-and-address",
        ),
        pytest.param(
            SERVER,
            ["exporter: {port: 1, path: /m}", HOSTS, "prometheus: {server: main}"],
            "clusters[0].exporter.path: is not used with prometheus: nothing is scraped "
            "-> remove it",
            id="path",
        ),
        pytest.param(
            SERVER,
            [HOSTS, "prometheus: {server: main, matchers: {'a-b': c}}"],
            (
                "clusters[0].prometheus.matchers: names what is no label of Prometheus -> write "
                "letters, digits and underscores, such as kafka_cluster"
            ),
            id="no-label",
        ),
        pytest.param(
            "{name: main, url: 'http://prom:9090', bearerTokenEnv: TOKEN}",
            [HOSTS, "prometheus: {server: main}"],
            "prometheus[0].url: would send the token in clear -> write https",
            id="token-in-clear",
        ),
        pytest.param(
            "{name: main, url: 'https://p', username: u, passwordEnv: P, bearerTokenEnv: T}",
            [HOSTS, "prometheus: {server: main}"],
            "prometheus[0].bearerTokenEnv: cannot be used together with username "
            "-> keep one of them",
            id="two-ways-to-log-in",
        ),
        pytest.param(
            "{name: main, url: 'https://p', bearerTokenFile: a, bearerTokenEnv: T}",
            [HOSTS, "prometheus: {server: main}"],
            "prometheus[0].bearerTokenEnv: bearerTokenFile and bearerTokenEnv are both given "
            "-> keep one of them",
            id="token-twice",
        ),
        pytest.param(
            "{name: main, url: 'https://me:secret@p'}",
            [HOSTS, "prometheus: {server: main}"],
            "prometheus[0].url: has a user or a password in it; it is not shown here "
            "-> write username and passwordFile, passwordEnv or passwordCommand beside it",
            id="password-in-the-url",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(
    write: WriteFile, servers: str, cluster: list[str], problem: str
) -> None:
    assert problem in problems(write, servers, *cluster)


def test_a_token_in_clear_is_refused_and_not_shown(write: WriteFile) -> None:
    (found,) = check_fleet(
        write("f.yaml", fleet("{name: a, url: 'https://p', bearerToken: hunter2}", HOSTS))
    )
    assert found.path == "prometheus[0].bearerToken"
    assert "hunter2" not in str(found)
