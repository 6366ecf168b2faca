"""Pages from a Prometheus server that scrapes the fleet: one query per signal for all clusters.

A round belongs to the server. The first cluster that asks begins it, the others wait for the same
one, each no longer than for a page of its own: a server that hangs delays nothing else.
"""

import asyncio
import ssl
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import aiohttp

from healthd.collect.exporter import client_problem, page_session
from healthd.collect.observation import FailureReason, Origin
from healthd.collect.page import PageProblem
from healthd.collect.page_body import pieces
from healthd.collect.promql import (
    QUERIES,
    UP,
    Answer,
    Target,
    answer_of,
    give_samples,
    matchers_of,
    query_of,
    shown,
    targets_of,
)
from healthd.collect.secret_threads import in_secret_thread
from healthd.config.problems import ConfigError
from healthd.config.secret_fields import runs_program
from healthd.config.source_prometheus import PrometheusServer, PrometheusUse

MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024
"""510 brokers answer one query with 200 kB."""

QUERIES_AT_ONCE: Final = 4
"""A server evaluates 20 at a time for everybody."""

JUMP_SECONDS: Final = 1.0
"""How far the server's clock may drift from ours before it is taken as set anew."""

_ERROR_BYTES: Final = 65_536
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One cluster that is read from a server."""

    name: str
    use: PrometheusUse
    instances: tuple[str, ...] | None
    """The instances of its nodes; None: its nodes have a label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What one round of a server gave."""

    targets: tuple[Target, ...] = ()
    began: float
    """Monotonic seconds."""
    offset: float = 0.0
    """What makes the server's Unix time our monotonic time when it is added."""
    evaluated_at: float = 0.0
    failed: tuple[tuple[str, PageProblem], ...] = ()
    """The queries that gave nothing, by signal."""
    warned: tuple[tuple[str, str], ...] = ()
    """The queries that were answered with a warning, by signal."""


@dataclass(slots=True)
class _Round:
    members: tuple[Member, ...]
    began: float
    task: asyncio.Task[Fetched]

    def has(self, member: Member) -> bool:
        """Whether it asks for this cluster, as it is configured now."""
        return any(one is member for one in self.members)


@dataclass(slots=True)
class PrometheusReader:
    """The rounds of one server; every cluster that it scrapes shares it."""

    server: PrometheusServer
    reuse_seconds: float
    """A round that began so short ago is still the newest."""
    clock: Callable[[], float] = time.monotonic
    _members: dict[str, Member] = field(default_factory=dict)
    _round: _Round | None = None
    _session: aiohttp.ClientSession | None = None
    _offset: float | None = None
    _reads_secret: bool = False

    def join(self, member: Member) -> None:
        """Take a cluster in; a later one of the same name takes its place."""
        self._members[member.name] = member

    def leave(self, member: Member) -> bool:
        """Let a cluster go; true when nobody is left, and then it is to be closed."""
        if self._members.get(member.name) is member:
            del self._members[member.name]
        return not self._members

    async def close(self) -> None:
        """End the round under way, and the session."""
        running, self._round = self._round, None
        if running is not None:
            running.task.cancel()
            await asyncio.wait({running.task})
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def round_for(self, member: Member) -> Fetched:
        """The newest round that has this cluster in it; begun now when there is none."""
        current = self._round
        while current is not None and not current.task.done() and not current.has(member):
            # It began before this cluster joined.
            await asyncio.wait({current.task})
            current = self._round
        if current is None or not self._serves(current, member):
            members = tuple(self._members.values())
            task = asyncio.create_task(self._fetch(members), name=f"ask {self.server.name}")
            current = self._round = _Round(members=members, began=self.clock(), task=task)
        # Not awaited itself: a cluster that gives up must not take the round from the others.
        return await asyncio.shield(current.task)

    def _serves(self, current: _Round, member: Member) -> bool:
        if not current.has(member):
            return False
        if not current.task.done():
            return True
        is_whole = not current.task.cancelled() and current.task.exception() is None
        return is_whole and self.clock() - current.began < self.reuse_seconds

    async def _fetch(self, members: tuple[Member, ...]) -> Fetched:
        began = self.clock()
        matchers = _matchers(members)
        try:
            headers = await self._credentials()
            # The time that a program took is neither the server's nor between its clock and ours.
            began = self.clock()
            until = asyncio.get_running_loop().time() + self.server.timeout_seconds
            up = await self._ask(query_of([UP], matchers), headers, until)
        except PageProblem as problem:
            return Fetched(began=began, failed=((UP, problem),))
        now = up.evaluated_at
        if now is None:
            return Fetched(began=began, warned=_warned(UP, up))
        targets = targets_of(up)
        failed: list[tuple[str, PageProblem]] = []
        warned = [*_warned(UP, up)]
        slots = asyncio.Semaphore(QUERIES_AT_ONCE)

        async def signal(name: str, families: tuple[str, ...]) -> None:
            try:
                async with slots:
                    query = query_of(families, matchers)
                    answer = await self._ask(query, headers, until, at=now)
            except PageProblem as problem:
                failed.append((name, problem))
            else:
                warned.extend(_warned(name, answer))
                give_samples(targets, answer)

        await asyncio.gather(*(signal(name, row) for name, row in QUERIES.items()))
        return Fetched(
            targets=targets,
            began=began,
            offset=self._steady(began - now),
            evaluated_at=now,
            failed=tuple(sorted(failed, key=lambda one: one[0])),
            warned=tuple(sorted(warned)),
        )

    async def _credentials(self) -> dict[str, str]:
        self._reads_secret = True
        try:
            return await in_secret_thread(
                partial(_credentials, self.server), runs_program=runs_program(self.server)
            )
        finally:
            self._reads_secret = False

    def late(self, seconds: float) -> str:
        """What keeps a round that is not there after so many seconds."""
        if self._reads_secret:
            return f"cannot be asked: its credentials could not be read within {seconds:g} s"
        return f"gave no answer within {seconds:g} s"

    def _steady(self, offset: float) -> float:
        """The same offset as before while the clocks agree: rates must not feel the network."""
        if self._offset is None or abs(self._offset - offset) > JUMP_SECONDS:
            self._offset = offset
        return self._offset

    async def _ask(
        self, query: str, headers: dict[str, str], until: float, *, at: float | None = None
    ) -> Answer:
        form = {"query": query} | ({} if at is None else {"time": f"{at:.3f}"})
        try:
            async with asyncio.timeout_at(until):
                return await self._post(form, headers)
        except TimeoutError:
            raise PageProblem(
                FailureReason.TIMEOUT,
                f"gave no answer within {self.server.timeout_seconds:g} s",
                Origin.OURS,
            ) from None
        except PageProblem as problem:
            raise PageProblem(problem.reason, problem.detail, Origin.OURS) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            found = client_problem(error)
            raise PageProblem(found.reason, found.detail, Origin.OURS) from None

    async def _post(self, form: dict[str, str], headers: dict[str, str]) -> Answer:
        if self._session is None:
            self._session = page_session(
                {"Accept": "application/json"},
                connections=QUERIES_AT_ONCE,
                timeout_seconds=self.server.timeout_seconds,
                tls=await in_secret_thread(
                    partial(_tls, self.server), runs_program=runs_program(self.server)
                ),
            )
        # A query in the address would be cut by some proxies, and cached by others.
        async with self._session.post(
            f"{self.server.url}/api/v1/query", data=form, headers=headers, allow_redirects=False
        ) as response:
            is_json = response.content_type.endswith("json")
            if response.status == 200 and is_json:  # noqa: PLR2004  # HTTP's word for an answer.
                return await _parsed(await _body(response, MAX_ANSWER_BYTES))
            raise await _refusal(response, is_json=is_json)


