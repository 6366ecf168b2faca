"""Asking every host of a cluster about itself: a few commands each, all hosts at a time.

Nothing is changed on a host: the status command, one script that only reads, and sudo only listing
what it would allow. A host that does not answer delays nobody else.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from healthd.config.fleet import ClusterConfig, HostConfig
from healthd.engine.acting import GRACE_SECONDS, STATUS_TIMEOUT_SECONDS, target_of
from healthd.engine.clock import Clock
from healthd.engine.host_findings import Allowed, Answers
from healthd.engine.identifying import Run
from healthd.execute.host_facts import MAX_OUTPUT_BYTES, parse_facts
from healthd.execute.host_script import REBOOT_SECONDS, host_argv
from healthd.execute.protocol import Command, ExecKind, Executor, Outcome, Target
from healthd.execute.service import parse_status
from healthd.execute.sudo import LIST, asked_of

FACTS_SECONDS: Final = 40.0 + REBOOT_SECONDS
"""A second is much, but many brokers may share a machine that is busy."""
SUDO_SECONDS: Final = 10.0
SERVICE_WORDS: Final = ("stop", "start", "status", "logs", "identity")


async def ask_hosts(
    config: ClusterConfig,
    executor: Executor,
    clock: Clock,
    *,
    more: Sequence[tuple[int, tuple[str, ...]]] = (),
    is_zookeeper: bool = False,
) -> tuple[Answers, ...]:
    """What each host of the cluster says; never raises for trouble with a host.

    Args:
        config: the cluster; without `ssh` nobody is asked.
        executor: what reaches the hosts.
        clock: what their clocks are compared with.
        more: further commands by node that must be allowed, a playbook's for instance.
        is_zookeeper: its hosts are those of the ensemble (`config.targets.driven`).
    """
    if config.ssh is None:
        return ()
    answers = tuple(
        await asyncio.gather(
            *(
                _ask(config, host, partial(_run, executor, target_of(config, host.broker)), clock,
                     [argv for node, argv in more if node == host.broker])
                for host in config.hosts
            )
        )
    )  # fmt: skip
    return tuple(replace(each, is_zookeeper=is_zookeeper) for each in answers)


async def _ask(
    config: ClusterConfig,
    host: HostConfig,
    run: Run,
    clock: Clock,
    more: Sequence[tuple[str, ...]],
) -> Answers:
    commands = _service_commands(config, host)
    pid = None
    answers: Answers | None = None
    if "status" in commands:
        first = await run(Command(argv=commands["status"], timeout_seconds=STATUS_TIMEOUT_SECONDS))
        status = parse_status(first.stdout) if first.kind is ExecKind.EXITED else None
        pid = status.pid if status is not None else None
        answers = Answers(node=host.broker, address=host.address, first=first, status=status)
        if not first.may_have_run:
            return answers
    asked_at = clock.wall()
    told = await run(
        Command(argv=host_argv(pid), timeout_seconds=FACTS_SECONDS,
                max_output_bytes=MAX_OUTPUT_BYTES)
    )  # fmt: skip
    answered_at = clock.wall()
    if answers is None:
        answers = Answers(node=host.broker, address=host.address, first=told, has_service=False)
    facts = parse_facts(told.stdout) if told.kind is ExecKind.EXITED else None
    answers = replace(answers, told=told, facts=facts, asked_at=asked_at, answered_at=answered_at)
    if not told.may_have_run:
        return answers
    if "identity" in commands:
        named = Command(argv=commands["identity"], timeout_seconds=STATUS_TIMEOUT_SECONDS)
        answers = replace(answers, named=await run(named))
    return await _with_sudo(answers, run, [*commands.values(), *more])


async def _with_sudo(answers: Answers, run: Run, commands: Sequence[tuple[str, ...]]) -> Answers:
    wanted = [(argv, asked) for argv in dict.fromkeys(commands) if (asked := asked_of(argv))]
    if not wanted:
        return answers
    listed = await run(Command(argv=LIST, timeout_seconds=SUDO_SECONDS))
    if listed.exit_code != 0:
        return replace(answers, sudo_list=listed)
    allowed = [
        Allowed(words=argv, outcome=await run(Command(argv=asked, timeout_seconds=SUDO_SECONDS)))
        for argv, asked in wanted
    ]
    return replace(answers, sudo_list=listed, sudo=tuple(allowed))


def _service_commands(config: ClusterConfig, host: HostConfig) -> dict[str, tuple[str, ...]]:
    if config.service is None:
        return {}
    service = config.service
    rendered = {
        word: service.render(word, broker_id=host.broker, host=host.address)
        for word in SERVICE_WORDS
    }
    return {word: argv for word, argv in rendered.items() if argv}


async def _run(executor: Executor, target: Target, command: Command) -> Outcome:
    limit = target.connect_timeout_seconds + command.timeout_seconds + GRACE_SECONDS
    try:
        async with asyncio.timeout(limit):
            return await executor.run(target, command)
    except TimeoutError:
        detail = f"no answer within {limit:g} s"
        return Outcome(kind=ExecKind.TIMED_OUT, seconds=limit, detail=detail)
