"""The section `connectors`: the Kafka Connect clusters that work on a cluster."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from healthd.collect.connect_rest import ConnectRest, ConnectSeen
from healthd.collect.connect_words import connectors_json
from healthd.collect.observation import Origin, Source, SourceFailure
from healthd.collect.rest import RestError, whose
from healthd.collect.side import SideContext, SideSeen
from healthd.config.source_connect import ConnectConfig


class ConnectSource:
    """A `SideSource` over the REST APIs of a cluster's Connect clusters."""

    source = Source.CONNECT
    interval_seconds: float | None = None

    def __init__(self, configs: Sequence[ConnectConfig], *, attempt_seconds: float) -> None:
        """Ask nothing, read nothing yet."""
        self._clusters = [ConnectRest(one, timeout_seconds=attempt_seconds) for one in configs]
        # Name cards, then the states from one worker or another.
        self.timeout_seconds = 3 * attempt_seconds + 1
        self._known: dict[str, tuple[dict[str, Any], float]] = {}

    async def read(self, context: SideContext) -> SideSeen:
        """See `SideSource.read`."""
        seen = await asyncio.gather(*(cluster.read() for cluster in self._clusters))
        pairs = [(one.config.name, found) for one, found in zip(self._clusters, seen, strict=True)]
        return SideSeen(
            section={"clusters": [self._entry(name, found, context) for name, found in pairs]},
            failures=tuple(
                failure
                for name, found in pairs
                for failure in failures_of(Source.CONNECT, name, found, context)
            ),
        )

    async def aclose(self) -> None:
        """See `SideSource.aclose`."""
        await asyncio.gather(*(cluster.aclose() for cluster in self._clusters))

    def _entry(self, name: str, seen: ConnectSeen, context: SideContext) -> dict[str, Any]:
        """One Connect cluster; while nobody tells, its last states with their own age."""
        if seen.connectors is not None:
            self._known[name] = (connectors_json(seen.connectors), context.now)
        states, at = self._known.get(name, ({}, None))
        return {
            "name": name,
            "down": is_down(seen, context),
            "workers": [
                {
                    "url": worker.url,
                    "up": worker.error is None,
                    "version": worker.version,
                }
                for worker in seen.workers
            ],
            "statesAgeSeconds": None if at is None else round(max(0.0, context.now - at), 3),
            **states,
        }


def is_down(seen: ConnectSeen, context: SideContext) -> bool | None:
    """Whether no worker serves, by evidence against each of them; None: it is not known."""
    if seen.connectors is not None:
        return False
    errors = [worker.error for worker in seen.workers if worker.error is not None]
    if len(errors) == len(seen.workers):
        theirs = all(whose(error, context) is Origin.THEIRS for error in errors)
        return True if theirs else None
    return None


def failures_of(
    source: Source, name: str, seen: ConnectSeen, context: SideContext
) -> Iterator[SourceFailure]:
    """What could not be read of one Connect cluster, a sentence each."""
    for worker in seen.workers:
        if worker.error is not None:
            where = f"The worker {worker.url} of the Connect cluster {name}"
            yield _failure(source, where, worker.error, context)
    if seen.error is not None:
        where = f"The list of connectors of the Connect cluster {name}"
        yield _failure(source, where, seen.error, context)


def _failure(source: Source, where: str, error: RestError, context: SideContext) -> SourceFailure:
    return SourceFailure(
        source=source,
        origin=whose(error, context),
        reason=error.reason,
        detail=f"{where} {error.detail}.",
    )
