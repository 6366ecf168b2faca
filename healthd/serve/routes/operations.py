"""What keeps the daemon itself running well: metrics, health checks, reload."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from healthd.serve.context import TheDaemon, User
from healthd.serve.metrics import Exposition, observe
from healthd.serve.problems import ProblemError

router = APIRouter(tags=["operations"])


@router.get("/metrics", summary="Metrics for Prometheus")
async def metrics(request: Request, daemon: TheDaemon) -> Response:
    """Everything of docs/reference/metrics.md in the text format that the client asks for."""
    exposition: Exposition = request.app.state.exposition
    # Read here, where nothing changes meanwhile; rendered where it holds up nobody.
    observed = observe(daemon)
    body, content_type = await run_in_threadpool(
        exposition.render, observed, request.headers.get("accept", "")
    )
    return Response(body, headers={"Content-Type": content_type})


@router.get("/-/healthy", summary="The process is alive")
async def healthy() -> dict[str, Any]:
    """200 as long as the process answers, whatever Kafka does."""
    return {"status": "alive"}


@router.get("/-/ready", summary="The daemon does its work")
async def ready(daemon: TheDaemon) -> Response:
    """200 when every loop runs and every cluster was looked at once, well or badly; else 503."""
    is_ready = daemon.is_ready
    return JSONResponse(
        {"status": "ready" if is_ready else "starting"}, status_code=200 if is_ready else 503
    )


@router.post("/-/reload", summary="Read the fleet file again")
async def reload(daemon: TheDaemon, user: User) -> dict[str, Any]:
    """A fleet file that is wrong is refused and the one that runs stays (422)."""
    worked, message = await daemon.reload(by=user)
    if not worked:
        raise ProblemError(422, "invalid-request", message)
    return {"reloaded": True, "message": message}
