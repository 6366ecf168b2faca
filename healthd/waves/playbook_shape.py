"""The shape of a playbook that keeps a node safe.

A stop has its wait, its start and its recovery behind it, in this order, so that no playbook can
leave a broker stopped; what asks a person, or takes the host down, stands only where that is safe.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from healthd.waves.playbook import ORDER, GateNeeded, PlaybookTarget, Step, StepKind
from healthd.waves.playbook_steps import (
    BrokerCheck,
    ConfigCheck,
    KafkaAction,
    KafkaVerb,
    OnFailure,
)
from healthd.waves.problems import Location, SpecProblem

Kinds = Sequence[StepKind | None]
"""The kind of each step, None where it was not understood."""

_AFTERWARDS: Final = {
    StepKind.LEFT: "stop-without-wait",
    StepKind.START: "stop-without-start",
    StepKind.BACK: "stop-without-recovery",
}
_BROKERS_ONLY: Final = frozenset(
    {KafkaVerb.SET_BROKER_CONFIG, KafkaVerb.MOVE_LEADERS_AWAY, KafkaVerb.DESCRIBE_REPLICAS}
)


def shape_problems(
    kinds: Kinds, steps: Sequence[Step | None], gate: GateNeeded, target: PlaybookTarget
) -> list[SpecProblem]:
    """Everything that is wrong with the order of steps, and with where each of them stands.

    Args:
        kinds: the kind of each row of the file.
        steps: the steps, None where a row has mistakes of its own.
        gate: what has to be open before a node is taken.
        target: what the nodes are.
    """
    if not any(kind in ORDER for kind in kinds):
        found = [*_beside(kinds)]
    else:
        found = [*_order(kinds)]
        if not found:
            found += _between(kinds, steps)
        if gate is GateNeeded.PERMISSION and StepKind.STOP in kinds:
            message = "permission alone is not enough for a playbook that stops the service"
            found.append(_problem(("gate",), message, "write gate: full, or remove gate"))
    for at, step in enumerate(steps):
        if step is not None:
            found += _options(at, step)
            if target is PlaybookTarget.ZOOKEEPER:
                found += _not_for_zookeeper(at, step)
    return found


def _order(kinds: Kinds) -> Iterator[SpecProblem]:
    """What is missing, twice or in disorder among the four."""
    places = {kind: [at for at, each in enumerate(kinds) if each is kind] for kind in ORDER}
    for kind, found in places.items():
        for at in found[1:]:
            yield _problem(("steps", at), f"'{kind}' stands twice", "remove one of them")
    if None in kinds:
        return  # What was not understood may be what seems to be missing.
    stops = places[StepKind.STOP]
    if not stops:
        first = min(at for found in places.values() for at in found)
        message = f"'{kinds[first]}' without a stop before it"
        yield _problem(("steps", first), message, _FOUR, code="start-without-stop")
        return
    missing = [kind for kind in ORDER if not places[kind]]
    for kind in missing:
        message = f"'{kind}' is missing behind the stop: the node would not be brought back"
        action = f"add the step '{kind}'"
        yield _problem(("steps", stops[0]), message, action, code=_AFTERWARDS[kind])
    if missing or any(len(found) > 1 for found in places.values()):
        return
    where = [places[kind][0] for kind in ORDER]
    for needed, at, before in zip(ORDER[1:], where[1:], where, strict=False):
        if at < before:
            message = f"'{needed}' stands before what has to come before it"
            yield _problem(("steps", at), message, _FOUR)


_FOUR: Final = "a stop is followed by its wait, the start, and the wait until it is back"


def _between(kinds: Kinds, steps: Sequence[Step | None]) -> Iterator[SpecProblem]:
    """What stands at a wrong place around the four, which are in order."""
    if any(kind not in kinds for kind in ORDER):
        return
    stop, left, start, back = (kinds.index(kind) for kind in ORDER)
    for at, kind in enumerate(kinds):
        if kind is None or kind in ORDER:
            continue
        is_between = left < at < start
        if stop < at < left or start < at < back:
            message = f"'{kind}' stands between a request and its wait"
            action = "move it behind 'waitFor left', or behind 'waitFor back'"
            yield _problem(("steps", at), message, action)
        elif kind is StepKind.ELECT_LEADERS and at < back:
            message = f"'{kind}' stands before the node is back"
            yield _problem(("steps", at), message, "move it behind 'waitFor back'")
        elif kind is StepKind.PROMPT and is_between:
            message = "a person would be waited for while the node is stopped"
            yield _problem(("steps", at), message, "ask before the stop, or after 'waitFor back'")
        elif kind is StepKind.REBOOT and not is_between:
            message = "the host would be booted anew under a running service"
            action = "move it between 'waitFor left' and 'service start'"
            yield _problem(("steps", at), message, action, code="reboot-while-running")
        step = steps[at]
        if step is not None and step.once and at < back:
            message = "is done by one node only, but stands before every node's 'waitFor back'"
            yield _problem(("steps", at, "once"), message, "move the step behind 'waitFor back'")
    yield from _twice(kinds, StepKind.ELECT_LEADERS)


def _beside(kinds: Kinds) -> Iterator[SpecProblem]:
    """What a playbook cannot do that never stops the service."""
    for at, kind in enumerate(kinds):
        if kind is StepKind.REBOOT and None not in kinds:
            message = "the host would be booted anew under a running service"
            action = "stop the service before it: 'service stop', 'waitFor left'"
            yield _problem(("steps", at), message, action, code="reboot-while-running")
        elif kind is StepKind.ELECT_LEADERS and None not in kinds:
            message = f"'{kind}' without a restart before it: there is nothing to give back"
            yield _problem(("steps", at), message, "remove it")


def _twice(kinds: Kinds, kind: StepKind) -> Iterator[SpecProblem]:
    for at in [at for at, each in enumerate(kinds) if each is kind][1:]:
        yield _problem(("steps", at), f"'{kind}' stands twice", "remove one of them")


def _options(at: int, step: Step) -> Iterator[SpecProblem]:
    """Options that make no sense for what a step does."""
    given = {
        "onlyIf": bool(step.only_if),
        "observe": bool(step.observe),
        "verify": bool(step.verify),
        "repeatable": step.repeatable,
        "tries": step.tries > 1,
        "onFailure": step.on_failure is not OnFailure.FAIL,
        "once": step.once,
    }
    for key in _SENSELESS.get(step.kind, ()):
        if given[key]:
            message = f"is not used with '{step.kind}'"
            yield _problem(("steps", at, key), message, f"remove {key}", is_key=True)
    if given["tries"] and not step.repeatable and "tries" not in _SENSELESS.get(step.kind, ()):
        message = "needs repeatable: what may not be done twice is tried once"
        action = "add repeatable: true when doing it twice is as good as once, or remove tries"
        yield _problem(("steps", at, "tries"), message, action, is_key=True)


_ALL: Final = ("onlyIf", "observe", "verify", "repeatable", "tries", "onFailure", "once")
_SENSELESS: Final = {
    StepKind.STOP: _ALL,
    StepKind.LEFT: _ALL,
    StepKind.START: _ALL,
    StepKind.BACK: _ALL,
    StepKind.ELECT_LEADERS: _ALL,
    StepKind.PROMPT: ("onlyIf", "observe", "verify", "repeatable", "tries", "onFailure"),
    StepKind.WAIT: ("observe", "verify", "repeatable", "tries"),
    StepKind.REBOOT: ("observe", "repeatable", "tries", "once"),
}


def _not_for_zookeeper(at: int, step: Step) -> Iterator[SpecProblem]:
    is_asking = step.kind is StepKind.ELECT_LEADERS or (
        isinstance(step.action, KafkaAction) and step.action.verb in _BROKERS_ONLY
    )
    if is_asking:
        message = "is about a broker; the nodes of this playbook are ZooKeeper servers"
        yield _problem(("steps", at, "kafka"), message, "remove the step")
    for key, checks in (
        ("onlyIf", step.only_if),
        ("observe", step.observe),
        ("verify", step.verify),
        ("waitFor", getattr(step.action, "until", ())),
    ):
        if any(isinstance(check, BrokerCheck | ConfigCheck) for check in checks):
            message = "asks for a broker; the nodes of this playbook are ZooKeeper servers"
            yield _problem(("steps", at, key), message, "ask by a port or a command")


def _problem(
    location: Location, message: str, action: str, *, code: str = "", is_key: bool = False
) -> SpecProblem:
    return SpecProblem(location=location, message=message, action=action, code=code, is_key=is_key)
