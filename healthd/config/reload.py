"""Reading the fleet file again: a bad file leaves the old fleet in place."""

from dataclasses import dataclass, field
from pathlib import Path

from healthd.config.fleet import Fleet
from healthd.config.fleet_file import load_fleet
from healthd.config.problems import ConfigError, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadResult:
    """What a reload did."""

    fleet: Fleet
    """The fleet in effect now: the new one, or the old one when there are problems."""
    problems: tuple[Problem, ...] = ()
    added: tuple[str, ...] = field(default=())
    removed: tuple[str, ...] = field(default=())
    changed: tuple[str, ...] = field(default=())
    """Clusters of both fleets that are not described alike."""
    canary_changed: bool = False
    routing_changed: bool = False
    """Profiles, the fleet's own scoring, or whether routing is a dry run."""
    freezes_changed: bool = False
    """Change freezes, which count at once, also for waves that are under way."""

    @property
    def is_successful(self) -> bool:
        """Whether the file was good; what `healthd_config_last_reload_successful` says."""
        return not self.problems

    @property
    def is_unchanged(self) -> bool:
        """Whether there is nothing to act on."""
        return not (
            self.added
            or self.removed
            or self.changed
            or self.canary_changed
            or self.routing_changed
            or self.freezes_changed
        )


def compare(old: Fleet, new: Fleet) -> ReloadResult:
    """The change from one fleet to another, with the new one in effect."""
    before = {cluster.name: cluster for cluster in old.clusters}
    after = {cluster.name: cluster for cluster in new.clusters}
    return ReloadResult(
        fleet=new,
        added=tuple(name for name in after if name not in before),
        removed=tuple(name for name in before if name not in after),
        changed=tuple(
            name for name, cluster in after.items() if name in before and before[name] != cluster
        ),
        canary_changed=old.canary != new.canary,
        routing_changed=(old.profiles, old.scoring, old.is_routing_dry_run)
        != (new.profiles, new.scoring, new.is_routing_dry_run),
        freezes_changed=old.freezes != new.freezes,
    )


def reload_fleet(old: Fleet, path: str | Path, *, interval_seconds: float = 15.0) -> ReloadResult:
    """The result of reading the fleet file again; never raises for what the file holds."""
    try:
        new = load_fleet(path, interval_seconds=interval_seconds)
    except ConfigError as error:
        return ReloadResult(fleet=old, problems=error.problems)
    return compare(old, new)
