"""A host as a wave has it, in the model and for real, under one set of words.

`ModelHost` is the one that rehearsals run on, in virtual time; `RealHost` is a service under its
supervisor, in the hands that waves have.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from enum import IntEnum
from pathlib import Path
from typing import Final

from support.service_faults import Fault
from support.step_playbooks import beside

from healthd.waves.effects import Command, ObserveStep, RunStep, StartService, StopService
from healthd.waves.events import HostState, Outcome, StepState
from healthd.waves.playbook import Playbook, Step, StepKind
from healthd.waves.playbook_steps import (
    Action,
    CommandAction,
    FileCheck,
    FilePlace,
    HttpAction,
    RebootAction,
    UploadAction,
)
from healthd.waves.policy import WavePolicy

NODE: Final = 1
SECONDS: Final = 30.0
_SHORT_SECONDS: Final = 1.0
"""The deadline of what never ends by itself."""
ANSWERED: Final = "answered"
"""The file that is in the folder when a request has been answered."""
LONG_SECONDS: Final = 120.0
"""Of virtual time: how long a step of the model takes that ends when it is told to."""


class Does(IntEnum):
    """What a step of the playbook does, by its place in it."""

    WELL = 0
    UPLOAD = 1
    """It puts a file in place, without a marker: what lies there tells."""
    FAILS = 2
    LASTS = 3
    """It ends well when it is told to."""
    HANGS = 4
    """Its deadline is short, and it never ends by itself."""
    REQUEST = 5
    """A request over HTTP: nobody can be asked afterwards what became of it."""
    SEEN_REQUEST = 6
    """A request of which its `observe` tells what it has brought about."""
    COMES_TO_NOTHING = 7
    """It ends well, and what it should have brought about is not so."""
    REBOOT = 8
    REBOOT_IN_VAIN = 9
    """Its deadline is short, and afterwards it is the same boot."""


class WaveHost(ABC):
    """The host of one broker, as a wave has it."""

    playbook: Playbook

    @property
    @abstractmethod
    def starts(self) -> int:
        """How often the process of the service was started."""

    @abstractmethod
    async def state(self) -> HostState:
        """What the host says of the process."""

    @abstractmethod
    def spoil(self, verb: str, fault: Fault) -> None:
        """Let something befall the next stop or start."""

    @abstractmethod
    def send(self, command: Command) -> asyncio.Future[Outcome]:
        """Have something done; its answer comes while `answer` waits for it."""

    @abstractmethod
    async def answer(self, sent: asyncio.Future[Outcome]) -> Outcome:
        """How something ended that was sent."""

    @abstractmethod
    def forget(self, sent: asyncio.Future[Outcome]) -> None:
        """The daemon that waits for the answer is gone."""

    @abstractmethod
    async def observe(self, effect: ObserveStep) -> StepState:
        """What became of a step."""

    @abstractmethod
    def begun(self, step: Does) -> int:
        """How often a step began."""

    @abstractmethod
    def done(self, step: Does) -> int:
        """How often it was done to its end."""

    @abstractmethod
    async def until_begun(self, step: Does) -> None:
        """Wait until it has."""

    @abstractmethod
    async def let_end(self) -> None:
        """Let what lasts come to its end, and a command that waits be carried out."""

    @abstractmethod
    async def pause(self) -> None:
        """Between two looks."""

    # The way to it ---------------------------------------------------------------------------

    @abstractmethod
    def cut_off(self) -> None:
        """Nobody reaches it any more; what runs there goes on."""

    @abstractmethod
    def reachable_again(self) -> None:
        """The end of that."""

    @abstractmethod
    def will_be_cut(self, step: Does) -> None:
        """The connection is cut when the step has begun; there will be another one."""

    @abstractmethod
    def will_lose_power(self, step: Does) -> None:
        """The host goes down when the step has begun, and is booted anew."""

    # Words for all ---------------------------------------------------------------------------

    async def stop(self, *, seconds: float = SECONDS) -> Outcome:
        return await self.answer(self.send(a_stop(seconds)))

    async def start(self, *, seconds: float = SECONDS) -> Outcome:
        return await self.answer(self.send(a_start(seconds)))

    async def run(self, step: Does, effect_id: str = "") -> Outcome:
        return await self.answer(self.send(self.a_run(step, effect_id)))

    async def seen(self, step: Does, effect_id: str = "", *, is_verify: bool = False) -> StepState:
        named = effect_id or f"{NODE}.{step}.step"
        effect = ObserveStep(node=NODE, effect_id=named, step=step, is_verify=is_verify)
        return await self.observe(effect)

    async def seen_at_last(self, step: Does, *, while_it_is: frozenset[StepState]) -> StepState:
        """What is seen of a step when it is none of these any more."""
        while (state := await self.seen(step)) in while_it_is:
            await self.pause()
        return state

    def a_run(self, step: Does, effect_id: str = "") -> RunStep:
        return RunStep(
            node=NODE,
            effect_id=effect_id or f"{NODE}.{step}.step",
            timeout_seconds=self.playbook.steps[step].timeout_seconds(WavePolicy()),
            step=step,
        )


def a_stop(seconds: float = SECONDS) -> StopService:
    return StopService(
        node=NODE, effect_id="1.1.stop", timeout_seconds=seconds, start_effect_id="1.2.start"
    )


def a_start(seconds: float = SECONDS) -> StartService:
    return StartService(node=NODE, effect_id="1.2.start", timeout_seconds=seconds)


def a_playbook(folder: Path, url: str) -> Playbook:
    """One step of each kind; what they do they leave in a folder of the host."""

    def sh(step: Does, text: str) -> CommandAction:
        """Tells of its beginning, and when the text is through of its end."""
        begun, done = folder / f"begun-{step.value}", folder / f"done-{step.value}"
        return CommandAction(argv=(f"echo x >>{begun}; {text} && echo x >>{done}",), shell=True)

    def boot(step: Does, text: str) -> RebootAction:
        return RebootAction(reboot_argv=("sh", "-c", *sh(step, text).argv))

    lasting = f"until [ -e {folder}/end ]; do sleep 0.05; done"
    source = folder / "source"
    source.write_text("a=1\n", "utf-8")
    actions: dict[Does, tuple[StepKind, Action]] = {
        Does.WELL: (StepKind.COMMAND, sh(Does.WELL, "true")),
        Does.UPLOAD: (
            StepKind.UPLOAD,
            UploadAction(place=FilePlace(path=str(folder / "target")), source=str(source)),
        ),
        Does.FAILS: (StepKind.COMMAND, sh(Does.FAILS, "exit 3")),
        Does.LASTS: (StepKind.COMMAND, sh(Does.LASTS, lasting)),
        Does.HANGS: (StepKind.COMMAND, sh(Does.HANGS, "sleep 600")),
        Does.REQUEST: (StepKind.HTTP, HttpAction(method="POST", http_url=url)),
        Does.SEEN_REQUEST: (StepKind.HTTP, HttpAction(method="POST", http_url=url)),
        Does.COMES_TO_NOTHING: (StepKind.COMMAND, sh(Does.COMES_TO_NOTHING, "true")),
        Does.REBOOT: (
            StepKind.REBOOT,
            boot(Does.REBOOT, f"echo boot-2 >{folder}/boot_id"),
        ),
        Does.REBOOT_IN_VAIN: (StepKind.REBOOT, boot(Does.REBOOT_IN_VAIN, "true")),
    }
    timeouts = {
        Does.LASTS: 2 * LONG_SECONDS,
        Does.HANGS: _SHORT_SECONDS,
        Does.REBOOT_IN_VAIN: 2 * _SHORT_SECONDS,
    }
    answered = (FileCheck(file=str(folder / ANSWERED)),)
    made = {Does.WELL: "done-0", Does.COMES_TO_NOTHING: "nothing"}
    return beside(
        *(
            Step(
                name=step.name,
                kind=actions[step][0],
                timeout=timeouts.get(step, SECONDS),
                action=actions[step][1],
                observe=answered if step is Does.SEEN_REQUEST else (),
                verify=(FileCheck(file=str(folder / made[step])),) if step in made else (),
            )
            for step in Does
        )
    )
