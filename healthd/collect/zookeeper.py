"""Who leads a cluster that is not on KRaft yet, and how its ZooKeeper ensemble is.

The active controller is the one that the znode names (health-index.md section 6, item 4), read
after a `sync`, so that no server which lags behind can name an old one. A majority that is gone is
evidence of its own: without it no broker can become or stay controller, and what the brokers go on
answering has frozen.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import aiohttp

from healthd.collect.observation import (
    FailureReason,
    Origin,
    QuorumSeen,
    Source,
    SourceFailure,
)
from healthd.collect.reach import split_address
from healthd.collect.target import ClusterTarget
from healthd.collect.zookeeper_section import ids_of, is_serving, majority_is_gone, section_of
from healthd.collect.zookeeper_server import ServerReader, ServerSeen
from healthd.collect.zookeeper_words import ServerState
from healthd.collect.zookeeper_znode import ZnodeAuthError, ZnodeError, ZnodeSession
from healthd.config.source_zookeeper import ZookeeperConfig
from healthd.model.snapshot import NO_LEADER, Voter
from healthd.model.words import QuorumMode

SECTION: Final = "zookeeper"
_SILENCE: Final = frozenset({FailureReason.TIMEOUT, FailureReason.NETWORK, FailureReason.PROTOCOL})
SESSION_INTERVALS: Final = 2.5
"""Each round's read keeps the session alive; the ensemble may grant less."""
SESSION_SECONDS_AT_LEAST: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsembleRound:
    """What one round of asking an ensemble gave."""

    quorum: QuorumSeen | None
    """None: who leads is unknown, and `failures` says why."""
    section: Mapping[str, Any]
    failures: tuple[SourceFailure, ...] = ()

    @property
    def controller(self) -> int | None:
        """The active controller; None when there is none, or nobody can tell."""
        if self.quorum is None or self.quorum.leader_id == NO_LEADER:
            return None
        return self.quorum.leader_id


@dataclass(frozen=True, slots=True, kw_only=True)
class _Controller:
    """What the znodes say."""

    id: int | None = None
    """-1: nobody is active; None: unknown, and `failure` says why."""
    registered: frozenset[int] | None = None
    failure: SourceFailure | None = None


