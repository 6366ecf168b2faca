"""`connect` of a cluster: the Kafka Connect clusters that work on it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from healthd.config.fields import Name
from healthd.config.problems import Problem
from healthd.config.source_rest import RestConfig, RestModel, rest_of, rest_problems
from healthd.config.yaml_source import Document
from healthd.waves.policy import Location


class ConnectModel(RestModel):
    """One item of `connect`."""

    name: Name


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectConfig:
    """One Kafka Connect cluster; any of its workers answers for all."""

    name: str
    rest: RestConfig


def connect_of(
    models: Sequence[ConnectModel], folder: Path, cluster: str
) -> tuple[ConnectConfig, ...]:
    """The Connect clusters that the fleet file describes; `cluster` is the one they work on."""
    return tuple(
        ConnectConfig(
            name=model.name, rest=rest_of(model, folder, f"cluster {cluster}: connect[{index}]")
        )
        for index, model in enumerate(models)
    )


def connect_problems(
    configs: Sequence[ConnectConfig], document: Document, at: Location
) -> Iterator[Problem]:
    """What is wrong with them, one by one and together."""
    seen: set[str] = set()
    for index, config in enumerate(configs):
        here: Location = (*at, index)
        if config.name in seen:
            yield document.problem(
                (*here, "name"), f"duplicate Connect cluster {config.name}", "rename one of the two"
            )
        seen.add(config.name)
        yield from rest_problems(config.rest, document, here)
