"""History: how clusters were, and what changed between two moments."""

import time
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from healthd.engine.view import Daemon
from healthd.model.moments import NoMoment, moment_text, parse_moment
from healthd.serve.context import TheDaemon, invalid_query
from healthd.serve.history_json import changes_document, moment_document, row_document
from healthd.serve.problems import ProblemError
from healthd.store.errors import StoreError

router = APIRouter(prefix="/api/v1/history", tags=["history"])

MAX_ROWS: Final = 10_000
DEFAULT_FROM: Final = "24h"
_MOMENT: Final = "RFC 3339 with its zone, or how long ago: 2h."

From = Annotated[str, Query(alias="from", description=_MOMENT)]
To = Annotated[str | None, Query(description=f"{_MOMENT} Absent: now.")]


@router.get("", summary="The fleet as it was at a moment")
async def fleet_at(
    daemon: TheDaemon,
    *,
    at: Annotated[str, Query(description=_MOMENT)],
    cluster: Annotated[str | None, Query(description="Only this one.")] = None,
) -> dict[str, Any]:
    """Every cluster of the fleet, and those that had left it but had been looked at by then."""
    moment = _moment("at", at)
    try:
        if cluster is not None:
            await _known(daemon, cluster)
        rows = await daemon.history.at(moment)
    except StoreError as error:
        raise _unreadable(error) from error
    names = list(daemon.clusters())
    names += sorted(rows.keys() - set(names))
    if cluster is not None:
        names = [cluster]
    return {
        "at": moment_text(moment),
        "clusters": [moment_document(name, rows.get(name), moment) for name in names],
    }


@router.get("/{cluster}", summary="How one cluster was between two moments")
async def history(
    cluster: str,
    daemon: TheDaemon,
    *,
    since: From = DEFAULT_FROM,
    to: To = None,
    limit: Annotated[int, Query(ge=1, le=MAX_ROWS)] = 1000,
    outline: Annotated[bool, Query(description="Rows that tell the same are one.")] = False,
) -> dict[str, Any]:
    """Rows in which nothing changed, the oldest first; the newest ones when there are too many."""
    first, last = _span(since, to)
    try:
        await _known(daemon, cluster)
        found = await daemon.history.rows(
            cluster, since=first, until=last, limit=limit, is_outline=outline
        )
    except StoreError as error:
        raise _unreadable(error) from error
    return {
        "cluster": cluster,
        "from": moment_text(first),
        "to": moment_text(last),
        "rows": [row_document(row) for row in found.rows],
        "truncated": found.is_truncated,
    }


@router.get("/{cluster}/changes", summary="What changed between two moments, in words")
async def cluster_changes(
    cluster: str, daemon: TheDaemon, *, since: From = DEFAULT_FROM, to: To = None
) -> dict[str, Any]:
    """When it began, what was first, how low it went, who did what, and whether anybody looked."""
    first, last = _span(since, to)
    try:
        await _known(daemon, cluster)
        found = await daemon.history.changes(cluster, since=first, until=last)
    except StoreError as error:
        raise _unreadable(error) from error
    return changes_document(found)


async def _known(daemon: Daemon, cluster: str) -> None:
    """Refuse a cluster that is neither in the fleet nor in its history."""
    if cluster in daemon.clusters():
        return
    recorded = await daemon.history.clusters()
    if cluster in recorded:
        return
    known = ", ".join(daemon.clusters()) or "none"
    gone = ", ".join(sorted(recorded - set(daemon.clusters())))
    also = f"; there is history of these as well, which have left it: {gone}" if gone else ""
    raise ProblemError(
        404,
        "unknown-cluster",
        f"there is no cluster {cluster}; the fleet file has: {known}{also}",
    )


def _span(since: str, to: str | None) -> tuple[float, float]:
    first = _moment("from", since)
    last = time.time() if to is None else _moment("to", to)
    if first >= last:
        raise invalid_query("from", "must be before to")
    return first, last


def _moment(name: str, text: str) -> float:
    try:
        return parse_moment(text, now=time.time())
    except NoMoment as error:
        raise invalid_query(name, str(error)) from None


def _unreadable(error: StoreError) -> ProblemError:
    return ProblemError(503, "store", f"the history cannot be read: {error}")
