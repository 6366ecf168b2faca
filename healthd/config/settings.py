"""The daemon's settings: a file, then HEALTHD_* variables, then flags; later ones win."""

import ipaddress
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
)
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from healthd.config.addresses import MAX_PORT, AddressError, parse_host
from healthd.config.problems import ConfigError, Problem, in_order
from healthd.config.schema import problem_words, refusal
from healthd.config.secrets import secrets_in_clear
from healthd.config.yaml_source import Document, read_document
from healthd.waves.policy import describe_type, unknown_key

ENV_PREFIX: Final = "HEALTHD_"
CONFIG_VARIABLE: Final = "HEALTHD_CONFIG"
HEADER_KEYS: Final = frozenset({"apiVersion", "kind"})
_HEADER: Final[Mapping[str, str]] = {"apiVersion": "healthd/v1", "kind": "Settings"}


def _checked_listen_address(text: str) -> str:
    try:
        return parse_host(text)
    except AddressError as error:
        raise refusal(f"bad address: {error.message}", error.action) from None


def _checked_path(value: Any) -> Any:
    if isinstance(value, Path):
        return value
    if not isinstance(value, str):
        message = f"must be a path, not {describe_type(value)}"
        raise refusal(message, "write the path as text")
    if not value.strip() or "\0" in value:
        raise refusal("is not a path", "write a path, or remove the key")
    return Path(value)


