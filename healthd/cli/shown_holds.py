"""Which of many holds a person is shown: none of the causes is lost among a thousand partitions."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from healthd.cli.terminal import LINES_SHOWN

MOST_BESIDE_OTHERS: Final = 3
"""Of the holds of one code so many are named when there are other codes: the cause must be seen."""


def shown_holds(
    holds: list[dict[str, Any]],
) -> Iterator[tuple[str, list[dict[str, Any]], int]]:
    """Each code with those of its holds that a person is shown, and how many more there are.

    No code is left out: a broker that dies holds for a thousand partitions, and the window that is
    closed besides must be seen too.
    """
    by_code: dict[str, list[dict[str, Any]]] = {}
    for hold in holds:
        by_code.setdefault(hold["code"], []).append(hold)
    most = LINES_SHOWN if len(by_code) == 1 else MOST_BESIDE_OTHERS
    for code, same in by_code.items():
        yield code, same[:most], len(same[most:])


def new_holds(
    before: Iterable[dict[str, Any]], now: Iterable[dict[str, Any]]
) -> Iterator[tuple[str, list[dict[str, Any]], int]]:
    """As `shown_holds`, of those that were not there before."""
    known = {(hold["code"], hold["object"]) for hold in before}
    return shown_holds([hold for hold in now if (hold["code"], hold["object"]) not in known])