async def _body(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    return b"".join([piece async for piece in pieces(response, max_bytes)])


async def _parsed(body: bytes) -> Answer:
    # In a thread: a large answer must not keep the loop waiting.
    return await asyncio.to_thread(answer_of, body)


async def _refusal(response: aiohttp.ClientResponse, *, is_json: bool) -> PageProblem:
    status = response.status
    if status == _UNAUTHORIZED:
        return PageProblem(FailureReason.AUTHENTICATION, "does not accept healthd's credentials")
    if status == _FORBIDDEN:
        return PageProblem(FailureReason.AUTHORIZATION, "does not let healthd query it")
    if status in range(300, 400):
        return PageProblem(
            FailureReason.REDIRECT,
            f"answered with a redirect ({status}), which is not followed: "
            "write the address that it leads to",
        )
    if is_json:
        try:
            answer_of(await _body(response, _ERROR_BYTES))
        except PageProblem as problem:
            if problem.reason is FailureReason.QUERY_FAILED:
                return problem
    if status != 200:  # noqa: PLR2004  # As above.
        return PageProblem(FailureReason.HTTP_STATUS, f"answered with HTTP status {status}")
    return PageProblem(
        FailureReason.NOT_METRICS,
        f"answered with {shown(response.content_type)}, not with JSON: "
        "is url right, or is a login page in the way?",
    )


def _matchers(members: tuple[Member, ...]) -> dict[str, tuple[str, ...]]:
    instances: list[str] | None = []
    for member in members:
        if member.instances is None:
            instances = None
        elif instances is not None:
            instances.extend(member.instances)
    return matchers_of([member.use.matchers for member in members], instances)


def _warned(signal: str, answer: Answer) -> tuple[tuple[str, str], ...]:
    return ((signal, answer.warnings[0]),) if answer.warnings else ()


def _credentials(server: PrometheusServer) -> dict[str, str]:
    """Read in every round: tokens are changed by others while we run."""
    try:
        if server.bearer_token is not None:
            return {"Authorization": f"Bearer {server.bearer_token.read()}"}
        if server.rest.username is not None and server.rest.password is not None:
            pair = f"{server.rest.username}:{server.rest.password.read()}".encode()
            return {"Authorization": f"Basic {b64encode(pair).decode()}"}
    except ConfigError as error:
        raise PageProblem(
            FailureReason.AUTHENTICATION, f"cannot be asked: {error}", Origin.OURS
        ) from None
    return {}


def _tls(server: PrometheusServer) -> ssl.SSLContext | None:
    rest = server.rest
    if not rest.uses_tls:
        return None
    try:
        context = ssl.create_default_context(cafile=rest.ca_file)
        if rest.cert_file is not None:
            # Never None: a key with a password would make OpenSSL ask on the terminal.
            password = "" if rest.key_password is None else rest.key_password.read()
            context.load_cert_chain(rest.cert_file, rest.key_file, password=password)
    except (OSError, ValueError, ConfigError) as error:
        raise PageProblem(
            FailureReason.TLS, f"cannot be asked: a certificate or key is of no use ({error})"
        ) from None
    return context
