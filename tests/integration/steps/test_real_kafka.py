"""A real Kafka 4.1 whose metadata is still that of 4.0, changed by steps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from support.kafka_cluster import KafkaCluster
from support.steps import NODE, Stage

from healthd.collect.cluster_admin import AdminError, KafkaClusterAdmin, admin_target
from healthd.collect.direct import snapshot_of_bootstrap
from healthd.config.fleet import ClusterConfig
from healthd.engine.step_leaders import LeaderMoves
from healthd.execute.detached import Detached
from healthd.execute.leaders import KafkaLeaderElector
from healthd.model.snapshot import ClusterSnapshot
from healthd.waves.events import Outcome, StepState
from healthd.waves.playbook_steps import (
    ConfigCheck,
    FeatureCheck,
    KafkaAction,
    KafkaVerb,
    WaitAction,
)

pytestmark = [pytest.mark.prove, pytest.mark.xdist_group("steps-kafka")]


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaCluster]:
    with KafkaCluster(2, format_options=("--release-version", "4.0")) as cluster:
        yield cluster


@pytest.fixture
async def stage(kafka: KafkaCluster, tmp_path: Path) -> AsyncIterator[Stage]:
    made = Stage(folder=tmp_path, config={"bootstrap_servers": tuple(kafka.bootstrap.split(","))})
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


async def test_leaders_are_moved_away_and_back_without_copying_anything(
    stage: Stage, kafka: KafkaCluster
) -> None:
    client = AdminClient({"bootstrap.servers": kafka.bootstrap})
    client.create_topics([NewTopic("moved", 3, replica_assignment=[[1, 2], [2, 1], [1, 2]])])[
        "moved"
    ].result(30)

    async def look() -> ClusterSnapshot | None:
        return await snapshot_of_bootstrap(kafka.bootstrap, name="payments")

    async def rows() -> tuple[tuple[int, ...], ...]:
        topics = (await look()).topics  # type: ignore[union-attr]
        return next(topic.replicas for topic in topics if topic.name == "moved")

    assert stage.admin is not None
    elector = KafkaLeaderElector(lambda: {"bootstrap.servers": kafka.bootstrap})
    moves = LeaderMoves(
        wave=stage.wave,
        node=NODE,
        admin=stage.admin,
        elector=elector,
        detached=Detached(executor=stage.executor, folder=str(stage.folder)),
        target=stage.target,
        look=look,
    )
    try:
        assert await moves.away(100) == (Outcome.OK, "2 of 2 leaders of broker 1")
        assert await rows() == ((2, 1), (2, 1), (2, 1))
        assert (await moves.away(100))[1].startswith("broker 1 leads nothing")
        assert await moves.back() == (Outcome.OK, "2 lists of replicas are as they were")
        assert await rows() == ((1, 2), (2, 1), (1, 2))
    finally:
        elector.close()


async def test_nobody_there_is_no_change() -> None:
    config = ClusterConfig(name="dark", bootstrap_servers=("127.0.0.1:1",))
    admin = KafkaClusterAdmin(lambda: admin_target(config))
    with pytest.raises(AdminError) as caught:
        await admin.set_configs(NODE, {"log.cleaner.threads": "1"})
    assert not caught.value.may_have_been_done
    await admin.aclose()
