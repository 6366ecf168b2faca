"""The schema of rehearsals, whose keys may be null everywhere: that counts as absent."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from healthd.rehearsal.document import (
    API_VERSION,
    KIND,
    MODEL_KEYS,
    REHEARSAL_KEYS,
    REHEARSED_WAVE_KEYS,
)
from healthd.rehearsal.document_faults import DETAIL_READERS, FAULT_KEYS
from healthd.rehearsal.faults import SHAPES, FaultKind, Need, Shape
from healthd.rehearsal.nodes import Timing
from healthd.rehearsal.rehearsal import UNTIL
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
from healthd.schemas.waves import BROKERS, concurrency, values_schema
from healthd.waves.state import NodeStatus

_LARGEST: Final = 2**63 - 1
_NULL: Final[Schema] = {"type": "null"}
_TOP: Final[Mapping[str, Schema]] = {
    "apiVersion": said(constant(API_VERSION), "The version of the file's form."),
    "kind": said(constant(KIND), "What the file is."),
    "seed": said(whole(-_LARGEST, _LARGEST), "The same seed gives the same course.", default=0),
    "snapshot": said(
        {"anyOf": [text(), {"type": "object"}]},
        "What healthd snapshot prints, or the file that it is in, relative to this one.",
        examples=["cluster.json"],
    ),
    "wave": said(reference("RehearsedWave"), "What is rehearsed."),
    "model": said(reference("Model"), "How fast the cluster of the model is."),
    "faults": said(items(reference("Fault")), "What goes wrong, or is ordered."),
    "until": said(number(above=0), "Seconds of virtual time after which it ends.", default=UNTIL),
}
_WAVE: Final[Mapping[str, Schema]] = {
    "playbook": said(text(), "The playbook's name.", examples=["rolling-restart"]),
    "brokers": said(BROKERS, "all, or a list of ids of the snapshot.", default="all"),
    "concurrency": said(
        concurrency(),
        "Brokers that may be down together, or safe for as many as the assignment proves.",
        default=1,
    ),
    "policy": said(reference("Policy"), "The wave's policy."),
    "variables": said(values_schema(), "What is given to the playbook's variables."),
}
_MODEL_WORDS: Final[Mapping[str, str]] = {
    "stopSeconds": "Seconds that a stop takes.",
    "startSeconds": "Seconds that a start takes.",
    "catchUpSeconds": "Seconds until a started broker is in every ISR again.",
    "collectSeconds": "Seconds between two snapshots.",
    "sessionTimeoutSeconds": "Seconds until the controller misses a dead broker.",
    "replicaLagSeconds": "Seconds until a replica that lags leaves the ISR.",
}
_FAULT: Final[Mapping[str, Schema]] = {
    "fault": said(words(FaultKind), "What goes wrong, or what an operator orders."),
    "at": said(number(low=0), "Seconds of virtual time; this or when."),
    "when": said(
        mapping(
            {
                "broker": said({"type": "integer"}, "The broker's id."),
                "state": said(words(NodeStatus), "The state that it enters."),
            },
            required=("broker", "state"),
        ),
        "The first entry of a broker into a state.",
        examples=[{"broker": 3, "state": "stopped"}],
    ),
    "for": said(number(low=0), "Seconds that it lasts; absent: for good."),
    "broker": said({"type": "integer"}, "The broker that it happens to."),
}
_DETAILS: Final[Mapping[str, Schema]] = {
    "factor": said(number(above=0), "How many times as long it takes."),
    "seconds": said(number(), "How long it takes, or how far a clock jumps."),
    "downFor": said(number(low=0), "Seconds until the daemon is started again."),
    "to": said({"type": "integer"}, "The next active controller."),
    "topic": said(text(), "A topic of the snapshot."),
    "name": said(text(), "The new topic's name."),
    "partition": said(whole(0), "The partition's number."),
    "minInsyncReplicas": said(whole(1), "The new topic's min.insync.replicas."),
    "replicas": said(_nodes := items({"type": "integer"}, minItems=1, uniqueItems=True), "Ids."),
    "adding": said(_nodes, "The brokers that get a replica, too."),
}


def rehearsal_schema() -> Schema:
    """A rehearsal."""
    same_keys("a rehearsal", _TOP, REHEARSAL_KEYS)
    same_keys("a rehearsal's wave", _WAVE, REHEARSED_WAVE_KEYS)
    same_keys("a rehearsal's model", _MODEL_WORDS, MODEL_KEYS)
    usual = Timing()
    model = {
        key: said(
            number(above=0) if name == "collect" else number(low=0),
            _MODEL_WORDS[key],
            default=getattr(usual, name),
        )
        for key, name in MODEL_KEYS.items()
    }
    top = _nullable(_TOP, required=("apiVersion", "kind", "snapshot", "wave"))
    return said(top, "A wave in virtual time, and the faults that it meets.") | {
        "$defs": {
            "Fault": _fault_schema(),
            "Model": said(_nullable(model), "How fast the cluster of the model is."),
            "Policy": policy_schema(),
            "RehearsedWave": said(_nullable(_WAVE, required=("playbook",)), "What is rehearsed."),
            "Window": window_schema(),
        }
    }


def _fault_schema() -> Schema:
    same_keys("a fault", _FAULT, [*FAULT_KEYS, "broker"])
    same_keys("a fault's details", _DETAILS, DETAIL_READERS)
    fault = _nullable({**_FAULT, **_DETAILS}, required=("fault",))
    fault["oneOf"] = [
        {"required": [key], "properties": {key: {"type": kind}}}
        for key, kind in (("at", "number"), ("when", "object"))
    ]
    kinds: dict[tuple[object, ...], list[FaultKind]] = {}
    for kind, shape in SHAPES.items():
        kinds.setdefault((shape.broker, shape.required, shape.optional), []).append(kind)
    fault["allOf"] = [
        {
            "if": {"required": ["fault"], "properties": {"fault": words(same)}},
            "then": _of_shape(SHAPES[same[0]]),
        }
        for same in kinds.values()
    ]
    return said(fault, "One thing that goes wrong, or that an operator orders.")


def _of_shape(shape: Shape) -> dict[str, Any]:
    required = [*shape.required, *(["broker"] if shape.broker is Need.REQUIRED else [])]
    known = {*shape.required, *shape.optional}
    if shape.broker is not Need.NONE:
        known.add("broker")
    others = {key: _NULL for key in ("broker", *_DETAILS) if key not in known}
    return {**({"required": required} if required else {}), "properties": others}


def _nullable(properties: Mapping[str, Schema], *, required: Iterable[str] = ()) -> Schema:
    """A mapping whose keys may be null, which is as good as absent, an unknown key's too."""
    needed = set(required)
    loose: dict[str, Schema] = {}
    for key, schema in properties.items():
        if key in needed:
            loose[key] = schema
            continue
        annotations: Schema = {
            name: schema[name] for name in ("description", "default", "examples") if name in schema
        }
        form = {name: value for name, value in schema.items() if name not in annotations}
        loose[key] = {**annotations, "anyOf": [form, _NULL]}
    return {**mapping(loose, required=required), "additionalProperties": _NULL}
