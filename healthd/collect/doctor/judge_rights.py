"""Pure: what Kafka's own answers say of our rights."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from healthd.collect.denials import DenyRule, forbidding
from healthd.collect.doctor.asking import BROKER_CONFIGS, LOG_DIRS, QUORUM, REASSIGNMENTS
from healthd.collect.doctor.evidence import Evidence, outcome_of
from healthd.collect.doctor.findings import DoctorFinding, Outcome
from healthd.collect.observation import FailureReason, Source
from healthd.collect.rights import (
    DESCRIBE_CLUSTER,
    DESCRIBE_CLUSTER_CONFIGS,
    DESCRIBE_TOPIC_CONFIGS,
    DESCRIBE_TOPICS,
    Acl,
    Operation,
    names_of,
    on_topic,
)
from healthd.health.words import Term
from healthd.model.words import EvidenceGroup

EVERYTHING: Final = (Term.PARTITIONS, Term.BROKERS, Term.CONTROLLER)
"""What Kafka itself tells: without a believable quorum its metadata does not count either."""

PROBE_OPERATIONS: Final = (
    Operation.DESCRIBE,
    Operation.READ,
    Operation.WRITE,
    Operation.CREATE,
    Operation.ALTER,
    Operation.ALTER_CONFIGS,
)
"""On the probe's own topic: to use it, to make it, and to keep it in shape."""


def rights_findings(seen: Evidence) -> Iterator[DoctorFinding]:
    """One for each request that healthd makes; none where nobody could be asked."""
    rights = seen.rights
    if rights.connection is not None:
        return
    yield _topics(seen)
    yield _topic_configs(seen)
    for name, source, acl, terms in (
        (BROKER_CONFIGS, Source.CONFIGS, DESCRIBE_CLUSTER_CONFIGS, (Term.PARTITIONS,)),
        (QUORUM, Source.QUORUM, DESCRIBE_CLUSTER, EVERYTHING),
        (REASSIGNMENTS, Source.QUORUM, DESCRIBE_CLUSTER, (Term.CONTROLLER,)),
        (LOG_DIRS, Source.LOG_DIRS, DESCRIBE_CLUSTER, (Term.STORAGE,)),
    ):
        if name in rights.requests and (name != LOG_DIRS or Source.LOG_DIRS in seen.sources):
            yield _request(seen, name, source, acl, terms)
    yield from _probe(seen)


def _topics(seen: Evidence) -> DoctorFinding:
    rights = seen.rights
    shown = f"Metadata shows {rights.topics} topic{'' if rights.topics == 1 else 's'}"
    denies = _denies(seen, DESCRIBE_TOPICS)
    found = DoctorFinding(
        source="metadata",
        subject=str(DESCRIBE_TOPICS),
        outcome=Outcome.DENIED,
        terms=(Term.PARTITIONS, Term.BROKERS),
        denies=denies,
        acls=(DESCRIBE_TOPICS,) if rights.describes_every is False else (),
    )
    if denies:
        words = names_of(str(rule) for rule in denies)
        return replace(found, detail=f"{shown}, and others are hidden: {words}.")
    if rights.describes_every is None:
        return replace(found, outcome=Outcome.UNKNOWN, detail=f"{shown}; others may be hidden.")
    if rights.describes_every:
        unseen = "" if rights.denies is not None else "; rules that hide some were not to be seen"
        return _allowed(found, f"{shown}{unseen}.")
    ages = (None if seen.snapshot is None else seen.snapshot.ages) or {}
    if ages.get(EvidenceGroup.METADATA) is not None:
        # Metadata counted, though not by this right: its topics were as many as exporters told.
        return _allowed(
            found, f"{shown}, as many as the controller counts; new ones may be hidden."
        )
    return replace(
        found,
        detail=f"{shown} and leaves out, without a word, those that healthd may not describe: "
        "metadata does not count, and the gate is closed.",
    )


def _topic_configs(seen: Evidence) -> DoctorFinding:
    rights = seen.rights
    denies = _denies(seen, DESCRIBE_TOPIC_CONFIGS)
    found = DoctorFinding(
        source="configs",
        subject=str(DESCRIBE_TOPIC_CONFIGS),
        outcome=Outcome.DENIED,
        terms=(Term.PARTITIONS,),
        denies=denies,
        acls=() if rights.configs_of_every else (DESCRIBE_TOPIC_CONFIGS,),
    )
    if rights.configs_denied or denies or (rights.configs_of_every is False and not rights.topics):
        named = names_of(rights.configs_denied)
        what = f"of topic {named} " if named else ""
        detail = f"min.insync.replicas {what}is not known: none of their brokers may be stopped."
        return replace(found, detail=detail)
    if rights.configs_of_every is None:
        return replace(found, outcome=Outcome.UNKNOWN, acls=())
    return _allowed(found, "" if rights.configs_of_every else "Those of new topics may be refused.")


def _allowed(found: DoctorFinding, detail: str) -> DoctorFinding:
    return replace(found, outcome=Outcome.ALLOWED, detail=detail, terms=(), acls=(), denies=())


def _request(
    seen: Evidence, name: str, source: Source, acl: Acl, terms: tuple[Term, ...]
) -> DoctorFinding:
    error = seen.rights.requests[name]
    if error is None:
        return DoctorFinding(source=source.value, subject=name, outcome=Outcome.ALLOWED)
    denied = error.reason is FailureReason.AUTHORIZATION
    denies = _denies(seen, acl) if denied else ()
    return DoctorFinding(
        source=source.value,
        subject=name,
        outcome=outcome_of(error.reason),
        detail=f"Needs {acl}." if denied else f"{error.detail.rstrip('.')}.",
        terms=terms,
        acls=(acl,) if denied else (),
        denies=denies,
    )


def _probe(seen: Evidence) -> Iterator[DoctorFinding]:
    topic, rights = seen.probe_topic, seen.rights
    if topic is None:
        return
    subject = f"topic {topic}"
    if rights.probe is None:
        yield DoctorFinding(
            source="probe", subject=subject, outcome=Outcome.UNKNOWN, terms=(Term.PROBE,)
        )
        return
    missing = tuple(
        on_topic(operation, topic)
        for operation in PROBE_OPERATIONS
        if operation not in rights.probe
        and not (operation is Operation.CREATE and rights.has_probe_topic)
    )
    if not missing:
        yield DoctorFinding(source="probe", subject=subject, outcome=Outcome.ALLOWED)
        return
    uses = {Operation.DESCRIBE, Operation.READ, Operation.WRITE}
    is_blind = any(acl.operation in uses for acl in missing)
    yield DoctorFinding(
        source="probe",
        subject=subject,
        outcome=Outcome.DENIED,
        detail=f"Needs {', '.join(map(str, missing))}: "
        + ("it cannot be written and read." if is_blind else "healthd cannot keep it in shape."),
        terms=(Term.PROBE,) if is_blind else (),
        acls=missing,
    )


def _denies(seen: Evidence, acl: Acl) -> tuple[DenyRule, ...]:
    return forbidding(seen.rights.denies or (), acl, seen.principal)
