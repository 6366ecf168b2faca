"""Asking one ZooKeeper server: by four-letter words, by its AdminServer where words are off."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import aiohttp

from healthd.collect import zookeeper_words as words
from healthd.collect.observation import FailureReason, Origin
from healthd.collect.reach import split_address
from healthd.collect.zookeeper_words import (
    AnswerError,
    DeniedError,
    LeaderSays,
    ServerSays,
    ServerState,
)

MAX_ANSWER_BYTES: Final = 1024 * 1024
"""What a leader answers to mntr is 20 kB."""

Identity = tuple[int | None, frozenset[int]]
"""A server's own id and those of the ensemble's members."""

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSeen:
    """What one server of the ensemble gave in one round."""

    address: str
    says: ServerSays
    id: int | None = None
    """Its `myid`; None: it never said."""
    members: frozenset[int] = frozenset()
    """The ids of the ensemble's servers, as far as this one has told."""
    leads: LeaderSays | None = None
    """Only of a leader."""
    asked_admin_server: bool = False
    reason: FailureReason | None = None
    """Why there is no state; None: there is one."""
    origin: Origin = Origin.THEIRS
    problem: str = ""
    """The same in words that fit behind the server's address."""


class ServerReader:
    """Reads one server; remembers what never changes and which way of asking it allows."""

    def __init__(
        self, address: str, admin_url: str | None, session: Callable[[], aiohttp.ClientSession]
    ) -> None:
        """Ask nothing yet.

        Args:
            address: `host:port` for clients.
            admin_url: Where its AdminServer's commands are; None: it has none.
            session: Gives the HTTP session, when it is needed.
        """
        self.address = address
        self._admin_url = admin_url
        self._session = session
        self._id: int | None = None
        self._members: frozenset[int] = frozenset()
        self._words_denied = False
        self._id_denied = False
        self._id_told = False
        self._further_seconds = 0.0

    async def read(self, limit_seconds: float) -> ServerSeen:
        """What the server says within the limit, or why it says nothing. Never raises."""
        # Two ways of asking, for two things: even if all hang, what srvr said is in time.
        self._further_seconds = limit_seconds / 5
        try:
            async with asyncio.timeout(limit_seconds):
                return await self._read()
        except AnswerError as error:
            denied = isinstance(error, DeniedError)
            return self._silent(
                FailureReason.AUTHORIZATION if denied else FailureReason.PROTOCOL,
                str(error),
                state=ServerState.UNKNOWN,
                origin=Origin.OURS if denied else Origin.THEIRS,
            )
        except TimeoutError:
            return self._silent(FailureReason.TIMEOUT, f"gave no answer in {limit_seconds:g} s")
        except aiohttp.ClientError as error:
            return self._failed(getattr(error, "os_error", None) or error)
        except OSError as error:
            return self._failed(error)

    async def _read(self) -> ServerSeen:
        if not self._words_denied:
            try:
                return await self._by_words()
            except DeniedError:
                if self._admin_url is None:
                    raise DeniedError(
                        "does not allow the word srvr: allow it in 4lw.commands.whitelist, or name "
                        "adminPort"
                    ) from None
                self._words_denied = True
        return await self._by_admin_server()

    async def _by_words(self) -> ServerSeen:
        says = words.says_of_srvr(await self._word("srvr"))
        leads = None
        if says.state is ServerState.LEADER:
            leads, _ = await self._first_of(self._leads_by_word, self._leads_by_command)
        if not self._id_told and not self._id_denied and says.state.is_serving:
            identity, is_denied = await self._first_of(
                self._identity_by_word, self._identity_by_command
            )
            # Its list of words changes only with a restart, and then a connection breaks. An
            # answer that only came too late is asked for again.
            self._id_denied = is_denied
            self._learn(identity)
        return self._seen(says, leads)

    async def _by_admin_server(self) -> ServerSeen:
        says = words.says_of_server_stats(await self._command("srvr"))
        leads = None
        if says.state is ServerState.LEADER:
            leads = await self._leads_by_command()
        if not self._id_told and says.state.is_serving:
            self._learn(await self._identity_by_command())
        return replace(self._seen(says, leads), asked_admin_server=True)

    async def _first_of(
        self,
        by_word: Callable[[], Awaitable[ResultT]],
        by_command: Callable[[], Awaitable[ResultT]],
    ) -> tuple[ResultT | None, bool]:
        """What a further word says, or the AdminServer where it is not allowed; None: neither.

        And whether neither ever will: each of them has answered, and said nothing. Only srvr is
        always allowed: zkServer.sh itself needs it.
        """
        ways = (by_word,) if self._admin_url is None else (by_word, by_command)
        have_answered = True
        for way in ways:
            # What hangs here must not take away what srvr has said.
            try:
                async with asyncio.timeout(self._further_seconds):
                    return await way(), False
            except AnswerError:
                continue
            except (aiohttp.ClientError, OSError):
                have_answered = False
        return None, have_answered

    async def _leads_by_word(self) -> LeaderSays:
        return words.says_of_mntr(await self._word("mntr"))

    async def _leads_by_command(self) -> LeaderSays:
        return words.says_of_monitor(await self._command("monitor"))

    async def _identity_by_word(self) -> Identity:
        return words.identity_of_conf(await self._word("conf"))

    async def _identity_by_command(self) -> Identity:
        own = words.id_of_configuration(await self._command("configuration"))
        return own, words.members_of_voting_view(await self._command("voting_view"))

    async def _word(self, word: str) -> str:
        host, port = split_address(self.address)
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(word.encode())
            answer = b""
            while chunk := await reader.read(65_536):
                answer += chunk
                if len(answer) > MAX_ANSWER_BYTES:
                    raise AnswerError(f"gave more than {MAX_ANSWER_BYTES} bytes to {word}")
            if not answer:
                raise AnswerError(f"closed the connection instead of answering {word}")
            return answer.decode("utf-8", "replace")
        finally:
            writer.close()

    async def _command(self, command: str) -> Mapping[str, Any] | None:
        url = f"{self._admin_url}/{command}"
        async with self._session().get(url, allow_redirects=False) as response:
            body = await response.content.read(MAX_ANSWER_BYTES + 1)
            while len(body) <= MAX_ANSWER_BYTES and (more := await response.content.readany()):
                body += more
            if len(body) > MAX_ANSWER_BYTES:
                raise AnswerError(f"gave more than {MAX_ANSWER_BYTES} bytes to {command}")
            if response.status != 200:  # noqa: PLR2004  # HTTP's word for "here it is".
                raise AnswerError(f"answered {command} with HTTP status {response.status}")
            return words.admin_object(body)

    def _learn(self, identity: Identity | None) -> None:
        if identity is not None:
            number, self._members = identity
            self._id_told = number is not None
            self._id = self._id if number is None else number

    def _seen(self, says: ServerSays, leads: LeaderSays | None) -> ServerSeen:
        return ServerSeen(
            address=self.address, says=says, id=self._id, members=self._members, leads=leads
        )

    def _failed(self, error: BaseException) -> ServerSeen:
        if isinstance(error, ConnectionRefusedError) or "refused" in str(error).lower():
            return self._silent(FailureReason.REFUSED, "refused the connection")
        if isinstance(error, socket.gaierror):
            return self._silent(
                FailureReason.DNS, "has a name that cannot be resolved here", origin=Origin.OURS
            )
        return self._silent(FailureReason.NETWORK, "broke the connection")

    def _silent(
        self,
        reason: FailureReason,
        problem: str,
        *,
        state: ServerState = ServerState.SILENT,
        origin: Origin = Origin.THEIRS,
    ) -> ServerSeen:
        # Whoever comes back may have another configuration.
        self._id_told = self._id_denied = self._words_denied = False
        return replace(
            self._seen(ServerSays(state=state), None), reason=reason, problem=problem, origin=origin
        )
