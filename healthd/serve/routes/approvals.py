"""Approvals: what waits for one, and giving it."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Request
from pydantic import Field

from healthd.engine.view import FleetView
from healthd.serve.context import AnyWave, TheDaemon, User, proven_name
from healthd.serve.fleet_json import approvals_of, fleet_document
from healthd.serve.problems import ProblemError
from healthd.serve.routes.waves import Why
from healthd.waves.spec_stage import Approval

router = APIRouter(prefix="/api/v1", tags=["waves"])

_MAX_NAME: Final = 128


class ApprovalBody(Why):
    """Which stage is approved, and why."""

    stage: Annotated[str | None, Field(max_length=_MAX_NAME)] = None
    """The one that waits when it is not named."""


@router.get("/approvals", summary="What waits for an approval")
async def approvals(daemon: TheDaemon) -> dict[str, Any]:
    """Each stage that waits, who asked for the wave, and what would be done."""
    found = [approvals_of(view) for view in daemon.fleet_waves.views()]
    return {"approvals": [each for each in found if each is not None]}


@router.post("/waves/{wave}/approve", summary="Approve a stage of a wave")
async def approve(
    request: Request, wave: AnyWave, body: ApprovalBody, daemon: TheDaemon, user: User
) -> dict[str, Any]:
    """It is on disk when this answers. Two persons are two only when both are proven."""
    if not isinstance(wave, FleetView):
        raise ProblemError(
            409, "conflict", f"wave {wave.state.wave} has no stages that need an approval"
        )
    if _wants_two(wave, body.stage):
        user = proven_name(request)
    name = wave.state.wave
    view = await daemon.fleet_waves.approve(name, stage=body.stage, by=user, reason=body.reason)
    return fleet_document(view)


@router.post("/waves/{wave}/discard", summary="Give up a wave whose state cannot be read")
async def discard(wave: str, body: Why, daemon: TheDaemon, user: User) -> dict[str, Any]:
    """Refused while a broker that it has commanded may be stopped."""
    await daemon.fleet_waves.discard(wave, by=user, reason=body.reason)
    return {"wave": wave, "discarded": True}


def _wants_two(view: FleetView, stage: str | None) -> bool:
    waiting = approvals_of(view)
    name = stage or (None if waiting is None else waiting["stage"])
    at = None if name is None else view.state.named(name)
    return at is not None and view.state.stages[at].approval is Approval.TWO_PERSON
