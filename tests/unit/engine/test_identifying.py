"""Host, service and broker id agree before anything is done on a host, or nothing is done."""

from dataclasses import replace

import pytest
from support.engine import Life, Plant
from support.virtual_time import in_virtual_time

from healthd.config.playbooks import load_playbook
from healthd.engine.acting import Actor
from healthd.execute.memory import HostFault, MemoryElector
from healthd.execute.protocol import Command, ExecKind, Outcome, Target
from healthd.model.codes import ReasonCode

OURS = "AbCdEfGhIjKlMnOpQrStUv"


def facts(*rows: str) -> str:
    lines = ("healthd-facts\tbegin\t1\t1700000000.5", *rows, "healthd-facts\tend\t\t")
    return "".join(f"{line}\n" for line in lines)


def a_process(node: int, *, pid: int = 100, cluster: str = OURS) -> str:
    return facts(
        f"process\t{pid}\tmain\tkafka.Kafka",
        f"process\t{pid}\tfile\t/etc/kafka/server.properties",
        f"process\t{pid}\tnode.id\t{node}",
        f"meta\t{pid}\t/data\tcluster.id={cluster}",
        f"meta\t{pid}\t/data\tnode.id={node}",
    )


UNREADABLE = facts("process\t100\tmain\tkafka.Kafka", "process\t100\tunreadable\tfile")


async def held(plant: Plant, *, cluster: str | None = OURS, **changes: object) -> str | None:
    """The code and the words with which broker 1 is held, when it is."""
    life = Life(plant, config=plant.config(**changes))
    life.loop.cluster_id = cluster
    actor = Actor(loop=life.loop, executor=life.executor, elector=MemoryElector())
    host = (await actor.ask((1,)))[1]
    if host.reason is None:
        assert host.is_running is not None
        return None
    assert host.is_running is None
    return f"{host.reason.code} {host.reason.object}: {host.reason.detail}"


@in_virtual_time
async def test_the_broker_that_is_meant_is_let_through() -> None:
    plant = Plant()
    plant.host(1).outputs["sh"] = a_process(1)
    assert await held(plant) is None


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (a_process(2), "says node.id=2, and the fleet file says 1"),
        (a_process(1, cluster="other"), "is of cluster other"),
        (UNREADABLE, "service.identity"),
        ("Command not allowed.\n", "does not answer the question"),
    ],
    ids=["another broker", "another cluster", "unreadable", "a forced command"],
)
@in_virtual_time
async def test_anything_else_is_held(answer: str, words: str) -> None:
    plant = Plant()
    plant.host(1).outputs["sh"] = answer
    told = await held(plant)
    assert told is not None
    assert told.startswith("IDENTITY broker:1: ")
    assert words in told


@in_virtual_time
async def test_a_host_without_a_shell_has_no_way_to_tell_and_is_no_hold() -> None:
    assert await held(Plant()) is None


@in_virtual_time
async def test_while_the_cluster_s_id_is_not_known_the_node_s_own_counts() -> None:
    plant = Plant()
    plant.host(1).outputs["sh"] = a_process(1, cluster="whatever")
    assert await held(plant, cluster=None) is None


@in_virtual_time
async def test_a_process_that_has_ended_meanwhile_is_asked_after_again() -> None:
    plant = Plant()
    plant.host(1).outputs["sh"] = facts("process\t100\tgone\t")
    told = await held(plant)
    assert told is not None
    assert told.startswith("HOST_STATE_UNKNOWN")


@in_virtual_time
async def test_a_host_that_is_lost_in_between_is_unreachable() -> None:
    plant = Plant()
    plant.host(1).faults = [None, HostFault.ANSWER_LOST]
    plant.host(1).outputs["sh"] = a_process(1)
    told = await held(plant)
    assert told is not None
    assert told.startswith("HOST_UNREACHABLE")


@pytest.mark.parametrize(
    ("prints", "words"),
    [
        ("node.id=1\n", None),
        ("node.id=2\n", "service.identity says node.id=2"),
        ("", "prints no line node.id=ID"),
    ],
)
@in_virtual_time
async def test_the_fleet_file_s_own_command_is_asked_instead(
    prints: str, words: str | None
) -> None:
    plant = Plant()
    plant.host(1).outputs.update({"whoami": prints, "sh": a_process(2)})
    service = plant.config().service
    assert service is not None
    service = replace(service, identity=("whoami", "{broker_id}"))
    told = await held(plant, service=service)
    assert (told is None) if words is None else (told is not None and words in told)


@in_virtual_time
async def test_a_stopped_broker_that_runs_beside_its_service_is_not_started_again() -> None:
    plant = Plant()
    plant.host(1).is_running = False
    plant.host(1).outputs["sh"] = a_process(1, pid=77)
    told = await held(plant)
    assert told is not None
    assert "the status command says that it is stopped" in told
    plant.host(1).outputs["sh"] = a_process(2, pid=77)
    assert await held(plant) is None


@in_virtual_time
async def test_a_wave_stops_nothing_on_a_host_of_another_broker_and_goes_on_when_it_is_right() -> (
    None
):
    plant = Plant()
    for node in plant.brokers:
        plant.host(node).outputs["sh"] = a_process(4 - node if node != 2 else 2)
    life = await Life(plant).begin()
    wave = await life.start_wave(brokers=[1])
    await life.until(lambda: "IDENTITY" in life.codes(wave))
    assert life.executor.changes() == []
    # The process that is asked after has another id by each start: the host says which.
    plant.host(1).outputs["sh"] = a_process(1, pid=plant.host(1).pid)
    assert await life.until_ended(wave) == "succeeded"
    assert plant.starts == {1: 1, 2: 0, 3: 0}
    await life.die()


class Refusing:
    """A host that lets nobody log in."""

    async def run(self, target: Target, command: Command) -> Outcome:
        del target, command
        return Outcome(kind=ExecKind.AUTH_REFUSED, detail="no")

    async def aclose(self) -> None: ...


@in_virtual_time
async def test_a_dry_run_asks_nobody_who_it_is() -> None:
    plant = Plant()
    plant.host(1).outputs["sh"] = a_process(2)
    life = Life(plant)
    actor = Actor(loop=life.loop, executor=life.executor, elector=MemoryElector(), is_dry_run=True)
    assert (await actor.ask((1,)))[1].is_running
    real = Actor(loop=life.loop, executor=Refusing(), elector=MemoryElector())
    reason = (await real.ask((1,)))[1].reason
    assert reason is not None
    assert reason.code is ReasonCode.HOST_AUTH_REFUSED


@in_virtual_time
async def test_a_playbook_that_stops_nothing_does_nothing_either_on_a_host_of_another_broker() -> (
    None
):
    plant = Plant()
    plant.host(1).outputs["sh"] = a_process(2)
    book = load_playbook("decommission-check")
    life = await Life(plant, playbooks=lambda _name: book).begin()
    wave = await life.start_wave(brokers=[1])
    await life.until(lambda: "IDENTITY" in life.codes(wave))
    assert life.status(wave, 1) == "pending"
    asked = {each.argv[0] for each in life.executor.asked if each.address == "b1"}
    assert asked == {"sv", "sh"}
    assert life.executor.changes() == []
    await life.die()
