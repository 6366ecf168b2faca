"""Durations as options: ``90s``, ``30m``, ``2h``, ``1d``."""

import re
from typing import Any, Final

import click

_FORM: Final = re.compile(r"([0-9]{1,9})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class Duration(click.ParamType[float]):
    """A number with a unit, as seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The seconds that the text stands for."""
        if isinstance(value, int | float):
            return float(value)
        match = _FORM.fullmatch(str(value).strip())
        if match is None or int(match[1]) == 0:
            self.fail("must be a number with s, m, h or d behind it, such as 30m", param, ctx)
        return float(int(match[1]) * _SECONDS[match[2]])
