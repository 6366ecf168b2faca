"""Routes: what a connection profile resolves to; overrides: an operator's word on a verdict."""

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Header, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from healthd.engine.route_table import Answer
from healthd.routing.verdict import Forced, RoutingState
from healthd.serve.context import TheDaemon, User
from healthd.serve.problems import ProblemError
from healthd.serve.route_question import MAX_WAIT_SECONDS, known_tag, wait_of
from healthd.serve.routing_json import verdict_document
from healthd.store.errors import StoreError

router = APIRouter(prefix="/api/v1", tags=["routing"])

MAX_FORCE_SECONDS: Final = 30 * 86_400.0


@router.get("/routes", summary="Every profile, and the verdict of every cluster")
async def list_routes(daemon: TheDaemon) -> dict[str, Any]:
    """Answered from memory."""
    routing = daemon.router
    return {
        "profiles": [answer.route.as_json() for _, answer in sorted(routing.answers.items())],
        "verdicts": [verdict_document(routing, name) for name in daemon.clusters()],
        "dryRun": routing.is_dry_run,
        "suspect": sorted(routing.fleet.suspects),
    }


@router.get("/routes/{profile}", summary="The clusters that clients of a profile use now")
async def show_route(
    profile: str,
    daemon: TheDaemon,
    *,
    wait: Annotated[
        str | None, Query(description="Answer when something changed, or after so long: 30s.")
    ] = None,
    since: Annotated[
        str | None, Query(description="The ETag that the client has, with wait.")
    ] = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """200 with an ETag, or 304 when it is still the one that the client has.

    `route_answers` answers most of these before they get here.
    """
    known = known_tag(since if since is not None else if_none_match)
    seconds = _seconds(wait)
    routing = daemon.router
    answer = routing.answers.get(profile)
    if answer is not None and known == answer.etag and seconds > 0:
        answer = await routing.wait(profile, answer.etag, seconds)
    if answer is None:
        names = ", ".join(sorted(routing.answers)[:20]) or "none"
        raise ProblemError(
            404, "unknown-profile", f"there is no profile {profile}; the fleet file has: {names}"
        )
    headers = {"ETag": f'"{answer.etag}"', "Cache-Control": "no-cache"}
    if known == answer.etag:
        return Response(status_code=304, headers=headers)
    return _sent(answer, headers)


class ForceModel(BaseModel):
    """An operator's word on one cluster's verdict."""

    model_config = ConfigDict(extra="forbid", strict=True)

    kind: Literal["route"] = "route"
    cluster: str
    state: Literal["IN", "OUT"]
    seconds: Annotated[float, Field(gt=0, le=MAX_FORCE_SECONDS)]
    reason: Annotated[str, Field(min_length=1, max_length=1000)]


@router.get("/overrides", summary="What operators have forced")
async def list_overrides(daemon: TheDaemon) -> dict[str, Any]:
    """Every override that has not ended."""
    documents = [verdict_document(daemon.router, name) for name in daemon.clusters()]
    return {
        "overrides": [
            {"kind": "route", "cluster": found["cluster"], **found["forced"]}
            for found in documents
            if found["forced"] is not None
        ]
    }


@router.post("/overrides", summary="Force a cluster in or out of routing", status_code=201)
async def force(body: ForceModel, daemon: TheDaemon, user: User) -> dict[str, Any]:
    """With a reason and an end; it is on disk when this is answered."""
    _known_cluster(daemon, body.cluster)
    forced = Forced(
        state=RoutingState(body.state), by=user, reason=body.reason, seconds_left=body.seconds
    )
    await _force(daemon, body.cluster, forced, by=user, reason=body.reason)
    return verdict_document(daemon.router, body.cluster)


class UnforceModel(BaseModel):
    """Why an operator's word is taken back."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: Annotated[str, Field(min_length=1, max_length=1000)]


@router.post("/overrides/{cluster}/lift", summary="Take back what was forced")
async def unforce(
    cluster: str, body: UnforceModel, daemon: TheDaemon, user: User
) -> dict[str, Any]:
    """The machine's own state counts again."""
    _known_cluster(daemon, cluster)
    if daemon.router.fleet.routing(cluster).forced is None:
        raise ProblemError(409, "conflict", f"nobody has forced {cluster} in or out")
    await _force(daemon, cluster, None, by=user, reason=body.reason)
    return verdict_document(daemon.router, cluster)


async def _force(
    daemon: TheDaemon, cluster: str, forced: Forced | None, *, by: str, reason: str
) -> None:
    try:
        await daemon.router.force(cluster, forced, by=by, reason=reason)
    except StoreError as error:
        raise ProblemError(503, "store", f"nothing was changed: {error}") from error


def _known_cluster(daemon: TheDaemon, cluster: str) -> None:
    clusters = daemon.clusters()
    if cluster not in clusters:
        names = ", ".join(clusters)
        raise ProblemError(
            404, "unknown-cluster", f"there is no cluster {cluster}; the fleet file has: {names}"
        )


def _sent(answer: Answer, headers: dict[str, str]) -> Response:
    return Response(answer.body, media_type="application/json", headers=headers)


def _seconds(wait: str | None) -> float:
    seconds = 0.0 if wait is None else wait_of(wait)
    if seconds is None:
        message = f"must be seconds up to {MAX_WAIT_SECONDS:g}, such as 30s"
        raise ProblemError(
            422,
            "invalid-request",
            f"wait: {message}",
            problems=[{"path": "query.wait", "message": message}],
        )
    return seconds
