"""What is asked of hosts before the night, and what is made of their answers."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from support.engine import Plant
from support.virtual_time import in_virtual_time

from healthd.config.fleet import ServiceCommands
from healthd.config.playbooks import load_playbook
from healthd.engine.clock import Clock
from healthd.engine.host_asking import ask_hosts
from healthd.engine.host_doctor import with_hosts
from healthd.engine.host_findings import HostCheck, HostFinding, HostOutcome
from healthd.engine.host_judging import judge_hosts
from healthd.engine.privileges import privileged
from healthd.execute.protocol import Command, ExecKind, Outcome, Target

OURS = "AbCdEfGhIjKlMnOpQrStUv"
TIME = 1_700_000_000.0


@dataclass
class Hosts:
    """Hosts that answer each program in their own words."""

    status: str = "running 100 7\n"
    rows: list[str] = field(default_factory=list)
    node_of: Callable[[str], int] = lambda address: int(address[1:])
    sudo: Callable[[tuple[str, ...]], Outcome] | None = None
    dead: dict[str, ExecKind] = field(default_factory=dict)
    seen: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    process: bool = True

    async def run(self, target: Target, command: Command) -> Outcome:
        self.seen.append((target.address, command.argv))
        if target.address in self.dead:
            await asyncio.sleep(target.connect_timeout_seconds)
            return Outcome(kind=self.dead[target.address], detail="no luck")
        if command.argv[0] == "sh":
            return exited(self.facts(self.node_of(target.address)))
        if command.argv[:3] == ("sudo", "-n", "-l") and self.sudo is not None:
            return self.sudo(command.argv)
        return exited(self.status)

    def facts(self, node: int) -> str:
        rows = [f"healthd-facts\tbegin\t1\t{TIME + 0.5}"]
        if self.process:
            rows += [
                f"process\t{100 * node}\tmain\tkafka.Kafka",
                f"process\t{100 * node}\tfile\t/etc/kafka/{node}.properties",
                f"process\t{100 * node}\tuid\t33",
                f"process\t{100 * node}\tnode.id\t{node}",
                f"process\t{100 * node}\tlisteners\tA://b{node}:9092",
                f"meta\t{100 * node}\t/data\tcluster.id={OURS}",
                f"meta\t{100 * node}\t/data\tnode.id={node}",
                "listen\t2384\t33\t",
            ]
        rows += ["host\tuser\tops\t1000", "host\thome\t/home/ops\twritable", "disk\t/\t1000\t500"]
        return "\n".join([*rows, *self.rows, f"healthd-facts\tend\t1\t{TIME + 0.6}"]) + "\n"

    async def aclose(self) -> None:
        self.seen.append(("closed", ()))


def exited(stdout: str, code: int = 0, stderr: str = "") -> Outcome:
    return Outcome(kind=ExecKind.EXITED, exit_code=code, stdout=stdout, stderr=stderr)


def status_of_its_own() -> ServiceCommands:
    return ServiceCommands(stop=("x",), start=("x",), status=("status", "{broker_id}"))


class ByNode(Hosts):
    """Each host's process has an id of its own."""

    async def run(self, target: Target, command: Command) -> Outcome:
        if command.argv[0] == "status" and target.address not in self.dead:
            self.seen.append((target.address, command.argv))
            return exited(f"running {100 * self.node_of(target.address)} 7\n")
        return await super().run(target, command)


async def found(hosts: Hosts, *, skew: float = 0.0, **changes: Any) -> dict[int, list[HostFinding]]:
    config = Plant().config(**({"service": status_of_its_own()} | changes))
    clock = Clock(wall=lambda: TIME + 0.55 + skew)
    answers = await ask_hosts(config, hosts, clock)
    addresses = {node: (f"b{node}", 9092) for node in (1, 2, 3)}
    reports = judge_hosts(answers, cluster_id=OURS, addresses=addresses)
    return {report.node: list(report.findings) for report in reports}


def bad(findings: list[HostFinding]) -> dict[HostCheck, HostFinding]:
    return {finding.check: finding for finding in findings if finding.is_problem}


@in_virtual_time
async def test_hosts_that_are_well_have_no_problem_and_are_looked_at_from_every_side() -> None:
    hosts = ByNode()
    for findings in (await found(hosts)).values():
        assert bad(findings) == {}
        assert [finding.check for finding in findings] == list(HostCheck)
    # Two commands on each host, and none that changes anything.
    assert {argv[0] for _, argv in hosts.seen} == {"status", "sh"}
    assert len(hosts.seen) == 6


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        (ExecKind.UNREACHABLE, HostCheck.REACHABLE),
        (ExecKind.HOST_KEY_REFUSED, HostCheck.HOST_KEY),
        (ExecKind.AUTH_REFUSED, HostCheck.LOGIN),
    ],
)
@in_virtual_time
async def test_a_shut_door_is_told_once_and_delays_nobody(kind: ExecKind, check: HostCheck) -> None:
    hosts = ByNode(dead={"b1": kind, "b2": kind})
    began = asyncio.get_running_loop().time()
    reports = await found(hosts)
    assert asyncio.get_running_loop().time() - began == 10.0
    assert list(bad(reports[1])) == [check]
    action = bad(reports[1])[check].action
    assert action
    assert (check is HostCheck.LOGIN) == ("of healthd's own, mend that; else" in action)
    assert bad(reports[3]) == {}


