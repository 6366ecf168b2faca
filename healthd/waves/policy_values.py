"""The values of a policy's keys: each reader returns the value, or refuses it with its reason."""

import math
import re
from collections.abc import Mapping
from typing import Final

from healthd.waves.matchers import MatcherError, parse_matcher, parse_matchers
from healthd.waves.problems import describe_type

MAX_WHOLE: Final = 2_147_483_647
PARTITION_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,249}-(0|[1-9][0-9]{0,9})")


class RefusedError(ValueError):
    """Why one value is not accepted; the reader of the policy turns it into a problem."""

    def __init__(self, message: str, action: str, *location: str | int) -> None:
        super().__init__(message)
        self.message = message
        self.action = action
        self.location = location


def read_number(value: object, *, low: float, high: float, above: bool = False) -> float:
    """A finite number between `low` and `high`; `above` leaves `low` itself out."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RefusedError(f"must be a number, not {describe_type(value)}", "write a plain number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise RefusedError("must be a finite number", "write a plain number")
    if number < low or number > high or (above and number == low):
        least = f"above {low:g}" if above else f"at least {low:g}"
        most = f" and at most {high:g}" if math.isfinite(high) else ""
        raise RefusedError(f"must be {least}{most}", "choose a value in that range")
    return number


def read_duration(value: object) -> float:
    """Seconds from 0."""
    return read_number(value, low=0.0, high=math.inf)


def read_timeout(value: object) -> float:
    """Seconds above 0."""
    return read_number(value, low=0.0, high=math.inf, above=True)


def read_index(value: object) -> float:
    """A Health Index: 0 to 100."""
    number = read_number(value, low=0.0, high=math.inf)
    if number > 100.0:  # noqa: PLR2004 - the top of the Health Index.
        raise RefusedError("can never be met: a Health Index is at most 100", "use 100 or less")
    return number


def read_whole(value: object, *, low: int) -> int:
    """A whole number from `low`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise RefusedError(
            f"must be a whole number, not {describe_type(value)}", "write a whole number"
        )
    if value < low:
        raise RefusedError(f"must be at least {low}", f"use {low} or more")
    if value > MAX_WHOLE:
        raise RefusedError(f"must be at most {MAX_WHOLE}", "choose a smaller number")
    return value


def read_count(value: object) -> int:
    """A whole number from 0."""
    return read_whole(value, low=0)


def read_positive_count(value: object) -> int:
    """A whole number from 1."""
    return read_whole(value, low=1)


def read_flag(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise RefusedError(
            f"must be true or false, not {describe_type(value)}", "write true or false"
        )
    return value


def read_texts(value: object, what: str) -> tuple[str, ...]:
    """A list of texts that are not empty."""
    if not isinstance(value, list | tuple):
        raise RefusedError(
            f"must be a list of {what}, not {describe_type(value)}", "write a list: [a]"
        )
    for position, item in enumerate(value):
        if not isinstance(item, str) or not item:
            raise RefusedError(f"must be one of the {what}, as text", "put it in quotes", position)
    return tuple(value)


def read_patterns(value: object) -> tuple[str, ...]:
    """Shell patterns over topic names."""
    return read_texts(value, "topic patterns")


def read_partitions(value: object) -> tuple[str, ...]:
    """Names of partitions, `topic-partition`."""
    names = read_texts(value, "partitions")
    for position, name in enumerate(names):
        if not PARTITION_NAME.fullmatch(name):
            raise RefusedError(
                "must name one partition as topic-partition",
                "write the topic, a dash and the partition, such as orders-0",
                position,
            )
    return names


def read_limits(value: object) -> tuple[tuple[str, int], ...]:
    """Label names, each with the number that it may have, in the order of the names."""
    if not isinstance(value, Mapping):
        raise RefusedError(
            f"must be a mapping of labels to numbers, not {describe_type(value)}",
            "write {label: number}",
        )
    limits: list[tuple[str, int]] = []
    for label, limit in value.items():
        if not isinstance(label, str) or not label:
            raise RefusedError("must be labels, as text", "put the label in quotes", str(label))
        try:
            limits.append((label, read_positive_count(limit)))
        except RefusedError as refused:
            raise RefusedError(refused.message, refused.action, label) from None
    return tuple(sorted(limits))


def read_alerts(value: object) -> tuple[str, ...]:
    """Alertmanager's matchers as they are written, all of them understood."""
    texts = read_texts(value, "alert matchers")
    for position, text in enumerate(texts):
        try:
            parse_matcher(text)
        except MatcherError as error:
            raise RefusedError(error.message, error.action, position) from None
    try:
        parse_matchers(texts)
    except MatcherError as error:
        raise RefusedError(error.message, error.action) from None
    return texts
