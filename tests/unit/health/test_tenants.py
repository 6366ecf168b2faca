"""The index of a tenant: its own partitions, the cluster's rest."""

from support.snapshots import NOON, a_broker, a_snapshot, a_topic, topic_of_states

from healthd.health.history import NO_HISTORY
from healthd.health.index import HealthReport
from healthd.health.scoring import DEFAULT
from healthd.health.tenants import Tenant, TenantTopics, tenant_report
from healthd.model.codes import CheckCode
from healthd.model.snapshot import ClusterSnapshot

TENANTS = (
    Tenant(name="pay", patterns=("pay-*", "shared")),
    Tenant(name="web", patterns=("web-*", "shared")),
    Tenant(name="none", patterns=("nothing-*",)),
)


def reports(snapshot: ClusterSnapshot) -> dict[str, HealthReport]:
    topics = TenantTopics(TENANTS).of(snapshot)
    return {
        name: tenant_report(snapshot, mine, DEFAULT, NO_HISTORY) for name, mine in topics.items()
    }


def test_topics_belong_to_every_tenant_whose_pattern_they_match() -> None:
    snapshot = a_snapshot(*(a_topic(n) for n in ("pay-1", "shared", "web-1", "other", "xpay-1")))
    found = TenantTopics(TENANTS).of(snapshot)
    names = {tenant: [topic.name for topic in topics] for tenant, topics in found.items()}
    assert names == {"pay": ["pay-1", "shared"], "web": ["shared", "web-1"], "none": []}


def test_internal_topics_belong_to_every_tenant() -> None:
    snapshot = a_snapshot(topic_of_states("__consumer_offsets", offline=1), a_topic("pay-1"))
    for report in reports(snapshot).values():
        assert CheckCode.INTERNAL_TOPIC_UNAVAILABLE in {cap.code for cap in report.caps}


def test_a_tenants_trouble_is_its_own() -> None:
    snapshot = a_snapshot(topic_of_states("pay-1", offline=1, ok=3), a_topic("web-1"))
    found = reports(snapshot)
    assert found["pay"].health_index == 0.0
    assert found["web"].health_index == 100.0
    assert found["none"].health_index == 100.0


def test_a_broker_that_is_down_is_every_tenants_trouble() -> None:
    snapshot = a_snapshot(
        a_topic("web-1"), brokers=[a_broker(1), a_broker(2), a_broker(3), a_broker(4, alive=False)]
    )
    assert {report.binding_cap for report in reports(snapshot).values()} == {CheckCode.BROKER_DOWN}


def test_a_topic_is_matched_anew_when_it_comes_back() -> None:
    topics = TenantTopics(TENANTS)
    for names in (("pay-1",), (), ("pay-1", "web-1")):
        snapshot = a_snapshot(*(a_topic(name) for name in names), observed_at=NOON)
        found = topics.of(snapshot)
        assert [topic.name for topic in found["pay"]] == [n for n in names if n == "pay-1"]
