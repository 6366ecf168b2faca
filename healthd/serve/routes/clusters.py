"""Clusters: how each is, why, and which of its brokers could stop."""

import json
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response
from starlette.concurrency import run_in_threadpool

from healthd.health.report_json import as_json
from healthd.model.render import render_snapshot
from healthd.model.snapshot import ClusterSnapshot
from healthd.safety.acknowledgements import Acknowledgements
from healthd.safety.ok_to_stop import UnknownBroker
from healthd.serve.cluster_json import (
    cluster_document,
    cluster_summary,
    health_document,
    ok_to_stop_document,
)
from healthd.serve.context import (
    TheCluster,
    TheDaemon,
    ids_of,
    invalid_query,
    require_known,
    require_seen,
)
from healthd.serve.problems import ProblemError
from healthd.waves.policy import MAX_WHOLE

router = APIRouter(prefix="/api/v1/clusters", tags=["clusters"])

_PATTERN: Final = "Shell pattern over topic names; may be given repeatedly."
_IDS: Final = "must be ids with commas between, such as 1,2"


@router.get("", summary="Every cluster in short")
async def list_clusters(daemon: TheDaemon) -> dict[str, Any]:
    """In the order of the fleet file."""
    waves = tuple(daemon.waves())
    return {"clusters": [cluster_summary(view, waves) for view in daemon.clusters().values()]}


@router.get("/{cluster}", summary="One cluster in full")
async def show_cluster(cluster: TheCluster, daemon: TheDaemon) -> dict[str, Any]:
    """Health, gate, sources and failures; the gate is what one snapshot can tell."""
    return await run_in_threadpool(cluster_document, cluster, tuple(daemon.waves()))


@router.get("/{cluster}/health", summary="The Health Index with its decomposition")
async def health(cluster: TheCluster) -> dict[str, Any]:
    """As `healthd evaluate` prints it."""
    return health_document(cluster)


@router.get("/{cluster}/tenants/{tenant}", summary="The Health Index of one tenant")
async def tenant_health(cluster: TheCluster, tenant: str) -> dict[str, Any]:
    """As `healthd evaluate` prints it, for the tenant's partitions and the whole cluster's rest."""
    report = cluster.tenants.get(tenant)
    if report is None:
        known = ", ".join(each.name for each in cluster.config.tenants) or "none"
        raise ProblemError(
            404, "unknown-tenant", f"{cluster.config.name} has no tenant {tenant}; it has: {known}"
        )
    return as_json(report)


@router.get("/{cluster}/snapshot", summary="Everything known of a cluster")
async def snapshot(cluster: TheCluster) -> Response:
    """A ClusterSnapshot."""
    # 100,000 partitions take a second: that must not be a second of the event loop.
    body = await run_in_threadpool(_snapshot_body, require_seen(cluster))
    return Response(body, media_type="application/json")


@router.get("/{cluster}/doctor", summary="What healthd may and may not see of a cluster")
async def doctor(cluster: TheCluster, daemon: TheDaemon) -> dict[str, Any]:
    """As `healthd doctor` prints it: looked at now, which takes seconds; kept for ten."""
    return dict(await daemon.examine(cluster.config))


@router.get("/{cluster}/ok-to-stop", summary="What would break if these brokers stopped now")
async def ok_to_stop(
    cluster: TheCluster,
    *,
    brokers: Annotated[
        str | None, Query(description="Ids with commas between; absent: each one by itself.")
    ] = None,
    margin: Annotated[int, Query(ge=0, le=MAX_WHOLE)] = 0,
    allow_rf_one: Annotated[
        list[str] | None, Query(alias="allowRfOne", description=_PATTERN)
    ] = None,
    allow_rf_le_min_isr: Annotated[
        list[str] | None, Query(alias="allowRfLeMinIsr", description=_PATTERN)
    ] = None,
    allow_quorum_without_spare: Annotated[bool, Query(alias="allowQuorumWithoutSpare")] = False,
) -> dict[str, Any]:
    """As `healthd ok-to-stop` prints it, on the latest snapshot."""
    acknowledged = Acknowledgements(
        margin=margin,
        allow_rf_one=tuple(allow_rf_one or ()),
        allow_rf_le_min_isr=tuple(allow_rf_le_min_isr or ()),
        allow_quorum_without_spare=allow_quorum_without_spare,
    )
    ids = None if brokers is None else ids_of(brokers, words=_IDS)
    try:
        known = require_known(cluster)
        return await run_in_threadpool(ok_to_stop_document, known, ids, acknowledged)
    except UnknownBroker as unknown:
        raise invalid_query("brokers", str(unknown)) from None


def _snapshot_body(found: ClusterSnapshot) -> bytes:
    return json.dumps(render_snapshot(found), separators=(",", ":"), allow_nan=False).encode()
