"""What one snapshot shows besides the numbers of the index (health-index.md section 3)."""

from collections.abc import Iterable, Iterator, Mapping

from healthd.health.checks import Finding, Objects, named, partitions_at
from healthd.health.freshness import TermAge
from healthd.health.history import History
from healthd.health.partitions import replica_counts
from healthd.health.racks import racks_not_tolerated
from healthd.health.scoring import ScoringProfile
from healthd.health.signals import Signals
from healthd.health.track_findings import track_findings
from healthd.health.versions import versions_in_use
from healthd.health.words import PartitionState, Term
from healthd.model.codes import CheckCode, Severity
from healthd.model.snapshot import Broker, ClusterSnapshot, Topic, remembered
from healthd.model.words import BrokerState, QuorumMode
from healthd.safety.quorum import unjudgeable, voters_behind


def findings(
    snapshot: ClusterSnapshot,
    signals: Signals,
    ages: Mapping[Term, TermAge],
    scoring: ScoringProfile,
    history: History,
    *,
    rack_loss: Severity = Severity.INFO,
) -> Iterator[Finding]:
    """Every finding without a cap that this snapshot may raise."""
    shown = scoring.checks.objects_shown
    yield from track_findings(snapshot, history.tracks, scoring)
    is_quorum_seen = ages[Term.CONTROLLER].is_seen
    if is_quorum_seen:
        yield from _quorum(snapshot, scoring, history)
    if not ages[Term.BROKERS].is_seen:
        return
    yield from _partitions(signals, shown)
    yield from _brokers(snapshot, scoring, history)
    yield from _topics(snapshot, scoring)
    racks = racks_not_tolerated(
        snapshot, is_quorum_seen=is_quorum_seen and snapshot.quorum is not None
    )
    if racks:
        yield Finding(
            code=CheckCode.RACK_LOSS_NOT_TOLERATED,
            severity=rack_loss,
            objects=named("rack", racks, shown),
        )


def capped_finding(
    code: CheckCode, snapshot: ClusterSnapshot, signals: Signals, scoring: ScoringProfile
) -> Finding:
    """The objects and numbers behind an active cap."""
    shown, caps = scoring.checks.objects_shown, scoring.caps
    facts = signals.partitions
    places = {
        CheckCode.PARTITION_OFFLINE: facts.places[PartitionState.OFFLINE],
        CheckCode.INTERNAL_TOPIC_UNAVAILABLE: facts.internal_unavailable,
        CheckCode.PARTITION_UNDER_MIN_ISR: facts.places[PartitionState.UNDER_MIN_ISR],
        CheckCode.PARTITION_AT_MIN_ISR: facts.places[PartitionState.AT_MIN_ISR],
    }
    if code in places:
        return Finding(code=code, objects=partitions_at(places[code], shown))
    if code is CheckCode.BROKER_DOWN:
        return Finding(code=code, objects=named("broker", signals.down_brokers, shown))
    if code is CheckCode.DISK_HIGH:
        return _disks(code, signals, caps.disk_high_from_ratio, shown)
    if code is CheckCode.DISK_CRITICAL:
        return _disks(code, signals, caps.disk_critical_from_ratio, shown)
    return Finding(
        code=code,
        objects=_cluster(snapshot),
        detail=_cluster_detail(code, signals),
    )


def _cluster(snapshot: ClusterSnapshot) -> Objects:
    return Objects(count=1, shown=(f"cluster:{snapshot.cluster}",))


def _cluster_detail(code: CheckCode, signals: Signals) -> str:
    if code is CheckCode.UNCLEAN_ELECTION:
        many = signals.unclean_elections
        return f"{many} unclean leader election{'' if many == 1 else 's'}"
    if code is CheckCode.PROBE_FAILING:
        share = 1 - (signals.success_ratio or 0.0)
        return f"{share:.0%} of the last {signals.probe_attempts} probes failed"
    return f"{signals.controller_absent_seconds or 0:.0f} s"


def _disks(code: CheckCode, signals: Signals, limit_ratio: float, shown: int) -> Finding:
    full = [disk.broker for disk in signals.disks if disk.used_ratio >= limit_ratio]
    return Finding(
        code=code,
        objects=named("broker", full, shown),
        detail=f"{limit_ratio:.0%} full or more (fullest: {signals.disk_used or 0:.1%})",
    )


