"""Prometheus HTTP service discovery: where the exporters of every cluster are."""

from typing import Any

from fastapi import APIRouter

from healthd.serve.context import TheDaemon
from healthd.serve.target_json import target_groups

router = APIRouter(prefix="/sd/v1", tags=["discovery"])


@router.get("/brokers", summary="Exporters of every cluster for Prometheus's http_sd_configs")
async def brokers(daemon: TheDaemon) -> list[dict[str, Any]]:
    """One target group for each node that has an exporter, in the order of the fleet file."""
    return [group for view in daemon.clusters().values() for group in target_groups(view.config)]
