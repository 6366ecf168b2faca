"""What a Prometheus server is asked, and what its answers say. Pure.

A sample counts with the time at which it was scraped: a server that answers now may answer with
values of five minutes ago. So each query asks for values and for their `timestamp()` at once.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from healthd.collect.dialects import (
    JVM_STARTS,
    MEANINGS,
    PROCESS_START,
    SCRAPE_ERROR,
    VERSIONS,
    Signal,
)
from healthd.collect.observation import FailureReason, Origin
from healthd.collect.page import PageProblem
from healthd.collect.scan import Sample

UP: Final = "up"
"""What Prometheus itself says of a target: 1 when its last scrape worked."""

_SUBJECTS: Final[Mapping[Signal, str]] = {
    Signal.STATE: "state",
    Signal.IDLE_COUNT: "idle",
    Signal.IDLE_ONE_MINUTE: "idle",
    Signal.IDLE_MEAN: "idle",
    Signal.OWN_IDLE_COUNT: "idle",
    Signal.OWN_IDLE_ONE_MINUTE: "idle",
    Signal.OWN_IDLE_MEAN: "idle",
    Signal.OFFLINE_LOG_DIRS: "log directories",
    Signal.REMAINING_LOGS: "log directories",
    Signal.MAX_LAG: "replica lag",
    Signal.UNCLEAN_ELECTIONS: "unclean elections",
    Signal.ISR_SHRINKS: "ISR changes",
    Signal.ISR_EXPANDS: "ISR changes",
    Signal.ACTIVE_CONTROLLERS: "controllers",
    Signal.GLOBAL_TOPICS: "controllers",
    Signal.GLOBAL_PARTITIONS: "controllers",
}


def _families_by_subject() -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for family, meanings in MEANINGS.items():
        # One family may tell of several things by a label; it is asked for once.
        found.setdefault(_SUBJECTS[meanings[0].attribute.signal], []).append(family)
    return {
        **{subject: tuple(sorted(families)) for subject, families in sorted(found.items())},
        "version": VERSIONS,
        "start": (*JVM_STARTS, PROCESS_START),
        "exporter": (SCRAPE_ERROR,),
    }


QUERIES: Final[Mapping[str, tuple[str, ...]]] = _families_by_subject()
"""The families that one query asks for, by what they tell; in every dialect at once."""

WORDS_SHOWN: Final = 200
"""Characters of a foreign message that are repeated."""

_KIND: Final = "healthd_sample"
"""The label that tells times from values; no target has it."""

_MAX_ALTERNATIVES: Final = 200
"""A query has each instance fifty times, once for each name of a value. A longer list costs more
than it saves: then more is answered than is wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The newest sample of one series."""

    labels: Mapping[str, str]
    """With `__name__`."""
    value: float
    at: float
    """When it was scraped, in seconds of Unix time on the server's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one query gave."""

    series: tuple[Series, ...] = ()
    evaluated_at: float | None = None
    """The server's time of the query; None: there is nothing in the answer to tell it."""
    warnings: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Target:
    """One target of the server, with the samples of its page."""

    labels: Mapping[str, str]
    """What Prometheus adds to every sample of the page."""
    is_up: bool
    at: float
    """When it was scraped last, well or not."""
    samples: dict[Sample, float] = field(default_factory=dict)
    """As on the page: without the target's labels."""
    oldest: float = math.inf
    """When the oldest of the samples was scraped."""

    @property
    def name(self) -> str:
        """Job and instance, for people."""
        return f"{self.labels.get('job', '?')} {self.labels.get('instance', '?')}"


def query_of(names: Sequence[str], matchers: Mapping[str, Sequence[str]]) -> str:
    """The values of some metrics, and when each was scraped, in one query.

    Args:
        names: The metrics.
        matchers: What a label may be, by label.
    """
    inner = "".join(f",{label}=~{_alternatives(values)}" for label, values in matchers.items())
    values = f"{{__name__=~{_alternatives(names)}{inner}}}"
    # timestamp() takes the name away: of one name after the other, or two would be one.
    times = " or ".join(f"timestamp({name}{{{inner.removeprefix(',')}}})" for name in names)
    return f'{values} or label_replace({times}, "{_KIND}", "time", "", "")'


def matchers_of(
    wanted: Sequence[Mapping[str, str]], instances: Sequence[str] | None
) -> dict[str, tuple[str, ...]]:
    """Matchers that take in every cluster, and as little else as possible.

    Args:
        wanted: The labels of each cluster's targets.
        instances: All their instances; None: some clusters are not known by them.
    """
    common = set.intersection(*(set(labels) for labels in wanted)) if wanted else set()
    found = {label: tuple(sorted({labels[label] for labels in wanted})) for label in sorted(common)}
    if not found and instances is not None and len(instances) <= _MAX_ALTERNATIVES:
        return {"instance": tuple(sorted(set(instances)))}
    return found


