"""The schema of playbooks, which are read by hand-written readers."""

from collections.abc import Mapping
from typing import Any, Final

from healthd.schemas.forms import (
    Schema,
    attribute_docs,
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
from healthd.schemas.playbook_steps import ARGV, checks, definitions
from healthd.waves.playbook import (
    ACTION_KEYS,
    API_VERSION,
    OPTION_KEYS,
    ORDER,
    PLAYBOOK_KEYS,
    POLICY_TIMEOUTS,
    STEP_KEYS,
    STEP_VERBS,
    GateNeeded,
    PlaybookTarget,
    Step,
)
from healthd.waves.playbook_parse import MAX_SECONDS, MAX_STEPS, MAX_TRIES
from healthd.waves.playbook_steps import OnFailure
from healthd.waves.spec import NAME

_PLAYBOOK: Final[Mapping[str, Schema]] = {
    "apiVersion": said(constant(API_VERSION), "The version of the file's form."),
    "kind": said(constant("Playbook"), "What the file is."),
    "name": said(
        text(NAME.pattern), "The playbook's name, as waves name it.", examples=["rolling-restart"]
    ),
    "description": said({"type": "string"}, "One sentence that says what it does.", default=""),
    "target": said(
        words(PlaybookTarget),
        "What the nodes are: brokers and controllers, or the servers of the ZooKeeper ensemble.",
        default="broker",
    ),
    "gate": said(
        words(GateNeeded),
        "What has to be open before a node is taken; permission leaves out the cluster's health "
        "and is only for playbooks that never stop the service.",
        default="full",
    ),
    "variables": said(
        {"type": "object", "additionalProperties": reference("Variable")},
        "The values that it is given, by name.",
        examples=[{"version": {"type": "string", "pattern": "[0-9.]+"}}],
    ),
    "steps": said(
        items(reference("Step"), minItems=1, maxItems=MAX_STEPS),
        "What is done to one node, in this order. A stop is followed by the wait until its "
        "process has left, the start, and the wait until it is back.",
    ),
}
_ACTIONS: Final[Mapping[str, Schema]] = {
    "service": said(words(STEP_VERBS["service"]), "An order to the node's service."),
    "waitFor": said(
        {"anyOf": [words(STEP_VERBS["waitFor"]), *checks()["anyOf"]]},
        "Waits until the node's process has left, until it is back in every ISR, or until "
        "checks are true.",
    ),
    "kafka": said(
        {"anyOf": [words(STEP_VERBS["kafka"]), reference("Kafka")]}, "A request to the cluster."
    ),
    "command": said(
        {"anyOf": [ARGV, reference("Command")]},
        "A program and its arguments, run on the host; no shell reads them.",
        examples=[["apt-get", "--yes", "install", "tzdata"]],
    ),
    "upload": said(reference("Upload"), "A file of ours is put in place."),
    "template": said(reference("Template"), "A file is made and put in place."),
    "reboot": said(reference("Reboot"), "The host is booted anew; only while it is stopped."),
    "http": said(reference("Http"), "A request over HTTP."),
    "prompt": said(text(), "A person is asked, and the node waits; never while it is stopped."),
    "ansible": said(reference("Ansible"), "A local ansible-playbook for the one host."),
}
_OPTIONS: Final[Mapping[str, Schema]] = {
    "onlyIf": checks(),
    "observe": checks(),
    "verify": checks(),
    "repeatable": {"type": "boolean", "default": False},
    "tries": whole(1, MAX_TRIES) | {"default": 1},
    "onFailure": words(OnFailure) | {"default": "fail"},
    "once": {"type": "boolean", "default": False},
}
_OPTION_FIELDS: Final = {
    "onlyIf": "only_if",
    "onFailure": "on_failure",
}
_STEP: Final[Mapping[str, Schema]] = {
    "name": said(text(), "What it does, in words.", examples=["stop the service"]),
    "timeoutSeconds": said(
        {"anyOf": [number(above=0) | {"maximum": MAX_SECONDS}, words(POLICY_TIMEOUTS)]},
        "Seconds that the step may take, or the key of the policy that says them.",
        examples=[30, "policy.stopTimeoutSeconds"],
    ),
}


def playbook_schema() -> Schema:
    """A playbook; the finer order of its steps is left to `playbook lint`."""
    same_keys("a playbook", _PLAYBOOK, PLAYBOOK_KEYS)
    same_keys("what a step does", _ACTIONS, ACTION_KEYS)
    same_keys("a step's options", _OPTIONS, OPTION_KEYS)
    docs = attribute_docs(Step)
    words_of = {
        "onFailure": "fail: the node is brought back, then counts as failed; ignore: it is told.",
    }
    options = {
        key: said(schema, words_of.get(key) or docs[_OPTION_FIELDS.get(key, key)])
        for key, schema in _OPTIONS.items()
    }
    properties = {**_STEP, **_ACTIONS, **options}
    same_keys("a step", properties, STEP_KEYS)
    step = mapping(properties, required=("name", "timeoutSeconds"))
    step["oneOf"] = [{"required": [key]} for key in ACTION_KEYS]
    top = mapping(_PLAYBOOK, required=("apiVersion", "kind", "name", "steps"))
    # Who has one of the four has them all.
    four: dict[str, Any] = {"allOf": [{"contains": _does(kind)} for kind in ORDER]}
    top["properties"]["steps"] = _PLAYBOOK["steps"] | {
        "allOf": [{"if": {"contains": _does(kind)}, "then": four} for kind in ORDER],
    }
    definition = said(step, "One step: exactly one thing, and its deadline.")
    return said(top, "What is done to one node, as ordered steps.") | {
        "$defs": {**definitions(), "Step": definition}
    }


def _does(kind: str) -> dict[str, Any]:
    verb, word = kind.split(" ")
    return {"type": "object", "required": [verb], "properties": {verb: {"const": word}}}
