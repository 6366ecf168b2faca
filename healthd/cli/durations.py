"""Durations as options: ``90s``, ``30m``, ``2h``, ``1d``."""

import re
from typing import Any, Final

import click

_FORM: Final = re.compile(r"([0-9]{1,9})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class Duration(click.ParamType[float]):
    """A number with a unit, as seconds.

    Args:
        longest: what the daemon takes at most, in the same form: it would say it in seconds.
    """

    name = "duration"

    def __init__(self, longest: str) -> None:
        self.longest = longest

    @property
    def longest_seconds(self) -> float:
        """`longest` as seconds."""
        return float(int(self.longest[:-1]) * _SECONDS[self.longest[-1]])

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The seconds that the text stands for."""
        if isinstance(value, int | float):
            return float(value)
        match = _FORM.fullmatch(str(value).strip())
        if match is None or int(match[1]) == 0:
            self.fail("must be a number with s, m, h or d behind it, such as 30m", param, ctx)
        seconds = float(int(match[1]) * _SECONDS[match[2]])
        if seconds > self.longest_seconds:
            self.fail(f"must be at most {self.longest}", param, ctx)
        return seconds
