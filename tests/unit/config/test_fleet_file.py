"""A fleet file: what it becomes, and each mistake with its line, column and remedy."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from healthd.config.fleet import (
    ClusterConfig,
    ExporterConfig,
    Fleet,
    HostConfig,
    SecurityConfig,
    ServiceCommands,
)
from healthd.config.fleet_file import check_fleet, load_fleet, parse_fleet
from healthd.config.fleet_schema import ClusterModel, FleetModel
from healthd.config.problems import ConfigError
from healthd.config.secrets import SecretRef
from healthd.config.ssh_access import SshConfig
from healthd.config.yaml_source import parse_document
from healthd.waves.policy import WavePolicy

WriteFile = Callable[..., Path]
HEAD = "apiVersion: healthd/v1\nkind: Fleet\nclusters:\n"

FULL = """\
apiVersion: healthd/v1
kind: Fleet
canary: ["127.0.0.1:53"]
clusters:
  - name: payments
    labels: {env: demo, tier: "1"}
    bootstrapServers: ["127.44.1.1:9092", "[::1]:9092"]
    security:
      protocol: SASL_SSL
      caFile: ca.pem
      certFile: cert.pem
      keyFile: key.pem
      keyPasswordEnv: KEY_PASSWORD
      saslMechanism: SCRAM-SHA-256
      username: healthd
      passwordFile: password
    exporter: {port: 7071, path: /m}
    ssh: {user: root, port: 2222, keyFile: id, knownHostsFile: known, connectTimeoutSeconds: 5}
    service:
      stop: [sv, -w, "600", stop, "kafka-{broker_id}"]
      start: [sv, start, "{host}"]
      status: [sv, status, "{{x}}"]
    tolerate: rack
    hosts:
      - {broker: 1, address: 127.44.1.1, rack: az1}
      - {broker: 2, address: "::1", sshPort: 2022, exporter: "127.44.1.9:7072", labels: {disk: ssd}}
    wave: {policy: {soakSeconds: 30}}
"""


def problems_of(write: WriteFile, text: str) -> list[str]:
    """The problems without the file's folder, as `line:column: path: message -> action`."""
    file = write("fleet.yaml", text)
    return [str(p).removeprefix(f"{file}:") for p in check_fleet(file)]


def cluster(*lines: str) -> str:
    """A fleet of one good cluster `a` with these lines added; they begin at line 6."""
    body = ["  - name: a", '    bootstrapServers: ["b1:9092"]', *(f"    {line}" for line in lines)]
    return HEAD + "\n".join(body) + "\n"


def test_a_full_file_becomes_frozen_values_with_absolute_paths(
    write: WriteFile, tmp_path: Path
) -> None:
    for name in ("ca.pem", "cert.pem", "key.pem", "password", "id"):
        write(name, "x")
    fleet = load_fleet(write("fleet.yaml", FULL))
    assert fleet == Fleet(
        canary=("127.0.0.1:53",),
        clusters=(
            ClusterConfig(
                name="payments",
                labels={"env": "demo", "tier": "1"},
                bootstrap_servers=("127.44.1.1:9092", "[::1]:9092"),
                security=SecurityConfig(
                    protocol="SASL_SSL",
                    ca_file=tmp_path / "ca.pem",
                    cert_file=tmp_path / "cert.pem",
                    key_file=tmp_path / "key.pem",
                    key_password=SecretRef(env="KEY_PASSWORD"),
                    sasl_mechanism="SCRAM-SHA-256",
                    username="healthd",
                    password=SecretRef(file=tmp_path / "password"),
                ),
                exporter=ExporterConfig(port=7071, path="/m"),
                ssh=SshConfig(
                    user="root",
                    port=2222,
                    key_file=tmp_path / "id",
                    known_hosts_file=tmp_path / "known",
                    connect_timeout_seconds=5.0,
                ),
                service=ServiceCommands(
                    stop=("sv", "-w", "600", "stop", "kafka-{broker_id}"),
                    start=("sv", "start", "{host}"),
                    status=("sv", "status", "{{x}}"),
                ),
                tolerate="rack",
                hosts=(
                    HostConfig(
                        broker=1, address="127.44.1.1", rack="az1", exporter="127.44.1.1:7071"
                    ),
                    HostConfig(
                        broker=2,
                        address="::1",
                        ssh_port=2022,
                        exporter="127.44.1.9:7072",
                        labels={"disk": "ssd"},
                    ),
                ),
                wave_policy=WavePolicy(soak_seconds=30.0),
            ),
        ),
    )