class EnsembleReader:
    """Reads the ensemble of one cluster: one session and one HTTP session for its life."""

    def __init__(
        self,
        config: ZookeeperConfig,
        *,
        interval_seconds: float,
        limit_seconds: float,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Connect to nothing yet.

        Args:
            config: The ensemble.
            interval_seconds: How often it is read.
            limit_seconds: For the servers' own words, and again for the znodes.
            wall: Seconds since 1970, for the times of the servers.
        """
        self._config = config
        self._limit = limit_seconds
        self._session_ms = round(
            1000 * max(SESSION_SECONDS_AT_LEAST, SESSION_INTERVALS * interval_seconds)
        )
        self._wall = wall
        urls = config.admin_urls or (None,) * len(config.servers)
        self._servers = tuple(
            ServerReader(address, url, self._http_session)
            for address, url in zip(config.servers, urls, strict=True)
        )
        self._caught_up_ms: dict[str, int] = {}
        self._zxids: dict[str, int] = {}
        self._session: ZnodeSession | None = None
        self._http: aiohttp.ClientSession | None = None

    async def read(self) -> EnsembleRound:
        """One round, of twice the limit at most. Never raises."""
        kept, seen = await asyncio.gather(
            self._read_kept(),
            asyncio.gather(*(server.read(self._limit) for server in self._servers)),
        )
        controller = kept or await self._read_new(seen)
        voters = self._voters(seen)
        failures = [_failure_of(one) for one in seen if one.reason is not None]
        if controller.failure is not None:
            failures.append(controller.failure)
        quorum = None
        if controller.id is not None:
            quorum = QuorumSeen(
                mode=QuorumMode.ZOOKEEPER,
                leader_id=controller.id,
                voters=voters,
                registered=controller.registered,
            )
        return EnsembleRound(
            quorum=quorum,
            section=section_of(
                seen,
                chroot=self._config.chroot,
                controller=controller.id,
                registered=controller.registered,
                numbers=self._config.numbers,
            ),
            failures=tuple(failures),
        )

    async def aclose(self) -> None:
        """End both sessions; may be called twice."""
        session, self._session = self._session, None
        http, self._http = self._http, None
        if session is not None:
            await session.close()
        if http is not None:
            await http.close()

    async def _read_kept(self) -> _Controller | None:
        """What the session of the round before still gives; None without one."""
        if self._session is None:
            return None
        found = await self._attempt(None)
        return found if isinstance(found, _Controller) else None

    async def _read_new(self, seen: Sequence[ServerSeen]) -> _Controller:
        """What a new session with a server that may know gives, or what it means that none does."""
        if majority_is_gone(seen):
            return _Controller(
                id=NO_LEADER,
                failure=_failure(
                    FailureReason.NO_LEADER,
                    "No active controller: the ZooKeeper ensemble has lost its majority.",
                    Origin.THEIRS,
                ),
            )
        problem = _failure(FailureReason.TIMEOUT, "No ZooKeeper server told who is controller.")
        try:
            async with asyncio.timeout(self._limit):
                for server in _by_promise(seen):
                    found = await self._attempt(server)
                    if isinstance(found, _Controller):
                        return found
                    problem = found
        except TimeoutError:
            # What the last one was waited for says no more than that.
            pass
        if problem.reason in _SILENCE and any(one.reason is None for one in seen):
            # We reach the ensemble: that it does not tell is its own fault.
            problem = replace(problem, origin=Origin.THEIRS)
        return _Controller(failure=problem)

    async def _attempt(self, server: str | None) -> _Controller | SourceFailure:
        """What the znodes say over a new session (None: the kept one), or why they say nothing."""
        session, self._session = self._session, None
        where = server or "the session of the round before"
        try:
            async with asyncio.timeout(self._limit):
                if server is not None:
                    host, port = split_address(server)
                    session = await ZnodeSession.connect(host, port, timeout_ms=self._session_ms)
                assert session is not None, "there is a kept session when no server is named"
                found = await self._controller(session)
                # Only what came through in order goes into the next round.
                session, self._session = None, session
                return found
        except ZnodeAuthError as error:
            return _failure(
                FailureReason.AUTHORIZATION,
                f"ZooKeeper server {where} {error}: let everybody read {self._path('/controller')} "
                "and below; logins are not built yet.",
            )
        except ZnodeError as error:
            return _failure(FailureReason.PROTOCOL, f"ZooKeeper server {where} {error}.")
        except TimeoutError:
            return _failure(FailureReason.TIMEOUT, f"ZooKeeper server {where} did not answer.")
        except OSError:
            return _failure(FailureReason.NETWORK, f"ZooKeeper server {where} cannot be reached.")
        finally:
            if session is not None:
                session.abandon()

    async def _controller(self, session: ZnodeSession) -> _Controller:
        path = self._path("/controller")
        await session.sync(path)
        registered = await session.children(self._path("/brokers/ids"))
        if registered is None:
            return _Controller(
                failure=_failure(
                    FailureReason.PROTOCOL,
                    f"ZooKeeper has no {self._path('/brokers/ids')}: write zookeeper.chroot as it "
                    "stands behind the servers in Kafka's zookeeper.connect.",
                )
            )
        data = await session.data(path)
        return _Controller(
            id=NO_LEADER if data is None else _broker_of(data),
            registered=frozenset(int(name) for name in registered if name.isdecimal()),
        )

    def _path(self, path: str) -> str:
        return f"{self._config.chroot}{path}"

    def _voters(self, seen: Sequence[ServerSeen]) -> tuple[Voter, ...]:
        now = round(1000 * self._wall())
        for one in seen:
            if one.says.state.is_serving:
                self._caught_up_ms[one.address] = now
            if one.says.zxid is not None:
                self._zxids[one.address] = one.says.zxid
        return tuple(
            Voter(
                id=number,
                last_caught_up_ms=self._caught_up_ms.get(address),
                log_end_offset=self._zxids.get(address),
            )
            for address, number in sorted(ids_of(seen).items(), key=lambda item: item[1])
        )

    def _http_session(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = aiohttp.ClientSession()
        return self._http


def ensemble_of(target: ClusterTarget) -> EnsembleReader | None:
    """What reads the ensemble of a cluster; None when it has none."""
    if target.zookeeper is None:
        return None
    return EnsembleReader(
        target.zookeeper,
        interval_seconds=target.interval_seconds,
        # Twice this, and the brokers are asked as well, before the doors are knocked at.
        limit_seconds=target.attempt_seconds,
    )


def _by_promise(seen: Sequence[ServerSeen]) -> list[str]:
    """The servers that may hold a session, those that surely serve first, the leader last of them.

    The leader has the most to do, so it is spared where another serves.
    """
    order = {True: 0, None: 2}
    found = [
        (order[serving] + (one.says.state is ServerState.LEADER), one.address)
        for one in seen
        if (serving := is_serving(one, seen)) is not False
    ]
    return [address for _, address in sorted(found, key=lambda item: item[0])]


def _broker_of(data: bytes) -> int:
    """The broker that ``/controller`` names.

    Raises:
        ZnodeError: it names none.
    """
    try:
        number = json.loads(data)["brokerid"]
    except (ValueError, TypeError, KeyError, RecursionError):
        number = None
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 2**31:
        raise ZnodeError("holds a /controller that names no broker")
    return number


def _failure_of(seen: ServerSeen) -> SourceFailure:
    assert seen.reason is not None, "the caller chose those with a reason"
    return SourceFailure(
        source=Source.ZOOKEEPER,
        origin=seen.origin,
        reason=seen.reason,
        detail=f"ZooKeeper server {seen.address} {seen.problem}.",
    )


def _failure(reason: FailureReason, detail: str, origin: Origin = Origin.OURS) -> SourceFailure:
    return SourceFailure(source=Source.QUORUM, origin=origin, reason=reason, detail=detail)
