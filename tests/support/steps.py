"""Steps of playbooks on real hosts: this machine, or an sshd on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from healthd.collect.cluster_admin import ClusterAdmin
from healthd.config.fleet import ClusterConfig, HostConfig
from healthd.engine.printed import PrintedByNode
from healthd.engine.step_host import StepEnds
from healthd.engine.stepping import Steps
from healthd.execute.local import LocalExecutor
from healthd.execute.protocol import Command, ExecKind, Executor, Target
from healthd.execute.protocol import Outcome as Ended
from healthd.model.snapshot import ClusterSnapshot
from healthd.waves.effects import ObserveStep, RunStep
from healthd.waves.events import HostState, Outcome, StepState
from healthd.waves.host_commands import BOOT_ID_FILE
from healthd.waves.playbook import Playbook, Step, StepKind
from healthd.waves.playbook_steps import Action, Variable
from healthd.waves.policy import WavePolicy
from healthd.waves.state import NodeRun, WaveState

NODE = 1
HERE = Target(address="127.0.0.1", user="nobody", key_file=Path("-"), known_hosts_file=Path("-"))


class Rebooting(LocalExecutor):
    """This machine, whose boot id is what a file says; it is away while another file is there."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        (folder / "boot_id").write_text("boot-1\n")

    async def run(self, target: Target, command: Command) -> Ended:
        if (self.folder / "away").exists():
            return Ended(kind=ExecKind.UNREACHABLE, detail="no route to host")
        place, told = BOOT_ID_FILE, str(self.folder / "boot_id")
        argv = tuple(word.replace(place, told) for word in command.argv)
        return await super().run(target, replace(command, argv=argv))


class Stage:
    """One broker's host, and a playbook of one step after the other."""

    def __init__(
        self,
        *,
        executor: Executor | None = None,
        target: Target = HERE,
        config: Mapping[str, Any] | None = None,
        folder: Path,
    ) -> None:
        self.folder = folder / "marks"
        self.executor = executor or LocalExecutor()
        self.target = target
        self.admin: ClusterAdmin | None = None
        self.wave = "os-patch-1"
        self.host_state = HostState(is_running=True, start="100")
        self.snapshot: ClusterSnapshot | None = None
        self.playbook = Playbook(name="os-patch", description="", steps=())
        self.run_of_node = NodeRun(node=NODE, started_before="100")
        self.state_changes: dict[str, Any] = {}
        self.printed: PrintedByNode = {}
        host = HostConfig(broker=NODE, address=target.address, rack="az1")
        self.config = ClusterConfig(
            **{"name": "payments", "bootstrap_servers": ("b1:9092",), "hosts": (host,)}
            | dict(config or {})
        )

    def state(self) -> WaveState:
        state = WaveState(
            wave=self.wave,
            cluster="payments",
            reason="CHG-1",
            requested_by="ann",
            playbook=self.playbook,
            policy=WavePolicy(),
            nodes=(self.run_of_node,),
        )
        return replace(state, **self.state_changes)

    def step(self, action: Action | None, **changes: Any) -> int:
        """One more step of the playbook: its number."""
        step = Step(name="do it", kind=StepKind.COMMAND, timeout=30.0, action=action)
        step = replace(step, **changes)
        self.playbook = replace(self.playbook, steps=(*self.playbook.steps, step))
        return len(self.playbook.steps) - 1

    def declare(self, *variables: Variable) -> None:
        self.playbook = replace(self.playbook, variables=variables)

    @property
    def steps(self) -> Steps:
        async def observe(_node: int) -> HostState:
            return self.host_state

        async def look() -> ClusterSnapshot | None:
            return self.snapshot

        def target(node: int) -> Target:
            if node != NODE:
                raise StepEnds(Outcome.FAILED, f"no host for broker {node}")
            return self.target

        return Steps(
            config=self.config,
            executor=self.executor,
            target=target,
            observe=observe,
            look=look,
            admin=self.admin,
            is_dry_run=self.state().is_dry_run,
            folder=str(self.folder),
            printed=self.printed,
        )

    async def run(
        self,
        action: Action | None = None,
        *,
        at: int | None = None,
        effect_id: str = "",
        **step: Any,
    ) -> tuple[Outcome, str]:
        """Do one step; a new one unless it is named."""
        number = self.step(action, **step) if at is None else at
        seconds = self.playbook.steps[number].timeout
        assert isinstance(seconds, float)
        effect = RunStep(
            node=NODE,
            effect_id=effect_id or f"{NODE}.{number}.step",
            step=number,
            timeout_seconds=seconds,
        )
        return await self.steps.run(effect, self.state())

    async def seen(
        self, at: int, *, effect_id: str = "", is_verify: bool = False
    ) -> tuple[StepState, str]:
        """What became of a step."""
        effect = ObserveStep(
            node=NODE, effect_id=effect_id or f"{NODE}.{at}.step", step=at, is_verify=is_verify
        )
        return await self.steps.observe_step(effect, self.state())
