"""A source that could not be built yet: its secret was not there when the daemon started."""

from collections.abc import Callable

from healthd.collect.protocol import ClusterSource, Collected


class LateSource:
    """Builds the real source at the first collection in which that works."""

    def __init__(self, build: Callable[[], ClusterSource]) -> None:
        self._build = build
        self._source: ClusterSource | None = None

    async def collect(self, *, read_configs: bool = False) -> Collected:
        """See `ClusterSource.collect`; raises what stands against building it."""
        if self._source is None:
            self._source = self._build()
        return await self._source.collect(read_configs=read_configs)

    async def aclose(self) -> None:
        """See `ClusterSource.aclose`."""
        if self._source is not None:
            await self._source.aclose()
