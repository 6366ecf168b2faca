"""Observations and last values into the next snapshot. Pure: no clock, no input or output."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from healthd.collect.assemble_disks import log_dirs_at_now, metrics_at_now
from healthd.collect.assemble_nodes import brokers_now, quorum_now, unclean_elections_now
from healthd.collect.assemble_topics import shown_topics, topics_now
from healthd.collect.judge import Judgement, judge, with_inferred_quorum
from healthd.collect.lag import lag_now
from healthd.collect.observation import (
    Observations,
    PartitionKey,
    Reassigning,
    SectionSeen,
    SourceFailure,
)
from healthd.collect.state import LastValues, Moment
from healthd.collect.target import ClusterTarget
from healthd.health.tracks import CONTROLLERS_SECTION, ISR_SECTION
from healthd.model.snapshot import NO_LEADER, Broker, ClusterSnapshot
from healthd.model.words import EvidenceGroup

UNREACHABLE_INTERVALS = 2
"""Nobody there for so many intervals: the cluster is unreachable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembled:
    """What a round made."""

    snapshot: ClusterSnapshot
    last: LastValues
    failures: tuple[SourceFailure, ...]
    """Of the sources, and of what was read but does not count."""


def assemble(
    target: ClusterTarget,
    last: LastValues,
    observed: Observations,
    *,
    began: float,
    now: Moment,
) -> Assembled:
    """The snapshot after a round, and what is to be kept for the next.

    What was seen once stays with its age; what this round could not see changes nothing but that.

    Args:
        target: The cluster's configuration.
        last: What the round before left.
        observed: What this round saw.
        began: Monotonic seconds at which this round began to ask; ages count from there.
        now: The moment of the snapshot.
    """
    observed, silent_rounds = with_inferred_quorum(observed, last)
    judged = judge(observed, last)
    metadata = judged.metadata
    at = now.monotonic
    topics = topics_now(
        last, metadata, observed.min_insync_replicas, began, probe_topic=target.probe_topic
    )
    quorum = quorum_now(last, observed, at)
    page_at = {**last.page_at, **{node: page.at for node, page in observed.pages.items()}}
    log_dirs_at = log_dirs_at_now(target, last, observed)
    reassigning, reassignments = _reassigning(last, observed)
    brokers = brokers_now(
        target=target,
        observed=observed,
        metadata=metadata,
        last=last,
        topics=topics.rows,
        quorum=quorum.quorum,
        metrics_at=metrics_at_now(target, page_at, log_dirs_at),
        now=at,
    )
    seen_at = _seen_at(target, last, observed, judged, began=began, brokers=brokers)
    unclean = unclean_elections_now(last, observed.pages, at)
    refused_since, unreachable = _unreachable(target, last, observed, at)
    failures = (*observed.failures, *judged.failures)
    sections = {
        **last.sections,
        **observed.sections,
        **_claims(observed, began),
        **lag_now(
            last.sections,
            observed.pages,
            brokers={broker.id for broker in brokers if not broker.is_pure_controller},
            now=at,
        ),
    }
    snapshot = ClusterSnapshot(
        cluster=target.name,
        observed_at=now.wall,
        interval_seconds=target.interval_seconds,
        brokers=brokers,
        topics=shown_topics(topics, reassigning, at),
        quorum=quorum.quorum,
        reassignments=reassignments,
        unclean_elections_24h=None if unclean is None else sum(count for _, count in unclean),
        unreachable=unreachable,
        probe=last.probe if observed.probe is None else observed.probe.probe,
        ages=_ages(target, observed, last, seen_at, at),
        extra=_extra(failures, sections, at),
    )
    return Assembled(
        snapshot=snapshot,
        failures=failures,
        last=LastValues(
            topics=topics.topics,
            rows=topics.rows,
            seen_topics=last.seen_topics if metadata is None else metadata.topics,
            missing_once=topics.missing_once,
            leaderless_since=topics.leaderless_since,
            reassigning=reassigning,
            reassignments=reassignments,
            listed=last.listed if metadata is None else frozenset(metadata.brokers),
            brokers=snapshot.brokers_by_id,
            quorum=quorum.quorum,
            absent_since=quorum.absent_since,
            leader_seen_at=quorum.leader_seen_at,
            seen_at=seen_at,
            pages={**last.pages, **observed.pages},
            page_at=page_at,
            log_dirs_at=log_dirs_at,
            unclean_elections=unclean,
            refused_since=refused_since,
            unreachable=unreachable,
            probe=snapshot.probe,
            sections=sections,
            silent_rounds=silent_rounds,
            hidden_rounds=judged.hidden_rounds,
        ),
    )