def test_the_least_cluster_is_a_name_and_a_server(write: WriteFile) -> None:
    (only,) = load_fleet(write("fleet.yaml", cluster())).clusters
    assert only == ClusterConfig(name="a", bootstrap_servers=("b1:9092",))
    assert not only.has_metrics
    assert only.ssh is None


def test_exporter_pages_are_named_by_node(write: WriteFile) -> None:
    text = cluster(
        "exporter: {port: 7071}",
        "hosts: [{broker: 1, address: '::1'}, {broker: 2, address: h, exporter: 'x:1'}]",
    )
    (only,) = load_fleet(write("fleet.yaml", text)).clusters
    assert only.exporter_urls == {1: "http://[::1]:7071/metrics", 2: "http://x:1/metrics"}


def test_service_commands_are_rendered_for_a_broker() -> None:
    service = ServiceCommands(stop=("sv", "k-{broker_id}@{host}", "{{x}}"), start=(), status=())
    assert service.render("stop", broker_id=7, host="h") == ("sv", "k-7@h", "{x}")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param(
            cluster("exportr: {port: 1}"),
            "6:5: clusters[0].exportr: unknown key; did you mean exporter? "
            "-> rename it to exporter",
            id="an unknown key of a cluster",
        ),
        pytest.param(
            cluster("security: {protocoll: SSL}"),
            "6:16: clusters[0].security.protocoll: unknown key; did you mean protocol? "
            "-> rename it to protocol",
            id="an unknown key deeper down",
        ),
        pytest.param(
            HEAD + "  - name: a\n    bootstrapServer: ['b1:9092']\n",
            "5:5: clusters[0].bootstrapServer: unknown key; did you mean bootstrapServers? "
            "-> rename it to bootstrapServers",
            id="a required key under a wrong name is one problem",
        ),
        pytest.param(
            "apiVersion: healthd/v1\nkind: Fleet\ncluster: []\nclusters: [{name: a, "
            "bootstrapServers: ['b:1']}]\n",
            "3:1: cluster: unknown key; did you mean clusters? -> rename it to clusters",
            id="an unknown key at the top",
        ),
        pytest.param(
            HEAD + "  - name: a\n",
            "4:5: clusters[0].bootstrapServers: bootstrapServers is missing "
            "-> add bootstrapServers",
            id="a missing key",
        ),
        pytest.param(
            cluster("tolerate: rack", "tolerate: rack"),
            "7:5: key tolerate is here twice; first at line 6, column 5 -> remove one of the two",
            id="a duplicate key",
        ),
        pytest.param(
            cluster() + "  - name: a\n    bootstrapServers: ['b2:9092']\n",
            "6:11: clusters[1].name: duplicate cluster a; first at line 4, column 11 "
            "-> rename or remove one of the two",
            id="a duplicate cluster",
        ),
        pytest.param(
            cluster() + "  - name: b\n    bootstrapServers: ['b1:9092']\n",
            "7:24: clusters[1].bootstrapServers[0]: b1:9092 is also a server of another cluster "
            "(line 5, column 24) -> list every server once",
            id="one server in two clusters",
        ),
        pytest.param(
            cluster("hosts:", "  - {broker: 1, address: x}", "  - {broker: 1, address: y}"),
            "8:18: clusters[0].hosts[1].broker: duplicate broker 1; first at line 7, column 18 "
            "-> rename or remove one of the two",
            id="a duplicate broker",
        ),
        pytest.param(
            HEAD + "  - {name: a, bootstrapServers: ['b1:9092', b2]}\n",
            "4:45: clusters[0].bootstrapServers[1]: bad address b2: has no port -> write host:port",
            id="a bad address",
        ),
        pytest.param(
            cluster("hosts: [{broker: 1, address: 'h:22'}]"),
            "6:34: clusters[0].hosts[0].address: bad address h:22: is not a host: it has a colon "
            "and is no IPv6 address -> write the host alone, without a port",
            id="a host with a port",
        ),
        pytest.param(
            "apiVersion: healthd/v1\nkind: Fleet\nclusters: []\n",
            "3:1: clusters: the fleet is empty: nothing to look after -> add a cluster",
            id="an empty fleet",
        ),
        pytest.param(
            "apiVersion: healthd/v1\nkind: Fleet\nclusters:\n",
            "3:1: clusters: the fleet is empty: nothing to look after -> add a cluster",
            id="clusters without a value",
        ),
        pytest.param(
            "apiVersion: healthd/v1\nkind: Fleet\n",
            "1:1: clusters: the fleet is empty: nothing to look after -> add a cluster",
            id="no clusters",
        ),
        pytest.param(
            cluster("labels: {tier: 1}"),
            "6:20: clusters[0].labels.tier: must be text, not a whole number -> put it in quotes",
            id="a number where text is wanted",
        ),
        pytest.param(
            cluster("hosts: [{broker: true, address: h}]"),
            "6:22: clusters[0].hosts[0].broker: must be a whole number, not a boolean "
            "-> write a plain whole number",
            id="a boolean where a number is wanted",
        ),
        pytest.param(
            cluster("hosts: [{broker: -1, address: h}]"),
            "6:22: clusters[0].hosts[0].broker: must be at least 0 -> choose a value in that range",
            id="a negative id",
        ),
        pytest.param(
            cluster("hosts: {}"),
            "6:12: clusters[0].hosts: must be a list, not a mapping "
            "-> write - ITEM lines, or [ITEM, ITEM]",
            id="a mapping where a list is wanted",
        ),
        pytest.param(
            HEAD + "  - text\n",
            "4:5: clusters[0]: must be a mapping, not text -> write KEY: VALUE lines",
            id="a cluster as text",
        ),
        pytest.param(
            cluster("security: {protocol: TLS}"),
            "6:26: clusters[0].security.protocol: must be PLAINTEXT, SSL, SASL_PLAINTEXT or "
            "SASL_SSL -> write one of these words",
            id="an unknown protocol",
        ),
        pytest.param(
            cluster("security: {caFile: /dev/null}"),
            "6:16: clusters[0].security.caFile: is not used with protocol PLAINTEXT "
            "-> set protocol: SSL, or remove caFile",
            id="TLS files without TLS",
        ),
        pytest.param(
            cluster("exporter: {port: 7071, path: metrics}"),
            "6:34: clusters[0].exporter.path: must begin with a slash -> write /metrics",
            id="an exporter path without slash",
        ),
        pytest.param(
            cluster(
                "wave: {policy: {windows: [{days: [], start: '01:00', end: '02:00',"
                " timezone: UTC}]}}"
            ),
            "6:31: clusters[0].wave.policy.windows[0]: can never be met: this window never opens "
            "-> give it a weekday, and an end that is not its start",
            id="a wave policy that can never be met",
        ),
        pytest.param(
            cluster("wave: {policy: {minHealthIndex: 101}}"),
            "6:37: clusters[0].wave.policy.minHealthIndex: can never be met: a Health Index is at "
            "most 100 -> use 100 or less",
            id="an index that no cluster reaches",
        ),
        pytest.param(
            cluster("wave: {policy: {cutoffSeconds: -1}}"),
            "6:36: clusters[0].wave.policy.cutoffSeconds: must be at least 0 "
            "-> choose a value in that range",
            id="a policy key out of its range",
        ),
    ],
)
def test_one_mistake_is_one_problem_with_place_and_remedy(
    write: WriteFile, text: str, wanted: str
) -> None:
    assert [p for p in problems_of(write, text) if "/dev/null" not in p] == [wanted]


