"""Carrying out the effects of one wave: over SSH, through Kafka, and by looking again."""

import asyncio
from dataclasses import dataclass, field
from functools import partial

from healthd.collect.cluster_admin import ClusterAdmin
from healthd.config.fleet import ClusterConfig
from healthd.config.ssh_access import SshConfig
from healthd.config.targets import driven
from healthd.engine.collecting import ClusterLoop
from healthd.engine.identifying import identified
from healthd.engine.printed import PrintedByNode
from healthd.engine.step_host import StepEnds
from healthd.engine.step_leaders import carefully
from healthd.engine.stepping import Steps
from healthd.execute.identity import Agreement, Wanted
from healthd.execute.leaders import LeaderElector
from healthd.execute.protocol import Command, ExecKind, Executor, Outcome, Target
from healthd.execute.service import parse_status
from healthd.model.codes import ReasonCode
from healthd.model.reason import Reason
from healthd.model.snapshot import ClusterSnapshot
from healthd.waves import effects
from healthd.waves.events import HostState, StepState
from healthd.waves.events import Outcome as CommandOutcome
from healthd.waves.naming import object_for
from healthd.waves.playbook import PlaybookTarget
from healthd.waves.state import WaveState

STATUS_TIMEOUT_SECONDS = 10.0
LOGS_TIMEOUT_SECONDS = 15.0
GRACE_SECONDS = 15.0
"""An executor ends by its own deadlines; one that is so much late is no longer waited for."""
LOG_BYTES = 16_384
"""Of the last log lines so much goes into the journal and the report."""

_REASONS = {
    ExecKind.HOST_KEY_REFUSED: ReasonCode.HOST_KEY_REFUSED,
    ExecKind.AUTH_REFUSED: ReasonCode.HOST_AUTH_REFUSED,
    ExecKind.UNREACHABLE: ReasonCode.HOST_UNREACHABLE,
    ExecKind.CONNECTION_LOST: ReasonCode.HOST_UNREACHABLE,
    ExecKind.TIMED_OUT: ReasonCode.HOST_UNREACHABLE,
}