def _reassigning(
    last: LastValues, observed: Observations
) -> tuple[Mapping[PartitionKey, Reassigning], int | None]:
    if observed.reassigning is None:
        return last.reassigning, last.reassignments
    return observed.reassigning, len(observed.reassigning)


def _seen_at(
    target: ClusterTarget,
    last: LastValues,
    observed: Observations,
    judged: Judgement,
    *,
    began: float,
    brokers: tuple[Broker, ...],
) -> dict[EvidenceGroup, float]:
    seen = dict(last.seen_at)
    if judged.metadata is not None:
        seen[EvidenceGroup.METADATA] = began
    if observed.configs_complete:
        seen[EvidenceGroup.CONFIGS] = began
    quorum = observed.quorum
    # With a leader the reassignments belong to what the group tells; without one nobody could.
    if quorum is not None and (quorum.leader_id == NO_LEADER or observed.reassigning is not None):
        seen[EvidenceGroup.QUORUM] = began
    controllers = {broker.id for broker in brokers if broker.is_pure_controller}
    pages = [page.at for node, page in observed.pages.items() if node not in controllers]
    if target.counts_log_dirs_alone:
        pages += [found.at for found in observed.log_dirs.values()]
    if pages:
        seen[EvidenceGroup.METRICS] = max(pages)
    if observed.probe is not None:
        seen[EvidenceGroup.PROBE] = observed.probe.at
    return seen


def _ages(
    target: ClusterTarget,
    observed: Observations,
    last: LastValues,
    seen_at: Mapping[EvidenceGroup, float],
    now: float,
) -> dict[EvidenceGroup, float | None]:
    configured = [EvidenceGroup.METADATA, EvidenceGroup.CONFIGS]
    if observed.quorum_configured or last.quorum is not None:
        configured.append(EvidenceGroup.QUORUM)
    # A user that may not describe log directories has seen none: the group is not configured then.
    by_log_dirs = target.counts_log_dirs_alone and EvidenceGroup.METRICS in seen_at
    if target.has_metrics or by_log_dirs:
        configured.append(EvidenceGroup.METRICS)
    if target.is_probed:
        configured.append(EvidenceGroup.PROBE)
    return {
        group: max(0.0, round(now - seen_at[group], 3)) if group in seen_at else None
        for group in configured
    }


def _unreachable(
    target: ClusterTarget, last: LastValues, observed: Observations, now: float
) -> tuple[float | None, bool | None]:
    """Since when nobody is there, and whether that has been so for two intervals."""
    if observed.nobody_there:
        since = now if last.refused_since is None else last.refused_since
        is_over = now - since >= UNREACHABLE_INTERVALS * target.interval_seconds
        # Only an answer takes it back, not a daemon that was restarted meanwhile.
        return since, is_over or bool(last.unreachable)
    if observed.any_answered or observed.metadata is not None:
        return None, False
    # Silence that nothing confirms says nothing either way, and the two intervals begin again.
    return None, last.unreachable


def _claims(observed: Observations, began: float) -> dict[str, SectionSeen]:
    """What the pages of this round claim: who is the active controller, how often ISRs shrank."""
    signals = {node: page.signals for node, page in observed.pages.items()}
    found: dict[str, SectionSeen] = {}
    if any(told.active_controllers is not None for told in signals.values()):
        active = sorted(node for node, told in signals.items() if told.active_controllers)
        found[CONTROLLERS_SECTION] = SectionSeen(body={"active": active}, at=began)
    shrinks = {
        str(node): told.isr_shrinks
        for node, told in sorted(signals.items())
        if told.isr_shrinks is not None
    }
    if shrinks:
        found[ISR_SECTION] = SectionSeen(body={"shrinks": shrinks}, at=began)
    return found


def _extra(
    failures: tuple[SourceFailure, ...], sections: Mapping[str, SectionSeen], now: float
) -> dict[str, dict[str, Any]] | None:
    found: dict[str, dict[str, Any]] = {
        name: {**section.body, "ageSeconds": max(0.0, round(now - section.at, 3))}
        for name, section in sections.items()
    }
    if failures:
        found["collector"] = {"failures": [failure.as_json() for failure in failures]}
    return found or None