@pytest.mark.parametrize("mechanism", ["GSSAPI", "AWS_MSK_IAM"])
def test_a_mechanism_that_is_not_built_yet_is_refused_by_name(
    write: WriteFile, mechanism: str
) -> None:
    line = (
        f"security: {{protocol: SASL_SSL, saslMechanism: {mechanism}, username: u, passwordEnv: P}}"
    )
    (problem,) = problems_of(write, cluster(line))
    assert f"saslMechanism: {mechanism} is not built yet" in problem


def test_sasl_needs_a_mechanism_a_user_and_a_password(write: WriteFile) -> None:
    found = problems_of(write, cluster("security: {protocol: SASL_SSL}"))
    assert [re.split(": ", problem)[1] for problem in found] == [
        "clusters[0].security.passwordFile",
        "clusters[0].security.saslMechanism",
        "clusters[0].security.username",
    ]


def test_a_certificate_needs_its_key(write: WriteFile) -> None:
    write("c.pem")
    (problem,) = problems_of(write, cluster("security: {protocol: SSL, certFile: c.pem}"))
    assert "certFile: needs keyFile" in problem


@pytest.mark.parametrize("part", ["{broker}", "{host!r}", "{host:>9}", "{}", "{0}", "${HOME}"])
def test_an_unknown_placeholder_in_a_command_is_refused(write: WriteFile, part: str) -> None:
    text = cluster(
        "ssh: {user: u, keyFile: id, knownHostsFile: known}",
        "hosts: [{broker: 1, address: h}]",
        f"service: {{stop: [sv, '{part}'], start: [sv], status: [sv]}}",
    )
    write("id")
    (problem,) = problems_of(write, text)
    assert "service.stop[1]: has an unknown placeholder" in problem


