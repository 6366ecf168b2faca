"""Whether what a source said may be believed in this round.

In KRaft a cluster without an active controller goes on answering with metadata that has frozen
(tried: two of three nodes killed, the third listed all three with full ISRs). So metadata counts as
seen only while the quorum has a leader, and only from a broker that is caught up.
"""

from dataclasses import dataclass, replace
from typing import Final

from healthd.collect.observation import (
    FailureReason,
    ListenerState,
    MetadataSeen,
    Observations,
    Origin,
    QuorumSeen,
    Source,
    SourceFailure,
)
from healthd.collect.quorum import DEFAULT_FETCH_TIMEOUT_MS
from healthd.collect.rights import DESCRIBE_TOPICS
from healthd.collect.state import LastValues
from healthd.model.snapshot import NO_LEADER
from healthd.model.words import QuorumMode

HIDDEN_ROUNDS: Final = 2
"""A shortfall of topics counts from the second round on: a topic that has just been created is
counted by the controller before every broker lists it."""


SILENT_ROUNDS: Final = 2
"""No answer to who leads means "nobody" from the second round on: one may be a slow moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What of this round counts."""

    metadata: MetadataSeen | None
    """None: it does not count as seen, and its age runs on."""
    failures: tuple[SourceFailure, ...] = ()
    hidden_rounds: int = 0


def caught_up(quorum: QuorumSeen) -> frozenset[int]:
    """Voters and observers whose lag behind the leader is below the fetch time-out."""
    times = {
        voter.id: voter.last_caught_up_ms
        for voter in quorum.voters
        if voter.last_caught_up_ms is not None
    }
    newest = times.get(quorum.leader_id)
    if newest is None or newest < 0:
        return frozenset()
    limit = quorum.fetch_timeout_ms or DEFAULT_FETCH_TIMEOUT_MS
    return frozenset(
        node
        for node, own in {**quorum.observers, **times}.items()
        if own >= 0 and newest - own < limit
    ) | {quorum.leader_id}


def with_inferred_quorum(observed: Observations, last: LastValues) -> tuple[Observations, int]:
    """The observations with "no leader" where silence says so, and the rounds of such silence.

    A broker that answers other requests forwards the question who leads to the active controller:
    when that runs into its limit there is none that it could reach. A frozen broker is silent to
    everything, and says nothing of the kind.
    """
    if observed.quorum is not None:
        return observed, 0
    answering = {
        node for node, state in observed.listeners.items() if state is ListenerState.ANSWERED
    }
    if observed.metadata is not None:
        answering.add(observed.metadata.answered_by)
    telling = sorted(observed.quorum_silent & answering)
    if not telling:
        return observed, 0
    rounds = last.silent_rounds + 1
    if rounds < SILENT_ROUNDS:
        return observed, rounds
    names = ", ".join(str(node) for node in telling)
    failure = SourceFailure(
        source=Source.QUORUM,
        origin=Origin.THEIRS,
        reason=FailureReason.NO_LEADER,
        detail=f"No active controller: broker {names} answers, but cannot say who leads.",
    )
    kept = tuple(one for one in observed.failures if one.source is not Source.QUORUM)
    return (
        replace(observed, quorum=QuorumSeen(leader_id=NO_LEADER), failures=(*kept, failure)),
        rounds,
    )


def judge(observed: Observations, last: LastValues) -> Judgement:
    """Which of the metadata of this round counts as seen."""
    metadata = observed.metadata
    if metadata is None:
        return Judgement(metadata=None, hidden_rounds=last.hidden_rounds)
    hidden = _shortfall(observed, metadata)
    rounds = 0 if hidden is None else last.hidden_rounds + 1
    failure = _distrust(observed, metadata)
    if failure is None and hidden is not None and rounds >= HIDDEN_ROUNDS:
        failure = hidden
    if failure is None and hidden is None:
        failure = _unproven(observed, metadata, last)
    if failure is not None:
        return Judgement(metadata=None, failures=(failure,), hidden_rounds=rounds)
    return Judgement(metadata=metadata, hidden_rounds=rounds)


