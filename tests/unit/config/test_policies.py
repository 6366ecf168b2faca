"""Policies by label: what comes over what, and where a mistake is told."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from healthd.config.fleet import ClusterConfig
from healthd.config.fleet_file import check_fleet, load_fleet

HEAD = "apiVersion: healthd/v1\nkind: Fleet\n"
CLUSTERS = """\
clusters:
  - {name: gold, labels: {env: prod, tier: "1"}, bootstrapServers: ["g:9092"]}
  - {name: plain, labels: {env: prod}, bootstrapServers: ["p:9092"]}
  - name: own
    labels: {env: prod}
    bootstrapServers: ["o:9092"]
    wave: {policy: {soakSeconds: 600}}
  - {name: dev, bootstrapServers: ["d:9092"]}
"""

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(policies: str) -> Path:
        path = tmp_path / "fleet.yaml"
        path.write_text(HEAD + policies + CLUSTERS)
        return path

    return written


def clusters(path: Path) -> dict[str, ClusterConfig]:
    return {cluster.name: cluster for cluster in load_fleet(path).clusters}


def test_the_later_entry_goes_over_the_earlier_and_the_clusters_own_over_both(write: Write) -> None:
    found = clusters(
        write(
            "policies:\n"
            "  - {match: {env: prod}, policy: {soakSeconds: 300, margin: 1}}\n"
            '  - {match: {env: prod, tier: "1"}, policy: {margin: 2}}\n'
        )
    )
    told = {
        name: (each.wave_policy.soak_seconds, each.wave_policy.margin)
        for name, each in found.items()
    }
    assert told == {"gold": (300, 2), "plain": (300, 1), "own": (600, 1), "dev": (120, 0)}


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        ("{match: {env: prod}, policy: {soakSecond: 1}}",
         "policies[0].policy.soakSecond: unknown key; did you mean soakSeconds?"),
        ("{match: {env: prod}, policy: {margin: -1}}",
         "policies[0].policy.margin: must be at least 0"),
        ("{match: {env: prod}, policy: []}",
         "policies[0].policy: must be a mapping of policy keys"),
        ("{match: {env: test}, policy: {margin: 1}}",
         "policies[0].match: matches no cluster of this file"),
        ("{match: {}, policy: {margin: 1}}", "policies[0].match: is empty"),
        (('{match: {tier: "1"}, policy: {windows: [{days: [], start: "01:00", end: "02:00", '
         'timezone: UTC}]}}'), "policies[0].policy.windows[0]: can never be met"),
        (('{match: {tier: "1"}, policy: {cutoffSeconds: 3600, windows: [{start: "01:00", '
         'end: "02:00", timezone: UTC}]}}'), "policies[0].policy.cutoffSeconds: can never be met"),
        ("{policy: {margin: 1}}", "policies[0].match: match is missing"),
    ],
    ids=["unknown", "range", "no mapping", "no cluster", "no label", "never", "cutoff", "all"],
)  # fmt: skip
def test_a_mistake_is_told_at_its_place(write: Write, entry: str, wanted: str) -> None:
    found = [str(problem) for problem in check_fleet(write(f"policies:\n  - {entry}\n"))]
    assert found
    assert any(f": {wanted}" in problem for problem in found), found
    assert all(re.search(r"fleet.yaml:\d+:\d+: ", problem) for problem in found)


def test_what_can_never_be_met_is_told_where_it_was_written(write: Write) -> None:
    found = check_fleet(
        write(
            "policies:\n  - {match: {env: prod}, policy: {windows: [{days: [], start: '01:00',"
            " end: '02:00', timezone: UTC}]}}\n"
        )
    )
    assert {problem.path for problem in found} == {"policies[0].policy.windows[0]"}
