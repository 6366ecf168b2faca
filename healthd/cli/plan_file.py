"""The document that starts a wave by a plan that was made before (`wave start --plan FILE`)."""

from collections.abc import Sequence
from typing import Any, Final

import click

from healthd.cli.files import STDIN, read_input
from healthd.cli.wave_request import WaveRefusedError, policy_pairs
from healthd.model.json_reader import InputError, load_json
from healthd.waves.plan_file import (
    FLEET,
    FiledPlan,
    fleet_in_short,
    in_short,
    read_any_plan,
    read_plan,
)
from healthd.waves.plan_json import SAFE
from healthd.waves.spec import API_VERSION

_STAGE: Final = "all"


def from_plan(
    file: str, *, playbook: str | None, reason: str | None, policy: Sequence[str]
) -> dict[str, Any]:
    """The document of the wave that a plan in a file describes; `-` is standard input.

    The daemon compares the plan with the cluster as it is, and refuses a stale one.

    Raises:
        WaveRefusedError: it cannot be read, is damaged, or no wave accepts it.
    """
    shown = "standard input" if file == STDIN else file
    try:
        document = load_json(read_input(file))
        if isinstance(document, dict) and document.get("kind") == FLEET:
            return _from_fleet_plan(document, playbook=playbook, reason=reason, policy=policy)
    except InputError as error:
        raise WaveRefusedError([f"healthd: {shown}: {error}"]) from None
    missing = [
        name for name, value in (("--playbook", playbook), ("--reason", reason)) if not value
    ]
    if missing:
        raise click.UsageError(
            f"a plan does not say what is done and why: add {', '.join(missing)}"
        )
    try:
        found = read_plan(document)
    except InputError as error:
        raise WaveRefusedError([f"healthd: {shown}: {error}"]) from None
    _require_usable(shown, found)
    return {
        "apiVersion": API_VERSION,
        "kind": "Wave",
        "name": f"{playbook}-{found.cluster}",
        "reason": reason,
        "playbook": playbook,
        "stages": [
            {
                "name": _STAGE,
                "clusters": [found.cluster],
                "brokers": list(found.taken),
                "concurrency": SAFE if found.concurrency is None else found.concurrency,
            }
        ],
        "policy": {**found.policy, **policy_pairs(policy)},
        "plan": in_short(document),
    }


def _from_fleet_plan(
    document: dict[str, Any],
    *,
    playbook: str | None,
    reason: str | None,
    policy: Sequence[str],
) -> dict[str, Any]:
    """The wave file that a plan of it holds, with what the daemon compares."""
    given = {"--playbook": playbook, "--policy": policy}
    extra = [name for name, value in given.items() if value]
    if extra:
        raise click.UsageError(f"the plan's wave file says it: leave out {', '.join(extra)}")
    read_any_plan(document)
    wave = document.get("wave")
    if not isinstance(wave, dict):
        raise InputError("wave", "must be the wave file that the plan was made of")
    said = reason or wave.get("reason")
    if not said:
        raise click.UsageError("neither the plan's wave file nor the options say why: add --reason")
    return {**wave, "reason": said, "plan": fleet_in_short(document)}


def _require_usable(shown: str, found: FiledPlan) -> None:
    problem = None
    if found.is_kcat:
        problem = (
            "no wave accepts a plan made from what kcat prints: it knows neither the controllers "
            f"nor min.insync.replicas -> healthd plan {found.cluster} -o json"
        )
    elif not found.steps:
        problem = "the plan takes nobody -> see what blocks each broker, and make another plan"
    if problem is not None:
        raise WaveRefusedError([f"healthd: {shown}: {problem}"])
