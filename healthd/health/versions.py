"""Kafka versions as far as the index compares them: by their first two numbers."""

import re
from collections.abc import Iterable
from typing import Final

from healthd.model.snapshot import Broker

_VERSION: Final = re.compile(r"([0-9]{1,9})\.([0-9]{1,9})(?![0-9])")


def kafka_version(text: str | None) -> tuple[int, int] | None:
    """The first two numbers of a version, None when there are none."""
    match = _VERSION.match(text or "")
    return (int(match[1]), int(match[2])) if match else None


def versions_in_use(brokers: Iterable[Broker]) -> set[tuple[int, int]]:
    """The versions of these brokers, as far as they are known."""
    found = (kafka_version(broker.version) for broker in brokers)
    return {version for version in found if version is not None}
