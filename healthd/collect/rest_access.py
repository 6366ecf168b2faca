"""Who we are to a REST service: secrets read beside the event loop, and kept while they fit."""

import asyncio
import base64
import errno
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from healthd.collect.secret_threads import in_secret_thread
from healthd.config.secrets import SecretRef
from healthd.config.source_rest import RestConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class RestAccess:
    """How to connect, with the secrets read; `repr` shows none of them."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    key_password: str | None = field(default=None, repr=False)
    uses_tls: bool = False
    bearer_token: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, config: RestConfig, *, bearer: SecretRef | None = None) -> "RestAccess":
        """The access that a part of the fleet file describes; blocks while secrets are read.

        Raises:
            ConfigError: a secret cannot be read; names where it should be.
        """
        return cls(
            username=config.username,
            password=None if config.password is None else config.password.read(),
            ca_file=config.ca_file,
            cert_file=config.cert_file,
            key_file=config.key_file,
            key_password=None if config.key_password is None else config.key_password.read(),
            uses_tls=config.uses_tls,
            bearer_token=None if bearer is None else bearer.read(),
        )

    def headers(self) -> dict[str, str]:
        """What tells a service who we are."""
        if self.bearer_token is not None:
            return {"Authorization": f"Bearer {self.bearer_token}"}
        if self.username is None:
            return {}
        pair = f"{self.username}:{self.password or ''}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}

    def tls(self) -> ssl.SSLContext:
        """A context that proves who answers.

        Raises:
            OSError: a file cannot be read or is no certificate or key.
        """
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.cert_file is not None:
            # Never None: a key with a password would make OpenSSL ask on the terminal.
            password = self.key_password or ""
            try:
                context.load_cert_chain(self.cert_file, self.key_file, password=password)
            except ValueError as error:
                # Of a password that is too long; the words are Python's own, and show none of it.
                raise OSError(errno.EINVAL, str(error)) from None
        return context


class LateAccess:
    """A `RestAccess` that is known from the start, or read when it is wanted for the first time."""

    def __init__(
        self, access: RestAccess | Callable[[], RestAccess], *, runs_program: bool = False
    ) -> None:
        """Read nothing; `access` is what is known, or what reads it."""
        self._runs_program = runs_program
        self._read = None if isinstance(access, RestAccess) else access
        self._known = access if isinstance(access, RestAccess) else None
        self._reading: asyncio.Future[RestAccess] | None = None

    async def known(self) -> RestAccess:
        """How to connect, read now when it is not known.

        Raises:
            ConfigError: a secret cannot be read.
        """
        if self._known is not None:
            return self._known
        reading = self._reading or self._begin()
        try:
            # Shielded: what is read after somebody has given up serves the next request.
            self._known = await asyncio.shield(reading)
        finally:
            if reading.done() and self._reading is reading:
                self._reading = None
        return self._known

    def forget(self, access: RestAccess) -> None:
        """Read again for the next request: what a service has refused may have been changed."""
        if self._read is not None and self._known is access:
            self._known = None

    def close(self) -> None:
        """Wait no longer for what is being read."""
        if self._reading is not None:
            self._reading.cancel()

    def _begin(self) -> asyncio.Future[RestAccess]:
        read = self._read or RestAccess
        self._reading = reading = asyncio.ensure_future(
            in_secret_thread(read, runs_program=self._runs_program)
        )
        # Who waited may have given up: then nobody else looks at how it failed.
        reading.add_done_callback(lambda each: each.cancelled() or each.exception())
        return reading
