"""Plans that the daemon makes, and plans of wave files."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import click

from healthd.cli.client import DaemonClient, path_of
from healthd.cli.direct import found_now, tell_unread
from healthd.cli.wave_request import from_file
from healthd.config.fleet import ClusterConfig
from healthd.config.fleet_file import load_fleet
from healthd.config.playbooks import load_playbook
from healthd.config.problems import ConfigError
from healthd.engine.accepting import spec_of
from healthd.engine.collecting import ClusterLoop
from healthd.engine.fleet_plans import fleet_plan
from healthd.engine.selecting import Part, parts_of
from healthd.engine.view import ClusterView, OrderRefused
from healthd.waves.playbook import PlaybookTarget
from healthd.waves.spec import WaveSpec

"""As in the daemon's settings, which are not at hand."""


class Plans:
    """Asks one daemon for plans."""

    def __init__(self, server: str, token_file: Path | None) -> None:
        self._client = DaemonClient(server, token_file)

    def plan_of(self, cluster: str, question: Mapping[str, Any]) -> Any:
        """The plan of one cluster as the daemon sees it."""
        return self._client.get(path_of("clusters", cluster, "plan"), **question)

    def plan_of_wave(self, file: str) -> Any:
        """The plan of a wave file: one for each cluster of each stage."""
        return self._client.post(path_of("plans"), from_file(file, None, needs_reason=False))


@dataclass(frozen=True, slots=True)
class _Seen:
    """A cluster as parts of a wave are made of it."""

    config: ClusterConfig
    view: ClusterView


def direct_wave_plan(context: click.Context, file: str, fleet_file: Path) -> dict[str, Any]:
    """The plan of a wave file whose clusters are read now, without a daemon."""
    document = from_file(file, None, needs_reason=False)
    fleet = found_now(context, lambda: load_fleet(fleet_file))
    configs = {config.name: config for config in fleet.clusters}
    try:
        spec = spec_of({"reason": "-", **document})
        unseen = {
            name: _Seen(config, ClusterView(config=config)) for name, config in configs.items()
        }
        selected = {part.cluster for part in _parts(spec, unseen)}
        seen = {
            name: _Seen(config, _view(context, config, fleet_file)) if name in selected else each
            for (name, config), each in zip(configs.items(), unseen.values(), strict=True)
        }
        return fleet_plan(spec, document, _parts(spec, seen), {})
    except OrderRefused as error:
        raise click.UsageError(str(error)) from None


def _parts(spec: WaveSpec, seen: Mapping[str, _Seen]) -> tuple[Part, ...]:
    # Of a loop only its configuration and what it has seen are asked.
    clusters = cast("Mapping[str, ClusterLoop]", seen)
    return parts_of(spec, clusters, target=_target_of(spec.playbook_reference))


def _target_of(playbook: str) -> PlaybookTarget:
    """What the nodes of a playbook are; one that only the daemon has is taken to be of brokers."""
    try:
        return load_playbook(playbook).target
    except (LookupError, ConfigError, OSError):
        return PlaybookTarget.BROKER


def _view(context: click.Context, config: ClusterConfig, fleet_file: Path) -> ClusterView:
    direct_snapshot = importlib.import_module("healthd.main").direct_snapshot
    snapshot = found_now(
        context,
        lambda: direct_snapshot(cluster=config.name, fleet_file=fleet_file, bootstrap=None),
    )
    tell_unread(snapshot)
    return ClusterView(config=config, snapshot=snapshot)
