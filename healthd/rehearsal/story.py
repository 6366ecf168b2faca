"""What a rehearsal tells: the events of the wave, its brokers, its gate, the faults, the daemon."""

from collections.abc import Iterable
from typing import Any

from healthd.model.reason import Reason
from healthd.rehearsal.agenda import Agenda
from healthd.waves.state import NodeStatus, WaveState, WaveStatus


def seconds(value: float) -> float:
    """A time or duration as it is printed: to the millisecond, whole ones without a fraction."""
    rounded = round(value, 3)
    return int(rounded) if rounded == int(rounded) else rounded


class Story:
    """The events in their order, and what follows from them for the result."""

    def __init__(self, agenda: Agenda) -> None:
        self._agenda = agenda
        self.events: list[dict[str, Any]] = []
        self.order: list[int] = []
        self.max_in_flight = 0
        self.statuses: list[str] = []
        self.changed_at = 0.0
        """When the wave's own state last changed."""
        self._status: WaveStatus | None = WaveStatus.PLANNED
        self._gate: tuple[str, frozenset[tuple[str, str]]] | None = None
        self._entered: dict[int, int] = {}

    def show(self, state: WaveState) -> list[tuple[int, NodeStatus]]:
        """Tell what is new in the wave's state; the statuses that its brokers have entered."""
        entered = self._entries(state)
        reasons = [hold.reason for hold in state.holds]
        is_open = not reasons
        if is_open:
            self._show_gate(state, reasons)
        if state.status is WaveStatus.RUNNING:
            self._show_wave(state)
        for node, status in entered:
            self._add("broker", broker=node, state=status.value)
            if status.value in _TAKEN and node not in self.order:
                self.order.append(node)
        if not is_open:
            self._show_gate(state, reasons)
        self._show_wave(state)
        self.max_in_flight = max(self.max_in_flight, len(state.in_flight))
        return entered

    def fault(self, name: str, state: str, *, broker: int | None = None, detail: str = "") -> None:
        """A fault has begun or ended."""
        more: dict[str, Any] = {"fault": name}
        if detail:
            more["detail"] = detail
        self._add("fault", broker=broker, state=state, more=more)

    def daemon(self, state: str) -> None:
        """The daemon was killed, or started again."""
        self._add("daemon", state=state)

    def _entries(self, state: WaveState) -> list[tuple[int, NodeStatus]]:
        entered: list[tuple[float, int, NodeStatus]] = []
        for run in state.nodes:
            known = self._entered.get(run.node, 1)
            if len(run.history) > known:
                entered += [
                    (at, run.node, NodeStatus(status)) for status, at in run.history[known:]
                ]
                self._entered[run.node] = len(run.history)
        entered.sort(key=lambda row: row[0])  # Stable: at the same time, in the order of the wave.
        return [(node, status) for _, node, status in entered]

    def _show_wave(self, state: WaveState) -> None:
        if state.status is self._status:
            return
        self._status = state.status
        self.changed_at = self._agenda.now
        self.statuses.append(state.status.value)
        self._add("wave", state=state.status.value)

    def _show_gate(self, state: WaveState, reasons: Iterable[Reason]) -> None:
        if state.status.has_ended or state.status is WaveStatus.PLANNED:
            return
        told = list(reasons)
        word = "closed" if told else "open"
        key = word, frozenset((reason.code.value, reason.object) for reason in told)
        if key == self._gate:
            return
        self._gate = key
        self._add("gate", state=word, reasons=[reason.as_json() for reason in told])

    def _add(
        self,
        event: str,
        *,
        broker: int | None = None,
        state: str,
        reasons: list[dict[str, str]] | None = None,
        more: dict[str, Any] | None = None,
    ) -> None:
        self.events.append(
            {
                "t": seconds(self._agenda.now),
                "event": event,
                "broker": broker,
                "state": state,
                "reasons": reasons or [],
                **(more or {}),
            }
        )


_TAKEN = frozenset({"preparing", "stopping", "starting"})
