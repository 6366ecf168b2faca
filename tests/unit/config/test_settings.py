"""The daemon's settings: file, then environment, then flags; each mistake names its source."""

from collections.abc import Callable
from pathlib import Path

import pytest

from healthd.config.problems import ConfigError
from healthd.config.settings import (
    SETTING_KEYS,
    SettingsFields,
    is_loopback,
    load_settings,
    unknown_variables,
    variable_of,
)

WriteFile = Callable[..., Path]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SETTING_KEYS.values():
        monkeypatch.delenv(variable_of(name), raising=False)
    monkeypatch.delenv("HEALTHD_CONFIG", raising=False)


def problems_of(*args: object, **kwargs: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_settings(*args, **kwargs)  # type: ignore[arg-type]  # Mistakes are the point here.
    return [str(problem) for problem in caught.value.problems]


def test_without_any_source_the_defaults_hold() -> None:
    settings = load_settings()
    assert settings.listen_address == "127.0.0.1"
    assert settings.listen_port == 9780
    assert settings.fleet_file == Path("/etc/healthd/fleet.yaml")
    assert settings.token_file == Path("/var/lib/healthd/token")
    assert settings.interval_seconds == 15
    assert settings.collect_deadline_seconds == 12
    assert settings.kafka_timeout_seconds == 3
    assert settings.configs_interval_seconds == 150
    assert settings.ssh_pool_size == 32
    assert settings.shutdown_timeout_seconds == 1260
    assert (settings.log_format, settings.log_level) == ("json", "info")
    assert settings.open_reads is True
    assert settings.port_file is None
    assert settings.playbook_dir is None


def test_the_environment_wins_over_the_file_and_flags_win_over_both(
    write: WriteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write("s.yaml", "listenPort: 1\nsshPoolSize: 1\nintervalSeconds: 1\n")
    monkeypatch.setenv("HEALTHD_SSH_POOL_SIZE", "2")
    monkeypatch.setenv("HEALTHD_INTERVAL_SECONDS", "2")
    settings = load_settings(file, {"interval_seconds": 3.0, "listen_port": None})
    assert (settings.listen_port, settings.ssh_pool_size, settings.interval_seconds) == (1, 2, 3.0)


def test_the_file_may_be_named_by_the_environment(
    write: WriteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEALTHD_CONFIG", str(write("s.yaml", "listenPort: 7\n")))
    assert load_settings().listen_port == 7


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTHD_LISTEN_PORT", "")
    assert load_settings().listen_port == 9780


def test_paths_in_a_file_are_relative_to_it_and_the_state_follows_its_folder(
    write: WriteFile, tmp_path: Path
) -> None:
    settings = load_settings(write("s.yaml", "stateDir: state\nfleetFile: /abs/fleet.yaml\n"))
    assert settings.state_dir == tmp_path / "state"
    assert settings.token_file == tmp_path / "state" / "token"
    assert settings.fleet_file == Path("/abs/fleet.yaml")


def test_a_short_interval_leaves_time_for_two_calls() -> None:
    assert load_settings(flags={"interval_seconds": 1.0}).collect_deadline_seconds == 6.0


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param(
            "listenAdress: x\n",
            "1:1: listenAdress: unknown key; did you mean listenAddress? -> rename it to "
            "listenAddress",
        ),
        (
            "listenPort: 65536\n",
            "1:13: listenPort: must be at most 65535 -> choose a value in that range",
        ),
        (
            'listenPort: "9780"\n',
            "1:13: listenPort: must be a whole number, not text -> write a plain whole number",
        ),
        (
            "openReads: 1\n",
            "1:12: openReads: must be true or false, not a whole number -> write true or false",
        ),
        (
            "intervalSeconds: .nan\n",
            "1:18: intervalSeconds: must be a finite number -> write a plain number",
        ),
        (
            "intervalSeconds: 0\n",
            "1:18: intervalSeconds: must be above 0 -> choose a value in that range",
        ),
        (
            "logFormat: xml\n",
            "1:12: logFormat: must be json or console -> write one of these words",
        ),
        (
            "stateDir: 3\n",
            "1:11: stateDir: must be a path, not a whole number -> write the path as text",
        ),
        ("stateDir: ''\n", "1:11: stateDir: is not a path -> write a path, or remove the key"),
        pytest.param(
            "listenAddress: a:1\n",
            "1:16: listenAddress: bad address: is not a host: it has a colon and is no IPv6 "
            "address -> write the host alone, without a port",
        ),
        ("kind: Fleet\n", "1:7: kind: must be Settings -> write kind: Settings"),
        (
            "listenPort: 1\nlistenPort: 2\n",
            "2:1: key listenPort is here twice; first at line 1, column 1 -> remove one of the two",
        ),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_place(
    write: WriteFile, text: str, wanted: str
) -> None:
    file = write("s.yaml", text)
    assert problems_of(file) == [f"{file}:{wanted}"]


def test_a_secret_in_clear_is_not_shown(write: WriteFile) -> None:
    (problem,) = problems_of(write("s.yaml", "token: hunter2\n"))
    assert "secret in clear" in problem
    assert "hunter2" not in problem


def test_a_mistake_in_the_environment_names_the_variable(
    write: WriteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEALTHD_LISTEN_PORT", "many")
    (problem,) = problems_of(write("s.yaml", "listenPort: 1\n"))
    assert problem.startswith("environment: HEALTHD_LISTEN_PORT: must be a whole number")


def test_a_mistake_in_a_flag_names_the_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTHD_LISTEN_PORT", "1")
    (problem,) = problems_of(None, {"listen_port": -1})
    assert problem.startswith("flags: --listen-port: must be at least 0")


def test_a_settings_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path / "nope.yaml")
    assert "nope.yaml: cannot be opened: No such file or directory" in problem


def test_variables_that_are_no_setting_are_found() -> None:
    environ = {"HEALTHD_LISTN_PORT": "1", "HEALTHD_LISTEN_PORT": "1", "HEALTHD_CONFIG": "x"}
    assert unknown_variables({**environ, "HOME": "/"}) == ["HEALTHD_LISTN_PORT"]


@pytest.mark.parametrize(
    ("address", "is_local"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("h", False)],
)
def test_loopback_is_recognised(address: str, *, is_local: bool) -> None:
    assert is_loopback(load_settings(flags={"listen_address": address})) is is_local


@pytest.mark.parametrize("name", sorted(SettingsFields.model_fields))
def test_every_setting_says_what_it_is(name: str) -> None:
    assert SettingsFields.model_fields[name].description


def test_history_cannot_be_thinned_later_than_it_is_thinned_again(write: WriteFile) -> None:
    (problem,) = problems_of(write("s.yaml", "historyRawDays: 30\nhistoryFineDays: 20\n"))
    assert "s.yaml:2:18: historyFineDays: must not be below historyRawDays, which is 30" in problem
    (default,) = problems_of(write("s.yaml", "historyRawDays: 100\n"))
    assert "historyFineDays: must not be below historyRawDays, which is 100" in default
    (flag,) = problems_of(None, {"history_days": "5"})
    assert flag.startswith("flags: --history-days: must not be below historyFineDays")
    assert load_settings(flags={"history_raw_days": "1"}).history_raw_days == 1
