"""Plans: in which order, and how many at a time, brokers of a cluster can be taken now."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool

from healthd.engine.plans import live_plan
from healthd.model.json_reader import InputError, load_json
from healthd.safety.ok_to_stop import UnknownBroker
from healthd.serve.context import (
    ID_DIGITS,
    TheCluster,
    TheDaemon,
    ids_of,
    invalid_query,
    require_known,
)
from healthd.serve.problems import ProblemError
from healthd.waves.plan_json import SAFE
from healthd.waves.policy import MAX_WHOLE

router = APIRouter(prefix="/api/v1", tags=["plans"])

_PATTERN: Final = "Shell pattern over topic names; may be given repeatedly."
_ALL: Final = "all"
_IDS: Final = "must be all, or ids with commas between, such as 1,2"


@router.get(
    "/clusters/{cluster}/plan", summary="In which order brokers can be taken, and how many at once"
)
async def plan(
    cluster: TheCluster,
    daemon: TheDaemon,
    *,
    brokers: Annotated[str, Query(description="Ids with commas between, or all.")] = _ALL,
    concurrency: Annotated[str, Query(description="A number from 1, or safe.")] = "1",
    margin: Annotated[int | None, Query(ge=0, le=MAX_WHOLE)] = None,
    allow_rf_one: Annotated[
        list[str] | None, Query(alias="allowRfOne", description=_PATTERN)
    ] = None,
    allow_rf_le_min_isr: Annotated[
        list[str] | None, Query(alias="allowRfLeMinIsr", description=_PATTERN)
    ] = None,
    allow_quorum_without_spare: Annotated[
        bool | None, Query(alias="allowQuorumWithoutSpare")
    ] = None,
    assume_min_isr: Annotated[int | None, Query(alias="assumeMinIsr", ge=1, le=MAX_WHOLE)] = None,
) -> dict[str, Any]:
    """As `healthd plan` prints it, on the latest snapshot and by the cluster's own policy."""
    require_known(cluster)
    given = {
        "margin": margin,
        "allow_rf_one": None if allow_rf_one is None else tuple(allow_rf_one),
        "allow_rf_le_min_isr": None if allow_rf_le_min_isr is None else tuple(allow_rf_le_min_isr),
        "allow_quorum_without_spare": allow_quorum_without_spare,
    }
    nodes = None if brokers == _ALL else ids_of(brokers, words=_IDS)
    limit = _limit(concurrency)
    measured = await daemon.measured(cluster.config.name)
    try:
        return await run_in_threadpool(
            lambda: live_plan(
                cluster,
                nodes=nodes,
                concurrency=limit,
                given={key: value for key, value in given.items() if value is not None},
                assume_min_isr=assume_min_isr,
                measured=measured,
            )
        )
    except UnknownBroker as unknown:
        raise invalid_query("brokers", str(unknown)) from None


@router.post(
    "/plans",
    summary="The plan of a wave file: every cluster of every stage",
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "A wave file (kind: Wave) as JSON.",
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    },
)
async def plan_wave(request: Request, daemon: TheDaemon) -> dict[str, Any]:
    """As `healthd plan FILE` prints it; nothing is started, and nothing written."""
    try:
        document = load_json(await request.body())
    except InputError as error:
        problem = {"path": error.path, "message": error.problem}
        raise ProblemError(422, "invalid-request", str(error), problems=[problem]) from None
    if not isinstance(document, dict):
        message = "the body must be a wave file (kind: Wave) as a JSON object"
        problem = {"path": "", "message": message}
        raise ProblemError(422, "invalid-request", message, problems=[problem])
    return dict(await daemon.plan_wave(document))


def _limit(text: str) -> int | None:
    if text == SAFE:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < ID_DIGITS) or int(text) < 1:
        raise invalid_query("concurrency", f"must be a number from 1, or {SAFE}")
    return int(text)
