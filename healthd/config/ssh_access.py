"""How the hosts of a cluster are reached: `ssh` and `local` of a cluster, and bastions."""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import Field

from healthd.config.fields import Host, Port, SecretCommand, Text, Variable
from healthd.config.problems import Problem
from healthd.config.schema import FileModel
from healthd.config.secret_fields import given_ways, secret_of, secret_problems
from healthd.config.secrets import SecretRef, file_problem
from healthd.config.yaml_source import Document
from healthd.waves.policy import Location

AGENT_OF_ENVIRONMENT: Final = Path("$SSH_AUTH_SOCK")
"""The agent whose socket that variable names, in the daemon's own environment."""
MAX_BASTIONS: Final = 5
_FIRST_KEYS: Final = frozenset(
    {"user", "key_file", "known_hosts_file", "port", "connect_timeout_seconds"}
)
"""What was pinned before there was more; the rest is pinned only where it is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SshConfig:
    """How a host is reached; host keys are always checked."""

    user: str
    key_file: Path | None = None
    """None: the agent has the keys."""
    known_hosts_file: Path
    port: int = 22
    connect_timeout_seconds: float = 10.0
    key_password: SecretRef | None = None
    certificate_file: Path | None = None
    agent: Path | None = None
    """Its socket, or `AGENT_OF_ENVIRONMENT`."""
    bastion: "BastionConfig | None" = None
    """The host through which all hosts are reached."""
    is_local: bool = False
    """The hosts are the machine that healthd runs on: commands are run without SSH."""

    @classmethod
    def of_this_machine(cls) -> Self:
        """No SSH at all."""
        return cls(user="", known_hosts_file=Path(os.devnull), is_local=True)

    def pinned(self) -> dict[str, Any]:
        """What plans and waves pin; keys that came later only where they are given."""
        values = asdict(self, dict_factory=_without_place)
        return {name: value for name, value in values.items() if name in _FIRST_KEYS or value}


@dataclass(frozen=True, slots=True, kw_only=True)
class BastionConfig:
    """A host on the way, and how it is reached itself."""

    address: str
    ssh: SshConfig


class LoginModel(FileModel):
    """What `ssh` and a bastion have in common."""

    key_password_file: Text | None = None
    key_password_env: Variable | None = None
    key_password_command: SecretCommand | None = None
    certificate_file: Text | None = None
    agent: bool | Text | None = None
    connect_timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 10.0
    port: Port = 22


class BastionModel(LoginModel):
    """`bastion`: what it does not say is as for the hosts behind it."""

    address: Host
    user: Text | None = None
    key_file: Text | None = None
    known_hosts_file: Text | None = None
    bastion: "BastionModel | None" = None


class SshModel(LoginModel):
    """`ssh` of a cluster."""

    user: Text
    key_file: Text | None = None
    known_hosts_file: Text
    bastion: BastionModel | None = None


def ssh_config(
    model: SshModel | None, folder: Path, place: str, *, local: bool
) -> SshConfig | None:
    """What the fleet file says; None: the hosts are not reached.

    Args:
        model: `ssh`.
        folder: Where relative paths begin.
        place: What `ssh` is in errors about a secret's program.
        local: `local` of the cluster.
    """
    if model is None:
        return SshConfig.of_this_machine() if local else None
    own = SshConfig(
        user=model.user,
        port=model.port,
        key_file=_path(folder, model.key_file),
        known_hosts_file=(folder / model.known_hosts_file).absolute(),
        connect_timeout_seconds=model.connect_timeout_seconds,
        key_password=secret_of(model, "key_password", folder, place),
        certificate_file=_path(folder, model.certificate_file),
        agent=_agent(folder, model),
        bastion=None,
    )
    return _behind(own, _bastion(model.bastion, own, folder, f"{place}.bastion"))


def ssh_problems(
    model: SshModel, ssh: SshConfig, document: Document, at: Location
) -> Iterator[Problem]:
    """What is wrong with `ssh` whose values have the right form."""
    yield from _login_problems(model, ssh, document, at)
    one: SshModel | BastionModel = model
    config = ssh
    for _ in range(MAX_BASTIONS):
        if one.bastion is None or config.bastion is None:
            return
        one, config, at = one.bastion, config.bastion.ssh, (*at, "bastion")
        yield from _login_problems(one, config, document, at)
    if one.bastion is not None:
        yield document.problem(
            (*at, "bastion"), f"is more than {MAX_BASTIONS} bastions deep", "take some out"
        )


def _login_problems(
    model: SshModel | BastionModel, ssh: SshConfig, document: Document, at: Location
) -> Iterator[Problem]:
    yield from _keys_problems(model, ssh, document, at)
    password = None if ssh.key_password is None else ssh.key_password.file
    for key, given, path, is_private in (
        ("keyFile", model.key_file, ssh.key_file, True),
        ("certificateFile", model.certificate_file, ssh.certificate_file, False),
        ("keyPasswordFile", model.key_password_file, password, True),
    ):
        # What a bastion has from the hosts behind it is told there.
        found = None if given is None or path is None else file_problem(path, is_private=is_private)
        if found is not None:
            yield document.problem((*at, key), *found)
    # `hosts trust` writes this file, so it need not be there yet; its folder has to be.
    known = ssh.known_hosts_file
    if model.known_hosts_file is not None and not known.parent.is_dir():
        yield document.problem(
            (*at, "knownHostsFile"),
            f"folder {known.parent} is not there",
            "create it, or correct the path",
        )


def _keys_problems(
    model: SshModel | BastionModel, ssh: SshConfig, document: Document, at: Location
) -> Iterator[Problem]:
    if ssh.key_file is None and ssh.agent is None:
        yield document.problem(at, "has neither keyFile nor agent", "add keyFile: PATH")
    if model.key_file is not None and model.agent:
        yield document.problem(
            (*at, "agent"), "cannot be used together with keyFile", "keep one of them", of_key=True
        )
    yield from secret_problems(model, ("key_password",), document, at)
    certificate = [] if model.certificate_file is None else ["certificateFile"]
    for key in (*certificate, *given_ways(model, "key_password")):
        if model.key_file is None:
            yield document.problem(
                (*at, key), "is of no use without keyFile", "add keyFile: PATH", of_key=True
            )


def _bastion(
    model: BastionModel | None, behind: SshConfig, folder: Path, place: str, depth: int = 0
) -> BastionConfig | None:
    if model is None or depth > MAX_BASTIONS:
        return None
    has_own_keys = model.key_file is not None or bool(model.agent)
    known = model.known_hosts_file
    own = SshConfig(
        user=model.user or behind.user,
        port=model.port,
        key_file=_path(folder, model.key_file) if has_own_keys else behind.key_file,
        known_hosts_file=behind.known_hosts_file if known is None else (folder / known).absolute(),
        connect_timeout_seconds=model.connect_timeout_seconds,
        key_password=secret_of(model, "key_password", folder, place)
        if has_own_keys
        else behind.key_password,
        certificate_file=_path(folder, model.certificate_file)
        if has_own_keys
        else behind.certificate_file,
        agent=_agent(folder, model) if has_own_keys else behind.agent,
    )
    return BastionConfig(
        address=model.address,
        ssh=_behind(own, _bastion(model.bastion, own, folder, f"{place}.bastion", depth + 1)),
    )


def _without_place(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A secret's place is how errors call it, and nothing about how hosts are reached."""
    return {name: value for name, value in pairs if name != "place"}


def _behind(own: SshConfig, bastion: BastionConfig | None) -> SshConfig:
    return replace(own, bastion=bastion)


def _agent(folder: Path, model: LoginModel) -> Path | None:
    if not model.agent:
        return None
    return AGENT_OF_ENVIRONMENT if model.agent is True else (folder / model.agent).absolute()


def _path(folder: Path, text: str | None) -> Path | None:
    return None if text is None else (folder / text).absolute()
