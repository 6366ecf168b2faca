"""Which of the alerts that fire close a wave's gate, and which are only its own work.

An alert that fires and matches closes the gate. Left out are, and nothing else:

- what a person has silenced in Alertmanager: they know of it, and have said that it may wait;
- what healthd itself has silenced for a host in work, until that host's node is in its soak;
- healthd's own alerts, where it can be shown that they are there only because of the nodes in
  flight: the check, or the index, that they tell of is well again when these count as back;
- healthd's alerts that this very wave is held or paused, and its heartbeat: they would hold it
  for ever.

What inhibits an alert need not match, so one that is inhibited counts. What cannot be decided
closes.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from healthd.health.counterfactual import as_if_back
from healthd.health.index import HealthReport, evaluate
from healthd.health.scoring import DEFAULT, ScoringProfile
from healthd.health.words import HealthClass
from healthd.model.codes import CheckCode, ReasonCode
from healthd.model.reason import Reason
from healthd.model.snapshot import ClusterSnapshot
from healthd.waves.matchers import quoted
from healthd.waves.playbook import PlaybookTarget
from healthd.waves.policy import WavePolicy
from healthd.waves.problems import SpecProblem
from healthd.waves.silences import Silence, SilenceMark
from healthd.waves.state import BEFORE_SOAK, WaveState

UNNAMED: Final = "unnamed"
"""An alert without the label `alertname`; Prometheus sends none."""
_DETAILED: Final = 3
"""Alerts of one name whose labels are shown; the others are counted."""

_SHOWN_BY_SNAPSHOT: Final = frozenset(
    {
        CheckCode.BROKER_DOWN,
        CheckCode.BROKER_FENCED,
        CheckCode.BROKER_RECOVERING,
        CheckCode.PARTITION_UNDER_REPLICATED,
        CheckCode.PARTITION_AT_MIN_ISR,
    }
)
"""Checks that one snapshot proves or disproves, and that nodes in flight may cause alone."""
_INDEX_LIMITS: Final[Mapping[str, float]] = {
    "HealthdIndexBelow90": 90.0,
    "HealthdIndexBelow70": 70.0,
    "HealthdIndexBelow50": 50.0,
}
_OF_THE_WAVE: Final = frozenset({"HealthdWaveHeld", "HealthdWavePaused"})
_ALWAYS_FIRING: Final = "HealthdHeartbeat"
_TOLERANCE: Final = 1e-9


AlertKey = tuple[str, str, frozenset[tuple[str, str]]]
"""Source, beginning and labels: what tells one alert from others, and from its own next time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FiringAlert:
    """One alert that fires."""

    source: str
    """Who says it: `alertmanager` or `prometheus`."""
    labels: Mapping[str, str]
    since: str = ""
    """Since when, as its source writes it."""
    silences: tuple[Silence, ...] = ()
    """What silences it; empty: it is heard."""

    @property
    def name(self) -> str:
        """Its `alertname`."""
        return self.labels.get("alertname") or UNNAMED

    @property
    def key(self) -> AlertKey:
        """What tells it from every other."""
        return self.source, self.since, frozenset(self.labels.items())

    def is_same_as(self, other: "FiringAlert") -> bool:
        """Whether another source means it, too: under these labels, and perhaps some more."""
        return self.source != other.source and self.labels.items() <= other.labels.items()

    def __str__(self) -> str:
        """Its labels but for the name, since when, and who says so."""
        labels = ", ".join(
            f"{name}={quoted(value)}"
            for name, value in sorted(self.labels.items())
            if name != "alertname"
        )
        since = f" since {self.since}" if self.since else ""
        return f"{{{labels}}}{since} in {self.source}"


class OwnEffect:
    """What a snapshot says of healthd's own alerts about a wave; worked out when it is asked.

    An alert outlives its cause for as long as its rule says (`keep_firing_for`). One that was
    explained once stays explained while it fires, unless its cause is there without the nodes in
    flight, too.
    """

    def __init__(
        self,
        state: WaveState,
        snapshot: ClusterSnapshot | None,
        *,
        scoring: ScoringProfile = DEFAULT,
        explained: frozenset[AlertKey] = frozenset(),
    ) -> None:
        """Work out nothing yet.

        Args:
            state: the wave.
            snapshot: the newest of its cluster; None explains nothing but what needs none.
            scoring: the cluster's scoring profile.
            explained: what was explained before.
        """
        self._state = state
        self._snapshot = snapshot
        self._scoring = scoring
        self._before = explained
        self._now: set[AlertKey] = set()
        self._reports: tuple[HealthReport, HealthReport] | None = None

    @property
    def explained(self) -> frozenset[AlertKey]:
        """What `explains` has said yes to."""
        return frozenset(self._now)

    def explains(self, alert: FiringAlert) -> bool:
        """Whether an alert is healthd's own and there only because of this wave."""
        if not self._is_own(alert):
            return False
        self._now.add(alert.key)
        return True

    def _is_own(self, alert: FiringAlert) -> bool:
        name, labels = alert.name, alert.labels
        if name == _ALWAYS_FIRING:
            return True
        if name in _OF_THE_WAVE:
            return labels.get("wave") == self._state.wave
        was_explained = alert.key in self._before
        if not name.startswith("Healthd") or labels.get("kafka_cluster") != self._state.cluster:
            return False
        if self._state.playbook.target is not PlaybookTarget.BROKER:
            return False  # It has no broker in flight: what has their ids are servers.
        if self._snapshot is None or not (self._state.in_flight or was_explained):
            return False
        is_cause = _cause(name, labels.get("code", ""))
        if is_cause is None:
            return False
        seen, without = self._both()
        return not is_cause(without) and (is_cause(seen) or was_explained)

    def _both(self) -> tuple[HealthReport, HealthReport]:
        """The report as it is, and as it would be with the nodes in flight back."""
        assert self._snapshot is not None, "asked only where there is one"
        if self._reports is None:
            back = as_if_back(self._snapshot, self._state.in_flight)
            self._reports = evaluate(self._snapshot, self._scoring), evaluate(back, self._scoring)
        return self._reports


