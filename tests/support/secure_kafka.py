"""One real broker with a listener for every security mode, its users and its certificates.

The whole matrix runs against a single JVM: modes differ by listener only.
"""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography.hazmat.primitives import serialization
from support.kafka_cluster import KafkaCluster
from support.short_lived import CertificateAuthority, Issued
from support.token_server import AUDIENCE, ISSUER, TokenServer

USER = "healthd"
PASSWORD = "right-password-of-healthd"
CLIENT_SECRET = "right-client-secret-of-healthd"
KEY_PASSWORD = "right-key-password"
SECRETS = (PASSWORD, CLIENT_SECRET, KEY_PASSWORD)
WRONG = "wrong-password-of-somebody"
"""Every secret begins so that a search for it in texts finds nothing else."""

DAY = timedelta(days=1)

LISTENERS = {
    "TLS": "SSL",
    "MTLS": "SSL",
    "EXPIRED": "SSL",
    "PLAIN": "SASL_PLAINTEXT",
    "PLAINTLS": "SASL_SSL",
    "SCRAM256": "SASL_SSL",
    "SCRAM512": "SASL_SSL",
    "OAUTH": "SASL_SSL",
}
_SECURITY = "org.apache.kafka.common.security"
_PLAIN = f'{_SECURITY}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
_SCRAM = f"{_SECURITY}.scram.ScramLoginModule required;"
_OAUTH = f"{_SECURITY}.oauthbearer.OAuthBearerLoginModule required;"


class SecureKafka:
    """The broker, the token server and all files, while the ``with`` block lasts."""

    def __init__(self, folder: Path, *, token_seconds: float = 300.0) -> None:
        self.folder = folder
        self.authority = CertificateAuthority(folder, name="fleet CA")
        self.stranger = CertificateAuthority(folder, name="other CA")
        self.tokens = TokenServer({USER: CLIENT_SECRET}, lifetime_seconds=token_seconds)
        self.password_file = self.secret("password", PASSWORD)
        self.wrong_file = self.secret("wrong", WRONG)
        self.client_secret_file = self.secret("client-secret", CLIENT_SECRET)
        self.key_password_file = self.secret("key-password", KEY_PASSWORD)
        self.client = self.authority.issue("client")
        self.expired_client = self.authority.issue("expired-client", left=-DAY)
        self.foreign_client = self.stranger.issue("foreign-client")
        self.locked_key_file = folder / "locked.key"
        self.locked_key_file.write_bytes(_key_pem(self.client, KEY_PASSWORD))
        for key_file in folder.glob("*.key"):
            key_file.chmod(0o600)
        self._stack = ExitStack()
        self.cluster: KafkaCluster

    def secret(self, name: str, value: str) -> Path:
        """The path of a private file with that content."""
        path = self.folder / name
        path.write_text(f"{value}\n", "utf-8")
        path.chmod(0o600)
        return path

    def bootstrap(self, listener: str) -> str:
        """Where a mode's listener is."""
        return self.cluster.bootstrap_of(listener)

    def __enter__(self) -> Self:
        self._stack.enter_context(self.tokens)
        cluster = KafkaCluster(
            listeners=LISTENERS,
            properties=self._properties(),
            jvm=(f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={self.tokens.jwks_url}",),
            format_options=[
                word
                for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
                for word in ("--add-scram", f"{mechanism}=[name={USER},password={PASSWORD}]")
            ],
        )
        try:
            self.cluster = self._stack.enter_context(cluster)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @staticmethod
    def _key_store(issued: Issued) -> Path:
        """The path of a key store of type PEM, as a broker reads it."""
        path = issued.key_file.with_suffix(".store")
        path.write_bytes(_key_pem(issued) + issued.chain_file.read_bytes())
        return path

    def _properties(self) -> dict[str, str]:
        server = self._key_store(self.authority.issue("broker"))
        expired = self._key_store(self.authority.issue("expired-broker", left=-DAY))
        values = {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(server),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority.file),
            "listener.name.mtls.ssl.client.auth": "required",
            "listener.name.expired.ssl.keystore.type": "PEM",
            "listener.name.expired.ssl.keystore.location": str(expired),
            # Kafka 4.1's default does not look at signatures, whatever keys it is given.
            "sasl.oauthbearer.jwt.validator.class": f"{_SECURITY}.oauthbearer.BrokerJwtValidator",
            "sasl.oauthbearer.jwks.endpoint.url": self.tokens.jwks_url,
            "sasl.oauthbearer.expected.audience": AUDIENCE,
            "sasl.oauthbearer.expected.issuer": ISSUER,
            "listener.name.oauth.oauthbearer.sasl.server.callback.handler.class": (
                f"{_SECURITY}.oauthbearer.OAuthBearerValidatorCallbackHandler"
            ),
            "listener.name.oauth.oauthbearer.connections.max.reauth.ms": "3600000",
        }
        for listener, mechanism, jaas in (
            ("plain", "PLAIN", _PLAIN),
            ("plaintls", "PLAIN", _PLAIN),
            ("scram256", "SCRAM-SHA-256", _SCRAM),
            ("scram512", "SCRAM-SHA-512", _SCRAM),
            ("oauth", "OAUTHBEARER", _OAUTH),
        ):
            prefix = f"listener.name.{listener}"
            values[f"{prefix}.sasl.enabled.mechanisms"] = mechanism
            values[f"{prefix}.{mechanism.lower()}.sasl.jaas.config"] = jaas
        return values


def _key_pem(issued: Issued, password: str | None = None) -> bytes:
    return issued.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()
        if password is None
        else serialization.BestAvailableEncryption(password.encode()),
    )