def test_commands_without_a_way_to_the_host_are_refused(write: WriteFile) -> None:
    text = cluster(
        "hosts: [{broker: 1, address: h}]", "service: {stop: [a], start: [a], status: [a]}"
    )
    (problem,) = problems_of(write, text)
    assert "service: is of no use without ssh" in problem


def test_several_mistakes_in_several_clusters_are_all_reported(write: WriteFile) -> None:
    text = HEAD + (
        "  - {name: a, bootstrapServers: [x], colour: red}\n"
        "  - {name: b, bootstrapServers: ['b:1'], hosts: [{broker: x, address: h}]}\n"
        "  - {name: a, bootstrapServers: ['c:1'], wave: {policy: {margin: -1}}}\n"
    )
    assert [problem.split(": ")[1] for problem in problems_of(write, text)] == [
        "clusters[0].bootstrapServers[0]",
        "clusters[0].colour",
        "clusters[1].hosts[0].broker",
        "clusters[2].name",
        "clusters[2].wave.policy.margin",
    ]


def test_a_file_that_cannot_be_opened_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nope\.yaml: cannot be opened: No such file"):
        load_fleet(tmp_path / "nope.yaml")


def test_the_inventory_digest_follows_hosts_and_commands_only() -> None:
    hosts = (HostConfig(broker=1, address="a"), HostConfig(broker=2, address="b"))
    one = ClusterConfig(name="a", bootstrap_servers=("b:1",), hosts=hosts)
    same = ClusterConfig(name="a", bootstrap_servers=("c:1",), hosts=hosts[::-1])
    other = ClusterConfig(name="a", bootstrap_servers=("b:1",), hosts=hosts[:1])
    assert one.inventory_digest() == same.inventory_digest()
    assert one.inventory_digest() != other.inventory_digest()
    moved = replace(one, hosts=(replace(hosts[0], ssh_port=2222), hosts[1]))
    assert one.inventory_digest() != moved.inventory_digest()


KEYS = st.sampled_from(
    [
        *FleetModel.model_json_schema()["properties"],
        *ClusterModel.model_json_schema()["properties"],
        *(
            "broker",
            "address",
            "protocol",
            "keyFile",
            "passwordFile",
            "passwordEnv",
            "stop",
            "policy",
        ),
        *("password", "soakSeconds", "x"),
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["healthd/v1", "Fleet", "b:1", "SASL_SSL", "{x", "/", "\0", "SSL"])
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=15,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(KEYS, TREES, max_size=5))
def test_any_tree_is_a_fleet_or_problems_and_never_raises(tree: dict[str, object]) -> None:
    document, _ = parse_document(b"a: 1\n", "f")
    assert document is not None
    odd = type(document)(file="f", data=tree, keys={}, values={})
    fleet, problems = parse_fleet(odd, Path("/nonexistent"))
    assert (fleet is None) == bool(problems)
