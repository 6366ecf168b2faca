"""What closes a gate from outside, in memory: alerts, silences and Cruise Control."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from healthd.collect.cruise_control import IDLE, CruiseControlState
from healthd.collect.observation import FailureReason
from healthd.collect.rest import RestError
from healthd.config.fleet import Fleet
from healthd.config.source_alerts import AlertsConfig
from healthd.config.source_rest import RestConfig
from healthd.config.source_server import ServerConfig
from healthd.engine.clock import Clock
from healthd.engine.freezing import Freezer
from healthd.engine.guards import Guards, Outside
from healthd.engine.journal import StoreThread
from healthd.store.memory import MemoryStore
from healthd.waves.alert_gate import FiringAlert
from healthd.waves.matchers import Matcher, all_match
from healthd.waves.silences import Silence, mark_of

SERVER = ServerConfig(rest=RestConfig(urls=("http://127.0.0.1:1",)), timeout_seconds=5.0)
ALERTS = AlertsConfig(alertmanager=SERVER)


@dataclass
class MemoryAlerts:
    """An Alertmanager (or, without silences, a Prometheus) in memory."""

    source: str = "alertmanager"
    alerts: list[dict[str, str]] = field(default_factory=list)
    silences: dict[str, dict[str, Any]] = field(default_factory=dict)
    trouble: bool = False
    hangs: bool = False
    asked: int = 0
    posts: int = 0
    is_closed: bool = False
    _ids: itertools.count[int] = field(default_factory=itertools.count)

    async def _answer(self) -> None:
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.trouble:
            raise RestError(FailureReason.REFUSED, "refused the connection")

    async def firing(self, matchers: Sequence[Matcher]) -> tuple[FiringAlert, ...]:
        await self._answer()
        return tuple(
            FiringAlert(source=self.source, labels=labels, since="t0")
            for labels in self.alerts
            if all_match(matchers, labels)
        )

    async def own(self) -> tuple[Silence, ...]:
        await self._answer()
        found = (
            Silence(
                id=name,
                mark=mark_of(body["createdBy"], body["comment"]),
                ends=datetime.fromisoformat(body["endsAt"]).timestamp(),
            )
            for name, body in self.silences.items()
        )
        return tuple(each for each in found if each.mark is not None)

    async def make(self, document: Mapping[str, Any]) -> str:
        await self._answer()
        self.posts += 1
        name = str(document.get("id") or f"s{next(self._ids)}")
        self.silences[name] = dict(document)
        return name

    async def remove(self, silence: str) -> None:
        await self._answer()
        self.silences.pop(silence, None)

    async def aclose(self) -> None:
        self.is_closed = True


@dataclass
class MemoryCruiseControl:
    """A Cruise Control in memory."""

    executor: str = IDLE
    trouble: bool = False

    async def state(self) -> CruiseControlState:
        if self.trouble:
            raise RestError(FailureReason.TIMEOUT, "gave no answer within 5 s")
        return CruiseControlState(executor=self.executor)

    async def aclose(self) -> None:
        pass


@dataclass
class OutsideWorld:
    """All of it, and the guards over it."""

    clock: Clock
    fleet: Fleet
    alertmanager: MemoryAlerts = field(default_factory=MemoryAlerts)
    prometheus: MemoryAlerts = field(default_factory=lambda: MemoryAlerts(source="prometheus"))
    cruise_control: MemoryCruiseControl = field(default_factory=MemoryCruiseControl)
    interval_seconds: float = 5.0
    guards: Guards = field(init=False)
    freezer: Freezer = field(init=False)

    def __post_init__(self) -> None:
        self.freezer = Freezer(StoreThread(MemoryStore()), self.clock, lambda: self.fleet)
        self.guards = Guards(
            outside=Outside(
                alertmanager=lambda _server: self.alertmanager,
                prometheus=lambda _server: self.prometheus,
                cruise_control=lambda _server: self.cruise_control,
            ),
            freezer=self.freezer,
            fleet=lambda: self.fleet,
            interval_seconds=self.interval_seconds,
            clock=self.clock,
        )
