"""Overrides of holds: what a second person answers for, for a while."""

from typing import Annotated, Any, Final

from fastapi import APIRouter
from pydantic import Field

from healthd.engine.view import FleetView
from healthd.model.codes import ReasonCode
from healthd.serve.context import AnyWave, ProvenUser, TheDaemon
from healthd.serve.problems import ProblemError
from healthd.serve.routes.waves import Why
from healthd.serve.wave_json import wave_document
from healthd.waves.events import OverrideAsked, Verb
from healthd.waves.overrides import LONGEST_SECONDS

router = APIRouter(prefix="/api/v1/waves", tags=["waves"])


_SHOWN: Final = 5


class OverrideBody(Why):
    """The hold as the wave shows it, and for how long it shall not count."""

    # JSON has no enums: the code is text there, as in every other body.
    code: Annotated[ReasonCode, Field(strict=False)]
    object: Annotated[str, Field(min_length=1, max_length=1000, examples=["cluster:payments"])]
    seconds: Annotated[float, Field(gt=0, le=LONGEST_SECONDS)]


@router.post("/{wave}/override", summary="Let a wave go on in spite of one hold, for a while")
async def override(
    wave: AnyWave, body: OverrideBody, daemon: TheDaemon, user: ProvenUser
) -> dict[str, Any]:
    """By somebody else than who started it; it is on disk when this answers."""
    if isinstance(wave, FleetView):
        active = [each.child for each in wave.state.members if each.status.is_active]
        raise ProblemError(
            409,
            "conflict",
            f"{wave.state.wave} is a wave over several clusters, and each cluster has its own"
            f" holds: name the wave of one, {', '.join(active[:_SHOWN]) or 'none is at work'}",
        )
    changed = await daemon.order(
        wave.state.wave,
        Verb.OVERRIDE.value,
        by=user,
        reason=body.reason,
        override=OverrideAsked(code=body.code, object=body.object, seconds=body.seconds),
    )
    return wave_document(changed)
