"""A rehearsal from its document: every mistake is found, and names what it is about.

A typo must not rehearse a calm day: an unknown fault, field, state, policy or node id is refused.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from healthd.model.json_reader import InputError
from healthd.model.parse import snapshot_of
from healthd.model.snapshot import ClusterSnapshot
from healthd.rehearsal.document_faults import parse_faults
from healthd.rehearsal.document_numbers import a_number
from healthd.rehearsal.ensemble import as_quorum, has_ensemble
from healthd.rehearsal.nodes import Timing
from healthd.rehearsal.rehearsal import UNTIL, Rehearsal
from healthd.waves.playbook import Playbook, PlaybookTarget
from healthd.waves.policy import WavePolicy, parse_policy
from healthd.waves.problems import Location, SpecProblem, describe_type
from healthd.waves.spec import parse_brokers
from healthd.waves.spec_findings import Findings
from healthd.waves.spec_stage import parse_wave_values
from healthd.waves.variable_values import Layer, Values, given_problems

API_VERSION: Final = "healthd/v1"
KIND: Final = "Rehearsal"
SAFE: Final = "safe"

REHEARSAL_KEYS: Final = (
    "apiVersion",
    "kind",
    "seed",
    "snapshot",
    "wave",
    "model",
    "faults",
    "until",
)
REHEARSED_WAVE_KEYS: Final = ("playbook", "brokers", "concurrency", "policy", "variables")
MODEL_KEYS: Final[Mapping[str, str]] = {
    "stopSeconds": "stop",
    "startSeconds": "start",
    "catchUpSeconds": "catch_up",
    "collectSeconds": "collect",
    "sessionTimeoutSeconds": "session_timeout",
    "replicaLagSeconds": "replica_lag",
}
_LARGEST: Final = 2**63 - 1

ReadSnapshot = Callable[[str], ClusterSnapshot]
"""The snapshot in the file of a name; raises `InputError`."""
FindPlaybook = Callable[[str], Playbook]
"""The playbook of a name; raises `LookupError` with what there is, or `ValueError`."""


def parse_rehearsal(
    document: object, *, read_snapshot: ReadSnapshot, find_playbook: FindPlaybook
) -> Rehearsal | list[SpecProblem]:
    """The rehearsal that a document describes, or every mistake in it."""
    found = Findings()
    if not isinstance(document, Mapping):
        found.add((), f"must be a mapping, not {describe_type(document)}", "write key: value lines")
        return found.problems
    given = {key: value for key, value in document.items() if value is not None}
    found.keys(given, (), REHEARSAL_KEYS)
    _constants(given, found)
    snapshot = _snapshot(given, found, read_snapshot)
    wave = _wave(given, found, snapshot)
    playbook = _playbook(wave, found, find_playbook)
    if playbook is not None and playbook.target is PlaybookTarget.ZOOKEEPER:
        snapshot, playbook = _over_ensemble(snapshot, playbook, found)
    policy = _policy(wave, found)
    chosen = _brokers(wave, found, snapshot)
    concurrency = _concurrency(wave, found)
    variables = _variables(wave, found, playbook)
    model = _model(given, found)
    seed = _seed(given, found)
    until = _until(given, found)
    faults = parse_faults(given.get("faults", []), found, snapshot)
    if found.problems or snapshot is None or playbook is None or policy is None:
        return found.problems
    return Rehearsal(
        snapshot=snapshot,
        playbook=playbook,
        brokers=chosen,
        concurrency=concurrency,
        policy=policy,
        variables=variables,
        model=model,
        faults=faults,
        seed=seed,
        until=until,
    )


def _constants(given: Mapping[str, Any], found: Findings) -> None:
    for key, wanted in (("apiVersion", API_VERSION), ("kind", KIND)):
        if key not in given:
            found.add((), f"{key} is missing", f"add {key}: {wanted}")
        elif given[key] != wanted:
            found.add((key,), f"must be {wanted}", f"write {key}: {wanted}")


def _snapshot(
    given: Mapping[str, Any], found: Findings, read_snapshot: ReadSnapshot
) -> ClusterSnapshot | None:
    if "snapshot" not in given:
        found.add((), "snapshot is missing", "add a path or an inline ClusterSnapshot")
        return None
    value = given["snapshot"]
    try:
        if isinstance(value, Mapping):
            return snapshot_of(dict(value), "snapshot")
        if isinstance(value, str) and value:
            return read_snapshot(value)
    except InputError as error:
        if isinstance(value, str):
            found.add(("snapshot",), f"{value}: {error}", "name a file that is a ClusterSnapshot")
        else:
            found.add(location_of(error.path), error.problem, "see `healthd snapshot`")
        return None
    message = f"must be a path or a ClusterSnapshot, not {describe_type(value)}"
    found.add(("snapshot",), message, "write what `healthd snapshot` prints, or where it is")
    return None


def location_of(path: str) -> Location:
    """A path such as ``topics[0].name`` in its parts."""
    parts: list[str | int] = []
    for name, at in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
        parts.append(int(at) if at else name)
    return tuple(parts)


def _wave(
    given: Mapping[str, Any], found: Findings, snapshot: ClusterSnapshot | None
) -> Mapping[str, Any]:
    del snapshot
    if "wave" not in given:
        found.add((), "wave is missing", "add wave: {playbook: rolling-restart}")
        return {}
    value = given["wave"]
    if not isinstance(value, Mapping):
        message = f"must be a mapping, not {describe_type(value)}"
        found.add(("wave",), message, "write {playbook: rolling-restart}")
        return {}
    wave = {key: item for key, item in value.items() if item is not None}
    found.keys(wave, ("wave",), REHEARSED_WAVE_KEYS)
    found.text(wave, "playbook", ("wave",))
    return wave


def _playbook(
    wave: Mapping[str, Any], found: Findings, find_playbook: FindPlaybook
) -> Playbook | None:
    name = wave.get("playbook")
    if not isinstance(name, str) or not name.strip():
        return None
    try:
        return find_playbook(name)
    except LookupError as error:
        found.add(("wave", "playbook"), str(error.args[0]), "name one of them")
    except ValueError as error:
        found.add(("wave", "playbook"), str(error), "correct the playbook")
    return None


def _over_ensemble(
    snapshot: ClusterSnapshot | None, playbook: Playbook, found: Findings
) -> tuple[ClusterSnapshot | None, Playbook]:
    if snapshot is None:
        return None, playbook
    if not has_ensemble(snapshot):
        message = f"says nothing of a ZooKeeper ensemble, and {playbook.name} is for its servers"
        found.add(("snapshot",), message, "take one with extra.zookeeper, or another playbook")
        return None, playbook
    return as_quorum(snapshot, playbook)


def _variables(wave: Mapping[str, Any], found: Findings, playbook: Playbook | None) -> Values:
    """What is given to the playbook's variables.

    What is missing is no mistake: the fleet file may give it, and a model needs no value.
    """
    at: Location = ("wave", "variables")
    values = parse_wave_values(wave.get("variables", {}), at, found)
    if playbook is None:
        return values
    layer = Layer(where="the rehearsal", values=values, is_for_one=True)
    for problem in given_problems(playbook.variables, layer):
        found.add((*at, problem.variable), problem.message, problem.action)
    return values


def _policy(wave: Mapping[str, Any], found: Findings) -> WavePolicy | None:
    parsed = parse_policy(wave.get("policy", {}))
    if isinstance(parsed, WavePolicy):
        return parsed
    found.problems.extend(problem.under("wave", "policy") for problem in parsed)
    return None


def _brokers(
    wave: Mapping[str, Any], found: Findings, snapshot: ClusterSnapshot | None
) -> tuple[int, ...] | None:
    at: Location = ("wave", "brokers")
    chosen = parse_brokers(
        wave.get("brokers", "all"),
        lambda message, action, *where: found.add((*at, *where), message, action),
    )
    if snapshot is None:
        return chosen
    known = snapshot.brokers_by_id
    if not known:
        found.add(("snapshot", "brokers"), "names no broker", "rehearse on a cluster that has some")
    for position, broker in enumerate(chosen or ()):
        if broker not in known:
            message = f"node {broker} is not in the snapshot"
            found.add((*at, position), message, f"it has {', '.join(map(str, sorted(known)))}")
    return chosen


def _concurrency(wave: Mapping[str, Any], found: Findings) -> int | None:
    value = wave.get("concurrency", 1)
    if value == SAFE:
        return None
    if type(value) is int and value >= 1:
        return value
    found.add(("wave", "concurrency"), "must be a whole number from 1, or safe", "write 1")
    return None


def _model(given: Mapping[str, Any], found: Findings) -> Timing:
    value = given.get("model", {})
    if not isinstance(value, Mapping):
        message = f"must be a mapping, not {describe_type(value)}"
        found.add(("model",), message, "write {startSeconds: 15}")
        return Timing()
    rows = {key: item for key, item in value.items() if item is not None}
    found.keys(rows, ("model",), MODEL_KEYS)
    times: dict[str, float] = {}
    for key, name in MODEL_KEYS.items():
        if key in rows:
            number = a_number(rows[key], ("model", key), found, is_above_zero=name == "collect")
            times[name] = 0.0 if number is None else number
    return Timing(**times) if not found.problems else Timing()


def _seed(given: Mapping[str, Any], found: Findings) -> int:
    value = given.get("seed", 0)
    if type(value) is int and abs(value) <= _LARGEST:
        return value
    found.add(("seed",), f"must be a whole number, not {describe_type(value)}", "write 0")
    return 0


def _until(given: Mapping[str, Any], found: Findings) -> float:
    number = a_number(given.get("until", UNTIL), ("until",), found, is_above_zero=True)
    return UNTIL if number is None else number
