"""How healthd connects to one cluster, for every client that it has.

Whoever needs a client of its own (a probe's producer, an elector) asks `Access.of` a cluster's
`SecurityConfig`, then `ready()`, and then gives confluent-kafka all of `confluent_config()`:

    access = Access.of(config.security)
    access.ready()
    producer = Producer({"bootstrap.servers": servers, **access.confluent_config()})

`ready` raises `AccessError` for what is wrong on our side before anybody is asked: a certificate
that cannot be read, a key's wrong password, a token endpoint that is away. Without that question a
client would only say that it cannot connect, and one with OAUTHBEARER would wait 10 s for a token
while it is made.
"""

import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from healthd.collect.failing import AccessError
from healthd.collect.observation import FailureReason
from healthd.collect.oidc import fetch_token
from healthd.collect.passwords import Password
from healthd.collect.tokens import TokenSource
from healthd.config.fleet import SecurityConfig
from healthd.config.oauth import OAuthConfig

OAUTHBEARER: Final = "OAUTHBEARER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How clients connect; `repr` shows no secret."""

    protocol: str = "PLAINTEXT"
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    key_password: str | None = field(default=None, repr=False)
    sasl_mechanism: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    """This and `key_password`: given outright, without a fleet file."""
    tokens: TokenSource | None = field(default=None, repr=False, compare=False)
    """Where OAUTHBEARER gets its tokens, for all clients of the cluster."""
    user_secret: Password | None = field(default=None, repr=False, compare=False)
    """The user's password, read again for each new client: one that was changed counts at once."""
    key_secret: Password | None = field(default=None, repr=False, compare=False)
    """The key's, in the same way."""

    @classmethod
    def of(cls, security: SecurityConfig) -> "Access":
        """The access that a cluster's configuration describes; no file is read, no program run.

        Raises:
            ConfigError: a secret will never be there; names where it should be.
        """
        return cls(
            protocol=security.protocol,
            ca_file=security.ca_file,
            cert_file=security.cert_file,
            key_file=security.key_file,
            sasl_mechanism=security.sasl_mechanism,
            username=security.username,
            tokens=None if security.oauth is None else _tokens(security.oauth),
            user_secret=None if security.password is None else Password(security.password),
            key_secret=None if security.key_password is None else Password(security.key_password),
        )

    @property
    def uses_tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.protocol in {"SSL", "SASL_SSL"}

    @property
    def uses_sasl(self) -> bool:
        """Whether a user, or a token, is asked for."""
        return self.protocol.startswith("SASL_")

    @property
    def runs_program_for_key(self) -> bool:
        """Whether a program prints the password of our own key."""
        return self.key_secret is not None and self.key_secret.is_printed

    def ready(self) -> None:
        """Everything on our own side is there to connect with.

        It blocks: for a token (2 s), for a password's program (10 s).

        Raises:
            AccessError: It is not; says what, where and what to do.
        """
        self._user_password()
        self.tls_context()
        if self.tokens is not None:
            self.tokens.token()

    def confluent_config(self) -> dict[str, Any]:
        """What confluent-kafka's clients need to connect, callbacks included; never raises.

        A password that cannot be read now is the one that was read last, by `ready` at the latest.
        A client with `oauth_cb` must be polled now and then, as any client with callbacks.
        """
        found = _known(
            {
                "security.protocol": self.protocol,
                "ssl.ca.location": _text(self.ca_file),
                "ssl.certificate.location": _text(self.cert_file),
                "ssl.key.location": _text(self.key_file),
                "ssl.key.password": _now_or_last(self._key_password, self.key_secret),
                "sasl.mechanism": self.sasl_mechanism,
                "sasl.username": self.username,
                "sasl.password": _now_or_last(self._user_password, self.user_secret),
            }
        )
        if self.tokens is not None:
            found["oauth_cb"] = _oauth_callback(self.tokens)
        return found

    def kafka_python_config(self) -> dict[str, Any]:
        """The same for kafka-python's clients, but for the token provider (see `wire`).

        Raises:
            AccessError: A certificate or key cannot be used.
        """
        return _known(
            {
                "security_protocol": self.protocol,
                "ssl_context": self.tls_context(),
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self._user_password(),
            }
        )

    def tls_context(self) -> ssl.SSLContext | None:
        """A context that proves who the broker is and who we are; None for plain connections.

        Raises:
            AccessError: A file of it cannot be used.
        """
        if not self.uses_tls:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.ca_file is None:
            context.load_default_certs()
        else:
            try:
                context.load_verify_locations(self.ca_file)
            except OSError as error:
                raise _unusable("caFile", self.ca_file, error, "hold PEM certificates") from None
        self.show_own(context)
        return context

    def show_own(self, context: ssl.SSLContext) -> None:
        """Let connections show our own certificate, where there is one.

        Raises:
            AccessError: A file of it, or its key's password, cannot be used.
        """
        cert_file = self.cert_file
        if cert_file is None:
            return
        key_password = self._key_password()
        try:
            # A function, for without a password OpenSSL would ask for one on the terminal.
            context.load_cert_chain(cert_file, self.key_file, lambda: key_password or "")
        except ValueError as error:  # OpenSSL takes 1024 bytes: a program may print far more.
            detail = f"the password of keyFile {self.key_file or cert_file} cannot be used: {error}"
            raise AccessError(FailureReason.TLS, detail) from None
        except OSError as error:
            wanted = (
                "be the certificate in PEM, with the key of keyFile"
                if key_password is None
                else "fit keyFile, and keyFile the key password"
            )
            raise _unusable("certFile", cert_file, error, wanted) from None

    def _user_password(self) -> str | None:
        return self.password if self.user_secret is None else self.user_secret.read()

    def _key_password(self) -> str | None:
        return self.key_password if self.key_secret is None else self.key_secret.read()

    def probing_tls(self) -> ssl.SSLContext | None:
        """A context for asking only whether a listener answers; None for plain connections.

        It proves no identity and carries no secret: a certificate that does not fit is an answer.
        """
        if not self.uses_tls:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context


def _tokens(config: OAuthConfig) -> TokenSource:
    # A secret that will never be there is told at the start, as for all others.
    config.client_secret.expect()
    tokens: TokenSource = TokenSource(lambda: fetch_token(config, tokens.awaiting))
    return tokens


def _oauth_callback(tokens: TokenSource) -> Callable[[str | None], tuple[str, float]]:
    """What librdkafka calls for a token, on a thread of its own: the token and when it expires."""

    def callback(_config: str | None) -> tuple[str, float]:
        token = tokens.token()
        return token.value, time.time() + token.left(time.monotonic())

    return callback


def _unusable(key: str, path: Path, error: OSError, wanted: str) -> AccessError:
    why = error.reason if isinstance(error, ssl.SSLError) else error.strerror
    return AccessError(
        FailureReason.TLS,
        f"{key} {path} cannot be used ({why or type(error).__name__}): it must {wanted}",
    )


def _now_or_last(read: Callable[[], str | None], secret: Password | None) -> str | None:
    try:
        return read()
    except AccessError:
        return None if secret is None else secret.last


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _known(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in properties.items() if value is not None}
