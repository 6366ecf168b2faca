"""Variables of a wave: accepted with a value for every broker, or refused with each that lacks."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from support.engine import Life, Plant, request
from support.fleet_life import FleetLife, Site, fleet_request
from support.virtual_time import in_virtual_time
from support.wave_model import rolling_restart

from healthd.config.fleet import ClusterConfig
from healthd.config.wave_variables import resolved
from healthd.engine.pinning import inventory_of
from healthd.engine.variables import lacking, reference_of
from healthd.engine.view import OrderRefused
from healthd.main import _playbook
from healthd.waves.pins import inventory_changes
from healthd.waves.playbook import Playbook
from healthd.waves.playbook_steps import Variable, VariableType
from healthd.waves.variable_values import Resolved, SecretSource, Values

VERSION = Variable(name="version", pattern=r"[0-9.]+")
PASSWORD = Variable(name="password", type=VariableType.SECRET)


def wanting(*variables: Variable) -> Playbook:
    return replace(rolling_restart(), variables=variables)


def with_values(config: ClusterConfig, own: Values, hosts: Mapping[int, Values]) -> ClusterConfig:
    """The cluster with these values, and those of its hosts."""
    return replace(
        config,
        variables=MappingProxyType(dict(own)),
        hosts=tuple(
            replace(host, variables=MappingProxyType(dict(hosts.get(host.broker, {}))))
            for host in config.hosts
        ),
    )


async def refusal(life: Life, **variables: Any) -> OrderRefused:
    with pytest.raises(OrderRefused) as caught:
        await life.waves.start({**request(), "variables": variables}, by="ada")
    return caught.value


@in_virtual_time
async def test_a_wave_without_a_value_is_refused_with_every_broker_that_lacks_it() -> None:
    plant = Plant()
    config = with_values(plant.config(), {}, {2: {"version": "4.1"}})
    life = await Life(plant, config=config, playbooks=lambda _: wanting(VERSION)).begin()
    refused = await refusal(life)
    assert str(refused) == (
        "variable version for brokers 1, 3 of cluster payments: has no value"
        " -> write version: VALUE under variables of the wave file or the fleet file"
    )
    assert plant.store.leases() == ()
    await life.die()


@in_virtual_time
async def test_every_wrong_value_is_told_in_one_refusal() -> None:
    life = await Life(Plant(), playbooks=lambda _: wanting(VERSION, PASSWORD)).begin()
    refused = await refusal(life, version="4.1; reboot", password="hunter2", verison="4.1")
    words = str(refused)
    assert "does not match the pattern" in words
    assert "a secret is never written down" in words
    assert "variable verison for brokers 1, 2, 3" in words
    assert "hunter2" not in words
    assert [each["path"] for each in refused.facts["problems"]] == ["variables"] * 3
    await life.die()


@in_virtual_time
async def test_a_wave_keeps_what_wave_and_stage_give_and_of_a_secret_only_the_place(
    tmp_path: Path,
) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2", "utf-8")
    secret.chmod(0o600)
    plant = Plant()
    playbook = wanting(VERSION, PASSWORD)
    life = await Life(plant, playbooks=lambda _: playbook, wave_secret_dir=tmp_path).begin()
    body = request()
    body["variables"] = {"version": "4.0", "password": {"file": str(secret)}}
    body["stages"][0]["variables"] = {"version": "4.1"}
    view = await life.waves.start(body, by="ada")
    state = life.view(view.state.wave).state
    assert state.variables == (("version", "4.1"),)
    assert state.secrets == (("password", SecretSource(file=str(secret))),)
    assert reference_of(state.secrets[0][1]).read() == "hunter2"
    assert await life.until_ended(state.wave) == "succeeded"
    assert not any("hunter2" in note for note in plant.store.notes())
    await life.die()


@in_virtual_time
async def test_a_secret_whose_file_is_missing_or_open_to_others_is_refused(tmp_path: Path) -> None:
    playbook = wanting(PASSWORD)
    life = await Life(Plant(), playbooks=lambda _: playbook, wave_secret_dir=tmp_path).begin()
    path = tmp_path / "password"
    assert "cannot be used: No such file" in str(await refusal(life, password={"file": str(path)}))
    path.write_text("hunter2", "utf-8")
    path.chmod(0o644)
    assert "has mode 0644" in str(await refusal(life, password={"file": str(path)}))
    await life.die()


@in_virtual_time
@pytest.mark.parametrize("is_set", [True, False])
async def test_a_wave_names_no_secret_outside_the_folder_that_is_meant_for_it(
    tmp_path: Path,
    is_set: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Else whoever starts waves could have the token of whoever approves them put on a host."""
    (folder := tmp_path / "wave-secrets").mkdir()
    (token := tmp_path / "token").write_text("hunter2", "utf-8")
    token.chmod(0o600)
    (folder / "link").symlink_to(token)
    meant = folder if is_set else None
    playbook = wanting(PASSWORD)
    life = await Life(Plant(), playbooks=lambda _: playbook, wave_secret_dir=meant).begin()
    for path in (token, folder / "link", folder / ".." / "token"):
        words = str(await refusal(life, password={"file": str(path)}))
        assert words.startswith("variable password: a wave file may name ")
    assert "environment variable" in str(await refusal(life, password={"env": "HOME"}))
    await life.die()