class NoHost(LookupError):  # noqa: N818  # It names what is missing.
    """The fleet file has no host, no SSH access or no service commands for a node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """The hands of a wave on one cluster."""

    loop: ClusterLoop
    executor: Executor
    elector: LeaderElector
    admin: ClusterAdmin | None = None
    """None: playbooks change nothing in the cluster itself."""
    is_dry_run: bool = False
    """The executor and the elector reach nobody: what they would have done is told."""
    moves_leaders_in: str = ""
    """The wave whose playbook moves leaders away: elections give them back first."""
    target: PlaybookTarget = PlaybookTarget.BROKER
    """What its nodes are."""
    printed: PrintedByNode = field(default_factory=dict)
    """What the commands of its steps print while they run."""

    @property
    def config(self) -> ClusterConfig:
        """The cluster, with the hosts and the service of the nodes that the wave drives."""
        return driven(self.loop.config, self.target)

    async def command(
        self, command: effects.Command, *, wait_seconds: float | None = None
    ) -> tuple[CommandOutcome, str]:
        """Carry one command out, once, and say how it ended as far as that is known.

        Args:
            command: what is to be done.
            wait_seconds: a stop that had to wait longer for its turn is not sent any more.
        """
        match command:
            case effects.StopService():
                return await self._service("stop", command, wait_seconds)
            case effects.StartService():
                return await self._service("start", command)
            case effects.ElectLeaders():
                return await self._elect(command)
            case _:
                raise TypeError(f"no command of a wave: {command!r}")

    async def _service(
        self, verb: str, command: effects.Command, wait_seconds: float | None = None
    ) -> tuple[CommandOutcome, str]:
        try:
            outcome = await self._run(
                command.node,
                verb,
                seconds=command.timeout_seconds,
                effect_id=command.effect_id,
                wait_seconds=wait_seconds,
            )
        except NoHost as error:
            return CommandOutcome.NOT_SENT, f"{verb}: {error}"
        if outcome.is_success:
            return CommandOutcome.OK, outcome.detail if self.is_dry_run else ""
        detail = f"{verb}: {_words(outcome)}"
        if not outcome.may_have_run:
            return CommandOutcome.NOT_SENT, detail
        known = outcome.kind is ExecKind.EXITED
        return (CommandOutcome.FAILED if known else CommandOutcome.UNKNOWN), detail

    async def _elect(self, command: effects.ElectLeaders) -> tuple[CommandOutcome, str]:
        if self.moves_leaders_in and not self.is_dry_run and self.admin is not None:
            given = await self._leaders_back(command.node, self.admin)
            if given is not None:
                return given
        snapshot = self.loop.view.snapshot
        wanted = () if snapshot is None else preferred_elsewhere(snapshot, command.node)
        if not wanted:
            return CommandOutcome.OK, "it leads what it should"
        try:
            async with asyncio.timeout(command.timeout_seconds):
                failed = await self.elector.elect_preferred(
                    wanted, timeout_seconds=command.timeout_seconds
                )
        except TimeoutError:
            return CommandOutcome.UNKNOWN, f"no answer within {command.timeout_seconds:g} s"
        except Exception as error:  # noqa: BLE001  # An election is a courtesy; it fails no node.
            return CommandOutcome.FAILED, f"{type(error).__name__}: {error}"
        if failed:
            return CommandOutcome.FAILED, f"{len(failed)} of {len(wanted)}: {failed[0]}"
        told = "dry run: not asked for: the election of " if self.is_dry_run else ""
        return CommandOutcome.OK, f"{told}{len(wanted)} partitions"

    async def _leaders_back(
        self, node: int, admin: ClusterAdmin
    ) -> tuple[CommandOutcome, str] | None:
        """Give a node the leaders that were moved away; None when there are none to be given."""
        try:
            moves = self._steps.leaders(self.moves_leaders_in, node, admin, self.elector)
            outcome, detail = await carefully(moves.back())
        except StepEnds as ends:
            return CommandOutcome.FAILED, ends.detail
        return (outcome, detail) if detail else None

    async def observe(self, node: int) -> HostState:
        """What the host says of the node's process; never a guess."""
        return (await self._seen(node))[0]

    async def _seen(self, node: int) -> tuple[HostState, int | None]:
        """The same, with the id of the process."""
        try:
            outcome = await self._run(node, "status", seconds=STATUS_TIMEOUT_SECONDS)
        except NoHost as error:
            return self._unknown(node, ReasonCode.IDENTITY, str(error)), None
        code = _REASONS.get(outcome.kind, ReasonCode.HOST_STATE_UNKNOWN)
        # The status says it, not its exit code: `sv status` and others differ in that.
        status = parse_status(outcome.stdout) if outcome.kind is ExecKind.EXITED else None
        if status is None:
            return self._unknown(node, code, _words(outcome)), None
        return HostState(is_running=status.is_running, start=status.start), status.pid

    async def ask(self, nodes: tuple[int, ...]) -> dict[int, HostState]:
        """What each of these hosts says, all asked at once, and whether it is the one meant."""
        hosts = await asyncio.gather(*(self._identified(node) for node in nodes))
        return dict(zip(nodes, hosts, strict=True))

    async def _identified(self, node: int) -> HostState:
        """What the host says, or that host, service and broker id are not of one broker."""
        host, pid = await self._seen(node)
        if host.is_running is None or self.is_dry_run:
            return host
        is_zookeeper = self.target is PlaybookTarget.ZOOKEEPER
        wanted = Wanted(
            node=node,
            cluster_id=None if is_zookeeper else self.loop.cluster_id,
            address=None if is_zookeeper else self.loop.addresses.get(node),
            is_zookeeper=is_zookeeper,
        )
        told = await identified(
            self.config, wanted, partial(self._send, node), is_running=host.is_running, pid=pid
        )
        if isinstance(told, Outcome):
            code = _REASONS.get(told.kind, ReasonCode.HOST_STATE_UNKNOWN)
            return self._unknown(node, code, _words(told))
        if is_zookeeper and told.agreement is not Agreement.CONTRADICTS:
            return host  # Who a server is it says itself as well, in every collection.
        if told.agreement is Agreement.GONE:
            return self._unknown(node, ReasonCode.HOST_STATE_UNKNOWN, told.detail)
        return self._unknown(node, ReasonCode.IDENTITY, told.detail) if told.is_hold else host

    async def look(self) -> ClusterSnapshot | None:
        """A snapshot from now with the configs read again."""
        return await self.loop.collect_now(read_configs=True)

    async def run_step(
        self, effect: effects.RunStep, state: WaveState
    ) -> tuple[CommandOutcome, str]:
        """Do a step of the playbook, and say how it ended as far as that is known."""
        return await self._steps.run(effect, state)

    async def observe_step(
        self, effect: effects.ObserveStep, state: WaveState
    ) -> tuple[StepState, str]:
        """What became of a step of the playbook; with `is_verify`, whether it has worked."""
        return await self._steps.observe_step(effect, state)

    @property
    def _steps(self) -> Steps:
        def target(node: int) -> Target:
            try:
                return target_of(self.config, node)
            except NoHost as error:
                raise StepEnds(CommandOutcome.FAILED, str(error)) from None

        return Steps(
            config=self.config,
            executor=self.executor,
            target=target,
            observe=self.observe,
            look=self.look,
            admin=self.admin,
            elector=self.elector,
            is_dry_run=self.is_dry_run,
            printed=self.printed,
        )

    def _unknown(self, node: int, code: ReasonCode, detail: str) -> HostState:
        reason = Reason(code=code, object=object_for(self.target, node), detail=detail)
        return HostState(is_running=None, detail=detail, reason=reason)

    async def aclose(self) -> None:
        """Let go of the cluster's connections."""
        self.elector.close()
        if self.admin is not None:
            await self.admin.aclose()

    async def logs(self, node: int) -> str:
        """The last log lines of a node, as its service's command gives them."""
        try:
            outcome = await self._run(node, "logs", seconds=LOGS_TIMEOUT_SECONDS)
        except NoHost as error:
            return str(error)
        return outcome.stdout[-LOG_BYTES:] if outcome.is_success else _words(outcome)

    async def _run(
        self,
        node: int,
        verb: str,
        *,
        seconds: float,
        effect_id: str = "",
        wait_seconds: float | None = None,
    ) -> Outcome:
        config = self.config
        target_of(config, node)
        host, service = config.host(node), config.service
        if host is None or service is None:
            raise NoHost(
                f"cluster {config.name} has no service commands for {config.node_word} {node}"
            )
        argv = service.render(verb, broker_id=node, host=host.address)
        if not argv:
            raise NoHost(f"cluster {config.name} has no service command '{verb}'")
        command = Command(
            argv=argv, timeout_seconds=seconds, effect_id=effect_id, wait_seconds=wait_seconds
        )
        return await self._send(node, command)

    async def _send(self, node: int, command: Command) -> Outcome:
        target = target_of(self.config, node)
        limit = target.connect_timeout_seconds + command.timeout_seconds + GRACE_SECONDS
        try:
            async with asyncio.timeout(limit):
                return await self.executor.run(target, command)
        except TimeoutError:
            return Outcome(
                kind=ExecKind.TIMED_OUT, seconds=limit, detail=f"no answer within {limit:g} s"
            )