@pytest.mark.parametrize(
    ("row", "check", "words"),
    [
        ("disk\t/data\t1000\t90", HostCheck.DISK, "/data is 91 % full"),
        ("host\treboot\t/run/reboot-required\tlinux-image", HostCheck.REBOOT, "linux-image"),
        ("host\tuntold\tneeds-restarting\t", HostCheck.REBOOT, "does not say whether a reboot"),
        ("host\thome\t/home/ops\tread-only", HostCheck.HOME, "may not write"),
        ("process\t300\tlisteners\tA://b3:9093", HostCheck.LISTENING, "listens on 9093"),
        ("process\t300\tadvertised.listeners\tA://x:1", HostCheck.LISTENING, "says x:1"),
        ("process\t300\tnode.id\t4", HostCheck.IDENTITY, "node.id=3 and node.id=4"),
        ("process\t300\tunreadable\tfile", HostCheck.IDENTITY, "cannot be read"),
    ],
)
@in_virtual_time
async def test_what_is_wrong_on_a_host_is_named(row: str, check: HostCheck, words: str) -> None:
    finding = bad((await found(ByNode(rows=[row])))[3])[check]
    assert words in finding.detail
    assert finding.action


@pytest.mark.parametrize(
    ("row", "playbook"),
    [
        ("host\treboot\t/run/reboot-required\tlinux-image", "os-patch"),
        ("host\treboot\tneeds-restarting\t", "os-patch-dnf"),
    ],
)
@in_virtual_time
async def test_a_reboot_is_for_the_playbook_of_that_package_manager(
    row: str, playbook: str
) -> None:
    finding = bad((await found(ByNode(rows=[row])))[3])[HostCheck.REBOOT]
    assert finding.action == f"reboot it in a wave: playbook {playbook}"


@pytest.mark.parametrize(
    ("skew", "words"), [(5.0, "5.0 s behind"), (-5.0, "5.0 s ahead of"), (1.5, None)]
)
@in_virtual_time
async def test_a_clock_is_compared_with_ours(skew: float, words: str | None) -> None:
    wrong = bad((await found(ByNode(), skew=skew))[1])
    assert (words is None) == (wrong == {})
    assert words is None or words in wrong[HostCheck.CLOCK].detail


@in_virtual_time
async def test_a_second_process_of_the_same_broker_is_told_on_whatever_host_it_is() -> None:
    row = "\n".join(
        [
            "process\t900\tmain\tkafka.Kafka",
            "process\t900\tfile\t/old/server.properties",
            "process\t900\tnode.id\t2",
            f"meta\t900\t/old/data\tcluster.id={OURS}",
        ]
    )
    reports = await found(ByNode(rows=[row]))
    told = bad(reports[2])[HostCheck.SECOND_SERVICE].detail
    assert "2 processes are broker 2" in told
    assert "/old/server.properties" in told
    assert HostCheck.SECOND_SERVICE not in bad(reports[1])


@pytest.mark.parametrize(
    ("status", "check"),
    [("stopped\n", HostCheck.SERVICE), ("hello\n", HostCheck.SERVICE)],
)
@in_virtual_time
async def test_a_service_that_does_not_run_or_does_not_say_is_a_problem(
    status: str, check: HostCheck
) -> None:
    service = ServiceCommands(stop=("x",), start=("x",), status=("y",))
    assert check in bad((await found(Hosts(status=status, process=False), service=service))[1])


@in_virtual_time
async def test_a_host_that_does_not_answer_the_script_is_unknown_and_not_well() -> None:
    class Mute(ByNode):
        def facts(self, node: int) -> str:
            return "Command not allowed.\n"

    wrong = bad((await found(Mute()))[1])
    assert wrong[HostCheck.IDENTITY].outcome is HostOutcome.UNKNOWN
    assert "waves hold" in wrong[HostCheck.IDENTITY].action


SUDO = ServiceCommands(
    stop=("sudo", "-n", "systemctl", "stop", "kafka"),
    start=("sudo", "-n", "systemctl", "start", "kafka"),
    status=("status", "{broker_id}"),
)
LISTED = """User ops may run the following commands on b1:
    (root) NOPASSWD: /usr/bin/systemctl stop kafka, PASSWD:
        /usr/bin/systemctl start kafka
"""


