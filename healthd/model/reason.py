"""A reason: why something may not be done, with the object that it is about."""

from collections.abc import Iterable
from dataclasses import dataclass

from healthd.model.codes import ReasonCode, reason_order
from healthd.model.order import natural_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One blocker or hold."""

    code: ReasonCode
    object: str
    """What it is about: ``orders-0``, ``broker:1``, ``node:1``, ``cluster:payments``, ..."""
    detail: str
    """One sentence with the numbers that led to it."""

    def __hash__(self) -> int:
        # Texts remember theirs; the code would tell few reasons apart that these do not.
        return hash((self.object, self.detail))

    def as_json(self) -> dict[str, str]:
        """The public form of contract.md."""
        return {"code": self.code.value, "object": self.object, "detail": self.detail}


def in_order(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """The reasons by code (order of the enum) and then by object in natural order."""
    by_code: dict[ReasonCode, list[Reason]] = {}
    for reason in reasons:
        by_code.setdefault(reason.code, []).append(reason)
    ordered: list[Reason] = []
    for code in sorted(by_code, key=reason_order):
        ordered += sorted(by_code[code], key=lambda reason: natural_key(reason.object))
    return tuple(ordered)


def joined(first: tuple[Reason, ...], more: Iterable[Reason]) -> tuple[Reason, ...]:
    """All of them in the order given, without doubles.

    Args:
        first: Reasons without doubles; there may be thousands, of few codes.
        more: Others, of which hardly any has the code of one of these.
    """
    others = dict.fromkeys(more)
    codes = {each.code for each in others}
    known = {each for each in first if each.code in codes}
    return (*first, *(each for each in others if each not in known))
