"""Nodes and quorum of a snapshot."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from healthd.collect.assemble_disks import with_log_dirs
from healthd.collect.idle import idle_ratio
from healthd.collect.judge import caught_up
from healthd.collect.observation import (
    ClusterNode,
    ListenerState,
    MetadataSeen,
    Observations,
    PageSeen,
    QuorumSeen,
)
from healthd.collect.state import DAY_SECONDS, LastValues
from healthd.collect.target import ClusterTarget
from healthd.model.snapshot import NO_LEADER, Broker, Quorum, Topics, Voter, holders
from healthd.model.words import Excluded, QuorumMode, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class QuorumNow:
    """The quorum after a round."""

    quorum: Quorum | None
    absent_since: float | None
    leader_seen_at: float | None


def quorum_now(last: LastValues, observed: Observations, now: float) -> QuorumNow:
    """The quorum as last seen, with the time that it has been without an agreed leader.

    Time runs only on evidence: a broker that answers but names no leader, or refused connections
    everywhere. When nobody can be asked the last value stays, and its age tells.
    """
    seen = observed.quorum
    if seen is not None and seen.leader_id != NO_LEADER:
        return QuorumNow(
            quorum=Quorum(
                mode=seen.mode,
                leader_id=seen.leader_id,
                fetch_timeout_ms=seen.fetch_timeout_ms or _known_fetch_timeout(last),
                absent_seconds=0.0,
                voters=_voters(seen, last.quorum),
            ),
            absent_since=None,
            leader_seen_at=now,
        )
    if seen is None and not (observed.nobody_there and last.quorum is not None):
        return QuorumNow(
            quorum=last.quorum,
            absent_since=last.absent_since,
            leader_seen_at=last.leader_seen_at,
        )
    since = last.absent_since
    if since is None:
        since = now if last.leader_seen_at is None else last.leader_seen_at
    before = last.quorum or Quorum(mode=QuorumMode.KRAFT if seen is None else seen.mode)
    voters = before.voters if seen is None or not seen.voters else _voters(seen, last.quorum)
    return QuorumNow(
        quorum=replace(
            before,
            leader_id=NO_LEADER,
            voters=voters,
            # Exactly 0 would say that all is well.
            absent_seconds=max(0.001, round(now - since, 3)),
        ),
        absent_since=since,
        leader_seen_at=last.leader_seen_at,
    )


def _voters(seen: QuorumSeen, before: Quorum | None) -> tuple[Voter, ...]:
    """The voters, those of an ensemble with what a silent server was last seen at."""
    if seen.mode is not QuorumMode.ZOOKEEPER or before is None or before.mode is not seen.mode:
        return seen.voters
    known = {voter.id: voter for voter in before.voters}
    return tuple(
        replace(
            known[voter.id], log_end_offset=voter.log_end_offset or known[voter.id].log_end_offset
        )
        if voter.last_caught_up_ms is None and voter.id in known
        else voter
        for voter in seen.voters
    )


def _known_fetch_timeout(last: LastValues) -> int | None:
    return None if last.quorum is None else last.quorum.fetch_timeout_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What the nodes of one round are made of."""

    target: ClusterTarget
    observed: Observations
    metadata: MetadataSeen | None
    last: LastValues
    listed: frozenset[int]
    down: frozenset[int]
    replica_holders: frozenset[int]
    quorum: Quorum | None
    caught_up: frozenset[int] | None
    """None: not known in this round."""
    metrics_at: Mapping[int, float]
    now: float


def brokers_now(  # Everything that a node is made of, by keyword.
    *,
    target: ClusterTarget,
    observed: Observations,
    metadata: MetadataSeen | None,
    last: LastValues,
    topics: Topics,
    quorum: Quorum | None,
    metrics_at: Mapping[int, float],
    now: float,
) -> tuple[Broker, ...]:
    """All expected nodes by id: configured, alive, holding a replica, or voting."""
    listed = last.listed if metadata is None else frozenset(metadata.brokers)
    # healthd's own topic makes nobody expected: a broker that was emptied may go for good.
    replica_holders = topics.remembered(
        "holders but of the probe",
        None,
        lambda: holders(topic for topic in topics if topic.excluded is not Excluded.PROBE),
    )
    seen = observed.quorum
    facts = _Facts(
        target=target,
        observed=observed,
        metadata=metadata,
        last=last,
        listed=listed,
        down=frozenset() if metadata is not None else _down_by_knocking(observed),
        replica_holders=replica_holders,
        quorum=quorum,
        caught_up=None if seen is None or seen.leader_id == NO_LEADER else caught_up(seen),
        metrics_at=metrics_at,
        now=now,
    )
    voters = () if quorum is None else (voter.id for voter in quorum.voters)
    if quorum is not None and quorum.mode is QuorumMode.ZOOKEEPER:
        # Ids of ZooKeeper servers have nothing to do with those of brokers.
        voters = ()
    expected = {*target.nodes, *listed, *replica_holders, *voters}
    return tuple(_broker(node, facts) for node in sorted(expected))


def _down_by_knocking(observed: Observations) -> frozenset[int]:
    """Brokers whose listener refuses, or is silent while another one answers."""
    counted = {ListenerState.REFUSED}
    if (
        observed.nobody_there
        or observed.any_answered
        or ListenerState.ANSWERED in observed.listeners.values()
    ):
        counted.add(ListenerState.TIMED_OUT)
    return frozenset(node for node, state in observed.listeners.items() if state in counted)


