"""`alerts`, `cruiseControl` and `freezes` of the fleet file."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from healthd.config.fleet import Fleet
from healthd.config.fleet_file import check_fleet, load_fleet
from healthd.config.source_cruise_control import state_url

HEAD = """apiVersion: healthd/v1
kind: Fleet
"""
CLUSTERS = """clusters:
  - {name: payments, labels: {env: prod}, bootstrapServers: ["b1:9092"]}
  - {name: ledger, labels: {env: dev}, bootstrapServers: ["b2:9092"]}
"""


def fleet(tmp_path: Path, text: str, clusters: str = CLUSTERS) -> Fleet:
    """The fleet of a file with this beside its clusters."""
    file = tmp_path / "fleet.yaml"
    file.write_text(HEAD + text + clusters)
    return load_fleet(file)


def problems(tmp_path: Path, text: str, clusters: str = CLUSTERS) -> list[str]:
    """What is wrong with such a file."""
    file = tmp_path / "fleet.yaml"
    file.write_text(HEAD + text + clusters)
    return [str(each).removeprefix(f"{file}:") for each in check_fleet(file)]


def test_the_fleets_alerts_are_those_of_every_cluster_without_its_own(tmp_path: Path) -> None:
    own = """clusters:
  - {name: payments, bootstrapServers: ["b1:9092"]}
  - name: ledger
    bootstrapServers: ["b2:9092"]
    alerts: {prometheus: {url: "http://p:9090/"}, silenceLabel: host}
"""
    found = fleet(tmp_path, 'alerts: {alertmanager: {url: "http://am:9093"}}\n', own)
    payments, ledger = (cluster.alerts for cluster in found.clusters)
    assert payments is not None
    assert payments.alertmanager is not None
    assert payments.alertmanager.url == "http://am:9093"
    assert payments.silence_label == "instance"
    assert ledger is not None
    assert ledger.alertmanager is None
    assert ledger.prometheus is not None
    assert ledger.prometheus.url == "http://p:9090"
    assert ledger.silence_label == "host"


def test_without_alerts_nobody_is_asked(tmp_path: Path) -> None:
    assert all(cluster.alerts is None for cluster in fleet(tmp_path, "").clusters)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("alerts: {}\n", "alerts: names no server"),
        ("alerts: {alertmanager: {}}\n", "alerts.alertmanager.url: url is missing"),
        ('alerts: {alertmanager: {url: "am:9093"}}\n', "is no URL"),
        (
            'alerts: {alertmanager: {url: "http://u:p@am:9093"}}\n',
            "has a user or a password in it; it is not shown here",
        ),
        (
            'alerts: {alertmanager: {url: "http://am.example.net:9093", bearerTokenEnv: TOKEN}}\n',
            "would send the token in clear",
        ),
        (
            'alerts: {alertmanager: {url: "http://am:9093", bearerToken: abc}}\n',
            "is a secret in clear; its value is not shown here",
        ),
        (
            'alerts: {alertmanager: {url: "http://am:9093", timeout: 5}}\n',
            "did you mean timeoutSeconds?",
        ),
        ('alerts: {alertmanager: {url: "http://am:9093"}, silenceLabel: "a b"}\n', "no label"),
        ('alerts: {pager: {url: "http://am:9093"}}\n', "alerts.pager: unknown key"),
    ],
)
def test_alerts_that_cannot_be_asked_are_refused_by_name(
    tmp_path: Path, text: str, message: str
) -> None:
    assert any(message in each for each in problems(tmp_path, text)), problems(tmp_path, text)


def test_a_mistake_in_a_clusters_own_alerts_is_found_there(tmp_path: Path) -> None:
    own = """clusters:
  - name: ledger
    bootstrapServers: ["b2:9092"]
    alerts: {prometheus: {url: "http://p:9090", username: me}}
    cruiseControl: {url: "https://cc:9090", certFile: none.pem}
