"""What must hold for every rehearsal, and at every moment of one."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from healthd.rehearsal.daemon import Daemon
from healthd.rehearsal.world import World
from healthd.waves.state import IN_FLIGHT, NodeStatus

Document = dict[str, Any]
Result = dict[str, Any]

HURTS_A_BROKER = {"broker_crash", "broker_frozen", "broker_fenced", "voter_behind"}
MAY_FAIL_A_RESTART = {
    "broker_crash", "broker_frozen", "broker_fenced", "slow_start", "slow_catch_up", "start_fails",
    "host_unreachable", "log_recovery", "command_hangs", "answer_lost", "not_restarted",
    "voter_behind", "controller_moves",
}  # fmt: skip
"""With one of these a node may be given up, and be taken once more when somebody asks for it."""
CHANGES_THE_CLUSTER = {
    *HURTS_A_BROKER, "slow_catch_up", "reassignment", "topic_created", "controller_moves",
    "log_recovery", "slow_start", "start_fails", "host_unreachable", "command_hangs", "answer_lost",
    "not_restarted",
}  # fmt: skip
"""With one of these a partition may lose a replica between the last look and the stop."""
CLOSES_NO_GATE = {"daemon_killed", "resume", "retry", "clock_jump"}
KEEPS_IT_DOWN = {"start_fails", "host_unreachable", "command_hangs", "not_restarted", "answer_lost"}
"""With one of these its starts may fail for longer than `startTimeoutSeconds`: it is given up."""
ACCEPTED_TOPICS = {"single", "tight"}
"""Topics that the policy lets go offline or under min.insync.replicas."""


def broken(document: Document, result: Result, kills: Mapping[int, float]) -> list[str]:
    """What the rehearsal broke, in words; empty when everything held.

    Args:
        document: the rehearsal's.
        result: what it printed.
        kills: at which journal writes the daemon died beside the document's faults.
    """
    faults = document.get("faults", [])
    kinds = {row["fault"] for row in faults}
    found = [
        f"{row['rule']}: broker {row['broker']} at {row['t']}: {row['detail']}"
        for row in result["violations"]
    ]
    found += _end(document, result, kinds, is_killed=bool(kills))
    found += _restarts(document, result, faults)
    found += _at_a_time(document, result, kinds)
    found += _harm(document, result, kinds)
    found += _reasons(result)
    return found


def _crashed(result: Result) -> set[int]:
    """Nodes that a crash which is not over has down when the wave ends: not by our doing."""
    crashed: set[int] = set()
    for row in result["events"]:
        if row["event"] == "fault" and row["fault"] == "broker_crash":
            (crashed.add if row["state"] == "began" else crashed.discard)(row["broker"])
    return crashed


def _end(document: Document, result: Result, kinds: set[str], *, is_killed: bool) -> list[str]:
    """When all is healthy the wave ends, and nobody is given up without a cause."""
    found = []
    outcome = result["outcome"]
    allowed = {"succeeded"}
    is_killed = is_killed or bool(kinds & {"daemon_killed", "lease_stolen"})
    is_closed = bool(kinds - CLOSES_NO_GATE) or _may_wait_for_a_window(document)
    # After a crash an unsure stop waits for the open gate, and for `stopTimeoutSeconds` at most.
    may_fail = bool(kinds & MAY_FAIL_A_RESTART) or (is_killed and is_closed)
    if may_fail:
        allowed.add("failed")
    if "abort" in kinds:
        allowed.add("aborted")
    if _may_wait_for_a_window(document):
        allowed |= {"running", "holding", "paused"}
    if outcome not in allowed:
        found.append(f"all is healthy and the wave is {outcome}")
    excused = {row["broker"] for row in document["faults"] if row["fault"] in KEEPS_IT_DOWN}
    given_up = {node for node in excused if _last_state(result, node) == "failed"}
    left = [node for node in result["down"] if node not in given_up | _crashed(result)]
    if left:
        found.append(f"left stopped: {left}")
    if not may_fail:
        found += [
            f"node {event['broker']} failed at {event['t']}, and nothing was wrong with it"
            for event in result["events"]
            if event["event"] == "broker" and event["state"] == "failed"
        ]
    return found


def _last_state(result: Result, node: int) -> str:
    states = [
        event["state"]
        for event in result["events"]
        if event["event"] == "broker" and event["broker"] == node
    ]
    return states[-1] if states else "pending"


def _may_wait_for_a_window(document: Document) -> bool:
    return bool(document["wave"].get("policy", {}).get("windows"))


def _restarts(document: Document, result: Result, faults: list[Document]) -> list[str]:
    """Nobody is restarted twice but for a fault of its own, or because somebody asked."""
    hurt = Counter(
        row["broker"] for row in faults if row["fault"] in MAY_FAIL_A_RESTART and "broker" in row
    )
    found = [
        f"node {node} was restarted {times} times"
        for node, times in result["restarts"].items()
        if times > 1 + hurt[int(node)]
    ]
    is_left_out = any(row["fault"] in {"skip", "abort"} for row in faults)
    if result["outcome"] == "succeeded" and not hurt and not is_left_out:
        found += [
            f"the wave succeeded, and node {node} was never restarted"
            for node, times in result["restarts"].items()
            if not times
        ]
    return found


def _at_a_time(document: Document, result: Result, kinds: set[str]) -> list[str]:
    limit = document["wave"].get("concurrency", 1)
    if limit == "safe":
        return []
    repaired = bool(kinds & MAY_FAIL_A_RESTART)
    most = limit + (1 if repaired else 0)
    if result["maxInFlight"] > most and not repaired:
        return [f"{result['maxInFlight']} were in flight, {limit} at most are allowed"]
    return []


def _harm(document: Document, result: Result, kinds: set[str]) -> list[str]:
    names = {topic["name"] for topic in document["snapshot"]["topics"]}
    if kinds & CHANGES_THE_CLUSTER or names & ACCEPTED_TOPICS:
        return []
    return [
        f"{column} is {result[column]}, and nothing but sources and the daemon failed"
        for column in ("causedUnderMinIsrPartitionSeconds", "causedOfflinePartitionSeconds")
        if result[column]
    ]


def _reasons(result: Result) -> list[str]:
    return [
        f"a closed gate at {event['t']} that names nothing"
        for event in result["events"]
        if event["event"] == "gate" and event["state"] == "closed"
        if not event["reasons"] or not all(reason["object"] for reason in event["reasons"])
    ]


# --- At every moment, for a state machine --------------------------------------------------------


def now(daemon: Daemon) -> list[str]:
    """What is broken at this moment."""
    found = [f"{row['rule']}: {row['detail']}" for row in daemon.oracle.violations]
    state = daemon.state
    found += [f"{hold.reason} names no object" for hold in state.holds if not hold.reason.object]
    for run in state.nodes:
        is_promised = run.start_effect is None or daemon.keeping.is_intended(run.start_effect)
        if run.status is NodeStatus.STOPPING and run.attempt and not is_promised:
            found.append(f"{run.node} is being stopped, and its start is not on disk")
    in_flight = [run.node for run in state.having(IN_FLIGHT) if not run.repair]
    if state.concurrency is not None and len(in_flight) > state.concurrency + 1:
        found.append(f"{in_flight} are in flight")
    return found


def at_last(daemon: Daemon, faults: list[Document]) -> list[str]:
    """What is broken when all is healthy and somebody has looked after the wave."""
    excused = {row.get("broker") for row in faults if row["fault"] in KEEPS_IT_DOWN}
    state, found = daemon.state, []
    if not state.status.has_ended:
        found.append(f"all is healthy and the wave is {state.status.value}")
    given_up = {run.node for run in state.having({NodeStatus.FAILED})}
    left = [node for node in daemon.world.cluster.down() if node not in given_up & excused]
    if left:
        found.append(f"left stopped: {left}")
    return found


def harm(document: Document, world: World) -> list[str]:
    """Partitions that the wave took under min ISR or offline, but for what its policy accepts."""
    if {topic["name"] for topic in document["snapshot"]["topics"]} & ACCEPTED_TOPICS:
        return []
    done = world.cluster.replication.harm
    return [f"under min ISR by the wave: {done.names}"] if done.names else []
