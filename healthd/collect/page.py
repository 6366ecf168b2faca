"""What the samples of one page say of its node, and why a page may not be believed.

A page is the same whether we read it or a Prometheus server did.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from healthd.collect import dialects
from healthd.collect.dialect_signals import has_kafka, signals_of
from healthd.collect.observation import (
    BrokerSignals,
    FailureReason,
    Origin,
    PageSeen,
    SourceFailure,
)
from healthd.collect.scan import Sample
from healthd.model.snapshot import NOTHING

FAMILIES: Final = dialects.FAMILIES
"""All that is kept of a page."""

NAMES_SHOWN: Final = 3
"""Families that one sentence names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """What one round of reading the pages of a cluster gave."""

    seen: Mapping[int, PageSeen] = field(default_factory=lambda: NOTHING)
    failures: tuple[SourceFailure, ...] = ()
    up: Mapping[int, bool] = field(default_factory=lambda: NOTHING)
    """Whether anything answered at the node's exporter, by node: a second path to the same host.
    A node that this round tells nothing of is not in it."""


class PageReader(Protocol):
    """Reads the pages of one cluster's nodes, wherever they are."""

    async def read(self) -> Pages:
        """The pages that could be read, and a failure for each that could not. Never raises."""
        ...

    async def close(self) -> None:
        """Let go of all connections; may be called twice."""
        ...


class PageProblem(Exception):  # noqa: N818  # A value on its way to becoming a SourceFailure.
    """Why a page says nothing that may be believed."""

    def __init__(self, reason: FailureReason, detail: str, origin: Origin = Origin.THEIRS) -> None:
        super().__init__(detail)
        self.reason, self.detail, self.origin = reason, detail, origin


def signals_of_page(samples: Mapping[Sample, float]) -> BrokerSignals:
    """What one page says of its node; what it does not say of Kafka is unknown.

    Args:
        samples: The samples of `FAMILIES`, in any dialect.

    Raises:
        PageProblem: it says nothing that may be believed.
    """
    if samples.get((dialects.SCRAPE_ERROR, ()), 0.0) != 0:
        raise PageProblem(
            FailureReason.SCRAPE_ERROR,
            "says jmx_scrape_error: its values are unknown; the broker's log says what broke",
        )
    if not has_kafka(samples):
        raise PageProblem(
            FailureReason.NO_KAFKA_METRICS,
            "gave a page without Kafka's metrics: still starting, or another rule file",
        )
    # A page has one age. With a hole in it, the last value would pass for one of now.
    telling = [key for key in _not_finite(samples) if has_kafka([key])]
    if telling:
        raise PageProblem(
            FailureReason.NOT_FINITE,
            f"gave no finite number for {_names(telling)}: the page does not count",
        )
    return signals_of(samples)


def not_finite(samples: Mapping[Sample, float]) -> str | None:
    """What to say of values that are no numbers on a page that counts; None when all are."""
    found = _not_finite(samples)
    if not found:
        return None
    return f"gave no finite number for {_names(found)}: that is unknown, the rest counts"


def _not_finite(samples: Mapping[Sample, float]) -> list[Sample]:
    return [key for key, value in samples.items() if not math.isfinite(value)]


def _names(samples: Iterable[Sample]) -> str:
    names = sorted({name for name, _ in samples})
    return ", ".join(names[:NAMES_SHOWN]) + (", ..." if len(names) > NAMES_SHOWN else "")