FilePath = Annotated[Path, BeforeValidator(_checked_path)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


HistoryDays = Annotated[int, Field(ge=1, le=3_650)]


def _not_below(other: str) -> Callable[[int, ValidationInfo], int]:
    """A validator: what is thinned later cannot be thinned earlier."""

    def checked(days: int, info: ValidationInfo) -> int:
        least = info.data.get(other)
        if least is not None and days < least:
            name = to_camel(other)
            raise refusal(
                f"must not be below {name}, which is {least}", f"raise it, or lower {name}"
            )
        return days

    return checked


class SettingsFields(BaseModel):
    """Every setting of the daemon, with its unit, its default and why."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True
    )

    listen_address: Annotated[str, AfterValidator(_checked_listen_address)] = "127.0.0.1"
    """Address to serve HTTP on. Loopback by default: reads are open, so opening healthd to a
    network is a decision somebody has to take."""

    listen_port: Annotated[int, Field(ge=0, le=MAX_PORT)] = 9780
    """Port to serve HTTP on; 0 takes any free one (see `port_file`)."""

    port_file: FilePath | None = None
    """File that the bound port is written to once it is open; none by default. With
    `listen_port` 0 it is how a script finds the daemon."""

    fleet_file: FilePath = Path("/etc/healthd/fleet.yaml")
    """The fleet file. Read again on SIGHUP and `/-/reload`."""

    state_dir: FilePath = Path("/var/lib/healthd")
    """Folder of everything that survives a restart. Must be on a local disk: SQLite's locks are
    not to be trusted on network file systems."""

    token_file: FilePath = Field(
        default_factory=lambda data: data.get("state_dir", Path()) / "token"
    )
    """The operator's token, mode 0600; `token` under `state_dir` by default. Made at the first
    start when it is missing."""

    tokens_file: FilePath | None = None
    """The tokens file: who may give orders, each by a token of their own. With it `token_file` is
    neither made nor accepted; none by default."""

    playbook_dir: FilePath | None = None
    """Folder of your own playbooks, looked in before those that healthd ships; none by default."""

    playbook_digests: FilePath | None = None
    """File with the SHA-256 of every playbook that may be run; none by default: every one may."""

    wave_secret_dir: FilePath | None = None
    """Folder of the secrets that a wave file may name; none by default: a wave file names none."""

    wave_dir: FilePath | None = None
    """Folder of wave files that are started by their `schedule`; none by default."""

    interval_seconds: Seconds = 15.0
    """Seconds between two collections of a cluster. 15 is what Prometheus setups mostly use;
    freshness limits are multiples of it."""

    kafka_timeout_seconds: Seconds = 3.0
    """Seconds one call to one broker may take. Short, because a frozen broker must cost less
    than a collection: the next broker is asked instead."""

    collect_deadline_seconds: Seconds = Field(
        default_factory=lambda data: max(
            0.8 * data.get("interval_seconds", 15.0), 2 * data.get("kafka_timeout_seconds", 3.0)
        )
    )
    """Seconds after which a collection is abandoned and counted. By default 0.8 of the interval,
    so that it ends before the next begins, but never less than two calls take."""

    configs_interval_seconds: Seconds = Field(
        default_factory=lambda data: 10 * data.get("interval_seconds", 15.0)
    )
    """Seconds between two readings of all topic configs. They change rarely and cost the brokers
    the most; new topics are read at once. 10 intervals by default: they count as fresh for 20, and
    a reading that fails once must not close every gate."""

    max_page_bytes: Annotated[int, Field(ge=65_536, le=1_073_741_824)] = 67_108_864
    """Bytes of one exporter page, after which it is cut off and counted. 64 MiB: a catch-all page
    of a broker with 6,000 partitions is 20 MB. Pages are read as they arrive, never held whole."""

    history_raw_days: HistoryDays = 7
    """Days that history is kept as it was recorded. A week: the incident of last weekend is looked
    at on Monday."""

    history_fine_days: Annotated[HistoryDays, AfterValidator(_not_below("history_raw_days"))] = (
        Field(default=90, validate_default=True)
    )
    """Days after which history is thinned from rows of 5 minutes to rows of an hour."""

    history_days: Annotated[HistoryDays, AfterValidator(_not_below("history_fine_days"))] = Field(
        default=400, validate_default=True
    )
    """Days after which history is forgotten. A year, and the month that one compares with."""

    ssh_pool_size: Annotated[int, Field(ge=1, le=1024)] = 32
    """Hosts that are talked to over SSH at once. Each takes a thread."""

    shutdown_timeout_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1260.0
    """Seconds that SIGTERM may take to bring a stopped broker back. A stop and a start of 600 s
    each and a minute; the service manager's kill time has to be above it."""

    log_format: Literal["json", "console"] = "json"
    """Form of the log on stderr: `json` for machines, `console` for people."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important level that is logged."""

    open_reads: bool = True
    """Whether reading needs no token. Writing always needs one."""


class Settings(SettingsFields, BaseSettings):
    """The settings in effect; made by `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )


SETTING_KEYS: Final[Mapping[str, str]] = {to_camel(name): name for name in Settings.model_fields}
"""The key in a file of each setting, and its name in code."""


def variable_of(name: str) -> str:
    """The environment variable of a setting: HEALTHD_LISTEN_PORT for `listen_port`."""
    return ENV_PREFIX + name.upper()


def flag_of(name: str) -> str:
    """The command-line flag of a setting: --listen-port for `listen_port`."""
    return "--" + name.replace("_", "-")


def load_settings(
    config: str | Path | None = None, flags: Mapping[str, Any] | None = None
) -> Settings:
    """The settings from the file, then the environment, then the flags.

    Args:
        config: The settings file; HEALTHD_CONFIG when None, no file when that is not set either.
        flags: Values of flags by setting name (`listen_port`); None counts as not given.

    Raises:
        ConfigError: Anything is wrong with any of them; the file, variable or flag is named.
    """
    path = config or os.environ.get(CONFIG_VARIABLE) or None
    values: dict[str, Any] = {}
    document: Document | None = None
    if path is not None:
        document, values = _from_file(path)
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    try:
        return _with_sources(values)(**given)
    except ValidationError as error:
        errors = _own_errors(error)
    raise ConfigError(_located(found, given, document) for found in errors)


def _with_sources(values: dict[str, Any]) -> type[Settings]:
    """Settings that take the file's values below the environment's."""

    class Loaded(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature.
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the same.
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, values)

    return Loaded


def _from_file(path: str | Path) -> tuple[Document | None, dict[str, Any]]:
    try:
        document, problems = read_document(path)
    except OSError as error:
        message = f"cannot be opened: {error.strerror or error}"
        action = f"correct --config or {CONFIG_VARIABLE}"
        raise ConfigError([Problem(file=str(path), message=message, action=action)]) from error
    if document is None:
        raise ConfigError(problems)
    problems = [*problems, *settings_problems(document)]
    if problems:
        raise ConfigError(problems)
    folder = Path(path).parent
    return document, {
        SETTING_KEYS[key]: folder.absolute() / value if key.endswith(("File", "Dir")) else value
        for key, value in document.data.items()
        if key in SETTING_KEYS
    }


def settings_problems(document: Document) -> list[Problem]:
    """What is wrong with a settings file by itself, in the order of its lines."""
    problems = [document.problem(*found, of_key=True) for found in secrets_in_clear(document.data)]
    in_clear = {problem.path for problem in problems}
    values: dict[str, Any] = {}
    for key, value in document.data.items():
        if key in SETTING_KEYS:
            values[SETTING_KEYS[key]] = value
        elif key in HEADER_KEYS:
            if value != _HEADER[key]:
                right = f"{key}: {_HEADER[key]}"
                problems.append(
                    document.problem((key,), f"must be {_HEADER[key]}", f"write {right}")
                )
        elif key not in in_clear:
            message, action = unknown_key(key, SETTING_KEYS)
            problems.append(document.problem((key,), message, action, of_key=True))
    try:
        SettingsFields.model_validate(values, strict=True)
    except ValidationError as error:
        problems.extend(
            document.problem((to_camel(str(found["loc"][0])),), *problem_words(found))
            for found in _own_errors(error)
        )
    return list(in_order(problems))


def _own_errors(error: ValidationError) -> list[ErrorDetails]:
    """The errors, without those of defaults that only miss the value that is wrong."""
    return [
        found
        for found in error.errors(include_url=False)
        if found["type"] != "default_factory_not_called"
    ]


def _located(error: ErrorDetails, given: Mapping[str, Any], document: Document | None) -> Problem:
    """The problem at the source that won: the flag, else the variable, else the file."""
    name = str(error["loc"][0])
    message, action = problem_words(error)
    if name in given:
        if error["type"] == "extra_forbidden":
            message, action = unknown_key(name, SettingsFields.model_fields)
        return Problem(file="flags", path=flag_of(name), message=message, action=action)
    if os.environ.get(variable_of(name)) or document is None:
        return Problem(file="environment", path=variable_of(name), message=message, action=action)
    return document.problem((to_camel(name),), message, action)


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """HEALTHD_* variables that are no setting, for a warning: one of them may be a typing error."""
    known = {variable_of(name) for name in SettingsFields.model_fields} | {CONFIG_VARIABLE}
    return sorted(name for name in environ if name.startswith(ENV_PREFIX) and name not in known)


def is_loopback(settings: Settings) -> bool:
    """Whether only this machine can reach the daemon."""
    if settings.listen_address == "localhost":
        return True
    try:
        return ipaddress.ip_address(settings.listen_address).is_loopback
    except ValueError:
        return False
