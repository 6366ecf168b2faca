"""What must never happen in a wave, judged from outside: from the model and from what was seen.

Nothing here asks healthd's own gate: each rule of restart-safety.md is written once more.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from healthd.model.snapshot import ClusterSnapshot
from healthd.model.words import BrokerState, EvidenceGroup, Role
from healthd.rehearsal.breakage import broken_partitions, broken_quorum
from healthd.rehearsal.story import seconds
from healthd.waves import effects
from healthd.waves.state import BETWEEN_STOP_AND_START, IN_FLIGHT, NodeRun, NodeStatus, WaveState

if TYPE_CHECKING:
    from healthd.rehearsal.daemon import Daemon


_NOT_WELL = frozenset(
    {
        BrokerState.STARTING,
        BrokerState.RECOVERY,
        BrokerState.PENDING_CONTROLLED_SHUTDOWN,
        BrokerState.SHUTTING_DOWN,
        BrokerState.NOT_RUNNING,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How things stand before an event that may lead to a stop."""

    changed_at: float = 0.0
    """When the wave last changed a broker."""
    may_stop: bool = True


class Oracle:
    """Looks over the shoulder of a wave over a model cluster."""

    def __init__(self, daemon: "Daemon") -> None:
        self._daemon = daemon
        self.violations: list[dict[str, Any]] = []
        self.changed_at = 0.0
        """When the wave last changed a broker, or began its soak."""
        self.standing = Standing()
        """How things stood before the event that is handled now."""
        self._seen: ClusterSnapshot | None = None
        self._seen_times: list[float] = []
        self._trouble_at = 0.0
        """When a snapshot last showed something that is not the wave's own doing."""

    # --- What it is told ---------------------------------------------------------------------

    def before_event(self) -> None:
        """Remember how things stood before the event that may lead to a stop."""
        state = self._daemon.state
        self.standing = Standing(
            changed_at=self.changed_at,
            may_stop=not state.is_paused or bool(state.having({NodeStatus.STOPPING})),
        )

    def changed(self, before: WaveState, after: WaveState) -> None:
        """Note when the wave changed a broker."""
        was = {run.node: run.status for run in before.nodes}
        if any(run.status in IN_FLIGHT and was[run.node] is not run.status for run in after.nodes):
            self.changed_at = self._daemon.agenda.now

    def saw(self, seen: ClusterSnapshot) -> None:
        """Note a snapshot, and whether it shows trouble that is not this wave's own."""
        now = self._daemon.agenda.now
        self._seen = seen
        if not self._is_quiet(seen):
            self._trouble_at = now
            self._seen_times.clear()
        self._seen_times.append(now)

    # --- What it judges ----------------------------------------------------------------------

    def after_event(self) -> None:
        """Judge the state that an event led to."""
        state = self._daemon.state
        taken = [run.node for run in state.having(BETWEEN_STOP_AND_START) if not run.repair]
        if state.concurrency is not None and len(taken) > state.concurrency:
            self._violated("concurrency", None, f"{taken} are between stop and start at one time")
        voters = [node for node in taken if self._is_controller(node)]
        if len(voters) > 1:
            self._violated("controllers", None, f"controllers {voters} are taken at one time")
        for hold in state.holds:
            if not hold.reason.object:
                self._violated("reason", None, f"{hold.reason} names no object")

    def check_start(self, command: effects.Command) -> None:
        """Judge a start right before it is carried out."""
        state = self._daemon.state
        run = state.node(command.node)
        others = state.having({NodeStatus.STOPPING})
        self._check_intent(command.node, command.effect_id)
        is_first = run is not None and run.starting_since == state.clock
        if run is not None and run.repair and is_first and others and _is_only_started(run):
            # One that the wave has stopped is started whatever else goes on.
            detail = f"it is repaired while {others[0].node} is being stopped"
            self._violated("repair", command.node, detail)

    def check_step(self, command: effects.RunStep) -> None:
        """Judge a step of the playbook right before it is sent."""
        self._check_intent(command.node, command.effect_id)
        run = self._daemon.state.node(command.node)
        if run is not None and run.status in {NodeStatus.STOPPING, NodeStatus.STARTING}:
            detail = f"step {command.step} is sent while it is {run.status.value}"
            self._violated("step", command.node, detail)

    def check_stop(self, command: effects.StopService) -> None:
        """Judge a stop right before it is carried out."""
        node, run = command.node, self._daemon.state.node(command.node)
        self._check_intent(node, command.effect_id)
        self._check_intent(node, command.start_effect_id)
        it, seen = self._daemon.world.cluster.nodes[node], self._seen
        if run is None or seen is None:
            self._violated("evidence", node, "it is stopped out of nothing")
            return
        if it.runs and str(it.starts) != run.started_before:
            detail = f"process {it.starts} is stopped, meant was {run.started_before}"
            self._violated("process", node, detail)
        if not self.standing.may_stop:
            self._violated("pause", node, "it is stopped while the wave is paused")
        self._check_quorum(node, seen)
        if not self._daemon.state.overrides:
            # A second person has answered for what is seen; never for partitions and the quorum.
            self._check_evidence(node, seen)
            self._check_time(node, seen)
        if not run.repair:
            self._check_partitions(node, seen)
            if run.attempt == 1:
                self._check_turn(node, seen)

    def _check_intent(self, node: int, effect_id: str) -> None:
        if not self._daemon.keeping.is_intended(effect_id):
            self._violated("journal", node, f"{effect_id} is carried out, and is not on disk")

    def _check_evidence(self, node: int, seen: ClusterSnapshot) -> None:
        limit = 2 * seen.interval_seconds
        for group, age in seen.effective_ages.items():
            if age > limit:
                self._violated("evidence", node, f"it is stopped on {group} seen {age:g} s ago")
        away = self._own(seen)
        for broker in seen.brokers:
            if broker.id in away or broker.is_pure_controller:
                continue
            if not broker.alive:
                self._violated("presence", node, f"it is stopped while {broker.id} is down")
            elif broker.state in _NOT_WELL:
                detail = f"it is stopped while {broker.id} is {broker.state.value}"
                self._violated("presence", node, detail)
            elif (broker.metrics_age_seconds or 0.0) > limit:
                seconds_ago = f"{broker.metrics_age_seconds:g}"
                detail = f"it is stopped on metrics of {broker.id} seen {seconds_ago} s ago"
                self._violated("evidence", node, detail)
        if any(topic.adding or topic.removing for topic in seen.topics):
            self._violated("still", node, "it is stopped while a reassignment is under way")

    def _check_quorum(self, node: int, seen: ClusterSnapshot) -> None:
        """What votes and follows closely without the nodes in flight stays a majority."""
        broken = broken_quorum(seen, node, self._daemon.state.in_flight | {node})
        if broken is not None:
            self._violated("quorum", node, broken)

    def _check_time(self, node: int, seen: ClusterSnapshot) -> None:
        """Clean time since the last change, the last trouble and the daemon's start."""
        policy, now = self._daemon.state.policy, self._daemon.agenda.now
        since = max(self.standing.changed_at, self._trouble_at, self._daemon.born)
        many = sum(at >= since for at in self._seen_times)
        if now - since < policy.clean_seconds or many < policy.clean_snapshots:
            detail = f"it is stopped after {now - since:.1f} s and {many} snapshots"
            self._violated("clean", node, detail)
        oldest = now - max(seen.effective_ages.values())
        if oldest < self.standing.changed_at:
            self._violated("evidence", node, "it is stopped on what was seen before a change")

    def _check_turn(self, node: int, seen: ClusterSnapshot) -> None:
        """Controllers before brokers, and the active one is their last that can be stopped."""
        brokers = seen.brokers_by_id
        waiting = [
            run.node
            for run in self._daemon.state.having({NodeStatus.PENDING})
            if self._is_controller(run.node) and not brokers[run.node].is_down
        ]
        if self._is_controller(node):
            is_active = seen.quorum is not None and seen.quorum.leader_id == node
            waiting = [each for each in waiting if is_active and not self._is_blocked(each, seen)]
        if waiting:
            self._violated("order", node, f"it is stopped before the controllers {waiting}")

    def _is_blocked(self, node: int, seen: ClusterSnapshot) -> bool:
        """Whether a node is passed over in its group: it cannot be stopped even by itself."""
        alone, policy = frozenset({node}), self._daemon.state.policy
        if seen.brokers_by_id[node].state is BrokerState.RECOVERY:
            return True
        if any(broken_partitions(seen, node, alone, policy)):
            return True
        return broken_quorum(seen, node, alone) is not None

    def _check_partitions(self, node: int, seen: ClusterSnapshot) -> None:
        """No partition goes below its floor by the stop, given what was known."""
        gone = self._daemon.state.in_flight | {node}
        for name in broken_partitions(seen, node, gone, self._daemon.state.policy):
            self._violated("partition", node, f"{name} goes under min ISR by its stop")

    # --- What it knows -----------------------------------------------------------------------

    def _is_quiet(self, seen: ClusterSnapshot) -> bool:
        limit = 2 * seen.interval_seconds
        away = self._own(seen)
        if seen.quorum is not None and seen.quorum.leader_id == -1:
            return False
        # Configs may be older: they are read again right before a stop.
        for group, age in seen.effective_ages.items():
            if age > limit and group is not EvidenceGroup.CONFIGS:
                return False
        for each in seen.brokers:
            if not each.alive and not each.is_pure_controller and each.id not in away:
                return False
        return not any(self._missing_elsewhere(seen, away))

    def _missing_elsewhere(self, seen: ClusterSnapshot, away: frozenset[int]) -> Iterator[bool]:
        baseline = frozenset(self._daemon.state.policy.baseline)
        for topic in seen.topics:
            if topic.isrs == topic.replicas or topic.excluded == "deleting":
                continue
            for at, (replicas, isr) in enumerate(zip(topic.replicas, topic.isrs, strict=True)):
                if replicas is isr or topic.label(at) in baseline:
                    continue
                adding = topic.adding.get(at, frozenset())
                yield not set(replicas) - set(isr) - adding <= away

    def _own(self, seen: ClusterSnapshot) -> frozenset[int]:
        """What is in flight, and the nodes of this wave that wait for repair."""
        brokers = seen.brokers_by_id
        repairs = {
            run.node
            for run in self._daemon.state.nodes
            if run.status is NodeStatus.PENDING
            and run.node in brokers
            and (brokers[run.node].is_down or brokers[run.node].state == "not_running")
        }
        return self._daemon.state.in_flight | repairs

    def _is_controller(self, node: int) -> bool:
        """Whether a node votes, or is configured to."""
        it = self._daemon.world.cluster.nodes.get(node)
        roles = None if it is None or it.given is None else it.given.roles
        return it is not None and (it.is_voter or Role.CONTROLLER in (roles or ()))

    def _violated(self, rule: str, broker: int | None, detail: str) -> None:
        self.violations.append(
            {
                "t": seconds(self._daemon.agenda.now),
                "rule": rule,
                "broker": broker,
                "detail": detail,
            }
        )


def _is_only_started(run: NodeRun) -> bool:
    """Whether it was down before it was taken, and not stopped by the wave."""
    former = [status for status, _ in run.history[-2:-1]]
    return former == [NodeStatus.PENDING.value]
