"""What closes a wave's gate from outside, asked once each: alerts, Cruise Control."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Final

from healthd.collect.alerts import Alertmanager, AlertReader, PrometheusAlerts
from healthd.collect.cruise_control import CruiseControl
from healthd.collect.doctor.evidence import outcome_of
from healthd.collect.doctor.findings import DoctorFinding, Outcome
from healthd.collect.rest import RestError
from healthd.config.fleet import ClusterConfig
from healthd.config.source_server import ServerConfig
from healthd.waves.matchers import Matcher, Operator

_NOBODYS: Final = (Matcher(name="alertname", operator=Operator.EQUAL, value="healthd doctor"),)
"""Asks for no alert in particular: what counts is that the question is answered."""
_HEALS_AT_RESTARTS: Final = frozenset(
    {"BROKER_FAILURE", "GOAL_VIOLATION", "METRIC_ANOMALY", "DISK_FAILURE"}
)


async def outside_findings(config: ClusterConfig | None) -> tuple[DoctorFinding, ...]:
    """One for each server of the fleet file that can close a gate; trouble is in them."""
    if config is None:
        return ()
    asked: list[Awaitable[Sequence[DoctorFinding]]] = []
    if config.alerts is not None and config.alerts.alertmanager is not None:
        server = config.alerts.alertmanager
        asked.append(_alerts(Alertmanager(server), server))
    if config.alerts is not None and config.alerts.prometheus is not None:
        server = config.alerts.prometheus
        asked.append(_alerts(PrometheusAlerts(server), server))
    if config.cruise_control is not None:
        asked.append(_cruise_control(config.cruise_control))
    return tuple(finding for found in await asyncio.gather(*asked) for finding in found)


async def _alerts(reader: AlertReader, server: ServerConfig) -> Sequence[DoctorFinding]:
    source = f"alerts.{reader.source}"
    try:
        await reader.firing(_NOBODYS)
    except RestError as error:
        return (_failed(source, server, error, "A wave that listens to alerts would hold."),)
    finally:
        await reader.aclose()
    return (DoctorFinding(source=source, subject=server.url, outcome=Outcome.ALLOWED),)


async def _cruise_control(server: ServerConfig) -> Sequence[DoctorFinding]:
    reader = CruiseControl(server)
    try:
        state = await reader.state()
    except RestError as error:
        return (_failed("cruiseControl", server, error, "Every wave would hold."),)
    finally:
        await reader.aclose()
    answered = DoctorFinding(
        source="cruiseControl",
        subject=server.url,
        outcome=Outcome.ALLOWED,
        detail="" if state.is_idle else f"{state}. A wave holds until that is over.",
    )
    heals = sorted(_HEALS_AT_RESTARTS & set(state.heals))
    if not heals:
        return (answered,)
    warning = DoctorFinding(
        source="cruiseControl",
        subject="self-healing",
        outcome=Outcome.FAILED,
        detail=f"Heals {', '.join(heals)} by itself and may take a planned restart for a failure. "
        "Switch it off for the time of a wave, or keep its threshold above the time a restart "
        "takes (docs/waves.md).",
    )
    return answered, warning


def _failed(source: str, server: ServerConfig, error: RestError, what: str) -> DoctorFinding:
    return DoctorFinding(
        source=source,
        subject=server.url,
        outcome=outcome_of(error.reason),
        detail=f"{server.url} {error.detail}. {what}",
    )
