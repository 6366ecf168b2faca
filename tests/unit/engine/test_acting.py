"""What becomes of commands and questions on hosts."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from support.engine import Plant
from support.real_host import actor_of
from support.snapshots import a_partition, a_snapshot, a_topic
from support.virtual_time import in_virtual_time

from healthd.collect.target import ClusterTarget
from healthd.engine.acting import Actor, NoHost, preferred_elsewhere, target_of
from healthd.execute.memory import HostFault, MemoryElector, MemoryExecutor
from healthd.execute.protocol import Command, Outcome, Target
from healthd.model.codes import ReasonCode
from healthd.waves import effects
from healthd.waves.events import Outcome as CommandOutcome


def an_actor(plant: Plant, *, executor: Any = None, **changes: Any) -> Actor:
    return actor_of(plant.config(**changes), executor or MemoryExecutor(plant.hosts))


STOP = effects.StopService(node=1, effect_id="e", timeout_seconds=20, start_effect_id="f")


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (None, CommandOutcome.OK),
        (HostFault.FAILS, CommandOutcome.FAILED),
        (HostFault.HANG, CommandOutcome.UNKNOWN),
        (HostFault.ANSWER_LOST, CommandOutcome.UNKNOWN),
        (HostFault.UNREACHABLE, CommandOutcome.NOT_SENT),
        (HostFault.HOST_KEY_CHANGED, CommandOutcome.NOT_SENT),
    ],
)
@in_virtual_time
async def test_a_command_s_end_says_whether_it_may_have_been_carried_out(
    fault: HostFault | None, outcome: CommandOutcome
) -> None:
    plant = Plant()
    if fault is not None:
        plant.host(1).faults.append(fault)
    assert (await an_actor(plant).command(STOP))[0] is outcome


@in_virtual_time
async def test_a_host_that_the_fleet_file_does_not_have_is_sent_nothing() -> None:
    actor = an_actor(Plant(), hosts=())
    assert (await actor.command(STOP))[0] is CommandOutcome.NOT_SENT
    host = await actor.observe(1)
    assert host.is_running is None
    assert host.reason is not None
    assert host.reason.code is ReasonCode.IDENTITY
    assert "has no host for broker 1" in await actor.logs(1)
    with pytest.raises(NoHost, match="no ssh access"):
        target_of(Plant().config(ssh=None), 1)


def test_a_host_may_have_an_ssh_port_of_its_own() -> None:
    config = Plant().config()
    hosts = (config.hosts[0], replace(config.hosts[1], ssh_port=2022), *config.hosts[2:])
    config = replace(config, hosts=hosts)
    assert config.ssh is not None
    assert [target_of(config, node).port for node in (1, 2)] == [config.ssh.port, 2022]
    doors = ClusterTarget.of(config).ssh_doors
    assert [doors[node][1] for node in (1, 2)] == [config.ssh.port, 2022]


class Deaf:
    """An executor that breaks its promise and never answers."""

    async def run(self, target: Target, command: Command) -> Outcome:
        await asyncio.sleep(1e9)
        raise AssertionError

    async def aclose(self) -> None: ...


@in_virtual_time
async def test_an_executor_that_never_answers_is_not_waited_for() -> None:
    loop = asyncio.get_running_loop()
    outcome, detail = await an_actor(Plant(), executor=Deaf()).command(STOP)
    assert outcome is CommandOutcome.UNKNOWN
    assert "no answer within" in detail
    assert loop.time() < 60


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (HostFault.HOST_KEY_CHANGED, ReasonCode.HOST_KEY_REFUSED),
        (HostFault.UNREACHABLE, ReasonCode.HOST_UNREACHABLE),
        (HostFault.HANG, ReasonCode.HOST_UNREACHABLE),
        (HostFault.FAILS, ReasonCode.HOST_STATE_UNKNOWN),
    ],
)
@in_virtual_time
async def test_a_host_that_does_not_say_its_state_gives_a_reason_and_no_guess(
    fault: HostFault, code: ReasonCode
) -> None:
    plant = Plant()
    plant.host(1).faults.append(fault)
    host = await an_actor(plant).observe(1)
    assert host.is_running is None
    assert host.reason is not None
    assert host.reason.code is code


def test_only_partitions_that_another_leads_and_that_it_is_in_sync_for_are_elected() -> None:
    rows = [
        a_partition(0, leader=1),
        a_partition(1, leader=2),
        a_partition(2, leader=2, isr=(2, 3)),
        a_partition(3, leader=3, replicas=(2, 1, 3)),
    ]
    assert preferred_elsewhere(a_snapshot(a_topic("t", rows)), 1) == (("t", 1),)


ELECT = effects.ElectLeaders(node=1, effect_id="e", timeout_seconds=20)


async def elect(elector: Any, *, leader: int = 2) -> tuple[CommandOutcome, str]:
    """What became of an election for broker 1, which should lead a partition that 2 leads."""
    actor = replace(an_actor(Plant()), elector=elector)
    snapshot = a_snapshot(a_topic("t", [a_partition(0, leader=leader)]))
    actor.loop.view = replace(actor.loop.view, snapshot=snapshot)
    return await actor.command(ELECT)


@in_virtual_time
async def test_a_broker_is_elected_for_what_it_should_lead_and_for_nothing_else() -> None:
    elector = MemoryElector()
    assert await elect(elector) == (CommandOutcome.OK, "1 partitions")
    assert elector.elected == [("t", 0)]
    assert await elect(elector, leader=1) == (CommandOutcome.OK, "it leads what it should")
    assert elector.elected == [("t", 0)]


@in_virtual_time
async def test_an_election_that_does_not_work_says_so_and_raises_nothing() -> None:
    refusing, hanging, closed = MemoryElector(), MemoryElector(), MemoryElector()
    refusing.fails = {("t", 0)}
    hanging.hangs = True
    closed.close()
    assert await elect(refusing) == (CommandOutcome.FAILED, "1 of 1: t-0: refused")
    assert (await elect(hanging))[0] in {CommandOutcome.UNKNOWN, CommandOutcome.FAILED}
    assert await elect(closed) == (
        CommandOutcome.FAILED,
        "RuntimeError: an election after close",
    )
