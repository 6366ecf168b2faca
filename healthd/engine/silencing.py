"""Silences for exactly the hosts that a wave has in work: made before a stop, removed after."""

import asyncio
from collections.abc import Callable

import structlog

from healthd.collect.alerts import SilenceKeeper
from healthd.collect.rest import RestError
from healthd.config.fleet import ClusterConfig
from healthd.engine.clock import Clock
from healthd.engine.tasks import Background
from healthd.waves.naming import name_of
from healthd.waves.playbook import PlaybookTarget, StepKind
from healthd.waves.silences import (
    Silence,
    SilenceMark,
    host_pattern,
    silence_document,
    silence_seconds,
)
from healthd.waves.state import IN_FLIGHT, WaveState
from healthd.waves.step_durations import longest_seconds

log = structlog.get_logger(__name__)

REMOVE_TRIES = 3
"""After that a silence is left to its own end."""

Addresses = Callable[[], tuple[tuple[str, int, str], ...]]
"""Cluster, node and address of every host of the fleet."""


class Silencer:
    """The silences of one wave."""

    def __init__(
        self,
        wave: str,
        config: ClusterConfig,
        keeper: SilenceKeeper,
        *,
        addresses: Addresses,
        limit_seconds: float,
        again_seconds: float,
        clock: Clock,
        tasks: Background,
    ) -> None:
        """Make nothing yet.

        Args:
            wave: its id.
            config: its cluster.
            keeper: where silences are made.
            addresses: of all hosts, so that a silence matches no other one.
            limit_seconds: so long a stop waits for its silence.
            again_seconds: between two tries to remove one.
            clock: the time.
            tasks: silences are removed in it; it outlives the wave.
        """
        self._wave = wave
        self._config = config
        self._keeper = keeper
        self._addresses = addresses
        self._limit = limit_seconds
        self._again = again_seconds
        self._clock = clock
        self._made: set[int] = set()
        self._lock = asyncio.Lock()
        self._tasks = tasks

    def begin(self, state: WaveState) -> None:
        """Find the silences that an earlier daemon made for this wave."""
        self._tasks.spawn(self._take_up(state), name="find silences")

    async def before_stop(self, state: WaveState, node: int) -> str | None:
        """Silence a node's host; why that could not be done, or None when it was."""
        try:
            async with asyncio.timeout(self._limit):
                return await self._silence(state, node)
        except TimeoutError:
            return f"Alertmanager gave no answer within {self._limit:g} s"
        except RestError as error:
            return f"Alertmanager {error.detail}"

    def moved(self, state: WaveState) -> None:
        """Remove the silences of nodes that the wave is through with."""
        in_work = set() if state.status.has_ended else {run.node for run in state.having(IN_FLIGHT)}
        through = self._made - in_work
        if through:
            self._made -= through
            self._tasks.spawn(self._remove(through), name="remove silences")

    async def _silence(self, state: WaveState, node: int) -> str | None:
        policy, playbook = state.policy, state.playbook
        seconds = silence_seconds(
            policy,
            stop_seconds=playbook.timeout_seconds(StepKind.STOP, policy),
            start_seconds=playbook.timeout_seconds(StepKind.START, policy)
            + longest_seconds(playbook, policy),
        )
        host = self._config.host(node)
        if host is None:
            return f"the fleet file has no host for {name_of(state, node)}"
        own = (self._config.name, node) if playbook.target is PlaybookTarget.BROKER else None
        others = [address for name, other, address in self._addresses() if (name, other) != own]
        pattern = host_pattern(host.address, host.exporter, others)
        if pattern is None:
            return f"other nodes share the address {host.address}, and it has no exporter"
        alerts = self._config.alerts
        assert alerts is not None, "a wave that silences has an Alertmanager"
        mark = SilenceMark(wave=self._wave, node=node)
        now = self._clock.wall()
        async with self._lock:
            there = next((one for one in await self._own() if one.mark == mark), None)
            self._made.add(node)
            if there is not None and there.ends - now >= seconds / 2:
                return None
            document = silence_document(
                mark,
                label=alerts.silence_label,
                pattern=pattern,
                reason=state.reason,
                now=now,
                seconds=seconds,
            )
            if there is not None:
                document["id"] = there.id
            made = await self._keeper.make(document)
        log.info("silence_made", wave=self._wave, broker=node, silence=made, seconds=seconds)
        return None

    async def _own(self) -> list[Silence]:
        return [
            silence
            for silence in await self._keeper.own()
            if silence.mark is not None and silence.mark.wave == self._wave
        ]

    async def _take_up(self, state: WaveState) -> None:
        for _ in range(REMOVE_TRIES):
            try:
                async with asyncio.timeout(self._limit):
                    found = await self._own()
            except (TimeoutError, RestError) as error:
                log.warning("silences_not_found", wave=self._wave, detail=str(error))
                await asyncio.sleep(self._again)
                continue
            self._made |= {silence.mark.node for silence in found if silence.mark is not None}
            self.moved(state)
            return

    async def _remove(self, nodes: set[int]) -> None:
        left = frozenset(nodes)
        for _ in range(REMOVE_TRIES):
            try:
                async with asyncio.timeout(self._limit), self._lock:
                    for silence in await self._own():
                        if silence.mark is not None and silence.mark.node in left:
                            await self._keeper.remove(silence.id)
                            log.info("silence_removed", wave=self._wave, broker=silence.mark.node)
            except (TimeoutError, RestError) as error:
                detail = str(error) or f"no answer within {self._limit:g} s"
                await asyncio.sleep(self._again)
            else:
                return
        log.warning("silence_not_removed", wave=self._wave, brokers=sorted(left), detail=detail)
