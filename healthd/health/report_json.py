"""The JSON form of a report (contract.md, evaluate)."""

from typing import Any

from healthd.health.index import HealthReport


def as_json(report: HealthReport) -> dict[str, Any]:
    """The report as a JSON object; no number is rounded."""
    return {
        "cluster": report.cluster,
        "healthIndex": report.health_index,
        "lower": report.lower,
        "upper": report.upper,
        "completeness": report.completeness,
        "notObserved": [term.value for term in report.not_observed],
        "class": report.health_class.value,
        "contributions": [
            {"term": row.term.value, "points": row.points, "detail": row.detail}
            for row in report.contributions
        ],
        "capPenalty": report.cap_penalty,
        "bindingCap": None if report.binding_cap is None else report.binding_cap.value,
        "caps": [{"code": cap.code.value, "cap": cap.cap} for cap in report.caps],
        "checks": [
            {
                "code": check.code.value,
                "severity": check.severity.value,
                "count": check.count,
                "objects": list(check.objects),
                "truncated": check.is_truncated,
                "summary": check.summary,
                "impact": check.impact,
                "action": check.action,
            }
            for check in report.checks
        ],
        "profile": {
            "name": report.profile.name,
            "version": report.profile.version,
            "hash": report.profile.hash,
        },
    }