def answer_of(body: bytes) -> Answer:
    """What the API's JSON says.

    Raises:
        PageProblem: it is an error, or no answer of this API.
    """
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise _not_prometheus("something that is no JSON") from None
    if isinstance(data, dict) and data.get("status") == "error":
        raise PageProblem(
            FailureReason.QUERY_FAILED,
            f"refused the query: {shown(data.get('errorType'))}: {shown(data.get('error'))}",
            Origin.OURS,
        )
    result = data.get("data") if isinstance(data, dict) else None
    if not isinstance(result, dict) or result.get("resultType") != "vector":
        raise _not_prometheus("JSON that is not of this API")
    try:
        values, times, evaluated_at = _split(result["result"])
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        raise _not_prometheus("JSON that is not of this API") from None
    return Answer(
        series=tuple(_dated(values, times)),
        evaluated_at=evaluated_at,
        warnings=tuple(shown(warning) for warning in data.get("warnings") or ()),
    )


def targets_of(up: Answer) -> tuple[Target, ...]:
    """The targets that the server knows, still without samples."""
    return tuple(
        Target(
            labels={key: value for key, value in series.labels.items() if key != "__name__"},
            is_up=series.value == 1,
            at=series.at,
        )
        for series in up.series
    )


def give_samples(targets: Iterable[Target], answer: Answer) -> None:
    """Put each sample of an answer to the target whose page it is of; others are left out."""
    by_name: dict[tuple[str | None, str | None], list[Target]] = {}
    for target in targets:
        key = target.labels.get("job"), target.labels.get("instance")
        by_name.setdefault(key, []).append(target)
    for series in answer.series:
        labels = series.labels
        of_name = by_name.get((labels.get("job"), labels.get("instance")), ())
        # All labels of the target are on all of its samples; a page may add more, and so may the
        # names of two replicas of one Prometheus.
        fitting = [target for target in of_name if target.labels.items() <= labels.items()]
        if len(fitting) == 1:
            target = fitting[0]
            target.samples[_on_the_page(labels, target.labels)] = series.value
            target.oldest = min(target.oldest, series.at)


def shown(text: object) -> str:
    """Foreign words on one line, not too many of them."""
    words = " ".join(str(text).split())
    return words if len(words) <= WORDS_SHOWN else f"{words[:WORDS_SHOWN]}..."


def _on_the_page(labels: Mapping[str, str], added: Mapping[str, str]) -> Sample:
    pairs = []
    for key, value in labels.items():
        if key == "__name__" or key in added:
            continue
        # A label of the page that the target has too was renamed by Prometheus.
        original = key.removeprefix("exported_")
        pairs.append((original if original in added else key, value))
    return labels["__name__"], tuple(sorted(pairs))


Parsed = tuple[dict[str, str], float]


def _split(result: list[Any]) -> tuple[list[Parsed], list[Parsed], float | None]:
    values: list[Parsed] = []
    times: list[Parsed] = []
    evaluated_at = None
    for one in result:
        if "value" not in one:
            continue  # A native histogram: nothing that is asked for is one.
        labels = dict(one["metric"])
        evaluated_at = float(one["value"][0])
        found = times if labels.pop(_KIND, None) is not None else values
        found.append((labels, float(one["value"][1])))
    return values, times, evaluated_at


def _dated(values: list[Parsed], times: list[Parsed]) -> Iterator[Series]:
    at = {frozenset(labels.items()): value for labels, value in times}
    for labels, value in values:
        plain = frozenset((key, text) for key, text in labels.items() if key != "__name__")
        time = at.get(plain)
        # Without its time a value may be of any age: it does not count.
        if time is not None and "__name__" in labels and math.isfinite(time):
            yield Series(labels=labels, value=value, at=time)


def _alternatives(values: Sequence[str]) -> str:
    return _quoted("|".join(_literal(value) for value in values))


def _literal(text: str) -> str:
    """A regular expression of RE2 that fits this text only."""
    return "".join(f"\\{char}" if char in r"\.+*?()|[]{}^$" else char for char in text)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _not_prometheus(what: str) -> PageProblem:
    return PageProblem(
        FailureReason.NOT_METRICS,
        f"answered with {what}: is url that of a Prometheus server?",
        Origin.OURS,
    )
