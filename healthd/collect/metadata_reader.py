"""Metadata of one cluster: as raw bytes from a broker of our choice, or through librdkafka.

The raw way is ten times cheaper, knows who answered, and costs one thread where librdkafka has one
for each broker. librdkafka is the fall-back, made only when it is needed: for brokers that are too
old, for bytes that cannot be read, and while no broker can be reached, when it tells best why.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Final

from healthd.collect.admin import MetadataClient
from healthd.collect.compact_encoding import DecodeError
from healthd.collect.observation import (
    FailureReason,
    MetadataSeen,
    Origin,
    Source,
    SourceFailure,
)
from healthd.collect.raw_metadata import MetadataDecoder
from healthd.collect.raw_request import RawMetadata, RawMetadataRequest
from healthd.collect.target import ClusterTarget
from healthd.collect.wire import RENEWABLE, UnsupportedError, WireClient, WireError
from healthd.model.snapshot import Topic

ATTEMPTS: Final = 2
"""A frozen broker costs one time-out; the next attempt goes to another one."""

REST_ROUNDS: Final = 40
"""After so many rounds through librdkafka the raw way is tried again: brokers get upgraded."""

_LOG: Final = logging.getLogger("healthd.metadata")
_LOG.addHandler(logging.NullHandler())


class MetadataReader:
    """Reads the metadata of one cluster. Blocking, one thread at a time.

    It has a client of its own: a broker answers the requests of one connection in their order, and
    metadata must not wait behind the question who leads, which is not answered when nobody does.
    """

    def __init__(
        self,
        target: ClusterTarget,
        *,
        wire: WireClient | None = None,
        through_librdkafka: Callable[[ClusterTarget], MetadataClient] = MetadataClient,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._target = target
        self._wire = wire or WireClient(target, bootstrap_seconds=target.attempt_seconds)
        self._make_other = through_librdkafka
        self._other: MetadataClient | None = None
        self._clock = clock
        self._decoder = MetadataDecoder()
        self._good: int | None = None
        """Brokers are asked from this id on, going round."""
        self._rest = 0
        self._has_told = False
        self.failures: tuple[SourceFailure, ...] = ()
        """What went wrong in the last read although it gave an answer."""

    def read(self, previous: Mapping[str, Topic]) -> MetadataSeen | SourceFailure:
        """The metadata of all topics, or why there is none; takes two time-outs at most."""
        self.failures = ()
        if self._rest:
            self._rest -= 1
            return self._through_librdkafka(previous, ATTEMPTS)
        began = self._clock()
        limit = self._target.attempt_seconds
        try:
            nodes = self._order(self._wire.brokers())
        except WireError as error:
            if error.reason in RENEWABLE:
                return _refused(error)
            return self._through_librdkafka(previous, ATTEMPTS - 1)
        problems: dict[int, WireError] = {}
        for node in nodes:
            if self._clock() - began > (ATTEMPTS - 1) * limit + limit / 2:
                break
            try:
                seen = self._ask(node, previous)
            except UnsupportedError as error:
                return self._resting(previous, f"broker {node} is too old ({error.detail})")
            except DecodeError as error:
                return self._unreadable(previous, node, error)
            except WireError as error:
                problems[node] = error
                continue
            self._good = node
            self._let_go_of_librdkafka()
            return seen
        return self._nobody(previous, problems, self._clock() - began)

    def turn_away(self, node: int) -> None:
        """Ask somebody else next time: what this broker said was not believed."""
        if self._good == node:
            self._good = node + 1

    def close(self) -> None:
        """Let go of all connections; may be called twice."""
        self._wire.close()
        self._let_go_of_librdkafka()

    def _ask(self, node: int, previous: Mapping[str, Topic]) -> MetadataSeen:
        answer: RawMetadata = self._wire.send(RawMetadataRequest(), node)
        return self._decoder.decode(answer, previous, node)

    def _order(self, nodes: tuple[int, ...]) -> tuple[int, ...]:
        """The broker that answered last comes first, then those after it, going round."""
        at = 0 if self._good is None else sum(node < self._good for node in nodes)
        return (*nodes[at:], *nodes[:at])

    def _resting(
        self, previous: Mapping[str, Topic], why: str, attempts: int = ATTEMPTS
    ) -> MetadataSeen | SourceFailure:
        self._rest = REST_ROUNDS
        if not self._has_told:
            self._has_told = True
            _LOG.warning("%s: metadata is read through librdkafka: %s", self._target.name, why)
        return self._through_librdkafka(previous, attempts)

    def _unreadable(
        self, previous: Mapping[str, Topic], node: int, error: DecodeError
    ) -> MetadataSeen | SourceFailure:
        detail = f"The metadata of broker {node} cannot be read as it comes: {error}"
        self.failures = (
            SourceFailure(
                source=Source.METADATA,
                origin=Origin.OURS,
                reason=FailureReason.PROTOCOL,
                detail=f"{detail}; it was read through librdkafka instead.",
            ),
        )
        self._decoder = MetadataDecoder()
        return self._resting(previous, detail, ATTEMPTS - 1)

    def _nobody(
        self, previous: Mapping[str, Topic], problems: Mapping[int, WireError], spent: float
    ) -> MetadataSeen | SourceFailure:
        """No known broker answered: perhaps they have other addresses now."""
        shut_out = [error for error in problems.values() if error.reason in RENEWABLE]
        if shut_out:
            return _refused(shut_out[0])
        if spent < self._target.attempt_seconds * ATTEMPTS * 0.9:
            found = self._through_librdkafka(previous, ATTEMPTS - 1)
            if isinstance(found, MetadataSeen):
                self._wire.close()
            return found
        self._wire.refresh()
        told = "; ".join(f"broker {node} {error.detail}" for node, error in problems.items())
        return SourceFailure(
            source=Source.METADATA,
            origin=Origin.OURS,
            reason=FailureReason.TIMEOUT,
            detail=f"No metadata: {told}.",
        )

    def _through_librdkafka(
        self, previous: Mapping[str, Topic], attempts: int
    ) -> MetadataSeen | SourceFailure:
        if self._other is None:
            self._other = self._make_other(self._target)
        return self._other.read(previous, attempts=attempts)

    def _let_go_of_librdkafka(self) -> None:
        other, self._other = self._other, None
        if other is not None:
            other.close()


def _refused(error: WireError) -> SourceFailure:
    """We do not get in, and librdkafka would not either: it only knows less of why."""
    return SourceFailure(
        source=Source.METADATA,
        origin=error.origin,
        reason=error.reason,
        detail=f"No metadata: {error.detail}.",
    )
