"""What a step of a playbook asks of the cluster itself, and what is true of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from healthd.collect.cluster_admin import AdminError, ClusterAdmin
from healthd.engine.step_checks import Finding
from healthd.engine.step_host import StepEnds
from healthd.model.snapshot import ClusterSnapshot
from healthd.waves.events import Outcome, StepState
from healthd.waves.feature_levels import level_of, words_of
from healthd.waves.playbook import Playbook
from healthd.waves.playbook_steps import ConfigCheck, FeatureCheck, KafkaAction, KafkaVerb

_NAMED: Final = 10
"""So many topics are named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSteps:
    """Changes one cluster for one node, and asks it."""

    node: int
    admin: ClusterAdmin | None
    """None: nobody here may change the cluster."""
    look: Callable[[], Awaitable[ClusterSnapshot | None]]

    async def run(self, action: KafkaAction) -> tuple[Outcome, str]:
        """Do what the step says, once."""
        try:
            match action.verb:
                case KafkaVerb.SET_BROKER_CONFIG:
                    return await self._set(action, self.node)
                case KafkaVerb.SET_CLUSTER_CONFIG:
                    return await self._set(action, None)
                case KafkaVerb.SET_FEATURE:
                    return await self._raise(action)
                case KafkaVerb.DESCRIBE_REPLICAS:
                    return await self._describe(action)
                case KafkaVerb.MOVE_LEADERS_AWAY:
                    return Outcome.FAILED, "leaders are moved by somebody else"
        except AdminError as error:
            return _outcome(error), error.detail

    async def state(self, action: KafkaAction) -> tuple[StepState, str]:
        """What is true of what the step should have brought about."""
        match action.verb:
            case KafkaVerb.SET_FEATURE:
                name, text = action.values[0]
                return _state(await self.feature(FeatureCheck(feature=name, at_least=text)))
            case KafkaVerb.SET_BROKER_CONFIG | KafkaVerb.SET_CLUSTER_CONFIG:
                return _state(await self.config(ConfigCheck(broker_config=action.values)))
            case KafkaVerb.MOVE_LEADERS_AWAY:
                # Done again it only moves what is left: the first lists are the ones kept.
                return StepState.NOT_DONE, "what is left is moved"
            case _:
                outcome, detail = await self.run(action)
                states = {Outcome.OK: StepState.DONE, Outcome.FAILED: StepState.FAILED}
                return states.get(outcome, StepState.UNKNOWN), detail

    async def check(self, check: ConfigCheck | FeatureCheck) -> Finding:
        """Whether a check is true."""
        if isinstance(check, ConfigCheck):
            return await self.config(check)
        return await self.feature(check)

    async def config(self, check: ConfigCheck) -> Finding:
        """Whether the broker itself says that it uses these values."""
        wanted = dict(check.broker_config)
        try:
            found = await self._admin.configs(self.node, tuple(wanted))
        except AdminError as error:
            return Finding(is_true=None, detail=error.detail)
        for name, value in wanted.items():
            if name not in found:
                return Finding(is_true=False, detail=f"broker {self.node} has no config {name}")
            if found[name] is None:
                detail = f"broker {self.node} tells nobody its {name}"
                return Finding(is_true=None, detail=detail)
            if found[name] != value:
                detail = f"broker {self.node} has {name}={found[name]}, not {value}"
                return Finding(is_true=False, detail=detail)
        return Finding(is_true=True, detail=f"broker {self.node} has these configs")

    async def feature(self, check: FeatureCheck) -> Finding:
        """Whether the cluster has finalized a feature at a level, or a higher one."""
        wanted = _level(check.feature, check.at_least)
        try:
            found = await self._admin.features()
        except AdminError as error:
            return Finding(is_true=None, detail=error.detail)
        level = found[check.feature].level if check.feature in found else 0
        told = f"{check.feature} is {words_of(check.feature, level)}"
        if level >= wanted:
            return Finding(is_true=True, detail=told)
        return Finding(is_true=False, detail=f"{told}, not {words_of(check.feature, wanted)}")

    @property
    def _admin(self) -> ClusterAdmin:
        if self.admin is None:
            raise StepEnds(Outcome.FAILED, "nobody here can change the cluster")
        return self.admin

    async def _set(self, action: KafkaAction, node: int | None) -> tuple[Outcome, str]:
        values = dict(action.values)
        await self._admin.set_configs(node, values)
        whose = "all brokers" if node is None else f"broker {node}"
        said = ", ".join(f"{name}={value}" for name, value in values.items())
        return Outcome.OK, f"{whose}: {said}"

    async def _raise(self, action: KafkaAction) -> tuple[Outcome, str]:
        name, text = action.values[0]
        wanted = _level(name, text)
        features = await self._admin.features()
        if name not in features:
            return Outcome.FAILED, f"the cluster has no feature {name}"
        if features[name].level >= wanted:
            return Outcome.OK, f"{name} is {words_of(name, features[name].level)} already"
        if features[name].highest < wanted:
            highest = words_of(name, features[name].highest)
            detail = f"a broker supports {name} up to {highest}, not {words_of(name, wanted)}"
            return Outcome.FAILED, detail
        await self._admin.set_feature(name, wanted)
        before, after = words_of(name, features[name].level), words_of(name, wanted)
        return Outcome.OK, f"{name} was {before} and is {after}"

    async def _describe(self, action: KafkaAction) -> tuple[Outcome, str]:
        snapshot = await self.look()
        if snapshot is None:
            return Outcome.NOT_SENT, "the cluster could not be looked at"
        detail, count = what_lives_on(snapshot, self.node)
        return (Outcome.FAILED if count and action.expect_none else Outcome.OK), detail


def moves_leaders(playbook: Playbook) -> bool:
    """Whether some step moves leaders away, which an election then gives back."""
    verbs = (getattr(step.action, "verb", None) for step in playbook.steps)
    return KafkaVerb.MOVE_LEADERS_AWAY in verbs


def what_lives_on(snapshot: ClusterSnapshot, node: int) -> tuple[str, int]:
    """Which replicas and leaders a node has, in words, and how many replicas."""
    replicas = leaders = alone = 0
    topics: list[str] = []
    for topic in snapshot.topics:
        own = [at for at, row in enumerate(topic.replicas) if node in row]
        if not own:
            continue
        topics.append(topic.name)
        replicas += len(own)
        leaders += sum(topic.leaders[at] == node for at in own)
        alone += sum(len(topic.replicas[at]) == 1 for at in own)
    if not replicas:
        return f"nothing lives on broker {node}", 0
    named = ", ".join(sorted(topics)[:_NAMED])
    more = f" and {len(topics) - _NAMED} more" if len(topics) > _NAMED else ""
    detail = (
        f"broker {node} has {replicas} replicas ({alone} of them nowhere else) and leads "
        f"{leaders}, of {len(topics)} topics: {named}{more}"
    )
    return detail, replicas


def _level(feature: str, text: str) -> int:
    level = level_of(feature, text)
    if level is None:
        detail = f"{text} is no level of {feature} that is known here: write its number"
        raise StepEnds(Outcome.FAILED, detail)
    return level


def _outcome(error: AdminError) -> Outcome:
    if error.may_have_been_done:
        return Outcome.UNKNOWN
    return Outcome.FAILED if error.is_refused else Outcome.NOT_SENT


def _state(finding: Finding) -> tuple[StepState, str]:
    if finding.is_true is None:
        return StepState.UNKNOWN, finding.detail
    return (StepState.DONE if finding.is_true else StepState.NOT_DONE), finding.detail
