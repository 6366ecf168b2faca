"""Waves: start one, follow it, give it orders."""

import time
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field, field_validator

from healthd.engine.view import FleetView, WaveView
from healthd.model.json_reader import InputError, load_json
from healthd.model.render import render_time
from healthd.serve.context import AnyWave, TheDaemon, User
from healthd.serve.fleet_json import clusters_of, document_of, summary_of
from healthd.serve.problems import ProblemError
from healthd.serve.rehearsing import Rehearse, rehearsal_markdown, rehearsed, taken_out
from healthd.serve.wave_json import journal_entries
from healthd.waves.dora import wave_figures
from healthd.waves.fleet_report import fleet_markdown, fleet_report
from healthd.waves.report import report_markdown, wave_report
from healthd.waves.report_fleet import fleet_sums, fleet_sums_markdown

router = APIRouter(prefix="/api/v1/waves", tags=["waves"])

_MAX_REASON: Final = 1000


class Order(StrEnum):
    """What a person may order."""

    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"
    SKIP = "skip"
    CONFIRM = "confirm"
    ABORT = "abort"


_OF_ONE_NODE: Final = frozenset({Order.RETRY, Order.SKIP, Order.CONFIRM})


class Why(BaseModel):
    """The reason of an order, for the journal and the audit log."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: str = Field(max_length=_MAX_REASON, examples=["CHG-1234 the vendor looks at broker 3"])

    @field_validator("reason")
    @classmethod
    def _says_something(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("say why: it goes into the audit log")
        return value.strip()


class OrderBody(Why):
    """An order's reason, and the node that retry, skip and confirm are about.

    A wave over several clusters asks for the node's cluster, too, unless only one has such a node;
    and `skip` with a cluster and no node leaves a cluster out that has not begun.
    """

    node: int | None = Field(default=None, ge=0)
    cluster: str | None = Field(default=None, max_length=_MAX_REASON)


@router.get("", summary="Waves that run, and those that ended in the last 24 hours")
async def list_waves(request: Request, daemon: TheDaemon) -> dict[str, Any]:
    """The newest first; waves that belong to one over several clusters are shown inside of it."""
    parent_of = daemon.fleet_waves.parent_of
    views: list[WaveView | FleetView] = list(daemon.fleet_waves.views())
    views += [view for view in daemon.waves() if parent_of(view.state.wave) is None]
    views.sort(key=lambda view: view.created_at, reverse=True)
    return {
        "waves": [summary_of(view) for view in views],
        "scheduled": request.app.state.scheduled(),
    }


@router.post(
    "",
    summary="Start a wave",
    status_code=201,
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "A wave file (kind: Wave) as JSON.",
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    },
)
async def start_wave(request: Request, daemon: TheDaemon, user: User) -> Response:
    """Take the wave that the body describes; it is on disk when this answers."""
    try:
        document = load_json(await request.body())
    except InputError as error:
        raise _invalid(error.path, error.problem) from None
    if not isinstance(document, dict):
        raise _invalid("", "the body must be a wave file (kind: Wave) as a JSON object")
    document, wanted = taken_out(document)
    found = None
    if wanted is not None:
        rehearse: Rehearse = request.app.state.rehearse
        found = await rehearsed(document, wanted, daemon, rehearse=rehearse)
    view = await daemon.start_wave(document, by=user)
    answer = document_of(view)
    if found is not None:
        await daemon.rehearsals.keep(view.state.wave, found)
        answer["rehearsal"] = found
    return JSONResponse(
        answer,
        status_code=201,
        headers={"Location": f"/api/v1/waves/{view.state.wave}"},
    )


@router.post("/pause-all", summary="The emergency stop: pause every wave")
async def pause_all(body: Why, daemon: TheDaemon, user: User) -> dict[str, Any]:
    """What is in flight finishes its start and its checks; then nothing starts."""
    views = await daemon.pause_all(by=user, reason=body.reason)
    return {"waves": [summary_of(view) for view in views]}


@router.get("/{wave}", summary="One wave as it stands")
async def show_wave(wave: AnyWave) -> dict[str, Any]:
    """Every node's state since when, and what the gate waits for."""
    return document_of(wave)


