"""What stands before every route: the token, the size of a body, and the last line for a defect.

It is middleware and no dependency of each route, so that no new route can forget it.
"""

import re
from typing import Final

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from healthd.config.tokens_file import Role
from healthd.serve.auth import Auth, Person
from healthd.serve.problems import ProblemError, problem_response

log = structlog.get_logger(__name__)

ALWAYS_OPEN: Final = frozenset({"/-/healthy", "/-/ready"})
"""What a health check of the process asks for; it tells nothing of any cluster."""
READ_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
APPROVERS_PATHS: Final = re.compile(r"/api/v1/waves/[^/]+/(approve|override)")
"""Writes of a second person; all others are an operator's."""
PERSON: Final = "healthd.person"
"""Where the scope of a request has the `Person` that sends it, if there is one."""
PLANS_PATH: Final = "/api/v1/plans"
MAX_BODY_BYTES: Final = 1_000_000
"""A wave file that names 1,500 brokers and 1,000 topics takes 100 kB."""


class Guard:
    """Answers 401, 403, 413 and 500 itself; everything else goes on to the routes."""

    def __init__(self, app: ASGIApp, *, auth: Auth, open_reads: bool) -> None:
        self._app = app
        self._auth = auth
        self._open_reads = open_reads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_started = False

        async def sending(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            self._check_token(scope)
            await self._app(_as_get(scope), _limited(scope, receive), sending)
        except ProblemError as problem:
            await problem_response(problem)(scope, receive, send)
        except Exception:
            # The edge: a defect in one request must not be one of the daemon.
            log.exception("request_failed", method=scope["method"], path=scope["path"])
            if has_started:
                raise
            defect = ProblemError(500, "internal", "a defect of healthd; the log has more")
            await problem_response(defect)(scope, receive, send)

    def _check_token(self, scope: Scope) -> None:
        is_read = scope["method"] in READ_METHODS
        if is_read and (self._open_reads or scope["path"] in ALWAYS_OPEN):
            return
        person = self._auth.person_of(Headers(scope=scope).get("authorization"))
        if person is None:
            raise ProblemError(
                401,
                "unauthorized",
                "this needs a token as 'Authorization: Bearer ...'; "
                "the healthd command reads it from --token-file or HEALTHD_TOKEN_FILE",
                headers={"WWW-Authenticate": 'Bearer realm="healthd"'},
            )
        _require(person, Role.READER if is_read else _role_of(scope["path"]))
        scope[PERSON] = person


def _as_get(scope: Scope) -> Scope:
    """HEAD is GET to every route; whoever sends the answer leaves its body out."""
    return {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope


def _role_of(path: str) -> Role:
    """The role that a write to this path needs."""
    if path == PLANS_PATH:
        return Role.READER  # It is asked by POST, for its question is a file; nothing is written.
    return Role.APPROVER if APPROVERS_PATHS.fullmatch(path) else Role.OPERATOR


def _require(person: Person, role: Role) -> None:
    if person.may(role):
        return
    has = ", ".join(sorted(person.roles))
    raise ProblemError(
        403,
        "forbidden",
        f"{person.name} may not do that: it needs the role {role}, and the tokens file gives {has}",
    )


def _limited(scope: Scope, receive: Receive) -> Receive:
    """The body, until it is larger than anybody needs."""
    length = Headers(scope=scope).get("content-length", "")
    if length.isdigit() and int(length) > MAX_BODY_BYTES:
        raise _too_large()
    received = 0

    async def receiving() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > MAX_BODY_BYTES:
            raise _too_large()
        return message

    return receiving


def _too_large() -> ProblemError:
    return ProblemError(413, "too-large", f"the body is larger than {MAX_BODY_BYTES} bytes")
