"""`alerts` of the fleet and of a cluster: who knows what fires, and how silences name a host."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from healthd.config.problems import Problem
from healthd.config.schema import FileModel
from healthd.config.source_prometheus import Label
from healthd.config.source_server import ServerConfig, ServerModel, server_of, server_problems
from healthd.config.yaml_source import Document
from healthd.waves.policy import Location

DEFAULT_SILENCE_LABEL: Final = "instance"


class AlertsModel(FileModel):
    """`alerts` of the fleet, or of a cluster."""

    alertmanager: ServerModel | None = None
    prometheus: ServerModel | None = None
    silence_label: Label = DEFAULT_SILENCE_LABEL


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsConfig:
    """Who is asked which alerts fire; may be a key of a mapping."""

    alertmanager: ServerConfig | None = None
    """Knows what is silenced; silences are made there."""
    prometheus: ServerConfig | None = None
    silence_label: str = DEFAULT_SILENCE_LABEL
    """The label in which alerts say which host they are about."""

    @property
    def has_server(self) -> bool:
        """Whether there is anybody to ask."""
        return self.alertmanager is not None or self.prometheus is not None


def alerts_of(model: AlertsModel | None, folder: Path, place: str) -> AlertsConfig | None:
    """What `place` of the file describes; relative paths start from `folder`."""
    if model is None:
        return None
    return AlertsConfig(
        alertmanager=_server(model.alertmanager, folder, f"{place}.alertmanager"),
        prometheus=_server(model.prometheus, folder, f"{place}.prometheus"),
        silence_label=model.silence_label,
    )


def alerts_problems(
    model: AlertsModel | None, folder: Path, document: Document, at: Location
) -> Iterator[Problem]:
    """What is wrong with it beyond the form of its values."""
    if model is None:
        return
    if model.alertmanager is None and model.prometheus is None:
        yield document.problem(
            at,
            "names no server",
            "add alertmanager: {url: ...}, prometheus: {url: ...} or both",
            of_key=True,
        )
    for key, server in (("alertmanager", model.alertmanager), ("prometheus", model.prometheus)):
        if server is not None:
            yield from server_problems(server, server_of(server, folder, ""), document, (*at, key))


def _server(model: ServerModel | None, folder: Path, place: str) -> ServerConfig | None:
    return None if model is None else server_of(model, folder, place)
