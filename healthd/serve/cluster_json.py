"""A cluster as JSON, for the API and through it for the command line."""

from collections.abc import Iterable
from typing import Any, Final

from healthd.engine.view import ClusterView, WaveView
from healthd.health.index import HealthReport
from healthd.health.report_json import as_json
from healthd.health.words import HealthClass
from healthd.model.codes import CheckCode
from healthd.model.reason import Reason
from healthd.model.render import render_time
from healthd.model.snapshot import ClusterSnapshot
from healthd.safety.acknowledgements import NONE, Acknowledgements
from healthd.safety.gate import repairs_among, snapshot_holds
from healthd.safety.ok_to_stop import each_broker, each_rack, ok_to_stop, require_known
from healthd.serve.cluster_metrics import broker_states

WORST_CHECKS: Final = 3
"""How many checks a list of clusters shows of each."""


def health_document(view: ClusterView) -> dict[str, Any]:
    """The report in the form of `healthd evaluate`.

    Before metadata was first seen there is no index: it and its bounds are null.
    """
    if view.report is None:
        return {
            "cluster": view.config.name,
            "healthIndex": None,
            "lower": None,
            "upper": None,
            "completeness": 0.0,
            "notObserved": [],
            "class": HealthClass.UNKNOWN.value,
            "contributions": [],
            "capPenalty": None,
            "bindingCap": None,
            "caps": [],
            "checks": [],
            "profile": None,
        }
    document = as_json(view.report)
    for check in document["checks"]:
        since = view.since.get(CheckCode(check["code"]))
        check["since"] = None if since is None else render_time(since)
        check["muted"] = check["code"] in view.report.muted
    if not view.report.is_metadata_seen:
        document |= {"healthIndex": None, "lower": None, "upper": None}
        document |= {"contributions": [], "capPenalty": None}
    return document


def cluster_summary(view: ClusterView, waves: Iterable[WaveView]) -> dict[str, Any]:
    """One line of the list of clusters: how it is, why, and what to do first."""
    health = health_document(view)
    report = view.report
    following = report.next_cap if report is not None and report.is_metadata_seen else None
    return {
        "cluster": view.config.name,
        "labels": dict(view.config.labels),
        **{key: health[key] for key in ("healthIndex", "lower", "upper", "completeness", "class")},
        "bindingCap": health["bindingCap"],
        "nextCap": None
        if following is None
        else {"code": following.code.value, "cap": following.cap},
        # What is muted comes last: nobody wants to hear of it first.
        "checks": sorted(health["checks"], key=lambda check: check["muted"])[:WORST_CHECKS],
        "checkCount": len(health["checks"]),
        "waves": [
            {"wave": wave.state.wave, "status": wave.state.status.value}
            for wave in waves
            if wave.state.cluster == view.config.name
            and not wave.state.status.has_ended
            and not wave.state.is_dry_run
        ],
        "observedAt": None if view.snapshot is None else render_time(view.snapshot.observed_at),
        "failures": [dict(failure) for failure in view.failures],
    }


def cluster_document(view: ClusterView, waves: Iterable[WaveView]) -> dict[str, Any]:
    """Everything that is shown of one cluster, the snapshot itself excepted."""
    document = {
        **cluster_summary(view, waves),
        "health": health_document(view),
        "gate": None,
        "brokers": None,
        "partitions": None,
        "toleratedRacks": list(view.tolerated_racks),
        "canLose": [loss.as_json() for loss in view.losses],
        "tenants": [_tenant(name, report) for name, report in view.tenants.items()],
        "healthIndexWithoutWave": view.index_without_wave,
        "seenAt": dict(view.seen_at),
        "extra": {},
    }
    if view.snapshot is not None:
        document["gate"] = _gate(snapshot_holds(view.snapshot))
        # What could not be read is in `failures` already.
        document["extra"] = {
            key: section
            for key, section in (view.snapshot.extra or {}).items()
            if key != "collector"
        }
        if view.report is not None and view.report.is_metadata_seen:
            document["brokers"] = broker_states(view.snapshot, view.report)
            document["partitions"] = {
                state.value.lower(): count for state, count in view.report.partition_states.items()
            }
    return document


def _tenant(name: str, report: HealthReport) -> dict[str, Any]:
    """One tenant in short; `/tenants/{tenant}` has its whole report."""
    whole = as_json(report)
    keys = ("healthIndex", "lower", "upper", "completeness", "class", "bindingCap")
    return {
        "tenant": name,
        **{key: whole[key] for key in keys},
        "partitions": sum(report.partition_states.values()),
    }


def ok_to_stop_document(
    snapshot: ClusterSnapshot,
    brokers: tuple[int, ...] | None,
    acknowledged: Acknowledgements = NONE,
) -> dict[str, Any]:
    """The answer of contract.md: for exactly these brokers, or for each one and each rack.

    Raises:
        UnknownBroker: the snapshot lists no such node.
    """
    if brokers is None:
        return {
            "cluster": snapshot.cluster,
            "each": [
                {"broker": node, "ok": not found, "blockers": _reasons(found)}
                for node, found in each_broker(snapshot, acknowledged=acknowledged).items()
            ],
            "racks": [
                {"rack": rack, "ok": not found, "blockers": _reasons(found)}
                for rack, found in each_rack(snapshot, acknowledged=acknowledged).items()
            ],
        }
    known = require_known(snapshot, brokers)
    blockers = ok_to_stop(snapshot, known, acknowledged=acknowledged)
    repairs = repairs_among(snapshot, known)
    return {
        "cluster": snapshot.cluster,
        "brokers": sorted(known),
        "ok": not blockers,
        "blockers": _reasons(blockers),
        "gate": _gate(snapshot_holds(snapshot, repairs=repairs, acknowledged=acknowledged)),
    }


def _gate(holds: tuple[Reason, ...]) -> dict[str, Any]:
    return {"clear": not holds, "holds": _reasons(holds)}


def _reasons(reasons: Iterable[Reason]) -> list[dict[str, str]]:
    return [reason.as_json() for reason in reasons]
