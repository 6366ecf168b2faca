"""The schemas of what the steps of a playbook do and check, and of its variables."""

from collections.abc import Mapping
from typing import Any, Final

from healthd.model.words import BrokerState
from healthd.schemas.forms import (
    Schema,
    attribute_docs,
    items,
    mapping,
    reference,
    said,
    same_keys,
    text,
    whole,
    words,
)
from healthd.waves.playbook_actions import (
    ANSIBLE_KEYS,
    COMMAND_KEYS,
    HTTP_KEYS,
    KAFKA_KEYS,
    MAX_PARTITIONS,
    METHODS,
    OK_STATUSES,
    REBOOT_KEYS,
    TEMPLATE_KEYS,
    UPLOAD_KEYS,
)
from healthd.waves.playbook_checks import CHECK_KEYS, MAX_EXIT, MAX_PORT, MAX_STATUS, MIN_STATUS
from healthd.waves.playbook_steps import Changed, KafkaVerb, VariableType
from healthd.waves.playbook_texts import VARIABLE_NAME
from healthd.waves.playbook_variables import VARIABLE_KEYS

ARGV: Final[Schema] = items({"type": "string"}, minItems=1)
_NAME: Final = text(VARIABLE_NAME.pattern)
_BECOME: Final = said(
    {"type": "boolean"}, "Under sudo -n, which asks for no password.", default=False
)
_PORT: Final[Schema] = {"anyOf": [whole(1, MAX_PORT), text()]}
_VALUES: Final[Schema] = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {"type": ["string", "integer", "boolean"]},
}
_STATUS: Final = whole(MIN_STATUS, MAX_STATUS)
_SHA256: Final = said(text(), "SHA-256 of the content, in hexadecimal.")
_URL: Final = said(
    text(), "http or https, without a user or password.", examples=["http://${host}:8081/subjects"]
)
_CA: Final = said(text(), "Certificates that the server's has to come from, where healthd runs.")

_PLACE: Final[Mapping[str, Schema]] = {
    "path": said(text(), "Absolute path on the host.", examples=["/etc/kafka/server.properties"]),
    "owner": said(text(), "Who owns it; absent: who owned the file before, or who writes it."),
    "group": said(text(), "Its group; absent: as with owner."),
    "mode": said(
        text(), "Three octal digits in quotes.", default="0644", examples=["0600", "0644"]
    ),
    "backup": said(
        {"type": "boolean"}, "Keep what was there beside it, as NAME.healthd-bak.", default=True
    ),
    "become": _BECOME,
}
_EXIT_CODES: Final = items(whole(0, MAX_EXIT), minItems=1)
_FORMS: Final[Mapping[str, tuple[Mapping[str, Schema], tuple[str, ...], str]]] = {
    "Command": (
        {
            "argv": said(ARGV, "The program and its arguments; no shell reads them."),
            "shell": said(text(), "One text for /bin/sh -c. Variables in it are not quoted."),
            "become": _BECOME,
            "stdin": said(_NAME, "The variable whose value is its input; a secret, as a rule."),
            "okExitCodes": said(_EXIT_CODES, "Exit codes that are no failure.", default=[0]),
        },
        (),
        "A program on the host: argv, or shell.",
    ),
    "Upload": (
        {
            "source": said(text(), "A file beside the playbook.", examples=["files/limits.conf"]),
            "sha256": _SHA256,
            **_PLACE,
        },
        ("source", "path"),
        "A file that is put in place by one rename.",
    ),
    "Template": (
        {
            "source": said(text(), "A Jinja2 template beside the playbook."),
            "content": said(text(), "The template itself."),
            **_PLACE,
        },
        ("path",),
        "A file made from a Jinja2 template; every variable of the playbook is known in it.",
    ),
    "Reboot": (
        {
            "argv": said(ARGV, "What boots the host.", default=["systemctl", "reboot"]),
            "become": _BECOME,
        },
        (),
        "The host is booted anew; a new boot id proves it.",
    ),
    "Http": (
        {
            "method": said(words(METHODS), "The method.", default="GET"),
            "url": _URL,
            "body": said(text(), "What is sent."),
            "contentType": said(text(), "What the body is.", default="application/json"),
            "bearerToken": said(_NAME, "The variable, a secret, that is sent as the token."),
            "okStatuses": said(
                items(_STATUS, minItems=1), "Answers that are no failure.", default=[*OK_STATUSES]
            ),
            "caFile": _CA,
        },
        ("url",),
        "A request, sent from where healthd runs.",
    ),
    "Ansible": (
        {
            "playbook": said(text(), "Ansible's playbook, a file beside this one."),
            "extraVars": said(_VALUES, "Its extra variables."),
            "become": _BECOME,
        },
        ("playbook",),
        "A local ansible-playbook, limited to the one host.",
    ),
}
_KAFKA: Final[Mapping[KafkaVerb, Schema]] = {
    KafkaVerb.SET_BROKER_CONFIG: _VALUES,
    KafkaVerb.SET_CLUSTER_CONFIG: _VALUES,
    KafkaVerb.SET_FEATURE: _VALUES | {"maxProperties": 1},
    KafkaVerb.MOVE_LEADERS_AWAY: mapping(
        {"limit": said(whole(1, MAX_PARTITIONS), "Partitions at most.", default=1000)}
    ),
    KafkaVerb.DESCRIBE_REPLICAS: mapping(
        {"expectNone": said({"type": "boolean"}, "Fail when there are any.", default=False)}
    ),
}
_CHECKS: Final[Mapping[str, tuple[str, Mapping[str, Schema], tuple[str, ...], str]]] = {
    "CommandCheck": (
        "command",
        {
            "command": said(ARGV, "The program and its arguments."),
            "become": _BECOME,
            "exitCode": said(whole(0, MAX_EXIT), "The exit code that it has to have.", default=0),
            "stdoutMatches": said(text(), "A pattern (RE2) that some of its output matches."),
        },
        ("command",),
        "A command on the host ends so.",
    ),
    "PortCheck": (
        "port",
        {"port": said(_PORT, "A TCP port of the host.")},
        ("port",),
        "A port of the host accepts connections from where healthd runs.",
    ),
    "FileCheck": (
        "file",
        {
            "file": said(text(), "Absolute path on the host."),
            "exists": said({"type": "boolean"}, "Whether it has to be there.", default=True),
            "sha256": _SHA256,
            "become": _BECOME,
        },
        ("file",),
        "A file is on the host, or is not.",
    ),
    "ChangedCheck": (
        "changed",
        {"changed": said(words(Changed), "What has to be another than before.")},
        ("changed",),
        "The process, or the boot, is another than when the node was taken.",
    ),
    "BrokerCheck": (
        "brokerState",
        {
            "brokerState": said(words(BrokerState), "The state of its process."),
            "inEveryIsr": said(
                {"type": "boolean"}, "In every ISR that it belongs to.", default=False
            ),
            "version": said(text(), "Kafka's version, such as 4.1.0, as the broker tells it."),
        },
        (),
        "The latest snapshot says so of the node.",
    ),
    "HttpCheck": (
        "url",
        {
            "url": _URL,
            "status": said(_STATUS, "The status of the answer.", default=200),
            "bodyMatches": said(text(), "A pattern (RE2) that some of the body matches."),
            "caFile": _CA,
        },
        ("url",),
        "A page answers so.",
    ),
    "CertificateCheck": (
        "tlsPort",
        {
            "tlsPort": said(_PORT, "A port of the host that speaks TLS."),
            "fingerprint": said(text(), "SHA-256 of the certificate, in hexadecimal."),
        },
        ("tlsPort", "fingerprint"),
        "A port serves this certificate.",
    ),
    "ConfigCheck": (
        "brokerConfig",
        {"brokerConfig": said(_VALUES, "Names and values of the broker's configuration.")},
        ("brokerConfig",),
        "The broker itself reports these values.",
    ),
    "FeatureCheck": (
        "feature",
        {
            "feature": said(text(), "A feature's name.", examples=["metadata.version"]),
            "atLeast": said(text(), "The level, or the version that stands for it."),
        },
        ("feature", "atLeast"),
        "A feature of the cluster is finalized at a level, or a higher one.",
    ),
}
_VARIABLE: Final[Mapping[str, Schema]] = {
    "type": said(words(VariableType), "What it may be.", default="string"),
    "default": said({}, "Its value when none is given; absent: it has to be given."),
    "description": said(text(), "What it is for."),
    "pattern": said(text(), "A pattern (RE2) over the whole value."),
    "oneOf": said({"type": "array", "minItems": 1}, "The values that it may have."),
    "minimum": said({"type": "number"}, "The lowest number."),
    "maximum": said({"type": "number"}, "The highest number."),
}


