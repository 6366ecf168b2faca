"""A snapshot as a wave over a ZooKeeper ensemble reads it: the servers are its nodes.

Each server stands there as a pure controller with a voter, so that order, gate and recovery judge
the ensemble by the rules that they have for every quorum: a majority that is caught up has to be
left, one at a time, the leader last. Ids of servers have nothing to do with ids of brokers. What
stands against a wave in the Kafka cluster itself comes as further holds: an ensemble is not
restarted under a cluster that is unwell.

A server is *caught up* when it serves (a follower does so only once it is in sync), its leader
counts as many followers in sync as say that they follow, and it is at most `MOST_BEHIND`
transactions behind. Whatever of this cannot be told leaves the ensemble without a known leader,
and that closes the gate.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from healthd.health.index import index_of
from healthd.health.side.sections import number_in, objects_in, text_in
from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.model.snapshot import Broker, ClusterSnapshot, Quorum, Topics, Voter
from healthd.model.words import EvidenceGroup, QuorumMode, Role
from healthd.safety.gate import snapshot_holds
from healthd.safety.replica_lag import lag_holds
from healthd.safety.trend import changes_between
from healthd.waves.events import Confirmed, Event, SnapshotSeen
from healthd.waves.playbook import PlaybookTarget
from healthd.waves.state import WaveState

SECTION: Final = "zookeeper"
"""Where collected snapshots say how the servers are (`extra`)."""
SAID: Final = "ensemble"
"""Where a projection says by object, in words, why a server or the whole is not as it should be."""
MOST_BEHIND: Final = 1_000
"""Transactions: far more than come between two answers, far less than a server has to fetch anew.
ZooKeeper itself drops a follower only after `syncLimit` ticks without an answer."""
_NOW_MS: Final = 1
"""When every voter that is caught up was so: only whether is known, not when."""
_EPOCH_BITS: Final = 32
_COUNTER: Final = (1 << _EPOCH_BITS) - 1
_WHOLE: Final = ""
"""In `said`, before the cluster's name is known: what is wrong with the ensemble as a whole."""
_EXPLAINED: Final = frozenset({ReasonCode.VOTER_BEHIND, ReasonCode.QUORUM_UNKNOWN})
_LEADS: Final = frozenset({"leader", "standalone"})
_VOTES: Final = frozenset({"leader", "standalone", "follower"})
_OBSERVES: Final = "observer"
_ANSWERED: Final = frozenset({*_VOTES, _OBSERVES, "read-only", "not-serving", "unknown"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Server:
    """One server, as the collector saw it."""

    node: int
    """As the fleet file numbers it; without that, as it calls itself."""
    own_id: int | None
    """Its `myid`; None: it has never said."""
    address: str
    state: str
    zxid: int | None
    failure: str

    @property
    def has_answered(self) -> bool:
        """Whether it said anything of itself."""
        return self.state in _ANSWERED

    @property
    def leads(self) -> bool:
        """Whether it says that it is the leader, or all of its ensemble."""
        return self.state in _LEADS

    @property
    def observes(self) -> bool:
        """Whether it has no vote."""
        return self.state == _OBSERVES

    @property
    def serves(self) -> bool:
        """Whether it takes part in the ensemble."""
        return self.state in _VOTES or self.observes


def as_read(state: WaveState, event: Event) -> Event:
    """The event as the wave reads it: one over an ensemble sees nothing but its servers."""
    if state.playbook.target is not PlaybookTarget.ZOOKEEPER:
        return event
    if isinstance(event, SnapshotSeen):
        before = event.previous
        return replace(
            event,
            snapshot=projected(event.snapshot),
            previous=None if before is None else projected(before),
            holds=(*event.holds, *_beside(state, event.snapshot, before)),
            index_beside=index_of(event.snapshot),
        )
    if isinstance(event, Confirmed) and event.snapshot is not None:
        return replace(
            event,
            snapshot=projected(event.snapshot),
            holds=(*event.holds, *_beside(state, event.snapshot, None)),
            index_beside=index_of(event.snapshot),
        )
    return event


def for_target(target: PlaybookTarget, snapshot: ClusterSnapshot) -> ClusterSnapshot:
    """The snapshot as waves with that target read it."""
    return projected(snapshot) if target is PlaybookTarget.ZOOKEEPER else snapshot


def projected(snapshot: ClusterSnapshot) -> ClusterSnapshot:
    """The ensemble of a cluster as a snapshot: its servers are the nodes, and there are no topics.

    Evidence is as old as it is in the snapshot; that of the quorum at least as old as what the
    servers said.
    """
    section = (snapshot.extra or {}).get(SECTION)
    servers = () if section is None else tuple(_servers(section))
    said: dict[str, str] = {}
    quorum = None if section is None else _quorum(section, servers, said)
    if quorum is not None and (unknown := said.pop(_WHOLE, None)):
        said[f"cluster:{snapshot.cluster}"] = unknown
    return replace(
        snapshot,
        brokers=tuple(sorted((_node(one) for one in servers), key=lambda node: node.id)),
        topics=Topics(()),
        quorum=quorum,
        reassignments=0,
        ages=_ages(snapshot, section),
        extra={SAID: said},
    )


def explained(snapshot: ClusterSnapshot, reasons: tuple[Reason, ...]) -> tuple[Reason, ...]:
    """What a snapshot shows, in words that fit an ensemble where it is the projection of one."""
    said = (snapshot.extra or {}).get(SAID)
    return reasons if said is None else tuple(_explained(said, reasons))


def _explained(said: Mapping[str, str], reasons: Iterable[Reason]) -> Iterator[Reason]:
    for reason in reasons:
        if reason.code is ReasonCode.CONTROLLER_CHANGED:
            words = reason.detail.replace("active controller", "leader of the ensemble")
            yield replace(reason, detail=words)
        elif reason.code in _EXPLAINED and reason.object in said:
            yield replace(reason, detail=said[reason.object])
        else:
            yield reason


def why_not_back(snapshot: ClusterSnapshot, node: int, words: str) -> str:
    """Why a restarted node is not back: the given words, or what its ensemble says of it."""
    said = (snapshot.extra or {}).get(SAID)
    return words if said is None else str(said.get(f"node:{node}", words))


def _beside(
    state: WaveState, snapshot: ClusterSnapshot, previous: ClusterSnapshot | None
) -> Iterator[Reason]:
    """What the projection does not show: how the Kafka cluster is, and who each server is.

    The wave has nothing of the cluster in flight, so nothing of it is the wave's own doing.
    """
    policy = state.policy
    yield from snapshot_holds(snapshot, baseline=policy.baseline)
    yield from lag_holds(snapshot, limit=policy.max_replica_lag_messages, away=frozenset())
    if previous is not None:
        yield from changes_between(previous, snapshot)
    for one in _servers((snapshot.extra or {}).get(SECTION, {})):
        why = _stranger(one)
        if why is not None:
            yield Reason(
                code=ReasonCode.IDENTITY, object=f"node:{one.node}", detail=f"{one.address} {why}"
            )


def _stranger(one: _Server) -> str | None:
    """Why a server is not known to be who the fleet file says; None when it is."""
    if one.own_id is None and one.serves:
        return "does not say its id: allow conf in 4lw.commands.whitelist, or name adminPort"
    if one.own_id not in {None, one.node}:
        return f"says that it is server {one.own_id}, the fleet file says {one.node}"
    return None


def _servers(section: Mapping[str, Any]) -> Iterator[_Server]:
    for row in objects_in(section, "servers"):
        named, own, seen = row.get("server"), row.get("ownId"), row.get("id")
        number = seen if named is None else named
        if isinstance(number, int):
            yield _Server(
                node=number,
                own_id=own if isinstance(own, int) else None,
                address=text_in(row, "address"),
                state=text_in(row, "state"),
                zxid=_zxid(text_in(row, "zxid")),
                failure=text_in(row, "failure"),
            )


def _zxid(text: str) -> int | None:
    try:
        return int(text, 16)
    except ValueError:
        return None


def _node(one: _Server) -> Broker:
    return Broker(
        id=one.node,
        alive=one.has_answered,
        host=one.address.rpartition(":")[0] or None,
        roles=frozenset({Role.CONTROLLER}),
    )


def _quorum(section: Mapping[str, Any], servers: Sequence[_Server], said: dict[str, str]) -> Quorum:
    """The quorum of an ensemble; why a server is behind, or nobody can tell, goes into `said`."""
    # One that does not answer may be an observer; to count it as a voter asks for more.
    voting = sorted((one for one in servers if not one.observes), key=lambda one: one.node)
    leader = next((one for one in voting if one.leads), None)
    unknown = _unjudgeable(section, voting)
    behind = {one.node: why for one in voting if (why := _behind(one, leader)) is not None}
    said |= {f"node:{node}": why for node, why in behind.items()}
    if unknown is not None:
        said[_WHOLE] = unknown
    voters = tuple(
        Voter(
            id=one.node,
            last_caught_up_ms=None if one.node in behind else _NOW_MS,
            log_end_offset=one.zxid,
        )
        for one in voting
    )
    return Quorum(
        # Judged as a KRaft quorum is: ids of voters are those of the nodes.
        mode=QuorumMode.KRAFT,
        leader_id=None if leader is None or unknown is not None else leader.node,
        fetch_timeout_ms=_NOW_MS,
        voters=voters,
    )


def _unjudgeable(section: Mapping[str, Any], voting: Sequence[_Server]) -> str | None:
    """Why nobody can tell who of an ensemble is caught up; None when that can be told."""
    leaders = [one.node for one in voting if one.leads]
    if not leaders:
        lost = section.get("hasMajority") is False
        return "the ensemble has lost its majority" if lost else "no server says that it leads"
    if len(leaders) > 1:
        return f"servers {' and '.join(map(str, leaders))} both say that they lead"
    size, synced = number_in(section, "quorumSize"), number_in(section, "syncedFollowers")
    if size is not None and size > len(voting):
        return f"{size:g} servers vote, and zookeeper.servers of the fleet file names {len(voting)}"
    follow = sum(one.state == "follower" for one in voting)
    if synced is not None and synced < follow:
        return f"{follow} servers say that they follow, the leader has {synced:g} in sync"
    return None


def _behind(one: _Server, leader: _Server | None) -> str | None:
    """Why a server that votes is not caught up; None when it is."""
    if one.leads:
        return None
    if not one.serves:
        if one.has_answered:
            return one.failure or f"it is {one.state}: in no quorum"
        return one.failure or "it does not answer"
    lag = _lag(one, leader)
    if lag > MOST_BEHIND:
        return f"it is {lag:,} transactions behind the leader, the limit is {MOST_BEHIND:,}"
    return None


def _lag(one: _Server, leader: _Server | None) -> int:
    """Transactions behind the leader, as far as both say where they are.

    A follower has the leader's epoch from the first transaction in it on: before that it lacks
    what the leader has counted since.
    """
    if one.zxid is None or leader is None or leader.zxid is None:
        return 0
    if one.zxid >> _EPOCH_BITS == leader.zxid >> _EPOCH_BITS:
        return max(0, leader.zxid - one.zxid)
    return leader.zxid & _COUNTER if one.zxid < leader.zxid else 0


def _ages(
    snapshot: ClusterSnapshot, section: Mapping[str, Any] | None
) -> dict[EvidenceGroup, float | None]:
    """How old the evidence is: as in the snapshot, and what the servers said as old as it is."""
    ages = {
        group: None if math.isinf(age) else age for group, age in snapshot.effective_ages.items()
    }
    if section is None:
        return ages | {EvidenceGroup.QUORUM: None}
    own = number_in(section, "ageSeconds") or 0.0
    known = ages.get(EvidenceGroup.QUORUM, own)
    return ages | {EvidenceGroup.QUORUM: None if known is None else max(own, known)}
