"""`zookeeper` of a cluster: the ensemble of a cluster that is not on KRaft yet."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from healthd.config.addresses import MAX_PORT, AddressError, join_address, parse_address
from healthd.config.schema import FileModel, refusal

_URL: Final = re.compile(r"http://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~/-]*)?")
_CHROOT: Final = re.compile(r"(/[A-Za-z0-9._-]+)+")
ADMIN_PATH: Final = "/commands"


@dataclass(frozen=True, slots=True, kw_only=True)
class ZookeeperConfig:
    """An ensemble and where Kafka is in it."""

    servers: tuple[str, ...]
    """`host:port` for clients of every server, at least one."""
    admin_urls: tuple[str, ...] = ()
    """The AdminServer's commands of each server, in the order of `servers`; empty: none."""
    chroot: str = ""
    """Where Kafka's nodes are: empty, or `/kafka`."""


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


class ZookeeperModel(FileModel):
    """`zookeeper` of a cluster, as it is written."""

    servers: Annotated[
        list[Annotated[str, AfterValidator(_checked_server)]], Field(min_length=1, max_length=25)
    ]
    admin_port: Annotated[int, Field(ge=1, le=MAX_PORT)] | None = None
    admin_urls: list[Annotated[str, AfterValidator(_checked_url)]] | None = None
    chroot: Annotated[str, AfterValidator(_checked_chroot)] = ""
    security: NotBuilt = None
    tls: NotBuilt = None
    sasl: NotBuilt = None
    username: NotBuilt = None
    password_file: NotBuilt = None
    password_env: NotBuilt = None

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
        return self

    def converted(self) -> ZookeeperConfig:
        """The same, for the rest of healthd."""
        urls: Iterable[str] = self.admin_urls or ()
        if self.admin_port is not None:
            hosts = (server.rpartition(":")[0].strip("[]") for server in self.servers)
            urls = (f"http://{join_address(host, self.admin_port)}{ADMIN_PATH}" for host in hosts)
        return ZookeeperConfig(
            servers=tuple(self.servers), admin_urls=tuple(urls), chroot=self.chroot
        )
