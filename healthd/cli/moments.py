"""Moments as options: ``2026-01-31T14:05:00Z``, or how long ago: ``2h``."""

import time
from typing import Any

import click

from healthd.model.moments import NoMoment, parse_moment


class Moment(click.ParamType[str]):
    """A moment, as the daemon reads it: how long ago counts from the daemon's own now."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text itself, once it is known to be a moment."""
        try:
            parse_moment(str(value), now=time.time())
        except NoMoment as error:
            self.fail(str(error), param, ctx)
        return str(value).strip()
