"""The probe of a cluster: healthd's own topic, written and read on a schedule."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from healthd.config.problems import Problem
from healthd.config.schema import FileModel, refusal
from healthd.config.yaml_source import Document
from healthd.waves.policy import Location

PROBE_TOPIC: Final = "__healthd_probe"

_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")
_OWN: Final = "healthd"


def _checked_topic(text: str) -> str:
    if not _TOPIC.fullmatch(text):
        raise refusal(
            "is no name of a topic",
            "use letters, digits, dots, dashes and underscores, 249 at most",
        )
    if _OWN not in text.lower():
        # It is written to, kept small, reassigned, and left out of the index.
        raise refusal(
            "must have healthd in its name, for healthd treats it as its own",
            f"write a name such as {PROBE_TOPIC}",
        )
    return text


class ProbeModel(FileModel):
    """`probe` of a cluster."""

    topic: Annotated[str, AfterValidator(_checked_topic)] = PROBE_TOPIC
    interval_seconds: Annotated[float, Field(ge=1, le=3600)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeConfig:
    """How a cluster is probed."""

    topic: str = PROBE_TOPIC
    interval_seconds: float | None = None
    """Between two rounds; None: in every round of collecting."""


def probe_config(model: ProbeModel | None) -> ProbeConfig | None:
    """The probe that the fleet file asks for; None: there is none."""
    if model is None:
        return None
    return ProbeConfig(topic=model.topic, interval_seconds=model.interval_seconds)


def probe_problems(
    probe: ProbeConfig | None, document: Document, location: Location, interval_seconds: float
) -> Iterator[Problem]:
    """A probe that is always stale before its next round: it would only close the gate.

    Args:
        probe: Of the cluster at that place.
        document: The fleet file.
        location: Of the cluster.
        interval_seconds: The daemon's interval.
    """
    # Fresh is two intervals at most: the probe's own, and that in which its result is waited for.
    own = None if probe is None else probe.interval_seconds
    if own is not None and own > interval_seconds:
        yield document.problem(
            (*location, "probe", "intervalSeconds"),
            f"is longer than the daemon's interval ({interval_seconds:g} s): the probe would be "
            "stale between its rounds",
            "remove it, or make it shorter",
        )
