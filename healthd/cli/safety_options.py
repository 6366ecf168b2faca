"""Options of every command that asks what may be stopped, and their values."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from healthd.model.json_reader import LARGEST_ID

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

ALL: Final = "all"


class BrokerIds(click.ParamType[tuple[int, ...]]):
    """Ids as people write them: ``1,2``; the value is sorted and names none twice."""

    name = "ids"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """The ids; anything else is a usage error."""
        words = [word.strip() for word in str(value).split(",")]
        # int() would also take "1_0", "+1" and the digits of every script.
        if not all(word.isascii() and word.isdigit() for word in words):
            self.fail(f"{value!r} is no list of broker ids like 1,2", param, ctx)
        if any(len(word) > len(str(LARGEST_ID)) or int(word) > LARGEST_ID for word in words):
            self.fail(f"a broker id is at most {LARGEST_ID}", param, ctx)
        return tuple(sorted(set(map(int, words))))


class AllOrIds(click.ParamType[tuple[int, ...] | None]):
    """``all``, whose value is None, or ids as `BrokerIds` reads them."""

    name = "all|ids"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...] | None:
        """The ids, or None for everybody; anything else is a usage error."""
        if str(value).strip() == ALL:
            return None
        return BrokerIds().convert(value, param, ctx)


def acknowledging(command: CommandT) -> CommandT:
    """The options of `Acknowledgements`, by the names of its fields."""
    for option in (
        click.option(
            "--assume-min-isr",
            type=click.IntRange(min=1),
            help="min.insync.replicas of topics where it is unknown.",
        ),
        click.option(
            "--allow-quorum-without-spare",
            is_flag=True,
            help="A quorum of one or two voters may be lost meanwhile.",
        ),
        click.option(
            "--allow-rf-le-min-isr",
            multiple=True,
            metavar="PATTERN",
            help="Topics with RF <= min.insync.replicas that may lose one replica. Repeatable.",
        ),
        click.option(
            "--allow-rf-one",
            multiple=True,
            metavar="PATTERN",
            help="Topics whose only replica may go away. Repeatable.",
        ),
        click.option(
            "--margin",
            type=click.IntRange(min=0),
            default=0,
            show_default=True,
            help="Replicas in sync to be left above min.insync.replicas, where RF allows it.",
        ),
    ):
        command = option(command)
    return command
