"""The document that starts a wave by a plan that was made before (`wave start --plan FILE`)."""

from collections.abc import Sequence
from typing import Any, Final

import click

from healthd.cli.files import STDIN, read_input
from healthd.cli.wave_request import WaveRefusedError, policy_pairs
from healthd.model.json_reader import InputError, load_json
from healthd.waves.plan_file import FiledPlan, in_short, read_plan
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
    missing = [
        name for name, value in (("--playbook", playbook), ("--reason", reason)) if not value
    ]
    if missing:
        raise click.UsageError(
            f"a plan does not say what is done and why: add {', '.join(missing)}"
        )
    try:
        document = load_json(read_input(file))
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
