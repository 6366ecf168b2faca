"""How a rehearsal that breaks something is made small: delta debugging of its faults."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

Document = dict[str, Any]
Judge = Callable[["Case"], list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A rehearsal file, and at which of its journal writes the daemon dies, for how long."""

    document: Document
    kills: Mapping[int, float]


def kinds_of(broken: list[str]) -> set[str]:
    """What kinds of things were broken: the words without names and numbers."""
    return {"".join(mark for mark in text if not mark.isdigit())[:40] for text in broken}


def shrunk(case: Case, judge: Judge, *, tries: int = 300) -> Case:
    """A smaller case that still breaks the same kind of thing."""
    wanted = kinds_of(judge(case))
    left = tries

    def still(candidate: Case) -> bool:
        nonlocal left
        left -= 1
        return left >= 0 and bool(kinds_of(judge(candidate)) & wanted)

    case = _fewer_kills(case, still)
    case = _fewer_faults(case, still)
    for simpler in _ways(case.document):
        candidate = replace(case, document=simpler(case.document))
        if candidate != case and still(candidate):
            case = candidate
    return case


def _fewer_kills(case: Case, still: Callable[[Case], bool]) -> Case:
    for write in list(case.kills):
        rest = {at: seconds for at, seconds in case.kills.items() if at != write}
        candidate = replace(case, kills=rest)
        if still(candidate):
            case = candidate
    return case


def _fewer_faults(case: Case, still: Callable[[Case], bool]) -> Case:
    """As few faults as still do it, by ever smaller chunks."""
    faults = list(case.document["faults"])

    def of(rows: list[Document]) -> Case:
        return replace(case, document={**case.document, "faults": rows})

    chunk = max(1, len(faults) // 2)
    while faults:
        at, is_smaller = 0, False
        while at < len(faults):
            rest = faults[:at] + faults[at + chunk :]
            if still(of(rest)):
                faults, is_smaller = rest, True
            else:
                at += chunk
        if chunk == 1 and not is_smaller:
            break
        chunk = max(1, chunk // 2)
    return of(faults)


def _ways(document: Document) -> Iterator[Callable[[Document], Document]]:
    """Ways to say the same with less: policy keys, concurrency, topics."""
    for key in document["wave"]["policy"]:
        yield partial(_without_policy, key=key)
    yield lambda it: _with_wave(it, concurrency=1)
    yield lambda it: _with_wave(it, brokers="all")
    for row in document["snapshot"]["topics"]:
        yield partial(_without_topic, name=row["name"])


def _with_wave(document: Document, **changes: Any) -> Document:
    return {**document, "wave": {**document["wave"], **changes}}


def _without_policy(document: Document, key: str) -> Document:
    policy = document["wave"]["policy"]
    left = {name: value for name, value in policy.items() if name != key}
    return _with_wave(document, policy=left)


def _without_topic(document: Document, name: str) -> Document:
    snapshot = document["snapshot"]
    topics = [row for row in snapshot["topics"] if row["name"] != name]
    return {**document, "snapshot": {**snapshot, "topics": topics}}
