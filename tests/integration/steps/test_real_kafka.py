"""A real Kafka 4.1 whose metadata is still that of 4.0, changed by steps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from support.kafka_cluster import KafkaCluster
from support.steps import NODE, Stage

from healthd.collect.cluster_admin import AdminError, KafkaClusterAdmin, admin_target
from healthd.config.fleet import ClusterConfig
from healthd.waves.events import Outcome, StepState
from healthd.waves.playbook_steps import (
    ConfigCheck,
    FeatureCheck,
    KafkaAction,
    KafkaVerb,
    WaitAction,
)

pytestmark = pytest.mark.xdist_group("steps-kafka")


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaCluster]:
    with KafkaCluster(format_options=("--release-version", "4.0")) as cluster:
        yield cluster


@pytest.fixture
async def stage(kafka: KafkaCluster, tmp_path: Path) -> AsyncIterator[Stage]:
    made = Stage(folder=tmp_path, config={"bootstrap_servers": (kafka.bootstrap,)})
    made.admin = KafkaClusterAdmin(lambda: admin_target(made.config))
    yield made
    await made.admin.aclose()


def kafka_step(verb: KafkaVerb, **values: str) -> KafkaAction:
    named = {name.replace("_", "."): value for name, value in values.items()}
    return KafkaAction(verb=verb, values=tuple(named.items()))


async def test_the_metadata_version_is_raised_when_all_can_do_it(stage: Stage) -> None:
    outcome, detail = await stage.run(kafka_step(KafkaVerb.SET_FEATURE, metadata_version="4.1"))
    assert (outcome, detail) == (
        Outcome.OK,
        "metadata.version was 25 (4.0-IV3) and is 27 (4.1-IV1)",
    )
    reached = FeatureCheck(feature="metadata.version", at_least="4.1-IV1")
    assert (await stage.run(WaitAction(until=(reached,))))[0] is Outcome.OK
    assert (await stage.seen(0))[0] is StepState.DONE
    outcome, detail = await stage.run(kafka_step(KafkaVerb.SET_FEATURE, metadata_version="4.2"))
    assert outcome is Outcome.FAILED
    assert "up to 27 (4.1-IV1)" in detail


async def test_dynamic_configuration_is_what_the_broker_then_says(stage: Stage) -> None:
    for verb, value in ((KafkaVerb.SET_CLUSTER_CONFIG, "2"), (KafkaVerb.SET_BROKER_CONFIG, "3")):
        outcome, detail = await stage.run(kafka_step(verb, log_cleaner_threads=value))
        assert outcome is Outcome.OK, detail
        wanted = ConfigCheck(broker_config=(("log.cleaner.threads", value),))
        outcome, detail = await stage.run(WaitAction(until=(wanted,)))
        assert outcome is Outcome.OK, detail


async def test_what_the_cluster_refuses_is_told_in_its_words(stage: Stage) -> None:
    outcome, detail = await stage.run(
        kafka_step(KafkaVerb.SET_BROKER_CONFIG, log_cleaner_threads="many")
    )
    assert outcome is Outcome.FAILED
    assert "log.cleaner.threads" in detail
    outcome, detail = await stage.run(kafka_step(KafkaVerb.SET_BROKER_CONFIG, node_id="7"))
    assert outcome is Outcome.FAILED
    assert "node.id" in detail


async def test_nobody_there_is_no_change() -> None:
    config = ClusterConfig(name="dark", bootstrap_servers=("127.0.0.1:1",))
    admin = KafkaClusterAdmin(lambda: admin_target(config))
    with pytest.raises(AdminError) as caught:
        await admin.set_configs(NODE, {"log.cleaner.threads": "1"})
    assert not caught.value.may_have_been_done
    await admin.aclose()
