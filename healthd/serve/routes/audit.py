"""Who did what, and why."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from healthd.serve.context import TheDaemon

router = APIRouter(prefix="/api/v1", tags=["audit"])

MAX_RECORDS = 1000


@router.get("/audit", summary="The newest audit records")
async def audit(
    daemon: TheDaemon, limit: Annotated[int, Query(ge=1, le=MAX_RECORDS)] = 100
) -> dict[str, Any]:
    """Who did what and why, newest first."""
    return {"records": [dict(record) for record in await daemon.audit(limit)]}
