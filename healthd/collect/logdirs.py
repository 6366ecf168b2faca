"""The brokers' own word on their disks: how full the fullest is, and which directories are lost.

DescribeLogDirs names no topic, so that a broker with 100,000 replicas answers with its directories
only. It goes over a connection of its own: a broker answers the requests of one connection in their
order, and one whose disk hangs must not hold up what it says of the quorum.
"""

import asyncio
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from healthd.collect import wire
from healthd.collect.observation import (
    FailureReason,
    LogDirsSeen,
    Origin,
    Source,
    SourceFailure,
)
from healthd.collect.rights import DESCRIBE_CLUSTER, told
from healthd.collect.side import SideContext, SideSeen
from healthd.collect.target import ClusterTarget
from healthd.collect.wire import UnsupportedError, WireClient, WireError

KAFKA_STORAGE_ERROR: Final = 56
"""The directory is offline."""

GRANT: Final = "grant Describe on Cluster:kafka-cluster"

_DENIED: Final = WireError(
    FailureReason.AUTHORIZATION, Origin.OURS, "an answer without any directory"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogDir:
    """One log directory as its broker describes it."""

    path: str
    is_offline: bool
    total_bytes: int | None = None
    """Of the volume that it is in; None: unknown, as before Kafka 3.3 (KIP-827)."""
    usable_bytes: int | None = None

    @property
    def used_ratio(self) -> float | None:
        """How full the volume is, 0 to 1."""
        if self.is_offline or self.usable_bytes is None or not self.total_bytes:
            return None
        return min(1.0, max(0.0, 1 - self.usable_bytes / self.total_bytes))


def log_dirs_of(answer: Any) -> tuple[LogDir, ...]:
    """The directories in a DescribeLogDirsResponse.

    Raises:
        WireError: it holds an error, or nothing at all: before version 3 that means denied.
    """
    problem = wire.code_error(getattr(answer, "error_code", None) or 0, None)
    if problem is not None:
        raise problem
    if not answer.results:
        raise _DENIED
    found = []
    for row in answer.results:
        if row.error_code not in {0, KAFKA_STORAGE_ERROR}:
            problem = wire.code_error(row.error_code, None)
            assert problem is not None
            raise problem
        found.append(
            LogDir(
                path=row.log_dir,
                is_offline=row.error_code == KAFKA_STORAGE_ERROR,
                total_bytes=_bytes(row, "total_bytes"),
                usable_bytes=_bytes(row, "usable_bytes"),
            )
        )
    return tuple(found)


def _bytes(row: Any, name: str) -> int | None:
    value = getattr(row, name, None)
    return value if isinstance(value, int) and value >= 0 else None


def seen_of(dirs: Iterable[LogDir], at: float) -> LogDirsSeen:
    """The fullest directory and the number of lost ones."""
    found = tuple(dirs)
    ratios = [ratio for one in found if (ratio := one.used_ratio) is not None]
    return LogDirsSeen(
        used_ratio=max(ratios, default=None),
        offline=sum(one.is_offline for one in found),
        at=at,
    )


class LogDirsSource:
    """A `SideSource`: every alive broker is asked in every round, side by side."""

    source = Source.LOG_DIRS
    interval_seconds: float | None = None

    def __init__(self, target: ClusterTarget) -> None:
        """Connect to nothing yet."""
        # A client that has to connect first, and then one request, each with its own limit.
        self.timeout_seconds = 4 * target.attempt_seconds + 1
        self._client = WireClient(target)
        self._thread = ThreadPoolExecutor(
            max_workers=1, thread_name_prefix=f"healthd-logdirs-{target.name}"
        )
        self._in_flight: asyncio.Future[SideSeen] | None = None
        self._known: dict[int, tuple[float, dict[str, Any]]] = {}
        self._is_closed = False

    async def read(self, context: SideContext) -> SideSeen:
        """See `SideSource.read`."""
        if self._in_flight is not None and not self._in_flight.done():
            return SideSeen(failures=(_BUSY,))
        self._in_flight = asyncio.get_running_loop().run_in_executor(
            self._thread, self._read, tuple(sorted(context.brokers)), context.now
        )
        # Shielded: a read that is cancelled must not take the thread's future away.
        return await asyncio.shield(self._in_flight)

    async def aclose(self) -> None:
        """See `SideSource.aclose`."""
        if not self._is_closed:
            self._is_closed = True
            self._thread.submit(self._client.close)
            self._thread.shutdown(wait=False)

    def _read(self, alive: tuple[int, ...], at: float) -> SideSeen:
        try:
            nodes = alive or self._client.brokers()
            answers = self._client.send_all(
                {node: (node, wire.log_dirs_request()) for node in nodes}
            )
        except WireError as error:
            return SideSeen(failures=(_failure(error),))
        found: dict[int, tuple[LogDir, ...]] = {}
        problems: dict[int, WireError] = {}
        for node, answer in answers.items():
            try:
                if isinstance(answer, WireError):
                    problems[node] = answer
                else:
                    found[node] = log_dirs_of(answer)
            except WireError as problem:
                problems[node] = problem
        if problems:
            # One that has just come is not known to the client yet.
            self._client.refresh()
        for node, dirs in found.items():
            self._known[node] = (at, broker_section(node, dirs))
        return SideSeen(
            section=self._section(nodes, at) if found else None,
            failures=failures_of(problems, any_answered=bool(found)),
            log_dirs={node: seen_of(dirs, at) for node, dirs in found.items()},
        )

    def _section(self, nodes: Iterable[int], at: float) -> dict[str, Any]:
        """The section `logDirs` of the snapshot's `extra`; who is silent keeps what it said."""
        self._known = {node: self._known[node] for node in nodes if node in self._known}
        return {
            "brokers": [
                {**entry, "silentSeconds": round(at - seen_at, 3)} if seen_at < at else entry
                for _, (seen_at, entry) in sorted(self._known.items())
            ]
        }


def broker_section(node: int, dirs: Iterable[LogDir]) -> dict[str, Any]:
    """One broker in the section: its fullest directory and the lost ones, however many it has."""
    found = tuple(dirs)
    entry: dict[str, Any] = {
        "broker": node,
        "directories": len(found),
        "offline": sorted(one.path for one in found if one.is_offline),
    }
    sized = [one for one in found if one.used_ratio is not None]
    if sized:
        fullest = max(sized, key=lambda one: one.used_ratio or 0.0)
        entry["fullest"] = {
            "path": fullest.path,
            "usedRatio": round(fullest.used_ratio or 0.0, 4),
            "usableBytes": fullest.usable_bytes,
            "totalBytes": fullest.total_bytes,
        }
    return entry


def failures_of(
    problems: Mapping[int, WireError], *, any_answered: bool
) -> tuple[SourceFailure, ...]:
    """One failure for all that are not allowed or when nobody answers, else one for each broker.

    When others answer, our own way to the cluster is well: a silent broker is no fault of ours.
    """
    denied = [error for error in problems.values() if error.reason is FailureReason.AUTHORIZATION]
    if denied:
        return (_failure(denied[0]),)
    if not any_answered:
        return tuple(_failure(error) for error in list(problems.values())[:1])
    return tuple(
        SourceFailure(
            source=Source.LOG_DIRS,
            origin=Origin.THEIRS,
            reason=error.reason,
            node=node,
            detail=f"Broker {node} did not describe its log directories ({error.detail}).",
        )
        for node, error in sorted(problems.items())
    )


def _failure(error: WireError) -> SourceFailure:
    detail = told(error, "DescribeLogDirs", DESCRIBE_CLUSTER)
    if isinstance(error, UnsupportedError):
        detail = f"{detail} Write `logDirs: false` for this cluster."
    return SourceFailure(
        source=Source.LOG_DIRS, origin=error.origin, reason=error.reason, detail=detail
    )


_BUSY: Final = SourceFailure(
    source=Source.LOG_DIRS,
    origin=Origin.OURS,
    reason=FailureReason.BUSY,
    detail="Reading logDirs still hangs in an old request.",
)
