"""What the REST API of one Kafka Connect cluster says of its workers, connectors and tasks.

Any worker answers for the whole cluster. Each is asked for its name card, the first that shows one
for the states; so workers that are gone are seen, and a frozen one costs one time-out.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from healthd.collect.connect_words import ConnectorSeen, TaskSeen
from healthd.collect.observation import FailureReason, Origin
from healthd.collect.rest import RestClient, RestError, first_line
from healthd.collect.rest_access import RestAccess
from healthd.config.secret_fields import runs_program
from healthd.config.source_connect import ConnectConfig

STATES_ATTEMPTS: Final = 2
"""One worker may go just after its name card."""
STATUS: Final = "connectors?expand=status"
INFO: Final = "connectors?expand=info"
ALIASES_SECONDS: Final = 600.0
"""Aliases are read again so often, and whenever there is a connector of another name."""
_ALIAS_KEYS: Final = ("source.cluster.alias", "target.cluster.alias")

Aliases = tuple[str | None, str | None]
"""MirrorMaker's aliases of source and target; None for connectors that have none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSeen:
    """One worker, as its address answered."""

    url: str
    version: str | None = None
    error: RestError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectSeen:
    """One Connect cluster."""

    workers: tuple[WorkerSeen, ...]
    connectors: tuple[ConnectorSeen, ...] | None
    """In the order of their names; None: nobody told."""
    error: RestError | None = None
    """Why nobody told, when no worker is to blame for it alone."""


class ConnectRest:
    """One Connect cluster, with one HTTP client for its life."""

    def __init__(
        self,
        config: ConnectConfig,
        *,
        timeout_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask nothing, read nothing yet."""
        self.config = config
        self._client = RestClient(
            partial(RestAccess.of, config.rest),
            timeout_seconds=timeout_seconds,
            runs_program=runs_program(config.rest),
        )
        self._clock = clock
        self._last_url: str | None = None
        self._aliases: dict[str, Aliases] = {}
        self._aliases_at: float | None = None

    async def read(self, *, with_aliases: bool = False) -> ConnectSeen:
        """Who is there and what runs. Never raises.

        Args:
            with_aliases: Also read which clusters MirrorMaker's connectors join. They are in the
                connectors' configurations, of which nothing else is looked at or kept.
        """
        workers = tuple(await asyncio.gather(*map(self._worker, self.config.rest.urls)))
        there = sorted(
            (worker.url for worker in workers if worker.error is None),
            key=lambda url: url != self._last_url,
        )
        error: RestError | None = None
        for url in there[:STATES_ATTEMPTS]:
            try:
                connectors = tuple(connectors_of(await self._client.json(f"{url}/{STATUS}")))
                if with_aliases:
                    connectors = await self._with_aliases(url, connectors)
            except RestError as problem:
                error = problem
                continue
            self._last_url = url
            return ConnectSeen(workers=workers, connectors=connectors)
        return ConnectSeen(workers=workers, connectors=None, error=error)

    async def offsets(self, connector: str) -> Any:
        """What a connector's tasks have read, by `GET /connectors/NAME/offsets` (KIP-875).

        Raises:
            RestError: no worker told.
        """
        url = self._last_url or self.config.rest.urls[0]
        return await self._client.json(f"{url}/connectors/{connector}/offsets")

    async def aclose(self) -> None:
        """Let go of the connections; may be called twice."""
        await self._client.aclose()

    async def _with_aliases(
        self, url: str, connectors: tuple[ConnectorSeen, ...]
    ) -> tuple[ConnectorSeen, ...]:
        names, now = {one.name for one in connectors}, self._clock()
        at = self._aliases_at
        if at is None or now - at >= ALIASES_SECONDS or not names <= self._aliases.keys():
            # Configurations may be large: they are not asked for with every look.
            found = aliases_of(await self._client.json(f"{url}/{INFO}"))
            self._aliases = {name: found.get(name, (None, None)) for name in names}
            self._aliases_at = now
        return tuple(
            replace(
                one,
                source_alias=self._aliases[one.name][0],
                target_alias=self._aliases[one.name][1],
            )
            for one in connectors
        )

    async def _worker(self, url: str) -> WorkerSeen:
        try:
            card = await self._client.json(f"{url}/")
        except RestError as error:
            return WorkerSeen(url=url, error=error)
        version = card.get("version") if isinstance(card, dict) else None
        if not isinstance(version, str):
            return WorkerSeen(url=url, error=_no_connect())
        return WorkerSeen(url=url, version=version[:100])


def connectors_of(answer: Any) -> Iterator[ConnectorSeen]:
    """The connectors in an answer to `GET /connectors?expand=status`, in the order of their names.

    Raises:
        RestError: it is no such answer.
    """
    if not isinstance(answer, dict):
        raise _no_connect()
    for name in sorted(answer):
        entry = answer[name]
        status = entry.get("status") if isinstance(entry, dict) else None
        # A connector that was made or deleted a moment ago has no status yet, or no more.
        if isinstance(status, dict):
            yield _connector(name, status)


def aliases_of(answer: Any) -> dict[str, Aliases]:
    """MirrorMaker's aliases in an answer to `GET /connectors?expand=info`, by connector.

    Nothing else of a configuration is looked at.
    """
    found: dict[str, Aliases] = {}
    for name, entry in answer.items() if isinstance(answer, dict) else ():
        info = entry.get("info") if isinstance(entry, dict) else None
        config = info.get("config") if isinstance(info, dict) else None
        if isinstance(config, dict):
            source, target = (_text(config.get(key)) for key in _ALIAS_KEYS)
            found[name] = source, target
    return found


def _connector(name: str, status: Mapping[str, Any]) -> ConnectorSeen:
    own = status.get("connector")
    own = own if isinstance(own, dict) else {}
    tasks = status.get("tasks")
    return ConnectorSeen(
        name=name,
        kind=_text(status.get("type")) or "unknown",
        state=_state(own.get("state")),
        worker=_text(own.get("worker_id")),
        error=first_line(own.get("trace")),
        tasks=tuple(
            TaskSeen(
                id=task["id"],
                state=_state(task.get("state")),
                worker=_text(task.get("worker_id")),
                error=first_line(task.get("trace")),
            )
            for task in (tasks if isinstance(tasks, list) else [])
            if isinstance(task, dict) and type(task.get("id")) is int
        ),
    )


def _state(value: object) -> str:
    text = _text(value)
    return text.upper() if text else "UNKNOWN"


def _text(value: object) -> str | None:
    return value[:200] if isinstance(value, str) and value else None


def _no_connect() -> RestError:
    return RestError(
        FailureReason.PROTOCOL,
        "is no Kafka Connect worker: check port and path",
        Origin.OURS,
    )
