"""The probe of a cluster: healthd's own topic, written and read on a schedule."""

import re
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from healthd.config.schema import FileModel, refusal

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