@router.get("/{wave}/rehearsal", summary="What was rehearsed before a wave was started")
async def rehearsal(wave: str, daemon: TheDaemon) -> dict[str, Any]:
    """What came of it on every cluster; the last reasons to hold where it did not end well."""
    found = await daemon.rehearsals.of(wave)
    if found is None:
        raise ProblemError(404, "unknown", f"{wave} was not rehearsed before it was started")
    return dict(found)


@router.get("/{wave}/journal", summary="The story of a wave")
async def journal(wave: AnyWave, daemon: TheDaemon) -> dict[str, Any]:
    """Oldest first."""
    name = wave.state.wave
    return {"wave": name, "entries": journal_entries(await daemon.journal(name))}


@router.get("/{wave}/report", summary="The report of a wave", response_model=None)
async def report(
    wave: AnyWave,
    daemon: TheDaemon,
    output: Annotated[Literal["json", "markdown"], Query(alias="format")] = "json",
) -> Response:
    """What, who, why, and the timeline of every node; also while the wave still runs."""
    entries = await daemon.journal(wave.state.wave)
    tried = await daemon.rehearsals.of(wave.state.wave)
    more = {} if tried is None else {"rehearsal": tried}
    if isinstance(wave, FleetView):
        reports = [
            wave_report(child.state, journal_entries(await daemon.journal(child.state.wave)))
            for child in wave.children.values()
        ]
        whole = fleet_report(wave.state, journal_entries(entries), clusters_of(wave))
        whole |= fleet_sums(reports)
        if output == "markdown":
            page = fleet_markdown(whole) + fleet_sums_markdown(whole) + rehearsal_markdown(tried)
            return PlainTextResponse(page, media_type="text/markdown; charset=utf-8")
        return JSONResponse(whole | more)
    deployed = daemon.counters.deployed
    found = wave_report(
        wave.state,
        journal_entries(entries),
        requested_at=render_time(wave.created_at),
        dora=wave_figures(deployed.get(wave.state.wave), deployed.values(), time.time()),
    )
    if output == "markdown":
        page = report_markdown(found) + rehearsal_markdown(tried)
        return PlainTextResponse(page, media_type="text/markdown; charset=utf-8")
    return JSONResponse(found | more)


@router.post("/{wave}/{verb}", summary="Give a wave an order")
async def order(
    wave: AnyWave,
    verb: Annotated[Order, Path()],
    body: OrderBody,
    daemon: TheDaemon,
    user: User,
) -> dict[str, Any]:
    """It is on disk when this answers."""
    is_fleet = isinstance(wave, FleetView)
    if body.cluster is not None and not is_fleet:
        raise _invalid("cluster", "the wave is on one cluster; leave cluster out")
    leaves_cluster_out = verb is Order.SKIP and body.cluster is not None
    if verb in _OF_ONE_NODE and body.node is None and not leaves_cluster_out:
        raise _invalid("node", f"{verb.value} needs the id of the node that it is about")
    if verb not in _OF_ONE_NODE and (body.node is not None or body.cluster is not None):
        raise _invalid("node", f"{verb.value} is about the whole wave; leave node out")
    name = wave.state.wave
    if is_fleet:
        return document_of(
            await daemon.fleet_waves.order(
                name,
                verb.value,
                by=user,
                reason=body.reason,
                cluster=body.cluster,
                node=body.node,
            )
        )
    changed = await daemon.order(name, verb.value, by=user, reason=body.reason, node=body.node)
    return document_of(changed)


def _invalid(path: str, message: str) -> ProblemError:
    detail = f"{path}: {message}" if path else message
    return ProblemError(
        422, "invalid-request", detail, problems=[{"path": path, "message": message}]
    )
