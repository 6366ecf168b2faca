"""Snapshots of a cluster with a ZooKeeper ensemble, and waves over its servers."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from support.snapshots import NOON, a_broker, a_snapshot
from support.waves import QUICK

from healthd.model.snapshot import ClusterSnapshot, Quorum, Voter
from healthd.model.words import QuorumMode
from healthd.waves import events
from healthd.waves.effects import Step
from healthd.waves.playbook import Playbook, PlaybookTarget, StepKind
from healthd.waves.playbook import Step as PlaybookStep
from healthd.waves.reducer import reduce
from healthd.waves.state import NodeRun, WaveState, WaveStatus

KAFKA_CONTROLLER = 3
"""An id that a server of the ensemble has as well."""


def an_ensemble(
    *, leader: int | None = 1, servers: int = 3, epoch: int = 5, **more: Any
) -> dict[str, Any]:
    """The section of a healthy ensemble; ``s2={...}`` changes a server, None removes a key."""
    changes = {
        int(key[1:]): more.pop(key) for key in [*more] if key[0] == "s" and key[1:].isdigit()
    }
    rows = [
        _server(number, leader, epoch, changes.get(number, {})) for number in range(1, servers + 1)
    ]
    section = {
        "servers": rows,
        "hasMajority": leader is not None,
        "quorumSize": servers,
        "syncedFollowers": sum(row["state"] == "follower" for row in rows),
        "ageSeconds": 0.0,
        **more,
    }
    return {key: value for key, value in section.items() if value is not None}


def _server(
    number: int, leader: int | None, epoch: int, changes: Mapping[str, Any]
) -> dict[str, Any]:
    state = "not-serving" if leader is None else "leader" if number == leader else "follower"
    row = {
        "address": f"zk{number}.example.net:2181",
        "server": number,
        "ownId": number,
        "id": number,
        "state": state,
        "zxid": f"0x{(epoch << 32) + 1000:x}",
        **changes,
    }
    return {key: value for key, value in row.items() if value is not None}


SILENT: Mapping[str, Any] = {"state": "silent", "failure": "refused the connection", "zxid": None}


def kafka_with(
    section: Mapping[str, Any] | None = None, *, at: float = 0.0, **changes: Any
) -> ClusterSnapshot:
    """Four healthy brokers in ZooKeeper mode, on an ensemble."""
    voters = tuple(Voter(id=number, last_caught_up_ms=1) for number in (1, 2, 3))
    ages = dict.fromkeys(a_snapshot().effective_ages, 0.0)
    base = a_snapshot(
        observed_at=NOON + timedelta(seconds=at),
        ages=ages,
        brokers=tuple(a_broker(node) for node in (1, 2, 3, 4)),
        quorum=Quorum(mode=QuorumMode.ZOOKEEPER, leader_id=KAFKA_CONTROLLER, voters=voters),
        extra={"zookeeper": an_ensemble() if section is None else dict(section)},
    )
    return replace(base, **changes)


def ensemble_playbook() -> Playbook:
    """Stop and start of a server."""
    kinds = (StepKind.STOP, StepKind.LEFT, StepKind.START, StepKind.BACK)
    return Playbook(
        name="zookeeper-rolling-restart",
        description="",
        target=PlaybookTarget.ZOOKEEPER,
        steps=tuple(PlaybookStep(name=kind.value, kind=kind, timeout=600.0) for kind in kinds),
    )


def ensemble_wave(*nodes: NodeRun | int, **changes: Any) -> WaveState:
    """A running wave over the servers, 1 to 3 unless given."""
    runs = tuple(
        NodeRun(node=each, history=(("pending", 0.0),)) if isinstance(each, int) else each
        for each in nodes or (1, 2, 3)
    )
    state = WaveState(
        wave="w",
        cluster="payments",
        reason="CHG-1",
        requested_by="ada",
        playbook=ensemble_playbook(),
        policy=QUICK,
        nodes=runs,
        status=WaveStatus.RUNNING,
    )
    return replace(state, **changes)


def saw(
    state: WaveState, at: float, section: Mapping[str, Any] | None = None, **changes: Any
) -> Step:
    """What a snapshot with that ensemble leads to."""
    previous = changes.pop("previous", None)
    event = events.SnapshotSeen(
        at=at,
        snapshot=kafka_with(section, at=at, **changes),
        previous=previous,
        collected_since=at,
        index=100.0,
    )
    return reduce(state, event)


def saw_clean(
    state: WaveState, *, at: float = 200.0, section: Mapping[str, Any] | None = None
) -> Step:
    """The step on which the clean run of `QUICK` is long enough."""
    for earlier in (30.0, 15.0):
        state = saw(state, at - earlier, section).state
    return saw(state, at, section)


def looked(
    state: WaveState,
    node: int,
    at: float,
    section: Mapping[str, Any] | None = None,
    host: events.HostState | None = None,
    **changes: Any,
) -> Step:
    """What the answer of the last look at a server leads to."""
    runs = events.HostState(is_running=True, start="process 1")
    event = events.Confirmed(
        at=at,
        nodes=(node,),
        hosts={node: host or runs},
        snapshot=kafka_with(section, at=at, **changes),
    )
    return reduce(state, event)
