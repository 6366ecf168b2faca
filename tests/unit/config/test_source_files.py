"""`connect`, `mirrors` and `schemaRegistry` of a fleet file: what is taken, and what is refused."""

from pathlib import Path

import pytest

from healthd.config.fleet import ClusterConfig
from healthd.config.fleet_file import check_fleet, load_fleet

HEAD = """\
apiVersion: healthd/v1
kind: Fleet
clusters:
  - name: west
    bootstrapServers: ["w1:9092"]
"""
EAST = '  - name: east\n    bootstrapServers: ["e1:9092"]\n'


def written(folder: Path, text: str, *, more: str = EAST) -> Path:
    """A fleet file with `text` in its first cluster."""
    body = "".join(f"    {line}\n" for line in text.splitlines())
    file = folder / "fleet.yaml"
    file.write_text(HEAD + body + more)
    return file


def west(folder: Path, text: str) -> ClusterConfig:
    return load_fleet(written(folder, text)).clusters[0]


def problems(folder: Path, text: str) -> list[str]:
    return [f"{found.path}: {found.message}" for found in check_fleet(written(folder, text))]


def test_defaults_are_those_of_mirrormaker(tmp_path: Path) -> None:
    (mirror,) = west(tmp_path, "mirrors: [{source: east}]").mirrors
    assert (mirror.target, mirror.heartbeats_topic) == ("west", "east.heartbeats")
    assert (mirror.connect, mirror.max_behind_seconds) == (None, 60)
    assert mirror.origin is not None
    assert mirror.origin.bootstrap_servers == ("e1:9092",)


def test_a_source_of_another_name_is_found_by_its_own(tmp_path: Path) -> None:
    (mirror,) = west(tmp_path, "mirrors: [{source: EU, sourceCluster: east}]").mirrors
    assert mirror.origin is not None
    (stranger,) = west(tmp_path, "mirrors: [{source: EU}]").mirrors
    assert stranger.origin is None


def test_rest_services_have_their_secrets_by_reference(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("s3cret\n")
    secret.chmod(0o600)
    config = west(
        tmp_path,
        'connect: [{name: etl, urls: ["https://c1:8083/", "https://c2:8083/base"], '
        "username: healthd, passwordFile: password}]\n"
        'schemaRegistry: {urls: ["http://r1:8081"]}',
    )
    (connect,) = config.connect
    assert connect.rest.urls == ("https://c1:8083", "https://c2:8083/base")
    assert connect.rest.password is not None
    assert connect.rest.password.read() == "s3cret"
    assert config.schema_registry is not None
    assert "s3cret" not in repr(config)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(
            'connect: [{name: etl, urls: ["c1:8083"]}]',
            "clusters[0].connect[0].urls[0]: is no URL",
            id="no-scheme",
        ),
        pytest.param(
            'connect: [{name: etl, urls: ["http://u:hunter2@c1:8083"]}]',
            "clusters[0].connect[0].urls[0]: has a user or a password in it; it is not shown here",
            id="password-in-url",
        ),
        pytest.param(
            'connect: [{name: etl, urls: ["http://c1:8083?x=1"]}]',
            "clusters[0].connect[0].urls[0]: has a query or a fragment",
            id="query",
        ),
        pytest.param(
            "connect: [{name: etl, urls: []}]",
            "clusters[0].connect[0].urls: is empty",
            id="no-urls",
        ),
        pytest.param(
            'connect: [{name: a, urls: ["http://c:1"]}, {name: a, urls: ["http://d:1"]}]',
            "clusters[0].connect[1].name: duplicate Connect cluster a",
            id="twice",
        ),
        pytest.param(
            'connect: [{name: a, urls: ["http://c:1"], username: u, passwordEnv: P}]',
            "clusters[0].connect[0].urls[0]: would send the password in clear",
            id="password-over-http",
        ),
        pytest.param(
            'connect: [{name: a, urls: ["https://c:1"], username: u}]',
            "clusters[0].connect[0]: username and a password belong together",
            id="no-password",
        ),
        pytest.param(
            'connect: [{name: a, urls: ["https://c:1"], password: hunter2}]',
            "clusters[0].connect[0].password: password is a secret in clear; "
            "its value is not shown here",
            id="secret-in-clear",
        ),
        pytest.param(
            'schemaRegistry: {urls: ["https://r:1"], caFile: gone.pem}',
            "clusters[0].schemaRegistry.caFile: file {folder}/gone.pem cannot be used: "
            "No such file or directory",
            id="no-ca",
        ),
        pytest.param(
            "mirrors: [{source: east, connect: etl}]",
            "clusters[0].mirrors[0].connect: there is no Connect cluster etl in this cluster's "
            "connect",
            id="unknown-connect",
        ),
        pytest.param(
            "mirrors: [{source: east, sourceCluster: eats}]",
            "clusters[0].mirrors[0].sourceCluster: there is no cluster of that name in this file",
            id="unknown-source-cluster",
        ),
        pytest.param(
            "mirrors: [{source: west}]",
            "clusters[0].mirrors[0].source: is the target itself",
            id="itself",
        ),
        pytest.param(
            "mirrors: [{source: east}, {source: east}]",
            "clusters[0].mirrors[1].source: duplicate flow from east",
            id="flow-twice",
        ),
        pytest.param(
            "mirrors: [{source: east, connectors: [mm]}]",
            "clusters[0].mirrors[0].connectors: is of no use without connect",
            id="connectors-alone",
        ),
        pytest.param(
            "mirrors: [{source: east, maxBehindSeconds: 0}]",
            "clusters[0].mirrors[0].maxBehindSeconds: must be above 0",
            id="no-lag-allowed",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    found = problems(tmp_path, text)
    assert found == [problem.format(folder=tmp_path)]
    assert "hunter2" not in str(found)


def test_a_mistake_in_another_cluster_does_not_make_it_an_unknown_source(tmp_path: Path) -> None:
    text = "mirrors: [{source: EU, sourceCluster: east}]"
    file = written(tmp_path, text, more="  - {name: east, bootstrapServers: 7}\n")
    (found,) = check_fleet(file)
    assert found.path == "clusters[1].bootstrapServers"
