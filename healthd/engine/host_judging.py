"""Pure: what hosts have said of themselves into findings, with what to do about each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from healthd.engine.host_findings import (
    Answers,
    HostCheck,
    HostFinding,
    HostOutcome,
    HostReport,
)
from healthd.engine.identifying import unanswered
from healthd.execute.host_facts import HostFacts, ProcessFacts, parse_identity
from healthd.execute.identity import (
    Agreement,
    Verdict,
    Wanted,
    is_kin,
    rivals,
    told_by_absence,
    told_by_command,
    told_by_process,
)
from healthd.execute.protocol import ExecKind, Outcome
from healthd.execute.sudo import wants_password

MAX_SKEW_SECONDS: Final = 2.0
"""Hosts with a time server are within milliseconds; the round trip is taken off before."""
FULL_RATIO: Final = 0.90
_GIB: Final = 1024 * 1024

_IDENTITY_ACTION: Final = "correct hosts and service in the fleet file, or see docs/waves.md"


def judge_hosts(
    answers: Sequence[Answers],
    *,
    cluster_id: str | None = None,
    addresses: Mapping[int, tuple[str, int]] | None = None,
) -> tuple[HostReport, ...]:
    """One report for each host, in their order.

    Args:
        answers: what the hosts have said.
        cluster_id: what the brokers call their cluster; None: not known.
        addresses: where Metadata says that each broker listens.
    """
    known = addresses or {}
    reports = []
    for each in answers:
        wanted = Wanted(node=each.node, cluster_id=cluster_id, address=known.get(each.node))
        if each.is_zookeeper:
            wanted = Wanted(node=each.node, is_zookeeper=True)
        reports.append(
            HostReport(
                node=each.node,
                address=each.address,
                findings=tuple(_findings(each, wanted, answers)),
                is_zookeeper=each.is_zookeeper,
            )
        )
    return tuple(reports)


def _findings(
    answers: Answers, wanted: Wanted, everybody: Sequence[Answers]
) -> Iterator[HostFinding]:
    yield from _door(answers.first)
    if not answers.first.may_have_run:
        return
    yield from _sudo(answers)
    yield _service(answers)
    if answers.facts is None:
        yield _untold(answers)
        return
    yield from _identity(answers, answers.facts, wanted)
    yield from _listening(answers, answers.facts, wanted)
    if not answers.is_zookeeper:
        yield _second(answers, wanted, everybody)
    yield _clock(answers, answers.facts)
    yield _disks(answers.facts)
    yield _home(answers.facts)
    yield _reboot(answers.facts)


def _door(first: Outcome) -> Iterator[HostFinding]:
    """How far we got in: to the host, past its key, past the login."""
    if first.kind in {ExecKind.UNREACHABLE, ExecKind.NOT_SENT}:
        yield _bad(
            HostCheck.REACHABLE, first.detail, "check address, port, firewall, and whether it is up"
        )
        return
    yield HostFinding(check=HostCheck.REACHABLE)
    if first.kind is ExecKind.HOST_KEY_REFUSED:
        action = "compare its key with somebody who knows it, then healthd hosts trust"
        yield _bad(HostCheck.HOST_KEY, first.detail, action)
        return
    yield HostFinding(check=HostCheck.HOST_KEY)
    if first.kind is ExecKind.AUTH_REFUSED:
        # It may also be that our own key could not be used: then the host was not asked.
        action = (
            "where it names a file, an agent or a program of healthd's own, mend that; else put "
            "the public half of ssh.keyFile into that user's authorized_keys"
        )
        yield _bad(HostCheck.LOGIN, first.detail, action)
        return
    yield HostFinding(check=HostCheck.LOGIN)


def _sudo(answers: Answers) -> Iterator[HostFinding]:
    listed = answers.sudo_list
    if listed is None:
        detail = "no command of the fleet file needs it"
        yield HostFinding(check=HostCheck.SUDO, outcome=HostOutcome.NOT_CONFIGURED, detail=detail)
        return
    action = "install what healthd playbook sudoers prints (docs/playbooks.md)"
    if listed.exit_code != 0:
        yield _bad(HostCheck.SUDO, said(listed), action)
        return
    bad = False
    for each in answers.sudo:
        words = " ".join(each.words)
        if each.outcome.exit_code != 0:
            bad = True
            yield _bad(HostCheck.SUDO, f"{words}: not allowed ({said(each.outcome)})", action)
        elif wants_password(each.outcome.stdout.strip(), listed.stdout):
            bad = True
            yield _bad(
                HostCheck.SUDO, f"{words}: allowed, but only with a password", f"NOPASSWD: {action}"
            )
    if not bad:
        yield HostFinding(check=HostCheck.SUDO, detail=f"{len(answers.sudo)} commands")


def _service(answers: Answers) -> HostFinding:
    if not answers.has_service:
        return HostFinding(check=HostCheck.SERVICE, outcome=HostOutcome.NOT_CONFIGURED)
    if answers.status is None:
        return _bad(
            HostCheck.SERVICE,
            f"service.status does not say whether it runs: {said(answers.first)}",
            "let it print running PID START, stopped, or what systemctl show does",
        )
    if not answers.status.is_running:
        return _bad(HostCheck.SERVICE, "it does not run", "start it, or find out why it is down")
    return HostFinding(check=HostCheck.SERVICE, detail=f"process {answers.status.pid}")


def _untold(answers: Answers) -> HostFinding:
    """The script was not answered: nothing more is known of this host."""
    told = answers.told
    if answers.named is not None:
        return _identified(_told_by_command(answers, Wanted(node=answers.node)))
    what = "it was not asked" if told is None else said(told)
    verdict = None if told is None else unanswered(told, is_running=True)
    return HostFinding(
        check=HostCheck.IDENTITY,
        outcome=HostOutcome.UNKNOWN,
        detail=f"the host does not answer what it is: {what}",
        action="give the cluster service.identity"
        + (" (waves hold)" if verdict is not None and verdict.is_hold else ""),
    )


def _identity(answers: Answers, facts: HostFacts, wanted: Wanted) -> Iterator[HostFinding]:
    status = answers.status
    if not answers.has_service:
        yield HostFinding(check=HostCheck.IDENTITY, outcome=HostOutcome.NOT_CONFIGURED)
    elif answers.named is not None:
        yield _identified(_told_by_command(answers, wanted))
    elif status is not None and status.is_running and status.pid is not None:
        yield _identified(told_by_process(wanted, status.pid, facts))
    else:
        verdict = told_by_absence(wanted, facts)
        # That it does not run is told already.
        if verdict.agreement is not Agreement.NO_WAY:
            yield _identified(verdict)


def _told_by_command(answers: Answers, wanted: Wanted) -> Verdict:
    named = answers.named
    if named is None or named.kind is not ExecKind.EXITED:
        detail = "" if named is None else named.detail
        return Verdict(agreement=Agreement.UNTOLD, detail=f"service.identity: {detail}")
    return told_by_command(wanted, parse_identity(named.stdout))


def _identified(verdict: Verdict) -> HostFinding:
    if verdict.agreement is Agreement.AGREES:
        return HostFinding(check=HostCheck.IDENTITY)
    is_wrong = verdict.agreement is Agreement.CONTRADICTS
    return HostFinding(
        check=HostCheck.IDENTITY,
        outcome=HostOutcome.FAILED if is_wrong else HostOutcome.UNKNOWN,
        detail=verdict.detail,
        action=_IDENTITY_ACTION,
    )


def _listening(answers: Answers, facts: HostFacts, wanted: Wanted) -> Iterator[HostFinding]:
    process = _own(answers, facts)
    if process is None or not process.ports:
        return
    if not facts.listeners:
        yield HostFinding(
            check=HostCheck.LISTENING,
            outcome=HostOutcome.UNKNOWN,
            detail="its listening ports are not to be seen",
            action="look with ss -ltn",
        )
        return
    open_ports = {port for port, uid in facts.listeners if process.uid in {None, uid}}
    shut = [port for port in process.ports if port not in open_ports]
    if shut:
        ports = ", ".join(map(str, shut))
        yield _bad(
            HostCheck.LISTENING,
            f"nothing of user {process.uid} listens on {ports}, which {process.file} names",
            "it still starts, or its file has been changed since it was started",
        )
        return
    advertised = process.advertised
    if wanted.address is not None and advertised and wanted.address not in advertised:
        says = ", ".join(f"{host}:{port}" for host, port in advertised)
        yield _bad(
            HostCheck.LISTENING,
            f"Kafka finds broker {wanted.node} at {wanted.address[0]}:{wanted.address[1]}, and "
            f"{process.file} says {says}",
            "its file has been changed since it was started, or the host is another",
        )
        return
    yield HostFinding(check=HostCheck.LISTENING, detail=", ".join(map(str, process.ports)))


def _second(answers: Answers, wanted: Wanted, everybody: Sequence[Answers]) -> HostFinding:
    """Whether anything else goes by the same id: on this host, or on another of the cluster."""
    own = None if answers.facts is None else _own(answers, answers.facts)
    if wanted.cluster_id is None and own is not None and len(own.cluster_ids) == 1:
        wanted = replace(wanted, cluster_id=own.cluster_ids[0])
    if wanted.cluster_id is None:
        return HostFinding(
            check=HostCheck.SECOND_SERVICE,
            outcome=HostOutcome.UNKNOWN,
            detail="the cluster's own id is not known, so that its brokers cannot be told apart "
            "from those of others",
            action="ask again when a broker answers",
        )
    claims: dict[tuple[int, str], str] = {}
    for other in everybody:
        facts = other.facts
        found = () if facts is None else rivals(facts.processes, wanted)
        for process in found:
            # Several addresses may lead to one machine, where each shows the same processes; and
            # a wrapper that waits for a broker is no second one.
            kin = facts is not None and any(
                is_kin(process.pid, each.pid, facts) and (each.pid, each.file) in claims
                for each in found
            )
            if not kin:
                claims.setdefault((process.pid, process.file), other.address)
    if len(claims) < 2:  # noqa: PLR2004  # Itself and another one.
        return HostFinding(check=HostCheck.SECOND_SERVICE)
    named = "; ".join(
        f"process {pid} ({file}) on {address}" for (pid, file), address in sorted(claims.items())
    )
    return _bad(
        HostCheck.SECOND_SERVICE,
        f"{len(claims)} processes are broker {answers.node}: {named}",
        "find out which one is right, and end and disable the other",
    )


def _clock(answers: Answers, facts: HostFacts) -> HostFinding:
    if facts.clock is None:
        return HostFinding(
            check=HostCheck.CLOCK,
            outcome=HostOutcome.UNKNOWN,
            detail="the host does not tell its time",
            action="look with date",
        )
    coarse = 0.0 if facts.is_clock_fine else 1.0
    # It told its time between question and answer; what that explains is no skew.
    early = (facts.ended or facts.clock) - answers.answered_at
    late = facts.clock + coarse - answers.asked_at
    skew = early if early > 0 else min(late, 0.0)
    if abs(skew) > MAX_SKEW_SECONDS:
        way = "ahead of" if skew > 0 else "behind"
        return _bad(
            HostCheck.CLOCK,
            f"at least {abs(skew):.1f} s {way} healthd's clock",
            "check the time servers of both (chronyc tracking, timedatectl)",
        )
    return HostFinding(check=HostCheck.CLOCK)


def _disks(facts: HostFacts) -> HostFinding:
    if not facts.disks:
        return HostFinding(
            check=HostCheck.DISK,
            outcome=HostOutcome.UNKNOWN,
            detail="the host does not tell how full its disks are",
            action="look with df",
        )
    full = [disk for disk in facts.disks if disk.used_ratio >= FULL_RATIO]
    if full:
        named = ", ".join(
            f"{disk.name} is {100 * disk.used_ratio:.0f} % full "
            f"({disk.available / _GIB:.1f} GiB left)"
            for disk in full
        )
        return _bad(HostCheck.DISK, named, "make room before anything is written there")
    worst = max(facts.disks, key=lambda disk: disk.used_ratio)
    return HostFinding(check=HostCheck.DISK, detail=f"{worst.name} {100 * worst.used_ratio:.0f} %")


def _home(facts: HostFacts) -> HostFinding:
    if facts.is_home_writable:
        return HostFinding(check=HostCheck.HOME)
    return _bad(
        HostCheck.HOME,
        f"{facts.user} may not write to its home {facts.home or '(none)'}",
        "create it: steps of playbooks keep their markers there",
    )


def _reboot(facts: HostFacts) -> HostFinding:
    if facts.reboot is None and facts.untold_reboot:
        return HostFinding(
            check=HostCheck.REBOOT,
            outcome=HostOutcome.UNKNOWN,
            detail=f"{facts.untold_reboot} -r does not say whether a reboot is due",
            action="run it there; where it is missing install dnf-plugins-core (or yum-utils)",
        )
    if facts.reboot is None:
        return HostFinding(check=HostCheck.REBOOT)
    playbook = "os-patch-dnf" if facts.reboot.startswith("needs-restarting") else "os-patch"
    return _bad(
        HostCheck.REBOOT,
        f"the host waits for a reboot ({facts.reboot})",
        f"reboot it in a wave: playbook {playbook}",
    )


def _own(answers: Answers, facts: HostFacts) -> ProcessFacts | None:
    status = answers.status
    return None if status is None or status.pid is None else facts.process(status.pid)


def _bad(check: HostCheck, detail: str, action: str) -> HostFinding:
    return HostFinding(check=check, outcome=HostOutcome.FAILED, detail=detail, action=action)


def said(outcome: Outcome) -> str:
    """How a command ended, in the words of whoever ended it."""
    if outcome.kind is not ExecKind.EXITED:
        return outcome.detail or outcome.kind.value
    text = (outcome.stderr.strip() or outcome.stdout.strip())[-300:]
    lines = " ".join("".join(c for c in text if c.isprintable() or c == "\n").split())
    return f"exit code {outcome.exit_code}" + (f": {lines}" if lines else "")