def _broker(node: int, facts: _Facts) -> Broker:
    before = facts.last.brokers.get(node)
    roles = _roles(node, facts) or (None if before is None else before.roles)
    configured = facts.target.nodes.get(node)
    known = (facts.observed.cluster_nodes or {}).get(node)
    address = None if facts.metadata is None else facts.metadata.brokers.get(node)
    hosts = (
        None if configured is None else configured.host,
        None if address is None else address.host,
        None if known is None else known.host,
        None if before is None else before.host,
    )
    racks = (
        None if known is None else known.rack,
        None if configured is None else configured.rack,
        None if before is None else before.rack,
    )
    base = Broker(
        id=node,
        alive=_is_alive(node, roles, before, facts),
        host=next((host for host in hosts if host), None),
        rack=next((rack for rack in racks if rack), None),
        fenced=_is_fenced(node, known, before, facts),
        roles=roles,
    )
    return _with_signals(base, before, facts)


def _roles(node: int, facts: _Facts) -> frozenset[Role] | None:
    quorum = facts.quorum
    if quorum is None or quorum.mode is not QuorumMode.KRAFT or not quorum.voters:
        return None
    is_voter = any(voter.id == node for voter in quorum.voters)
    is_broker = (
        node in facts.listed
        or node in facts.replica_holders
        or node in (facts.observed.cluster_nodes or {})
    )
    if is_voter:
        before = facts.last.brokers.get(node)
        was_broker = before is not None and Role.BROKER in (before.roles or ())
        both = is_broker or was_broker
        if not both and facts.observed.cluster_nodes is None:
            # It may be a combined node that is down: only DescribeCluster, which lists those that
            # registered, tells it from a pure controller.
            return None
        return frozenset({Role.BROKER, Role.CONTROLLER} if both else {Role.CONTROLLER})
    return frozenset({Role.BROKER})


def _is_alive(
    node: int, roles: frozenset[Role] | None, before: Broker | None, facts: _Facts
) -> bool:
    if roles is not None and roles == {Role.CONTROLLER}:
        if facts.caught_up is None:
            return before is not None and before.alive
        return node in facts.caught_up
    return node in facts.listed and node not in facts.down


def _is_fenced(node: int, known: ClusterNode | None, before: Broker | None, facts: _Facts) -> bool:
    if facts.metadata is not None and node in facts.metadata.brokers:
        return False
    if known is not None:
        return known.fenced
    return before is not None and before.fenced and facts.metadata is None


def _with_signals(base: Broker, before: Broker | None, facts: _Facts) -> Broker:
    at = facts.metrics_at.get(base.id)
    age = None if at is None else max(0.0, round(facts.now - at, 3))
    if before is not None:
        base = replace(
            base,
            state=before.state,
            request_handler_idle=before.request_handler_idle,
            disk_used_ratio=before.disk_used_ratio,
            offline_log_dirs=before.offline_log_dirs,
            version=before.version,
        )
    base = replace(base, metrics_age_seconds=age)
    page = facts.observed.pages.get(base.id)
    dirs = facts.observed.log_dirs.get(base.id)
    if page is None:
        return with_log_dirs(base, dirs, None)
    release = facts.observed.releases.get(base.id)
    if page.signals.version is None and release is not None:
        page = replace(page, signals=replace(page.signals, version=release))
    signals = page.signals
    idle = None
    if not base.is_pure_controller:
        combined = _is_combined(base, page, facts)
        idle = idle_ratio(page, facts.last.pages.get(base.id), combined=combined)
    found = replace(
        base,
        state=signals.state or base.state,
        request_handler_idle=base.request_handler_idle if idle is None else idle,
        disk_used_ratio=_either(signals.disk_used_ratio, base.disk_used_ratio),
        offline_log_dirs=base.offline_log_dirs
        if signals.offline_log_dirs is None
        else signals.offline_log_dirs,
        version=_version(signals.version, base.version),
    )
    return with_log_dirs(found, dirs, signals.offline_log_dirs)


def _version(new: str | None, old: str | None) -> str | None:
    """The newer of the two, and of two that say the same release the one that says more."""
    is_same_release = new is not None and (old or "").startswith(f"{new}.")
    return old if new is None or is_same_release else new


def _is_combined(broker: Broker, page: PageSeen, facts: _Facts) -> bool:
    if broker.roles is not None:
        return len(broker.roles) > 1
    mode = None if facts.quorum is None else facts.quorum.mode
    if mode is QuorumMode.ZOOKEEPER or not facts.observed.quorum_configured:
        # There every broker has the controller's gauges, and one pool of request handlers.
        return False
    # In KRaft only controllers have the controller's gauges, and only brokers a broker state.
    return page.signals.active_controllers is not None and page.signals.state is not None


def _either(new: float | None, old: float | None) -> float | None:
    return old if new is None else new


def unclean_elections_now(
    last: LastValues, pages: Mapping[int, PageSeen], now: float
) -> tuple[tuple[float, int], ...] | None:
    """The unclean elections of the last 24 hours with their times; None: nobody tells.

    Every controller publishes the same count: the largest increase counts, never the sum. A count
    that fell was reset by a restart, and what it shows then is new.
    """
    told = False
    largest = 0
    for node, page in pages.items():
        new = page.signals.unclean_elections
        if new is None or new - new != 0:
            continue
        told = True
        before = last.pages.get(node)
        old = None if before is None else before.signals.unclean_elections
        if old is not None:
            largest = max(largest, int(new - old if new >= old else new))
    if not told and last.unclean_elections is None:
        return None
    kept = tuple(
        (at, count) for at, count in last.unclean_elections or () if now - at < DAY_SECONDS
    )
    return (*kept, (now, largest)) if largest else kept
