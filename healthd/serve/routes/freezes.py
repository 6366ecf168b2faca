"""Change freezes: times in which waves begin nothing on some clusters."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from healthd.engine.freezing import LONGEST_SECONDS, freeze_view
from healthd.serve.context import TheDaemon, User

router = APIRouter(prefix="/api/v1/freezes", tags=["freezes"])

_Text = Annotated[str, Field(min_length=1, max_length=1000)]
_Moment = Annotated[str, Field(min_length=1, max_length=100)]


class FreezeModel(BaseModel):
    """Clusters on which waves begin nothing for a while, or until the freeze is removed."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: _Text
    reason: _Text
    clusters: Annotated[list[_Text], Field(max_length=10_000)] = []
    match: dict[_Text, str] = {}
    all: bool = False
    from_: Annotated[_Moment | None, Field(alias="from")] = None
    until: _Moment | None = None
    seconds: Annotated[float, Field(gt=0, le=LONGEST_SECONDS)] | None = None


class UnfreezeModel(BaseModel):
    """Why a freeze is removed."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: _Text


@router.get("", summary="Every freeze, those of the fleet file too")
async def list_freezes(daemon: TheDaemon) -> dict[str, Any]:
    """Those of the fleet file first; also those that are over or still to come."""
    now = daemon.freezer.now
    return {"freezes": [freeze_view(freeze, now) for freeze in daemon.freezer.all()]}


@router.post("", summary="Freeze clusters", status_code=201)
async def freeze(body: FreezeModel, daemon: TheDaemon, user: User) -> dict[str, Any]:
    """With a reason; what waves have in flight is finished."""
    found = await daemon.freezer.add(body.model_dump(mode="json", by_alias=True), by=user)
    return freeze_view(found, daemon.freezer.now)


@router.post("/{freeze}/remove", summary="Remove a freeze")
async def unfreeze(
    freeze: str, body: UnfreezeModel, daemon: TheDaemon, user: User
) -> dict[str, Any]:
    """Waves go on after a whole clean run; one of the fleet file is removed there."""
    found = await daemon.freezer.remove(freeze, by=user, reason=body.reason)
    return freeze_view(found, daemon.freezer.now)
