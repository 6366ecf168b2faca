"""A snapshot grown older: what is shown when a collection gave nothing new."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from healthd.model.snapshot import ClusterSnapshot


def aged(snapshot: ClusterSnapshot, seconds: float) -> ClusterSnapshot:
    """The same values, seen so many seconds later: every age has grown, nothing else."""
    if seconds <= 0:
        return snapshot
    ages = snapshot.ages
    if ages is None:
        ages = dict(snapshot.effective_ages)
    return replace(
        snapshot,
        observed_at=snapshot.observed_at + timedelta(seconds=seconds),
        ages={group: None if age is None else age + seconds for group, age in ages.items()},
        brokers=tuple(
            broker
            if broker.metrics_age_seconds is None
            else replace(broker, metrics_age_seconds=broker.metrics_age_seconds + seconds)
            for broker in snapshot.brokers
        ),
        extra=_aged_sections(snapshot.extra, seconds),
    )


def _aged_sections(
    extra: Mapping[str, Mapping[str, Any]] | None, seconds: float
) -> Mapping[str, Mapping[str, Any]] | None:
    if extra is None:
        return None
    return {
        name: {**section, "ageSeconds": age + seconds}
        if isinstance(age := section.get("ageSeconds"), int | float)
        else section
        for name, section in extra.items()
    }
