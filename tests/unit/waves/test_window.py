"""Windows as a policy says them: every key, its limits, and the way back into a file."""

from typing import Any

import pytest

from healthd.waves.policy import SpecProblem, WavePolicy, parse_policy, policy_document
from healthd.waves.window import Weekday, Window

NIGHT = {"days": ["thu"], "start": "21:00", "end": "05:00", "timezone": "UTC"}


def parsed(*windows: Any) -> WavePolicy | list[SpecProblem]:
    return parse_policy({"windows": list(windows)})


def test_a_window_is_understood_and_written_back() -> None:
    policy = parsed(NIGHT)
    assert isinstance(policy, WavePolicy)
    assert policy.windows == (
        Window(days=(Weekday.THU,), start=21 * 60, end=5 * 60, timezone="UTC"),
    )
    assert policy_document(policy)["windows"] == [NIGHT]


def test_an_end_before_the_start_is_on_the_next_day() -> None:
    policy = parsed(NIGHT)
    assert isinstance(policy, WavePolicy)
    assert policy.windows[0].crosses_midnight
    assert policy.windows[0].length_minutes == 8 * 60


def test_without_days_it_is_every_day_and_a_day_may_be_whole() -> None:
    policy = parsed({"start": "00:00", "end": "24:00", "timezone": "Europe/Berlin"})
    assert isinstance(policy, WavePolicy)
    assert policy.windows[0].days == tuple(Weekday)
    assert policy.windows[0].length_minutes == 24 * 60


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        ({"days": "thu"}, "windows[0].days", "must be a list of weekdays, not text"),
        ({"days": ["thursday"]}, "windows[0].days[0]", "is no weekday"),
        ({"days": [4]}, "windows[0].days[0]", "is no weekday"),
        ({"days": ["mon", "mon"]}, "windows[0].days[1]", "names mon twice"),
        ({"start": "9:00"}, "windows[0].start", "must be a time of day from 00:00"),
        ({"start": "24:00"}, "windows[0].start", "must be a time of day from 00:00"),
        ({"start": 1260}, "windows[0].start", "must be a time of day as text"),
        ({"end": "05:60"}, "windows[0].end", "must be a time of day from 00:00"),
        ({"timezone": "Mars/Olympus"}, "windows[0].timezone", "is no time zone"),
        ({"timezone": "../etc/passwd"}, "windows[0].timezone", "is no time zone"),
        ({"timezone": "localtime"}, "windows[0].timezone", "is no time zone"),
        ({"timezone": "Europe"}, "windows[0].timezone", "is no time zone"),
        ({"timezone": ""}, "windows[0].timezone", "is no time zone"),
        ({"timezone": "\x00"}, "windows[0].timezone", "is no time zone"),
        ({"timezone": 1}, "windows[0].timezone", "must be the name of a time zone"),
        ({"tz": "UTC"}, "windows[0].tz", "unknown key"),
    ],
)
def test_a_mistake_is_refused_at_its_place(change: dict[str, Any], path: str, message: str) -> None:
    found = parsed({**NIGHT, **change})
    assert isinstance(found, list)
    assert found[0].path == path
    assert found[0].message.startswith(message)


@pytest.mark.parametrize("key", ["start", "end", "timezone"])
def test_what_a_window_needs_is_asked_for_by_name(key: str) -> None:
    found = parsed({name: value for name, value in NIGHT.items() if name != key})
    assert isinstance(found, list)
    assert found[0].message == f"{key} is missing"


def test_a_window_that_is_no_mapping_is_refused_at_its_place() -> None:
    found = parsed(NIGHT, "thu")
    assert isinstance(found, list)
    assert found[0].path == "windows[1]"
