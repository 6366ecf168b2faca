"""Connectors and tasks as Kafka Connect tells of them, and the section that is made of them."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from healthd.model.order import natural_key

FAILED: Final = "FAILED"
RUNNING: Final = "RUNNING"
LISTED: Final = 100
"""Connectors, and failed parts, that a section names; the rest is in its counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSeen:
    """One task of a connector."""

    id: int
    state: str
    """RUNNING, PAUSED, FAILED, UNASSIGNED, RESTARTING, ... as Connect says."""
    worker: str | None = None
    error: str = ""
    """The first line of its trace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorSeen:
    """One connector."""

    name: str
    kind: str
    """`source` or `sink`."""
    state: str
    worker: str | None = None
    error: str = ""
    tasks: tuple[TaskSeen, ...] = ()
    source_alias: str | None = None
    """MirrorMaker's, when it was asked for."""
    target_alias: str | None = None

    @property
    def failed_parts(self) -> Iterator[dict[str, Any]]:
        """The connector itself and its tasks, as far as they have failed."""
        if self.state == FAILED:
            yield {"connector": self.name, "task": None, "worker": self.worker, "error": self.error}
        for task in self.tasks:
            if task.state == FAILED:
                yield {
                    "connector": self.name,
                    "task": task.id,
                    "worker": task.worker,
                    "error": task.error,
                }

    @property
    def is_well(self) -> bool:
        """Whether it and all its tasks run; one that has nothing to do may have none."""
        return self.state == RUNNING and all(task.state == RUNNING for task in self.tasks)


def connectors_json(connectors: Iterable[ConnectorSeen]) -> dict[str, Any]:
    """The connectors of one Connect cluster for the section: counts in full, names bounded."""
    found = sorted(connectors, key=lambda one: (one.is_well, natural_key(one.name)))
    failed = [part for one in found for part in one.failed_parts]
    return {
        "connectorCount": len(found),
        "connectorStates": dict(sorted(Counter(one.state for one in found).items())),
        "taskStates": dict(
            sorted(Counter(task.state for one in found for task in one.tasks).items())
        ),
        "failedCount": len(failed),
        "failed": failed[:LISTED],
        "connectors": [
            {
                "name": one.name,
                "type": one.kind,
                "state": one.state,
                "worker": one.worker,
                "tasks": dict(sorted(Counter(task.state for task in one.tasks).items())),
            }
            for one in found[:LISTED]
        ],
        "truncated": len(found) > LISTED or len(failed) > LISTED,
    }
