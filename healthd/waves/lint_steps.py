"""What looks wrong in the steps of a playbook that can be run all the same."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from healthd.waves.playbook import Step, StepKind, gives_leaders_back
from healthd.waves.playbook_parse import Reading
from healthd.waves.playbook_steps import (
    BrokerCheck,
    CommandAction,
    ConfigCheck,
    HttpAction,
    KafkaAction,
    KafkaVerb,
    RebootAction,
)
from healthd.waves.playbook_texts import names_in, texts_in
from healthd.waves.problems import Location, SpecProblem

SHORTEST: Final[Mapping[StepKind, tuple[float, str]]] = {
    StepKind.STOP: (60.0, "a controlled shutdown moves every leader first"),
    StepKind.LEFT: (30.0, "a broker that stops writes its data first"),
    StepKind.START: (30.0, "a broker takes its time to start"),
    StepKind.BACK: (60.0, "a broker catches up with what it has missed"),
    StepKind.REBOOT: (120.0, "a host takes minutes to boot"),
    StepKind.PROMPT: (60.0, "a person has to read the question"),
    StepKind.ANSIBLE: (30.0, "ansible takes longer to begin"),
}
"""Deadlines below these fail on a good day, in seconds, and why."""
_PACKAGES: Final = frozenset({"apt-get", "apt", "dnf", "yum", "zypper", "rpm", "dpkg"})
_FOR_PACKAGES: Final = 120.0
_READING: Final = frozenset({"-s", "--simulate", "check", "list", "-q", "-qa", "-l", "-L", "show"})
SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
"""Requests that change nothing where they are sent."""
_OF_THE_CLUSTER: Final = frozenset({KafkaVerb.SET_CLUSTER_CONFIG, KafkaVerb.SET_FEATURE})
_SECRET_KEY: Final = re.compile(r"(?i)password|secret|jaas|passphrase")


def step_findings(reading: Reading) -> Iterator[SpecProblem]:
    """What looks wrong in the steps that were understood."""
    seen: dict[str, int] = {}
    for at, step in enumerate(reading.steps):
        if step is None:
            continue
        before = seen.setdefault(step.name, at)
        if before != at:
            message = f"has the name of step {before + 1}, too: reports would mean either"
            yield _finding(("steps", at, "name"), message, "choose another name", "name-twice")
        yield from _unobservable(at, step)
        yield from _too_short(at, step)
        yield from _of_the_cluster(at, step)
        yield from _over_the_net(at, step)
    yield from _while_stopped(reading)
    yield from _leaders_left_away(reading)


def _unobservable(at: int, step: Step) -> Iterator[SpecProblem]:
    """What nobody could tell after a crash: whether it was done, or may be done again."""
    if step.repeatable or step.observe:
        return
    match step.action:
        case CommandAction():
            what = "whether an interrupted command was done"
        case HttpAction(method=method) if method not in SAFE_METHODS:
            what = "whether a request without an answer was done"
        case _ if step.kind is StepKind.ANSIBLE:
            what = "whether an interrupted ansible was done"
        case _:
            return
    message = f"after a crash nobody could tell {what}, and it may not be done twice"
    action = "add observe: a check that is true when it is done; or repeatable: true"
    yield _finding(("steps", at), message, action, "unobservable-step")


def _too_short(at: int, step: Step) -> Iterator[SpecProblem]:
    if isinstance(step.timeout, str):
        return
    least, why = SHORTEST.get(step.kind, (1.0, "nothing on a host is done so soon"))
    if isinstance(step.action, CommandAction) and _installs(step.action):
        least, why = _FOR_PACKAGES, "packages are fetched and unpacked"
    if step.timeout < least:
        message = f"{step.timeout:g} s is very short: {why}"
        action = f"write {least:g} or more"
        yield _finding(("steps", at, "timeoutSeconds"), message, action, "short-timeout")


def _installs(action: CommandAction) -> bool:
    programs = {word.rpartition("/")[2] for word in action.argv[:3]}
    return bool(programs & _PACKAGES) and not _READING & set(action.argv)


def _of_the_cluster(at: int, step: Step) -> Iterator[SpecProblem]:
    if not isinstance(step.action, KafkaAction):
        return
    verb = step.action.verb
    if verb in _OF_THE_CLUSTER and not step.once:
        message = f"{verb.value} is for the whole cluster, but every node would ask for it"
        if verb is KafkaVerb.SET_FEATURE:
            message += ", the first one before the others are through"
        yield _finding(("steps", at, "kafka"), message, "add once: true", "once-for-all")
    for name, value in step.action.values:
        if _SECRET_KEY.search(name) and value and "${" not in value:
            message = f"{name} is a secret in clear; its value is not shown here"
            action = "let the broker read it from a file (config.providers)"
            where: Location = ("steps", at, "kafka", verb.value, name)
            yield _finding(where, message, action, "secret-in-clear")


def _over_the_net(at: int, step: Step) -> Iterator[SpecProblem]:
    action = step.action
    is_open = isinstance(action, HttpAction) and action.http_url.startswith("http://")
    if is_open and isinstance(action, HttpAction) and action.bearer_token is not None:
        message = "the token would go over the network in clear"
        where: Location = ("steps", at, "http", "url")
        yield _finding(where, message, "write https://", "token-in-clear")


def _while_stopped(reading: Reading) -> Iterator[SpecProblem]:
    """Checks that ask a broker which the playbook has stopped."""
    kinds = reading.kinds
    if StepKind.LEFT not in kinds or StepKind.START not in kinds:
        return
    first, last = kinds.index(StepKind.LEFT), kinds.index(StepKind.START)
    is_booted = any(
        isinstance(step.action, RebootAction) for step in reading.steps if step is not None
    )
    for at, step in enumerate(reading.steps):
        if step is None or not first < at < last or is_booted:
            continue
        for key, checks in (
            ("verify", step.verify),
            ("waitFor", getattr(step.action, "until", ())),
        ):
            if any(isinstance(check, BrokerCheck | ConfigCheck) for check in checks):
                message = "waits for the broker, which is stopped here"
                action = "move the step behind 'waitFor back'"
                yield _finding(("steps", at, key), message, action, "waits-for-stopped")


def _leaders_left_away(reading: Reading) -> Iterator[SpecProblem]:
    """Leaders that are moved off a broker, and that nothing gives back."""
    for at, step in enumerate(reading.steps):
        is_away = step is not None and _verb(step) is KafkaVerb.MOVE_LEADERS_AWAY
        # What was not understood may be the step that gives them back.
        if not is_away or None in reading.kinds[at:] or gives_leaders_back(reading.kinds, at):
            continue
        message = "no later step gives the leaders back: it would fail, and move nothing"
        action = "add a step kafka: electPreferredLeaders behind 'waitFor back'"
        if StepKind.STOP not in reading.kinds:
            action = "remove it: leaders are moved away only for a stop"
        elif StepKind.ELECT_LEADERS in reading.kinds:
            action = "move it before 'service stop'"
        yield _finding(("steps", at, "kafka"), message, action, "leaders-left-away")


def _verb(step: Step) -> KafkaVerb | None:
    return step.action.verb if isinstance(step.action, KafkaAction) else None


def unused_findings(
    reading: Reading, data: Mapping[str, Any], in_templates: frozenset[str]
) -> Iterator[SpecProblem]:
    """Variables that are declared and that no step names.

    Args:
        reading: the variables.
        data: the file's content.
        in_templates: what its templates name.
    """
    used = set(in_templates)
    for _, text in texts_in(data.get("steps")):
        used.update(names_in(text))
    for step in reading.steps:
        match step.action if step is not None else None:
            case CommandAction(stdin=name) | HttpAction(bearer_token=name) if name is not None:
                used.add(name)
    if None in reading.steps or not reading.steps:
        return  # What was not understood, or stands under another key, may name it.
    for variable in reading.variables:
        if variable.name not in used:
            message = f"no step uses the variable {variable.name}"
            action = f"remove it, or write ${{{variable.name}}} where it is meant"
            where: Location = ("variables", variable.name)
            yield SpecProblem(
                location=where, message=message, action=action, code="unused-variable", is_key=True
            )


def _finding(at: Location, message: str, action: str, code: str) -> SpecProblem:
    return SpecProblem(location=at, message=message, action=action, code=code)
