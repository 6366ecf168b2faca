"""The wanted samples of a Prometheus text page, by a scan over its bytes.

A page is mostly families that nobody asked for. One compiled pattern finds the lines that begin
with a wanted name; the rest is never decoded. A line that is in any way odd (escapes, exemplars,
timestamps, unusual spacing) is given to prometheus_client's parser, which is also the oracle in the
tests: on every page the two agree.
"""

import re
from collections.abc import Iterable
from typing import Final

from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families

Labels = tuple[tuple[str, str], ...]
"""Label pairs in the order of their names."""
Sample = tuple[str, Labels]

_PLAIN_LABELS: Final = re.compile(rb'([a-zA-Z_][a-zA-Z0-9_]*)="([^"\\]*)"')
_NUMBER: Final = re.compile(
    rb"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|NaN|[+-]?Inf"
)


class PageError(ValueError):
    """A page that is no exposition text."""


class Scanner:
    """Reads the samples of some families; compiled once, used for every page."""

    def __init__(self, families: Iterable[str]) -> None:
        self.families = frozenset(families)
        names = b"|".join(re.escape(name.encode()) for name in sorted(self.families))
        # A pattern that begins with the line end is searched for several times faster than one with
        # an anchor. The name must end where labels or value begin: `a_b` is no sample of `a`.
        self._line = re.compile(rb"\n[ \t]*(" + names + rb")([ \t{][^\n]*)")

    def scan(self, page: bytes) -> dict[Sample, float]:
        """The value of every sample of the wanted families.

        Raises:
            PageError: a line of a wanted family is no sample.
        """
        found: dict[Sample, float] = {}
        for match in self._line.finditer(b"\n" + page):
            name, rest = match.groups()
            sample = _plain(name, rest)
            if sample is None:
                found.update(_odd(name + rest))
            else:
                key, value = sample
                found[key] = value
        return found


def _plain(name: bytes, rest: bytes) -> tuple[Sample, float] | None:
    """The sample of a line that has nothing but name, simple labels and value; else None."""
    text = rest.strip(b" \t\r")
    labels: Labels = ()
    if text.startswith(b"{"):
        inner, closed, text = text[1:].rpartition(b"}")
        if not closed:
            return None
        parsed = _labels(inner)
        if parsed is None:
            return None
        labels, text = parsed, text.strip(b" \t")
    if _NUMBER.fullmatch(text) is None:
        return None
    try:
        return (name.decode("ascii"), labels), float(text)
    except UnicodeDecodeError:
        return None


def _labels(inner: bytes) -> Labels | None:
    pairs: list[tuple[str, str]] = []
    at = 0
    while at < len(inner):
        match = _PLAIN_LABELS.match(inner, at)
        if match is None:
            return None
        pairs.append((match[1].decode("ascii"), match[2].decode("utf-8", "replace")))
        at = match.end()
        if at < len(inner):
            if inner[at : at + 1] != b",":
                return None
            at += 1
    if len(pairs) > 1:
        pairs.sort()
        if len({name for name, _ in pairs}) != len(pairs):
            return None
    return tuple(pairs)


def _odd(line: bytes) -> dict[Sample, float]:
    text = line.decode("utf-8", "replace").strip() + "\n"
    # An exemplar is OpenMetrics; a timestamp in milliseconds is the older text format.
    for parse, document in (
        (text_string_to_metric_families, text),
        (openmetrics_families, text + "# EOF\n"),
    ):
        try:
            return samples_of(parse(document))
        except (ValueError, KeyError, IndexError, TypeError):
            continue
    raise PageError(f"is no sample: {text.strip()[:120]}")


def samples_of(families: Iterable[object]) -> dict[Sample, float]:
    """The samples of parsed families in the form of `Scanner.scan`."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): float(sample.value)
        for family in families
        for sample in family.samples  # type: ignore[attr-defined]  # Two parsers, one duck.
    }
