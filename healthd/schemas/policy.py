"""The schema of a wave's policy: from its readers, its defaults and its attributes' docstrings."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from healthd.schemas.forms import (
    Schema,
    attribute_docs,
    items,
    mapping,
    number,
    said,
    same_keys,
    text,
    whole,
    words,
)
from healthd.waves.policy import POLICY_READERS, WavePolicy, policy_document
from healthd.waves.policy_values import (
    MAX_WHOLE,
    PARTITION_NAME,
    read_alerts,
    read_count,
    read_duration,
    read_flag,
    read_index,
    read_limits,
    read_partitions,
    read_patterns,
    read_positive_count,
    read_timeout,
)
from healthd.waves.window import TIME, WINDOW_KEYS, Weekday, read_windows

_CLOCK: Final = TIME.pattern
_WINDOW: Final[Mapping[str, Schema]] = {
    "days": said(
        items(words(Weekday), uniqueItems=True),
        "The weekdays on which the window starts; absent is every day.",
        examples=[["mon", "tue", "wed", "thu"]],
    ),
    "start": said(
        text(_CLOCK), "Local time, HH:MM; the window opens with that minute.", examples=["21:00"]
    ),
    "end": said(
        text(f"{_CLOCK}|24:00"),
        "Local time, HH:MM or 24:00; the window closes with that minute. An end before the start "
        "is on the next day.",
        examples=["05:00", "24:00"],
    ),
    "timezone": said(text(), "A name of the IANA database.", examples=["UTC", "Europe/Berlin"]),
}


def window_schema() -> Schema:
    """A maintenance window."""
    same_keys("windows", _WINDOW, WINDOW_KEYS)
    schema = mapping(_WINDOW, required=("start", "end", "timezone"))
    return said(schema, "A span of local time in which brokers may be taken.")


_FORMS: Final[Mapping[Callable[[object], Any], Schema]] = {
    read_duration: number(low=0),
    read_timeout: number(above=0),
    read_index: {"type": "number", "minimum": 0, "maximum": 100},
    read_count: whole(0, MAX_WHOLE),
    read_positive_count: whole(1, MAX_WHOLE),
    read_flag: {"type": "boolean"},
    read_patterns: items(text()),
    read_partitions: items(text(PARTITION_NAME.pattern)),
    read_alerts: items(text()),
    read_limits: {"type": "object", "additionalProperties": whole(1, MAX_WHOLE)},
    read_windows: items({"$ref": "#/$defs/Window"}),
}
_EXAMPLES: Final[Mapping[str, Any]] = {
    "allowRfOne": ["__consumer_offsets_test*"],
    "allowRfLeMinIsr": ["scratch-*"],
    "baseline": ["orders-0"],
    "alerts": ['alertname="BrokerDown"', 'severity=~"critical|page"'],
    "clustersAtOncePer": {"region": 1},
    "windows": [
        {"days": ["tue", "wed"], "start": "21:00", "end": "05:00", "timezone": "Europe/Berlin"}
    ],
}


def policy_schema() -> Schema:
    """A wave's policy; a key whose reader has no form here is an error, not a gap."""
    docs = attribute_docs(WavePolicy)
    defaults = policy_document(WavePolicy())
    properties: dict[str, Schema] = {}
    for key, (name, read) in POLICY_READERS.items():
        examples = {"examples": [_EXAMPLES[key]]} if key in _EXAMPLES else {}
        properties[key] = said(_FORMS[read], docs[name], default=defaults[key], **examples)
    return said(mapping(properties), "What a wave waits for, tolerates and gives up on.")
