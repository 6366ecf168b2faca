"""Metadata through confluent-kafka: one client for the life of a cluster, every call with a limit.

librdkafka starts threads of its own for each broker, so a client per cycle would leak them. It is
told to do nothing by itself: no periodic refresh, short connection and request limits. What it logs
goes to our logger, and its errors tell whose fault a time-out is.
"""

import logging
import time
from collections.abc import Mapping
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from healthd.collect.failing import AccessError
from healthd.collect.metadata import Interned, metadata_seen
from healthd.collect.observation import (
    FailureReason,
    MetadataSeen,
    Origin,
    Source,
    SourceFailure,
)
from healthd.collect.target import ClusterTarget
from healthd.model.snapshot import Topic

ATTEMPTS: Final = 2
"""A frozen broker costs one time-out; the next attempt goes to another one."""

_LOG: Final = logging.getLogger("healthd.librdkafka")
# Without a handler of the program's own, Python prints warnings to stderr: not in a command's face.
_LOG.addHandler(logging.NullHandler())


class MetadataClient:
    """Reads the metadata of one cluster. Blocking: call it on a thread of a bounded pool."""

    def __init__(self, target: ClusterTarget) -> None:
        self._target = target
        self._client: Any = None
        self._interned = Interned()
        self._errors: dict[int, str] = {}

    def read(
        self, previous: Mapping[str, Topic], *, attempts: int = ATTEMPTS
    ) -> MetadataSeen | SourceFailure:
        """The metadata of all topics, or why there is none; takes a time-out an attempt at most."""
        client = self._connected()
        if isinstance(client, SourceFailure):
            return client
        self._errors.clear()
        last: KafkaError | None = None
        seen: MetadataSeen | None = None
        for _ in range(attempts):
            began = time.monotonic()
            try:
                # The objects live no longer than this expression.
                seen = metadata_seen(
                    client.list_topics(timeout=self._target.attempt_seconds),
                    previous,
                    self._interned,
                )
            except KafkaException as error:
                last = error.args[0]
            finally:
                # Serves the queues of log lines and errors, which grow otherwise.
                client.poll(0)
            if seen is not None and seen.answered_by >= 0:
                return seen
            if seen is None and time.monotonic() - began < self._target.attempt_seconds / 2:
                # An answer, though a bad one: asking again at once changes nothing.
                break
        # Who answered is not known behind one shared address: the judge decides what it is worth.
        return self._failure(last) if seen is None else seen

    def close(self) -> None:
        """Let go of the client; its threads end with it."""
        self._client = None

    def _connected(self) -> Any:
        if self._client is None:
            try:
                # Without a token librdkafka would wait 10 s for one.
                self._target.access.ready()
                self._client = AdminClient(self._properties(), logger=_LOG)
            except AccessError as error:
                return _ours(error.reason, f"No metadata was asked for: {error.detail}.")
            except (KafkaException, ValueError) as error:
                return _ours(
                    FailureReason.AUTHENTICATION,
                    f"The client's settings do not work: {_message(error)}.",
                )
        return self._client

    def _properties(self) -> dict[str, Any]:
        limit = round(self._target.attempt_seconds * 1000)
        return {
            "bootstrap.servers": ",".join(self._target.bootstrap_servers),
            "client.id": "healthd",
            "socket.timeout.ms": limit,
            "socket.connection.setup.timeout.ms": max(1000, limit),
            "api.version.request.timeout.ms": limit,
            "socket.keepalive.enable": True,
            "reconnect.backoff.ms": 100,
            # Shorter than a round, so that every round has tried a dead broker again.
            "reconnect.backoff.max.ms": 2000,
            "topic.metadata.refresh.interval.ms": -1,
            "topic.metadata.refresh.sparse": True,
            "allow.auto.create.topics": False,
            "log.connection.close": False,
            "error_cb": self._on_error,
            **self._target.access.confluent_config(),
        }

    def _on_error(self, error: KafkaError) -> None:
        self._errors[error.code()] = error.str()

    def _failure(self, error: KafkaError | None) -> SourceFailure:
        codes = {*self._errors, *([] if error is None else [error.code()])}
        reason, origin, what = self._judged(codes)
        if reason in {FailureReason.AUTHENTICATION, FailureReason.TLS}:
            # What was renewed on disk counts for a new client only.
            self.close()
        servers = ", ".join(self._target.bootstrap_servers)
        told = "" if error is None else f" ({error.str()})"
        return SourceFailure(
            source=Source.METADATA,
            origin=origin,
            reason=reason,
            detail=f"No metadata from {servers}: {what}{told}.",
        )

    def _judged(self, codes: set[int]) -> tuple[FailureReason, Origin, str]:
        tokens = self._target.access.tokens
        found = judged(codes)
        if tokens is not None and tokens.failure is not None:
            return tokens.failure.reason, Origin.OURS, tokens.failure.detail
        told = self._errors.get(KafkaError._TRANSPORT, "")  # noqa: SLF001  # Its public names begin so.
        if found[0] is FailureReason.REFUSED and "refused" not in told:
            # librdkafka says "down" of a listener that hangs up, too: it wants TLS, SASL or both.
            hint = "every connection is closed: check protocol and the port"
            return FailureReason.NETWORK, Origin.OURS, hint
        return found


_AUTHORIZATION: Final = frozenset(
    {KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED}
)
_AUTHENTICATION: Final = frozenset(
    {KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED}  # noqa: SLF001  # Its public names begin so.
)


def judged(codes: set[int]) -> tuple[FailureReason, Origin, str]:
    """What librdkafka's error codes mean together, and whose fault that is."""
    if codes & _AUTHENTICATION:
        return FailureReason.AUTHENTICATION, Origin.OURS, "our credentials were refused"
    if codes & _AUTHORIZATION:
        return FailureReason.AUTHORIZATION, Origin.OURS, "grant Describe on Topic:*"
    if KafkaError._SSL in codes:  # noqa: SLF001  # Its public names begin so.
        return FailureReason.TLS, Origin.OURS, "TLS failed: check ca_file and the certificates"
    if KafkaError._RESOLVE in codes:  # noqa: SLF001  # Its public names begin so.
        return FailureReason.DNS, Origin.OURS, "a name cannot be resolved here"
    if KafkaError._ALL_BROKERS_DOWN in codes:  # noqa: SLF001  # Its public names begin so.
        return FailureReason.REFUSED, Origin.THEIRS, "no broker can be connected to"
    return FailureReason.TIMEOUT, Origin.OURS, "nobody answered in time"


def _ours(reason: FailureReason, detail: str) -> SourceFailure:
    return SourceFailure(source=Source.METADATA, origin=Origin.OURS, reason=reason, detail=detail)


def _message(error: Exception) -> str:
    found = error.args[0] if error.args else error
    return found.str() if isinstance(found, KafkaError) else str(found)