def _distrust(observed: Observations, metadata: MetadataSeen) -> SourceFailure | None:
    if metadata.listeners_missing:
        names = ", ".join(f"{topic}-{at}" for topic, at in metadata.hidden_listeners)
        return _failure(
            Origin.OURS,
            FailureReason.LISTENER_NOT_FOUND,
            f"{metadata.listeners_missing} partitions ({names}, ...) have a leader without a "
            "listener of the kind that healthd is on: connect through a listener that all have.",
        )
    if not observed.quorum_configured:
        return None
    quorum = observed.quorum
    if quorum is None:
        return _failure(
            Origin.OURS,
            FailureReason.QUORUM_UNKNOWN,
            "Metadata was read, but whether the quorum has a leader is unknown: it may be frozen.",
        )
    if quorum.leader_id == NO_LEADER:
        return _failure(
            Origin.THEIRS,
            FailureReason.NO_LEADER,
            "Metadata is frozen: the quorum has no leader.",
        )
    if quorum.mode is QuorumMode.ZOOKEEPER:
        return _stale_in_zookeeper(quorum, metadata)
    if metadata.answered_by not in caught_up(quorum):
        return _failure(
            Origin.THEIRS,
            FailureReason.NOT_CAUGHT_UP,
            f"Metadata came from broker {metadata.answered_by}, which is not caught up with the "
            f"quorum's leader {quorum.leader_id}.",
        )
    return None


def _stale_in_zookeeper(quorum: QuorumSeen, metadata: MetadataSeen) -> SourceFailure | None:
    """Why metadata is older than what ZooKeeper knows of the brokers; None when it is not.

    The controller tells each broker who is alive; one that it no longer reaches, or that has lost
    its session, goes on answering with what it was told last.
    """
    registered = quorum.registered
    if registered is None:
        return None
    if metadata.answered_by not in registered:
        return _failure(
            Origin.THEIRS,
            FailureReason.NOT_CAUGHT_UP,
            f"Metadata came from broker {metadata.answered_by}, which has no session in ZooKeeper.",
        )
    dead = sorted(metadata.brokers.keys() - registered)
    if dead:
        names = ", ".join(str(node) for node in dead)
        return _failure(
            Origin.THEIRS,
            FailureReason.NOT_CAUGHT_UP,
            f"Metadata of broker {metadata.answered_by} is older than ZooKeeper: it still lists "
            f"broker {names}.",
        )
    # While a cluster moves to KRaft no broker is controller, and metadata names any of them.
    if quorum.leader_id in registered and metadata.controller not in {None, quorum.leader_id}:
        return _failure(
            Origin.THEIRS,
            FailureReason.NOT_CAUGHT_UP,
            f"Metadata of broker {metadata.answered_by} names broker {metadata.controller} as "
            f"controller, ZooKeeper names {quorum.leader_id}: it was not told yet.",
        )
    return None


def _shortfall(observed: Observations, metadata: MetadataSeen) -> SourceFailure | None:
    # Only the active controller's counts are used, and only pages of this very round.
    counts = [
        page.signals for page in observed.pages.values() if page.signals.active_controllers == 1
    ]
    topics = max((found.global_topics or 0 for found in counts), default=0)
    partitions = max((found.global_partitions or 0 for found in counts), default=0)
    if topics <= len(metadata.topics) and partitions <= metadata.partition_count:
        return None
    return _failure(
        Origin.OURS,
        FailureReason.TOPICS_HIDDEN,
        f"Metadata shows {len(metadata.topics)} topics and {metadata.partition_count} partitions, "
        f"the controller counts {topics} and {partitions}: grant {DESCRIBE_TOPICS}.",
    )


def _unproven(
    observed: Observations, metadata: MetadataSeen, last: LastValues
) -> SourceFailure | None:
    """That topics may be hidden, where nobody counts them and the user may not describe all."""
    pages = {**last.pages, **observed.pages}.values()
    is_counted = any(page.signals.global_topics is not None for page in pages)
    if is_counted or observed.describes_every_topic is not False:
        return None
    return _failure(
        Origin.OURS,
        FailureReason.TOPICS_HIDDEN,
        f"Metadata shows {len(metadata.topics)} topics, and whether these are all is unknown: "
        f"grant {DESCRIBE_TOPICS} and remove rules that forbid it (healthd doctor names them), or "
        "configure exporters, whose controller counts them.",
    )


def _failure(origin: Origin, reason: FailureReason, detail: str) -> SourceFailure:
    return SourceFailure(source=Source.METADATA, origin=origin, reason=reason, detail=detail)
