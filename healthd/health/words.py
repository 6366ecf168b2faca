"""The closed sets of words that a Health Index is told in."""

from enum import StrEnum
from typing import Final

from healthd.model.words import EvidenceGroup


class Term(StrEnum):
    """A part of the weighted sum, in the order in which they are listed."""

    PARTITIONS = "partitions"
    BROKERS = "brokers"
    CONTROLLER = "controller"
    SATURATION = "saturation"
    PROBE = "probe"
    STORAGE = "storage"


GROUPS_READ: Final[dict[Term, tuple[EvidenceGroup, ...]]] = {
    Term.PARTITIONS: (EvidenceGroup.METADATA, EvidenceGroup.CONFIGS),
    Term.BROKERS: (EvidenceGroup.METADATA,),
    Term.CONTROLLER: (EvidenceGroup.QUORUM,),
    Term.SATURATION: (EvidenceGroup.METRICS,),
    Term.PROBE: (EvidenceGroup.PROBE,),
    Term.STORAGE: (EvidenceGroup.METRICS,),
}
"""What each term is made from. The first group carries the term; the others only age it."""


class PartitionState(StrEnum):
    """What a partition can still do, the best first."""

    OK = "OK"
    UNDER_REPLICATED = "UNDER_REPLICATED"
    AT_MIN_ISR = "AT_MIN_ISR"
    UNDER_MIN_ISR = "UNDER_MIN_ISR"
    OFFLINE = "OFFLINE"


class HealthClass(StrEnum):
    """What people are told at a glance."""

    OK = "OK"
    WARN = "WARN"
    CRIT = "CRIT"
    UNKNOWN = "UNKNOWN"
