"""The probe: in each round one message to every broker and back, as a client would see it."""

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final

from healthd.collect.observation import FailureReason, Origin, Source, SourceFailure
from healthd.collect.probe_client import LOOKS, ProbeClient, ProbeRound, TopicSeen
from healthd.collect.probe_keeper import ProbeKeeper, words_of
from healthd.collect.probe_stats import ProbeHistory
from healthd.collect.probe_topic import CreateTopic, Places, Step, next_step
from healthd.collect.side import SideContext, SideSeen
from healthd.collect.target import ClusterTarget
from healthd.model.snapshot import NO_LEADER, ClusterSnapshot, Topic

STEP_SECONDS: Final = 10.0
"""Between two changes to the topic: the first one has to be seen before the next is decided."""
FAILED_STEP_SECONDS: Final = 60.0
ELECTION_WAIT_SECONDS: Final = 4.0
"""A new topic has its leaders within so long."""


class ProbeSource:
    """A `SideSource` over its own topic, with one thread for its clients."""

    source = Source.PROBE

    def __init__(
        self,
        target: ClusterTarget,
        *,
        interval_seconds: float | None = None,
        client: ProbeClient | None = None,
        keeper: ProbeKeeper | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Connect to nothing yet.

        Args:
            target: The cluster.
            interval_seconds: Between two rounds; None: one in every round of collecting.
            client: What writes and reads.
            keeper: What repairs the topic.
            clock: Monotonic seconds.
            sleep: What waits for a new topic's leaders.
        """
        self.interval_seconds = interval_seconds
        self._target = target
        self._racks = {node.id: node.rack for node in target.nodes.values() if node.rack}
        self._client = client or ProbeClient(target, clock=clock)
        self._keeper = keeper or ProbeKeeper(target)
        self._clock = clock
        self._sleep = sleep
        # Two looks, a repair with its connection, the wait for leaders, a message there and back.
        self.timeout_seconds = (
            8 * target.attempt_seconds + ELECTION_WAIT_SECONDS + 2 * self._client.limit_seconds
        )
        self._history = ProbeHistory()
        self._seen: TopicSeen | None = None
        self._no_step_before = float("-inf")
        self._last_step: tuple[str, float] | None = None
        self._step_failure: SourceFailure | None = None
        self._thread = ThreadPoolExecutor(
            max_workers=1, thread_name_prefix=f"healthd-probe-{target.name}"
        )
        self._in_flight: asyncio.Future[SideSeen] | None = None
        self._is_closed = False

    async def read(self, context: SideContext) -> SideSeen:
        """See `SideSource.read`."""
        if self._in_flight is not None and not self._in_flight.done():
            return SideSeen(failures=(_BUSY,))
        self._in_flight = asyncio.get_running_loop().run_in_executor(
            self._thread, self._read, context.snapshot
        )
        # Shielded: a read that is cancelled must not take the thread's future away.
        return await asyncio.shield(self._in_flight)

    async def aclose(self) -> None:
        """See `SideSource.aclose`."""
        if not self._is_closed:
            self._is_closed = True
            self._thread.submit(self._client.close)
            self._thread.shutdown(wait=False)

    def _read(self, snapshot: ClusterSnapshot | None) -> SideSeen:
        if self._history.is_empty and snapshot is not None and snapshot.probe is not None:
            self._history.resume(snapshot.probe)
        looked = self._client.look(1 if self._seen is not None else LOOKS)
        seen = self._seen if isinstance(looked, SourceFailure) else looked
        blind = (looked,) if isinstance(looked, SourceFailure) else ()
        if seen is None:
            return SideSeen(failures=blind)
        places = places_of(seen, snapshot, self._racks)
        if not blind:
            seen = self._keep(seen, places, snapshot)
        # When a broker that hangs was asked, the others are probed as they were last seen.
        self._seen = seen
        self._history.forget_all_but(places.expected)
        round_ = self._client.attempt(seen.partitions) if seen.partitions else ProbeRound()
        self._history.record(round_.attempts)
        failures = [*(round_.failures or (() if round_.attempts else blind))]
        if self._step_failure is not None:
            failures.append(self._step_failure)
        return SideSeen(
            section=self._section(seen, places),
            failures=tuple(failures),
            probe=self._history.probe() if round_.attempts else None,
        )

    def _keep(self, seen: TopicSeen, places: Places, snapshot: ClusterSnapshot | None) -> TopicSeen:
        """The topic after what could be done for it in this round."""
        own = _own_topic(snapshot, self._target.probe_topic)
        if own is not None and seen.partitions:
            # Only the list of reassignments says what is being added.
            marks = {row.id: row for row in own}
            partitions = tuple(
                replace(row, adding=marks[row.id].adding, removing=marks[row.id].removing)
                if row.id in marks and marks[row.id].replicas == row.replicas
                else row
                for row in seen.partitions
            )
            seen = replace(seen, partitions=partitions)
        minimum = None if own is None else own.min_insync_replicas
        step = next_step(seen.partitions, places, minimum)
        if step is None:
            self._step_failure = None
        # To make it once more does no harm: what was deleted is made again without waiting.
        may_repeat = isinstance(step, CreateTopic) and self._step_failure is None
        if step is None or (self._clock() < self._no_step_before and not may_repeat):
            return seen
        self._step_failure = self._keeper.carry_out(step, seen.controller)
        wait = STEP_SECONDS if self._step_failure is None else FAILED_STEP_SECONDS
        self._no_step_before = self._clock() + wait
        if self._step_failure is not None:
            return seen
        self._last_step = (words_of(step), self._clock())
        return self._with_leaders(seen, step)

    def _with_leaders(self, seen: TopicSeen, step: Step) -> TopicSeen:
        """The topic once it has its leaders, when it was just made; else as it was."""
        if not isinstance(step, CreateTopic):
            return seen
        until = self._clock() + ELECTION_WAIT_SECONDS
        while self._clock() < until:
            self._sleep(0.1)
            found = self._client.look()
            if isinstance(found, SourceFailure):
                break
            if len(found.partitions) >= len(step.assignments) and all(
                row.leader != NO_LEADER for row in found.partitions
            ):
                return found
        # The next round finds it; until then nothing is said of the cluster.
        return seen

    def _section(self, seen: TopicSeen, places: Places) -> dict[str, Any]:
        now = self._clock()
        leading = {row.leader for row in seen.partitions}
        topic: dict[str, Any] = {
            "name": self._target.probe_topic,
            "state": _state(seen, leading),
            "partitions": len(seen.partitions),
            "withoutPartition": sorted(places.up - leading),
        }
        if self._last_step is not None:
            what, at = self._last_step
            topic["lastChange"] = {"text": what, "secondsAgo": round(now - at, 3)}
        if self._step_failure is not None:
            topic["lastError"] = self._step_failure.detail
        return {"topic": topic, **self._history.section(now)}


def places_of(
    seen: TopicSeen, snapshot: ClusterSnapshot | None, racks: Mapping[int, str]
) -> Places:
    """Where partitions of the probe can be, from its own metadata and the last snapshot.

    Args:
        seen: The probe's own metadata.
        snapshot: The last one; it knows who is missing, and what racks brokers themselves name.
        racks: As configured.
    """
    known = () if snapshot is None else snapshot.brokers
    return Places(
        up=seen.brokers,
        expected=seen.brokers | {one.id for one in known if not one.is_pure_controller},
        racks={**racks, **{one.id: one.rack for one in known if one.rack is not None}},
    )


def _own_topic(snapshot: ClusterSnapshot | None, name: str) -> Topic | None:
    topics = () if snapshot is None else snapshot.topics
    return next((topic for topic in topics if topic.name == name), None)


def _state(seen: TopicSeen, leading: set[int]) -> str:
    if not seen.partitions:
        return "missing"
    return "complete" if seen.brokers <= leading else "incomplete"


_BUSY: Final = SourceFailure(
    source=Source.PROBE,
    origin=Origin.OURS,
    reason=FailureReason.BUSY,
    detail="The probe's last round has not ended.",
)
