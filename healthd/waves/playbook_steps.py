"""What the steps of a playbook do, and how it is known that they have done it, as data.

Texts in these values may name variables (``${version}``); they are filled in on the way to the
host, never in a shell. Every class has fields of its own: the journal tells them apart by these.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

DEFAULT_COMMAND_OUTPUT: Final = 65_536
"""Bytes that are kept of what a step prints."""


class OnFailure(StrEnum):
    """What becomes of a node whose step has failed."""

    FAIL = "fail"
    """It is brought back where it is stopped, and then counts as failed."""
    IGNORE = "ignore"
    """It is told, and the next step is done."""


class Changed(StrEnum):
    """What is another after a step than it was before the node was taken."""

    PROCESS_START = "processStart"
    BOOT_ID = "bootId"


class KafkaVerb(StrEnum):
    """What a step asks of the cluster."""

    SET_BROKER_CONFIG = "setBrokerConfig"
    """Dynamic configuration of the node itself."""
    SET_CLUSTER_CONFIG = "setClusterConfig"
    """Dynamic defaults of all brokers."""
    SET_FEATURE = "setFeature"
    """The finalized level of a feature, such as metadata.version."""
    MOVE_LEADERS_AWAY = "moveLeadersAway"
    """Leaders of the node go to another member of the ISR, as many as `limit` says."""
    DESCRIBE_REPLICAS = "describeReplicas"
    """Says what lives on the node; with `expectNone` it fails when anything does."""


# How it is known -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandCheck:
    """True when a command on the host ends with an exit code, and prints what is expected."""

    command: tuple[str, ...]
    become: bool = False
    exit_code: int = 0
    stdout_matches: str | None = None
    """A pattern (RE2) that some part of the output has to match; None: anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortCheck:
    """True when a TCP port of the host accepts connections from where healthd runs."""

    port: str
    """A number, or a variable that is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCheck:
    """True when a file is on the host (or is not), with that content."""

    file: str
    exists: bool = True
    sha256: str | None = None
    become: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedCheck:
    """True when it is not what it was when the node was taken."""

    changed: Changed


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerCheck:
    """True when the latest snapshot says so of the node."""

    broker_state: str | None = None
    """A word of the snapshot, such as ``running``."""
    in_every_isr: bool = False
    version: str | None = None
    """Of Kafka, such as ``4.1.0``; compared as far as both are known: some brokers tell ``4.1``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCheck:
    """True when a page answers with a status, and has what is expected."""

    url: str
    status: int = 200
    body_matches: str | None = None
    ca_file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateCheck:
    """True when a port of the host, asked from where healthd runs, serves a certificate."""

    tls_port: str
    fingerprint: str
    """SHA-256 of the certificate, in hexadecimal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigCheck:
    """True when the broker itself reports these values."""

    broker_config: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureCheck:
    """True when a feature of the cluster is finalized at a level (or a higher one)."""

    feature: str
    at_least: str


Check = (
    CommandCheck
    | PortCheck
    | FileCheck
    | ChangedCheck
    | BrokerCheck
    | HttpCheck
    | CertificateCheck
    | ConfigCheck
    | FeatureCheck
)


# What is done --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandAction:
    """A program with its arguments, run detached from the connection that began it."""

    argv: tuple[str, ...]
    become: bool = False
    """Under ``sudo -n``."""
    shell: bool = False
    """`argv` is one text for ``/bin/sh -c``; only where the file asks for it by this name."""
    stdin: str | None = None
    """The name of a variable (a secret, as a rule) whose value is its input."""
    ok_exit_codes: tuple[int, ...] = (0,)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePlace:
    """Where a file goes, and how it lies there."""

    path: str
    owner: str | None = None
    group: str | None = None
    mode: str = "0644"
    backup: bool = True
    """What was there before is kept beside it, with ``.healthd-bak`` behind its name."""
    become: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadAction:
    """A file from where healthd runs, as it is, put in place by one rename."""

    place: FilePlace
    source: str
    """A path, relative to the playbook's file."""
    sha256: str | None = None
    """Refused when the source is another; None: whatever it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateAction:
    """A file made from a template, put in place by one rename."""

    place: FilePlace
    template: str
    """A path, relative to the playbook's file; or the text itself with `is_inline`."""
    is_inline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RebootAction:
    """The host is booted anew; its boot id proves it."""

    reboot_argv: tuple[str, ...] = ("systemctl", "reboot")
    become: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitAction:
    """Nothing is done; the step is over when all of these are true."""

    until: tuple[Check, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaAction:
    """A request to the cluster."""

    verb: KafkaVerb
    values: tuple[tuple[str, str], ...] = ()
    """Names and values, by name: configs, or the feature and its level."""
    limit: int = 1000
    """So many partitions at most."""
    expect_none: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAction:
    """A request over HTTP, from where healthd runs."""

    method: str
    http_url: str
    body: str | None = None
    content_type: str = "application/json"
    bearer_token: str | None = None
    """The name of a variable that is a secret."""
    ok_statuses: tuple[int, ...] = (200, 201, 202, 204)
    http_ca_file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptAction:
    """A person is asked, and the node waits until somebody has confirmed."""

    question: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsibleAction:
    """A local ``ansible-playbook``, limited to the one host."""

    ansible_playbook: str
    """A path, relative to the playbook's file."""
    extra_vars: tuple[tuple[str, str], ...] = ()
    become: bool = False


Action = (
    CommandAction
    | UploadAction
    | TemplateAction
    | RebootAction
    | WaitAction
    | KafkaAction
    | HttpAction
    | PromptAction
    | AnsibleAction
)


# Variables -----------------------------------------------------------------------------------


class VariableType(StrEnum):
    """What a variable may be."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    SECRET = "secret"  # noqa: S105 - the name of a type.
    """Never a value in a file: where it is read from (file, environment, command)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A value that the playbook is given, and what it has to be."""

    name: str
    type: VariableType = VariableType.STRING
    default: str | None = None
    """As text; None: it has to be given."""
    description: str = ""
    pattern: str | None = None
    """RE2, over the whole value."""
    one_of: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None


BUILT_IN: Final = ("broker_id", "host", "cluster", "rack", "wave")
"""Variables that every playbook has."""
