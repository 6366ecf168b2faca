"""A wave as its file describes it: which playbook, on which brokers, why and how carefully.

Every key of the contract ("Wave files") is understood to the last one, and refused where it makes
no sense: an approval or a second stage that nobody acts on would be worse than none.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from healthd.waves.cron import Recurrence, parse_schedule
from healthd.waves.policy import SpecProblem, WavePolicy, describe_type, parse_policy
from healthd.waves.problems import other_kind
from healthd.waves.spec_findings import NAME, Findings
from healthd.waves.spec_stage import (
    MAX_ID,
    Approval,
    StageSpec,
    parse_brokers,
    parse_stage,
    parse_wave_values,
)
from healthd.waves.variable_values import Values

__all__ = ["MAX_ID", "NAME", "Approval", "StageSpec", "WaveSpec", "parse_brokers", "parse_wave"]

API_VERSION: Final = "healthd/v1"
KIND: Final = "Wave"
DRY_RUN_PREFIX: Final = "dry-run-"
"""How the id of every dry run begins, and the name of no wave: nobody takes one for the other."""
WAVE_NAME: Final = re.compile(rf"(?!{DRY_RUN_PREFIX}){NAME.pattern}")

WAVE_KEYS: Final = frozenset(
    {
        "apiVersion",
        "kind",
        "name",
        "reason",
        "playbook",
        "variables",
        "stages",
        "policy",
        "schedule",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveSpec:
    """A wave file that was understood to the last key."""

    name: str
    playbook: str
    """Its name."""
    stages: tuple[StageSpec, ...]
    """One after the other; never empty."""
    playbook_digest: str | None = None
    """Only a playbook with this digest is run; None: whichever has the name."""
    reason: str | None = None
    """Why it is done; `wave start` asks for it when the file does not say."""
    variables: Values = field(default_factory=lambda: MappingProxyType({}))
    """What is given to the playbook's variables in every stage."""
    policy_given: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """The policy keys that the file sets, as written and already validated."""
    schedule: Recurrence | None = None
    """When it is started by itself; only for files in `waveDir`."""

    @property
    def playbook_reference(self) -> str:
        """What finds the playbook: its name, with the digest as the file gives it."""
        digest = self.playbook_digest
        return self.playbook if digest is None else f"{self.playbook}@sha256:{digest}"

    @property
    def policy(self) -> WavePolicy:
        """The file's policy over the contract's defaults."""
        return self.policy_over(WavePolicy())

    def policy_over(self, base: WavePolicy) -> WavePolicy:
        """The file's policy over a cluster's own defaults."""
        parsed = parse_policy(self.policy_given, base)
        assert isinstance(parsed, WavePolicy), "policy_given was validated when it was parsed"
        return parsed


def parse_wave(mapping: object) -> WaveSpec | list[SpecProblem]:
    """The wave that a file's content (plain values, camelCase keys) describes, or every mistake."""
    found = Findings()
    if not isinstance(mapping, Mapping):
        found.add((), f"must be a mapping, not {describe_type(mapping)}", "see docs/configure.md")
        return found.problems
    other = other_kind(mapping, KIND)
    if other is not None:
        return [other]
    found.keys(mapping, (), WAVE_KEYS)
    _constants(mapping, found)
    name = _name(mapping, found)
    playbook = found.playbook(mapping)
    reason = found.text(mapping, "reason", (), required=False)
    variables = parse_wave_values(mapping.get("variables", {}), ("variables",), found)
    stages = _stages(mapping, found)
    schedule = None
    if "schedule" in mapping:
        schedule = parse_schedule(mapping["schedule"], ("schedule",), found)
    given = mapping.get("policy", {})
    policy = parse_policy(given)
    if isinstance(policy, list):
        found.problems.extend(problem.under("policy") for problem in policy)
    if found.problems or name is None or playbook is None:
        return found.problems
    return WaveSpec(
        name=name,
        playbook=playbook[0],
        playbook_digest=playbook[1],
        reason=reason,
        variables=MappingProxyType(variables),
        stages=stages,
        policy_given=MappingProxyType(dict(given)),
        schedule=schedule,
    )


def _name(mapping: Mapping[str, Any], found: Findings) -> str | None:
    name = found.name(mapping, "name", ())
    if name is None or WAVE_NAME.fullmatch(name):
        return name
    message = f"begins with {DRY_RUN_PREFIX}, as only the ids of dry runs do"
    found.add(("name",), message, "choose another name; --dry-run makes a dry run of any wave")
    return None


def _constants(mapping: Mapping[str, Any], found: Findings) -> None:
    for key, wanted in (("apiVersion", API_VERSION), ("kind", KIND)):
        if key not in mapping:
            found.add((), f"{key} is missing", f"add {key}: {wanted}")
        elif mapping[key] != wanted:
            found.add((key,), f"must be {wanted}", f"write {key}: {wanted}")


def _stages(mapping: Mapping[str, Any], found: Findings) -> tuple[StageSpec, ...]:
    if "stages" not in mapping:
        found.add((), "stages is missing", "add stages with one stage")
        return ()
    stages = mapping["stages"]
    if not isinstance(stages, list | tuple):
        found.add(
            ("stages",), f"must be a list, not {describe_type(stages)}", "write - {name: ...}"
        )
        return ()
    if not stages:
        found.add(("stages",), "is empty: the wave would do nothing", "add one stage")
        return ()
    read = [parse_stage(stage, ("stages", at), found) for at, stage in enumerate(stages)]
    _refuse_twice(read, found)
    return tuple(stage for stage in read if stage is not None)


def _refuse_twice(stages: list[StageSpec | None], found: Findings) -> None:
    """No two stages have one name, and no broker is named in two: it would be restarted twice."""
    names: set[str] = set()
    taken: dict[tuple[str, int], str] = {}
    for at, stage in enumerate(stages):
        if stage is None:
            continue
        if stage.name in names:
            found.add(("stages", at, "name"), "is another stage's, too", "choose another name")
        names.add(stage.name)
        for cluster in stage.clusters:
            for position, broker in enumerate(stage.brokers or ()):
                before = taken.setdefault((cluster, broker), stage.name)
                if before != stage.name:
                    found.add(
                        ("stages", at, "brokers", position),
                        f"broker {broker} of {cluster} is in stage {before} already",
                        "name every broker once",
                    )
