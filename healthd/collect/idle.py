"""The request handlers' idle ratio, from whichever of its forms a page has.

`RequestHandlerAvgIdlePercent` is a counter of nanoseconds, a one-minute gauge, a mean since the
start, or some of these. The counter's rate is the best of them; the mean says nothing of now. A
node that is broker and controller reports the sum of two pools before 4.2 (up to 2: the
controller's own pool is taken as idle) and their mean from 4.2 on, where the broker's own pool has
a name of its own.
"""

from typing import Final

from healthd.collect.observation import BrokerSignals, PageSeen
from healthd.model.words import LEAVING_STATES, BrokerState

SHORTEST_SECONDS: Final = 0.5
"""Between two pages that a rate is made of; less says more about scheduling than about idling."""

_OWN_POOL_SINCE: Final = (4, 2)

_SURELY_A_SUM: Final = 1.05
"""A ratio of one pool overshoots 1 by the error of its clock; the smallest of sums is as large."""

_SERVING: Final = frozenset({BrokerState.RUNNING, *LEAVING_STATES})


def idle_ratio(page: PageSeen, before: PageSeen | None, *, combined: bool) -> float | None:
    """The idle ratio from 0 to 1, or None when this page does not tell.

    Args:
        page: The node's newest page.
        before: The one before it, when there was one.
        combined: The node is broker and controller in one.
    """
    if not _serves(page):
        return None
    raw = _gauge(page) if page.signals.idle_nanoseconds is None else _rate(page, before)
    if raw is None:
        return None
    if combined and not page.signals.is_broker_pool:
        corrected = _without_controller_pool(raw, page.signals, before)
        if corrected is None:
            return None
        raw = corrected
    return min(1.0, max(0.0, raw))


def _gauge(page: PageSeen) -> float | None:
    raw = page.signals.idle_ratio
    # A meter that has not ticked yet says exactly 0, which no broker that answers is.
    return None if raw is None or raw <= 0 or raw - raw != 0 else raw


def _serves(page: PageSeen) -> bool:
    # While a broker starts, its handlers are waited for or not there yet: nothing to go by.
    return page.signals.state in {None, *_SERVING}


def _rate(page: PageSeen, before: PageSeen | None) -> float | None:
    """The rate of the counter between two pages; None when they do not make one.

    A page with a counter gives nothing else: some dialects have the counter alone, and the same
    state has to give the same index. A counter that stands still is that of an old page that
    somebody hands out: a handler waits a little before each request, however many there are.
    """
    if before is None:
        return None
    new, old = page.signals.idle_nanoseconds, before.signals.idle_nanoseconds
    elapsed = page.at - before.at
    same_process = (
        page.signals.start_time_seconds == before.signals.start_time_seconds
        and page.signals.is_broker_pool == before.signals.is_broker_pool
    )
    if new is None or old is None or new <= old or elapsed < SHORTEST_SECONDS:
        return None
    return (new - old) / 1e9 / elapsed if same_process and _serves(before) else None


def _without_controller_pool(
    raw: float, signals: BrokerSignals, before: PageSeen | None
) -> float | None:
    version = major_minor(signals.version)
    if version is None:
        # Above 1 it can only be a sum; at most 1 it may be a mean.
        return max(0.0, raw - 1) if _shows_sum(raw, signals, before) else None
    if version >= _OWN_POOL_SINCE:
        return None
    return max(0.0, raw - 1)


def _shows_sum(raw: float, signals: BrokerSignals, before: PageSeen | None) -> bool:
    """Whether some form of the same value is above 1, where no mean of two pools can be."""
    forms = [raw, signals.idle_ratio, signals.idle_mean]
    if before is not None and before.signals.start_time_seconds == signals.start_time_seconds:
        forms += [before.signals.idle_ratio, before.signals.idle_mean]
    return any(form is not None and form > _SURELY_A_SUM for form in forms)


def major_minor(version: str | None) -> tuple[int, int] | None:
    """The first two numbers of a version; None when it has none."""
    parts = (version or "").split(".")
    try:
        return int(parts[0]), int(parts[1])
    except (ValueError, IndexError):
        return None
