"""What makes each shipped alert fire, and what comes close and does not: series for promtool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from healthd.model.codes import CheckCode, Severity

Series = Mapping[str, str]
"""Values in promtool's notation, one a minute, by series; an empty text takes a series away."""

P = 'kafka_cluster="payments"'
W = 'wave="w1"'
LONG = 130
"""Minutes that each series goes on for."""
ROUTE = {"kafka_cluster": "payments", "env": "prod", "team": "orders"}
OWN_ALERT = {
    CheckCode.UNREACHABLE: "HealthdClusterUnreachable",
    CheckCode.MONITOR_SUSPECT: "HealthdMonitorSuspect",
    CheckCode.FLEET_PANIC: "HealthdFleetPanic",
    CheckCode.MIRROR_LAG: "HealthdMirrorLag",
    CheckCode.CONNECTOR_FAILED: "HealthdConnectorFailed",
    CheckCode.DISK_HIGH: "HealthdDiskFull",
    CheckCode.DISK_CRITICAL: "HealthdDiskFull",
    CheckCode.LOGDIR_OFFLINE: "HealthdDiskFull",
    CheckCode.COLLECTOR_AUTH: "HealthdCollectorTrouble",
    CheckCode.COLLECTOR_NETWORK: "HealthdCollectorTrouble",
}
"""The alert of a check where it is not HealthdCheckWarning or HealthdCheckCritical."""


def is_always(value: float) -> str:
    """A series that keeps its value."""
    return f"{value:.13g}x{LONG}"


TICKING = f"0+60x{LONG}"
"""A timestamp that is always now: promtool's time starts at 0."""


def class_is(word: str) -> dict[str, str]:
    """The series of a cluster's class."""
    return {
        f'healthd_health_class{{{P},class="{each}"}}': is_always(each == word)
        for each in ("OK", "WARN", "CRIT", "UNKNOWN")
    }


def index_is(index: float, word: str, *, without_wave: float | None = None) -> dict[str, str]:
    """The series of a cluster's index and class."""
    return {
        f"healthd_health_index{{{P}}}": is_always(index),
        f"healthd_health_index_without_wave{{{P}}}": is_always(
            index if without_wave is None else without_wave
        ),
        **class_is(word),
    }


def check_is(code: str, severity: str, *, muted: bool = False) -> dict[str, str]:
    """The series of an active check."""
    labels = f'{P},code="{code}",severity="{severity}",muted="{str(muted).lower()}"'
    return {f"healthd_check_active{{{labels}}}": is_always(1)}


def wave_is(state: str, *, done: str = is_always(1)) -> dict[str, str]:
    """The series of a wave over the cluster."""
    return {
        f"healthd_wave_in_flight{{{W},{P}}}": is_always(1),
        f'healthd_wave_state{{{W},state="{state}"}}': is_always(1),
        f'healthd_wave_brokers{{{W},state="done"}}': done,
    }


def fleet_wave_is(state: str) -> dict[str, str]:
    """The series of a wave over several clusters that is at work on none of them."""
    return {name: row for name, row in wave_is(state).items() if "in_flight" not in name}


