"""Whatever the servers of an ensemble say: one is stopped at a time, and a majority stays."""

from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st
from support.ensembles import an_ensemble, ensemble_wave, kafka_with, looked, saw_clean
from support.waves import a_run

from healthd.safety.ok_to_stop import ok_to_stop
from healthd.waves.effects import Confirm, StopService
from healthd.waves.ensemble import MOST_BEHIND, projected
from healthd.waves.state import NodeStatus, WaveState

STATES = ("leader", "follower", "observer", "silent", "not-serving")
SERVES = {"leader", "follower"}
EPOCH = (5 << 32) + 10_000


@st.composite
def sections(draw: st.DrawFn, servers: int) -> dict[str, Any]:
    """What that many servers may say: most of them are well, as a rule."""
    numbers = st.integers(1, servers)
    leader = draw(numbers)
    states = {n: "leader" if n == leader else "follower" for n in range(1, servers + 1)}
    for number in draw(st.sets(numbers, max_size=2)):
        states[number] = draw(st.sampled_from(STATES))
    behind = draw(
        st.dictionaries(numbers, st.sampled_from([MOST_BEHIND, MOST_BEHIND + 1]), max_size=1)
    )
    rows: dict[str, Any] = {}
    for number, state in states.items():
        says = state not in {"silent", "not-serving"}
        less = 0 if state == "leader" else behind.get(number, 0)
        rows[f"s{number}"] = {"state": state, "zxid": f"0x{EPOCH - less:x}" if says else None}
    follow = sum(state == "follower" for state in states.values())
    return an_ensemble(
        servers=servers,
        quorumSize=draw(st.sampled_from([None, servers, servers, servers + 2])),
        syncedFollowers=draw(st.sampled_from([None, follow, follow, max(0, follow - 1)])),
        **rows,
    )


@st.composite
def waves(draw: st.DrawFn, servers: int) -> WaveState:
    """A wave over some of the servers, of which one may be in flight."""
    statuses = draw(
        st.lists(
            st.sampled_from([None, NodeStatus.PENDING, NodeStatus.PENDING, NodeStatus.DONE]),
            min_size=servers,
            max_size=servers,
        )
    )
    runs = [
        number if status is NodeStatus.PENDING else a_run(number, status)
        for number, status in enumerate(statuses, start=1)
        if status is not None
    ]
    concurrency = draw(st.sampled_from([1, 2, None]))
    return ensemble_wave(*(runs or [1]), concurrency=concurrency)


def modes(section: dict[str, Any]) -> dict[int, str]:
    return {row["server"]: row["state"] for row in section["servers"]}


@given(data=st.data(), servers=st.sampled_from([3, 4, 5]))
def test_a_stop_leaves_a_majority_that_serves_and_never_takes_the_leader_early(
    data: st.DataObject, servers: int
) -> None:
    wave = data.draw(waves(servers))
    before = data.draw(sections(servers))
    chosen = saw_clean(wave, section=before)
    confirm = next((each for each in chosen.effects if isinstance(each, Confirm)), None)
    if confirm is None:
        event("nobody was chosen")
        return
    now = data.draw(st.one_of(st.just(before), sections(servers)))
    (node,) = confirm.nodes
    step = looked(chosen.state, node, 201.0, now)
    stops = [each.node for each in step.effects if isinstance(each, StopService)]
    event(f"{len(stops)} stopped")
    if not stops:
        return
    assert stops == [node]
    said = modes(now)
    leaders = [number for number, state in said.items() if state == "leader"]
    assert len(leaders) == 1
    voting = [number for number, state in said.items() if state != "observer"]
    left = [number for number in voting if said[number] in SERVES and number != node]
    assert len(left) > len(voting) // 2
    assert (now.get("quorumSize") or 0) <= len(voting)
    if node in leaders:
        others = {run.node for run in wave.having({NodeStatus.PENDING})} - {node}
        assert not others, "a follower of the wave was still to come"


@given(data=st.data(), servers=st.sampled_from([3, 4, 5]))
def test_servers_that_may_go_together_always_leave_a_majority(
    data: st.DataObject, servers: int
) -> None:
    section = data.draw(sections(servers))
    away = data.draw(st.sets(st.integers(1, servers), min_size=1))
    said = modes(section)
    if ok_to_stop(projected(kafka_with(section)), away):
        return
    voting = [number for number, state in said.items() if state != "observer"]
    if away & set(voting):
        left = [n for n in voting if said[n] in SERVES and n not in away]
        assert len(left) > len(voting) // 2
