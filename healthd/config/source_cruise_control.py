"""`cruiseControl` of a cluster: what moves its partitions, so that never both act at once."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from healthd.config.problems import Problem
from healthd.config.source_server import ServerConfig, ServerModel, server_of, server_problems
from healthd.config.yaml_source import Document
from healthd.waves.policy import Location

_PREFIX = "/kafkacruisecontrol"
"""Where Cruise Control's API is unless `webserver.api.urlprefix` says otherwise."""


class CruiseControlModel(ServerModel):
    """`cruiseControl` of a cluster."""


def cruise_control_of(
    model: CruiseControlModel | None, folder: Path, cluster: str
) -> ServerConfig | None:
    """The Cruise Control that the file describes for a cluster; None when there is none."""
    return None if model is None else server_of(model, folder, f"cluster {cluster}: cruiseControl")


def cruise_control_problems(
    model: CruiseControlModel | None, folder: Path, document: Document, at: Location
) -> Iterator[Problem]:
    """What is wrong with it beyond the form of its values."""
    if model is not None:
        yield from server_problems(model, server_of(model, folder, ""), document, at)


def state_url(server: ServerConfig) -> str:
    """What is asked for what Cruise Control does, and whether it heals by itself."""
    prefix = "" if urlsplit(server.url).path.strip("/") else _PREFIX
    return f"{server.url}{prefix}/state?substates=executor,anomaly_detector&json=true"
