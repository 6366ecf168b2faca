"""Whether host, service and broker id are of one broker, asked right before the first step.

The status command names a process; the process names its configuration; that, and the
`meta.properties` in its log directories, name the broker and its cluster. Both are compared with
the node that the wave means and the cluster that the bootstrap servers lead to
(docs/adr/0043-identity-before-the-first-step.md).
"""

from collections.abc import Awaitable, Callable
from typing import Final

from healthd.config.fleet import ClusterConfig
from healthd.execute.host_facts import MAX_OUTPUT_BYTES, parse_facts, parse_identity
from healthd.execute.host_script import MARK, identity_argv
from healthd.execute.identity import (
    WAYS,
    Agreement,
    Verdict,
    Wanted,
    told_by_absence,
    told_by_command,
    told_by_process,
)
from healthd.execute.protocol import Command, ExecKind, Outcome

SECONDS: Final = 10.0
"""For the question to a host; reading a few files takes a tenth of one."""
_NO_SHELL: Final = frozenset({126, 127})
"""What a host answers that has no such program."""

Run = Callable[[Command], Awaitable[Outcome]]
"""Carries a command out on the host of the node in question."""


async def identified(
    config: ClusterConfig, wanted: Wanted, run: Run, *, is_running: bool, pid: int | None
) -> Verdict | Outcome:
    """What host and service say of the broker that they are.

    Args:
        config: the cluster.
        wanted: the broker that is meant.
        run: asks the host.
        is_running: what the status command has just said.
        pid: the process that it named.

    Returns:
        The verdict, or how asking the host failed.
    """
    host, service = config.host(wanted.node), config.service
    if host is not None and service is not None and service.identity:
        argv = service.render("identity", broker_id=wanted.node, host=host.address)
        outcome = await run(Command(argv=argv, timeout_seconds=SECONDS))
        if outcome.kind is not ExecKind.EXITED:
            return outcome
        verdict = told_by_command(wanted, parse_identity(outcome.stdout))
        if verdict.agreement is Agreement.UNTOLD and not is_running:
            # It may need the process, and only a contradiction keeps a broker from being started.
            return Verdict(agreement=Agreement.NO_WAY, detail=verdict.detail)
        return verdict
    return await _told_by_host(wanted, run, pid if is_running else None)


async def _told_by_host(wanted: Wanted, run: Run, pid: int | None) -> Verdict | Outcome:
    outcome = await run(
        Command(argv=identity_argv(pid), timeout_seconds=SECONDS, max_output_bytes=MAX_OUTPUT_BYTES)
    )
    if outcome.kind is not ExecKind.EXITED:
        return outcome
    facts = parse_facts(outcome.stdout)
    if facts is not None:
        if pid is None:
            return told_by_absence(wanted, facts)
        return told_by_process(wanted, pid, facts)
    return unanswered(outcome, is_running=pid is not None)


def unanswered(outcome: Outcome, *, is_running: bool) -> Verdict:
    """What an answer is worth that holds no facts."""
    if outcome.exit_code in _NO_SHELL and MARK not in outcome.stdout:
        return Verdict(agreement=Agreement.NO_WAY, detail="the host has no POSIX shell")
    if not is_running:
        return Verdict(agreement=Agreement.NO_WAY, detail="it does not run")
    code = outcome.exit_code
    what = "a signal ended it" if code is None else f"exit code {code}"
    return Verdict(
        agreement=Agreement.UNTOLD,
        detail=f"the host does not answer the question whose process it is ({what}): {WAYS}",
    )
