"""Reading the fleet again: what changed, and a bad file that leaves the old fleet in place."""

from collections.abc import Callable
from pathlib import Path

from healthd.config.fleet_file import load_fleet
from healthd.config.reload import reload_fleet

WriteFile = Callable[..., Path]
HEAD = "apiVersion: healthd/v1\nkind: Fleet\nclusters:\n"


def fleet_text(**servers: str) -> str:
    return HEAD + "".join(
        f"  - {{name: {name}, bootstrapServers: ['{server}']}}\n"
        for name, server in servers.items()
    )


def test_added_removed_and_changed_clusters_are_named(write: WriteFile) -> None:
    file = write("fleet.yaml", fleet_text(a="a:1", b="b:1", c="c:1"))
    old = load_fleet(file)
    write("fleet.yaml", fleet_text(a="a:1", b="b:2", d="d:1"))
    result = reload_fleet(old, file)
    assert result.is_successful
    assert (result.added, result.removed, result.changed) == (("d",), ("c",), ("b",))
    assert [cluster.name for cluster in result.fleet.clusters] == ["a", "b", "d"]


def test_the_same_file_changes_nothing(write: WriteFile) -> None:
    file = write("fleet.yaml", fleet_text(a="a:1"))
    result = reload_fleet(load_fleet(file), file)
    assert result.is_successful
    assert result.is_unchanged


def test_a_new_canary_is_a_change(write: WriteFile) -> None:
    file = write("fleet.yaml", fleet_text(a="a:1"))
    old = load_fleet(file)
    write("fleet.yaml", fleet_text(a="a:1") + "canary: ['c:1']\n")
    assert not reload_fleet(old, file).is_unchanged


def test_a_new_freeze_is_a_change_of_no_cluster(write: WriteFile) -> None:
    file = write("fleet.yaml", fleet_text(a="a:1"))
    old = load_fleet(file)
    write("fleet.yaml", fleet_text(a="a:1") + "freezes: [{name: f, all: true, reason: r}]\n")
    result = reload_fleet(old, file)
    assert not result.is_unchanged
    assert result.changed == ()


def test_a_bad_file_leaves_the_old_fleet(write: WriteFile) -> None:
    file = write("fleet.yaml", fleet_text(a="a:1"))
    old = load_fleet(file)
    write("fleet.yaml", "not: [yaml\n")
    result = reload_fleet(old, file)
    assert not result.is_successful
    assert result.fleet is old
    assert result.is_unchanged
    assert result.problems


def test_a_missing_file_leaves_the_old_fleet(write: WriteFile) -> None:
    file = write("fleet.yaml", fleet_text(a="a:1"))
    old = load_fleet(file)
    file.unlink()
    assert reload_fleet(old, file).fleet is old
