"""Which Kafka release a broker is, for those whose exporter page does not say.

Only healthd's own rule file and few others write the version, which JMX has as a text. But the
release decides what the request handlers' idle ratio means, and mixed releases are a finding:
what is known of a broker may not depend on the dialect of its exporter. Every broker tells which
versions of each request it speaks, and each release has added some; the library knows which.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from healthd.collect import wire
from healthd.collect.observation import PageSeen
from healthd.collect.wire import WireClient, WireError

ASK_AGAIN_SECONDS: Final = 150.0
"""A broker that was exchanged without a change of its page's start time is noticed then."""


@dataclass(frozen=True, slots=True)
class _Asked:
    at: float
    start_time_seconds: float | None
    release: str | None


class ReleaseReader:
    """Remembers the release of each broker, and asks again when its process is another one."""

    def __init__(self, client: WireClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._asked: dict[int, _Asked] = {}

    @property
    def known(self) -> Mapping[int, str]:
        """Release by broker id, as far as a broker has told."""
        return {
            node: asked.release for node, asked in self._asked.items() if asked.release is not None
        }

    def due(self, pages: Mapping[int, PageSeen], alive: Collection[int]) -> tuple[int, ...]:
        """The alive brokers that have a page without a version and are to be asked now."""
        now = self._clock()
        return tuple(
            node
            for node, page in sorted(pages.items())
            if node in alive and page.signals.version is None and self._is_due(node, page, now)
        )

    def _is_due(self, node: int, page: PageSeen, now: float) -> bool:
        asked = self._asked.get(node)
        return (
            asked is None
            or asked.start_time_seconds != page.signals.start_time_seconds
            or now - asked.at >= ASK_AGAIN_SECONDS
        )

    def read(self, nodes: Sequence[int], pages: Mapping[int, PageSeen]) -> None:
        """Ask these brokers, one request each at the same time. Blocking; never raises."""
        try:
            answers = self._client.send_all({node: (node, wire.api_request()) for node in nodes})
        except WireError as error:
            answers = dict.fromkeys(nodes, error)
        now = self._clock()
        for node in nodes:
            answer = answers[node]
            # One that did not answer may be another release by now: it is unknown, not the old one.
            release = None if isinstance(answer, WireError) else wire.release_of(answer)
            start = pages[node].signals.start_time_seconds
            self._asked[node] = _Asked(now, start, release)
