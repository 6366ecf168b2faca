"""A real host, as `WaveHost` has it: this machine with one service, under its supervisor.

The hands of waves reach it through processes of this machine, or through an sshd.
"""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from plugins.sshd import SshdHost
from support.service_faults import Fault, ServiceFaults
from support.small_hosts import add_service, starts_of
from support.wave_hosts import NODE, Does, WaveHost

from healthd.config.fleet import ClusterConfig, HostConfig, ServiceCommands
from healthd.config.ssh_access import SshConfig
from healthd.demo.addresses import find_free_block
from healthd.demo.guarded import Command as Guarded
from healthd.demo.guarded import GuardedProcesses
from healthd.demo.nodes import Node
from healthd.demo.provision import find_program
from healthd.demo.service import BrokerService, wait_until
from healthd.engine.acting import Actor
from healthd.engine.clock import Clock
from healthd.engine.collecting import ClusterLoop
from healthd.engine.totals import Totals
from healthd.execute.memory import MemoryElector
from healthd.execute.protocol import Executor
from healthd.waves.effects import Command, ObserveStep, RunStep
from healthd.waves.events import HostState, Outcome, StepState
from healthd.waves.playbook import Playbook
from healthd.waves.policy import WavePolicy
from healthd.waves.state import NodeRun, WaveState

_UP_SECONDS: Final = 30.0


class RealHost(WaveHost):
    """This machine with one service, in the hands of a wave."""

    def __init__(
        self,
        node: Node,
        playbook: Playbook,
        folder: Path,
        *,
        executor: Executor,
        sshd: SshdHost | None = None,
    ) -> None:
        self.playbook = playbook
        self.requests = 0
        self.may_answer = asyncio.Event()
        """Whether a request is answered that was made."""
        self._node = node
        self._folder = folder
        self._sshd = sshd
        self._service = BrokerService(node)
        self._faults = ServiceFaults(node)
        self._is_start_late = False
        self._strikes: list[asyncio.Task[None]] = []
        self._actor = actor_of(_config(node, sshd), executor)
        self._wave = WaveState(
            wave="patch-1",
            cluster="payments",
            reason="CHG-1",
            requested_by="ann",
            playbook=playbook,
            policy=WavePolicy(),
            nodes=(NodeRun(node=NODE),),
        )
        if self._service.status() is None:
            self._service.start()

    async def aclose(self) -> None:
        """Everything that was begun has ended."""
        await self.let_end()
        for strike in self._strikes:
            strike.cancel()
        await asyncio.gather(*self._strikes, return_exceptions=True)
        if self._is_start_late:
            await _until(lambda: self._service.status() is not None)

    @property
    def starts(self) -> int:
        return starts_of(self._node)

    async def state(self) -> HostState:
        return await self._actor.observe(NODE)

    def spoil(self, verb: str, fault: Fault) -> None:
        assert fault is not Fault.HANGS or verb == "start", "only a start is waited for at the end"
        self._is_start_late = fault is Fault.HANGS
        self._faults.forget()
        self._faults.spoil(verb, Fault.WAITS if fault in {Fault.HANGS, Fault.CUT} else fault)
        if fault is Fault.CUT:
            cut = self._over_ssh.cut_sessions
            self._when(lambda: self._faults.has_begun, cut, self._faults.go_on)

    def send(self, command: Command) -> asyncio.Future[Outcome]:
        return asyncio.create_task(self._carried_out(command))

    async def _carried_out(self, command: Command) -> Outcome:
        if isinstance(command, RunStep):
            return (await self._actor.run_step(command, self._wave))[0]
        return (await self._actor.command(command))[0]

    async def answer(self, sent: asyncio.Future[Outcome]) -> Outcome:
        return await sent

    def forget(self, sent: asyncio.Future[Outcome]) -> None:
        sent.cancel()

    async def observe(self, effect: ObserveStep) -> StepState:
        return (await self._actor.observe_step(effect, self._wave))[0]

    def begun(self, step: Does) -> int:
        return self._count(step, "begun")

    def done(self, step: Does) -> int:
        return self._count(step, "done")

    def _count(self, step: Does, what: str) -> int:
        if step in {Does.REQUEST, Does.SEEN_REQUEST}:
            return self.requests
        if step is Does.UPLOAD:
            return int((self._folder / "target").exists())
        told = self._folder / f"{what}-{step.value}"
        return len(told.read_text("ascii").splitlines()) if told.exists() else 0

    async def until_begun(self, step: Does) -> None:
        await _until(lambda: self.begun(step) > 0)

    async def let_end(self) -> None:
        (self._folder / "end").touch()
        self.may_answer.set()
        self._faults.go_on()

    async def pause(self) -> None:
        await asyncio.sleep(0.05)

    def cut_off(self) -> None:
        self._over_ssh.stop()

    def reachable_again(self) -> None:
        self._over_ssh.start()
        self._over_ssh.wait_until_it_listens()

    def will_be_cut(self, step: Does) -> None:
        self._when(lambda: self.begun(step) > 0, self._over_ssh.cut_sessions)

    def will_lose_power(self, step: Does) -> None:
        def boot() -> None:
            # Of what ran nothing is left that its host would still know as its own.
            (self._folder / "boot_id").write_text("boot-2\n", "ascii")

        self._when(lambda: self.begun(step) > 0, boot)

    def _when(self, is_so: Callable[[], bool], *then: Callable[[], None]) -> None:
        async def strike() -> None:
            await _until(is_so)
            for each in then:
                each()

        self._strikes.append(asyncio.create_task(strike()))

    @property
    def _over_ssh(self) -> SshdHost:
        assert self._sshd is not None, "no connection leads to this machine"
        return self._sshd