def _cause(name: str, code: str) -> Callable[[HealthReport], bool] | None:
    """What in a report makes an alert of healthd's fire; None when one report cannot tell."""
    limit = _INDEX_LIMITS.get(name)
    if limit is not None:
        return lambda report: report.health_index + _TOLERANCE < limit
    if name == "HealthdClassCritical":
        return lambda report: report.health_class is HealthClass.CRIT
    if code in _SHOWN_BY_SNAPSHOT:
        return lambda report: any(check.code.value == code for check in report.checks)
    return None


def is_silenced(alert: FiringAlert, is_in_work: Callable[[SilenceMark], bool]) -> bool:
    """Whether the silences of an alert keep it from closing the gate.

    Args:
        alert: what fires.
        is_in_work: whether a node that healthd has made a silence for is not yet in its soak.
    """
    return any(silence.mark is None or is_in_work(silence.mark) for silence in alert.silences)


def before_soak(state: WaveState) -> Callable[[SilenceMark], bool]:
    """Whether a silence was made by this wave for a node that is not yet in its soak."""
    nodes = frozenset(run.node for run in state.having(BEFORE_SOAK))
    return lambda mark: mark.wave == state.wave and mark.node in nodes


def closing(
    alerts: Iterable[FiringAlert],
    *,
    is_in_work: Callable[[SilenceMark], bool],
    effect: OwnEffect,
) -> tuple[FiringAlert, ...]:
    """The alerts that close the gate.

    Prometheus knows of no silence: what Alertmanager has silenced under the same labels, whatever
    labels it has besides, is left out there, too.
    """
    heard: list[FiringAlert] = []
    silenced: list[FiringAlert] = []
    for alert in alerts:
        (silenced if is_silenced(alert, is_in_work) else heard).append(alert)
    return tuple(
        alert
        for alert in heard
        if not any(alert.is_same_as(other) for other in silenced) and not effect.explains(alert)
    )


def alert_holds(alerts: Iterable[FiringAlert]) -> tuple[Reason, ...]:
    """One hold for each name of the alerts that close the gate, with the labels of each."""
    by_name: dict[str, list[FiringAlert]] = {}
    for alert in alerts:
        by_name.setdefault(alert.name, []).append(alert)
    return tuple(
        Reason(code=ReasonCode.ALERT_FIRING, object=f"alert:{name}", detail=_detail(found))
        for name, found in sorted(by_name.items())
    )


def _detail(alerts: list[FiringAlert]) -> str:
    shown = sorted(map(str, alerts))
    more = len(shown) - _DETAILED
    return "; ".join(shown[:_DETAILED]) + (f"; and {more} more" if more > 0 else "")


def query_failed(source: str, detail: str) -> Reason:
    """The hold of a source that could not be asked: what is not known is closed."""
    return Reason(code=ReasonCode.ALERT_QUERY_FAILED, object=f"source:{source}", detail=detail)


def unasked(
    policy: WavePolicy, *, has_server: bool, has_alertmanager: bool, cluster: str
) -> list[SpecProblem]:
    """The keys of a policy that nobody could act on, for lack of a server to ask."""
    problems = []
    if policy.alerts and not has_server:
        problems.append(
            SpecProblem(
                location=("alerts",),
                message=f"nobody can be asked: cluster {cluster} has no alerts in the fleet file",
                action="add alerts: {alertmanager: {url: ...}} to the fleet file, "
                "or remove the matchers",
            )
        )
    if policy.silence and not has_alertmanager:
        problems.append(
            SpecProblem(
                location=("silence",),
                message=f"no silence can be made: cluster {cluster} has no alerts.alertmanager "
                "in the fleet file",
                action="add alerts: {alertmanager: {url: ...}} to the fleet file, "
                "or remove silence",
            )
        )
    return problems
