"""What collecting knows of a cluster: limits that fit, and secrets that stay."""

from pathlib import Path

import pytest

from healthd.collect.access import Access
from healthd.collect.target import ClusterTarget
from healthd.config.fleet import ClusterConfig, HostConfig, SecurityConfig
from healthd.config.secrets import SecretRef


def test_target_is_built_from_the_fleet_file(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("s3cret\n")
    secret.chmod(0o600)
    config = ClusterConfig(
        name="payments",
        bootstrap_servers=("b1:9092",),
        security=SecurityConfig(
            protocol="SASL_SSL",
            ca_file=Path("/ca.pem"),
            sasl_mechanism="SCRAM-SHA-512",
            username="healthd",
            password=SecretRef(file=secret),
        ),
        hosts=(
            HostConfig(broker=1, address="b1", rack="az1", exporter="b1:9404"),
            HostConfig(broker=2, address="b2"),
        ),
    )
    target = ClusterTarget.of(config)
    assert target.exporter_urls == {1: "http://b1:9404/metrics"}
    assert (target.nodes[1].host, target.nodes[1].rack) == ("b1", "az1")
    assert target.access.confluent_config() == {
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": "/ca.pem",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "healthd",
        "sasl.password": "s3cret",
    }
    assert "s3cret" not in repr(target)


def test_plain_connections_need_no_tls_to_knock() -> None:
    assert Access().probing_tls() is None
    assert Access(protocol="SASL_SSL").probing_tls() is not None


@pytest.mark.parametrize(("interval", "limit"), [(15.0, 3.0), (15.0, 2.0), (2.0, 1.0), (1.0, 3.0)])
def test_three_attempts_fit_into_a_round_and_a_round_into_the_deadline(
    interval: float, limit: float
) -> None:
    target = ClusterTarget(
        name="c",
        bootstrap_servers=("b:1",),
        interval_seconds=interval,
        request_timeout_seconds=limit,
    )
    assert target.attempt_seconds <= limit
    assert 3 * target.attempt_seconds < target.budget_seconds
    assert target.budget_seconds < max(0.8 * interval, 2 * limit)


def test_a_deadline_that_was_set_is_kept() -> None:
    target = ClusterTarget(name="c", bootstrap_servers=("b:1",), deadline_seconds=4.0)
    assert target.budget_seconds < 4.0
