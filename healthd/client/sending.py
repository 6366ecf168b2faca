"""What was handed to a producer and is not acknowledged yet: kept, in order, until it is."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError

Headers = Mapping[str, bytes | str | None] | Sequence[tuple[str, bytes | str | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What became of one message."""

    topic: str
    key: bytes | str | None
    value: bytes | str | None
    cluster: str
    """That acknowledged it, or was tried last."""
    error: KafkaError | None = None
    """None: acknowledged."""
    partition: int = -1
    offset: int = -1
    tried: tuple[str, ...] = ()
    """Every cluster that it was given to, in order; more than one try: it may be there too."""

    @property
    def is_maybe_duplicated(self) -> bool:
        """Whether it was given to a cluster before that did not acknowledge it."""
        return len(self.tried) > 1


OnDelivery = Callable[[Delivery], None]


@dataclass(slots=True, kw_only=True)
class Pending:
    """One message on its way."""

    topic: str
    value: bytes | str | None
    key: bytes | str | None
    partition: int | None
    headers: Headers | None
    on_delivery: OnDelivery | None
    given_up_at: float
    """Monotonic seconds."""
    tried: list[str] = field(default_factory=list)
    link: int = 0
    """The link that has it; 0: none, it waits to be handed over."""

    def words(self) -> dict[str, Any]:
        """The arguments of `Producer.produce`."""
        given: dict[str, Any] = {"topic": self.topic, "value": self.value, "key": self.key}
        if self.partition is not None:
            given["partition"] = self.partition
        if self.headers is not None:
            headers = self.headers
            given["headers"] = dict(headers) if isinstance(headers, Mapping) else list(headers)
        return given

    def delivery(self, cluster: str, error: KafkaError | None, message: Any = None) -> Delivery:
        """What became of it."""
        has_place = error is None and message is not None
        return Delivery(
            topic=self.topic,
            key=self.key,
            value=self.value,
            cluster=cluster,
            error=error,
            partition=message.partition() if has_place else -1,
            offset=message.offset() if has_place else -1,
            tried=tuple(self.tried),
        )


class Outbox:
    """Messages by number, the oldest first; its owner holds a lock around every call."""

    def __init__(self) -> None:
        self._pending: dict[int, Pending] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, pending: Pending) -> int:
        """Its number."""
        self._next += 1
        self._pending[self._next] = pending
        return self._next

    def get(self, number: int) -> Pending | None:
        """The message; None when it is settled."""
        return self._pending.get(number)

    def settle(self, number: int) -> Pending | None:
        """The message, which is kept no more."""
        return self._pending.pop(number, None)

    def unsent(self) -> Iterator[tuple[int, Pending]]:
        """Those that no producer has, the oldest first."""
        return ((number, found) for number, found in list(self._pending.items()) if not found.link)

    def numbers(self) -> list[int]:
        """Of all messages."""
        return list(self._pending)
