"""What must never happen in a wave, judged from outside: from the model and from what was seen.

Nothing here asks healthd's own gate: each rule of restart-safety.md is written once more.
"""

from typing import TYPE_CHECKING

from healthd.model.snapshot import ClusterSnapshot
from healthd.model.words import EvidenceGroup
from healthd.waves import effects
from healthd.waves.state import BETWEEN_STOP_AND_START, NodeStatus

if TYPE_CHECKING:
    from support.wave_model import WaveModel


class Oracle:
    """Looks over the shoulder of a wave over a model cluster."""

    def __init__(self, model: "WaveModel") -> None:
        self._model = model
        self.violations: list[str] = []
        self.changed_at = 0.0
        """When the wave last changed a broker, or began its soak."""
        self._previous_change = 0.0
        """The same before the event that is handled now."""
        self._may_stop = True
        self._seen: ClusterSnapshot | None = None
        self._seen_times: list[float] = []
        self._trouble_at = 0.0
        """When a snapshot last showed something that is not the wave's own doing."""

    def before_event(self) -> None:
        """Remember how things stood before the event that may lead to a stop."""
        state = self._model.state
        self._previous_change = self.changed_at
        self._may_stop = not state.is_paused or bool(state.having({NodeStatus.STOPPING}))

    def after_event(self) -> None:
        """Judge the state that an event led to."""
        state = self._model.state
        taken = [run.node for run in state.having(BETWEEN_STOP_AND_START) if not run.repair]
        if state.concurrency is not None and len(taken) > state.concurrency:
            self._violated(f"{taken} are between stop and start at one time")
        for hold in state.holds:
            if not hold.reason.object:
                self._violated(f"{hold.reason} names no object")

    def check_start(self, command: effects.Command) -> None:
        """Judge a start right before it is carried out."""
        run = self._model.state.node(command.node)
        others = self._model.state.having({NodeStatus.STOPPING})
        if command.effect_id not in self._model.journal.intents:
            self._violated(f"{command.effect_id} is carried out, and is not on disk")
        if run is not None and run.repair and others:
            self._violated(f"{run.node} is repaired while {others[0].node} is being stopped")

    def check_stop(self, command: effects.StopService) -> None:
        """Judge a stop right before it is carried out."""
        node, run = command.node, self._model.state.node(command.node)
        for effect_id in (command.effect_id, command.start_effect_id):
            if effect_id not in self._model.journal.intents:
                self._violated(f"{effect_id} is carried out, and is not on disk")
        it, seen = self._model.cluster.nodes[node], self._seen
        if run is None or seen is None:
            self._violated(f"a stop of {node} out of nothing")
            return
        if it.runs and str(it.starts) != run.started_before:
            self._violated(
                f"process {it.starts} of {node} is stopped, meant was {run.started_before}"
            )
        self._check_evidence(node, seen)
        self._check_time(node, seen)
        if run.attempt == 1:
            self._check_turn(node, seen)

    def saw(self, seen: ClusterSnapshot) -> None:
        """Note a snapshot, and whether it shows trouble that is not this wave's own."""
        self._seen = seen
        self._seen_times.append(self._model.agenda.now)
        away = self._own(seen)
        is_quiet = seen.quorum is not None and seen.quorum.leader_id != -1
        # Configs may be older: they are read again right before a stop.
        is_quiet = is_quiet and all(
            age <= 2 * self._model.interval
            for group, age in seen.effective_ages.items()
            if group is not EvidenceGroup.CONFIGS
        )
        is_quiet = is_quiet and all(each.alive or each.id in away for each in seen.brokers)
        is_quiet = is_quiet and all(
            set(partition.replicas) - set(partition.isr) <= away
            for topic in seen.topics
            for partition in topic
        )
        if not is_quiet:
            self._trouble_at = self._model.agenda.now

    def _own(self, seen: ClusterSnapshot) -> frozenset[int]:
        """What is in flight, and the nodes of this wave that wait for repair."""
        brokers = seen.brokers_by_id
        repairs = {
            run.node
            for run in self._model.state.nodes
            if run.status is NodeStatus.PENDING and not brokers[run.node].alive
        }
        return self._model.state.in_flight | repairs

    def _check_time(self, node: int, seen: ClusterSnapshot) -> None:
        """Clean time since the last change, the last trouble and the daemon's start."""
        policy, now = self._model.state.policy, self._model.agenda.now
        since = max(self._previous_change, self._trouble_at, self._model.born)
        many = len([at for at in self._seen_times if at > since])
        if now - since < policy.clean_seconds or many < policy.clean_snapshots:
            self._violated(f"{node} is stopped after {now - since:.1f} s and {many} snapshots")
        oldest = now - max(seen.effective_ages.values())
        if oldest < self._previous_change:
            self._violated(f"{node} is stopped on evidence from before the last change")
        if not self._may_stop:
            self._violated(f"{node} is stopped while the wave is paused")

    def _check_turn(self, node: int, seen: ClusterSnapshot) -> None:
        """Controllers before brokers, and the active one is their last."""
        brokers = seen.brokers_by_id
        waiting = [
            run.node
            for run in self._model.state.having({NodeStatus.PENDING})
            if self._model.cluster.nodes[run.node].is_voter and brokers[run.node].alive
        ]
        is_last = seen.quorum is not None and seen.quorum.leader_id == node
        is_late = is_last or not self._model.cluster.nodes[node].is_voter
        if waiting and is_late and brokers[node].alive:
            self._violated(f"{node} is stopped before the controllers {waiting}")

    def _check_evidence(self, node: int, seen: ClusterSnapshot) -> None:
        """An oracle of its own: what the last snapshot says of partitions, ages and presence."""
        age = max(age for age in seen.effective_ages.values())
        if age > 2 * self._model.interval:
            self._violated(f"{node} is stopped on evidence {age} s old")
        brokers = seen.brokers_by_id
        away = self._own(seen)
        for broker in seen.brokers:
            if broker.id not in away and not broker.alive:
                self._violated(f"{node} is stopped while {broker.id} is down")
        if not brokers[node].alive:
            return  # A repair.
        for topic in seen.topics:
            for partition in topic:
                left = set(partition.isr) - self._model.state.in_flight - {node}
                if node in partition.replicas and len(left) < (topic.min_insync_replicas or 99):
                    self._violated(f"{partition} goes under min ISR by the stop of {node}")

    def _violated(self, what: str) -> None:
        self.violations.append(f"{self._model.agenda.now:.1f}: {what}")
