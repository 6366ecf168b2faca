"""The host of a rehearsal, as `WaveHost` has it: one broker's of a small cluster."""

from __future__ import annotations

import asyncio
from typing import Final

from support.cluster_model import healthy, ring
from support.service_faults import Fault
from support.wave_hosts import LONG_SECONDS, NODE, Does, WaveHost

from healthd.rehearsal.step_hosts import StepFault
from healthd.rehearsal.world import World
from healthd.waves.effects import Command, ObserveStep, RunStep, StopService
from healthd.waves.events import HostState, Outcome, StepState
from healthd.waves.playbook import Playbook

_DAY: Final = 86_400.0


class ModelHost(WaveHost):
    """The one of a rehearsal."""

    def __init__(self, playbook: Playbook, *, cut: StepFault = StepFault.CUT) -> None:
        self.playbook = playbook
        nodes, rows = ring(nodes=3, factor=3, min_isr=2)
        self._world = World.of(healthy(nodes, rows, interval=5.0), latency=0.01)
        self._hosts = self._world.hosts
        self._steps = self._hosts.steps
        self._cut = cut
        self._steps.seconds_of = lambda step: LONG_SECONDS if step == Does.LASTS else 1.0
        for step, fault in {
            Does.FAILS: StepFault.FAILS,
            Does.HANGS: StepFault.HANGS,
            Does.COMES_TO_NOTHING: StepFault.NOT_VERIFIED,
            Does.REBOOT_IN_VAIN: StepFault.SAME_BOOT,
        }.items():
            self._steps.faults[NODE, step] = fault

    @property
    def starts(self) -> int:
        return self._world.cluster.nodes[NODE].starts

    async def state(self) -> HostState:
        self._pass(self._hosts.seconds_to_ask(NODE))
        return self._hosts.state(NODE)

    def spoil(self, verb: str, fault: Fault) -> None:
        faults = self._hosts.faults
        faults.strike_once = True
        kinds = {
            Fault.NOTHING: faults.lies,
            Fault.HANGS: faults.hangs,
            Fault.CUT: faults.loses_answer,
        }
        if fault is Fault.FAILS:
            assert verb == "start", "of the model only a start fails"
            faults.start_fails[NODE] += 1
        else:
            kinds[fault][NODE] += 1

    def send(self, command: Command) -> asyncio.Future[Outcome]:
        sent: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def answered(outcome: Outcome, _detail: str) -> None:
            if not sent.done():
                sent.set_result(outcome)

        match command:
            case RunStep():
                self._steps.run(command, self.playbook, answered)
            case StopService():
                self._hosts.stop(command, answered)
            case _:
                self._hosts.start(command, answered)
        return sent

    async def answer(self, sent: asyncio.Future[Outcome]) -> Outcome:
        agenda = self._world.agenda
        agenda.run_until(agenda.now + _DAY, is_over=sent.done)
        return sent.result()

    def forget(self, sent: asyncio.Future[Outcome]) -> None:
        sent.cancel()

    async def observe(self, effect: ObserveStep) -> StepState:
        self._pass(self._hosts.seconds_to_ask(NODE))
        return self._steps.observe(effect, self.playbook)[0]

    def begun(self, step: Does) -> int:
        return self._steps.begun[NODE, step]

    def done(self, step: Does) -> int:
        return self._steps.finished[NODE, step]

    async def until_begun(self, step: Does) -> None:
        agenda = self._world.agenda
        agenda.run_until(agenda.now + _DAY, is_over=lambda: self.begun(step) > 0)
        assert self.begun(step)

    async def let_end(self) -> None:
        self._pass(LONG_SECONDS)

    async def pause(self) -> None:
        self._pass(1.0)

    def cut_off(self) -> None:
        self._hosts.faults.unreachable[NODE] += 1

    def reachable_again(self) -> None:
        self._hosts.faults.unreachable[NODE] -= 1

    def will_be_cut(self, step: Does) -> None:
        self._steps.faults[NODE, step] = self._cut

    def will_lose_power(self, step: Does) -> None:
        self._steps.faults[NODE, step] = StepFault.INTERRUPTED

    def _pass(self, seconds: float) -> None:
        self._world.agenda.run_until(self._world.agenda.now + seconds)