def actor_of(config: ClusterConfig, executor: Executor) -> Actor:
    """The hands of a wave on a cluster that nobody collects."""
    loop = ClusterLoop(
        config, None, deadline_seconds=1, clock=Clock(), totals=Totals(),  # type: ignore[arg-type]
        listener=lambda _cluster, _published: None,
    )  # fmt: skip
    return Actor(loop=loop, executor=executor, elector=MemoryElector())


@contextmanager
def supervised_service(root: Path) -> Iterator[Node]:
    """A node of this machine whose service runs; nothing of it runs afterwards."""
    block = find_free_block(1)
    node = Node(
        id=NODE,
        host=block.host(1),
        rack="az1",
        is_controller=False,
        ports=block.ports,
        folder=root / "node",
    )
    add_service(node)
    supervisor = (str(find_program("runsv")), str(node.service))
    guarded = GuardedProcesses(
        [Guarded(argv=supervisor, log=root / "runsv.log")], root, remove_folder=False
    )
    try:
        service = BrokerService(node)
        wait_until(lambda: service.status() is not None, "the service runs", _UP_SECONDS)
        yield node
    finally:
        guarded.close()


def _config(node: Node, sshd: SshdHost | None) -> ClusterConfig:
    command = str(node.service_command)
    return ClusterConfig(
        name="payments",
        bootstrap_servers=("b1:9092",),
        ssh=SshConfig.of_this_machine()
        if sshd is None
        else SshConfig(
            user=getpass.getuser(),
            key_file=sshd.folder / "client",
            known_hosts_file=sshd.folder / "known_hosts",
            port=sshd.port,
        ),
        service=ServiceCommands(
            stop=(command, "stop"), start=(command, "start"), status=(command, "status")
        ),
        hosts=(HostConfig(broker=NODE, address=node.host if sshd is None else sshd.address),),
    )


async def _until(is_so: Callable[[], bool]) -> None:
    """Wait for something outside this process; the test's own time-out is the limit."""
    while not is_so():  # noqa: ASYNC110 - another process sets no event of ours.
        await asyncio.sleep(0.02)