"""
    found = problems(tmp_path, "", own)
    assert any("clusters[0].alerts.prometheus" in each for each in found)
    assert any("clusters[0].cruiseControl" in each for each in found)


@pytest.mark.parametrize(
    ("policy", "alerts", "message"),
    [
        ("{alerts: ['severity=critical']}", "", "nobody can be asked: cluster ledger"),
        ("{silence: true}", "", "no silence can be made: cluster ledger"),
        ("{silence: true}", 'alerts: {prometheus: {url: "http://p:9090"}}', "no silence can be"),
    ],
)
def test_a_clusters_own_policy_that_asks_nobody_is_refused(
    tmp_path: Path, policy: str, alerts: str, message: str
) -> None:
    own = f"""clusters:
  - name: ledger
    bootstrapServers: ["b2:9092"]
    wave: {{policy: {policy}}}
"""
    (found,) = problems(tmp_path, f"{alerts}\n", own)
    assert message in found
    assert "clusters[0].wave.policy" in found


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://cc:9090", "http://cc:9090/kafkacruisecontrol/state"),
        ("http://cc:9090/kafkacruisecontrol", "http://cc:9090/kafkacruisecontrol/state"),
        ("https://lb/cc/api", "https://lb/cc/api/state"),
    ],
)
def test_cruise_control_is_asked_under_its_prefix(tmp_path: Path, url: str, asked: str) -> None:
    own = f"""clusters:
  - {{name: ledger, bootstrapServers: ["b2:9092"], cruiseControl: {{url: "{url}"}}}}
"""
    (cluster,) = fleet(tmp_path, "", own).clusters
    assert cluster.cruise_control is not None
    assert (
        state_url(cluster.cruise_control)
        == f"{asked}?substates=executor,anomaly_detector&json=true"
    )


def test_freezes_are_read_with_their_selection_and_their_times(tmp_path: Path) -> None:
    found = fleet(
        tmp_path,
        """freezes:
  - {name: xmas, match: {env: prod}, from: 2026-12-18, until: 2027-01-03, timezone: Europe/Berlin,
     reason: r}
  - {name: move, clusters: [ledger], reason: CHG-7}
  - {name: audit, all: true, until: "2026-06-01T18:00:00Z", reason: r}
""",
    )
    xmas, move, audit = found.freezes
    assert dict(xmas.match) == {"env": "prod"}
    assert xmas.begins == datetime(2026, 12, 17, 23, tzinfo=UTC).timestamp()
    assert xmas.ends == datetime(2027, 1, 3, 23, tzinfo=UTC).timestamp()
    assert (move.clusters, move.begins, move.ends) == (("ledger",), None, None)
    assert audit.is_for_all
    assert all(each.is_from_file and each.by == "fleet file" for each in found.freezes)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("{name: a, reason: r}", "needs exactly one of clusters, match and all"),
        ("{name: a, reason: r, all: true, clusters: [ledger]}", "needs exactly one of"),
        ("{name: a, reason: r, clusters: [ledgr]}", "unknown cluster; did you mean ledger?"),
        ("{name: a, reason: r, match: {env: prd}}", "matches no cluster"),
        ("{name: a, all: true}", "reason is missing"),
        ('{name: a, all: true, reason: " "}', "is empty"),
        ("{reason: r, all: true}", "name is missing"),
        ("{name: a, all: true, reason: r, from: 2026-12-18}", "needs its zone"),
        ("{name: a, all: true, reason: r, from: monday, timezone: UTC}", "must be a time"),
        ("{name: a, all: true, reason: r, from: 2026-12-18, timezone: Berlin}", "no time zone"),
        (
            "{name: a, all: true, reason: r, from: 2026-12-18, until: 2026-12-17, timezone: UTC}",
            "ends before it begins",
        ),
        ("{name: a, all: true, reason: r, til: 2026-12-18}", "unknown key"),
    ],
)
def test_a_freeze_that_says_too_little_or_freezes_nothing_is_refused(
    tmp_path: Path, item: str, message: str
) -> None:
    found = problems(tmp_path, f"freezes:\n  - {item}\n")
    assert len(found) == 1
    assert message in found[0]
    assert found[0].startswith("4:")


def test_two_freezes_of_one_name_are_refused(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """freezes:
  - {name: a, reason: r, all: true}
  - {name: a, reason: r, clusters: [ledger]}
""",
    )
    assert len(found) == 1
    assert "duplicate freeze a; first at line 4" in found[0]


def test_a_freeze_that_is_over_may_stay_in_the_file(tmp_path: Path) -> None:
    item = "{name: a, reason: r, all: true, until: 2001-01-01, timezone: UTC}"
    assert problems(tmp_path, f"freezes:\n  - {item}\n") == []
