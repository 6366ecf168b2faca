"""Hosts as the doctor finds them over real SSH: well, unknown, refusing, dead; none is changed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from healthd.config.fleet import ClusterConfig, HostConfig, ServiceCommands
from healthd.config.ssh_access import SshConfig
from healthd.engine.clock import Clock
from healthd.engine.host_asking import ask_hosts
from healthd.engine.host_findings import HostCheck, HostOutcome, HostReport
from healthd.engine.host_judging import judge_hosts
from healthd.execute.ssh import SshExecutor

MakeHost = Callable[[], Any]
# All processes of the machine are looked at, and these all claim to be brokers of one cluster.
pytestmark = pytest.mark.xdist_group("seeming-brokers")

CLUSTER = "AbCdEfGhIjKlMnOpQrStUv"


@contextmanager
def a_broker(folder: Path, node: int) -> Iterator[int]:
    """A process that looks like a broker that has been formatted for this id."""
    folder.mkdir()
    (folder / "meta.properties").write_text(f"cluster.id={CLUSTER}\nnode.id={node}\n")
    file = folder / "server.properties"
    file.write_text(f"node.id={node}\nlog.dirs={folder}\n")
    code = "import time; print('up', flush=True); time.sleep(600)"
    words = [sys.executable, "-S", "-c", code, "kafka.Kafka", str(file)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


def config_of(hosts: list[Any], service: ServiceCommands) -> ClusterConfig:
    """A cluster on these hosts, with the first one's key and the keys of all of them."""
    known = hosts[0].folder / "all-known"
    known.write_text("".join((host.folder / "known_hosts").read_text() for host in hosts))
    target = hosts[0].target
    for host in hosts[1:]:
        (host.folder / "authorized_keys").write_text(
            (hosts[0].folder / "authorized_keys").read_text()
        )
    return ClusterConfig(
        name="payments",
        bootstrap_servers=("b1:9092",),
        ssh=SshConfig(
            user=target.user,
            key_file=target.key_file,
            known_hosts_file=known,
            connect_timeout_seconds=5.0,
        ),
        service=service,
        hosts=tuple(
            HostConfig(broker=at, address=host.address, ssh_port=host.port)
            for at, host in enumerate(hosts, 1)
        ),
    )


async def examined(config: ClusterConfig) -> dict[int, HostReport]:
    executor = SshExecutor(pool_size=len(config.hosts))
    try:
        answers = await ask_hosts(config, executor, Clock())
    finally:
        await executor.aclose()
    return {report.node: report for report in judge_hosts(answers, cluster_id=CLUSTER)}


def problems(report: HostReport) -> dict[HostCheck, str]:
    return {each.check: each.detail for each in report.findings if each.is_problem}


async def test_each_host_is_told_by_what_is_the_matter_with_it(
    sshd_of_its_own: MakeHost, tmp_path: Path
) -> None:
    hosts = [sshd_of_its_own() for _ in range(4)]
    with a_broker(tmp_path / "one", 1) as pid:
        service = ServiceCommands(
            stop=("/no/such/stop",),
            start=("/no/such/start",),
            status=("echo", f"running {pid} 1"),
        )
        config = config_of(hosts, service)
        assert config.ssh is not None
        known = config.ssh.known_hosts_file
        # The second has another key, the third does not let us in, the fourth is gone.
        lines = known.read_text().splitlines()
        lines[1] = lines[1].rsplit(" ", 1)[0] + " " + lines[0].rsplit(" ", 1)[1]
        known.write_text("\n".join(lines) + "\n")
        (hosts[2].folder / "authorized_keys").write_text("")
        hosts[3].stop()
        reports = await examined(config)
    assert problems(reports[1]) == {}
    checks = {each.check: each.outcome for each in reports[1].findings}
    assert checks[HostCheck.IDENTITY] is HostOutcome.OK
    assert checks[HostCheck.CLOCK] is HostOutcome.OK
    assert list(problems(reports[2])) == [HostCheck.HOST_KEY]
    assert list(problems(reports[3])) == [HostCheck.LOGIN]
    assert list(problems(reports[4])) == [HostCheck.REACHABLE]


async def test_a_host_that_hangs_delays_the_others_by_nothing(
    sshd_of_its_own: MakeHost,
) -> None:
    hosts = [sshd_of_its_own() for _ in range(3)]
    service = ServiceCommands(stop=("x",), start=("x",), status=("echo", "stopped"))
    config = config_of(hosts, service)
    hosts[1].freeze()
    ended: dict[int, int] = {}
    executor = SshExecutor(pool_size=3)

    class Noting:
        async def run(self, target: Any, command: Any) -> Any:
            outcome = await executor.run(target, command)
            ended.setdefault(target.port, len(ended))
            return outcome

        async def aclose(self) -> None:
            await executor.aclose()

    try:
        answers = await ask_hosts(config, Noting(), Clock())
    finally:
        hosts[1].thaw()
        await executor.aclose()
    assert ended[hosts[1].port] == 2, "the others had answered before"
    reports = {report.node: report for report in judge_hosts(answers, cluster_id=CLUSTER)}
    assert HostCheck.REACHABLE in problems(reports[2])
    for node in (1, 3):
        assert list(problems(reports[node])) == [HostCheck.SERVICE]


async def test_a_forced_command_that_refuses_the_question_is_told(
    sshd_of_its_own: MakeHost,
) -> None:
    host = sshd_of_its_own()
    service = ServiceCommands(stop=("x",), start=("x",), status=("x", "status"))
    config = config_of([host], service)
    keys = host.folder / "authorized_keys"
    script = "case $SSH_ORIGINAL_COMMAND in *facts*) echo not allowed; exit 1;; esac; echo stopped"
    keys.write_text(f'command="{script}" {keys.read_text()}')
    (report,) = (await examined(config)).values()
    found = problems(report)
    assert "not allowed" in found[HostCheck.IDENTITY]
    # What says who it is, is one more command that the wrapper may let through.
    keys.write_text(keys.read_text().replace("echo stopped", "echo node.id=1"))
    config = replace(config, service=replace(service, identity=("x", "identity")))
    (report,) = (await examined(config)).values()
    assert HostCheck.IDENTITY not in problems(report)
