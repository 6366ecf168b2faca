"""Certificates that are over, or will be soon."""

from typing import Any

import pytest

from healthd.health.checks import Finding
from healthd.health.side.certificates import findings
from healthd.model.codes import CheckCode, Severity

DAY = 86_400


def listener(broker: int | None, days: float, *chain: float) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "address": f"b{broker}:9093",
        "secondsLeft": days * DAY,
        "chain": [{"secondsLeft": each * DAY} for each in chain],
    }
    return entry if broker is None else {**entry, "broker": broker}


def own(kind: str, days: float) -> dict[str, Any]:
    return {"kind": kind, "file": f"/etc/healthd/{kind}.pem", "secondsLeft": days * DAY}


def found(*entries: dict[str, Any], age_days: float = 0, **more: Any) -> list[Finding]:
    section = {"cluster": "payments", "listeners": list(entries), "ageSeconds": age_days * DAY}
    return list(findings({**section, **more}, 20))


def test_nothing_expires_within_30_days() -> None:
    assert found(listener(1, 31), listener(2, 400, 30.1)) == []


def test_thirty_days_are_a_warning() -> None:
    [finding] = found(listener(1, 30), listener(2, 90), listener(10, 3))
    assert finding.code is CheckCode.CERT_EXPIRY
    assert finding.severity is Severity.WARN
    assert finding.objects.shown == ("broker:1", "broker:10")
    assert (
        finding.detail == ": that of b10:9093 expires in 3 days; that of b1:9093 expires in 30 days"
    )


def test_over_is_critical() -> None:
    [finding] = found(listener(1, -2), listener(2, 5))
    assert finding.severity is Severity.CRIT
    assert "b1:9093 expired 2 days ago" in finding.detail


def test_one_that_signed_it_counts_as_well() -> None:
    [finding] = found(listener(1, 300, -1))
    assert finding.severity is Severity.CRIT


def test_time_goes_on_between_two_reads() -> None:
    [finding] = found(listener(1, 1), age_days=2)
    assert finding.severity is Severity.CRIT


def test_a_bootstrap_address_that_is_no_brokers_names_the_cluster() -> None:
    [finding] = found(listener(None, 3))
    assert finding.objects.shown == ("cluster:payments",)


@pytest.mark.parametrize(("kind", "words"), [("client", "client certificate"), ("ca", "CA")])
@pytest.mark.parametrize("days", [-3, 3])
def test_our_own_is_ours_and_never_the_clusters_fault(kind: str, words: str, days: float) -> None:
    [finding] = found(own=[own(kind, days)])
    assert finding.severity is Severity.WARN
    assert finding.objects.shown == ("cluster:payments",)
    assert finding.detail.startswith(f": healthd's own {words} (/etc/healthd/{kind}.pem) expire")


def test_many_are_counted_and_the_first_are_told() -> None:
    [finding] = found(*(listener(broker, broker) for broker in range(1, 26)))
    assert finding.objects.count == 25
    assert len(finding.objects.shown) == 20
    assert finding.detail.endswith("; and 22 more")


@pytest.mark.parametrize(
    "section",
    [
        {},
        {"listeners": None, "own": 3},
        {"listeners": ["x", {"secondsLeft": "soon"}, {"secondsLeft": True, "chain": {}}]},
    ],
)
def test_a_section_of_another_version_is_passed_over(section: dict[str, Any]) -> None:
    assert list(findings(section, 20)) == []
