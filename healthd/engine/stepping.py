"""Performing the steps of a wave's playbook, and finding out what became of them."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, assert_never

from healthd.collect.cluster_admin import ClusterAdmin
from healthd.config.fleet import ClusterConfig
from healthd.engine.printed import OnLines, Printed, PrintedByNode
from healthd.engine.step_ansible import AnsibleRun
from healthd.engine.step_checks import Before, Checker, Finding
from healthd.engine.step_commands import HostRunner, mark_of
from healthd.engine.step_files import FilePlacer
from healthd.engine.step_host import StepEnds, StepHost
from healthd.engine.step_job import StepJob, job_of
from healthd.engine.step_kafka import KafkaSteps
from healthd.engine.step_leaders import LeaderMoves, carefully
from healthd.engine.step_requests import request
from healthd.engine.step_sources import Sources
from healthd.engine.step_words import in_words
from healthd.execute.detached import Detached
from healthd.execute.leaders import LeaderElector
from healthd.execute.protocol import Executor, Target
from healthd.execute.redact import redact
from healthd.model.snapshot import ClusterSnapshot
from healthd.waves.effects import ObserveStep, RunStep
from healthd.waves.events import HostState, Outcome, StepState
from healthd.waves.playbook import Playbook, gives_leaders_back
from healthd.waves.playbook_steps import (
    Action,
    AnsibleAction,
    Changed,
    ChangedCheck,
    Check,
    CommandAction,
    FilePlace,
    HttpAction,
    KafkaAction,
    KafkaVerb,
    PromptAction,
    RebootAction,
    TemplateAction,
    UploadAction,
    WaitAction,
)
from healthd.waves.state import WaveState

DEFAULT_FOLDER: Final = ".healthd"
"""Below the home of the user that healthd is on the host."""
POLL_SECONDS: Final = 2.0
"""Between two looks of a step that waits."""
CHECK_SECONDS: Final = 10.0
"""A question that was asked in time may take so long beyond it."""
OBSERVE_SECONDS: Final = 60.0
"""A question about a step takes no longer."""
GRACE_SECONDS: Final = 30.0
"""A step ends by its own deadline; one that is so much late is no longer waited for."""

Ran = tuple[Outcome, str]
Seen = tuple[StepState, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Performs steps for the nodes of one wave."""

    config: ClusterConfig
    executor: Executor
    target: Callable[[int], Target]
    """How a node's host is reached; raises `StepEnds` when the fleet file does not say it."""
    observe: Callable[[int], Awaitable[HostState]]
    look: Callable[[], Awaitable[ClusterSnapshot | None]]
    admin: ClusterAdmin | None = None
    """None: nothing may be changed in the cluster itself."""
    elector: LeaderElector | None = None
    is_dry_run: bool = False
    folder: str = DEFAULT_FOLDER
    """Where the host keeps what is known of commands."""
    printed: PrintedByNode = field(default_factory=dict)
    """What commands print while they run; nothing of one that has ended."""

    async def run(self, effect: RunStep, state: WaveState) -> Ran:
        """Do a step, and say how it ended as far as that is known."""
        try:
            job = job_of(
                state,
                self.config,
                node=effect.node,
                at=effect.step,
                effect_id=effect.effect_id,
                seconds=effect.timeout_seconds,
            )
            if self.is_dry_run:
                return Outcome.OK, f"dry run: not done: {in_words(job)}"
            async with asyncio.timeout(effect.timeout_seconds + GRACE_SECONDS):
                return await self._run(job)
        except StepEnds as ends:
            return ends.outcome, ends.detail
        except TimeoutError:
            return Outcome.UNKNOWN, f"it was not over within {effect.timeout_seconds:g} s"
        finally:
            self.printed.pop(effect.node, None)

    async def observe_step(self, effect: ObserveStep, state: WaveState) -> Seen:
        """What became of a step; with `is_verify`, whether it has worked."""
        if self.is_dry_run:
            return StepState.DONE, "dry run: not asked"
        try:
            job = job_of(
                state,
                self.config,
                node=effect.node,
                at=effect.step,
                effect_id=effect.effect_id,
                seconds=OBSERVE_SECONDS,
            )
            async with asyncio.timeout(OBSERVE_SECONDS + GRACE_SECONDS):
                return await (self._verified(job) if effect.is_verify else self._observed(job))
        except StepEnds as ends:
            is_known = ends.outcome is Outcome.FAILED
            return (StepState.FAILED if is_known else StepState.UNKNOWN), ends.detail
        except TimeoutError:
            return StepState.UNKNOWN, f"no answer within {OBSERVE_SECONDS:g} s"

    # Doing -----------------------------------------------------------------------------------

    async def _run(self, job: StepJob) -> Ran:
        if job.step.only_if:
            finding = await (await self._checker(job, job.step.only_if)).all(job.step.only_if)
            if finding.is_true is None:
                return Outcome.NOT_SENT, f"onlyIf could not be asked: {finding.detail}"
            if not finding.is_true:
                return Outcome.OK, f"left out: {finding.detail}"
        if asks_for_boots(job.playbook) and not isinstance(job.step.action, RebootAction):
            # Whoever asks later whether the host was booted anew is answered against this.
            await self._boots_of_wave(job).boot_ids(begin=True)
        secrets = await job.values.struck_out()
        outcome, detail = await self._perform(job, secrets)
        return outcome, redact(detail, secrets)

    async def _perform(self, job: StepJob, secrets: tuple[str, ...]) -> Ran:
        match job.step.action:
            case CommandAction() as action:
                stdin = await job.values.secret(action.stdin)
                return await self._runner(job, secrets).command(action, stdin.encode())
            case UploadAction() | TemplateAction() as action:
                content = await self._content(job, action)
                return Outcome.OK, await self._placer(job, action.place, secrets).put(content)
            case RebootAction() as action:
                return await self._runner(job, secrets).reboot(action)
            case WaitAction(until=until):
                return await self._wait(job, until)
            case HttpAction() as action:
                return await request(action, job, secrets)
            case KafkaAction(verb=KafkaVerb.MOVE_LEADERS_AWAY, limit=limit):
                return await carefully(self._leaders(job).away(limit))
            case KafkaAction() as action:
                return await self._kafka(job).run(action)
            case AnsibleAction() as action:
                target = self.target(job.run.node)
                return await AnsibleRun(
                    action=action,
                    job=job,
                    target=target,
                    secrets=secrets,
                    on_lines=self._on_lines(job.run.node),
                ).run()
            case PromptAction() | None:
                return Outcome.FAILED, "nothing is performed for this step: the wave itself does it"
            case other:
                assert_never(other)

    async def _wait(self, job: StepJob, until: Sequence[Check]) -> Ran:
        """Ask until all is true, or until the time is up."""
        checker = await self._checker(job, until)
        while True:
            finding = await checker.all(until)
            if finding.is_true:
                return Outcome.OK, finding.detail
            left = job.seconds_left()
            if left <= 0:
                return Outcome.FAILED, f"its time is up: {finding.detail}"
            await asyncio.sleep(min(POLL_SECONDS, left))

    # Asking ----------------------------------------------------------------------------------

    async def _verified(self, job: StepJob) -> Seen:
        finding = await (await self._checker(job, job.step.verify)).all(job.step.verify)
        return _seen(finding, StepState.NOT_DONE)

    async def _observed(self, job: StepJob) -> Seen:
        """What the step's `observe` says, and where that is not all of it, what its kind does."""
        if not job.step.observe:
            return await self._by_kind(job)
        checker = await self._checker(job, job.step.observe)
        finding = await checker.all(job.step.observe)
        if finding.is_true:
            return StepState.DONE, finding.detail
        state, detail = await self._by_kind(job)
        if state is StepState.RUNNING:
            return state, detail
        if finding.is_true is None:
            return StepState.UNKNOWN, finding.detail
        # It says that nothing was brought about; whether it may be begun again its kind knows.
        if state in {StepState.INTERRUPTED, StepState.FAILED}:
            return state, f"{detail}; {finding.detail}"
        return StepState.NOT_DONE, finding.detail

    async def _by_kind(self, job: StepJob) -> Seen:
        secrets = await job.values.struck_out()
        match job.step.action:
            case CommandAction() as action:
                return await self._runner(job, secrets).command_state(action)
            case UploadAction() | TemplateAction() as action:
                content = await self._content(job, action)
                wanted = hashlib.sha256(content).hexdigest()
                return await self._placer(job, action.place, secrets).state(wanted)
            case RebootAction() as action:
                return await self._runner(job, secrets).reboot_state(action)
            case WaitAction(until=until):
                finding = await (await self._checker(job, until)).all(until)
                return _seen(finding, StepState.RUNNING)
            case KafkaAction() as action:
                return await self._kafka(job).state(action)
            case _:
                return StepState.INTERRUPTED, "nobody can be asked what became of it"

    # Parts -----------------------------------------------------------------------------------

    async def _content(self, job: StepJob, action: UploadAction | TemplateAction) -> bytes:
        sources = Sources(playbook=job.playbook)
        if isinstance(action, UploadAction):
            return await sources.upload(action)
        values = job.values.typed(job.playbook) | await job.values.all_secrets()
        try:
            return await sources.template(action, values)
        except StepEnds as ends:
            raise StepEnds(ends.outcome, f"{job.what()}: {ends.detail}") from None

    def _host(self, job: StepJob, secrets: tuple[str, ...], *, at_least: float = 0.0) -> StepHost:
        return StepHost(
            executor=self.executor,
            target=self.target(job.run.node),
            seconds_left=lambda: max(at_least, job.seconds_left()),
            effect_id=job.effect_id,
            secrets=secrets,
        )

    def _placer(self, job: StepJob, place: FilePlace, secrets: tuple[str, ...]) -> FilePlacer:
        return FilePlacer(host=self._host(job, secrets), place=place)

    def _runner(self, job: StepJob, secrets: tuple[str, ...] = ()) -> HostRunner:
        return HostRunner(
            detached=Detached(executor=self.executor, folder=self.folder),
            target=self.target(job.run.node),
            mark=job.mark,
            seconds_left=job.seconds_left,
            secrets=secrets,
            on_lines=self._on_lines(job.run.node),
        )

    def _on_lines(self, node: int) -> OnLines:
        def heard(lines: Sequence[str]) -> None:
            self.printed[node] = self.printed.get(node, Printed()).more(lines)

        return heard

    async def _checker(self, job: StepJob, checks: Sequence[Check]) -> Checker:
        boots = any(map(is_about_boots, checks))
        before = Before(
            process_start=job.run.started_before,
            boot_id=await self._boot_before(job) if boots else None,
        )
        secrets = await job.values.struck_out()
        return Checker(
            node=job.run.node,
            host=self._host(job, secrets, at_least=CHECK_SECONDS),
            before=before,
            observe=lambda: self.observe(job.run.node),
            look=self.look,
            kafka=self._kafka(job).check,
        )

    async def _boot_before(self, job: StepJob) -> str | None:
        """The boot id before this step's reboot, or when the wave first did something here.

        The host itself keeps both.
        """
        for runner in (self._runner(job), self._boots_of_wave(job)):
            try:
                before, _ = await runner.boot_ids(begin=False)
            except StepEnds:
                continue
            return before
        return None

    def _boots_of_wave(self, job: StepJob) -> HostRunner:
        return replace(self._runner(job), mark=mark_of(job.wave, job.run.node))

    def _leaders(self, job: StepJob) -> LeaderMoves:
        if not gives_leaders_back([step.kind for step in job.playbook.steps], job.at):
            detail = "moveLeadersAway needs a later step electPreferredLeaders that gives them back"
            raise StepEnds(Outcome.FAILED, detail)
        if self.elector is None or self.admin is None:
            raise StepEnds(Outcome.FAILED, "nobody here can change the cluster")
        return self.leaders(job.wave, job.run.node, self.admin, self.elector)

    def leaders(
        self, wave: str, node: int, admin: ClusterAdmin, elector: LeaderElector
    ) -> LeaderMoves:
        """Moves leaders of a node away, and back."""
        return LeaderMoves(
            wave=wave,
            node=node,
            admin=admin,
            elector=elector,
            detached=Detached(executor=self.executor, folder=self.folder),
            target=self.target(node),
            look=self.look,
        )

    def _kafka(self, job: StepJob) -> KafkaSteps:
        return KafkaSteps(node=job.run.node, admin=self.admin, look=self.look)


def is_about_boots(check: Check) -> bool:
    """Whether a check asks if the host was booted anew."""
    return isinstance(check, ChangedCheck) and check.changed is Changed.BOOT_ID


def asks_for_boots(playbook: Playbook) -> bool:
    """Whether some step asks if the host was booted anew."""
    return any(
        is_about_boots(check)
        for step in playbook.steps
        for check in (*step.only_if, *step.observe, *step.verify, *_until(step.action))
    )


def _until(action: Action | None) -> tuple[Check, ...]:
    return action.until if isinstance(action, WaitAction) else ()


def _seen(finding: Finding, not_yet: StepState) -> Seen:
    if finding.is_true is None:
        return StepState.UNKNOWN, finding.detail
    return (StepState.DONE if finding.is_true else not_yet), finding.detail
