"""What the REST API of one Kafka Connect cluster says of its workers, connectors and tasks.

Any worker answers for the whole cluster. Each is asked for its name card, the first that shows one
for the states; so workers that are gone are seen, and a frozen one costs one time-out.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from healthd.collect.connect_words import ConnectorSeen, TaskSeen
from healthd.collect.observation import FailureReason, Origin
from healthd.collect.rest import RestAccess, RestClient, RestError, first_line
from healthd.config.source_connect import ConnectConfig

STATES_ATTEMPTS: Final = 2
"""One worker may go just after its name card."""
STATUS: Final = "connectors?expand=status"
STATUS_AND_INFO: Final = "connectors?expand=status&expand=info"
_ALIASES: Final = {
    "source.cluster.alias": "source",
    "target.cluster.alias": "target",
}


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

    def __init__(self, config: ConnectConfig, *, timeout_seconds: float) -> None:
        """Ask nothing yet.

        Raises:
            ConfigError: a secret cannot be read.
        """
        self.config = config
        self._client = RestClient(RestAccess.of(config.rest), timeout_seconds=timeout_seconds)
        self._last_url: str | None = None

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
                answer = await self._client.json(
                    f"{url}/{STATUS_AND_INFO if with_aliases else STATUS}"
                )
                connectors = tuple(connectors_of(answer))
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
            yield _connector(name, status, entry.get("info"))


def _connector(name: str, status: Mapping[str, Any], info: Any) -> ConnectorSeen:
    own = status.get("connector")
    own = own if isinstance(own, dict) else {}
    tasks = status.get("tasks")
    config = info.get("config") if isinstance(info, dict) else None
    aliases = (
        {word: str(config[key]) for key, word in _ALIASES.items() if key in config}
        if isinstance(config, dict)
        else {}
    )
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
        source_alias=aliases.get("source"),
        target_alias=aliases.get("target"),
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