def target_of(config: ClusterConfig, node: int) -> Target:
    """How the host of a node is reached.

    Raises:
        NoHost: the fleet file does not say it.
    """
    host = config.host(node)
    if host is None:
        raise NoHost(f"the fleet file has no host for {config.node_word} {node} of {config.name}")
    if config.ssh is None:
        raise NoHost(f"cluster {config.name} has no ssh access in the fleet file")
    port = config.ssh.port if host.ssh_port is None else host.ssh_port
    return _target(host.address, port, config.ssh)


def _target(address: str, port: int, ssh: SshConfig) -> Target:
    bastion = ssh.bastion
    return Target(
        address=address,
        port=port,
        user=ssh.user,
        key_file=ssh.key_file,
        known_hosts_file=ssh.known_hosts_file,
        connect_timeout_seconds=ssh.connect_timeout_seconds,
        passphrase=ssh.key_password,
        certificate_file=ssh.certificate_file,
        agent=ssh.agent,
        bastion=None
        if bastion is None
        else _target(bastion.address, bastion.ssh.port, bastion.ssh),
        is_local=ssh.is_local,
    )


def preferred_elsewhere(snapshot: ClusterSnapshot, node: int) -> tuple[tuple[str, int], ...]:
    """The partitions whose preferred leader is a node in their ISR that another one leads."""
    return tuple(
        (topic.name, topic.ids[at])
        for topic in snapshot.topics
        for at, (leader, replicas, isr) in enumerate(
            zip(topic.leaders, topic.replicas, topic.isrs, strict=True)
        )
        if replicas and replicas[0] == node and leader != node and node in isr
    )


def _words(outcome: Outcome) -> str:
    if outcome.kind is ExecKind.EXITED and outcome.trouble is None:
        said = (outcome.stderr.strip() or outcome.stdout.strip())[-400:]
        return f"exit code {outcome.exit_code}" + (f": {said}" if said else "")
    return outcome.detail or outcome.kind.value