@in_virtual_time
async def test_sudo_is_only_asked_and_a_password_is_told() -> None:
    def sudo(argv: tuple[str, ...]) -> Outcome:
        if argv == ("sudo", "-n", "-l"):
            return exited(LISTED)
        return exited(f"/usr/bin/{' '.join(argv[4:])}\n")

    hosts = ByNode(sudo=sudo)
    wrong = bad((await found(hosts, service=SUDO))[1])
    assert list(wrong) == [HostCheck.SUDO]
    assert "systemctl start kafka: allowed, but only with a password" in (
        wrong[HostCheck.SUDO].detail
    )
    assert all(argv[:3] == ("sudo", "-n", "-l") for _, argv in hosts.seen if argv[0] == "sudo")


@in_virtual_time
async def test_a_command_that_sudo_does_not_allow_is_named() -> None:
    def sudo(argv: tuple[str, ...]) -> Outcome:
        return exited(LISTED) if len(argv) == 3 or "stop" in argv else exited("", 1)

    wrong = bad((await found(ByNode(sudo=sudo), service=SUDO))[1])
    assert "systemctl start kafka: not allowed" in wrong[HostCheck.SUDO].detail
    denied = ByNode(sudo=lambda _argv: exited("", 1, "sudo: a password is required\n"))
    told = bad((await found(denied, service=SUDO))[1])[HostCheck.SUDO].detail
    assert told == "exit code 1: sudo: a password is required"


class Cluster:
    cluster_id: str | None = OURS
    addresses: dict[int, tuple[str, int]] = {}  # noqa: RUF012  # A stand-in that nobody changes.

    def as_json(self) -> dict[str, Any]:
        return {"cluster": "payments", "problems": 1}


@in_virtual_time
async def test_the_document_counts_the_problems_of_hosts_too_and_the_executor_is_closed() -> None:
    async def examined() -> Cluster:
        return Cluster()

    hosts = ByNode(dead={"b1": ExecKind.UNREACHABLE})
    wanted: list[int] = []

    def executor_of(count: int) -> Hosts:
        wanted.append(count)
        return hosts

    config = Plant().config(service=status_of_its_own())
    document = await with_hosts(examined(), config, executor_of=executor_of)
    assert wanted == [3]
    assert hosts.seen[-1][0] == "closed"
    assert [host["broker"] for host in document["hosts"]] == [1, 2, 3]
    of_hosts = sum(host["problems"] for host in document["hosts"])
    assert of_hosts >= 1
    assert document["problems"] == 1 + of_hosts
    bare = await with_hosts(examined(), replace(config, ssh=None), executor_of=executor_of)
    assert bare == {"cluster": "payments", "problems": 1, "hosts": []}


@in_virtual_time
async def test_what_a_playbook_runs_with_become_is_asked_of_sudo_as_well() -> None:
    book = load_playbook("agent-restart")
    hosts = tuple(
        replace(host, variables={"unit": f"agent-{host.broker}", "port": 9100})
        for host in Plant().config().hosts
    )
    config = Plant().config(service=status_of_its_own(), hosts=hosts)
    more = privileged(config, book)
    assert more[0] == (1, ("sudo", "-n", "--", "systemctl", "restart", "agent-1"))
    asked = ByNode(sudo=lambda _argv: exited(""))
    await ask_hosts(config, asked, Clock(), more=more)
    assert ("b2", ("sudo", "-n", "-l", "--", "systemctl", "restart", "agent-2")) in asked.seen
    # The unit and the port are the wave's to give: nothing is asked that is not known.
    assert privileged(Plant().config(service=status_of_its_own()), book) == ()


@in_virtual_time
async def test_hosts_of_an_ensemble_are_looked_at_as_servers() -> None:
    class Servers(Hosts):
        def facts(self, node: int) -> str:
            rows = [
                "process\t100\tmain\torg.apache.zookeeper.server.quorum.QuorumPeerMain",
                "process\t100\tfile\t/etc/zookeeper/zoo.cfg",
                f"meta\t100\t/var/lib/zookeeper\tnode.id={node}",
            ]
            begin = f"healthd-facts\tbegin\t1\t{TIME + 0.5}"
            return "\n".join([begin, *rows, f"healthd-facts\tend\t1\t{TIME + 0.6}"]) + "\n"

    config = Plant().config(service=status_of_its_own())
    clock = Clock(wall=lambda: TIME + 0.55)
    answers = await ask_hosts(config, Servers(), clock, is_zookeeper=True)
    reports = judge_hosts(answers, cluster_id=OURS)
    for report in reports:
        identity = [each for each in report.findings if each.check is HostCheck.IDENTITY]
        assert [each.outcome for each in identity] == [HostOutcome.OK]
        assert report.as_json()["server"] == report.node
    wrong = judge_hosts([replace(answers[0], node=2)])
    assert HostCheck.IDENTITY in bad(list(wrong[0].findings))
