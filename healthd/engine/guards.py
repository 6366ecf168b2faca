"""What closes a wave's gate from outside the snapshot: alerts, freezes, Cruise Control.

Servers are asked in the background, once an interval, so that none of them delays a snapshot; and
anew right before a stop. A guard that cannot answer closes the gate, with a reason of its own.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Never, Protocol

from healthd.collect.alerts import AlertReader, SilenceKeeper
from healthd.collect.cruise_control import CruiseControlReader, CruiseControlState
from healthd.config.fleet import ClusterConfig, Fleet
from healthd.config.source_server import ServerConfig
from healthd.engine.asked import Asked
from healthd.engine.clock import Clock
from healthd.engine.freezing import Freezer
from healthd.engine.silencing import Silencer
from healthd.engine.tasks import Background
from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.model.snapshot import ClusterSnapshot
from healthd.waves.alert_gate import (
    FiringAlert,
    OwnEffect,
    alert_holds,
    before_soak,
    closing,
    query_failed,
)
from healthd.waves.matchers import parse_matchers
from healthd.waves.state import WaveState


class AlertmanagerLike(AlertReader, SilenceKeeper, Protocol):
    """Both sides of an Alertmanager."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """How servers outside the clusters are reached; the composition root says it."""

    alertmanager: Callable[[ServerConfig], AlertmanagerLike]
    prometheus: Callable[[ServerConfig], AlertReader]
    cruise_control: Callable[[ServerConfig], CruiseControlReader]


def _nobody(server: ServerConfig) -> Never:
    raise LookupError(f"nobody has said how {server.url} is asked")


NOBODY: Final = Outside(alertmanager=_nobody, prometheus=_nobody, cruise_control=_nobody)
"""For daemons whose fleet file names no server outside the clusters."""


class WaveGuards:
    """The guards of one wave."""

    def __init__(
        self,
        config: ClusterConfig,
        *,
        freezer: Freezer,
        alerts: tuple[tuple[str, Asked[tuple[FiringAlert, ...]]], ...] = (),
        missing: tuple[Reason, ...] = (),
        cruise_control: Asked[CruiseControlState] | None = None,
        silencer: Silencer | None = None,
    ) -> None:
        """Ask nothing yet.

        Args:
            config: the wave's cluster.
            freezer: knows every freeze.
            alerts: those that are asked what fires, by the name of the source.
            missing: who would have to be asked, and is not in the fleet file any more.
            cruise_control: None: the cluster has none.
            silencer: None: nothing is silenced.
        """
        self._config = config
        self._freezer = freezer
        self._alerts = alerts
        self._missing = missing
        self._cruise_control = cruise_control
        self._silencer = silencer
        self._explained: frozenset[Any] = frozenset()

    def begin(self, state: WaveState) -> None:
        """Ask everybody from now on."""
        for each in self._asked():
            each.begin()
        if self._silencer is not None:
            self._silencer.begin(state)

    async def ask_anew(self) -> None:
        """Ask everybody now; what they say is in the next holds. Never fails."""
        await asyncio.gather(*(each.ask() for each in self._asked()))

    async def holds(self, state: WaveState, snapshot: ClusterSnapshot | None) -> tuple[Reason, ...]:
        """What is in the way of a wave, by the newest answers; waits for nobody."""
        cluster = self._config
        return (
            *self._freezer.holds(cluster.name, cluster.labels),
            *self._missing,
            *await self._alert_holds(state, snapshot),
            *self._cruise_control_holds(),
        )

    async def before_stop(self, state: WaveState, node: int) -> str | None:
        """What is done right before a stop; why it could not be, or None."""
        return None if self._silencer is None else await self._silencer.before_stop(state, node)

    def moved(self, state: WaveState) -> None:
        """The wave has changed."""
        if self._silencer is not None:
            self._silencer.moved(state)

    async def close(self) -> None:
        """Ask nobody any more; the silence of a host that is still in work stays."""
        for each in self._asked():
            await each.close()

    def _asked(self) -> tuple[Asked[Any], ...]:
        found: list[Asked[Any]] = [asked for _, asked in self._alerts]
        if self._cruise_control is not None:
            found.append(self._cruise_control)
        return tuple(found)

    async def _alert_holds(
        self, state: WaveState, snapshot: ClusterSnapshot | None
    ) -> tuple[Reason, ...]:
        answers = [(source, asked.newest) for source, asked in self._alerts]
        failed = tuple(
            query_failed(source, answer.failure)
            for source, answer in answers
            if answer.value is None
        )
        firing = [alert for _, answer in answers for alert in answer.value or ()]
        if not firing:
            self._explained = frozenset()
            return failed
        effect = OwnEffect(state, snapshot, scoring=self._config.scoring, explained=self._explained)
        # A report over 100,000 partitions takes a while, should one be needed.
        found = await asyncio.to_thread(
            closing, firing, is_in_work=before_soak(state), effect=effect
        )
        self._explained = effect.explained
        return (*alert_holds(found), *failed)

    def _cruise_control_holds(self) -> tuple[Reason, ...]:
        if self._cruise_control is None:
            return ()
        answer = self._cruise_control.newest
        if answer.value is not None and answer.value.is_idle:
            return ()
        detail = f"Cruise Control {answer.failure}" if answer.value is None else str(answer.value)
        found = Reason(
            code=ReasonCode.CRUISE_CONTROL, object=f"cluster:{self._config.name}", detail=detail
        )
        return (found,)


@dataclass(slots=True, kw_only=True)
class Guards:
    """The guards of one daemon."""

    outside: Outside
    freezer: Freezer
    fleet: Callable[[], Fleet]
    interval_seconds: float
    clock: Clock
    _tasks: Background = field(default_factory=lambda: Background("silence_task_broke"))
    _alertmanagers: dict[ServerConfig, AlertmanagerLike] = field(default_factory=dict)
    _prometheus: dict[ServerConfig, AlertReader] = field(default_factory=dict)
    _cruise_controls: dict[ServerConfig, CruiseControlReader] = field(default_factory=dict)

    def of(self, state: WaveState, config: ClusterConfig) -> WaveGuards:
        """The guards of a wave on a cluster, as its policy and the fleet file want them."""
        return WaveGuards(
            config,
            freezer=self.freezer,
            alerts=self._alert_sources(state, config),
            missing=_missing(state, config),
            cruise_control=self._cruise_control_of(config),
            silencer=self._silencer(state, config),
        )

    async def close(self) -> None:
        """Finish removing silences, then close every connection."""
        await self._tasks.join()
        for known in (self._alertmanagers, self._prometheus, self._cruise_controls):
            for reader in known.values():
                await reader.aclose()
            known.clear()

    def _alert_sources(
        self, state: WaveState, config: ClusterConfig
    ) -> tuple[tuple[str, Asked[tuple[FiringAlert, ...]]], ...]:
        alerts = config.alerts
        if not state.policy.alerts or alerts is None:
            return ()
        matchers = parse_matchers(state.policy.alerts)
        readers: list[tuple[AlertReader, float]] = []
        if alerts.alertmanager is not None:
            # It is asked for its state, too, and may be for its silences.
            seconds = 3 * alerts.alertmanager.timeout_seconds
            readers.append((self._alertmanager(alerts.alertmanager), seconds))
        if alerts.prometheus is not None:
            reader = self._prometheus.get(alerts.prometheus)
            if reader is None:
                reader = self._prometheus[alerts.prometheus] = self.outside.prometheus(
                    alerts.prometheus
                )
            # It is asked for its rules, too.
            readers.append((reader, 2 * alerts.prometheus.timeout_seconds))
        return tuple(
            (reader.source, self._asked(lambda reader=reader: reader.firing(matchers), seconds))  # type: ignore[misc]
            for reader, seconds in readers
        )

    def _cruise_control_of(self, config: ClusterConfig) -> Asked[CruiseControlState] | None:
        server = config.cruise_control
        if server is None:
            return None
        reader = self._cruise_controls.get(server)
        if reader is None:
            reader = self._cruise_controls[server] = self.outside.cruise_control(server)
        return self._asked(reader.state, server.timeout_seconds)

    def _silencer(self, state: WaveState, config: ClusterConfig) -> Silencer | None:
        server = None if config.alerts is None else config.alerts.alertmanager
        if not state.policy.silence or server is None or state.is_dry_run:
            return None  # A dry run restarts no host, so there is nothing to silence.
        return Silencer(
            state.wave,
            config,
            self._alertmanager(server),
            addresses=self._addresses,
            limit_seconds=2 * server.timeout_seconds,
            again_seconds=self.interval_seconds,
            clock=self.clock,
            tasks=self._tasks,
        )

    def _alertmanager(self, server: ServerConfig) -> AlertmanagerLike:
        known = self._alertmanagers.get(server)
        if known is None:
            known = self._alertmanagers[server] = self.outside.alertmanager(server)
        return known

    def _addresses(self) -> tuple[tuple[str, int, str], ...]:
        return tuple(
            (cluster.name, host.broker, host.address)
            for cluster in self.fleet().clusters
            for host in cluster.hosts
        )

    def _asked(self, question: Callable[[], Any], seconds: float) -> Asked[Any]:
        return Asked(
            question,
            # A stop rests on a last look that is younger than two intervals.
            limit_seconds=min(seconds, 1.5 * self.interval_seconds),
            every_seconds=self.interval_seconds,
            too_old_seconds=2 * self.interval_seconds,
            clock=self.clock,
        )


def _missing(state: WaveState, config: ClusterConfig) -> tuple[Reason, ...]:
    """Alerts that a policy listens to, and that the fleet file names nobody for."""
    if not state.policy.alerts or (config.alerts is not None and config.alerts.has_server):
        return ()
    detail = f"cluster {config.name} has no alerts in the fleet file: nobody can be asked"
    return (query_failed("alertmanager", detail),)
