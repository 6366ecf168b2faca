"""What the controllers allow: an active one, and a majority that is caught up.

Judged from the quorum's own evidence, never from `alive` (restart-safety.md section 1).
"""

from collections.abc import Set as AbstractSet

from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.model.snapshot import ClusterSnapshot, Quorum, Voter
from healthd.model.words import BrokerState, QuorumMode, Role
from healthd.safety.acknowledgements import NONE, Acknowledgements

_SPARE_FROM = 3
"""A quorum of fewer voters than this is lost when one of them is away."""


def is_controller_absent(snapshot: ClusterSnapshot) -> bool:
    """Whether the snapshot shows that no controller is active; false when it cannot tell."""
    quorum = snapshot.quorum
    return quorum is not None and (quorum.leader_id == -1 or (quorum.absent_seconds or 0) > 0)


def controller_absent(snapshot: ClusterSnapshot) -> Reason:
    """The reason that names the absence, for a snapshot that shows it."""
    seconds = None if snapshot.quorum is None else snapshot.quorum.absent_seconds
    since = f" for {seconds:g} s" if seconds else ""
    return Reason(
        code=ReasonCode.CONTROLLER_ABSENT,
        object=f"cluster:{snapshot.cluster}",
        detail=f"no controller has been active{since}: a controlled shutdown cannot move leaders",
    )


def unjudgeable(quorum: Quorum) -> str | None:
    """Why nobody can tell who is caught up in a KRaft quorum; None when that can be told."""
    leader = quorum.leader_id
    if leader is None or leader < 0:
        return "the quorum's leader is not known"
    own = next((voter for voter in quorum.voters if voter.id == leader), None)
    if own is None:
        return f"the quorum's leader {leader} is not among its voters"
    if own.last_caught_up_ms is None or own.last_caught_up_ms < 0:
        return f"the time of the quorum's leader {leader} is not known"
    if quorum.fetch_timeout_ms is None:
        return "controller.quorum.fetch.timeout.ms is not known"
    return None


def caught_up(quorum: Quorum, voter: Voter) -> bool:
    """Whether a voter follows the leader closely enough to be counted on; unknown is no."""
    if unjudgeable(quorum) is not None:
        return False
    assert quorum.fetch_timeout_ms is not None
    behind = _behind_ms(quorum, voter)
    return behind is not None and behind < quorum.fetch_timeout_ms


def voters_behind(quorum: Quorum) -> tuple[Voter, ...]:
    """The voters of a KRaft quorum that are not caught up; nobody in ZooKeeper mode."""
    if quorum.mode is not QuorumMode.KRAFT:
        return ()
    return tuple(voter for voter in quorum.voters if not caught_up(quorum, voter))


def behind_text(quorum: Quorum, voter: Voter) -> str:
    """How far a voter is behind, in words."""
    behind = _behind_ms(quorum, voter)
    if behind is None:
        return "it is not known when this voter was last caught up"
    return f"this voter is {behind} ms behind the leader, the limit is {quorum.fetch_timeout_ms} ms"


def quorum_blockers(
    snapshot: ClusterSnapshot,
    brokers: AbstractSet[int],
    acknowledged: Acknowledgements = NONE,
) -> tuple[Reason, ...]:
    """What the quorum has against stopping these nodes together, one reason a voter."""
    quorum = snapshot.quorum
    if quorum is not None and quorum.mode is QuorumMode.ZOOKEEPER:
        # There the voters' ids are those of ZooKeeper servers.
        return ()
    if quorum is None or not quorum.voters:
        return tuple(
            _reason(ReasonCode.QUORUM_UNKNOWN, "a controller, and its quorum was not seen", node)
            for node in _to_be_stopped(snapshot, brokers)
            if Role.CONTROLLER in (snapshot.brokers_by_id[node].roles or ())
        )
    voters = {voter.id for voter in quorum.voters}
    concerned = [node for node in _to_be_stopped(snapshot, brokers) if node in voters]
    if not concerned:
        return ()
    verdict = _verdict(quorum, brokers, acknowledged)
    return tuple(_reason(*verdict, node) for node in concerned) if verdict else ()


def _to_be_stopped(snapshot: ClusterSnapshot, brokers: AbstractSet[int]) -> list[int]:
    # One in state not_running is only started; that takes nothing from the quorum.
    by_id = snapshot.brokers_by_id
    return [
        node
        for node in sorted(brokers)
        if node in by_id and by_id[node].state is not BrokerState.NOT_RUNNING
    ]


def _verdict(
    quorum: Quorum, brokers: AbstractSet[int], acknowledged: Acknowledgements
) -> tuple[ReasonCode, str] | None:
    """The code and detail for every voter among the brokers; None when they may go."""
    unknown = unjudgeable(quorum)
    if unknown is not None:
        return ReasonCode.QUORUM_UNKNOWN, unknown
    voters = quorum.voters
    left = [voter.id for voter in voters if voter.id not in brokers and caught_up(quorum, voter)]
    if len(voters) < _SPARE_FROM:
        if not acknowledged.allow_quorum_without_spare:
            many = "one voter" if len(voters) == 1 else "two voters"
            return ReasonCode.QUORUM_WITHOUT_SPARE, f"a quorum of {many} is lost without this one"
        needed = len(voters) - 1
    else:
        needed = len(voters) // 2 + 1
    if len(left) >= needed:
        return None
    return (
        ReasonCode.WOULD_LOSE_QUORUM,
        f"{len(left)} of {len(voters)} voters would be left caught up, at least {needed} must be",
    )


def _behind_ms(quorum: Quorum, voter: Voter) -> int | None:
    if voter.last_caught_up_ms is None or voter.last_caught_up_ms < 0:
        return None
    for leader in quorum.voters:
        if leader.id == quorum.leader_id and leader.last_caught_up_ms is not None:
            return leader.last_caught_up_ms - voter.last_caught_up_ms
    return None


def _reason(code: ReasonCode, detail: str, node: int) -> Reason:
    return Reason(code=code, object=f"node:{node}", detail=detail)
