"""`schemaRegistry` of a cluster: the instances that keep its schemas."""

from pathlib import Path

from healthd.config.source_rest import RestConfig, RestModel, rest_of


class RegistryModel(RestModel):
    """`schemaRegistry` of a cluster."""


def registry_of(model: RegistryModel | None, folder: Path, cluster: str) -> RestConfig | None:
    """The registry that the fleet file describes for a cluster; None when there is none."""
    return None if model is None else rest_of(model, folder, f"cluster {cluster}: schemaRegistry")