def _partitions(signals: Signals, shown: int) -> Iterator[Finding]:
    facts = signals.partitions
    for code, severity, places in (
        (
            CheckCode.PARTITION_UNDER_REPLICATED,
            Severity.INFO,
            facts.places[PartitionState.UNDER_REPLICATED],
        ),
        (
            CheckCode.REMOTE_LOG_METADATA_UNAVAILABLE,
            Severity.WARN,
            facts.remote_log_unavailable,
        ),
    ):
        if places:
            yield Finding(code=code, severity=severity, objects=partitions_at(places, shown))


def _brokers(
    snapshot: ClusterSnapshot, scoring: ScoringProfile, history: History
) -> Iterator[Finding]:
    shown = scoring.checks.objects_shown
    alive = _alive(snapshot)
    for code, concerned in (
        (CheckCode.BROKER_RECOVERING, [b.id for b in alive if b.state is BrokerState.RECOVERY]),
        (CheckCode.BROKER_FENCED, [b.id for b in alive if b.fenced]),
        (CheckCode.LOGDIR_OFFLINE, [b.id for b in alive if b.offline_log_dirs]),
    ):
        if concerned:
            yield Finding(
                code=code, severity=Severity.WARN, objects=named("broker", concerned, shown)
            )
    versions = versions_in_use(alive)
    if len(versions) > 1:
        is_old = history.tracks.mixed_versions_seconds >= scoring.checks.mixed_versions_warn_seconds
        yield Finding(
            code=CheckCode.MIXED_VERSIONS,
            severity=Severity.WARN if is_old else Severity.INFO,
            objects=_cluster(snapshot),
            detail=", ".join(f"{major}.{minor}" for major, minor in sorted(versions)),
        )


def _alive(snapshot: ClusterSnapshot) -> list[Broker]:
    return [broker for broker in snapshot.brokers if broker.alive and not broker.is_pure_controller]


def _topics(snapshot: ClusterSnapshot, scoring: ScoringProfile) -> Iterator[Finding]:
    shown = scoring.checks.objects_shown
    rf_one, unknown, too_few = remembered(
        snapshot.topics, "odd topics", None, lambda: _odd_topics(snapshot.topics)
    )
    if rf_one:
        yield Finding(
            code=CheckCode.RF_ONE, severity=Severity.INFO, objects=named("topic", rf_one, shown)
        )
    if unknown:
        yield Finding(
            code=CheckCode.MIN_ISR_UNKNOWN,
            severity=Severity.INFO,
            objects=named("topic", unknown, shown),
        )
    if too_few:
        works_from = scoring.checks.min_isr_above_rf_works_from
        is_older = any(version < works_from for version in versions_in_use(_alive(snapshot)))
        yield Finding(
            code=CheckCode.CONFIG_MINISR_GT_RF,
            severity=Severity.CRIT if is_older else Severity.WARN,
            objects=named("topic", too_few, shown),
            detail=": acks=all always fails on these brokers" if is_older else "",
        )


def _odd_topics(topics: Iterable[Topic]) -> tuple[list[str], list[str], list[str]]:
    """The topics with RF 1, of unknown min.insync.replicas, and with RF below it."""
    rf_one, unknown, too_few = [], [], []
    for topic in topics:
        if topic.excluded is not None:
            continue
        factors = [factor for factor in replica_counts(topic) if factor > 0]
        if 1 in factors:
            rf_one.append(topic.name)
        if topic.min_insync_replicas is None:
            unknown.append(topic.name)
        elif factors and min(factors) < topic.min_insync_replicas:
            too_few.append(topic.name)
    return rf_one, unknown, too_few


def _quorum(
    snapshot: ClusterSnapshot, scoring: ScoringProfile, history: History
) -> Iterator[Finding]:
    quorum = snapshot.quorum
    if quorum is None or quorum.mode is not QuorumMode.KRAFT or unjudgeable(quorum) is not None:
        return
    behind = voters_behind(quorum)
    if not behind:
        return
    has_majority = 2 * (len(quorum.voters) - len(behind)) > len(quorum.voters)
    lost = history.majority_lost
    # Right after an election everybody is behind: one snapshot never proves a lost majority.
    is_lost = (
        not has_majority
        and lost is not None
        and lost.leader_id == quorum.leader_id
        and (snapshot.observed_at - lost.since).total_seconds()
        >= scoring.checks.majority_lost_seconds
    )
    yield Finding(
        code=CheckCode.QUORUM_AT_RISK,
        severity=Severity.CRIT if is_lost else Severity.WARN,
        objects=named("node", [voter.id for voter in behind], scoring.checks.objects_shown),
        detail="" if has_majority else ", and no majority is caught up",
    )