def definitions() -> dict[str, Schema]:
    """Everything that the schema of playbooks refers to, by its name in `$defs`."""
    found: dict[str, Schema] = {}
    keys = {
        "Command": COMMAND_KEYS,
        "Upload": UPLOAD_KEYS,
        "Template": TEMPLATE_KEYS,
        "Reboot": REBOOT_KEYS,
        "Http": HTTP_KEYS,
        "Ansible": ANSIBLE_KEYS,
    }
    for name, (properties, required, doc) in _FORMS.items():
        same_keys(name, properties, keys[name])
        found[name] = said(mapping(properties, required=required), doc)
    for name, either in (("Command", ("argv", "shell")), ("Template", ("source", "content"))):
        found[name]["oneOf"] = [{"required": [key]} for key in either]
    found["Kafka"] = _kafka()
    told = {form for _, properties, _, _ in _CHECKS.values() for form in properties}
    same_keys("checks", told, {key for keys in CHECK_KEYS.values() for key in keys})
    for name, (form, properties, required, doc) in _CHECKS.items():
        same_keys(name, properties, CHECK_KEYS[form])
        found[name] = said(mapping(properties, required=required), doc)
    found["BrokerCheck"]["minProperties"] = 1
    one = {"anyOf": [reference(name) for name in _CHECKS]}
    found["Check"] = said(one, "Something that is true or not.")
    same_keys("a variable", _VARIABLE, VARIABLE_KEYS)
    inner = mapping(_VARIABLE)
    found["Variable"] = said({"anyOf": [inner, {"type": "null"}]}, "A value that is given.")
    return found


def _kafka() -> Schema:
    docs = attribute_docs(KafkaVerb)
    properties = {}
    for verb, schema in _KAFKA.items():
        properties[verb.value] = said(schema, docs.get(verb.name, verb.value))
        if verb in KAFKA_KEYS:
            same_keys(verb.value, schema["properties"], KAFKA_KEYS[verb])
    same_keys("kafka", properties, [verb.value for verb in KafkaVerb])
    return said(
        mapping(properties) | {"minProperties": 1, "maxProperties": 1}, "A request to the cluster."
    )


def checks() -> dict[str, Any]:
    """One check, or several that all have to be true."""
    return {"anyOf": [reference("Check"), items(reference("Check"), minItems=1)]}