WELL_CLUSTER: Series = {
    f'healthd_cluster_info{{{P},env="prod",team="orders"}}': is_always(1),
    f"healthd_completeness_ratio{{{P}}}": is_always(1),
    **{
        f'healthd_snapshot_timestamp_seconds{{{P},source="{source}"}}': TICKING
        for source in ("metadata", "configs", "quorum", "metrics", "certificates")
    },
    **index_is(100, "OK"),
    f'healthd_routing_verdict{{{P},verdict="IN"}}': is_always(1),
    f'healthd_routing_verdict{{{P},verdict="OUT"}}': is_always(0),
}
"""One cluster that is well."""
WELL_DAEMON: Series = {
    'up{job="healthd",instance="h:9780"}': is_always(1),
    'healthd_build_info{version="1",python="3"}': is_always(1),
    "healthd_routing_dry_run": is_always(0),
    'healthd_loop_last_tick_timestamp_seconds{instance="h:9780",loop="collect:payments"}': TICKING,
    'healthd_config_last_reload_successful{instance="h:9780"}': is_always(1),
}
"""A daemon at work."""
OF_FLEET = frozenset(
    {
        "HealthdMonitorSuspect",
        "HealthdDown",
        "HealthdAbsent",
        "HealthdLoopStuck",
        "HealthdConfigReloadFailed",
        "HealthdHeartbeat",
    }
)
"""Alerts that look at all clusters, or at the daemon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertCase:
    """Series, and the alert of that name that fires by then, or none."""

    alert: str
    series: Series
    """What is other than in `WELL_CLUSTER` and `WELL_DAEMON`."""
    minute: int
    fires: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)
    """What the alert has besides its name."""
    why: str = ""
    cluster: str = ""
    """The cluster that it alone is about; empty: it is alone in the world."""

    @property
    def name(self) -> str:
        """What promtool calls it when it fails."""
        return f"{self.alert} {'fires' if self.fires else 'does not fire'} {self.why}".strip()

    @property
    def is_of_cluster(self) -> bool:
        """Whether it is about one cluster alone: then many of them fit into one world."""
        return self.alert not in OF_FLEET and all(P in it or W in it for it in self.series)

    def on_its_own(self) -> AlertCase:
        """The same on a cluster, and with a wave, that are named after the case."""
        return replace(
            self,
            cluster=self.name,
            series={
                name.replace(P, f'kafka_cluster="{self.name}"').replace(
                    W, f'wave="{self.name}"'
                ): values
                for name, values in {**WELL_CLUSTER, **self.series}.items()
            },
            labels={
                name: self.name if name in {"kafka_cluster", "wave"} else value
                for name, value in self.labels.items()
            },
        )


def _fires(
    alert: str, minute: int, series: Series, severity: str, why: str = "", **labels: str
) -> AlertCase:
    every = {**ROUTE, "severity": severity, **labels}
    told = {name: value for name, value in every.items() if value}
    return AlertCase(alert=alert, series=series, minute=minute, labels=told, why=why)


def _quiet(alert: str, series: Series, why: str, minute: int = 20) -> AlertCase:
    return AlertCase(alert=alert, series=series, minute=minute, fires=False, why=why)


def _check(alert: str, code: str, severity: str, minute: int, **labels: str) -> list[AlertCase]:
    """Fires on the check; neither when it is muted, nor while it is only noted."""
    word = {"WARN": "warning", "CRIT": "critical"}[severity]
    return [
        _fires(alert, minute, check_is(code, severity), word, code=code, **labels),
        _quiet(alert, check_is(code, severity, muted=True), "when it is muted"),
        _quiet(alert, check_is(code, "INFO"), "when it is only noted"),
    ]


_NO_CLUSTER = {"kafka_cluster": "", "env": "", "team": ""}
_ON_NONE = "while a wave over several clusters is at work on none"
_MISSING = {"evidence": "missing"}
_OLD = f'healthd_snapshot_timestamp_seconds{{{P},source="%s"}}'
_TICK = 'healthd_loop_last_tick_timestamp_seconds{instance="h:9780",loop="collect:payments"}'
_UP = 'up{job="healthd",instance="h:9780"}'
_BUILD = 'healthd_build_info{version="1",python="3"}'
_RELOAD = 'healthd_config_last_reload_successful{instance="h:9780"}'
_CAP = {f'healthd_index_cap{{{P},code="BROKER_DOWN"}}': is_always(80)}
_DOWN = check_is("BROKER_DOWN", "WARN")
_OUT = {f'healthd_routing_verdict{{{P},verdict="OUT"}}': is_always(1)}

CASES: tuple[AlertCase, ...] = (
    _fires("HealthdIndexBelow90", 6, index_is(89.9, "WARN"), "warning"),
    _quiet("HealthdIndexBelow90", index_is(89.9, "WARN"), "before it has lasted", 4),
    _quiet("HealthdIndexBelow90", index_is(80, "WARN", without_wave=100), "by a wave alone"),
    _quiet("HealthdIndexBelow90", index_is(80, "OK"), "by what is muted"),
    _quiet("HealthdIndexBelow90", index_is(80, "UNKNOWN"), "by what nobody sees"),
    _quiet("HealthdIndexBelow90", index_is(90, "WARN"), "at its limit"),
    _fires("HealthdIndexBelow70", 3, index_is(69, "CRIT", without_wave=95), "critical"),
    _quiet("HealthdIndexBelow70", index_is(70 - 1e-10, "CRIT"), "within 1e-9 of its limit"),
    _quiet("HealthdIndexBelow70", index_is(60, "WARN"), "by what is muted"),
    _fires("HealthdIndexBelow50", 2, index_is(49, "CRIT"), "critical"),
    _quiet("HealthdIndexBelow50", index_is(50, "CRIT"), "at its limit"),
    _quiet("HealthdIndexBelow50", index_is(30, "UNKNOWN"), "by what nobody sees"),
    _fires("HealthdClassCritical", 3, index_is(95, "CRIT"), "critical", **{"class": "CRIT"}),
    _quiet("HealthdClassCritical", index_is(75, "WARN"), "when it is WARN"),
    _fires("HealthdIndexCapped", 61, {**_CAP, **_DOWN}, "warning", code="BROKER_DOWN"),
    _quiet("HealthdIndexCapped", {**_CAP, **_DOWN}, "before it has lasted", 59),
    _quiet(
        "HealthdIndexCapped", {**_CAP, **check_is("BROKER_DOWN", "WARN", muted=True)}, "muted", 65
    ),
    *_check("HealthdClusterUnreachable", "UNREACHABLE", "CRIT", 1),
    *_check("HealthdCheckCritical", "PARTITION_OFFLINE", "CRIT", 2),
    *_check("HealthdCheckWarning", "BROKER_DOWN", "WARN", 11),
    _quiet(
        "HealthdCheckWarning",
        {**_DOWN, **wave_is("running"), **index_is(80, "WARN", without_wave=100)},
        "by a wave's own restart",
    ),
    _fires(
        "HealthdCheckWarning",
        11,
        {**_DOWN, **wave_is("running"), **index_is(80, "WARN", without_wave=85)},
        "warning",
        "when a wave is not all that is wrong",
        code="BROKER_DOWN",
    ),
    _fires(
        "HealthdCheckWarning",
        11,
        {**check_is("REGISTRY_DOWN", "WARN"), **wave_is("running")},
        "warning",
        "for what no restart brings about, during a wave",
        code="REGISTRY_DOWN",
    ),
    *_check("HealthdDiskFull", "DISK_CRITICAL", "CRIT", 3),
    *_check("HealthdCertificateExpiring", "CERT_EXPIRY", "WARN", 11),
    *_check("HealthdCertificateExpired", "CERT_EXPIRY", "CRIT", 2),
    *_check("HealthdMirrorLag", "MIRROR_LAG", "WARN", 6),
    *_check("HealthdConnectorFailed", "CONNECTOR_FAILED", "WARN", 6),
    *_check("HealthdCollectorTrouble", "COLLECTOR_AUTH", "WARN", 6, **_MISSING),
    _fires(
        "HealthdClusterUnknown",
        11,
        class_is("UNKNOWN"),
        "critical",
        **_MISSING,
        **{"class": "UNKNOWN"},
    ),
    _quiet("HealthdClusterUnknown", class_is("UNKNOWN"), "while healthd starts", 9),
    _fires("HealthdClusterUnknownAndLow", 2, index_is(45, "UNKNOWN"), "critical", **_MISSING),
    _quiet("HealthdClusterUnknownAndLow", index_is(70, "UNKNOWN"), "where it was well"),
    _quiet("HealthdClusterUnknownAndLow", index_is(45, "CRIT"), "while it is seen"),
    _fires(
        "HealthdCompletenessLow",
        16,
        {f"healthd_completeness_ratio{{{P}}}": is_always(0.79)},
        "warning",
        **_MISSING,
    ),
    _quiet(
        "HealthdCompletenessLow", {f"healthd_completeness_ratio{{{P}}}": is_always(0.8)}, "at 0.8"
    ),
    *(
        _fires(
            "HealthdSnapshotStale",
            minute,
            {_OLD % source: is_always(0)},
            "warning",
            f"on {source} that were never seen",
            source=source,
            **_MISSING,
        )
        for source, minute in (("metadata", 9), ("configs", 37), ("certificates", 127))
    ),
    _quiet("HealthdSnapshotStale", {_OLD % "configs": is_always(0)}, "on configs too soon", 30),
    _quiet("HealthdSnapshotStale", {_OLD % "certificates": is_always(0)}, "hourly source", 110),
    _fires(
        "HealthdMonitorSuspect",
        1,
        check_is("MONITOR_SUSPECT", "WARN"),
        "critical",
        **_NO_CLUSTER,
    ),
    _quiet("HealthdMonitorSuspect", check_is("MONITOR_SUSPECT", "WARN", muted=True), "muted"),
    _fires("HealthdFleetPanic", 2, check_is("FLEET_PANIC", "WARN"), "critical"),
    _quiet("HealthdFleetPanic", check_is("FLEET_PANIC", "WARN", muted=True), "when it is muted"),
    _fires("HealthdRoutingOut", 2, _OUT, "critical"),
    _quiet("HealthdRoutingOut", {}, "while it is in"),
    _quiet("HealthdRoutingOut", {**_OUT, "healthd_routing_dry_run": is_always(1)}, "in a dry run"),
    _fires("HealthdWaveHeld", 31, wave_is("holding"), "warning", wave="w1"),
    _quiet("HealthdWaveHeld", wave_is("holding", done=f"0+0.1x{LONG}"), "with progress", 40),
    _quiet("HealthdWaveHeld", wave_is("running"), "while it runs", 40),
    _fires("HealthdWavePaused", 16, wave_is("paused"), "warning", wave="w1"),
    _quiet("HealthdWavePaused", wave_is("holding"), "while it only holds", 20),
    _fires("HealthdWaveFailed", 1, wave_is("failed"), "warning", wave="w1"),
    _quiet("HealthdWaveFailed", wave_is("failed"), "an hour later", 61),
    _quiet("HealthdWaveFailed", wave_is("succeeded"), "when it succeeded"),
    *(
        _fires(alert, 31, fleet_wave_is(state), "warning", _ON_NONE, **_NO_CLUSTER, wave="w1")
        for alert, state in (
            ("HealthdWaveHeld", "holding"),
            ("HealthdWavePaused", "paused"),
            ("HealthdWaveFailed", "failed"),
        )
    ),
    _fires(
        "HealthdDown",
        3,
        {_UP: is_always(0)},
        "critical",
        **_NO_CLUSTER,
        job="healthd",
        instance="h:9780",
    ),
    _quiet("HealthdDown", {_UP: is_always(0)}, "when it is only restarted", 1),
    _fires("HealthdAbsent", 6, {_BUILD: ""}, "critical", **_NO_CLUSTER),
    _quiet("HealthdAbsent", {}, "while one is there"),
    _fires(
        "HealthdLoopStuck",
        8,
        {_TICK: is_always(0)},
        "critical",
        env="",
        team="",
        loop="collect:payments",
        instance="h:9780",
    ),
    _quiet("HealthdLoopStuck", {}, "while it turns"),
    _fires(
        "HealthdConfigReloadFailed",
        2,
        {_RELOAD: is_always(0)},
        "warning",
        **_NO_CLUSTER,
        instance="h:9780",
    ),
    _quiet("HealthdConfigReloadFailed", {}, "when it was in order"),
    _fires("HealthdHeartbeat", 10, {}, "none", **_NO_CLUSTER),
    _quiet("HealthdHeartbeat", {_BUILD: ""}, "when healthd is gone"),
    _quiet("HealthdHeartbeat", {_TICK: is_always(0)}, "when it does nothing", 20),
)


def every_check() -> dict[str, tuple[Series, str]]:
    """Each check as a warning and as critical, on a cluster of its own, and the alert it is in."""
    return {
        f"{code}-{severity}".lower(): (
            {
                name.replace(P, f'kafka_cluster="{code}-{severity}"'.lower()): values
                for name, values in check_is(code.value, severity.value).items()
            },
            alert_of(code, severity),
        )
        for code in CheckCode
        for severity in (Severity.WARN, Severity.CRIT)
    }


def alert_of(code: CheckCode, severity: Severity) -> str:
    """The alert that a check of that severity is in."""
    if code is CheckCode.CERT_EXPIRY:
        return "HealthdCertificateExpir" + ("ing" if severity is Severity.WARN else "ed")
    word = "Warning" if severity is Severity.WARN else "Critical"
    return OWN_ALERT.get(code, f"HealthdCheck{word}")