@in_virtual_time
async def test_each_stage_of_a_fleet_has_its_own_values() -> None:
    sites = [Site("dev", 1, {"env": "dev"}), Site("a", 11, {"env": "prod"})]
    life = await FleetLife(*sites, playbooks=lambda _: wanting(VERSION)).begin()
    stages = (
        {"name": "one", "clusters": ["dev"], "variables": {"version": "4.1"}},
        {"name": "two", "clusters": ["a"]},
    )
    with pytest.raises(OrderRefused, match="version for brokers 11, 12, 13 of cluster a"):
        await life.waves.start(fleet_request(*stages), by="ann")
    given = {**fleet_request(*stages), "variables": {"version": "4.0"}}
    view = await life.waves.start(given, by="ann")
    wave = view.state.wave
    assert await life.until_ended(wave) == "succeeded"
    children = life.view(wave).children
    assert [child.state.variables for child in children.values()] == [
        (("version", "4.1"),),
        (("version", "4.0"),),
    ]
    await life.die()


@in_virtual_time
async def test_a_playbook_that_wants_another_variable_pauses_the_wave_and_is_not_taken_over() -> (
    None
):
    shelf = [wanting()]
    life = await Life(Plant(), playbooks=lambda _: shelf[0]).begin()
    wave = await life.start_wave()
    shelf[0] = wanting(VERSION)
    await life.waves.look_again()
    await life.until(lambda: life.view(wave).state.status.value == "paused")
    (pause,) = life.view(wave).state.pauses
    assert "variable version for brokers" in pause.reason
    await life.waves.order(wave, "resume", by="ada", reason="I did it", node=None)
    assert life.view(wave).state.playbook == wanting()
    await life.die()


def test_a_secret_that_nobody_would_find_is_told_before_anything_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config, playbook = Plant().config(), wanting(PASSWORD)
    monkeypatch.setenv("FILLED", "hunter2")
    monkeypatch.delenv("EMPTY", raising=False)
    for source, words in (
        (SecretSource(env="FILLED"), ""),
        (SecretSource(env="EMPTY"), "EMPTY is not set in the daemon's environment"),
        (SecretSource(command=("true",)), ""),
        (SecretSource(command=("no-such-program", "x")), "there is no program no-such-program"),
    ):
        found = lacking(playbook, with_values(config, {"password": source}, {}), (1,), {})
        assert [words in line for line in found] == ([True] if words else [])


def test_a_host_goes_over_its_cluster_and_the_wave_over_both() -> None:
    config = with_values(Plant().config(), {"version": "1"}, {2: {"version": "2"}})
    playbook = wanting(VERSION)
    for node, given, value in ((1, {}, "1"), (2, {}, "2"), (2, {"version": "3"}, "3")):
        found = resolved(playbook, config, node, given)
        assert found == Resolved(texts=(("version", value),))
    assert lacking(playbook, config, (1, 2, 3), {}) == []


def test_another_value_in_the_fleet_file_is_another_inventory() -> None:
    plain = Plant().config()
    before = inventory_of(plain)
    assert inventory_of(with_values(plain, {}, {})) == before
    cluster = inventory_of(with_values(plain, {"version": "1"}, {}))
    assert inventory_changes(before, cluster) == ("the variables in the fleet file are others",)
    host = inventory_of(with_values(plain, {}, {2: {"version": "1"}}))
    assert inventory_changes(before, host) == ("the fleet file has another host for broker 2",)
    digests = {
        config.inventory_digest()
        for config in (
            plain,
            with_values(plain, {"version": "1"}, {}),
            with_values(plain, {}, {2: {"version": "1"}}),
        )
    }
    assert len(digests) == 3


@in_virtual_time
async def test_only_a_playbook_that_is_listed_is_run_and_one_that_leaves_the_list_pauses(
    tmp_path: Path,
) -> None:
    listed = tmp_path / "digests"
    listed.write_text("", "utf-8")
    life = await Life(Plant(), playbooks=partial(_playbook, None, listed)).begin()
    with pytest.raises(OrderRefused, match="is not allowed") as caught:
        await life.start_wave()
    listed.write_text(str(caught.value).rpartition("add the line: ")[2] + "\n", "utf-8")
    wave = await life.start_wave()
    listed.write_text("# nothing\n", "utf-8")
    await life.waves.look_again()
    await life.until(lambda: life.view(wave).state.status.value == "paused")
    (pause,) = life.view(wave).state.pauses
    assert f"{listed} has no digest" in pause.reason
    await life.die()
