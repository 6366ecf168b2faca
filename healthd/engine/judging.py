"""Judging one snapshot: the report, and what else the daemon tells of a cluster."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from healthd.collect.observation import SourceFailure
from healthd.config.fleet import ClusterConfig
from healthd.engine.collector_checks import further_checks
from healthd.health.checks import Finding, check_of
from healthd.health.counterfactual import index_without
from healthd.health.history import History
from healthd.health.index import HealthReport, evaluate
from healthd.health.losses import Loss, losses
from healthd.health.mutes import Mute
from healthd.health.racks import racks_not_tolerated
from healthd.health.remember import look_back, remember
from healthd.health.tenants import Tenant, TenantTopics, tenant_report
from healthd.model.codes import Severity
from healthd.model.order import natural_key
from healthd.model.snapshot import ClusterSnapshot
from healthd.model.words import EvidenceGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """All that is told of one snapshot."""

    report: HealthReport
    history: History
    """For the next snapshot."""
    index_without_wave: float
    tolerated_racks: tuple[str, ...]
    losses: tuple[Loss, ...]
    tenants: Mapping[str, HealthReport]


class Judge:
    """Judges the snapshots of one cluster, one after the other, by its own scoring profile."""

    def __init__(self, config: ClusterConfig) -> None:
        self._config = config
        self._tenants = TenantTopics(
            Tenant(name=tenant.name, patterns=tenant.topics) for tenant in config.tenants
        )

    def judge(
        self,
        snapshot: ClusterSnapshot,
        history: History,
        away: frozenset[int],
        failures: Iterable[SourceFailure] = (),
        *,
        standing: Iterable[Finding] = (),
        mutes: Sequence[Mute] = (),
        is_news: bool = True,
    ) -> Judged:
        """The judgement of the next snapshot.

        Args:
            snapshot: What is known now.
            history: What the snapshots before left.
            away: The nodes that a wave has in flight.
            failures: What could not be read.
            mutes: What people do not want to hear of.
            standing: What the fleet's guards tell of this cluster.
            is_news: Something was collected; else the values are old ones, a little older.
        """
        scoring = self._config.scoring
        history = look_back(snapshot, history, scoring)
        report = evaluate(
            snapshot,
            scoring,
            history=history,
            further=(
                *further_checks(snapshot, failures, scoring),
                *(check_of(finding, scoring.bands) for finding in standing),
            ),
            mutes=mutes,
            rack_loss=Severity.WARN if self._config.tolerate == "rack" else Severity.INFO,
        )
        without = report.health_index
        if away:
            without = index_without(snapshot, away, scoring, history=history)
        return Judged(
            report=report,
            history=remember(snapshot, history, scoring, raised=report.checks)
            if is_news
            else history,
            index_without_wave=without,
            tolerated_racks=_tolerated_racks(snapshot) if report.is_metadata_seen else (),
            losses=losses(snapshot) if report.is_metadata_seen else (),
            tenants={
                name: tenant_report(snapshot, topics, scoring, history)
                for name, topics in self._tenants.of(snapshot).items()
            },
        )


def _tolerated_racks(snapshot: ClusterSnapshot) -> tuple[str, ...]:
    racks = {broker.rack for broker in snapshot.brokers if broker.rack is not None}
    quorum_age = snapshot.age(EvidenceGroup.QUORUM)
    is_quorum_seen = quorum_age is not None and quorum_age < math.inf
    racks -= set(racks_not_tolerated(snapshot, is_quorum_seen=is_quorum_seen))
    return tuple(sorted(racks, key=natural_key))
