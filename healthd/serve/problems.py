"""Errors as problem documents (RFC 9457): one type a kind, each with what to do about it."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from healthd.engine.view import OrderRefused, Refusal

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:healthd:problem:"

PROBLEM_TYPES: Final[Mapping[str, str]] = {
    "http": "A plain HTTP error: no such path, or a method that the path does not take.",
    "unauthorized": "The request needs the daemon's token, and has none or a wrong one.",
    "forbidden": "The token's roles do not allow it, or it takes a second person.",
    "invalid-request": "The path, the query or the body is wrong; `problems` says where.",
    "too-large": "The body is larger than the daemon reads.",
    "unknown-cluster": "The fleet file has no cluster of that name.",
    "unknown-tenant": "The cluster has no tenant of that name.",
    "unknown-profile": "The fleet file has no connection profile of that name.",
    "unknown-wave": "There is no wave with that id.",
    "unknown": "What the order is about does not exist.",
    "not-observed": "The daemon has not seen this cluster yet.",
    "leased": "Another wave holds the cluster: `holder`, `since` and `wave` say which.",
    "plan-stale": "The plan does not fit the cluster any more: `differences` says why.",
    "rehearsal-failed": "The rehearsal of the wave did not end well: `rehearsal` says how.",
    "conflict": "It is not in a state in which that can be done.",
    "store": "The daemon cannot write its state; nothing was done.",
    "internal": "A defect of healthd; the daemon's log has more.",
}
"""Every type that the API answers with (after `TYPE_PREFIX`), and what it means."""

_REFUSALS: Final[Mapping[Refusal, tuple[int, str]]] = {
    Refusal.INVALID: (422, "invalid-request"),
    Refusal.UNKNOWN: (404, "unknown"),
    Refusal.LEASED: (409, "leased"),
    Refusal.CONFLICT: (409, "conflict"),
    Refusal.STORE: (503, "store"),
    Refusal.STALE: (409, "plan-stale"),
}


class ProblemError(Exception):
    """A request that ends in a problem document."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **facts: Any,
    ) -> None:
        self.status = status
        self.kind = kind
        self.detail = detail
        self.headers = dict(headers or {})
        self.facts = facts
        super().__init__(detail)


def problem_response(problem: ProblemError) -> JSONResponse:
    """The response that carries a problem."""
    body = {
        "type": TYPE_PREFIX + problem.kind,
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        **{key: _plain(value) for key, value in problem.facts.items()},
    }
    return JSONResponse(
        body, status_code=problem.status, headers=problem.headers, media_type=MEDIA_TYPE
    )


def from_refusal(refused: OrderRefused) -> ProblemError:
    """An order that the daemon did not take, as a problem."""
    status, kind = _REFUSALS[refused.refusal]
    # A fact may never replace a member that RFC 9457 defines.
    facts = {
        key: value
        for key, value in refused.facts.items()
        if key not in {"type", "title", "status", "detail", "headers", "kind"}
    }
    if refused.refusal is Refusal.INVALID:
        facts["problems"] = [_path_and_message(found) for found in facts.get("problems", ())]
    return ProblemError(status, kind, str(refused), **facts)


def install(app: FastAPI) -> None:
    """Make every error of an app a problem document."""

    async def on_problem(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, ProblemError)
        return problem_response(error)

    async def on_refusal(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, OrderRefused)
        return problem_response(from_refusal(error))

    async def on_http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        detail = {
            404: f"there is nothing at {request.url.path}; /openapi.json lists what there is",
            405: f"{request.url.path} does not take {request.method}",
        }.get(error.status_code, str(error.detail))
        return problem_response(
            ProblemError(error.status_code, "http", detail, headers=error.headers)
        )

    async def on_invalid(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        problems = [
            {"path": _location(found["loc"]), "message": str(found["msg"])}
            for found in error.errors()
        ]
        first = problems[0]
        return problem_response(
            ProblemError(
                422,
                "invalid-request",
                f"{first['path']}: {first['message']}",
                problems=problems,
            )
        )

    app.add_exception_handler(ProblemError, on_problem)
    app.add_exception_handler(OrderRefused, on_refusal)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)


def _location(parts: tuple[int | str, ...]) -> str:
    """`query.brokers`, or `reason` for what is in the body."""
    shown = parts[1:] if parts[:1] == ("body",) and len(parts) > 1 else parts
    path = ""
    for part in shown:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _path_and_message(found: Any) -> dict[str, str]:
    if isinstance(found, Mapping):
        return {str(key): str(value) for key, value in found.items()}
    path, message = found
    return {"path": str(path), "message": str(message)}


def _plain(value: Any) -> Any:
    """A fact as JSON; times and enums become text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
