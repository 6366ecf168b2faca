"""The section `schemaRegistry`: which instances of a Schema Registry serve.

By its public documentation `GET /mode` tells the global mode (READWRITE, READONLY, IMPORT) and
needs the registry's own store, so that an answer means more than an open port. Implementations
without modes (and older versions) answer it with 404; then `GET /subjects?limit=1` is asked. Which
instance is primary is told by no documented REST call of all versions, only over JMX
(`master-slave-role`), and is not shown here.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from healthd.collect.observation import FailureReason, Origin, Source, SourceFailure
from healthd.collect.rest import RestClient, RestError, names_of, whose
from healthd.collect.rest_access import RestAccess
from healthd.collect.side import SideContext, SideSeen
from healthd.config.secret_fields import runs_program
from healthd.config.source_rest import RestConfig

_HTTP_NOT_FOUND: Final = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    mode: str | None
    seconds: float


class RegistrySource:
    """A `SideSource` over every instance of one Schema Registry."""

    source = Source.REGISTRY
    interval_seconds: float | None = None

    def __init__(
        self,
        config: RestConfig,
        *,
        attempt_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask nothing, read nothing yet."""
        self._names = names_of(config.urls)
        self._client = RestClient(
            partial(RestAccess.of, config),
            timeout_seconds=attempt_seconds,
            runs_program=runs_program(config),
        )
        self._clock = clock
        # One question, and another one for those that do not know the first.
        self.timeout_seconds = 2 * attempt_seconds + 1

    async def read(self, context: SideContext) -> SideSeen:
        """See `SideSource.read`."""
        answers = await asyncio.gather(*map(self._ask, self._names))
        instances: list[dict[str, Any]] = []
        failures: list[SourceFailure] = []
        for (url, name), answer in zip(self._names.items(), answers, strict=True):
            entry: dict[str, Any] = {"instance": name, "url": url, "up": True, "reason": None}
            if isinstance(answer, RestError):
                origin = whose(answer, context)
                # What is our own fault says nothing of the instance.
                entry["up"] = False if origin is Origin.THEIRS else None
                entry["reason"] = answer.reason.value
                failures.append(
                    SourceFailure(
                        source=Source.REGISTRY,
                        origin=origin,
                        reason=answer.reason,
                        detail=f"The Schema Registry {url} {answer.detail}.",
                    )
                )
            else:
                entry["mode"] = answer.mode
                entry["latencySeconds"] = round(answer.seconds, 4)
            instances.append(entry)
        return SideSeen(
            section={"instances": instances, "up": sum(one["up"] is True for one in instances)},
            failures=tuple(failures),
        )

    async def aclose(self) -> None:
        """See `SideSource.aclose`."""
        await self._client.aclose()

    async def _ask(self, url: str) -> _Answer | RestError:
        began = self._clock()
        try:
            mode = await self._mode(url)
        except RestError as error:
            return error
        return _Answer(mode=mode, seconds=max(0.0, self._clock() - began))

    async def _mode(self, url: str) -> str | None:
        try:
            answer = await self._client.json(f"{url}/mode")
        except RestError as error:
            if error.status != _HTTP_NOT_FOUND:
                raise
            if not isinstance(await self._client.json(f"{url}/subjects?limit=1"), list):
                raise _no_registry() from None
            return None
        mode = answer.get("mode") if isinstance(answer, dict) else None
        if not isinstance(mode, str):
            raise _no_registry()
        return mode[:50]


def _no_registry() -> RestError:
    return RestError(
        FailureReason.PROTOCOL, "is no Schema Registry: check port and path", Origin.OURS
    )
