"""Connection profiles in the fleet file."""

from pathlib import Path

import pytest

from healthd.config.fleet import Fleet
from healthd.config.fleet_file import load_fleet
from healthd.config.problems import ConfigError

CLUSTERS = """\
apiVersion: healthd/v1
kind: Fleet
clusters:
  - {name: a, labels: {env: prod, zone: "1"}, bootstrapServers: ["a:9092"]}
  - {name: b, labels: {env: prod, zone: "2"}, bootstrapServers: ["b:9092"]}
  - {name: c, labels: {env: test}, bootstrapServers: ["c:9092"]}
"""


def fleet(tmp_path: Path, profiles: str, clusters: str = CLUSTERS) -> Fleet:
    path = tmp_path / "fleet.yaml"
    path.write_text(clusters + profiles)
    return load_fleet(path)


def problems(tmp_path: Path, profiles: str, clusters: str = CLUSTERS) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        fleet(tmp_path, profiles, clusters)
    path = str(tmp_path / "fleet.yaml")
    return [str(problem).removeprefix(path) for problem in refused.value.problems]


def test_members_are_in_the_order_of_the_profile_or_of_the_fleet(tmp_path: Path) -> None:
    found = fleet(
        tmp_path,
        "profiles:\n  - {name: NAD1700, members: [b, a]}\n"
        "  - {name: NAD1701, match: {env: prod}, order: equal}\n",
    )
    labels = {cluster.name: cluster.labels for cluster in found.clusters}
    assert [profile.clusters(labels) for profile in found.profiles] == [("b", "a"), ("a", "b")]
    assert [profile.order for profile in found.profiles] == ["preference", "equal"]


def test_routing_is_real_unless_the_file_says_dry_run(tmp_path: Path) -> None:
    assert not fleet(tmp_path, "").is_routing_dry_run
    assert fleet(tmp_path, "routing: {dryRun: true}\n").is_routing_dry_run


def test_clients_may_connect_in_another_way_than_healthd(tmp_path: Path) -> None:
    clusters = CLUSTERS.replace(
        '["a:9092"]', '["a:9092"], clients: {bootstrapServers: ["lb:1"], securityProtocol: SSL}'
    )
    first, second, _ = fleet(tmp_path, "", clusters).clusters
    assert first.clients is not None
    assert first.clients.bootstrap_servers == ("lb:1",)
    assert first.clients.security_protocol == "SSL"
    assert second.clients is None


@pytest.mark.parametrize(
    ("profiles", "told"),
    [
        ("[{name: p, members: [a, x]}]", "profiles[0].members[1]: unknown cluster"),
        ("[{name: p, members: [a, a]}]", "profiles[0].members[1]: a is named twice"),
        ("[{name: p, match: {env: nowhere}}]", "profiles[0].match: matches no cluster"),
        ("[{name: p}]", "profiles[0]: needs either members or match"),
        ("[{name: p, members: [a], match: {env: prod}}]", "needs either members or match"),
        ("[{name: p, members: []}]", "profiles[0].members: is empty"),
        (
            "[{name: p, members: [a]}, {name: p, members: [b]}]",
            "profiles[1].name: duplicate profile p; first at line 7",
        ),
        ("[{name: p, members: [a], order: best}]", "profiles[0].order: must be preference or"),
    ],
)
def test_a_profile_that_cannot_be_meant_is_refused(
    tmp_path: Path, profiles: str, told: str
) -> None:
    (problem,) = problems(tmp_path, f"profiles: {profiles}\n")
    assert told in problem
