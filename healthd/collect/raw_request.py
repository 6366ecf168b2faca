"""A Metadata request through kafka-python whose answer stays bytes.

Transport, TLS, SASL and the choice of version stay the library's; only what it would decode into an
object for each partition is handed over as it came. It works as the library's own
``SaslBytesRequest`` does: the header of a request names who decodes the answer. The version of the
library is pinned, and a contract test against real Kafka covers this use.
"""

import struct
import warnings
from typing import Any, Final

with warnings.catch_warnings():
    # It reads its protocol's schemas with a function that Python 3.11 calls deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    from kafka.protocol.metadata import MetadataRequest, MetadataResponse

__all__ = ["MetadataResponse", "RawMetadata", "RawMetadataRequest"]

OLDEST_VERSION: Final = 9
"""The first with compact encoding (Kafka 2.4); older brokers are read through librdkafka."""
NEWEST_VERSION: Final = 13

_THROTTLE: Final = struct.Struct(">i")


class RawMetadata:
    """The body of one MetadataResponse."""

    __slots__ = ("body", "throttle_time_ms", "version")

    def __init__(self, version: int, body: bytes) -> None:
        self.version = version
        self.body = body
        # The library looks for it, and waits when a quota is exceeded.
        self.throttle_time_ms: int = (
            _THROTTLE.unpack_from(body)[0] if len(body) >= _THROTTLE.size else 0
        )

    def __repr__(self) -> str:
        return f"RawMetadata(version={self.version}, {len(self.body)} bytes)"


class _Header:
    """What the library asks for who decodes the answer: here it is the header itself."""

    def __init__(self, correlation_id: int, version: int) -> None:
        self.correlation_id = correlation_id
        self.version = version

    def get_response_class(self) -> "_Header":
        return self

    def parse_header(self, buffer: Any) -> Any:
        return MetadataResponse[self.version].parse_header(buffer)

    def decode(self, buffer: Any) -> RawMetadata:
        return RawMetadata(self.version, buffer.read())


class RawMetadataRequest:
    """Metadata of all topics, in a version with compact encoding; creates no topic."""

    def __init__(self) -> None:
        self._request: Any = MetadataRequest(
            topics=None,
            allow_auto_topic_creation=False,
            include_cluster_authorized_operations=False,
            include_topic_authorized_operations=False,
            min_version=OLDEST_VERSION,
            max_version=NEWEST_VERSION,
        )
        self.header: _Header | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._request, name)

    @property
    def API_VERSION(self) -> Any:  # noqa: N802  # The library's name.
        """The version; None until the library has chosen one that the broker offers, too."""
        return self._request.API_VERSION

    @API_VERSION.setter
    def API_VERSION(self, version: int) -> None:  # noqa: N802  # The library's name.
        self._request.API_VERSION = version

    def with_header(self, correlation_id: int = 0, client_id: str = "healthd") -> None:
        """Make the header; called by the library when the request is sent."""
        self._request.with_header(correlation_id=correlation_id, client_id=client_id)
        self.header = _Header(correlation_id, self._request.API_VERSION)
