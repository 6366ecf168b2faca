"""Durations as options: what they stand for, and how long is too long."""

import click
import pytest

from healthd.cli.durations import Duration
from healthd.cli.freeze import freeze
from healthd.cli.mute import mute
from healthd.cli.route import route
from healthd.cli.wave_override import override
from healthd.engine import freezing, muting
from healthd.serve.routes.routes import MAX_FORCE_SECONDS
from healthd.waves import overrides


def option_of(command: click.Command) -> Duration:
    (found,) = (each for each in command.params if each.name == "seconds")
    assert isinstance(found.type, Duration)
    return found.type


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("2h", 7200), ("1d", 86_400), (" 2d ", 172_800)],
)
def test_a_number_with_a_unit_is_seconds(text: str, seconds: float) -> None:
    assert Duration("2d").convert(text, None, None) == seconds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0s", "must be a number with"),
        ("2", "must be a number with"),
        ("2 h", "must be a number with"),
        ("-2h", "must be a number with"),
        ("1.5h", "must be a number with"),
        ("1" * 5000 + "s", "must be a number with"),
        ("49h", "must be at most 2d"),
        ("999999999d", "must be at most 2d"),
    ],
)
def test_anything_else_is_refused_in_the_words_of_the_option(text: str, said: str) -> None:
    with pytest.raises(click.BadParameter) as refused:
        Duration("2d").convert(text, None, None)
    assert said in str(refused.value)


def test_each_option_takes_what_the_daemon_takes() -> None:
    assert option_of(mute).longest_seconds == muting.LONGEST_SECONDS
    assert option_of(route).longest_seconds == MAX_FORCE_SECONDS
    assert option_of(freeze.commands["add"]).longest_seconds == freezing.LONGEST_SECONDS
    assert option_of(override).longest_seconds == overrides.LONGEST_SECONDS
