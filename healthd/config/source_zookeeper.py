"""`zookeeper` of a cluster: the ensemble of a cluster that is not on KRaft yet."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from healthd.config.addresses import MAX_PORT, AddressError, join_address, parse_address
from healthd.config.argv import ServerArgv
from healthd.config.fields import Host, Port
from healthd.config.schema import FileModel, refusal
from healthd.waves.spec import MAX_ID

_URL: Final = re.compile(r"http://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~/-]*)?")
_CHROOT: Final = re.compile(r"(/[A-Za-z0-9._-]+)+")
ADMIN_PATH: Final = "/commands"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsembleHost:
    """The host of one server."""

    server: int
    """Its `myid`."""
    address: str
    """Host name or IP address, without a port."""
    ssh_port: int | None = None
    """Where its sshd listens; None: where the cluster's `ssh` says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsembleService:
    """What stops, starts and asks after a server: argv templates with {server_id} and {host}."""

    stop: tuple[str, ...]
    start: tuple[str, ...]
    status: tuple[str, ...]
    """Prints what `service.status` of a broker does."""
    logs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ZookeeperConfig:
    """An ensemble and where Kafka is in it."""

    servers: tuple[str, ...]
    """`host:port` for clients of every server, at least one."""
    admin_urls: tuple[str, ...] = ()
    """The AdminServer's commands of each server, in the order of `servers`; empty: none."""
    chroot: str = ""
    """Where Kafka's nodes are: empty, or `/kafka`."""
    hosts: tuple[EnsembleHost, ...] = ()
    """The host of each server, in the order of `servers`; empty: the ensemble is only read."""
    service: EnsembleService | None = None

    @property
    def numbers(self) -> Mapping[str, int]:
        """The id of each server by its address, as the file says it."""
        return {
            address: host.server for address, host in zip(self.servers, self.hosts, strict=False)
        }


def _checked_server(text: str) -> str:
    address, slash, _ = text.partition("/")
    if slash:
        raise refusal("has a chroot in it", "write host:port here and the path as chroot")
    try:
        return parse_address(address)
    except AddressError as error:
        raise refusal(f"bad address: {error.message}", error.action) from None


def _checked_url(text: str) -> str:
    if text.startswith("https:"):
        raise refusal("AdminServer over TLS is not built yet", "write its http:// address")
    if not _URL.fullmatch(text):
        # The text is not repeated: there may be a password in it.
        raise refusal("is no plain http:// address", "write http://HOST:PORT/commands")
    return text.rstrip("/")


def _checked_chroot(text: str) -> str:
    if text in {"", "/"}:
        return ""
    if not _CHROOT.fullmatch(text):
        raise refusal("is no path", "write it as in zookeeper.connect, for example /kafka")
    return text


def _not_built(_: Any) -> None:
    raise refusal(
        "ZooKeeper with TLS or SASL is not built yet",
        "name plain client ports that may be read without a login, or remove zookeeper",
    )


NotBuilt = Annotated[None, BeforeValidator(_not_built)]


class EnsembleHostModel(FileModel):
    """One item of `zookeeper.hosts`."""

    server: Annotated[int, Field(ge=0, le=MAX_ID)]
    address: Host
    ssh_port: Port | None = None


class EnsembleServiceModel(FileModel):
    """`zookeeper.service`: argv templates."""

    stop: ServerArgv
    start: ServerArgv
    status: ServerArgv
    logs: ServerArgv | None = None


class ZookeeperModel(FileModel):
    """`zookeeper` of a cluster, as it is written."""

    servers: Annotated[
        list[Annotated[str, AfterValidator(_checked_server)]], Field(min_length=1, max_length=25)
    ]
    admin_port: Annotated[int, Field(ge=1, le=MAX_PORT)] | None = None
    admin_urls: list[Annotated[str, AfterValidator(_checked_url)]] | None = None
    chroot: Annotated[str, AfterValidator(_checked_chroot)] = ""
    hosts: Annotated[list[EnsembleHostModel], Field(max_length=25)] = Field(default_factory=list)
    service: EnsembleServiceModel | None = None
    security: NotBuilt = None
    tls: NotBuilt = None
    sasl: NotBuilt = None
    username: NotBuilt = None
    password_file: NotBuilt = None
    password_env: NotBuilt = None
    password_command: NotBuilt = None

    @model_validator(mode="after")
    def _fits(self) -> "ZookeeperModel":
        if len(set(self.servers)) != len(self.servers):
            raise refusal("names a server twice", "name each server of the ensemble once")
        if self.admin_urls is not None:
            if self.admin_port is not None:
                raise refusal("has adminPort and adminUrls", "keep one of the two")
            if len(self.admin_urls) != len(self.servers):
                raise refusal(
                    "has not as many adminUrls as servers", "give one for each, in the same order"
                )
        self._hosts_fit()
        return self

    def _hosts_fit(self) -> None:
        numbers = [host.server for host in self.hosts]
        if numbers and len(numbers) != len(self.servers):
            raise refusal(
                "has not as many hosts as servers", "give one for each, in the same order"
            )
        if len(set(numbers)) != len(numbers):
            raise refusal("names a server of hosts twice", "give each host the myid of its server")
        if (self.service is None) is not (not numbers):
            missing, given = ("hosts", "service") if not numbers else ("service", "hosts")
            raise refusal(f"has {given} without {missing}", f"add {missing}, or remove {given}")

    def converted(self) -> ZookeeperConfig:
        """The same, for the rest of healthd."""
        urls: Iterable[str] = self.admin_urls or ()
        if self.admin_port is not None:
            hosts = (server.rpartition(":")[0].strip("[]") for server in self.servers)
            urls = (f"http://{join_address(host, self.admin_port)}{ADMIN_PATH}" for host in hosts)
        return ZookeeperConfig(
            servers=tuple(self.servers),
            admin_urls=tuple(urls),
            chroot=self.chroot,
            hosts=tuple(
                EnsembleHost(server=host.server, address=host.address, ssh_port=host.ssh_port)
                for host in self.hosts
            ),
            service=None if self.service is None else _service(self.service),
        )


def _service(model: EnsembleServiceModel) -> EnsembleService:
    return EnsembleService(
        stop=tuple(model.stop),
        start=tuple(model.start),
        status=tuple(model.status),
        logs=tuple(model.logs or ()),
    )
