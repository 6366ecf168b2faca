"""Judging snapshots as the daemon does."""

import asyncio
import threading
from dataclasses import replace
from typing import Any, cast

import pytest
from support.snapshots import a_broker, a_snapshot, a_topic, topic_of_states

from healthd.config.fleet import ClusterConfig, TenantConfig
from healthd.engine import collecting
from healthd.engine.judging import Judge
from healthd.health.history import NO_HISTORY
from healthd.health.scoring import DEFAULT, ScoringProfile
from healthd.health.words import HealthClass
from healthd.model.codes import CheckCode, Severity

CONFIG = ClusterConfig(name="payments", bootstrap_servers=("b1:9092",))
TWO_RACKS = a_snapshot(
    brokers=(a_broker(1, rack="a"), a_broker(2, rack="a"), a_broker(3, rack="b"))
)


@pytest.mark.parametrize(("tolerate", "severity"), [(None, Severity.INFO), ("rack", Severity.WARN)])
def test_a_rack_that_is_meant_to_be_lost_and_cannot_be_is_a_warning(
    tolerate: str | None, severity: Severity
) -> None:
    judged = Judge(replace(CONFIG, tolerate=tolerate)).judge(TWO_RACKS, NO_HISTORY, frozenset())
    (check,) = [c for c in judged.report.checks if c.code is CheckCode.RACK_LOSS_NOT_TOLERATED]
    assert (check.severity, check.objects) == (severity, ("rack:a",))
    assert judged.tolerated_racks == ("b",)


def test_a_cluster_is_judged_by_its_own_scoring_profile() -> None:
    caps = replace(DEFAULT.caps, broker_down_highest=65)
    strict = ScoringProfile(name="strict", version="9", caps=caps)
    down = a_snapshot(brokers=(*(a_broker(n) for n in (1, 2, 3)), a_broker(4, alive=False)))
    judged = Judge(replace(CONFIG, scoring=strict)).judge(down, NO_HISTORY, frozenset())
    assert judged.report.health_index == 65
    assert judged.report.profile.name == "strict"
    assert judged.report.health_class is HealthClass.CRIT


def test_every_tenant_has_its_own_report() -> None:
    config = replace(
        CONFIG,
        tenants=(
            TenantConfig(name="ill", topics=("ill-*",)),
            TenantConfig(name="well", topics=("well-*",)),
        ),
    )
    snapshot = a_snapshot(topic_of_states("ill-1", offline=1), a_topic("well-1"))
    judged = Judge(config).judge(snapshot, NO_HISTORY, frozenset())
    assert {name: report.health_index for name, report in judged.tenants.items()} == {
        "ill": 0.0,
        "well": 100.0,
    }


def test_without_news_the_history_stays_what_it_was() -> None:
    judge = Judge(CONFIG)
    down = a_snapshot(brokers=(*(a_broker(n) for n in (1, 2, 3)), a_broker(4, alive=False)))
    history = judge.judge(down, NO_HISTORY, frozenset()).history
    older = judge.judge(a_snapshot(), history, frozenset(), is_news=False)
    assert older.history.since == history.since


async def test_all_clusters_are_judged_on_one_thread_that_is_not_the_event_loop_s() -> None:
    judges: Any = [collecting._judged(cast("Any", threading.get_ident)) for _ in range(20)]
    threads = set(await asyncio.gather(*judges))
    assert len(threads) == 1
    assert threading.get_ident() not in threads
