"""What a person has said they accept when brokers stop."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from healthd.model.snapshot import Topic


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgements:
    """Accepted risks, and the margin that is asked on top; the default accepts none.

    Patterns are shell patterns over the whole topic name, and case counts.
    """

    margin: int = 0
    """Replicas in sync that shall be left above min.insync.replicas, where RF allows it."""
    allow_rf_one: tuple[str, ...] = ()
    """Topics whose partitions without a second replica may go away."""
    allow_rf_le_min_isr: tuple[str, ...] = ()
    """Topics with RF <= min.insync.replicas that may refuse acks=all for a while."""
    allow_quorum_without_spare: bool = False
    """A quorum of one or two voters may be lost while one of them is away."""
    assume_min_isr: int | None = None
    """Counts as min.insync.replicas where that is unknown, and nowhere else."""

    def allows_rf_one(self, topic: Topic) -> bool:
        """Whether RF 1 of this topic is accepted."""
        return _matches(topic.name, self.allow_rf_one)

    def allows_rf_le_min_isr(self, topic: Topic) -> bool:
        """Whether RF <= min.insync.replicas of this topic is accepted."""
        return _matches(topic.name, self.allow_rf_le_min_isr)

    def min_isr(self, topic: Topic) -> int | None:
        """The topic's min.insync.replicas, else the assumed one; None when neither is known."""
        known = topic.min_insync_replicas
        return self.assume_min_isr if known is None else known


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


NONE: Final = Acknowledgements()
"""Nothing is acknowledged."""
