"""Samples straight into the lines of Prometheus's text format, cluster by cluster.

The library makes an object of each sample and looks at each label of each line again; at a hundred
clusters that is a fifth of a second a scrape. Here a sample is a line at once, and the lines of a
cluster are kept as long as nothing newer was published of it. The names are all plain, so that one
line is the same in both formats and in each escaping; the library still chooses the format and
makes the headers, and is the oracle in the tests.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest as as_text
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as as_openmetrics
from prometheus_client.utils import floatToGoString

from healthd.engine.view import ClusterView
from healthd.serve.cluster_metrics import add_cluster
from healthd.serve.metric_names import METRICS, Families, MetricSpec, family_of

END: Final = b"# EOF\n"
"""The last line of OpenMetrics; the older format has none."""

_number: Final[Callable[[float], str]] = floatToGoString
_SPECS: Final = {spec.name: spec for spec in METRICS}


def _form(spec: MetricSpec, suffix: str = "", *further: str) -> Callable[..., str]:
    """A function from label values to the line up to the value; labels are in order of names."""
    names = (*spec.labels, *further)
    order = sorted(range(len(names)), key=names.__getitem__)
    inner = ",".join(f'{names[at]}="{{{at}}}"' for at in order)
    form = f"{spec.name}{suffix}" + (f"{{{{{inner}}}}} " if inner else " ")
    return form.format


_FORMS: Final = {spec.name: _form(spec) for spec in METRICS}


class Lines(Families):
    """Families whose samples are lines."""

    def __init__(self) -> None:  # It has no families of the library's.
        self._lines: dict[str, list[str]] = {}

    def add(self, name: str, value: float, *labels: str) -> None:
        """See `Families.add`."""
        start = _FORMS[name](*map(_escaped, labels))
        self._lines.setdefault(name, []).append(f"{start}{_number(value)}\n")

    def add_histogram(
        self, name: str, buckets: list[tuple[str, float]], total: float, *labels: str
    ) -> None:
        """See `Families.add_histogram`."""
        spec = _SPECS[name]
        known = tuple(map(_escaped, labels))
        bucket = _form(spec, "_bucket", "le")
        count, sum_of = _form(spec, "_count"), _form(spec, "_sum")
        lines = self._lines.setdefault(name, [])
        lines += [f"{bucket(*known, bound)}{_number(n)}\n" for bound, n in buckets]
        lines.append(f"{count(*known)}{_number(buckets[-1][1])}\n")
        lines.append(f"{sum_of(*known)}{_number(total)}\n")

    def __iter__(self) -> Iterator[Metric]:
        raise NotImplementedError("lines are no families of the library's")

    def texts(self) -> Mapping[str, str]:
        """The lines of each family that has any."""
        return {name: "".join(lines) for name, lines in self._lines.items()}


class ClusterTexts:
    """The lines of every cluster, made again when something newer was published of it."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[ClusterView, Mapping[str, str]]] = {}

    def of(self, clusters: Mapping[str, ClusterView]) -> list[Mapping[str, str]]:
        """The lines of these clusters by family; those of others are forgotten."""
        before = self._kept
        found: dict[str, tuple[ClusterView, Mapping[str, str]]] = {}
        for name, view in clusters.items():
            kept = before.get(name)
            if kept is None or kept[0] is not view:
                lines = Lines()
                add_cluster(lines, name, view)
                kept = (view, lines.texts())
            found[name] = kept
        # Scrapes may run side by side: each puts a whole mapping here.
        self._kept = found
        return [texts for _, texts in found.values()]


def page_of(parts: Iterable[Mapping[str, str]], *, openmetrics: bool) -> bytes:
    """The page of all families in the order of the table, without an end line."""
    all_parts = list(parts)
    rows: list[str] = []
    for spec in METRICS:
        rows.append(_header(spec.name, openmetrics=openmetrics))
        rows += [text for part in all_parts if (text := part.get(spec.name)) is not None]
    return "".join(rows).encode()


@cache
def _header(name: str, *, openmetrics: bool) -> str:
    """What the library writes for a family without samples."""
    registry = CollectorRegistry()
    registry.register(_OneFamily(family_of(_SPECS[name])))
    encode: Callable[[CollectorRegistry], bytes] = as_openmetrics if openmetrics else as_text
    text = encode(registry)
    return text.removesuffix(END).decode()


class _OneFamily:
    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> list[Metric]:
        return [self._family]


def _escaped(value: str) -> str:
    if "\\" in value or "\n" in value or '"' in value:
        return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return value
