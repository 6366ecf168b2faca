"""`policies` of a fleet file: what waves keep to on all clusters with certain labels.

Later entries go over earlier ones, a cluster's own `wave.policy` over all of them, and a wave file
over that; each key by itself.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field

from healthd.config.problems import Problem
from healthd.config.schema import FileModel
from healthd.config.yaml_source import Document
from healthd.waves.policy import Location, WavePolicy, parse_policy, unmeetable

MAX_POLICIES = 1_000

Labels = Mapping[str, str]


class PolicyModel(FileModel):
    """One item of `policies`; the policy is read by `healthd.waves.policy`."""

    match: Annotated[dict[str, str], Field(min_length=1)]
    policy: Any


class LabelPolicies:
    """The policies of a fleet file, and what each cluster gets of them.

    Args:
        document: The fleet file.
        labels: The labels of every cluster, by name.
    """

    def __init__(self, document: Document, labels: Mapping[str, Labels]) -> None:
        self._document = document
        self._labels = labels
        self._entries = list(_entries(document.data))

    def problems(self) -> Iterator[Problem]:
        """What is wrong with them, whatever clusters there are."""
        for at, (match, given) in self._entries:
            parsed = parse_policy(given)
            if not isinstance(parsed, WavePolicy):
                for problem in parsed:
                    yield self._document.located(problem.under("policies", at, "policy"))
            if not any(_matches(match, labels) for labels in self._labels.values()):
                yield self._document.problem(
                    ("policies", at, "match"),
                    "matches no cluster of this file",
                    "correct the labels, or remove it",
                )

    def of(self, item: Any, location: Location) -> tuple[WavePolicy, list[Problem]]:
        """The policy of one cluster, read whether or not the rest of the cluster is right.

        Args:
            item: The cluster's plain values.
            location: Where it stands.
        """
        item = item if isinstance(item, dict) else {}
        layers: list[tuple[Location, Any]] = [
            (("policies", at, "policy"), given)
            for at, (match, given) in self._entries
            if _matches(match, item.get("labels"))
        ]
        wave = item.get("wave")
        own: Location = (*location, "wave", "policy")
        found: list[Problem] = []
        if isinstance(wave, dict) and "policy" in wave:
            layers.append((own, wave["policy"]))
            parsed = parse_policy(wave["policy"])
            if not isinstance(parsed, WavePolicy):
                found = [self._document.located(problem.under(*own)) for problem in parsed]
        policy = WavePolicy()
        for _, given in layers:
            parsed = parse_policy(given, policy)
            policy = parsed if isinstance(parsed, WavePolicy) else policy
        if not found:
            found.extend(self._unmeetable(policy, layers, location))
        return policy, found

    def _unmeetable(
        self, policy: WavePolicy, layers: list[tuple[Location, Any]], location: Location
    ) -> Iterator[Problem]:
        """What can never be met, at the place that decides it."""
        for problem in unmeetable(policy):
            key = problem.location[0]
            places = (at for at, given in reversed(layers) if isinstance(given, dict))
            has = {at for at, given in layers if isinstance(given, dict) and key in given}
            place = next((at for at in places if at in has), (*location, "wave", "policy"))
            yield self._document.located(problem.under(*place))


def _entries(data: Mapping[str, Any]) -> Iterator[tuple[int, tuple[Any, Any]]]:
    given = data.get("policies")
    for at, item in enumerate(given if isinstance(given, list) else ()):
        if isinstance(item, dict) and isinstance(item.get("match"), dict) and "policy" in item:
            yield at, (item["match"], item["policy"])


def _matches(match: Mapping[Any, Any], labels: Any) -> bool:
    """Whether a cluster has all of these labels."""
    return isinstance(labels, Mapping) and match.items() <= labels.items()
