"""Mutes: checks that people do not want to hear of for a while."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from healthd.engine.muting import LONGEST_SECONDS, MAX_OBJECTS, mute_json
from healthd.model.codes import CheckCode
from healthd.serve.context import TheDaemon, User

router = APIRouter(prefix="/api/v1/mutes", tags=["mutes"])

_Text = Annotated[str, Field(min_length=1, max_length=1000)]


class MuteModel(BaseModel):
    """One check of one cluster, silenced until its end."""

    model_config = ConfigDict(extra="forbid")

    cluster: _Text
    check: CheckCode
    objects: Annotated[list[_Text], Field(max_length=MAX_OBJECTS)] = []
    seconds: Annotated[float, Field(gt=0, le=LONGEST_SECONDS)]
    reason: _Text
    owner: _Text | None = None
    even_if_not_raised: Annotated[bool, Field(alias="evenIfNotRaised")] = False


class UnmuteModel(BaseModel):
    """Why a mute is lifted."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: _Text


@router.get("", summary="Every mute that counts")
async def list_mutes(daemon: TheDaemon) -> dict[str, Any]:
    """The one that ends first in front."""
    return {"mutes": [mute_json(mute) for mute in daemon.mutes()]}


@router.post("", summary="Mute a check", status_code=201)
async def mute(body: MuteModel, daemon: TheDaemon, user: User) -> dict[str, Any]:
    """With a reason and an end; it never touches the index or routing."""
    found = await daemon.mute(body.model_dump(mode="json", by_alias=True), by=user)
    return mute_json(found)


@router.post("/{mute}/lift", summary="Lift a mute")
async def unmute(mute: str, body: UnmuteModel, daemon: TheDaemon, user: User) -> dict[str, Any]:
    """The check is heard again with the next judgement."""
    return mute_json(await daemon.unmute(mute, by=user, reason=body.reason))
