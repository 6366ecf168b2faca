"""The schema of wave files, which are read by a hand-written reader."""

from collections.abc import Mapping
from typing import Final

from healthd.schemas.forms import (
    Schema,
    constant,
    items,
    mapping,
    number,
    reference,
    said,
    same_keys,
    text,
    whole,
    words,
)
from healthd.schemas.policy import policy_schema, window_schema
from healthd.waves.cron import KEYS as SCHEDULE_KEYS
from healthd.waves.playbook import API_VERSION
from healthd.waves.spec import MAX_ID, NAME, WAVE_KEYS, WAVE_NAME, Approval
from healthd.waves.spec_findings import PLAYBOOK
from healthd.waves.spec_stage import STAGE_KEYS

BROKERS: Final[Schema] = {
    "anyOf": [constant("all"), items(whole(0, MAX_ID), minItems=1, uniqueItems=True)]
}


def concurrency(high: int | None = None) -> Schema:
    """A number of brokers, or as many as is safe."""
    return {"anyOf": [whole(1, high), constant("safe")]}


def values_schema(*, may_run: bool = False) -> Schema:
    """Values for variables: plain ones, and where secrets are."""
    sources = ("file", "env")
    places: list[Schema] = [
        mapping({key: said(text(), f"Where the secret is ({key}).")}, required=(key,))
        for key in sources
    ]
    if may_run:
        argv = items({"type": "string"}, minItems=1)
        program = said(argv, "A program that prints the secret, where healthd runs.")
        places.append(mapping({"command": program}, required=("command",)))
    value: Schema = {"anyOf": [{"type": ["string", "number", "boolean"]}, *places]}
    return {"type": "object", "additionalProperties": value}


_STAGE: Final[Mapping[str, Schema]] = {
    "name": said(text(NAME.pattern), "Another one for each stage.", examples=["canary"]),
    "clusters": said(
        items(text(), minItems=1, uniqueItems=True),
        "Names of clusters; this or match.",
        examples=[["payments"]],
    ),
    "match": said(
        {"type": "object", "minProperties": 1, "additionalProperties": text()},
        "Labels instead of names: every cluster of the fleet file that has all of them.",
        examples=[{"env": "prod"}],
    ),
    "brokers": said(
        BROKERS,
        "all (every node, pure controllers too), or ids that every cluster of the stage has.",
        default="all",
    ),
    "concurrency": said(
        concurrency(MAX_ID),
        "Brokers of one cluster that may be down together: a number, or safe for as many as the "
        "assignment proves.",
        default=1,
    ),
    "clustersAtOnce": said(
        whole(1, MAX_ID), "Clusters of the stage that are in work at once.", default=1
    ),
    "approval": said(
        words(Approval),
        "required: somebody has to approve the stage before it begins; two-person: somebody else "
        "than who started the wave.",
    ),
    "soakSeconds": said(
        number(low=0),
        "Seconds after the stage in which its clusters have to be well before the next begins.",
        default=0,
    ),
    "variables": said(values_schema(), "Goes over the wave's variables in this stage."),
}
_SCHEDULE: Final[Mapping[str, Schema]] = {
    "cron": said(
        text(),
        "Five fields: minute, hour, day, month, day of the week. Days of the month and of the "
        "week cannot both be named.",
        examples=["0 22 * * thu"],
    ),
    "timezone": said(text(), "A name of the IANA database.", examples=["Europe/Berlin"]),
}
_WAVE: Final[Mapping[str, Schema]] = {
    "apiVersion": said(constant(API_VERSION), "The version of the file's form."),
    "kind": said(constant("Wave"), "What the file is."),
    "name": said(text(WAVE_NAME.pattern), "The wave's name.", examples=["june-kernel"]),
    "reason": said(
        text(), "Why it is done; may be given to wave start instead.", examples=["CHG-1234 kernel"]
    ),
    "playbook": said(
        text(PLAYBOOK.pattern),
        "The name of the playbook that is run; with @sha256:DIGEST only exactly that one.",
        examples=["rolling-restart"],
    ),
    "variables": said(
        values_schema(),
        "What is given to the playbook's variables; a secret is {file: PATH} or {env: NAME}.",
        examples=[{"version": "4.1.0", "password": {"file": "/etc/healthd/keystore.password"}}],
    ),
    "stages": said(items(reference("Stage"), minItems=1), "One after the other."),
    "policy": said(reference("Policy"), "Goes over the policy of each cluster, key by key."),
    "schedule": said(
        reference("Schedule"), "When the wave recurs; counts only in files of the folder waveDir."
    ),
}


def wave_schema() -> Schema:
    """A wave file."""
    same_keys("a wave", _WAVE, WAVE_KEYS)
    same_keys("a stage", _STAGE, STAGE_KEYS)
    same_keys("a schedule", _SCHEDULE, SCHEDULE_KEYS)
    stage = mapping(_STAGE, required=("name",))
    stage["oneOf"] = [{"required": ["clusters"]}, {"required": ["match"]}]
    schedule = mapping(_SCHEDULE, required=("cron", "timezone"))
    top = mapping(_WAVE, required=("apiVersion", "kind", "name", "playbook", "stages"))
    return said(top, "One run of a playbook over brokers.") | {
        "$defs": {
            "Policy": policy_schema(),
            "Schedule": said(schedule, "When a wave recurs."),
            "Stage": said(
                stage, "Which brokers of which clusters, how many at once, who approves."
            ),
            "Window": window_schema(),
        }
    }
