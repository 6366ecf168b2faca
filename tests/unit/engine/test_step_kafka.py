"""What steps ask of a cluster, and what is said of it."""

import pytest
from support.daemon import snapshot_of_cluster

from healthd.collect.cluster_admin import AdminError, Feature
from healthd.collect.memory_admin import MemoryAdmin
from healthd.engine.step_host import StepEnds
from healthd.engine.step_kafka import KafkaSteps
from healthd.model.snapshot import ClusterSnapshot
from healthd.waves.events import Outcome, StepState
from healthd.waves.playbook_steps import ConfigCheck, FeatureCheck, KafkaAction, KafkaVerb

RAISE = KafkaAction(verb=KafkaVerb.SET_FEATURE, values=(("metadata.version", "4.1"),))
SET = KafkaAction(verb=KafkaVerb.SET_BROKER_CONFIG, values=(("log.cleaner.threads", "2"),))
SET_ALL = KafkaAction(verb=KafkaVerb.SET_CLUSTER_CONFIG, values=(("log.cleaner.threads", "3"),))
DESCRIBE = KafkaAction(verb=KafkaVerb.DESCRIBE_REPLICAS, expect_none=True)
LOST = AdminError("no answer", may_have_been_done=True)
REFUSED = AdminError("InvalidConfigurationError: no", may_have_been_done=False, is_refused=True)
AWAY = AdminError("nobody there", may_have_been_done=False)


@pytest.fixture
def admin() -> MemoryAdmin:
    return MemoryAdmin({"metadata.version": Feature(level=25, highest=27)})


def steps(admin: MemoryAdmin | None, snapshot: ClusterSnapshot | None = None) -> KafkaSteps:
    async def look() -> ClusterSnapshot | None:
        return snapshot

    return KafkaSteps(node=1, admin=admin, look=look)


async def test_a_feature_is_raised_once(admin: MemoryAdmin) -> None:
    kafka = steps(admin)
    assert (await kafka.state(RAISE))[0] is StepState.NOT_DONE
    outcome, detail = await kafka.run(RAISE)
    assert (outcome, detail) == (
        Outcome.OK,
        "metadata.version was 25 (4.0-IV3) and is 27 (4.1-IV1)",
    )
    assert (await kafka.state(RAISE))[0] is StepState.DONE
    assert (await kafka.run(RAISE))[1] == "metadata.version is 27 (4.1-IV1) already"


@pytest.mark.parametrize(
    ("name", "level", "told"),
    [
        ("metadata.version", "4.2", "supports metadata.version up to 27 (4.1-IV1), not 29"),
        ("kraft.version", "1", "the cluster has no feature kraft.version"),
    ],
)
async def test_a_feature_that_cannot_be_had_is_told(
    admin: MemoryAdmin, name: str, level: str, told: str
) -> None:
    action = KafkaAction(verb=KafkaVerb.SET_FEATURE, values=((name, level),))
    outcome, detail = await steps(admin).run(action)
    assert outcome is Outcome.FAILED
    assert told in detail
    assert admin.known["metadata.version"].level == 25


async def test_a_level_that_nobody_knows_is_refused(admin: MemoryAdmin) -> None:
    action = KafkaAction(verb=KafkaVerb.SET_FEATURE, values=(("metadata.version", "next"),))
    with pytest.raises(StepEnds, match="write its number"):
        await steps(admin).run(action)


@pytest.mark.parametrize(
    ("trouble", "outcome", "seen"),
    [
        (LOST, Outcome.UNKNOWN, StepState.DONE),
        (REFUSED, Outcome.FAILED, StepState.NOT_DONE),
        (AWAY, Outcome.NOT_SENT, StepState.NOT_DONE),
    ],
)
async def test_what_was_not_answered_is_observed(
    admin: MemoryAdmin, trouble: AdminError, outcome: Outcome, seen: StepState
) -> None:
    kafka = steps(admin)
    admin.fails = trouble
    assert await kafka.run(SET) == (outcome, trouble.detail)
    assert (await kafka.state(SET))[0] is seen


async def test_nobody_to_ask_is_unknown(admin: MemoryAdmin) -> None:
    kafka = steps(admin)
    for action in (RAISE, SET):
        admin.fails = AWAY
        assert await kafka.state(action) == (StepState.UNKNOWN, "nobody there")
    with pytest.raises(StepEnds, match="nobody here can change"):
        await steps(None).run(SET)


async def test_configuration_is_of_the_broker_or_of_all(admin: MemoryAdmin) -> None:
    kafka = steps(admin)
    await kafka.run(SET_ALL)
    assert (await kafka.state(SET_ALL))[0] is StepState.DONE
    assert (await kafka.state(SET))[1] == "broker 1 has log.cleaner.threads=3, not 2"
    await kafka.run(SET)
    assert admin.of_brokers == {1: {"log.cleaner.threads": "2"}}
    assert (await kafka.check(ConfigCheck(broker_config=SET.values))).is_true
    assert (await kafka.check(ConfigCheck(broker_config=(("no.such", "1"),)))).is_true is False
    assert (await kafka.check(FeatureCheck(feature="x", at_least="1"))).is_true is False


async def test_what_lives_on_a_broker_is_described(admin: MemoryAdmin) -> None:
    outcome, detail = await steps(admin, snapshot_of_cluster()).run(DESCRIBE)
    assert (outcome, detail) == (
        Outcome.FAILED,
        "broker 1 has 2 replicas (0 of them nowhere else) and leads 1, of 1 topics: orders",
    )
    empty = snapshot_of_cluster(topics=[])
    assert (await steps(admin, empty).run(DESCRIBE)) == (
        Outcome.OK,
        "nothing lives on broker 1",
    )
    assert (await steps(admin, empty).state(DESCRIBE))[0] is StepState.DONE
    assert (await steps(admin).run(DESCRIBE))[0] is Outcome.NOT_SENT
